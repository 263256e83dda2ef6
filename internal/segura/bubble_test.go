package segura

import (
	"cmp"
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"segura-enable/internal/apisecret"
)

// The tests of this file wait for minutes and hours in no time, inside a bubble of
// testing/synctest. The network would keep its clock from moving on, so the client
// speaks through pipes in memory here, and without TLS.

// upstream is a scripted Segura in memory, and the listener of its server.
type upstream struct {
	client      *Client
	began       time.Time
	dialed      chan net.Conn
	requests    atomic.Int32
	connections atomic.Int32

	mu     sync.Mutex
	script []http.HandlerFunc // one for each request; the last one goes on
}

func (u *upstream) Accept() (net.Conn, error) {
	if c, ok := <-u.dialed; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}

func (u *upstream) Close() error { close(u.dialed); return nil }

func (u *upstream) Addr() net.Addr { return &net.UnixAddr{Name: "pipes"} }

func (u *upstream) dial(context.Context, string, string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	u.connections.Add(1)
	u.dialed <- theirs
	return ours, nil
}

// inBubble runs a test inside a bubble, with a client of a scripted Segura.
func inBubble(t *testing.T, o Options, test func(*testing.T, *upstream)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		u := &upstream{began: time.Now(), dialed: make(chan net.Conn)}
		server := &http.Server{Handler: u, ErrorLog: log.New(io.Discard, "", 0)}
		go func() { _ = server.Serve(u) }()
		o.AttemptTimeout = cmp.Or(o.AttemptTimeout, 10*time.Second)
		o.Connections = 8
		client, err := New(good(), o)
		if err != nil {
			t.Fatal(err)
		}
		client.transport.DialTLSContext = u.dial
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
	u.requests.Add(1)
	u.mu.Lock()
	play := u.script[0]
	if len(u.script) > 1 {
		u.script = u.script[1:]
	}
	u.mu.Unlock()
	_, _ = io.Copy(io.Discard, r.Body) // until then the server does not see the client go
	play(w, r)
}

// enable makes a call that enables.
func (u *upstream) enable(t *testing.T) verdict {
	t.Helper()
	return verdictOf(u.client.Do(t.Context(), apisecret.Enable, 5, newToken("token", time.Hour)))
}

