package segura

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"segura-enable/internal/apisecret"
)

// The tests of this file wait for minutes and hours in no time, inside a bubble of
// testing/synctest. The network would keep its clock from moving on, so the client
// speaks through pipes in memory here, and without TLS.

// pipes is a listener whose connections are net.Pipes.
type pipes struct {
	dialed chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.dialed:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error { p.once.Do(func() { close(p.closed) }); return nil }

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes"} }

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case p.dialed <- theirs:
		return ours, nil
	case <-p.closed:
		return nil, errors.New("connection refused")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// upstream is a scripted Segura in memory.
type upstream struct {
	client *Client
	began  time.Time

	mu          sync.Mutex
	script      []http.HandlerFunc // one for each request; the last one goes on
	times       []time.Duration    // when the requests came
	connections int
}

// inBubble runs a test inside a bubble, with a client of a scripted Segura.
func inBubble(t *testing.T, o Options, test func(*testing.T, *upstream)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		u := &upstream{began: time.Now()}
		line := &pipes{dialed: make(chan net.Conn), closed: make(chan struct{})}
		server := &http.Server{Handler: u, ErrorLog: log.New(io.Discard, "", 0), ConnState: func(_ net.Conn, s http.ConnState) {
			if s == http.StateNew {
				u.mu.Lock()
				u.connections++
				u.mu.Unlock()
			}
		}}
		go func() { _ = server.Serve(line) }()
		if o.AttemptTimeout == 0 {
			o.AttemptTimeout = 10 * time.Second
		}
		o.Connections = 8
		client, err := New(Credentials{BaseURL: "https://segura.example.com", ClientID: "id", ClientSecret: Hide("secret")}, o)
		if err != nil {
			t.Fatal(err)
		}
		client.transport.DialTLSContext = line.dial
		u.client = client

		test(t, u)

		client.Close()
		_ = server.Close()
		synctest.Wait()
	})
}

// plays sets what is answered, one handler for each request; the last goes on.
func (u *upstream) plays(script ...http.HandlerFunc) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.script = script
}

func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	u.mu.Lock()
	u.times = append(u.times, time.Since(u.began))
	play := u.script[0]
	if len(u.script) > 1 {
		u.script = u.script[1:]
	}
	u.mu.Unlock()
	_, _ = io.Copy(io.Discard, r.Body) // until then the server does not see the client go
	play(w, r)
}

// requests returns when requests came, since the bubble began.
func (u *upstream) requests() []time.Duration {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.times)
}

