package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"syscall"
	"time"

	"segura-enable/simulated/runtimeapi"
	"segura-enable/simulated/seguratest"
)

// round is one invocation, or several at once, in one weather; or, with none, init.
type round struct {
	weather  weather
	recovery bool // everything is in order and must succeed

	may     effects // of the weather, and of the weather before
	answers []*answer
	began   time.Time
	before  map[int64]seguratest.APISecret
	after   map[int64]seguratest.APISecret
	entries []seguratest.Request // what Segura was asked meanwhile
	reads   int                  // of the AWS secret
	lag     time.Duration        // how late the machine was meanwhile, in all
}

// late reports whether the machine was too slow for attempts to be in time; then
// connections break with them.
func (w *world) late(x *round) bool { return x.lag > w.config.attemptTimeout/4 }

// live runs the world from its first round to its last.
func (w *world) live() {
	r := w.random
	x := &round{}
	if r.IntN(2) == 0 {
		x.weather = w.forecast(r, time.Second)
		x.weather.freeze = 0
	}
	w.apply(x.weather)
	var err error
	w.observe(x, func() { err = w.start() })
	if err != nil {
		w.report(x, nil, "init does not fail for what is remote", "%v", err)
		return
	}
	if took := w.function.InitDuration(); took > 2500*time.Millisecond+x.lag {
		w.report(x, nil, "init takes 2 s at most", "it took %v", took)
	}
	w.judge(x)
	w.lingering = x.weather.effects
	for n := 4 + r.IntN(8); n > 0 && len(w.violations) == 0; n-- {
		w.oneRound(r)
		if (n == 1 || r.IntN(4) == 0) && len(w.violations) == 0 {
			w.recover(r)
		}
	}
	w.checkLife()
}

// oneRound makes a request or several, in some weather.
func (w *world) oneRound(r *rand.Rand) {
	if r.IntN(2) == 0 {
		w.heal(r.IntN(4) == 0)
		stale := w.lingering.is(wire)
		w.lingering = effects{}
		if stale { // connections may have died unnoticed
			w.lingering = effects{wire, []string{unreachable, invalidResponse, upstreamTimeout}}
		}
	}
	limit := between(r, time.Duration(choose(r, 100, 800))*time.Millisecond, 4*time.Second).Round(time.Millisecond)
	x := &round{weather: w.forecast(r, limit)}
	w.change(x.weather)
	n, action := 1, choose(r, "enable", "enable", "disable")
	if w.config.atOnce > 1 && r.IntN(2) == 0 {
		n = 2 + r.IntN(w.config.atOnce+1)
	}
	var requests []request
	for range n { // all of one action, or nobody could say what should be afterwards
		requests = append(requests, w.draw(r, limit, action))
	}
	if n == 1 && r.IntN(6) == 0 {
		requests[0] = w.odd(r, limit)
	}
	w.invoke(x, requests...)
	w.judge(x)
	w.lingering = x.may
}

// change makes the weather, perhaps while the process is frozen, as it is on
// Lambda between two invocations.
func (w *world) change(o weather) {
	if o.freeze > 0 {
		_ = w.function.Signal(syscall.SIGSTOP)
		defer func() {
			time.Sleep(o.freeze)
			_ = w.function.Signal(syscall.SIGCONT)
		}()
	}
	w.apply(o)
}

// pid is the function's; 0 before it is started.
func (w *world) pid() int {
	if w.function == nil {
		return 0
	}
	return w.function.PID()
}

// observe does something and notes what happened meanwhile.
func (w *world) observe(x *round, do func()) {
	x.may = w.lingering.with(x.weather.effects)
	x.before = w.segura.States()
	from, reads := w.segura.Count(""), w.secrets.Reads()
	then := machine.now(w.pid())
	x.began = time.Now()

	do()

	w.settle()
	x.lag = machine.since(then, w.pid())
	x.after, x.reads = w.segura.States(), w.secrets.Reads()-reads
	for _, e := range w.segura.Requests()[from:] {
		if !e.Time.Before(x.began) {
			x.entries = append(x.entries, e)
		}
	}
}

