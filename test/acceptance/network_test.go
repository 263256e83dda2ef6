package acceptance

import (
	"context"
	"io"
	"maps"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"segura-enable/simulated/seguratest"
)

// outside is a host name that no name server knows.
const outside = "segura.customer.invalid"

// proxy is an HTTP proxy that knows CONNECT only, and one host.
type proxy struct {
	listener net.Listener
	target   string // where a tunnel to outside leads

	mu     sync.Mutex
	status int // answered instead of a tunnel; 0: none is
	asked  []string
	auth   []string
}

func startProxy(t *testing.T, target string) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: listener, target: target}
	server := &http.Server{Handler: p}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	return p
}

func (p *proxy) url() string { return "http://" + p.listener.Addr().String() }

// refuse has every tunnel refused with a status from now on.
func (p *proxy) refuse(status int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.status = status
}

// tunnels are the hosts that tunnels were asked to.
func (p *proxy) tunnels() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.asked...)
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.asked = append(p.asked, r.Method+" "+r.Host)
	p.auth = append(p.auth, r.Header.Get("Proxy-Authorization"))
	status := p.status
	p.mu.Unlock()
	if r.Method != http.MethodConnect || status != 0 {
		w.WriteHeader(max(status, 400))
		return
	}
	to, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", p.target)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
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

// throughProxy starts a world whose Segura has an outside name and is reached
// through a proxy.
func throughProxy(t *testing.T, env map[string]string) (*world, *proxy) {
	t.Helper()
	var p *proxy
	w := start(t, setup{
		segura: seguratest.Options{TLS: seguratest.TLSOptions{Hosts: []string{outside}}},
		before: func(w *world) {
			p = startProxy(w.t, w.segura.Address())
			w.setup.env = map[string]string{"SEGURA_ATTEMPT_TIMEOUT": "5s", "SEGURA_MAX_ATTEMPTS": "1"}
			for name, value := range env {
				w.setup.env[name] = strings.ReplaceAll(value, "PROXY", p.listener.Addr().String())
			}
			w.putSecret(map[string]any{"base_url": "https://" + outside + "/pam"})
		},
	})
	return w, p
}

func TestProxy_isUsedAsTheStandardVariablesSay(t *testing.T) {
	t.Parallel()
	for name, env := range map[string]map[string]string{
		"HTTPS_PROXY":                         {"HTTPS_PROXY": "http://PROXY"},
		"https_proxy":                         {"https_proxy": "http://PROXY"},
		"HTTPS_PROXY without a scheme":        {"HTTPS_PROXY": "PROXY"},
		"NO_PROXY of others":                  {"HTTPS_PROXY": "http://PROXY", "NO_PROXY": "other.invalid,10.0.0.0/8,169.254.169.254"},
		"HTTPS_PROXY with a user":             {"HTTPS_PROXY": "http://proxyuser:proxypassword-MARKER@PROXY"},
		"HTTPS_PROXY beside another for HTTP": {"HTTPS_PROXY": "http://PROXY", "HTTP_PROXY": "http://127.0.0.1:1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, p := throughProxy(t, env)
			w.mark("proxypassword-MARKER")
			is(t, w.one(5), name, "enabled", "", false, 1)
			tunnels := p.tunnels()
			if len(tunnels) == 0 || tunnels[0] != "CONNECT "+outside+":443" {
				t.Errorf("got the tunnels %v, want one to %s:443", tunnels, outside)
			}
			for _, r := range w.segura.Requests() {
				if r.Proto != "HTTP/1.1" || r.TLS.ServerName != outside || !strings.HasPrefix(r.Host, outside) {
					t.Errorf("got %s, %s, %s, want HTTP/1.1 with the outside name", r.Proto, r.TLS.ServerName, r.Host)
				}
			}
			if strings.Contains(env["HTTPS_PROXY"], "@") && !strings.HasPrefix(p.auth[0], "Basic ") {
				t.Errorf("the proxy was not given its credentials")
			}
		})
	}
}

func TestProxy_isNotUsedWhereNoProxySaysSo(t *testing.T) {
	t.Parallel()
	for name, env := range map[string]map[string]string{
		"the host": {"HTTPS_PROXY": "http://PROXY", "NO_PROXY": outside},
		"a domain": {"HTTPS_PROXY": "http://PROXY", "NO_PROXY": "other.invalid,.customer.invalid"},
		"all":      {"HTTPS_PROXY": "http://PROXY", "NO_PROXY": "*"},
		"no_proxy": {"HTTPS_PROXY": "http://PROXY", "no_proxy": "customer.invalid"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, p := throughProxy(t, env)
			got := w.one(5)
			if got.Outcome != "failed" || !got.Error.Retryable {
				t.Errorf("got %+v (%+v), want a failure: the name is known to the proxy only", got, got.Error)
			}
			if got := p.tunnels(); len(got) != 0 {
				t.Errorf("got the tunnels %v, want none", got)
			}
		})
	}
}

func TestProxy_thatRefusesOrIsGoneMakesSeguraUnreachable(t *testing.T) {
	t.Parallel()
	t.Run("gone", func(t *testing.T) {
		t.Parallel()
		w, _ := throughProxy(t, map[string]string{"HTTPS_PROXY": "http://127.0.0.1:1"})
		is(t, w.one(5), "gone", "failed", "upstream_unreachable", true, 0)
	})
	for _, status := range []int{403, 407, 502} {
		w, p := throughProxy(t, map[string]string{"HTTPS_PROXY": "http://PROXY"})
		w.one(6) // so that there is a token
		w.segura.DropConnections()
		p.refuse(status)
		is(t, w.one(5), http.StatusText(status), "failed", "upstream_unreachable", true, 1)
	}
}

