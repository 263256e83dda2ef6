package bench

import (
	"context"
	"encoding/pem"
	"errors"
	"maps"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"time"

	"segura-enable/internal/local/secretsmanager"
	"segura-enable/internal/segura/seguratest"
)

const secretName = "segura/mysafe-access-key"

// latencies are how long the upstreams take to answer, besides what they do.
type latencies struct{ secret, token, call time.Duration }

// stage is what the functions call: a Secrets Manager and a Segura behind TLS,
// whose certificates the system's list of authorities vouches for, as in AWS.
type stage struct {
	segura *seguratest.Server
	vault  *secretsmanager.Server
	front  *httptest.Server // TLS in front of the vault
	bundle string           // path of the list of authorities
}

// newStage starts one, with the system's authorities and its own in the list, or
// only its own.
func (b *bench) newStage(ctx context.Context, l latencies, onlyOwn bool) (*stage, error) {
	s := &stage{}
	var err error
	options := seguratest.Options{AnyIdentifier: true, APISecrets: map[int64]seguratest.APISecret{}, Latency: seguratest.Latency{Token: l.token, Call: l.call}}
	if s.segura, err = seguratest.New(options); err != nil {
		return nil, err
	}
	if s.vault, err = secretsmanager.Start(ctx, secretsmanager.Options{}); err != nil {
		s.segura.Close()
		return nil, err
	}
	if l.secret > 0 {
		s.vault.Delay(l.secret, 0)
	}
	s.vault.Put(secretName, s.segura.SecretJSON(map[string]any{"ca_certificate": nil}))
	address, err := url.Parse(s.vault.URL())
	if err != nil {
		s.close()
		return nil, err
	}
	s.front = httptest.NewTLSServer(httputil.NewSingleHostReverseProxy(address))
	if err := s.writeBundle(b.dir, onlyOwn); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *stage) close() {
	if s.front != nil {
		s.front.Close()
	}
	_ = s.vault.Close()
	s.segura.Close()
}

// systemBundles are where Go looks for the list of authorities on Linux.
var systemBundles = []string{
	"/etc/ssl/certs/ca-certificates.crt", // Debian
	"/etc/pki/tls/certs/ca-bundle.crt",   // Amazon Linux
	"/etc/ssl/cert.pem",                  // Alpine
}

func (s *stage) writeBundle(dir string, onlyOwn bool) error {
	bundle := []byte(s.segura.CACertificate())
	bundle = append(bundle, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.front.Certificate().Raw})...)
	if !onlyOwn {
		system, err := systemBundle()
		if err != nil {
			return err
		}
		bundle = append(system, bundle...)
	}
	file, err := os.CreateTemp(dir, "authorities-*.pem")
	if err != nil {
		return err
	}
	s.bundle = file.Name()
	if _, err := file.Write(bundle); err != nil {
		return err
	}
	return file.Close()
}

func systemBundle() ([]byte, error) {
	for _, path := range systemBundles {
		if bundle, err := os.ReadFile(path); err == nil {
			return bundle, nil
		}
	}
	return nil, errors.New("no list of trusted authorities found; install ca-certificates")
}

// env is the environment of a contender on this stage: what template.yaml sets,
// for all of them, and where to find the upstreams.
func (s *stage) env(c contender, extra map[string]string) map[string]string {
	env := map[string]string{
		"SEGURA_SECRET_ID":                 secretName,
		"AWS_ENDPOINT_URL_SECRETS_MANAGER": s.front.URL,
		"AWS_LAMBDA_LOG_FORMAT":            "JSON",
		"AWS_LAMBDA_LOG_LEVEL":             "INFO",
		"SSL_CERT_FILE":                    s.bundle,
		"SSL_CERT_DIR":                     "/nonexistent",
	}
	if c.name == python {
		env["AWS_CA_BUNDLE"] = s.bundle // boto3 brings a list of its own
	}
	maps.Copy(env, extra)
	return env
}