// invoke makes the requests at once and collects what came of them.
func (w *world) invoke(x *round, requests ...request) {
	x.answers = make([]*answer, len(requests))
	w.observe(x, func() {
		ended := make(chan struct{})
		var group, later sync.WaitGroup
		for _, incident := range x.weather.incidents {
			if incident.at > 0 {
				later.Go(func() {
					select {
					case <-time.After(incident.at):
					case <-ended:
					}
					incident.do()
				})
			}
		}
		for i, q := range requests {
			group.Go(func() {
				a := &answer{request: q}
				a.Invocation, _ = w.function.Invoke(context.Background(), q.payload, runtimeapi.WithTimeout(q.timeout), runtimeapi.WithGrace(grace))
				x.answers[i] = a
			})
		}
		group.Wait()
		close(ended)
		later.Wait()
	})
	w.invocations += len(requests)
	for _, a := range x.answers {
		fmt.Fprintf(&w.said, "%s\n%s\n%s\n%s\n", a.Payload, a.ErrorType, a.ErrorMessage, a.XRayCause)
	}
}

// recover ends all faults; the very next invocation must succeed.
func (w *world) recover(r *rand.Rand) {
	leave := w.config.maxAttempts >= 4 && r.IntN(2) == 0
	w.heal(leave)
	w.settle()
	if r.IntN(3) == 0 {
		w.change(weather{freeze: between(r, time.Millisecond, time.Second)})
	}
	for again := 0; again < 6; again++ {
		x := &round{recovery: true}
		w.invoke(x, w.draw(r, 15*time.Second, choose(r, "enable", "disable")))
		w.judge(x)
		if w.allIsWell(x) {
			break
		}
		if w.late(x) {
			w.excuse("no recovery, with %v late", x.lag)
			continue
		}
		if w.config.maxAttempts == 1 && again == 0 {
			continue // a connection that died is noticed by the one call that is lost with it
		}
		w.report(x, x.answers[0], "after the faults stop, the very next invocation succeeds", "it did not")
		break
	}
	w.lingering = effects{}
}

// allIsWell reports whether each identifier fared as its state has it.
func (w *world) allIsWell(x *round) bool {
	a := x.answers[0]
	for _, i := range a.request.identifiers {
		if a.audit[i].Code != w.expected(x, i) {
			return false
		}
	}
	return !a.TimedOut && len(a.audit) == len(a.request.identifiers)
}

// expected is the code that an identifier fails with where all is in order.
func (w *world) expected(x *round, i int64) string {
	state, known := x.before[i]
	switch {
	case !w.config.isAllowed(i):
		return notAllowed
	case !known && !w.config.segura.AnyIdentifier || state.Missing:
		return notFound
	case state.Forbidden:
		return accessDenied
	default:
		return ""
	}
}

// report notes a violation with all that it takes to understand it.
func (w *world) report(x *round, a *answer, invariant, format string, args ...any) {
	if len(w.violations) > 1 {
		return // the first ones say enough
	}
	var b strings.Builder
	fmt.Fprintf(&b, format+"\n", args...)
	fmt.Fprintf(&b, "world:   %v\nweather: %v\nbefore:  %+v\nmachine: %v late in all\n", w.config, &x.weather, w.lingering, x.lag)
	fmt.Fprintf(&b, "Segura:  %d requests, and %d reads of the AWS secret\n", len(x.entries), x.reads)
	for _, e := range x.entries[:min(80, len(x.entries))] {
		fmt.Fprintf(&b, "  %v %s %d: %d, %q (%s, connection %d, ended after %v)\n", e.Time.Sub(x.began).Round(100*time.Microsecond),
			e.Kind, e.Identifier, e.Status, e.Fault, e.Proto, e.Connection, took(e).Round(100*time.Microsecond))
	}
	for _, one := range x.answers {
		if a != nil && one != a {
			continue
		}
		fmt.Fprintf(&b, "asked:   %s %s in %v: %.1500s\n", one.RequestID, one.request.action, one.request.timeout, one.request.payload)
		fmt.Fprintf(&b, "answer:  after %v: error %q: %.3000s\n", one.Duration, one.ErrorType, one.Payload)
		for _, text := range one.Logs {
			if !strings.Contains(text, `"_aws"`) && b.Len() < 40_000 {
				fmt.Fprintf(&b, "  %.500s\n", text)
			}
		}
	}
	w.violated(invariant, "%s", b.String())
}
