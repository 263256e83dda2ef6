package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"segura-enable/simulated/runtimeapi"
	"segura-enable/simulated/seguratest"
)

// round is one invocation, or several at once, in one weather.
type round struct {
	weather  weather
	answers  []*answer
	began    time.Time
	ended    time.Time
	before   map[int64]seguratest.APISecret
	after    map[int64]seguratest.APISecret
	entries  []seguratest.Request // what Segura was asked meanwhile
	reads    int                  // of the AWS secret
	lag      time.Duration        // how late the machine was meanwhile, in all
	recovery bool                 // everything is in order and must succeed

	restarted bool // a new process began, the one before having been ended
}

// live runs the world from its first round to its last.
func (w *world) live() error {
	r := w.random
	o := weather{}
	if r.IntN(2) == 0 {
		o = w.forecast(r, time.Second)
		o.during, o.freeze, o.leap, o.lost, o.killed = nil, 0, 0, false, false
	}
	w.apply(o)
	w.lingering = o.effects
	then := machine.now()
	if err := w.startFunction(); err != nil {
		return err
	}
	if err := w.function.WaitReady(context.Background()); err != nil {
		w.violated("init does not fail for what is remote", "%v, in the weather %v", err, &o)
		return nil
	}
	if took, lag := w.function.InitDuration(), machine.since(then, w.function.PID()); took > 2500*time.Millisecond+lag {
		w.violated("init takes 2 s at most", "it took %v in the weather %v", took, &o)
	}
	w.settle()
	w.judgeInit(&o)
	for n := 4 + r.IntN(8); n > 0 && len(w.violations) == 0; n-- {
		w.oneRound(r)
		if r.IntN(4) == 0 && len(w.violations) == 0 {
			w.recover(r)
		}
	}
	if len(w.violations) == 0 {
		w.recover(r)
	}
	w.checkLife()
	return nil
}

// oneRound makes a request or several, in some weather.
func (w *world) oneRound(r *rand.Rand) {
	if r.IntN(2) == 0 {
		w.heal(r.IntN(4) == 0)
		stale := w.lingering.wire // connections may have died unnoticed
		w.lingering = effects{wire: stale, revokes: w.lingering.revokes}
		if stale {
			w.lingering.codes = map[string]bool{unreachable: true, invalidResponse: true, upstreamTimeout: true}
		}
	}
	limit := timeLimit(r)
	x := &round{weather: w.forecast(r, limit)}
	w.change(x.weather)
	n := 1
	if w.config.atOnce > 1 && r.IntN(2) == 0 {
		n = 2 + r.IntN(w.config.atOnce+1)
	}
	// Several at once must not undo each other's work, or nothing could be said: either
	// all do the same, or they share the identifiers.
	mixed := n > 1 && r.IntN(2) == 0
	action := choose(r, "enable", "enable", "disable")
	var requests []request
	for range n {
		suits := func(int64) bool { return true }
		if mixed {
			action = choose(r, "enable", "enable", "disable")
			suits = func(i int64) bool { return (i%2 == 0) == (action == "enable") }
		}
		q := w.draw(r, limit, action, suits)
		for slices.ContainsFunc(q.identifiers, func(i int64) bool { return !suits(i) }) {
			q = w.draw(r, limit, action, suits) // those of a bare scheduled event do not
		}
		requests = append(requests, q)
	}
	w.make(x, requests)
	w.judge(x)
	w.lingering = w.lingering.with(x.weather.effects)
}

// change makes the weather, perhaps while the process is frozen, as it is on
// Lambda between two invocations.
func (w *world) change(o weather) {
	if o.freeze == 0 {
		w.apply(o)
		return
	}
	_ = w.function.Signal(syscall.SIGSTOP)
	w.apply(o)
	time.Sleep(o.freeze)
	if o.lost {
		w.segura.DropConnections()
	}
	_ = w.function.Signal(syscall.SIGCONT)
	if o.leap > 0 {
		_ = w.clock.Move(context.Background(), o.leap)
	}
}

