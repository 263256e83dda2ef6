package segura

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

// ReadCertificates returns the certificates of a bundle in PEM, and what it left out:
// blocks of other kinds, and certificates that are whole but that Go does not
// support. Text between blocks is ignored. x509.CertPool.AppendCertsFromPEM would
// skip a damaged block without a word; here it is an error that says which one.
func ReadCertificates(bundle string) (pool *x509.CertPool, leftOut []string, _ error) {
	pool = x509.NewCertPool()
	usable := 0
	for n := 1; ; n++ {
		at := strings.Index(bundle, beginLabel)
		if at < 0 {
			break
		}
		bundle = bundle[at:]
		block, rest := firstBlock(bundle)
		switch {
		case block == nil && strings.HasPrefix(bundle, beginLabel+"CERTIFICATE-----"):
			return nil, nil, fmt.Errorf("block %d is cut, or its base64 is damaged; copy it again", n)
		case block == nil || block.Type != "CERTIFICATE":
			leftOut = append(leftOut, fmt.Sprintf("block %d, which is no certificate", n))
		default:
			certificate, err := x509.ParseCertificate(block.Bytes)
			if err != nil && !isWholeCertificate(block.Bytes) {
				return nil, nil, fmt.Errorf("block %d is cut, or its base64 is damaged; copy it again", n)
			}
			if err != nil {
				leftOut = append(leftOut, fmt.Sprintf("block %d, a certificate that Go does not support", n))
				break
			}
			pool.AddCert(certificate)
			usable++
		}
		bundle = rest
	}
	if usable == 0 {
		return nil, nil, errors.New("holds no certificate in PEM that can be used")
	}
	return pool, leftOut, nil
}

const beginLabel = "-----BEGIN "

// firstBlock decodes the block at the front of the text; nil if it is damaged. The
// rest begins behind it, or behind its label.
func firstBlock(text string) (block *pem.Block, rest string) {
	behind := text[len(beginLabel):]
	block, undecoded := pem.Decode([]byte(text))
	consumed := len(text) - len(undecoded)
	if next := strings.Index(behind, beginLabel); block == nil || next >= 0 && consumed > len(beginLabel)+next {
		return nil, behind // none, or pem.Decode went on to a later one
	}
	return block, text[consumed:]
}

// isWholeCertificate reports whether the bytes have the outer form of a certificate,
// with nothing missing.
func isWholeCertificate(der []byte) bool {
	var outer struct {
		ToBeSigned asn1.RawValue
		Algorithm  pkix.AlgorithmIdentifier
		Signature  asn1.BitString
	}
	rest, err := asn1.Unmarshal(der, &outer)
	return err == nil && len(rest) == 0
}

// readPair returns the client certificate with its key; without either, an empty one,
// which is not presented. Errors name the field at fault.
func readPair(certificate, key string) (tls.Certificate, error) {
	const beginCertificate, privateKey = beginLabel + "CERTIFICATE-----", "PRIVATE KEY-----"
	switch {
	case certificate == "" && key == "":
		return tls.Certificate{}, nil
	case certificate == "":
		return tls.Certificate{}, errors.New("client_certificate is missing beside client_key")
	case key == "":
		return tls.Certificate{}, errors.New("client_key is missing beside client_certificate")
	case !strings.Contains(certificate, beginCertificate) && strings.Contains(certificate, privateKey):
		return tls.Certificate{}, errors.New("client_certificate holds a private key; client_key and client_certificate may be swapped")
	case !strings.Contains(key, privateKey) && strings.Contains(key, beginCertificate):
		return tls.Certificate{}, errors.New("client_key holds a certificate; client_certificate and client_key may be swapped")
	case strings.Contains(key, "ENCRYPTED"):
		return tls.Certificate{}, errors.New("client_key is encrypted; store it without a passphrase")
	}
	pair, err := tls.X509KeyPair([]byte(certificate), []byte(key))
	if err != nil {
		return tls.Certificate{}, errors.New("client_certificate and client_key are not a pair in PEM")
	}
	return pair, nil
}
