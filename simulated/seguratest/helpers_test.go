package seguratest_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
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
	t      *testing.T
	segura *seguratest.Server
	http   *http.Client
	token  string
}

type answer struct {
	status int
	proto  string
	header http.Header
	body   string
}

func newCaller(t *testing.T, s *seguratest.Server, change ...func(*http.Transport)) *caller {
	t.Helper()
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(s.CACertificate())) {
		t.Fatal("the CA certificate is no PEM")
	}
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		Protocols:       &http.Protocols{},
	}
	transport.Protocols.SetHTTP1(true)
	for _, c := range change {
		c(transport)
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &caller{t: t, segura: s, http: &http.Client{
		Transport:     transport,
		Timeout:       time.Minute,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// try sends a request and reads the whole answer.
func (c *caller) try(method, address, body string, header ...string) (answer, error) {
	c.t.Helper()
	var content io.Reader
	if body != "" {
		content = strings.NewReader(body)
	}
	r, err := http.NewRequestWithContext(c.t.Context(), method, address, content)
	if err != nil {
		c.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	response, err := c.http.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 8<<20))
	return answer{response.StatusCode, response.Proto, response.Header, string(text)}, err
}

func (c *caller) do(method, address, body string, header ...string) answer {
	c.t.Helper()
	a, err := c.try(method, address, body, header...)
	if err != nil {
		c.t.Fatalf("%s %s: %v", method, address, err)
	}
	return a
}

// asksToken posts the form to the token endpoint.
func (c *caller) asksToken(form url.Values, header ...string) answer {
	c.t.Helper()
	return c.do("POST", c.segura.URL()+"/api/oauth2/token", form.Encode(),
		append([]string{"Content-Type", "application/x-www-form-urlencoded", "Accept", "application/json"}, header...)...)
}

func (c *caller) goodForm() url.Values {
	return url.Values{
		"grant_type":    {"client_credentials"},
		"client_id":     {c.segura.ClientID()},
		"client_secret": {c.segura.ClientSecret()},
	}
}

func (c *caller) hasToken() *caller {
	c.t.Helper()
	c.token = accessToken(c.t, c.asksToken(c.goodForm()))
	return c
}

func accessToken(t *testing.T, a answer) string {
	t.Helper()
	var reply struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal([]byte(a.body), &reply); err != nil || a.status != 200 || reply.AccessToken == "" {
		t.Fatalf("token reply: got %d %q (%v)", a.status, a.body, err)
	}
	return reply.AccessToken
}

func (c *caller) tries(route string, identifier int64, header ...string) (answer, error) {
	c.t.Helper()
	all := []string{"Accept", "application/json"}
	if c.token != "" {
		all = append(all, "Authorization", "Bearer "+c.token)
	}
	return c.try("POST", fmt.Sprintf("%s/api/mysafe/%s/%d", c.segura.URL(), route, identifier), "", append(all, header...)...)
}

func (c *caller) calls(route string, identifier int64, header ...string) answer {
	c.t.Helper()
	a, err := c.tries(route, identifier, header...)
	if err != nil {
		c.t.Fatalf("%s %d: %v", route, identifier, err)
	}
	return a
}

func (c *caller) enables(identifier int64, header ...string) answer {
	c.t.Helper()
	return c.calls("secretapi/active", identifier, header...)
}

func start(t *testing.T, o seguratest.Options) *seguratest.Server {
	t.Helper()
	return seguratest.Start(t, o)
}

func wantStatus(t *testing.T, a answer, want int) {
	t.Helper()
	if a.status != want {
		t.Errorf("status: got %d with %q, want %d", a.status, a.body, want)
	}
}

func wantBody(t *testing.T, a answer, want string) {
	t.Helper()
	if a.body != want {
		t.Errorf("body:\n got %s\nwant %s", a.body, want)
	}
}

func wantHolds(t *testing.T, a answer, status int, fragments ...string) {
	t.Helper()
	wantStatus(t, a, status)
	for _, fragment := range fragments {
		if !strings.Contains(a.body, fragment) {
			t.Errorf("body: got %q, want %q in it", a.body, fragment)
		}
	}
}