// tokens asks for so many tokens at once.
func (u *upstream) tokens(t *testing.T, n int, refused *Token) []*Token {
	t.Helper()
	all := make([]*Token, n)
	var group sync.WaitGroup
	for at := range all {
		group.Go(func() { all[at], _ = u.client.Token(t.Context(), refused) })
	}
	group.Wait()
	return all
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

func issues(token string) http.HandlerFunc { return answers(200, `{"access_token":"`+token+`"}`) }

func hangs(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// slowly answers after so long.
func slowly(d time.Duration, then http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { time.Sleep(d); then(w, r) }
}

// writes writes the bytes in place of a reply, and closes the connection once the other
// side or, where it is to stay, an hour has gone.
func writes(t *testing.T, bytes string, stays bool) http.HandlerFunc {
	t.Helper()
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = io.WriteString(conn, bytes)
		if stays {
			_ = conn.SetReadDeadline(time.Now().Add(time.Hour))
			_, _ = conn.Read(make([]byte, 1))
		}
		_ = conn.Close()
	}
}

func TestToken_isReusedUntilShortlyBeforeItExpires(t *testing.T) {
	const longest, unknown = 24*time.Hour - 10*time.Second, 290 * time.Second
	for expiresIn, lifetime := range map[string]time.Duration{
		`3600`: 3590 * time.Second, `"3600"`: 3590 * time.Second, `3600.0`: 3590 * time.Second, `3.6e3`: 3590 * time.Second,
		`60`: 54 * time.Second, `10`: 9 * time.Second, `1`: 900 * time.Millisecond,
		`86400`: longest, `1000000000`: longest, `9007199254740992`: longest,
		``: unknown, `0`: unknown, `-1`: unknown, `null`: unknown, `""`: unknown, `"soon"`: unknown, `true`: unknown, `[3600]`: unknown,
		`9e99`: unknown, `"NaN"`: unknown, `"Inf"`: unknown, `0.5`: unknown,
	} {
		inBubble(t, Options{}, func(t *testing.T, u *upstream) {
			body := `{"token_type":"Bearer","expires_in":` + expiresIn + `,"access_token":"token"}`
			if expiresIn == "" {
				body = `{"token_type":"Bearer","access_token":"token"}`
			}
			u.plays(answers(200, body))
			first := mustToken(t, u.client)

			time.Sleep(lifetime - time.Millisecond)
			before := mustToken(t, u.client)
			time.Sleep(time.Millisecond)
			after := mustToken(t, u.client)

			if before != first || after == first || u.requests.Load() != 2 {
				t.Errorf("expires_in %s: reused a millisecond before %s: %t, and then: %t, with %d requests", expiresIn, lifetime, before == first, after == first, u.requests.Load())
			}
		})
	}
}

// Lambda freezes the process, and with it the monotonic clock, which would make
// an expired token look fresh.
// Not in a bubble, whose times have no monotonic part anyway.
func TestToken_expiresOnTheWallClock(t *testing.T) {
	now, expires, compared := time.Now().String(), newToken("token", time.Minute).expires.String(), wallClock().String()
	if !strings.Contains(now, "m=") || strings.Contains(expires+compared, "m=") {
		t.Errorf("it is %s; got a token that expires at %s, compared with %s; want no monotonic part in either", now, expires, compared)
	}
}

func TestToken_isRequestedAgainAgainstTransientFaults(t *testing.T) {
	good, busy := issues("token"), answers(503, `{"message":"failure to get a peer from the ring-balancer"}`)
	refused := answers(401, `{"error":"invalid_client"}`)
	limited := func(name, value string) http.HandlerFunc {
		return answers(429, `{"message":"API rate limit exceeded"}`, name, value)
	}
	const credentials, silence = apisecret.CredentialsRefused, apisecret.NoReply
	for name, row := range map[string]struct {
		script   []http.HandlerFunc
		deadline time.Duration // the caller's; 0: none
		requests int32
		took     time.Duration // and up to a second more
		code     apisecret.Code
		cause    apisecret.Cause
	}{
		"after a 503":                  {[]http.HandlerFunc{busy, good}, 0, 2, 0, "", 0},
		"after three faults":           {[]http.HandlerFunc{busy, answers(502, ""), answers(200, `{"access_tok`), good}, 0, 4, 0, "", 0},
		"four faults":                  {[]http.HandlerFunc{busy, busy, busy, answers(504, ""), good}, 0, 4, 0, apisecret.UpstreamTimeout, 0},
		"refused credentials":          {[]http.HandlerFunc{refused, good}, 0, 1, 0, apisecret.AuthenticationFailed, credentials},
		"when the gateway asks":        {[]http.HandlerFunc{limited("Retry-After", "30"), limited("RateLimit-Reset", "7"), good}, 0, 3, 37 * time.Second, "", 0},
		"not past the deadline":        {[]http.HandlerFunc{limited("Retry-After", "30")}, 20 * time.Second, 1, 0, apisecret.RateLimited, 0},
		"the fault that took the time": {[]http.HandlerFunc{busy, hangs}, 5 * time.Second, 2, 5 * time.Second, apisecret.UpstreamError, 0},
		"no fault but the deadline":    {[]http.HandlerFunc{hangs}, 5 * time.Second, 1, 5 * time.Second, apisecret.DeadlineExceeded, 0},
		"each attempt has its limit":   {[]http.HandlerFunc{hangs}, 0, 4, 40 * time.Second, apisecret.UpstreamTimeout, silence},
	} {
		told := int32(0)
		o := Options{Retry: Retry{MaxAttempts: 4}, OnTokenCall: func(context.Context, time.Duration) { told++ }}
		inBubble(t, o, func(t *testing.T, u *upstream) {
			u.plays(row.script...)
			ctx := t.Context()
			if row.deadline > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, row.deadline)
				defer cancel()
			}

			token, fault := u.client.Token(ctx, nil)

			if took := time.Since(u.began); u.requests.Load() != row.requests || told != u.requests.Load() || took < row.took || took > row.took+time.Second {
				t.Errorf("%s: got %d requests, %d of them told, in %s; want %d in %s", name, u.requests.Load(), told, took, row.requests, row.took)
			}
			if got := tokenVerdict(token, fault); got.code != row.code || got.cause != row.cause || (row.code == "") != (got == aToken) {
				t.Errorf("%s: got %+v, want %q because of %d", name, got, row.code, row.cause)
			}
		})
	}
}

// However many ask for a token, or were refused the same one; whoever has less time than
// the request takes waits no longer than that.
func TestToken_isRequestedOnceForAllWhoAskMeanwhile(t *testing.T) {
	inBubble(t, Options{}, func(t *testing.T, u *upstream) {
		u.plays(slowly(2*time.Second, issues("first")), slowly(2*time.Second, issues("second")))
		soon, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var hasty verdict
		var waited time.Duration
		var aside sync.WaitGroup
		aside.Go(func() {
			time.Sleep(time.Millisecond)
			hasty = tokenVerdict(u.client.Token(soon, nil))
			waited = time.Since(u.began)
		})

		first := u.tokens(t, 20, nil)
		aside.Wait()
		second := u.tokens(t, 20, first[0])
		again, _ := u.client.Token(t.Context(), first[0])

		for name, all := range map[string][]*Token{"first": first, "second": append(second, again)} {
			if all[0] == nil || all[0].value.Reveal() != name || len(slices.Compact(all)) != 1 {
				t.Errorf("got %v, want the %s token for all", all, name)
			}
		}
		if hasty != transient(apisecret.DeadlineExceeded, 0) || waited != time.Second || u.requests.Load() != 2 {
			t.Errorf("got %+v after %s for the hasty one, and %d requests, want one for each token", hasty, waited, u.requests.Load())
		}
	})
}