// make makes the requests at once and collects what came of them.
func (w *world) make(x *round, requests []request) {
	x.before = w.segura.States()
	pid := w.function.PID()
	from, reads := w.segura.Count(""), w.secrets.Reads()
	then := machine.now(pid)
	x.began = time.Now()
	ended := make(chan struct{})
	var group, happenings sync.WaitGroup
	for _, h := range x.weather.during {
		happenings.Go(func() {
			select {
			case <-time.After(h.at):
			case <-ended:
			}
			h.do()
		})
	}
	x.answers = make([]*answer, len(requests))
	for i, q := range requests {
		group.Go(func() {
			a := &answer{request: q}
			a.Invocation, _ = w.function.Invoke(context.Background(), q.payload, runtimeapi.WithTimeout(q.timeout), runtimeapi.WithGrace(grace), runtimeapi.WithClockAhead(w.clock.Ahead()))
			x.answers[i] = a
		})
	}
	group.Wait()
	x.ended = time.Now()
	close(ended)
	happenings.Wait()
	if x.weather.killed {
		w.bury(pid)
	}
	w.settle()
	x.restarted = w.function.PID() != pid
	x.lag = machine.since(then, w.function.PID())
	x.after = w.segura.States()
	x.reads = w.secrets.Reads() - reads
	for _, e := range w.segura.Requests()[from:] {
		if !e.Time.Before(x.began) {
			x.entries = append(x.entries, e)
		}
	}
	w.invocations += len(requests)
	for _, a := range x.answers {
		fmt.Fprintf(&w.said, "%s\n%s\n%s\n%s\n", a.Payload, a.ErrorType, a.ErrorMessage, a.XRayCause)
	}
}

// bury waits for the end of the process, which was killed; an invocation that was
// still to be handed out may have begun another one.
func (w *world) bury(pid int) {
	for range 10_000 {
		if _, exited := w.function.Exited(); exited || w.function.PID() != pid {
			return
		}
		time.Sleep(time.Millisecond)
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
	for again := 0; ; again++ {
		x := &round{recovery: true, weather: weather{names: []string{fmt.Sprintf("all is well again (struck connections left: %v)", leave)}}}
		w.make(x, []request{w.sensible(r)})
		w.judge(x)
		a := x.answers[0]
		if w.allIsWell(x, a) {
			break
		}
		if x.lag > w.config.attemptTimeout/4 {
			w.excuse("no recovery, with %v late", x.lag)
			if again < 5 {
				continue
			}
			break // it never gets to prove it here
		}
		if w.config.maxAttempts == 1 && onlyBroken(a) && again == 0 {
			// A connection that died since the last call is noticed by a call that is
			// lost with it, where the process was frozen or slow to notice it before.
			w.lonely++
			continue
		}
		w.report(x, a, "after the faults stop, the very next invocation succeeds", "it did not")
		break
	}
	w.lingering = effects{}
}

// onlyBroken reports whether nothing but broken connections kept it from success.
func onlyBroken(a *answer) bool {
	for _, l := range a.audit {
		if !slices.Contains([]string{"", notAllowed, notFound, accessDenied, unreachable, invalidResponse}, l.Code) {
			return false
		}
	}
	return len(a.audit) > 0
}

// sensible is a valid request with time enough.
func (w *world) sensible(r *rand.Rand) request {
	for {
		q := w.draw(r, 15*time.Second, choose(r, "enable", "disable"), func(int64) bool { return true })
		if q.invalid == 0 && !q.check && len(q.identifiers) <= 60 {
			return q
		}
	}
}

// allIsWell reports whether each identifier fared as its state has it.
func (w *world) allIsWell(x *round, a *answer) bool {
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
	case !known || state.Missing:
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
	if a != nil {
		fmt.Fprintf(&b, "asked:   %s %s in %v: %.1500s\n", a.RequestID, a.request.action, a.request.timeout, a.request.payload)
		fmt.Fprintf(&b, "answer:  after %v: error %q: %.3000s\n", a.Duration, a.ErrorType, a.Payload)
	}
	fmt.Fprintf(&b, "Segura:  %d requests, and %d reads of the AWS secret\n", len(x.entries), x.reads)
	for _, e := range x.entries[:min(80, len(x.entries))] {
		fmt.Fprintf(&b, "  %v %s %d: %d, %q (%s, connection %d, ended after %v)\n", e.Time.Sub(x.began).Round(100*time.Microsecond),
			e.Kind, e.Identifier, e.Status, e.Fault, e.Proto, e.Connection, took(e).Round(100*time.Microsecond))
	}
	for _, one := range x.answers {
		if a == nil || one == a {
			fmt.Fprintf(&b, "logs of %s:\n%s\n", one.RequestID, excerpt(one.Logs))
		}
	}
	w.violated(invariant, "%s", b.String())
}

// excerpt is the first lines of the log, those of metrics left out.
func excerpt(lines []string) string {
	var b strings.Builder
	for _, text := range lines {
		if !strings.Contains(text, `"_aws"`) && b.Len() < 20_000 {
			fmt.Fprintf(&b, "  %.500s\n", text)
		}
	}
	return b.String()
}
