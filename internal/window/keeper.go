package window

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"segura-enable/internal/activation"
	"segura-enable/internal/apisecret"
	"segura-enable/internal/telemetry"
)

// Caller calls Segura; *activation.Runner is one. Its result has one element for each
// call, in their order, before ctx ends.
type Caller interface {
	Call(ctx context.Context, calls []activation.Call) []activation.Done
}

// Keeper opens, extends and closes windows, and makes Segura agree with them. It may
// be used by several goroutines at once.
type Keeper struct {
	Table          Table
	Caller         Caller
	Longest        time.Duration          // of a window, extensions included
	AttemptTimeout time.Duration          // of one attempt
	Allowed        apisecret.Set          // what a new window may hold; empty: anything
	Guarded        []apisecret.Identifier // what is to be disabled whenever no window holds it
	FirstCalls     int                    // how many calls a run's first round may have; later ones double
	Log            *slog.Logger
}

// Bounds of a run.
const (
	guardTime  = 20 * time.Second       // in which the guard's rounds are begun
	beginning  = 10 * time.Second       // in which the calls of a round are begun
	forWriting = 3 * time.Second        // of a run's time, kept for what comes after its calls
	leastTime  = 200 * time.Millisecond // for which a round is begun
	maxCalls   = 20_000                 // of one round
	maxRounds  = 1000                   // of one run
	writers    = 16                     // at once
	toldAfter  = Instant(60 * 60)       // after which the audit log tells again of what goes on
)

// Report is what a run did, and what is there after it.
type Report struct {
	Open     int `json:"open"`     // windows
	Enabled  int `json:"enabled"`  // identifiers, as all that follow
	Disabled int `json:"disabled"` //
	Overdue  int `json:"overdue"`
	Failed   int `json:"failed"`
	Drift    int `json:"drift"`

	Live int `json:"-"` // windows that are not closed
}

// run is one actor at work, round by round. Each round has a name of its own, so that
// one whose calls are still under way keeps its mark.
type run struct {
	*Keeper
	Actor
	beginBy  time.Time // when the round's calls are begun at the latest
	callsEnd time.Time

	view    View // the last one read
	results map[Target]activation.Done
	drift   int
	stalled bool   // no call of the last round could be begun: the pace forbids it
	lock    string // who keeps the reconcilers' lock; empty: it is not asked for
}

// newRun returns a run for one window, or for all if there is no id.
func (k *Keeper) newRun(id string) *run {
	return &run{
		Keeper: k, Actor: Actor{Window: id, Limit: max(1, k.FirstCalls), Tried: map[Target]bool{}},
		results: map[Target]activation.Done{},
	}
}

