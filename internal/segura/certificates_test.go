package segura_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	"segura-enable/internal/segura"
	"segura-enable/simulated/seguratest"
)

// certificate is one with the serial 0x7A7B7C, in DER.
func certificate(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(0x7A7B7C), Subject: pkix.Name{CommonName: "an authority"}, NotAfter: time.Now().Add(time.Hour), IsCA: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func inPEM(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func TestReadCertificates_leavesOutWhatGoDoesNotSupportAndSaysSo(t *testing.T) {
	whole := certificate(t)
	good := inPEM("CERTIFICATE", whole)
	negative := inPEM("CERTIFICATE", bytes.Replace(whole, []byte{2, 3, 0x7A, 0x7B, 0x7C}, []byte{2, 3, 0xFA, 0x7B, 0x7C}, 1))
	for name, row := range map[string]struct {
		bundle  string
		leftOut string // joined by |
	}{
		"one":                       {good, ""},
		"text around":               {"Subject: x\n" + good + "\nbetween\n" + good + "end", ""},
		"CRLF":                      {strings.ReplaceAll(good, "\n", "\r\n"), ""},
		"a negative serial":         {good + negative, "block 2, a certificate that Go does not support"},
		"a negative serial first":   {negative + good, "block 1, a certificate that Go does not support"},
		"another kind":              {good + inPEM("X509 CRL", []byte("list")) + good, "block 2, which is no certificate"},
		"another kind that is cut":  {good + "-----BEGIN PUBLIC KEY-----\nAAAA\n", "block 2, which is no certificate"},
		"two of them":               {inPEM("A", nil) + good + negative, "block 1, which is no certificate|block 3, a certificate that Go does not support"},
		"a kind with a digit in it": {inPEM("PKCS7", []byte("x")) + good, "block 1, which is no certificate"},
	} {
		pool, leftOut, err := segura.ReadCertificates(row.bundle)

		if err != nil || pool == nil || strings.Join(leftOut, "|") != row.leftOut {
			t.Errorf("%s: got %q left out, %v; want %q", name, leftOut, err, row.leftOut)
		}
	}
	for name, bundle := range map[string]string{
		"nothing": "", "text": "no certificate", "another kind alone": inPEM("X509 CRL", []byte("x")), "a negative serial alone": negative,
	} {
		if _, _, err := segura.ReadCertificates(bundle); err == nil || !strings.Contains(err.Error(), "no certificate in PEM that can be used") {
			t.Errorf("%s: got %v, want an error", name, err)
		}
	}
}

func TestReadCertificates_saysWhichBlockIsDamaged(t *testing.T) {
	whole := certificate(t)
	good := inPEM("CERTIFICATE", whole)
	lines := strings.SplitAfter(good, "\n")
	for name, damaged := range map[string]string{
		"cut behind":           strings.Join(lines[:3], ""),
		"cut within":           strings.Join(append(lines[:2:2], lines[4:]...), ""),
		"no end":               strings.Join(lines[:len(lines)-2], ""),
		"another end":          strings.Replace(good, "END CERTIFICATE", "END X509 CRL", 1),
		"characters of no use": strings.Replace(good, lines[2][:4], "????", 1),
		"bytes missing":        inPEM("CERTIFICATE", whole[:len(whole)-10]),
		"bytes too many":       inPEM("CERTIFICATE", append(bytes.Clone(whole), 0)),
		"nothing in it":        inPEM("CERTIFICATE", nil),
	} {
		for bundle, block := range map[string]string{damaged: "block 1 ", good + damaged: "block 2 ", good + damaged + "\n" + good: "block 2 "} {
			_, _, err := segura.ReadCertificates(bundle)

			if err == nil || !strings.HasPrefix(err.Error(), block) {
				t.Errorf("%s: got %v, want an error about %s", name, err, block)
			}
		}
	}
}

func TestNew_saysWhatIsWrongWithAClientCertificate(t *testing.T) {
	server := seguratest.Start(t, seguratest.Options{})
	cert, key := server.ClientCertificate()
	encrypted := "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"
	older := strings.Replace(key, "\n", "\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n", 1)
	for name, row := range map[string]struct{ certificate, key, want string }{
		"no key":             {cert, "", "client_key is missing"},
		"no certificate":     {"", key, "client_certificate is missing"},
		"swapped":            {key, cert, "swapped"},
		"two keys":           {key, key, "swapped"},
		"two certificates":   {cert, cert, "swapped"},
		"an encrypted key":   {cert, encrypted, "client_key is encrypted"},
		"an older one":       {cert, older, "client_key is encrypted"},
		"no PEM":             {"x", "y", "not a pair in PEM"},
		"a key that is none": {cert, "y", "not a pair in PEM"},
	} {
		_, err := segura.New(at(func(c *segura.Credentials) { c.ClientCertificate, c.ClientKey = row.certificate, segura.Hide(row.key) }), options())

		if err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: got %v, want %q in it", name, err, row.want)
		}
	}
	if client, err := segura.New(at(func(c *segura.Credentials) { c.ClientCertificate, c.ClientKey = cert+key, segura.Hide(key+cert) }), options()); err != nil {
		t.Errorf("both in each: got %v, %v", client, err)
	}
}