// leads has somebody else lead the flight.
func (u *upstream) leads(ctx context.Context, work func(context.Context) (*Token, error)) {
	go func() { _, _ = u.client.flight.Do(ctx, work) }()
	synctest.Wait()
}

// A caller to whom the cached token was not refused may be ahead in the flight:
// nobody gets back the token that was refused to it.
func TestToken_neverHandsOutTheRefusedOne(t *testing.T) {
	inBubble(t, Options{}, func(t *testing.T, u *upstream) {
		u.plays(issues("second"))
		first := newToken("first", time.Hour)
		u.leads(t.Context(), func(context.Context) (*Token, error) { time.Sleep(time.Second); return first, nil })

		got, fault := u.client.Token(t.Context(), first)

		if fault != nil || got == first || got.value.Reveal() != "second" {
			t.Errorf("got %v and %v, want another one", got, fault)
		}
	})
}

// Whoever begins the flight anew, after the time of the one ahead ran out, finds the
// token that came in spite of that.
func TestToken_isNotRequestedAgainByWhoComesLate(t *testing.T) {
	inBubble(t, Options{}, func(t *testing.T, u *upstream) {
		u.plays(issues("second"))
		first := newToken("first", time.Hour)
		ahead, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		u.leads(ahead, func(ctx context.Context) (*Token, error) {
			<-ctx.Done()
			u.client.keep(first)
			return nil, ctx.Err()
		})

		got, fault := u.client.Token(t.Context(), nil)

		if fault != nil || got != first || u.requests.Load() > 0 {
			t.Errorf("got %v and %v after %d requests, want the token at hand", got, fault, u.requests.Load())
		}
	})
}

// already answers a call that enables.
var already = answers(200, `{"response":{"status":200,"message":"Api secret has already been activated","error":false}}`)

// The transport's own timer stands still while Lambda freezes the process; the
// wall clock does not.
func TestDo_opensAnotherConnectionAfterALongRestOrAFreeze(t *testing.T) {
	inBubble(t, Options{}, func(t *testing.T, u *upstream) {
		u.plays(already)
		u.client.transport.IdleConnTimeout = 0 // a timer that never fires
		for rest, want := range map[time.Duration]int32{40 * time.Second: 1, 61 * time.Second: 2, time.Hour: 2} {
			u.client.Close()
			u.connections.Store(0)

			before := u.enable(t)
			time.Sleep(rest)
			after := u.enable(t)

			if before.outcome != apisecret.AlreadyEnabled || after != before || u.connections.Load() != want {
				t.Errorf("got %+v and %+v over %d connections with a rest of %s between, want %d", before, after, u.connections.Load(), rest, want)
			}
		}
	})
}

// A kept-open connection that the other side closed meanwhile is no attempt: the call is
// made at once on a new one. Where one connection broke, the idle ones beside it are not
// trusted either.
func TestDo_opensAnotherConnectionAfterOneBroke(t *testing.T) {
	again := verdict{outcome: apisecret.AlreadyEnabled, httpStatus: 200}
	for name, row := range map[string]struct {
		broken                []http.HandlerFunc
		first, second         verdict
		requests, connections int32
	}{
		"without an answer": {[]http.HandlerFunc{hangs, already}, timedOut, again, 4, 3},
		"while it was idle": {[]http.HandlerFunc{writes(t, "", false), already}, again, again, 5, 3},
		"and new ones too":  {[]http.HandlerFunc{writes(t, "", false)}, noConnection, noConnection, 5, 4},
	} {
		inBubble(t, Options{}, func(t *testing.T, u *upstream) {
			u.plays(append([]http.HandlerFunc{slowly(time.Second, already), slowly(time.Second, already)}, row.broken...)...)
			var group sync.WaitGroup
			for range 2 { // so that there are two connections
				group.Go(func() { _ = u.enable(t) })
			}
			group.Wait()

			first, second := u.enable(t), u.enable(t)

			if first != row.first || second != row.second || u.requests.Load() != row.requests || u.connections.Load() != row.connections {
				t.Errorf("%s: got %+v, then %+v, of %d requests over %d connections; want %+v, %+v, %d, %d",
					name, first, second, u.requests.Load(), u.connections.Load(), row.first, row.second, row.requests, row.connections)
			}
		})
	}
}

