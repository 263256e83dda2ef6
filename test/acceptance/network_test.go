package acceptance

import (
	"context"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"segura-enable/simulated/seguratest"
)

// outside is a host name that no name server knows.
const outside = "segura.customer.invalid"

// proxy is an HTTP proxy that knows CONNECT only, and one host.
type proxy struct {
	*httptest.Server
	target string // where every tunnel leads; empty: none is opened

	mu    sync.Mutex
	asked []string // hosts, each with the credentials that came along
}

// tunnels are the hosts that tunnels were asked to.
func (p *proxy) tunnels() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.asked...)
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.asked = append(p.asked, r.Method+" "+r.Host+" "+r.Header.Get("Proxy-Authorization"))
	p.mu.Unlock()
	to, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", p.target)
	if err != nil {
		w.WriteHeader(http.StatusProxyAuthRequired)
		return
	}
	from, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		_ = to.Close()
		return
	}
	_, _ = io.WriteString(from, "HTTP/1.1 200 Connection established\r\n\r\n")
	go func() {
		_, _ = io.Copy(to, from)
		_ = to.Close()
	}()
	_, _ = io.Copy(from, to)
	_ = from.Close()
}

// throughProxy starts a world whose Segura is to be reached under an outside name;
// PROXY in the environment is the address of a proxy that leads there.
func throughProxy(t *testing.T, env map[string]string, hosts ...string) (*world, *proxy) {
	t.Helper()
	p := &proxy{}
	p.Server = httptest.NewServer(p)
	t.Cleanup(p.Close)
	w := start(t, setup{
		segura: seguratest.Options{TLS: seguratest.TLSOptions{Hosts: hosts}},
		before: func(w *world) {
			p.target = w.segura.Address()
			w.setup.env = map[string]string{"SEGURA_ATTEMPT_TIMEOUT": "5s", "SEGURA_MAX_ATTEMPTS": "1"}
			for name, value := range env {
				w.setup.env[name] = strings.ReplaceAll(value, "PROXY", p.Listener.Addr().String())
			}
			w.stack.PutSecret(map[string]any{"base_url": "https://" + outside + "/pam"})
		},
	})
	return w, p
}

// The name is known to the proxy only.
func TestProxy_isUsedAsTheStandardVariablesSay(t *testing.T) {
	t.Parallel()
	const used, passedBy = "enabled, attempts 1", "upstream_unreachable, retryable, attempts 0"
	for name, row := range map[string]struct {
		env  map[string]string
		want string
	}{
		"HTTPS_PROXY without a scheme": {map[string]string{"HTTPS_PROXY": "PROXY"}, used},
		"https_proxy":                  {map[string]string{"https_proxy": "http://PROXY"}, used},
		"NO_PROXY of others":           {map[string]string{"HTTPS_PROXY": "http://PROXY", "NO_PROXY": "other.invalid,10.0.0.0/8"}, used},
		"a user, and another for HTTP": {map[string]string{"HTTPS_PROXY": "http://proxyuser:proxypassword-MARKER@PROXY", "HTTP_PROXY": "http://127.0.0.1:1"}, used},
		"NO_PROXY":                     {map[string]string{"HTTPS_PROXY": "http://PROXY", "NO_PROXY": "other.invalid,.customer.invalid"}, passedBy},
		"no_proxy of all":              {map[string]string{"HTTPS_PROXY": "http://PROXY", "no_proxy": "*"}, passedBy},
		"a proxy that is gone":         {map[string]string{"HTTPS_PROXY": "http://127.0.0.1:1"}, passedBy},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, p := throughProxy(t, row.env, outside)
			w.mark("proxypassword-MARKER")
			w.enables(name, 5, row.want)
			tunnels := p.tunnels()
			if row.want == passedBy && len(tunnels) != 0 || row.want == used && (len(tunnels) == 0 || !strings.HasPrefix(tunnels[0], "CONNECT "+outside+":443 ")) {
				t.Errorf("got the tunnels %v, want one to %s:443 if it is %s", tunnels, outside, used)
			}
			if strings.Contains(row.env["HTTPS_PROXY"], "@") && !strings.Contains(tunnels[0], " Basic ") {
				t.Errorf("the proxy was not given its credentials")
			}
			for _, r := range w.segura.Requests() {
				if r.TLS.ServerName != outside || !strings.HasPrefix(r.Host, outside) {
					t.Errorf("got %s, %s, want the outside name", r.TLS.ServerName, r.Host)
				}
			}
		})
	}
}

func TestProxy_verifiesTheCertificateAllTheSame(t *testing.T) {
	t.Parallel()
	w, p := throughProxy(t, map[string]string{"HTTPS_PROXY": "http://PROXY"}) // Segura's certificate is not for the outside name
	w.enables("another name", 5, "upstream_unreachable, attempts 0")
	if len(p.tunnels()) == 0 {
		t.Error("the proxy was not asked")
	}
}

func TestProxy_isUsedForSecretsManagerToo(t *testing.T) {
	t.Parallel()
	for want, env := range map[string]map[string]string{
		"CONNECT secretsmanager.eu-west-1.amazonaws.com:443 ":      nil,
		"CONNECT secretsmanager-fips.us-east-1.amazonaws.com:443 ": {"AWS_REGION": "us-east-1", "AWS_USE_FIPS_ENDPOINT": "true"},
	} {
		p := &proxy{} // which lets nobody through
		p.Server = httptest.NewServer(p)
		t.Cleanup(p.Close)
		all := map[string]string{"AWS_ENDPOINT_URL_SECRETS_MANAGER": unset, "HTTPS_PROXY": p.URL, "AWS_MAX_ATTEMPTS": "1"}
		maps.Copy(all, env)
		w := start(t, setup{before: func(*world) {}, env: all})
		w.enables(want, 5, "credentials_unavailable, retryable, attempts 0")
		if got := p.tunnels(); len(got) == 0 || got[0] != want {
			t.Errorf("got the tunnels %v, want %s", got, want)
		}
	}
}