func answers(status int, body string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for at := 0; at < len(headers); at += 2 {
			w.Header().Set(headers[at], headers[at+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func hangs(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

func TestToken_isReusedUntilShortlyBeforeItExpires(t *testing.T) {
	for _, row := range []struct {
		expiresIn string
		lifetime  time.Duration // for which it is reused
	}{
		{`3600`, 3590 * time.Second},
		{`"3600"`, 3590 * time.Second},
		{`3600.0`, 3590 * time.Second},
		{`3.6e3`, 3590 * time.Second},
		{`60`, 54 * time.Second},
		{`10`, 9 * time.Second},
		{`1`, 900 * time.Millisecond},
		{`86400`, 24*time.Hour - 10*time.Second},
		{`1000000000`, 24*time.Hour - 10*time.Second},
		{`9007199254740992`, 24*time.Hour - 10*time.Second},
		{``, 290 * time.Second},
		{`0`, 290 * time.Second},
		{`-1`, 290 * time.Second},
		{`null`, 290 * time.Second},
		{`""`, 290 * time.Second},
		{`"soon"`, 290 * time.Second},
		{`true`, 290 * time.Second},
		{`[3600]`, 290 * time.Second},
		{`9e99`, 290 * time.Second},
		{`"NaN"`, 290 * time.Second},
		{`"Inf"`, 290 * time.Second},
		{`0.5`, 290 * time.Second},
	} {
		inBubble(t, Options{}, func(t *testing.T, u *upstream) {
			body := `{"token_type":"Bearer","expires_in":` + row.expiresIn + `,"access_token":"token"}`
			if row.expiresIn == "" {
				body = `{"token_type":"Bearer","access_token":"token"}`
			}
			u.plays(answers(200, body))
			first, fault := u.client.Token(t.Context(), nil)
			if fault != nil {
				t.Fatalf("expires_in %s: %v", row.expiresIn, fault)
			}

			time.Sleep(row.lifetime - time.Millisecond)
			before, _ := u.client.Token(t.Context(), nil)
			time.Sleep(time.Millisecond)
			after, _ := u.client.Token(t.Context(), nil)

			if before != first || after == first || len(u.requests()) != 2 {
				t.Errorf("expires_in %s: reused a millisecond before %s: %t, and then: %t, with %d requests", row.expiresIn, row.lifetime, before == first, after == first, len(u.requests()))
			}
		})
	}
}

// Lambda freezes the process, and with it the monotonic clock, which would make
// an expired token look fresh.
// Not in a bubble, whose times have no monotonic part anyway.
func TestToken_expiresOnTheWallClock(t *testing.T) {
	if got := time.Now().String(); !strings.Contains(got, "m=") {
		t.Fatalf("the clock says %s, which has no monotonic part to begin with", got)
	}
	if got := newToken("token", time.Minute).expires.String(); strings.Contains(got, "m=") {
		t.Errorf("the token expires at %s, which has a monotonic part", got)
	}
	if got := wallClock().String(); strings.Contains(got, "m=") {
		t.Errorf("it is compared with %s, which has a monotonic part", got)
	}
}

func TestToken_isRequestedAgainAgainstTransientFaultsOnly(t *testing.T) {
	const good = `{"expires_in":60,"access_token":"token"}`
	busy := answers(503, `{"message":"failure to get a peer from the ring-balancer"}`)
	for _, row := range []struct {
		name     string
		script   []http.HandlerFunc
		requests int
		code     apisecret.Code // empty: a token
	}{
		{"at once", []http.HandlerFunc{answers(200, good)}, 1, ""},
		{"after a 503", []http.HandlerFunc{busy, answers(200, good)}, 2, ""},
		{"after three faults", []http.HandlerFunc{busy, answers(502, ""), answers(200, `{"access_tok`), answers(200, good)}, 4, ""},
		{"four faults", []http.HandlerFunc{busy, busy, busy, answers(504, ""), answers(200, good)}, 4, apisecret.UpstreamTimeout},
		{"refused credentials", []http.HandlerFunc{answers(401, `{"error":"invalid_client"}`), answers(200, good)}, 1, apisecret.AuthenticationFailed},
		{"refused credentials after a 503", []http.HandlerFunc{busy, answers(401, `{"error":"invalid_client"}`)}, 2, apisecret.AuthenticationFailed},
		{"no token", []http.HandlerFunc{answers(200, `{"expires_in":60}`), answers(200, good)}, 1, apisecret.UnexpectedResponse},
		{"denied", []http.HandlerFunc{answers(403, `{"message":"IP address not allowed"}`), answers(200, good)}, 1, apisecret.AccessDenied},
	} {
		var told []time.Duration
		o := Options{Retry: Retry{MaxAttempts: 4}, OnTokenCall: func(_ context.Context, took time.Duration) { told = append(told, took) }}
		inBubble(t, o, func(t *testing.T, u *upstream) {
			u.plays(row.script...)

			token, fault := u.client.Token(t.Context(), nil)

			if got := len(u.requests()); got != row.requests || len(told) != got {
				t.Errorf("%s: got %d requests, %d of them told, want %d", row.name, got, len(told), row.requests)
			}
			if (token == nil) != (row.code != "") || fault != nil && fault.Code != row.code || (fault == nil) != (row.code == "") {
				t.Errorf("%s: got %v, want %q", row.name, fault, row.code)
			}
			if fault != nil && fault.Cause == apisecret.CredentialsRefused != (row.code == apisecret.AuthenticationFailed) {
				t.Errorf("%s: got refused credentials %t", row.name, fault.Cause == apisecret.CredentialsRefused)
			}
		})
	}
}

func TestToken_waitsAsLongAsTheGatewayAsks(t *testing.T) {
	inBubble(t, Options{Retry: Retry{MaxAttempts: 3}}, func(t *testing.T, u *upstream) {
		limited := `{"message":"API rate limit exceeded"}`
		u.plays(answers(429, limited, "Retry-After", "30"), answers(429, limited, "RateLimit-Reset", "7"), answers(200, `{"access_token":"token"}`))

		_, fault := u.client.Token(t.Context(), nil)

		got := u.requests()
		if fault != nil || len(got) != 3 {
			t.Fatalf("got %v after requests at %v, want a token after three", fault, got)
		}
		if first, second := got[1]-got[0], got[2]-got[1]; first < 30*time.Second || first > 31*time.Second || second < 7*time.Second || second > 8*time.Second {
			t.Errorf("got waits of %s and %s, want 30 s and 7 s and a little more", first, second)
		}
	})
}

func TestToken_doesNotWaitPastTheCallersDeadline(t *testing.T) {
	inBubble(t, Options{Retry: Retry{MaxAttempts: 4}}, func(t *testing.T, u *upstream) {
		u.plays(answers(429, `{"message":"API rate limit exceeded"}`, "Retry-After", "30"))
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()

		_, fault := u.client.Token(ctx, nil)

		if took := time.Since(u.began); fault == nil || fault.Code != apisecret.RateLimited || fault.RetryAfter != 30*time.Second || took != 0 {
			t.Errorf("got %+v after %s, want rate_limited at once", fault, took)
		}
	})
}

func TestToken_tellsTheFaultThatTookTheTime(t *testing.T) {
	inBubble(t, Options{Retry: Retry{MaxAttempts: 9}}, func(t *testing.T, u *upstream) {
		u.plays(answers(503, ""), hangs)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()

		_, fault := u.client.Token(ctx, nil)

		if fault == nil || fault.Code != apisecret.UpstreamError || fault.HTTPStatus != 503 {
			t.Errorf("got %+v, want the 503 that came before the deadline", fault)
		}
	})
	inBubble(t, Options{Retry: Retry{MaxAttempts: 9}}, func(t *testing.T, u *upstream) {
		u.plays(hangs)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()

		_, fault := u.client.Token(ctx, nil)

		if fault == nil || fault.Code != apisecret.DeadlineExceeded {
			t.Errorf("got %+v, want deadline_exceeded", fault)
		}
	})
}

func TestToken_boundsEachAttempt(t *testing.T) {
	inBubble(t, Options{AttemptTimeout: 3 * time.Second, Retry: Retry{MaxAttempts: 2}}, func(t *testing.T, u *upstream) {
		u.plays(hangs)

		_, fault := u.client.Token(t.Context(), nil)

		if took := time.Since(u.began); fault == nil || fault.Code != apisecret.UpstreamTimeout || fault.Cause != apisecret.NoReply || took < 6*time.Second || took > 6*time.Second+firstBackoff {
			t.Errorf("got %+v after %s, want upstream_timeout after two attempts of 3 s", fault, took)
		}
	})
}

func TestToken_isRequestedOnceForAllWhoAskMeanwhile(t *testing.T) {
	inBubble(t, Options{}, func(t *testing.T, u *upstream) {
		u.plays(func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(2 * time.Second)
			answers(200, `{"access_token":"token"}`)(w, r)
		})
		tokens := make(chan *Token, 20)

		for range cap(tokens) {
			go func() {
				token, _ := u.client.Token(t.Context(), nil)
				tokens <- token
			}()
		}

		first := <-tokens
		for range cap(tokens) - 1 {
			if got := <-tokens; got != first || got == nil {
				t.Errorf("got another token than the first caller: %v", got)
			}
		}
		if got := len(u.requests()); got != 1 {
			t.Errorf("got %d requests, want 1", got)
		}
	})
}

func TestToken_waitsNoLongerForAnothersRequestThanItsOwnContext(t *testing.T) {
	inBubble(t, Options{}, func(t *testing.T, u *upstream) {
		u.plays(func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(5 * time.Second)
			answers(200, `{"access_token":"token"}`)(w, r)
		})
		leader := make(chan *apisecret.Error, 1)
		go func() { _, fault := u.client.Token(t.Context(), nil); leader <- fault }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()

		_, fault := u.client.Token(ctx, nil)

		if took := time.Since(u.began); fault == nil || fault.Code != apisecret.DeadlineExceeded || !fault.Retryable || took != time.Second {
			t.Errorf("got %+v after %s, want deadline_exceeded after a second", fault, took)
		}
		if got := <-leader; got != nil {
			t.Errorf("the one who requested it: got %v", got)
		}
	})
}

func TestToken_isRequestedAnewWhenTheOneWhoRequestedItIsGone(t *testing.T) {
	inBubble(t, Options{}, func(t *testing.T, u *upstream) {
		u.plays(hangs, answers(200, `{"access_token":"token"}`))
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		leader := make(chan *apisecret.Error, 1)
		go func() { _, fault := u.client.Token(short, nil); leader <- fault }()
		synctest.Wait()

		token, fault := u.client.Token(t.Context(), nil)

		if token == nil || fault != nil || len(u.requests()) != 2 {
			t.Errorf("got %v after %d requests, want a token from the second", fault, len(u.requests()))
		}
		if got := <-leader; got == nil || got.Code != apisecret.DeadlineExceeded {
			t.Errorf("the one who was gone: got %v, want deadline_exceeded", got)
		}
	})
}

func TestToken_isReplacedOnceForAllWhoWereRefused(t *testing.T) {
	inBubble(t, Options{}, func(t *testing.T, u *upstream) {
		u.plays(answers(200, `{"access_token":"first"}`), answers(200, `{"access_token":"second"}`))
		refused, _ := u.client.Token(t.Context(), nil)
		tokens := make(chan *Token, 20)

		for range cap(tokens) {
			go func() {
				token, _ := u.client.Token(t.Context(), refused)
				tokens <- token
			}()
		}

		for range cap(tokens) {
			if got := <-tokens; got == nil || got == refused || got.value.Reveal() != "second" {
				t.Errorf("got %v, want the second token", got)
			}
		}
		if again, _ := u.client.Token(t.Context(), refused); again == refused || len(u.requests()) != 2 {
			t.Errorf("got %d requests, want one for each token", len(u.requests()))
		}
	})
}

// A caller to whom the cached token was not refused may be ahead in the flight:
// nobody gets back the token that was refused to it.
func TestToken_neverHandsOutTheRefusedOne(t *testing.T) {
	inBubble(t, Options{}, func(t *testing.T, u *upstream) {
		u.plays(answers(200, `{"access_token":"first"}`), answers(200, `{"access_token":"second"}`))
		first, _ := u.client.Token(t.Context(), nil)
		ahead := make(chan *Token, 1)
		go func() {
			token, _ := u.client.flight.Do(t.Context(), func(context.Context) (*Token, error) {
				time.Sleep(time.Second)
				return u.client.cached.Load(), nil
			})
			ahead <- token
		}()
		synctest.Wait()

		got, fault := u.client.Token(t.Context(), first)

		if fault != nil || got == first || <-ahead != first {
			t.Errorf("got %v, and the refused token: %t; want another one", fault, got == first)
		}
	})
}

// Whoever begins the flight anew, after the time of the one ahead ran out, finds the
// token that came in spite of that.
func TestToken_isNotRequestedAgainByWhoComesLate(t *testing.T) {
	inBubble(t, Options{}, func(t *testing.T, u *upstream) {
		u.plays(answers(200, `{"access_token":"second"}`))
		first := newToken("first", time.Hour)
		ahead, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		go func() {
			_, _ = u.client.flight.Do(ahead, func(ctx context.Context) (*Token, error) {
				<-ctx.Done()
				u.client.keep(first)
				return nil, ctx.Err()
			})
		}()
		synctest.Wait()

		got, fault := u.client.Token(t.Context(), nil)

		if fault != nil || got != first || len(u.requests()) > 0 {
			t.Errorf("got %v and %v after %d requests, want the token at hand", got, fault, len(u.requests()))
		}
	})
}

func TestFreshToken_replacesAGoodOne(t *testing.T) {
	inBubble(t, Options{}, func(t *testing.T, u *upstream) {
		u.plays(answers(200, `{"access_token":"first"}`), answers(200, `{"access_token":"second"}`))
		first, _ := u.client.Token(t.Context(), nil)

		fresh, fault := u.client.FreshToken(t.Context())
		later, _ := u.client.Token(t.Context(), nil)

		if fault != nil || fresh == first || later != fresh || len(u.requests()) != 2 {
			t.Errorf("got %v; fresh is the first one: %t, and is reused: %t, after %d requests", fault, fresh == first, later == fresh, len(u.requests()))
		}
	})
}

func TestDo_opensAnotherConnectionAfterALongRest(t *testing.T) {
	inBubble(t, Options{}, func(t *testing.T, u *upstream) {
		u.plays(answers(200, `{"response":{"status":200,"message":"Api secret has already been activated","error":false}}`))
		token := &Token{value: Hide("token"), expires: time.Now().Add(time.Hour)}
		call := func() {
			if _, fault := u.client.Do(t.Context(), apisecret.Enable, 5, token); fault != nil {
				t.Fatal(fault)
			}
		}

		call()
		time.Sleep(40 * time.Second)
		call()
		early := u.connections
		time.Sleep(61 * time.Second)
		call()

		if early != 1 || u.connections != 2 {
			t.Errorf("got %d connections after a rest of 40 s and %d after one of 61 s, want 1 and 2", early, u.connections)
		}
	})
}

// What is no HTTP, or ends within its header, is a reply, if no good one: somebody is
// there.
func TestDo_takesAMalformedReplyForOne(t *testing.T) {
	for said, want := range map[string]apisecret.Code{
		"no HTTP\r\n\r\n": apisecret.UnexpectedResponse, "HTTP/1.1 twohundred OK\r\n\r\n": apisecret.UnexpectedResponse,
		"HTTP/1.1 200 OK\r\nno header\r\n\r\n": apisecret.UnexpectedResponse, "HTTP/1.1 200 OK\r\ntls: unsupported protocol version\r\n\r\n": apisecret.UnexpectedResponse,
		"HTTP/1.1 200 OK\r\n failed to parse certificate from server\r\n\r\n": apisecret.UnexpectedResponse, "HTTP/1.1 200 OK\r\nprotocol version not supported\r\n\r\n": apisecret.UnexpectedResponse, "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n": apisecret.UpstreamInvalidResponse,
		"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n": apisecret.UnexpectedResponse, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n": apisecret.UnexpectedResponse,
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n": apisecret.UnexpectedResponse, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n": apisecret.UnexpectedResponse,
	} {
		inBubble(t, Options{}, func(t *testing.T, u *upstream) {
			u.plays(func(w http.ResponseWriter, _ *http.Request) {
				conn, _, err := http.NewResponseController(w).Hijack()
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = io.WriteString(conn, said)
				_ = conn.Close()
			})

			_, fault := u.client.Do(t.Context(), apisecret.Enable, 5, &Token{value: Hide("token"), expires: time.Now().Add(time.Hour)})

			if fault == nil || fault.Code != want || fault.Cause == apisecret.NoReply {
				t.Errorf("%q: got %+v, want %s", said, fault, want)
			}
		})
	}
}

// What follows a change of protocols is a connection, which knows of no attempt's limit.
func TestDo_waitsForNothingBehindAChangeOfProtocols(t *testing.T) {
	inBubble(t, Options{AttemptTimeout: 3 * time.Second}, func(t *testing.T, u *upstream) {
		u.plays(func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\n")
			_ = conn.SetReadDeadline(time.Now().Add(time.Hour))
			_, _ = conn.Read(make([]byte, 1))
			_ = conn.Close()
		})
		began := time.Now()

		_, fault := u.client.Do(t.Context(), apisecret.Enable, 5, &Token{value: Hide("token"), expires: time.Now().Add(time.Hour)})

		if took := time.Since(began); fault == nil || fault.Code != apisecret.UnexpectedResponse || fault.HTTPStatus != 101 || took > 3*time.Second {
			t.Errorf("got %+v after %v, want unexpected_response with 101 within the attempt's limit", fault, took)
		}
	})
}

// Where one connection broke, the idle ones beside it are not trusted either.
func TestDo_opensAnotherConnectionAfterOneBroke(t *testing.T) {
	inBubble(t, Options{AttemptTimeout: 3 * time.Second}, func(t *testing.T, u *upstream) {
		const already = `{"response":{"status":200,"message":"Api secret has already been activated","error":false}}`
		slow := func(w http.ResponseWriter, r *http.Request) { time.Sleep(time.Second); answers(200, already)(w, r) }
		u.plays(slow, slow, hangs, answers(200, already))
		token := &Token{value: Hide("token"), expires: time.Now().Add(time.Hour)}
		var group sync.WaitGroup
		for range 2 { // so that there are two connections
			group.Go(func() { _, _ = u.client.Do(t.Context(), apisecret.Enable, 5, token) })
		}
		group.Wait()
		if u.connections != 2 {
			t.Fatalf("got %d connections for two calls at once, want 2", u.connections)
		}

		_, first := u.client.Do(t.Context(), apisecret.Enable, 5, token)
		_, second := u.client.Do(t.Context(), apisecret.Enable, 5, token)

		if first == nil || first.Cause != apisecret.NoReply || second != nil || u.connections != 3 {
			t.Errorf("got %v, then %v, over %d connections; want the second call over a third one", first, second, u.connections)
		}
	})
}

// The transport's own timer stands still while Lambda freezes the process; the
// wall clock does not.
func TestDo_opensAnotherConnectionAfterAFreeze(t *testing.T) {
	inBubble(t, Options{}, func(t *testing.T, u *upstream) {
		u.plays(answers(200, `{"response":{"status":200,"message":"Api secret has already been activated","error":false}}`))
		token := &Token{value: Hide("token"), expires: time.Now().Add(time.Hour)}
		u.client.transport.IdleConnTimeout = 0 // a timer that never fires
		for range 2 {
			if _, fault := u.client.Do(t.Context(), apisecret.Enable, 5, token); fault != nil {
				t.Fatal(fault)
			}
			time.Sleep(time.Hour)
		}

		if u.connections != 2 {
			t.Errorf("got %d connections, want 2", u.connections)
		}
	})
}

func TestWait_growsWithFullJitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for made, longest := range map[int]time.Duration{
			1: 100 * time.Millisecond, 2: 200 * time.Millisecond, 3: 400 * time.Millisecond, 6: 3200 * time.Millisecond, 7: 5 * time.Second, 90: 5 * time.Second,
		} {
			var total, most time.Duration
			for range 500 {
				began := time.Now()
				if !(Retry{MaxAttempts: 100}).Wait(t.Context(), made, 0) {
					t.Fatalf("after %d attempts: got no other", made)
				}
				took := time.Since(began)
				total, most = total+took, max(most, took)
			}
			if mean := total / 500; most > longest || most < longest*9/10 || mean < longest*4/10 || mean > longest*6/10 {
				t.Errorf("after %d attempts: got waits of %s on average and %s at most, want half of %s and up to it", made, mean, most, longest)
			}
		}
	})
}