// The caller's deadline is told from the attempt's own limit.
func TestDo_endsWithTheAttemptOrTheCallersDeadline(t *testing.T) {
	begins := func(w http.ResponseWriter, r *http.Request) {
		answers(200, `{"response":{`)(w, r)
		_ = http.NewResponseController(w).Flush()
		hangs(w, r)
	}
	within := timedOut
	within.httpStatus = 200
	for name, row := range map[string]struct {
		play http.HandlerFunc
		want verdict // of an attempt that runs out of time
	}{"before the reply": {hangs, timedOut}, "within the reply": {begins, within}} {
		inBubble(t, Options{AttemptTimeout: 3 * time.Second}, func(t *testing.T, u *upstream) {
			u.plays(row.play)
			soon, cancel := context.WithTimeout(t.Context(), 4*time.Second)
			defer cancel()

			first := verdictOf(u.client.Do(soon, apisecret.Enable, 5, newToken("token", 0)))
			took := time.Since(u.began)
			second := verdictOf(u.client.Do(soon, apisecret.Enable, 5, newToken("token", 0)))

			if first != row.want || second.code != apisecret.DeadlineExceeded || took != 3*time.Second || time.Since(u.began) != 4*time.Second {
				t.Errorf("%s: got %+v after %s and %+v after %s, want %+v after 3 s and deadline_exceeded after 4 s", name, first, took, second, time.Since(u.began), row.want)
			}
		})
	}
}

// What is no HTTP, or ends within its header, is a reply, if no good one: somebody is
// there. What follows a change of protocols is a connection, which knows of no
// attempt's limit.
func TestDo_takesAMalformedReplyForOne(t *testing.T) {
	const ok, header = "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
	const upgrade = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\n"
	replies := map[string]verdict{upgrade: unexpected(101), ok + "tls: unsupported protocol version\r\n\r\n": unexpected(200)}
	for _, text := range []string{
		"no HTTP\r\n\r\n", "HTTP/1.1 twohundred OK\r\n\r\n", ok + "no header\r\n\r\n",
		ok + " failed to parse certificate from server\r\n\r\n", ok + "protocol version not supported\r\n\r\n", ok + "Content-Length: -1\r\n\r\n",
		ok + "Content-Length: 5\r\nContent-Length: 6\r\n\r\n", ok + "Transfer-Encoding: gzip\r\n\r\n", ok + "Transfer-Encoding: chunked, chunked\r\n\r\n",
	} {
		replies[text] = unexpected(0)
	}
	for end := 1; end <= len(header); end++ {
		replies[header[:end]] = transient(apisecret.UpstreamInvalidResponse, 0)
	}
	for text, want := range replies {
		inBubble(t, Options{}, func(t *testing.T, u *upstream) {
			u.plays(writes(t, text, text == upgrade))

			got := u.enable(t)

			if got != want || time.Since(u.began) > 0 {
				t.Errorf("%q: got %+v after %s, want %+v at once", text, got, time.Since(u.began), want)
			}
		})
	}
}

func TestWait_growsWithFullJitterOnTopOfWhatTheUpstreamAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, row := range []struct {
			made           int
			asked, longest time.Duration
		}{
			{1, 0, firstBackoff}, {2, 0, 2 * firstBackoff}, {3, 0, 4 * firstBackoff}, {6, 0, 32 * firstBackoff}, {7, 0, 5 * time.Second}, {90, 0, 5 * time.Second},
			{1, firstBackoff / 2, firstBackoff}, {1, time.Minute, firstBackoff},
		} {
			least, most, total := time.Hour, time.Duration(0), time.Duration(0)
			for range 500 {
				began := time.Now()
				if !(Retry{MaxAttempts: 100}).Wait(t.Context(), row.made, row.asked) {
					t.Fatalf("after %d attempts: got no other", row.made)
				}
				jitter := time.Since(began) - row.asked
				least, most, total = min(least, jitter), max(most, jitter), total+jitter
			}
			if mean := total / 500; least < 0 || most > row.longest || most < row.longest*9/10 || mean < row.longest*4/10 || mean > row.longest*6/10 {
				t.Errorf("after %d attempts, asked for %s: got %s, %s on average and %s at most on top, want half of %s and up to it", row.made, row.asked, least, mean, most, row.longest)
			}
		}
	})
}

func TestWait_endsAtOnceWhereThereIsNoOtherAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		soon, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		for name, row := range map[string]struct {
			retry Retry
			made  int
			asked time.Duration
		}{
			"all attempts made": {Retry{MaxAttempts: 4}, 4, 0},
			"the zero value":    {Retry{}, 1, 0},
			"no time left":      {Retry{MaxAttempts: 4}, 1, 30 * time.Second},
		} {
			began := time.Now()

			again := row.retry.Wait(soon, row.made, row.asked)

			if took := time.Since(began); again || took != 0 {
				t.Errorf("%s: got %t after %s, want false at once", name, again, took)
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