func TestProxy_verifiesTheCertificateAllTheSame(t *testing.T) {
	t.Parallel()
	var p *proxy
	w := start(t, setup{before: func(w *world) { // its certificate is not for the outside name
		p = startProxy(w.t, w.segura.Address())
		w.setup.env = map[string]string{"HTTPS_PROXY": p.url()}
		w.putSecret(map[string]any{"base_url": "https://" + outside + "/pam"})
	}})
	is(t, w.one(5), "another name", "failed", "upstream_unreachable", false, 0)
	if len(p.tunnels()) == 0 {
		t.Error("the proxy was not asked")
	}
}

func TestProxy_isUsedForSecretsManagerToo(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		env  map[string]string
		want string
	}{
		"as usual":       {nil, "CONNECT secretsmanager.eu-west-1.amazonaws.com:443"},
		"another region": {map[string]string{"AWS_REGION": "sa-east-1"}, "CONNECT secretsmanager.sa-east-1.amazonaws.com:443"},
		"FIPS":           {map[string]string{"AWS_REGION": "us-east-1", "AWS_USE_FIPS_ENDPOINT": "true"}, "CONNECT secretsmanager-fips.us-east-1.amazonaws.com:443"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var p *proxy
			w := start(t, setup{before: func(w *world) {
				p = startProxy(w.t, w.segura.Address())
				p.refuse(403)
				w.setup.env = map[string]string{"AWS_ENDPOINT_URL_SECRETS_MANAGER": unset, "HTTPS_PROXY": p.url(), "AWS_MAX_ATTEMPTS": "1"}
				maps.Copy(w.setup.env, row.env)
			}})
			is(t, w.one(5), "a proxy that lets nobody through", "failed", "credentials_unavailable", true, 0)
			if got := p.tunnels(); len(got) == 0 || got[0] != row.want {
				t.Errorf("got the tunnels %v, want %s", got, row.want)
			}
		})
	}
}

// tube is a TCP forwarder whose connections can fall silent without an end, as
// behind a firewall that has forgotten them; new ones work.
type tube struct {
	listener net.Listener

	mu     sync.Mutex
	silent []*atomic.Bool
}

func startTube(t *testing.T, target string) *tube {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	u := &tube{listener: listener}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			from, err := listener.Accept()
			if err != nil {
				return
			}
			to, err := net.Dial("tcp", target)
			if err != nil {
				_ = from.Close()
				continue
			}
			t.Cleanup(func() {
				_ = from.Close()
				_ = to.Close()
			})
			silent := &atomic.Bool{}
			u.mu.Lock()
			u.silent = append(u.silent, silent)
			u.mu.Unlock()
			go pump(to, from, silent)
			go pump(from, to, silent)
		}
	}()
	return u
}

func pump(to, from net.Conn, silent *atomic.Bool) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		switch {
		case silent.Load() && err != nil:
			return // not even the end gets through
		case silent.Load():
			continue
		case err != nil:
			_ = to.Close()
			return
		}
		_, _ = to.Write(buffer[:n])
	}
}

// silence makes the connections that there are fall silent.
func (u *tube) silence() {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, s := range u.silent {
		s.Store(true)
	}
}

func TestConnection_thatFallsSilentIsGivenUpForANewOne(t *testing.T) {
	t.Parallel()
	var u *tube
	w := start(t, setup{
		segura: seguratest.Options{AnyIdentifier: true},
		env:    map[string]string{"SEGURA_ATTEMPT_TIMEOUT": "3s"},
		before: func(w *world) {
			u = startTube(w.t, w.segura.Address())
			w.putSecret(map[string]any{"base_url": "https://" + u.listener.Addr().String() + "/pam"})
		},
	})
	is(t, w.one(1001), "before", "enabled", "", false, 1)
	u.silence()
	if got := w.one(1002); got.Outcome == "failed" {
		t.Errorf("got %+v (%+v), want one of four attempts on a new connection", got, got.Error)
	}
	is(t, w.one(1003), "afterwards", "enabled", "", false, 1)
}

// freeze keeps the process from running for a while, as Lambda does between two
// invocations.
func freeze(w *world, d time.Duration) {
	_ = w.function.Signal(syscall.SIGSTOP)
	time.Sleep(d)
	_ = w.function.Signal(syscall.SIGCONT)
}

func TestFrozenProcess_goesOnAfterwards(t *testing.T) {
	t.Parallel()
	w := start(t, setup{segura: seguratest.Options{AnyIdentifier: true, TokenLifetime: 2 * time.Second}})
	is(t, w.one(1001), "before", "enabled", "", false, 1)
	before := w.segura.Count(seguratest.KindToken)
	freeze(w, 2500*time.Millisecond)
	w.segura.DropConnections()
	if got := w.one(1002); got.Outcome != "enabled" {
		t.Errorf("got %+v (%+v), want enabled", got, got.Error)
	}
	if n := w.segura.Count(seguratest.KindToken); n != before+1 {
		t.Errorf("got %d token requests, want one more after the lifetime than the %d before", n, before)
	}
}
