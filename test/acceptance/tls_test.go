package acceptance

import (
	"os"
	"path/filepath"
	"testing"

	"segura-enable/simulated/seguratest"
)

func TestClientCertificate_isPresentedWhereItIsConfigured(t *testing.T) {
	t.Parallel()
	for _, version := range []uint16{0x0303, 0x0304} {
		w := start(t, setup{segura: seguratest.Options{
			RequireClientCertificate: true,
			TLS:                      seguratest.TLSOptions{MinVersion: version, MaxVersion: version},
		}})
		is(t, w.one(5), "a client certificate", "enabled", "", false, 1)
		for _, r := range w.segura.Requests() {
			if r.TLS.ClientCertificate != "segura-enable" {
				t.Errorf("TLS %#x: got the certificate %q", version, r.TLS.ClientCertificate)
			}
		}
	}
}

func TestCACertificate_isTrustedInsteadOfTheSystemsRoots(t *testing.T) {
	t.Parallel()
	other := seguratest.Start(t, seguratest.Options{}).CACertificate()
	roots := func(t *testing.T, w *world) map[string]string {
		file := filepath.Join(t.TempDir(), "roots.pem")
		if err := os.WriteFile(file, []byte(w.segura.CACertificate()), 0o600); err != nil {
			t.Fatal(err)
		}
		return map[string]string{"SSL_CERT_FILE": file}
	}
	t.Run("without one the system's roots count", func(t *testing.T) {
		t.Parallel()
		w := start(t, setup{secret: map[string]any{"ca_certificate": nil}, before: func(w *world) { w.setup.env = roots(t, w) }})
		is(t, w.one(5), "system root", "enabled", "", false, 1)
	})
	t.Run("with another one they do not", func(t *testing.T) {
		t.Parallel()
		w := start(t, setup{secret: map[string]any{"ca_certificate": other}, before: func(w *world) { w.setup.env = roots(t, w) }})
		is(t, w.one(5), "another authority", "failed", "upstream_unreachable", false, 0)
	})
	t.Run("without one an unknown authority is rejected", func(t *testing.T) {
		t.Parallel()
		w := start(t, setup{secret: map[string]any{"ca_certificate": nil}})
		is(t, w.one(5), "unknown authority", "failed", "upstream_unreachable", false, 0)
	})
	t.Run("it may be a bundle", func(t *testing.T) {
		t.Parallel()
		w := start(t, setup{before: func(w *world) {
			w.putSecret(map[string]any{"ca_certificate": "# one\n" + other + "\n# two\n" + w.segura.CACertificate()})
		}})
		is(t, w.one(5), "a bundle", "enabled", "", false, 1)
	})
}

func TestCertificate_ofSeguraIsAlwaysVerified(t *testing.T) {
	t.Parallel()
	for name, quality := range map[string]seguratest.Certificate{
		"wrong host": seguratest.CertificateWrongHost, "expired": seguratest.CertificateExpired, "not yet valid": seguratest.CertificateNotYetValid,
		"self-signed": seguratest.CertificateSelfSigned, "unknown authority": seguratest.CertificateUnknownAuthority,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := start(t, setup{segura: seguratest.Options{TLS: seguratest.TLSOptions{Certificate: quality}}})
			is(t, w.one(5), name, "failed", "upstream_unreachable", false, 0)
			if n := w.segura.Count(""); n != 0 {
				t.Errorf("got %d requests, want none", n)
			}
		})
	}
}

func TestTLS_below12IsNeverSpoken(t *testing.T) {
	t.Parallel()
	for name, version := range map[string]uint16{"1.0": 0x0301, "1.1": 0x0302} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := start(t, setup{
				segura: seguratest.Options{TLS: seguratest.TLSOptions{MinVersion: version, MaxVersion: version}},
				env:    map[string]string{"GODEBUG": "tls10server=1,tlsmaxrsasize=8192"},
			})
			is(t, w.one(5), "TLS "+name, "failed", "upstream_unreachable", false, 0)
		})
	}
	for name, version := range map[string]uint16{"1.2": 0x0303, "1.3": 0x0304} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := start(t, setup{segura: seguratest.Options{TLS: seguratest.TLSOptions{MinVersion: version, MaxVersion: version}}})
			is(t, w.one(5), "TLS "+name, "enabled", "", false, 1)
			for _, r := range w.segura.Requests() {
				if r.TLS.Version != version {
					t.Errorf("got TLS %#x, want %#x", r.TLS.Version, version)
				}
			}
		})
	}
}
