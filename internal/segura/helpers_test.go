package segura

import (
	"context"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"segura-enable/internal/apisecret"
	"segura-enable/simulated/seguratest"
)

// userAgent is what the client calls itself in these tests.
const userAgent = "segura-enable/9.9.9 (test)"

func options() Options {
	return Options{UserAgent: userAgent, AttemptTimeout: 5 * time.Second, Retry: Retry{MaxAttempts: 1}, Connections: 4}
}

// good are credentials that can be used, though nobody is there.
func good() Credentials {
	return Credentials{BaseURL: "https://segura.example.com/pam", ClientID: "id", ClientSecret: Hide("secret")}
}

// credentialsOf are the credentials in the server's AWS secret.
func credentialsOf(t *testing.T, server *seguratest.Server) Credentials {
	t.Helper()
	f := map[string]string{}
	if err := json.Unmarshal([]byte(server.SecretJSON(nil)), &f); err != nil {
		t.Fatal(err)
	}
	return Credentials{
		BaseURL: f["base_url"], TokenURL: f["token_url"], ClientID: f["client_id"], ClientSecret: Hide(f["client_secret"]), Tenant: f["tenant"],
		CACertificate: f["ca_certificate"], ClientCertificate: f["client_certificate"], ClientKey: Hide(f["client_key"]),
		Referer: f["referer"], EnablePath: f["enable_path"], DisablePath: f["disable_path"],
	}
}

// credentialsAt are credentials for a test server of net/http's.
func credentialsAt(server *httptest.Server) Credentials {
	c := good()
	c.BaseURL, c.CACertificate = server.URL, inPEM("CERTIFICATE", server.Certificate().Raw)
	return c
}

// newClient returns a client of the credentials with the usual options.
func newClient(t *testing.T, c Credentials, change ...func(*Options)) *Client {
	t.Helper()
	o := options()
	for _, f := range change {
		f(&o)
	}
	client, err := New(c, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// start returns a running server and a client of it.
func start(t *testing.T, o seguratest.Options, change ...func(*Options)) (*seguratest.Server, *Client) {
	t.Helper()
	server := seguratest.Start(t, o)
	return server, newClient(t, credentialsOf(t, server), change...)
}

func mustToken(t *testing.T, c *Client) *Token {
	t.Helper()
	token, fault := c.Token(t.Context(), nil)
	if fault != nil {
		t.Fatalf("token: %v", fault)
	}
	return token
}

// session is a client of a running server, with a token.
type session struct {
	*seguratest.Server
	client *Client
	token  *Token
}

func begin(t *testing.T, o seguratest.Options, change ...func(*Options)) session {
	t.Helper()
	server, client := start(t, o, change...)
	return session{server, client, mustToken(t, client)}
}

// do makes a call for the API secret 5.
func (s session) do(ctx context.Context, action apisecret.Action) (Answer, *apisecret.Error) {
	return s.client.Do(ctx, action, 5, s.token)
}

// hears makes a call that enables, and that is answered with the fault.
func (s session) hears(t *testing.T, fault seguratest.Fault) (Answer, *apisecret.Error) {
	t.Helper()
	s.ClearFaults()
	s.Fail(enableCalls, fault, 1)
	return s.do(t.Context(), apisecret.Enable)
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
	cause      apisecret.Cause
}

func succeeded(outcome apisecret.Outcome) verdict { return verdict{outcome: outcome, httpStatus: 200} }

func permanent(code apisecret.Code, seguraCode, status int) verdict {
	return verdict{outcome: apisecret.Failed, code: code, seguraCode: seguraCode, httpStatus: status}
}

func transient(code apisecret.Code, status int) verdict {
	return verdict{outcome: apisecret.Failed, code: code, retryable: true, httpStatus: status}
}

func unexpected(status int) verdict { return permanent(apisecret.UnexpectedResponse, 0, status) }

func denied(status int) verdict { return permanent(apisecret.AccessDenied, 0, status) }

func (v verdict) because(cause apisecret.Cause) verdict { v.cause = cause; return v }

// verdictOf is the verdict of a call's two results.
func verdictOf(answer Answer, fault *apisecret.Error) verdict {
	if fault == nil {
		return verdict{outcome: answer.Outcome, httpStatus: answer.HTTPStatus}
	}
	return verdict{apisecret.Failed, fault.Code, fault.Retryable, fault.SeguraCode, fault.HTTPStatus, fault.Cause}
}

// tokenVerdict is the verdict of a token request's two results.
func tokenVerdict(t *Token, fault *apisecret.Error) verdict {
	if t != nil && fault == nil {
		return aToken
	}
	return verdictOf(Answer{}, fault)
}

// aToken is the verdict of a token request that succeeded.
var aToken = verdict{outcome: "token"}

// quietServer is a server of net/http's that logs nothing, not yet started.
func quietServer(t *testing.T, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	t.Cleanup(server.Close)
	return server
}
