package segura

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http/httptrace"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"segura-enable/internal/apisecret"
	"segura-enable/simulated/seguratest"
)

func TestDo_readsNoMoreThanAReplyCanHave(t *testing.T) {
	cutOff := transient(apisecret.UpstreamInvalidResponse, 200)
	for name, row := range map[string]struct {
		reply seguratest.Fault
		want  verdict
	}{
		"a body without end": {seguratest.GiantBody(-1), cutOff}, "a gzip bomb": {seguratest.GzipBomb(100), unexpected(200)},
		"endless early hints": {seguratest.EndlessEarlyHints(), unexpected(0)}, "100 KiB of headers": {seguratest.Normally().WithHeader("X-Long", strings.Repeat("x", 100<<10)), unexpected(0)},
	} {
		s := begin(t, seguratest.Options{})
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)

		got := verdictOf(s.hears(t, row.reply))

		runtime.ReadMemStats(&after)
		if allocated := (after.TotalAlloc - before.TotalAlloc) >> 20; got != row.want || allocated > 64 {
			t.Errorf("%s: got %+v with %d MiB allocated by both sides, want %+v", name, got, allocated, row.want)
		}
		if _, fault := s.do(t.Context(), apisecret.Enable); fault != nil {
			t.Errorf("%s: the next call: %v", name, fault)
		}
	}
}

func TestDo_followsNoRedirect(t *testing.T) {
	elsewhere := seguratest.Start(t, seguratest.Options{})
	for _, status := range []int{301, 302, 303, 307, 308} {
		redirect := seguratest.Redirect(status, elsewhere.URL()+"/api/mysafe/secretapi/active/5")
		s := begin(t, seguratest.Options{})

		call := verdictOf(s.hears(t, redirect))
		s.Fail(tokenCalls, redirect, 1)
		token := tokenVerdict(s.client.FreshToken(t.Context()))

		if call != unexpected(status) || token != unexpected(status) || s.Count("") != 3 {
			t.Errorf("%d: got %+v of a call and %+v of a token request after %d requests, want unexpected_response after 3", status, call, token, s.Count(""))
		}
	}
	if got := elsewhere.Connections(); got != 0 {
		t.Errorf("got %d connections to where the redirects lead", got)
	}
}

// Of eight calls at once, four have a connection each, and the others wait for one.
func TestDo_keepsAsManyConnectionsAsCallsMayBeInFlight(t *testing.T) {
	s := begin(t, seguratest.Options{})
	_, _ = s.hears(t, seguratest.HTML(503)) // which ends no connection
	for round := range 3 {
		ready := make(chan struct{})
		s.ClearFaults()
		s.Fail(enableCalls, seguratest.Normally().Until(ready), -1)
		var group sync.WaitGroup
		for range 8 {
			group.Go(func() {
				if _, fault := s.do(t.Context(), apisecret.Enable); fault != nil {
					t.Error(fault)
				}
			})
		}
		err := s.Await(t.Context(), seguratest.KindEnable, 8*round+5)
		close(ready)
		group.Wait()
		if err != nil {
			t.Fatal(err)
		}
	}

	for _, request := range s.Requests() {
		if request.Proto != "HTTP/1.1" || s.Connections() != 4 {
			t.Fatalf("got %s over %d connections in three rounds of eight calls at once, want the first four to be used again", request.Proto, s.Connections())
		}
	}
}

// A reply without a body gives its connection to the next call at once, which it does
// not end.
func TestDo_endsNoConnectionThatAnotherCallHas(t *testing.T) {
	s := begin(t, seguratest.Options{})
	s.Fail(enableCalls, seguratest.Empty(404), -1)
	const workers, calls = 8, 100
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			for range calls {
				if got := verdictOf(s.do(t.Context(), apisecret.Enable)); got != unexpected(404) {
					t.Errorf("got %+v, want unexpected_response", got)
				}
			}
		})
	}

	group.Wait()

	if got := s.Count(seguratest.KindEnable); got != workers*calls || s.Connections() > workers+1 {
		t.Errorf("got %d calls over %d connections, want %d", got, s.Connections(), workers*calls)
	}
}

