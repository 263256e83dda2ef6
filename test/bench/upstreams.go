package bench

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"segura-enable/simulated/seguratest"
	"segura-enable/simulated/stage"
)

// latencies are how long the upstreams take to answer, besides what they do.
type latencies struct{ secret, token, call time.Duration }

// upstreams are what the functions call: a Secrets Manager and a Segura behind TLS,
// whose certificate the system's list of authorities vouches for, as in AWS. Its
// key is one of P-256, because the upstreams share the machine with what is measured:
// to sign for RSA, as AWS does elsewhere, takes 1.5 ms of it.
type upstreams struct {
	*stage.Stack
	bundle string // path of the list of authorities
}

func (b *bench) startUpstreams(ctx context.Context, l latencies) (*upstreams, error) {
	stack, err := stage.Start(ctx, stage.Options{Functions: []string{}, SecretsTLS: true, Segura: seguratest.Options{
		AnyIdentifier: true, APISecrets: map[int64]seguratest.APISecret{}, Latency: seguratest.Latency{Token: l.token, Call: l.call},
	}})
	if err != nil {
		return nil, err
	}
	s := &upstreams{stack, filepath.Join(b.dir, rand.Text()+".pem")}
	s.Secrets.Delay(l.secret, 0)
	s.PutSecret(map[string]any{"ca_certificate": nil})
	if err = s.writeBundle(); err == nil && l.call > 0 {
		err = s.settle(ctx, l)
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// settle takes off Segura's latencies what this machine adds to them: timers that
// are late, threads that have to be woken. To a client alone, they are then what
// was asked for, from a request's last byte to its reply's first one.
func (s *upstreams) settle(ctx context.Context, l latencies) error {
	defer s.Segura.Reset() // forget the records
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM([]byte(s.Segura.CACertificate()))
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trusted, MinVersion: tls.VersionTLS12}}
	defer transport.CloseIdleConnections()
	var wrote, first time.Time
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		WroteRequest:         func(httptrace.WroteRequestInfo) { wrote = time.Now() },
		GotFirstResponseByte: func() { first = time.Now() },
	})
	request, err := http.NewRequestWithContext(traced, http.MethodHead, s.Segura.URL(), http.NoBody)
	if err != nil {
		return err
	}
	var surplus []time.Duration
	for range 41 {
		reply, err := transport.RoundTrip(request)
		if err != nil {
			return fmt.Errorf("measure the upstreams' latency: %w", err)
		}
		_ = reply.Body.Close()
		surplus = append(surplus, first.Sub(wrote)-l.call)
	}
	extra := median(surplus)
	s.Segura.SetLatency(seguratest.Latency{Token: max(0, l.token-extra), Call: max(0, l.call-extra)})
	return nil
}

func (s *upstreams) close() { _ = s.Close() }

// systemBundles are where Go looks for the list of authorities on Linux.
var systemBundles = []string{
	"/etc/ssl/certs/ca-certificates.crt", // Debian
	"/etc/pki/tls/certs/ca-bundle.crt",   // Amazon Linux
	"/etc/ssl/cert.pem",                  // Alpine
}

// writeBundle writes the system's list of authorities, and the upstreams' own.
func (s *upstreams) writeBundle() error {
	for _, path := range systemBundles {
		if bundle, err := os.ReadFile(path); err == nil {
			return os.WriteFile(s.bundle, append(bundle, s.Segura.CACertificate()...), 0o600)
		}
	}
	return errors.New("no list of trusted authorities found; install ca-certificates")
}

// env is the environment of a contender: what template.yaml sets,
// for all of them, and whom to trust.
func (s *upstreams) env(c contender) map[string]string {
	env := map[string]string{
		"AWS_LAMBDA_LOG_LEVEL":            "INFO",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": strconv.Itoa(2 * wholeCPU),
		"SSL_CERT_FILE":                   s.bundle,
		"SSL_CERT_DIR":                    "/nonexistent",
	}
	if c.name == python {
		env["AWS_CA_BUNDLE"] = s.bundle // boto3 brings a list of its own
	}
	return env
}
