package seguratest_test

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"runtime"
	"sync"
	"testing"
	"time"

	"segura-enable/simulated/seguratest"
)

func TestServer_speaksBothVersionsOfHTTP(t *testing.T) {
	segura := start(t, seguratest.Options{})
	for _, row := range []struct {
		c    *caller
		want string
	}{
		{newCaller(t, segura), "HTTP/1.1"},
		{newCaller(t, segura, func(o *http.Transport) { o.Protocols.SetHTTP2(true) }), "HTTP/2.0"},
	} {
		a := row.c.hasToken().enables(5)

		wantStatus(t, a, 200)
		if a.proto != row.want {
			t.Errorf("protocol: got %s, want %s", a.proto, row.want)
		}
	}
}

func TestRequests_recordWhatWasAsked(t *testing.T) {
	segura := start(t, seguratest.Options{})
	c := newCaller(t, segura).hasToken()

	c.enables(5, "User-Agent", "ours/1", "X-Trace", "t1")
	c.calls("secretapi/inactive", 6)
	c.do("POST", segura.URL()+"/nowhere?a=b", "hello")

	all := segura.Requests()
	if len(all) != 4 || segura.Count("") != 4 {
		t.Fatalf("requests: got %d (%d), want 4", len(all), segura.Count(""))
	}
	asked, enable, disable, other := all[0], all[1], all[2], all[3]
	if asked.Kind != seguratest.KindToken || asked.Form.Get("client_secret") != segura.ClientSecret() || asked.Identifier != 0 {
		t.Errorf("token request: got %+v", asked)
	}
	if enable.Kind != seguratest.KindEnable || enable.Identifier != 5 || enable.Method != "POST" ||
		enable.Path != "/pam/api/mysafe/secretapi/active/5" || enable.Proto != "HTTP/1.1" || enable.Status != 200 ||
		enable.Header.Get("User-Agent") != "ours/1" || enable.Header.Get("X-Trace") != "t1" || enable.Body != "" ||
		enable.Header.Get("Authorization") != "Bearer "+c.token || enable.Number != 2 || enable.Time.IsZero() {
		t.Errorf("enable request: got %+v", enable)
	}
	if enable.TLS.Version != tls.VersionTLS13 || enable.Connection != 1 {
		t.Errorf("enable request's connection: got %d, %+v", enable.Connection, enable.TLS)
	}
	if disable.Kind != seguratest.KindDisable || disable.Identifier != 6 || len(segura.Requests(seguratest.KindDisable)) != 1 {
		t.Errorf("disable request: got %+v", disable)
	}
	if other.Kind != seguratest.KindOther || other.Body != "hello" || other.Query != "a=b" || other.Status != 404 {
		t.Errorf("other request: got %+v", other)
	}
	if segura.CountFor(seguratest.KindEnable, 5) != 1 || segura.CountFor("", 5) != 1 || segura.CountFor(seguratest.KindEnable, 6) != 0 {
		t.Error("the counts by identifier are wrong")
	}
	if segura.Connections() != 1 || segura.OpenConnections() != 1 {
		t.Errorf("connections: got %d accepted and %d open, want 1 and 1", segura.Connections(), segura.OpenConnections())
	}
}

