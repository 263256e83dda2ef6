package acceptance

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"segura-enable/simulated/seguratest"
)

func TestTLS_below12IsNeverSpoken(t *testing.T) {
	t.Parallel()
	for version, want := range map[uint16]string{
		0x0301: "upstream_unreachable, attempts 0", 0x0302: "upstream_unreachable, attempts 0", 0x0303: "enabled, attempts 1", 0x0304: "enabled, attempts 1",
	} {
		t.Run(fmt.Sprintf("%#x", version), func(t *testing.T) {
			t.Parallel()
			w := start(t, setup{
				segura: seguratest.Options{RequireClientCertificate: true, TLS: seguratest.TLSOptions{MinVersion: version, MaxVersion: version}},
				env:    map[string]string{"GODEBUG": "tls10server=1,tlsmaxrsasize=8192"},
			})
			w.enables("TLS", 5, want)
			for _, r := range w.segura.Requests() {
				if r.TLS.Version != version || r.TLS.ClientCertificate != "segura-enable" {
					t.Errorf("got TLS %#x with the client certificate %q", r.TLS.Version, r.TLS.ClientCertificate)
				}
			}
		})
	}
}

func TestCertificate_ofSeguraIsAlwaysVerified(t *testing.T) {
	t.Parallel()
	for _, quality := range []seguratest.Certificate{
		seguratest.CertificateWrongHost, seguratest.CertificateExpired, seguratest.CertificateNotYetValid, seguratest.CertificateSelfSigned, seguratest.CertificateUnknownAuthority,
	} {
		w := start(t, setup{segura: seguratest.Options{TLS: seguratest.TLSOptions{Certificate: quality}}})
		w.enables(fmt.Sprint(quality), 5, "upstream_unreachable, attempts 0")
		if n := w.segura.Count(""); n != 0 {
			t.Errorf("%v: got %d requests, want none", quality, n)
		}
	}
}

func TestCACertificate_isTrustedInsteadOfTheSystemsRoots(t *testing.T) {
	t.Parallel()
	other := seguratest.Start(t, seguratest.Options{}).CACertificate()
	for about, row := range map[string]struct {
		system bool // whether Segura's authority is among the system's roots
		field  func(own string) any
		want   string
	}{
		"without one the system's roots count":        {true, func(string) any { return nil }, "enabled, attempts 1"},
		"with another one they do not":                {true, func(string) any { return other }, "upstream_unreachable, attempts 0"},
		"without one an unknown authority is refused": {false, func(string) any { return nil }, "upstream_unreachable, attempts 0"},
		"it may be a bundle":                          {false, func(own string) any { return "# one\n" + other + "\n# two\n" + own }, "enabled, attempts 1"},
	} {
		w := start(t, setup{before: func(w *world) {
			own := w.segura.CACertificate()
			w.stack.PutSecret(map[string]any{"ca_certificate": row.field(own)})
			if row.system {
				file := filepath.Join(t.TempDir(), "roots.pem")
				if err := os.WriteFile(file, []byte(own), 0o600); err != nil {
					t.Fatal(err)
				}
				w.setup.env = map[string]string{"SSL_CERT_FILE": file}
			}
		}})
		w.enables(about, 5, row.want)
	}
}

// A client certificate that is missing is told by an alert that a reset may overtake.
func TestClientCertificate_thatIsMissingFailsTheSelfCheck(t *testing.T) {
	t.Parallel()
	w := start(t, setup{
		segura: seguratest.Options{RequireClientCertificate: true},
		secret: map[string]any{"client_certificate": nil, "client_key": nil},
	})
	for range 5 {
		a := w.invoke(`{"check":true}`)
		if a.SelfCheck == nil || len(a.SelfCheck.Steps) != 3 || a.Answer.ErrorType != "Segura.CheckFailed" {
			t.Fatalf("got %s %s", a.Answer.ErrorType, a.Text)
		}
		if step := a.SelfCheck.Steps[1]; step.Error == nil || step.Error.Code != "upstream_unreachable" || step.Error.Retryable {
			t.Errorf("got the step %+v (%+v), want upstream_unreachable for good", step, step.Error)
		}
	}
}