func TestWait_addsItsJitterToWhatTheUpstreamAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, asked := range []time.Duration{firstBackoff / 2, time.Minute} {
			var longest time.Duration
			for range 200 {
				began := time.Now()

				again := Retry{MaxAttempts: 2}.Wait(t.Context(), 1, asked)

				took := time.Since(began)
				if !again || took < asked || took > asked+firstBackoff {
					t.Fatalf("asked for %s: got %t after %s, want another attempt then and a little later", asked, again, took)
				}
				longest = max(longest, took)
			}
			if longest < asked+firstBackoff*9/10 {
				t.Errorf("asked for %s: got %s at most in 200 waits, want up to %s more", asked, longest, firstBackoff)
			}
		}
	})
}

func TestWait_endsAtOnceWhereThereIsNoOtherAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		soon, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		for _, row := range []struct {
			name  string
			retry Retry
			made  int
			asked time.Duration
		}{
			{"all attempts made", Retry{MaxAttempts: 4}, 4, 0},
			{"more than all", Retry{MaxAttempts: 4}, 5, 0},
			{"the zero value", Retry{}, 1, 0},
			{"no time left", Retry{MaxAttempts: 4}, 1, 30 * time.Second},
			{"far too long", Retry{MaxAttempts: 4}, 1, 24 * time.Hour},
		} {
			began := time.Now()

			again := row.retry.Wait(soon, row.made, row.asked)

			if took := time.Since(began); again || took != 0 {
				t.Errorf("%s: got %t after %s, want false at once", row.name, again, took)
			}
		}
	})
}

func TestSleep_endsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		began := time.Now()
		time.AfterFunc(time.Second, cancel)

		slept := Sleep(ctx, time.Minute)

		if took := time.Since(began); slept || took != time.Second {
			t.Errorf("cancelled after a second: got %t after %s, want false", slept, took)
		}
		if Sleep(ctx, 0) {
			t.Error("with an ended context: got true")
		}
		if !Sleep(t.Context(), time.Hour) || time.Since(began) != time.Second+time.Hour {
			t.Error("without a deadline: want an hour's sleep")
		}
	})
}
