package seguratest_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"segura-enable/simulated/seguratest"
)

// caller is a plain HTTP client of the simulated Segura.
type caller struct {
	*http.Client
	t      *testing.T
	segura *seguratest.Server
	token  string // empty: none is sent
}

type answer struct {
	*http.Response
	body string
}

func (a answer) String() string { return a.Status + " " + a.body }

// start starts a server and a caller that has got a token.
func start(t *testing.T, o seguratest.Options) (*seguratest.Server, *caller) {
	t.Helper()
	segura := seguratest.Start(t, o)
	c := newCaller(t, segura, new(http.Protocols))
	c.Transport.(*http.Transport).Protocols.SetHTTP1(true)
	c.renewsToken()
	return segura, c
}

func newCaller(t *testing.T, segura *seguratest.Server, protocols *http.Protocols) *caller {
	t.Helper()
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(segura.CACertificate())) {
		t.Fatal("the CA certificate is no PEM")
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, Protocols: protocols}
	t.Cleanup(transport.CloseIdleConnections)
	return &caller{Client: &http.Client{Transport: transport, Timeout: time.Minute}, t: t, segura: segura}
}

// tries sends a request to a path under the base address and reads the whole answer.
func (c *caller) tries(method, path, body string, header ...string) (answer, error) {
	c.t.Helper()
	r, err := http.NewRequestWithContext(c.t.Context(), method, c.segura.URL()+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	response, err := c.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 8<<20))
	return answer{response, string(text)}, err
}

func (c *caller) calls(method, path, body string, header ...string) answer {
	c.t.Helper()
	a, err := c.tries(method, path, body, header...)
	if err != nil {
		c.t.Fatalf("%s %s: %v", method, path, err)
	}
	return a
}

func (c *caller) enables(identifier int64) answer {
	c.t.Helper()
	return c.calls("POST", enablePath(identifier), "")
}

func enablePath(identifier int64) string {
	return fmt.Sprintf("/api/mysafe/secretapi/active/%d", identifier)
}

// asksToken sends the form with the credentials of now, changed by pairs of a field
// and its value; an empty one removes the field.
func (c *caller) asksToken(changes ...string) answer {
	c.t.Helper()
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {c.segura.ClientID()}, "client_secret": {c.segura.ClientSecret()}}
	for i := 0; i < len(changes); i += 2 {
		if form.Set(changes[i], changes[i+1]); changes[i+1] == "" {
			form.Del(changes[i])
		}
	}
	return c.calls("POST", "/api/oauth2/token", form.Encode(), "Content-Type", "application/x-www-form-urlencoded")
}

// renewsToken takes the token that is issued for the credentials of now.
func (c *caller) renewsToken() {
	c.t.Helper()
	a := c.asksToken("tenant", "acme")
	_, after, _ := strings.Cut(a.body, `"access_token":"`)
	if c.token, _, _ = strings.Cut(after, `"`); c.token == "" || a.StatusCode != 200 {
		c.t.Fatalf("token reply: got %v", a)
	}
}

func wantAnswer(t *testing.T, what string, a answer, status int, fragment string) {
	t.Helper()
	if a.StatusCode != status || !strings.Contains(a.body, fragment) {
		t.Errorf("%s: got %v, want %d with %s", what, a, status, fragment)
	}
}
