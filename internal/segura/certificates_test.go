package segura

import (
	"bytes"
	"encoding/pem"
	"strings"
	"testing"
)

func inPEM(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// negative returns a certificate of sign's with a negative serial, which Go does not support.
func negative(der []byte) []byte {
	return bytes.Replace(der, []byte{2, 3, 0x7A, 0x7B, 0x7C}, []byte{2, 3, 0xFA, 0x7B, 0x7C}, 1)
}

func TestReadCertificates_leavesOutWhatGoDoesNotSupportAndSaysSo(t *testing.T) {
	whole := sign(t, authority("an authority"), nil, nil).der
	good, negative := inPEM("CERTIFICATE", whole), inPEM("CERTIFICATE", negative(whole))
	const unsupported, none = ", a certificate that Go does not support", ", which is no certificate"
	for name, row := range map[string]struct {
		bundle  string
		leftOut string // joined by |
	}{
		"text around":              {"Subject: x\n" + good + "\nbetween\n" + good + "end", ""},
		"CRLF":                     {strings.ReplaceAll(good, "\n", "\r\n"), ""},
		"a negative serial":        {good + negative, "block 2" + unsupported},
		"a negative serial first":  {negative + good, "block 1" + unsupported},
		"another kind":             {good + inPEM("X509 CRL", []byte("list")) + good, "block 2" + none},
		"another kind that is cut": {good + "-----BEGIN PUBLIC KEY-----\nAAAA\n", "block 2" + none},
	} {
		pool, leftOut, err := ReadCertificates(row.bundle)

		if err != nil || pool == nil || strings.Join(leftOut, "|") != row.leftOut {
			t.Errorf("%s: got %q left out, %v; want %q", name, leftOut, err, row.leftOut)
		}
	}
	for _, bundle := range []string{"", "no certificate", inPEM("X509 CRL", []byte("x")), negative} {
		if _, _, err := ReadCertificates(bundle); err == nil || !strings.Contains(err.Error(), "no certificate in PEM that can be used") {
			t.Errorf("%q: got %v, want an error", bundle, err)
		}
	}
}

func TestReadCertificates_saysWhichBlockIsDamaged(t *testing.T) {
	whole := sign(t, authority("an authority"), nil, nil).der
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
			_, _, err := ReadCertificates(bundle)

			if err == nil || !strings.HasPrefix(err.Error(), block) {
				t.Errorf("%s: got %v, want an error about %s", name, err, block)
			}
		}
	}
}
