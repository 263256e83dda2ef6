package chaos

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"segura-enable/simulated/seguratest"
)

// plain is a world without weather: the event function, and a Segura that has
// every identifier.
func plain(t *testing.T, change func(*config)) *world {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 1))
	c := config{
		door: event, attemptTimeout: 10 * time.Second, maxAttempts: 4, concurrency: 8, ttl: 5 * time.Minute, lifetime: time.Hour, atOnce: 1,
		isAllowed: func(int64) bool { return true },
		segura: seguratest.Options{AnyIdentifier: true, BasePath: "/pam", ClientID: "chaos-client-of-a-plain-world", ClientSecret: "chaos-secret-of-a-plain-world",
			APISecrets: map[int64]seguratest.APISecret{}},
	}
	change(&c)
	w, err := newWorldOf(1, r, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.close)
	if err := w.startFunction(); err != nil {
		t.Fatal(err)
	}
	if err := w.function.WaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	return w
}

// full reports whether this is `make chaos`, which has time for every row.
func full() bool { return *invocations > 0 }

// hurried reports whether the row is one that go test has no time for: all are that
// but these few.
func hurried(name string, brief ...string) bool {
	return !full() && !slices.Contains(brief, name)
}

// upTo is a request for the identifiers from 1 on.
func upTo(last int64, timeout time.Duration) request {
	q := request{action: "enable", timeout: timeout}
	for i := int64(1); i <= last; i++ {
		q.identifiers = append(q.identifiers, i)
	}
	q.payload = []byte(`{"identifiers":[` + joined(q.identifiers) + `]}`)
	return q
}

// invoke makes one request and checks the form of what comes.
func (w *world) invoke(t *testing.T, o weather, q request) (*round, *answer) {
	t.Helper()
	x := &round{weather: o, recovery: true}
	w.make(x, []request{q})
	a := x.answers[0]
	w.judgeProcess(x)
	w.judgeForm(x, a)
	w.judgeTruth(x)
	w.judgeReach(x)
	if len(w.violations) > 0 {
		t.Fatalf("%.20000s", strings.Join(w.violations, "\n"))
	}
	return x, a
}

// attempts are all that were made for the request.
func (a *answer) attempts() (sum int) {
	for _, l := range a.audit {
		sum += l.Attempts
	}
	return sum
}

// failed are the codes of what failed, with how often.
func (a *answer) failed() map[string]int {
	codes := map[string]int{}
	for _, l := range a.audit {
		if l.Code != "" {
			codes[l.Code]++
		}
	}
	return codes
}

// allRetryable fails the test unless every identifier failed with a code that is
// worth another try, and says so where the answer shows it.
func allRetryable(t *testing.T, a *answer, codes ...string) {
	t.Helper()
	left := len(a.audit)
	for _, code := range codes {
		left -= a.failed()[code]
	}
	if left != 0 || a.ErrorType != "Segura.TransientError" {
		t.Errorf("got %s and the failures %v; want a transient error, and all %d to fail with one of %v", a.ErrorType, a.failed(), len(a.audit), codes)
	}
	for _, one := range a.result.Results {
		if one.Error == nil || !one.Error.Retryable {
			t.Errorf("identifier %d: got %+v (%+v), want a retryable failure", one.Identifier, one, one.Error)
			return
		}
	}
}

func TestDeadWorld_refusedConnectionsEndARequestSoon(t *testing.T) {
	t.Parallel()
	brief := []string{"nobody listens", "connections have always been reset"}
	for name, row := range map[string]struct {
		how     seguratest.Refused
		warm    bool // a token is at hand
		timeout time.Duration
	}{
		"nobody listens":                      {seguratest.NotListening, true, 0},
		"nobody listens, shorter attempts":    {seguratest.NotListening, true, time.Second},
		"nobody has ever listened":            {seguratest.NotListening, false, 0},
		"connections are reset":               {seguratest.ResetOnAccept, true, time.Second},
		"connections speak something else":    {seguratest.PlainOnAccept, true, time.Second},
		"connections have always been reset":  {seguratest.ResetOnAccept, false, time.Second},
		"connections have never spoken HTTPS": {seguratest.PlainOnAccept, false, time.Second},
	} {
		if hurried(name, brief...) {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := plain(t, func(c *config) {
				c.byDefault = row.timeout == 0
				if row.timeout > 0 {
					c.attemptTimeout = row.timeout
				}
			})
			if !row.warm {
				w.segura.RevokeTokens()
			}
			w.wires.drop(true)
			w.refuse(row.how)
			connections, _ := w.wires.counts()

			x, a := w.invoke(t, weather{}, upTo(1000, 60*time.Second))

			allRetryable(t, a, unreachable, upstreamTimeout)
			if most := 20*time.Second + x.lag; a.Duration > most {
				t.Errorf("took %v, want under %v", a.Duration, most)
			}
			after, _ := w.wires.counts()
			if got, most := after-connections, 250; got > most || a.attempts() > most {
				t.Errorf("%d connections and %d attempts, want at most %d", got, a.attempts(), most)
			}
			t.Logf("%v, %d connections, %d attempts", a.Duration, after-connections, a.attempts())

			w.accept()
			w.recovers(t)
		})
	}
}

