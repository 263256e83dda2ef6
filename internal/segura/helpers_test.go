package segura_test

import (
	"encoding/json"
	"testing"
	"time"

	"segura-enable/internal/apisecret"
	"segura-enable/internal/segura"
	"segura-enable/simulated/seguratest"
)

// userAgent is what the client calls itself in these tests.
const userAgent = "segura-enable/9.9.9 (test)"

func options() segura.Options {
	return segura.Options{UserAgent: userAgent, AttemptTimeout: 5 * time.Second, Retry: segura.Retry{MaxAttempts: 1}, Connections: 4}
}

// credentialsOf are the credentials in the server's AWS secret.
func credentialsOf(t *testing.T, server *seguratest.Server) segura.Credentials {
	t.Helper()
	var fields map[string]string
	if err := json.Unmarshal([]byte(server.SecretJSON(nil)), &fields); err != nil {
		t.Fatal(err)
	}
	return segura.Credentials{
		BaseURL:           fields["base_url"],
		TokenURL:          fields["token_url"],
		ClientID:          fields["client_id"],
		ClientSecret:      segura.Hide(fields["client_secret"]),
		Tenant:            fields["tenant"],
		CACertificate:     fields["ca_certificate"],
		ClientCertificate: fields["client_certificate"],
		ClientKey:         segura.Hide(fields["client_key"]),
		Referer:           fields["referer"],
		EnablePath:        fields["enable_path"],
		DisablePath:       fields["disable_path"],
	}
}

// newClient returns a client of the credentials with the usual options.
func newClient(t *testing.T, c segura.Credentials, change ...func(*segura.Options)) *segura.Client {
	t.Helper()
	o := options()
	for _, f := range change {
		f(&o)
	}
	client, err := segura.New(c, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// start returns a running server and a client of it.
func start(t *testing.T, o seguratest.Options, change ...func(*segura.Options)) (*seguratest.Server, *segura.Client) {
	t.Helper()
	server := seguratest.Start(t, o)
	return server, newClient(t, credentialsOf(t, server), change...)
}

func patience(d time.Duration) func(*segura.Options) {
	return func(o *segura.Options) { o.AttemptTimeout = d }
}

func attempts(n int) func(*segura.Options) {
	return func(o *segura.Options) { o.Retry.MaxAttempts = n }
}

func mustToken(t *testing.T, c *segura.Client) *segura.Token {
	t.Helper()
	token, fault := c.Token(t.Context(), nil)
	if fault != nil {
		t.Fatalf("token: %v", fault)
	}
	return token
}

var (
	enableCalls = seguratest.Match{Kind: seguratest.KindEnable}
	tokenCalls  = seguratest.Match{Kind: seguratest.KindToken}
)

// verdict is what callers learn of a reply.
type verdict struct {
	outcome    apisecret.Outcome
	code       apisecret.Code // empty unless the outcome is failed
	retryable  bool
	seguraCode int
	httpStatus int
}

func succeeded(outcome apisecret.Outcome) verdict { return verdict{outcome: outcome, httpStatus: 200} }

// verdictOf is the verdict of a call's two results.
func verdictOf(answer segura.Answer, fault *apisecret.Error) verdict {
	if fault == nil {
		return verdict{outcome: answer.Outcome, httpStatus: answer.HTTPStatus}
	}
	return verdict{apisecret.Failed, fault.Code, fault.Retryable, fault.SeguraCode, fault.HTTPStatus}
}
