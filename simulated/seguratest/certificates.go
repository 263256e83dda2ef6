package seguratest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"time"
)

// TLSOptions are for servers whose TLS is not as it should be. The zero value
// is a good server: TLS 1.2 or newer, HTTP/2 and HTTP/1.1, a valid certificate.
type TLSOptions struct {
	// MinVersion and MaxVersion are tls.VersionTLS10 and so on; zero means TLS
	// 1.2 (or less, where MaxVersion is less) and the newest.
	MinVersion, MaxVersion uint16
	// Certificate is what is wrong with the server's certificate.
	Certificate Certificate
	// Hosts are names and addresses that the certificate is for, besides
	// localhost, 127.0.0.1, ::1 and the host of the listen address.
	Hosts []string
}

// Certificate is the quality of the server's certificate. CACertificate is the
// CA of the good one in every case.
type Certificate int

// The qualities of a certificate.
const (
	CertificateValid Certificate = iota
	CertificateWrongHost
	CertificateExpired
	CertificateNotYetValid
	CertificateSelfSigned
	CertificateUnknownAuthority
)

type pair struct {
	certPEM, keyPEM string
	certificate     *x509.Certificate
	key             *ecdsa.PrivateKey
	der             []byte
}

type certificates struct {
	caPEM            string
	pool             *x509.CertPool
	server           pair
	client, stranger pair
}

func newCertificates(o Options) (*certificates, error) {
	now := time.Now()
	ca, err := issue(authorityTemplate("Segura private CA", now), nil)
	if err != nil {
		return nil, err
	}
	other, err := issue(authorityTemplate("Another CA", now), nil)
	if err != nil {
		return nil, err
	}
	c := &certificates{caPEM: ca.certPEM, pool: x509.NewCertPool()}
	c.pool.AddCert(ca.certificate)
	if c.server, err = issueServer(o, now, &ca, &other); err != nil {
		return nil, err
	}
	client := leafTemplate("segura-enable", now, x509.ExtKeyUsageClientAuth)
	if c.client, err = issue(client, &ca); err != nil {
		return nil, err
	}
	stranger := leafTemplate("stranger", now, x509.ExtKeyUsageClientAuth)
	if c.stranger, err = issue(stranger, &other); err != nil {
		return nil, err
	}
	return c, nil
}

func issueServer(o Options, now time.Time, ca, other *pair) (pair, error) {
	template := leafTemplate("Segura", now, x509.ExtKeyUsageServerAuth)
	template.DNSNames = []string{"localhost"}
	template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	host, _, _ := net.SplitHostPort(o.Address)
	for _, name := range append([]string{host}, o.TLS.Hosts...) {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else if name != "" {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	issuer := ca
	switch o.TLS.Certificate {
	case CertificateWrongHost:
		template.DNSNames, template.IPAddresses = []string{"segura.example.com"}, nil
	case CertificateExpired:
		template.NotAfter = now.Add(-time.Hour)
	case CertificateNotYetValid:
		template.NotBefore = now.AddDate(0, 1, 0)
	case CertificateSelfSigned:
		issuer = nil
	case CertificateUnknownAuthority:
		issuer = other
	case CertificateValid:
	}
	return issue(template, issuer)
}

func authorityTemplate(name string, now time.Time) *x509.Certificate {
	return &x509.Certificate{
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             now.Add(-24 * time.Hour),
		NotAfter:              now.AddDate(1, 0, 0),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
}

func leafTemplate(name string, now time.Time, usage x509.ExtKeyUsage) *x509.Certificate {
	return &x509.Certificate{
		Subject:     pkix.Name{CommonName: name},
		NotBefore:   now.Add(-24 * time.Hour),
		NotAfter:    now.AddDate(1, 0, 0),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{usage},
	}
}

// issue makes a key and has its certificate signed by the issuer, or by itself
// where that is nil.
func issue(template *x509.Certificate, issuer *pair) (pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return pair{}, err
	}
	template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return pair{}, err
	}
	parent, signer := template, key
	if issuer != nil {
		parent, signer = issuer.certificate, issuer.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		return pair{}, err
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return pair{}, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return pair{}, err
	}
	return pair{
		certPEM:     string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		keyPEM:      string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})),
		certificate: certificate, key: key, der: der,
	}, nil
}

func (c *certificates) serverPair() tls.Certificate {
	return tls.Certificate{Certificate: [][]byte{c.server.der}, PrivateKey: c.server.key}
}

func (c *certificates) serverConfig(o Options) *tls.Config {
	config := &tls.Config{
		Certificates: []tls.Certificate{c.serverPair()},
		ClientCAs:    c.pool,
		ClientAuth:   tls.VerifyClientCertIfGiven,
		MinVersion:   tls.VersionTLS12,
		MaxVersion:   o.TLS.MaxVersion,
		// Kong 3.9 is built with OpenSSL 3.2, which has no ML-KEM yet.
		CurvePreferences: []tls.CurveID{tls.X25519, tls.CurveP256, tls.CurveP384},
	}
	if o.RequireClientCertificate {
		config.ClientAuth = tls.RequireAndVerifyClientCert
	}
	if o.TLS.MinVersion != 0 {
		config.MinVersion = o.TLS.MinVersion
	} else if o.TLS.MaxVersion != 0 {
		config.MinVersion = min(config.MinVersion, o.TLS.MaxVersion)
	}
	return config
}