// recovers: once Segura is back, the next invocation does all there is to do.
func (w *world) recovers(t *testing.T) {
	t.Helper()
	x, a := w.invoke(t, weather{}, upTo(50, 30*time.Second))
	for again := 0; len(a.failed()) > 0 && x.lag > w.config.attemptTimeout/2 && again < 3; again++ {
		x, a = w.invoke(t, weather{}, upTo(50, 30*time.Second)) // the machine was too busy
	}
	if len(a.failed()) > 0 || len(a.audit) != 50 {
		t.Errorf("afterwards: got %v of %d, want no failures\n%s", a.failed(), len(a.audit), failures(a))
	}
}

func TestDeadWorld_silenceEndsARequestSoon(t *testing.T) {
	t.Parallel()
	catalogue := map[string]int{}
	for at, m := range mishaps(plainCatalogue(t)) {
		catalogue[m.name] = at
	}
	for _, timeout := range []time.Duration{500 * time.Millisecond, time.Second} {
		if timeout == time.Second && !full() {
			continue
		}
		for name, silence := range map[string]func(*world){
			"connections say nothing": func(w *world) { w.refuse(seguratest.SilentOnAccept) },
			"calls hang":              func(w *world) { w.fate.become(1, storm{1, []int{catalogue["a hang"]}}, storm{}) },
			"calls hang mid-body":     func(w *world) { w.fate.become(1, storm{1, []int{catalogue["a hang mid-body"]}}, storm{}) },
			"calls drip":              func(w *world) { w.fate.become(1, storm{1, []int{catalogue["a slow drip"]}}, storm{}) },
			"token requests hang": func(w *world) {
				w.segura.RevokeTokens()
				w.fate.become(1, storm{}, storm{1, []int{catalogue["a hang"]}})
			},
			"the wires are dead": func(w *world) {
				w.wires.become(roughness{1, []hazard{{name: "silent", silent: true}}})
				w.wires.drop(true)
			},
		} {
			if hurried(name, "connections say nothing", "calls hang", "token requests hang") {
				continue
			}
			t.Run(fmt.Sprintf("%s, %v", name, timeout), func(t *testing.T) {
				t.Parallel()
				w := plain(t, func(c *config) { c.attemptTimeout = timeout })
				connections, _ := w.wires.counts()
				silence(w)

				x, a := w.invoke(t, weather{}, upTo(1000, 60*time.Second))

				allRetryable(t, a, upstreamTimeout, unreachable)
				if most := 8*timeout + x.lag; a.Duration > most {
					t.Errorf("took %v, want under %v", a.Duration, most)
				}
				after, _ := w.wires.counts()
				if got, most := after-connections, 60; got > most || a.attempts() > most {
					t.Errorf("%d connections and %d attempts, want at most %d", got, a.attempts(), most)
				}
				t.Logf("%v, %d connections, %d attempts", a.Duration, after-connections, a.attempts())

				w.heal(false)
				w.recovers(t)
			})
		}
	}
}