func TestConnect_opensANewConnectionTakesAnyReplyAndLeavesNoneOpen(t *testing.T) {
	for name, reply := range map[string]seguratest.Fault{
		"the start page": seguratest.Normally(), "404": seguratest.GatewayNoRoute404(), "503": seguratest.HTML(503), "401": seguratest.Empty(401),
		"a redirect": seguratest.Redirect(302, "https://elsewhere.example.com/"), "405": seguratest.Empty(405),
	} {
		s := begin(t, seguratest.Options{})
		s.Reset()
		s.Fail(seguratest.Match{Kind: seguratest.KindHead}, reply, 2)

		first, second := s.client.Connect(t.Context()), s.client.Connect(t.Context())

		if first != nil || second != nil || s.Connections() != 2 || s.Count("") != 2 {
			t.Errorf("%s: got %v, %v over %d new connections for %d requests, want 2 for 2", name, first, second, s.Connections(), s.Count(""))
		}
		for _, got := range s.Requests() {
			if got.Method != "HEAD" || strings.TrimRight(got.Path, "/") != "/pam" || got.Header.Get("Authorization") != "" || got.Header.Get("User-Agent") != userAgent || got.TLS.Resumed {
				t.Errorf("%s: got %s %s with %v, resumed %t", name, got.Method, got.Path, got.Header, got.TLS.Resumed)
			}
		}
		s.client.Close() // the token's connection
		for deadline := time.Now().Add(20 * time.Second); s.OpenConnections() > 0; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%s: got %d open connections", name, s.OpenConnections())
			}
		}
	}
}

// The reply that nobody asked for comes when the transport waits for one already
// and has sent nothing yet, which is when it takes it for the next request's; all of
// it, or its beginning, with the rest behind the request.
func TestDo_takesNoReplyThatWasThereBeforeItsRequest(t *testing.T) {
	const success = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 98\r\n\r\n" +
		`{"code":200,"response":{"status":200,"message":"Api secret activated successfully","error":false}}`
	const empty = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n" // whose connection net/http would keep
	for early, late := range map[string]string{success[:1]: success[1:], success[:40]: success[40:], success[:len(success)-1]: "}", success: "", empty: ""} {
		ours, theirs := net.Pipe()
		defer func() { _ = theirs.Close() }()
		go func() { _, _ = io.Copy(io.Discard, theirs) }()
		say := func(text string) {
			if text != "" { // for which a pipe would wait
				_, _ = io.WriteString(theirs, text)
			}
		}
		client := newClient(t, good())
		client.transport.DialTLSContext = func(context.Context, string, string) (net.Conn, error) { return &wire{Conn: ours}, nil }
		token := newToken("token", 0)
		asked := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { go say(success) }})
		if answer, fault := client.Do(asked, apisecret.Enable, 5, token); fault != nil || answer.Outcome != apisecret.Enabled {
			t.Fatalf("the first call: got %v, %v", answer, fault)
		}
		taken := make(chan struct{})
		unasked := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
			WroteHeaders:         func() { say(early); <-taken },
			GotFirstResponseByte: func() { close(taken) },
			WroteRequest:         func(httptrace.WroteRequestInfo) { say(late) },
		})

		answer, fault := client.Do(unasked, apisecret.Enable, 6, token)

		if got := verdictOf(answer, fault); got != transient(apisecret.UpstreamInvalidResponse, 0) {
			t.Errorf("%q early: got %+v, want no success: that reply was to no request", early, got)
		}
		_ = ours.SetWriteDeadline(time.Now().Add(time.Second))
		if _, err := ours.Write([]byte("x")); err == nil {
			t.Errorf("%q early: the connection is open still, with replies and requests out of step", early)
		}
	}
}

// Through a proxy that speaks TLS, the wire is below two layers of it.
func TestExchange_knowsTheWireBelowTheProxysTLSToo(t *testing.T) {
	w, e, config := &wire{}, &exchange{}, &tls.Config{MinVersion: tls.VersionTLS12}

	httptrace.ContextClientTrace(e.watch(t.Context())).GotConn(httptrace.GotConnInfo{Conn: tls.Client(tls.Client(w, config), config)})

	if e.wire.Load() != w {
		t.Error("got no wire, want the one below both layers: no reply would be found stale")
	}
}
