package chaos

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"segura-enable/simulated/seguratest"
	"segura-enable/simulated/stage"
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
func (w *world) invoke(t *testing.T, q request) (*round, *answer) {
	t.Helper()
	x := &round{recovery: true}
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

// A Segura that is dead, in whatever way, ends a request for a thousand identifiers
// soon: no identifier waits for its own attempts to fail, few connections are made,
// each failure is worth repeating, and the next invocation finds out that it is back.
func TestDeadWorld_endsARequestSoon(t *testing.T) {
	t.Parallel()
	refuses := func(how seguratest.Refused) func(*world) {
		return func(w *world) {
			w.wires.drop(true)
			_ = w.segura.RefuseConnections(how)
		}
	}
	plays := func(kind seguratest.Kind, fault seguratest.Fault) func(*world) {
		return func(w *world) { w.segura.Fail(seguratest.Match{Kind: kind}, fault, -1) }
	}
	for name, row := range map[string]struct {
		dies  func(*world)
		quiet bool // attempts end by their timeout only, and are fewer
		long  bool // for make chaos
		cold  bool // no token is at hand
	}{
		"nobody listens":                      {dies: refuses(seguratest.NotListening)},
		"nobody has ever listened":            {dies: refuses(seguratest.NotListening), cold: true, long: true},
		"connections are reset":               {dies: refuses(seguratest.ResetOnAccept), long: true},
		"connections have always been reset":  {dies: refuses(seguratest.ResetOnAccept), cold: true},
		"connections have never spoken HTTPS": {dies: refuses(seguratest.PlainOnAccept), cold: true, long: true},
		"connections say nothing":             {dies: refuses(seguratest.SilentOnAccept), quiet: true},
		"calls hang":                          {dies: plays(seguratest.KindEnable, seguratest.Hang()), quiet: true},
		"calls hang mid-body":                 {dies: plays(seguratest.KindEnable, seguratest.HangMidBody()), quiet: true, long: true},
		"calls drip":                          {dies: plays(seguratest.KindEnable, seguratest.SlowDrip(20*time.Millisecond)), quiet: true, long: true},
		"token requests hang":                 {dies: plays(seguratest.KindToken, seguratest.Hang()), quiet: true, cold: true},
		"the wires are dead": {quiet: true, long: true, dies: func(w *world) {
			w.wires.become(roughness{1, []hazard{{name: "silent", silent: true}}})
			w.wires.drop(true)
		}},
	} {
		if row.long && !full() {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := plain(t, func(c *config) { c.attemptTimeout = time.Second })
			if row.cold {
				w.segura.RevokeTokens()
			}
			row.dies(w)
			connections := w.wires.connections()

			x, a := w.invoke(t, upTo(1000, 60*time.Second))

			longest, most := 20*time.Second+x.lag, 250
			if row.quiet {
				longest, most = 8*time.Second+x.lag, 60
			}
			made := w.wires.connections() - connections
			if a.Duration > longest || made > most || a.attempts() > most {
				t.Errorf("took %v, %d connections and %d attempts, want at most %v, %d and %d", a.Duration, made, a.attempts(), longest, most, most)
			}
			if failed := a.failed(); failed[unreachable]+failed[upstreamTimeout] != 1000 || a.ErrorType != "Segura.TransientError" ||
				slices.ContainsFunc(a.said.Result.Results, func(one stage.Item) bool { return !one.Error.Retryable }) {
				t.Errorf("got %s and the failures %v, want all 1000 to be retryable", a.ErrorType, failed)
			}

			w.segura.ClearFaults()
			w.heal(false)
			x, a = w.invoke(t, upTo(50, 30*time.Second))
			for again := 0; len(a.failed()) > 0 && x.lag > w.config.attemptTimeout/2 && again < 3; again++ {
				x, a = w.invoke(t, upTo(50, 30*time.Second)) // the machine was too busy
			}
			if len(a.failed()) > 0 {
				t.Errorf("afterwards: got %v, want no failures\n%s", a.failed(), excerpt(a.Logs))
			}
		})
	}
}