// plainCatalogue is a world for the sake of the catalogue's order.
func plainCatalogue(t *testing.T) *world {
	t.Helper()
	server, err := seguratest.New(seguratest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	return &world{segura: server}
}

func TestTwelveFaults_loseNothing(t *testing.T) {
	t.Parallel()
	calls := seguratest.Match{Kind: seguratest.KindEnable}
	spread := func(faults ...seguratest.Fault) func(*seguratest.Server) {
		return func(s *seguratest.Server) {
			for n := range 12 {
				s.Fail(seguratest.Match{Kind: seguratest.KindEnable, Identifier: int64(1 + 33*n)}, faults[n%len(faults)], 1)
			}
		}
	}
	for name, arrange := range map[string]func(*seguratest.Server){
		"gateway faults here and there": spread(seguratest.Gateway502(), seguratest.Gateway503(), seguratest.Gateway504()),
		"gateway faults after the change was made": spread(seguratest.Gateway502().AfterApplying(), seguratest.Gateway503().AfterApplying(),
			seguratest.Gateway504().AfterApplying()),
		"gateway faults one after the other": func(s *seguratest.Server) {
			s.Fail(calls, seguratest.Gateway502(), 4)
			s.Fail(calls, seguratest.Gateway503(), 4)
			s.Fail(calls, seguratest.Gateway504(), 4)
		},
		"three gateway faults for each of four": func(s *seguratest.Server) {
			for i := range int64(4) {
				s.Fail(seguratest.Match{Kind: seguratest.KindEnable, Identifier: 100 + i}, seguratest.Gateway502(), 3)
			}
		},
		"resets here and there":  spread(seguratest.ResetConnection()),
		"ends of the stream":     spread(seguratest.ResetStream()),
		"hangs here and there":   spread(seguratest.Hang()),
		"GOAWAYs here and there": spread(seguratest.GoAway()),
		"half replies":           spread(seguratest.CutShort(), seguratest.CutChunked(), seguratest.CutJSON(), seguratest.ResetMidBody()),
		"a refused token":        func(s *seguratest.Server) { s.Fail(calls, seguratest.TokenRefused(seguratest.RefusedByGateway), 1) },
		"rate limits":            spread(seguratest.Gateway429(), seguratest.Gateway429().WithHeader("Retry-After", "0")),
		"faults of the token's, too": func(s *seguratest.Server) {
			s.RevokeTokens()
			s.Fail(seguratest.Match{Kind: seguratest.KindToken}, seguratest.Gateway502(), 3)
		},
	} {
		for _, old := range []bool{false, true} {
			if old && !full() {
				continue
			}
			if hurried(name, "gateway faults here and there", "gateway faults one after the other", "resets here and there") {
				continue
			}
			t.Run(fmt.Sprintf("%s, HTTP/1.1 only %v", name, old), func(t *testing.T) {
				t.Parallel()
				w := plain(t, func(c *config) {
					c.attemptTimeout = time.Second
					c.segura.TLS.HTTP1Only = old
				})
				arrange(w.segura)

				_, a := w.invoke(t, weather{}, upTo(400, 60*time.Second))

				if len(a.failed()) > 0 || len(a.audit) != 400 {
					t.Errorf("got %v of %d, want no failures\n%s", a.failed(), len(a.audit), failures(a))
				}
				for i := range int64(400) {
					if !w.segura.Active(i + 1) {
						t.Errorf("identifier %d is not active", i+1)
					}
				}
			})
		}
	}
}

// failures are the audit lines of what failed.
func failures(a *answer) string {
	var lines []string
	for _, text := range a.Logs {
		if strings.Contains(text, `"outcome":"failed"`) {
			lines = append(lines, text)
		}
	}
	return excerpt(lines, 10)
}

func TestSegura_isNoticedWhenItComesBack(t *testing.T) {
	t.Parallel()
	for name, how := range map[string]seguratest.Refused{
		"nobody listens for a while":        seguratest.NotListening,
		"connections are reset for a while": seguratest.ResetOnAccept,
		"connections hang for a while":      seguratest.SilentOnAccept,
	} {
		if hurried(name, "connections hang for a while") {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := plain(t, func(c *config) {
				c.attemptTimeout = 3 * time.Second
				c.segura.Latency.Call = 10 * time.Millisecond
			})
			o := weather{during: []happening{
				{"away", 300 * time.Millisecond, func() { w.refuse(how) }},
				{"back", 1100 * time.Millisecond, w.accept},
			}}

			x, a := w.invoke(t, o, upTo(400, 60*time.Second))

			if x.lag > 2*time.Second {
				t.Skipf("the machine is too busy: %v late, so that it was away for longer than it should", x.lag)
			}
			// Those that were under way while nobody was there may have been given up.
			lost := 0
			for _, n := range a.failed() {
				lost += n
			}
			if lost > 30 {
				t.Errorf("got %v, want 30 failures at most\n%s", a.failed(), failures(a))
			}
			for i := int64(350); i <= 400; i++ {
				if !a.audit[i].succeeded() {
					t.Errorf("identifier %d: got %+v, want it enabled, with Segura back", i, a.audit[i])
					break
				}
			}
			t.Logf("%d lost in %v", lost, a.Duration)
			w.recovers(t)
		})
	}
}

func TestTokens_revokedTwiceInOneInvocationLoseNothing(t *testing.T) {
	t.Parallel()
	w := plain(t, func(c *config) { c.segura.Latency.Call = 10 * time.Millisecond })
	o := weather{during: []happening{
		{"revoked", 200 * time.Millisecond, w.segura.RevokeTokens},
		{"revoked again", 700 * time.Millisecond, w.segura.RevokeTokens},
	}}

	x, a := w.invoke(t, o, upTo(600, 60*time.Second))

	if len(a.failed()) > 0 {
		t.Errorf("got %v, want no failures: each new token was as good as the one before\n%s", a.failed(), failures(a))
	}
	if got := len(tokenRequests(x)); got > 4 {
		t.Errorf("got %d token requests for two revocations, want 4 at most", got)
	}
}

func tokenRequests(x *round) (list []entry) {
	for _, e := range x.entries {
		if e.Kind == seguratest.KindToken {
			list = append(list, e)
		}
	}
	return list
}

func TestRotation_withoutTimeToReadIsWorthRepeating(t *testing.T) {
	t.Parallel()
	w := plain(t, func(*config) {})
	next := w.nextSecret()
	w.rotateSegura(next)
	w.putSecret(next)
	w.segura.RevokeTokens()
	w.secrets.Delay(2*time.Second, 1)

	_, a := w.invoke(t, weather{}, upTo(1, 1200*time.Millisecond))

	if a.ErrorType != "Segura.TransientError" {
		t.Errorf("got %s %v, want it worth repeating: the new secret was not read yet\n%s", a.ErrorType, a.failed(), failures(a))
	}
	w.secrets.ClearFaults()
	if _, a := w.invoke(t, weather{}, upTo(3, 10*time.Second)); len(a.failed()) > 0 {
		t.Errorf("the next invocation: got %v, want no failures\n%s", a.failed(), failures(a))
	}
}