func TestReset_bringsBackTheStart(t *testing.T) {
	segura := start(t, seguratest.Options{})
	c := newCaller(t, segura).hasToken()
	c.enables(5)
	c.calls("password/active", 5)
	segura.SetActive(7, true)
	segura.SetState(6, seguratest.APISecret{Forbidden: true})
	segura.SetGeneration(seguratest.Minimal)
	segura.RotateClientSecret("newer")
	segura.RefuseToken(seguratest.RefusedInactive)
	segura.Fail(seguratest.Match{}, seguratest.Gateway502(), -1)

	segura.Reset()

	if segura.Active(5) || segura.Active(7) || !segura.Active(6) || len(segura.PasswordsEnabled()) != 0 {
		t.Errorf("states: got %v, passwords %v", segura.States(), segura.PasswordsEnabled())
	}
	if segura.Count("") != 0 || segura.Connections() != 0 || len(segura.Requests()) != 0 {
		t.Errorf("records: got %d requests and %d connections, want none", segura.Count(""), segura.Connections())
	}
	if segura.ClientSecret() != seguratest.DefaultClientSecret {
		t.Errorf("client secret: got %q", segura.ClientSecret())
	}
	wantHolds(t, c.enables(5), 200, `"code":200`) // with the token of before
	wantHolds(t, newCaller(t, segura).enables(5), 404, "no Route")
}

func TestAddress_canBeChosen(t *testing.T) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(free.Addr().String())
	free.Close()

	segura := start(t, seguratest.Options{Address: "localhost:" + port, BasePath: "a/b/"})
	_, second := seguratest.New(seguratest.Options{Address: "localhost:" + port})
	_, path := seguratest.New(seguratest.Options{EnablePath: "/x"})

	if got, want := segura.URL(), "https://localhost:"+port+"/a/b"; got != want {
		t.Errorf("URL: got %q, want %q", got, want)
	}
	wantStatus(t, newCaller(t, segura).do("HEAD", segura.URL(), ""), 200)
	if second == nil || path == nil {
		t.Errorf("a port in use and a path without an identifier: got errors %v and %v", second, path)
	}
}

func TestLatency_isAddedToEveryAnswer(t *testing.T) {
	segura := start(t, seguratest.Options{Latency: seguratest.Latency{
		Token: 30 * time.Millisecond, Call: 60 * time.Millisecond, Jitter: time.Millisecond,
	}})
	c := newCaller(t, segura)
	began := time.Now()
	c.hasToken()
	token := time.Since(began)

	began = time.Now()
	c.enables(5)
	call := time.Since(began)

	if token < 30*time.Millisecond || call < 60*time.Millisecond {
		t.Errorf("latencies: got %v and %v, want 30ms and 60ms at least", token, call)
	}
}

func TestClose_endsHangingClientsAndLeavesNoGoroutines(t *testing.T) {
	before := runtime.NumGoroutine()
	segura, err := seguratest.New(seguratest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	segura.Fail(seguratest.Match{Identifier: 1}, seguratest.Hang(), -1)
	segura.Fail(seguratest.Match{Identifier: 2}, seguratest.SlowDrip(time.Second), -1)
	segura.Fail(seguratest.Match{Identifier: 3}, seguratest.GiantBody(-1), -1)
	segura.Fail(seguratest.Match{Identifier: 4}, seguratest.Normally().Until(nil).After(time.Hour), -1)
	var group sync.WaitGroup
	clients := []*caller{newCaller(t, segura), newCaller(t, segura)}
	for _, c := range clients {
		c.http.Timeout = 0
		for identifier := range int64(4) {
			group.Go(func() { _, _ = c.tries("secretapi/active", identifier+1) })
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := segura.Await(ctx, seguratest.KindEnable, 8); err != nil {
		t.Fatalf("await 8 calls: %v after %d", err, segura.Count(""))
	}

	segura.Close()
	segura.Close()

	group.Wait() // nothing but the end of the server ends them
	for _, c := range clients {
		c.http.CloseIdleConnections()
	}
	wantNoMoreGoroutinesThan(t, before)
	if _, err := clients[0].try("HEAD", segura.URL(), ""); err == nil {
		t.Error("the server still answers after Close")
	}
}

func wantNoMoreGoroutinesThan(t *testing.T, before int) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); runtime.NumGoroutine() > before; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			stacks := make([]byte, 1<<20)
			t.Fatalf("goroutines: got %d, want %d\n%s", runtime.NumGoroutine(), before, stacks[:runtime.Stack(stacks, true)])
		}
	}
}