// newRound reports whether there is time left for calls.
func (r *run) newRound(ctx context.Context, now time.Time) bool {
	r.callsEnd = now.Add(beginning + r.AttemptTimeout)
	if deadline, ok := ctx.Deadline(); ok {
		r.callsEnd = earlier(r.callsEnd, deadline.Add(-min(forWriting, time.Until(deadline)/2)))
	}
	r.beginBy = earlier(now.Add(beginning), r.callsEnd)
	r.ID, r.LandBy = rand.Text(), At(r.beginBy.Add(r.AttemptTimeout+landingSeconds*time.Second))+1
	return r.callsEnd.After(now.Add(leastTime))
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func (r *run) read(ctx context.Context) error {
	windows, err := r.Table.Live(ctx)
	if err != nil {
		return err
	}
	r.Over, r.view = r.view.over(), NewView(windows)
	return nil
}

// settle goes on until there is nothing left that can be done now.
func (r *run) settle(ctx context.Context) error {
	return r.rounds(ctx, func(now Instant) ([]Window, bool) { return r.view.Plan(now, r.Actor) })
}

// rounds goes on round by round until nothing is planned any more. The error is one of the
// table; what was done before it stays.
func (r *run) rounds(ctx context.Context, plan func(now Instant) (changed []Window, again bool)) error {
	for range maxRounds {
		if err := r.read(ctx); err != nil {
			return err
		}
		now := time.Now()
		if !r.newRound(ctx, now) || !r.hold(ctx) {
			return nil
		}
		planned, again := plan(At(now))
		if len(planned) == 0 {
			if again {
				continue
			}
			return nil
		}
		if err := each(ctx, planned, r.write); err != nil {
			return err
		}
		if err := r.perform(ctx); err != nil {
			return err
		}
		if r.stalled && (r.lock == "" || !pause(ctx, time.Until(r.beginBy))) {
			return nil
		}
	}
	return nil
}

// hold keeps the lock, if there is one, and reports whether nobody else has it. Nothing
// depends on it, so that it may also be out of reach.
func (r *run) hold(ctx context.Context) bool {
	if r.lock == "" {
		return true
	}
	now := Now()
	free, err := r.Table.Lock(ctx, r.lock, now, now+Instant((beginning+r.AttemptTimeout)/time.Second)+15)
	return free || err != nil
}

// pause waits, and reports whether it did to the end.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// write writes a window as it is planned. One that has changed meanwhile is left as it
// is: the read that follows tells whether the actor's mark is in it.
func (r *run) write(ctx context.Context, planned Window) error {
	if err := r.Table.Write(ctx, planned, nil, nil); !errors.Is(err, ErrChanged) {
		return err
	}
	return nil
}

// each does something for all of a list, several at once, and returns the first error.
func each[T any](ctx context.Context, list []T, do func(context.Context, T) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(writers)
	for _, one := range list {
		group.Go(func() error { return do(ctx, one) })
	}
	return group.Wait()
}

// perform reads the table with the round's marks in it, makes the calls that are still
// wanted, and writes what came of them.
func (r *run) perform(ctx context.Context) error {
	if err := r.read(ctx); err != nil {
		return err
	}
	calls, outcomes := r.view.Decide(Now(), r.ID)
	for _, list := range outcomes {
		for _, o := range list {
			r.Tried[o.Target] = false
		}
	}
	r.call(ctx, calls, outcomes)
	return each(ctx, slices.Collect(maps.Keys(outcomes)), func(ctx context.Context, id string) error {
		return r.change(ctx, *r.view.windows[id], func(w *Window) *Window {
			after := w.Apply(Now(), r.ID, outcomes[id])
			return &after
		})
	})
}

// call makes the calls, and adds what came of them to the outcomes.
func (r *run) call(ctx context.Context, calls []*Call, outcomes Outcomes) {
	r.stalled = len(calls) > 0
	if !r.stalled {
		return
	}
	now := Now()
	list := make([]activation.Call, len(calls))
	told := make([]bool, len(calls))
	for at, c := range calls {
		list[at] = c.asked(now, r.beginBy, &told[at])
	}
	ctx, cancel := context.WithDeadline(ctx, r.callsEnd)
	defer cancel()
	all := true
	for at, done := range r.Caller.Call(ctx, list) {
		c := calls[at]
		c.Report(outcomes, Outcome{Item: done.Item, Open: done.Open, Told: told[at]})
		failure := done.Item.Error
		if failure != nil && failure.Code == apisecret.DeadlineExceeded && done.Item.Attempts == 0 {
			all = false
			continue
		}
		r.stalled = false
		r.Tried[c.Target] = failure == nil && !c.Settles
		if c.Window != nil || failure != nil {
			r.results[c.Target] = done
		} else if done.Item.Outcome == apisecret.Disabled {
			r.drift++
		}
	}
	if all {
		r.Limit = min(2*r.Limit, maxCalls)
	}
}

// asked returns the call as a Caller takes it; told is where it notes whether the audit
// log tells of it. What a window's end or the guard disables is not subject to the
// allow-list.
func (c *Call) asked(now Instant, beginBy time.Time, told *bool) activation.Call {
	a := activation.Call{Action: c.Action, Identifier: c.Identifier, Before: beginBy, Unrestricted: c.Action == apisecret.Disable}
	if c.Before != 0 {
		a.Before = earlier(a.Before, c.Before.Time())
	}
	w := c.Window
	if w == nil {
		a.Origin = telemetry.Origin{Source: "guard"}
		a.Audited = func(item apisecret.Item) bool { return item.Outcome != apisecret.AlreadyDisabled }
		return a
	}
	a.Origin, a.Reason = telemetry.Origin{Source: "window", Window: w.ID, Caller: w.OpenedBy}, w.Reason
	if w.Ended != nil && c.Action == apisecret.Disable {
		a.Origin.Caller, a.Reason = w.Ended.By, cmp.Or(w.Ended.Reason, w.Reason)
	}
	l := w.lease(c.Identifier)
	a.Audited = func(item apisecret.Item) bool {
		same := item.Error != nil && l.Fault != nil && item.Error.Code == l.Fault.Code || item.Error == nil && l.Off
		*told = !same || now >= l.Told+toldAfter
		return *told
	}
	return a
}

// change writes a window as to returns it, whatever has happened to it meanwhile; nil: it
// is right as it is. One that is closed stays as it is.
func (k *Keeper) change(ctx context.Context, w Window, to func(*Window) *Window) error {
	for {
		after := to(&w)
		if after == nil {
			return nil
		}
		err := k.Table.Write(ctx, *after, nil, nil)
		if !errors.Is(err, ErrChanged) {
			return err
		}
		w, err = k.Table.Find(ctx, w.ID)
		if errors.Is(err, ErrNotFound) || w.Closed {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// Reconcile makes Segura agree with the table. The error is one of the table.
func (k *Keeper) Reconcile(ctx context.Context) (Report, error) {
	now := Now()
	due, last, err := k.Table.Due(ctx, now)
	if err != nil {
		return Report{}, err
	}
	guarded := k.guardDue(last.Guarded, now)
	if !due && len(guarded) == 0 {
		return Report{Open: last.Open}, nil
	}
	r := k.newRun("")
	r.lock = rand.Text()
	if !r.hold(ctx) {
		return r.report(ctx, nil)
	}
	err = r.settle(ctx)
	if err == nil && len(guarded) > 0 {
		err = r.guard(ctx, guarded, now)
	}
	report, err := r.report(ctx, err)
	if _, fault := k.Table.Lock(ctx, r.lock, Now(), 0); fault != nil {
		k.Log.WarnContext(ctx, "the lock was not given back; it expires", "cause", fault.Error())
	}
	return report, err
}

// report counts what was done and what is there now, unless there was an error.
func (r *run) report(ctx context.Context, err error) (Report, error) {
	if err == nil {
		err = r.read(ctx)
	}
	if err != nil {
		return Report{}, err
	}
	now := Now()
	report := Report{Open: r.view.countOpen(now), Overdue: r.view.countOverdue(now), Drift: r.drift, Live: len(r.view.windows)}
	if r.view.windows[GuardID] != nil {
		report.Live--
	}
	for t, done := range r.results {
		switch {
		case t.Action == apisecret.Disable && disabled(done.Item):
			report.Disabled++
		case done.Item.Error != nil:
			report.Failed++
		default:
			report.Enabled++
		}
	}
	return report, r.Table.NoteOpen(ctx, report.Open)
}

// hour is in what time the guard has looked at everything.
const hour = 60 * 60

// look is when the guard looks at an identifier.
type look struct {
	at         Instant
	identifier apisecret.Identifier
}

// guardDue returns the looks that have come due since last, in their order.
func (k *Keeper) guardDue(last, now Instant) []look {
	since := cmp.Or(last, now-60)
	var due []look
	for at, i := range k.Guarded {
		offset := Instant(at * hour / len(k.Guarded)) // within each hour
		if t := now - (now-offset)%hour; t > since {
			due = append(due, look{t, i})
		}
	}
	slices.SortStableFunc(due, func(a, b look) int { return cmp.Compare(a.at, b.at) })
	return due
}

// guard disables what no window holds. It begins no round after guardTime, so that the
// next run is not kept from the windows, and notes where that one goes on.
func (r *run) guard(ctx context.Context, due []look, now Instant) error {
	tried := func(l look) bool {
		_, tried := r.Tried[Target{l.identifier, apisecret.Disable}]
		return tried
	}
	end := time.Now().Add(guardTime)
	err := r.rounds(ctx, func(now Instant) ([]Window, bool) {
		if !time.Now().Before(end) {
			return nil, false
		}
		due = slices.DeleteFunc(due, func(l look) bool { return tried(l) || !r.view.guardable(l.identifier, now) })
		var list []apisecret.Identifier
		for _, l := range due[:min(len(due), r.Limit)] {
			list = append(list, l.identifier)
		}
		return r.view.PlanGuard(now, r.Actor, list), false
	})
	if err != nil {
		return err
	}
	if due = slices.DeleteFunc(due, tried); len(due) > 0 {
		now = due[0].at - 1
	}
	return r.Table.NoteGuarded(ctx, now)
}
