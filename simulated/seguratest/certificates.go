package seguratest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
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

// pair is a certificate with its key.
type pair struct {
	certPEM, keyPEM string
	tls             tls.Certificate
}

type certificates struct{ ca, server, client, stranger pair }

func newCertificates(o Options) (c *certificates, err error) {
	c = &certificates{}
	if c.ca, err = issue(template("Segura private CA", x509.KeyUsageCertSign), nil); err != nil {
		return nil, err
	}
	other, err := issue(template("Another CA", x509.KeyUsageCertSign), nil)
	if err != nil {
		return nil, err
	}
	if c.server, err = issueServer(o, &c.ca, &other); err != nil {
		return nil, err
	}
	if c.client, err = issue(template("segura-enable", x509.KeyUsageDigitalSignature, x509.ExtKeyUsageClientAuth), &c.ca); err != nil {
		return nil, err
	}
	c.stranger, err = issue(template("stranger", x509.KeyUsageDigitalSignature, x509.ExtKeyUsageClientAuth), &other)
	return c, err
}

func issueServer(o Options, ca, other *pair) (pair, error) {
	t := template("Segura", x509.KeyUsageDigitalSignature, x509.ExtKeyUsageServerAuth)
	host, _, _ := net.SplitHostPort(o.Address)
	for _, name := range append([]string{"localhost", "127.0.0.1", "::1", host}, o.TLS.Hosts...) {
		if ip := net.ParseIP(name); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else if name != "" {
			t.DNSNames = append(t.DNSNames, name)
		}
	}
	issuer := ca
	switch o.TLS.Certificate {
	case CertificateWrongHost:
		t.DNSNames, t.IPAddresses = []string{"segura.example.com"}, nil
	case CertificateExpired:
		t.NotAfter = time.Now().Add(-time.Hour)
	case CertificateNotYetValid:
		t.NotBefore = time.Now().AddDate(0, 1, 0)
	case CertificateSelfSigned:
		issuer = nil
	case CertificateUnknownAuthority:
		issuer = other
	case CertificateValid:
	}
	return issue(t, issuer)
}

func template(name string, usage x509.KeyUsage, extended ...x509.ExtKeyUsage) *x509.Certificate {
	return &x509.Certificate{
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             time.Now().Add(-24 * time.Hour),
		NotAfter:              time.Now().AddDate(1, 0, 0),
		IsCA:                  usage == x509.KeyUsageCertSign,
		BasicConstraintsValid: true,
		KeyUsage:              usage,
		ExtKeyUsage:           extended,
	}
}

// issue makes a key and has its certificate signed by the issuer, or by itself
// where that is nil.
func issue(t *x509.Certificate, issuer *pair) (p pair, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return pair{}, err
	}
	if issuer == nil {
		issuer = &pair{tls: tls.Certificate{Leaf: t, PrivateKey: key}}
	}
	der, err := x509.CreateCertificate(rand.Reader, t, issuer.tls.Leaf, &key.PublicKey, issuer.tls.PrivateKey)
	if err != nil {
		return pair{}, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return pair{}, err
	}
	p.certPEM = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	p.keyPEM = string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))
	p.tls, err = tls.X509KeyPair([]byte(p.certPEM), []byte(p.keyPEM))
	return p, err
}

func (c *certificates) serverConfig(o Options) *tls.Config {
	config := &tls.Config{
		Certificates: []tls.Certificate{c.server.tls},
		ClientCAs:    x509.NewCertPool(),
		ClientAuth:   tls.VerifyClientCertIfGiven,
		MinVersion:   o.TLS.MinVersion,
		MaxVersion:   o.TLS.MaxVersion,
		// Kong 3.9 is built with OpenSSL 3.2, which has no ML-KEM yet.
		CurvePreferences: []tls.CurveID{tls.X25519, tls.CurveP256, tls.CurveP384},
	}
	config.ClientCAs.AddCert(c.ca.tls.Leaf)
	if o.RequireClientCertificate {
		config.ClientAuth = tls.RequireAndVerifyClientCert
	}
	if config.MinVersion == 0 && o.TLS.MaxVersion != 0 {
		config.MinVersion = min(tls.VersionTLS12, o.TLS.MaxVersion)
	}
	return config
}
