package window

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"segura-enable/internal/apisecret"
)

// Caller calls Segura for windows. Its result has one element for each order, in their
// order, before ctx ends.
type Caller interface {
	Call(ctx context.Context, orders []Order) []Done
}

// Order is one call for a window, or for the guard.
type Order struct {
	Target
	Before time.Time                 // no attempt is begun at this time or later
	Window string                    // empty: it is the guard's
	Reason string                    // for the audit log
	For    string                    // who opened the window, or closed it; for the audit log
	Loud   func(apisecret.Item) bool // whether the audit log is to tell of it
}

// Done is what came of an order.
type Done struct {
	Item apisecret.Item
	Open bool // an attempt was begun whose effect is not known, or may be yet to come
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

// run is one actor at work.
type run struct {
	*Keeper
	id      string
	scope   func(*Window) bool
	tried   map[Target]bool
	over    map[string]int // windows that were read as over, with their turns
	results map[Target]Done
	limit   int
	drift   int
	stalled bool                       // no call of the last round could be begun: the pace forbids it
	view    View                       // the last one read
	hold    func(context.Context) bool // keeps the lock; nil: there is none
}

func (k *Keeper) newRun(scope func(*Window) bool) *run {
	return &run{
		Keeper: k, id: rand.Text(), scope: scope, limit: max(1, k.FirstCalls),
		tried: map[Target]bool{}, over: map[string]int{}, results: map[Target]Done{},
	}
}

// round is the part of a run for which one mark is made. Each has a name of its own,
// so that one whose calls are still under way keeps its mark.
type round struct {
	actor    Actor
	beginBy  time.Time
	callsEnd time.Time
}

// newRound returns nothing if there is no time left for calls.
func (r *run) newRound(ctx context.Context, now time.Time) (round, bool) {
	end := now.Add(beginning + r.AttemptTimeout)
	if deadline, ok := ctx.Deadline(); ok {
		left := time.Until(deadline)
		end = earlier(end, deadline.Add(-min(forWriting, left/2)))
	}
	beginBy := earlier(now.Add(beginning), end)
	landed := beginBy.Add(r.AttemptTimeout + landingSeconds*time.Second)
	actor := Actor{ID: rand.Text(), LandBy: At(landed) + 1, Limit: r.limit, Tried: r.tried, Over: r.over}
	return round{actor, beginBy, end}, end.After(now.Add(leastTime))
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
	r.view = NewView(windows)
	return nil
}

// settle goes on round by round until there is nothing left that can be done now. The
// error is one of the table; what was done before it stays.
func (r *run) settle(ctx context.Context) error {
	for range maxRounds {
		if err := r.read(ctx); err != nil {
			return err
		}
		now := time.Now()
		one, ok := r.newRound(ctx, now)
		if !ok || r.hold != nil && !r.hold(ctx) {
			return nil
		}
		planned, again := r.view.Plan(At(now), one.actor, r.scope)
		r.view.Learn(r.over)
		if len(planned) == 0 {
			if again {
				continue
			}
			return nil
		}
		marked, err := r.write(ctx, planned, one.actor.ID)
		if err != nil {
			return err
		}
		if !marked {
			continue
		}
		if err := r.perform(ctx, one); err != nil {
			return err
		}
		if r.stalled && (r.hold == nil || !pause(ctx, time.Until(one.beginBy))) {
			return nil
		}
	}
	return nil
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

// write writes what is planned, and reports whether any mark of the actor is in the
// table now. A window that has changed meanwhile is left as it is, for the next round.
func (r *run) write(ctx context.Context, planned []Window, actor string) (marked bool, err error) {
	var mu sync.Mutex
	err = each(ctx, planned, func(ctx context.Context, w Window) error {
		switch err := r.Table.Replace(ctx, w, nil, nil); {
		case errors.Is(err, ErrChanged):
			return nil
		case err != nil:
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		marked = marked || slices.ContainsFunc(w.Marks, func(m Mark) bool { return m.Actor == actor })
		return nil
	})
	return marked, err
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
func (r *run) perform(ctx context.Context, one round) error {
	if err := r.read(ctx); err != nil {
		return err
	}
	r.view.Learn(r.over)
	calls, outcomes := r.view.Decide(At(time.Now()), one.actor.ID)
	for _, list := range outcomes {
		for _, o := range list {
			r.tried[o.Target] = false
		}
	}
	r.call(ctx, one, calls, outcomes)
	ids := make([]string, 0, len(outcomes))
	for id := range outcomes {
		ids = append(ids, id)
	}
	return each(ctx, ids, func(ctx context.Context, id string) error {
		return r.change(ctx, *r.view.windows[id], func(w *Window) *Window {
			after, changed := w.Apply(At(time.Now()), one.actor.ID, outcomes[id])
			if !changed {
				return nil
			}
			return &after
		})
	})
}

// call makes the calls, and adds what came of them to the outcomes.
func (r *run) call(ctx context.Context, one round, calls []Call, outcomes Outcomes) {
	r.stalled = len(calls) > 0
	if !r.stalled {
		return
	}
	now := At(time.Now())
	orders := make([]Order, len(calls))
	loud := make([]bool, len(calls))
	for at := range calls {
		orders[at] = calls[at].order(now, one.beginBy, &loud[at])
	}
	ctx, cancel := context.WithDeadline(ctx, one.callsEnd)
	defer cancel()
	all := true
	for at, done := range r.Caller.Call(ctx, orders) {
		c := &calls[at]
		c.Report(outcomes, Outcome{Item: done.Item, Open: done.Open, Told: loud[at]})
		failure := done.Item.Error
		if failure != nil && failure.Code == apisecret.DeadlineExceeded && done.Item.Attempts == 0 {
			all = false
			continue
		}
		r.stalled = false
		r.tried[c.Target] = failure == nil && !c.Settles
		if c.Window != nil || failure != nil {
			r.results[c.Target] = done
		} else if done.Item.Outcome == apisecret.Disabled {
			r.drift++
		}
	}
	if all {
		r.limit = min(2*r.limit, maxCalls)
	}
}

// order returns the call as an order; told is where it notes whether the audit log
// tells of it.
func (c *Call) order(now Instant, beginBy time.Time, told *bool) Order {
	o := Order{Target: c.Target, Before: beginBy}
	if c.Before != 0 {
		o.Before = earlier(o.Before, c.Before.Time())
	}
	w := c.Window
	if w == nil {
		o.Loud = func(item apisecret.Item) bool { return item.Outcome != apisecret.AlreadyDisabled }
		return o
	}
	o.Window, o.Reason, o.For = w.ID, w.Reason, w.OpenedBy
	if w.Ended != nil && c.Action == apisecret.Disable {
		o.For = w.Ended.By
		if w.Ended.Reason != "" {
			o.Reason = w.Ended.Reason
		}
	}
	l := w.lease(c.Identifier)
	o.Loud = func(item apisecret.Item) bool {
		same := item.Error != nil && l.Fault != nil && item.Error.Code == l.Fault.Code || item.Error == nil && l.Off
		*told = !same || now >= l.Told+toldAfter
		return *told
	}
	return o
}

// change writes a window as to returns it, whatever has happened to it meanwhile; nil: it
// is right as it is. One that is closed stays as it is.
func (k *Keeper) change(ctx context.Context, w Window, to func(*Window) *Window) error {
	for {
		after := to(&w)
		if after == nil {
			return nil
		}
		err := k.Table.Replace(ctx, *after, nil, nil)
		if !errors.Is(err, ErrChanged) {
			return err
		}
		again, closed, err := k.Table.Find(ctx, w.ID)
		if errors.Is(err, ErrNotFound) || closed {
			return nil
		}
		if err != nil {
			return err
		}
		w = again
	}
}

// Reconcile makes Segura agree with the table. The error is one of the table.
func (k *Keeper) Reconcile(ctx context.Context) (Report, error) {
	now := At(time.Now())
	due, last, err := k.Table.Due(ctx, now)
	if err != nil {
		return Report{}, err
	}
	guarded := k.guardDue(last.Guarded, now)
	if !due && len(guarded) == 0 {
		report := Report{}
		if last.Open != nil {
			report.Open = *last.Open
		}
		return report, nil
	}
	r := k.newRun(nil)
	r.hold = func(ctx context.Context) bool {
		now := At(time.Now())
		until := now + Instant((beginning+k.AttemptTimeout)/time.Second) + 15
		free, err := k.Table.Lock(ctx, r.id, now, until)
		return free || err != nil // nothing depends on it
	}
	if !r.hold(ctx) {
		return r.report(ctx, false, nil)
	}
	err = r.settle(ctx)
	if err == nil && len(guarded) > 0 {
		var left []turn
		if left, err = r.guard(ctx, guarded); err == nil {
			if len(left) > 0 {
				now = left[0].at - 1 // the next run goes on there
			}
			err = k.Table.Note(ctx, Summary{Guarded: &now})
		}
	}
	report, err := r.report(ctx, true, err)
	if fault := k.Table.Unlock(ctx, r.id); fault != nil {
		k.Log.WarnContext(ctx, "the lock was not given back; it expires", "cause", fault.Error())
	}
	return report, err
}

// report counts what was done and what is there now.
func (r *run) report(ctx context.Context, note bool, err error) (Report, error) {
	if err != nil {
		return Report{}, err
	}
	if err := r.read(ctx); err != nil {
		return Report{}, err
	}
	now := At(time.Now())
	report := Report{Open: r.view.CountOpen(now), Overdue: r.view.CountOverdue(now), Drift: r.drift}
	report.Live = len(r.view.windows)
	if r.view.windows[GuardID] != nil {
		report.Live--
	}
	for t, done := range r.results {
		gone := t.Action == apisecret.Disable && done.Item.Error != nil && done.Item.Error.Code == apisecret.NotFound
		switch {
		case done.Item.Error != nil && !gone:
			report.Failed++
		case t.Action == apisecret.Enable:
			report.Enabled++
		default:
			report.Disabled++
		}
	}
	if note {
		err = r.Table.Note(ctx, Summary{Open: &report.Open})
	}
	return report, err
}

// hour is in what time the guard has looked at everything.
const hour = 60 * 60

// turn is when the guard looks at an identifier.
type turn struct {
	at         Instant
	identifier apisecret.Identifier
}

// guardDue returns the turns that have come since last, in their order.
func (k *Keeper) guardDue(last *Instant, now Instant) []turn {
	since := now - 60
	if last != nil {
		since = max(*last, now-hour)
	}
	var due []turn
	for at, i := range k.Guarded {
		offset := Instant(at * hour / len(k.Guarded)) // within each hour
		if t := now - (now-offset)%hour; t > since {
			due = append(due, turn{t, i})
		}
	}
	slices.SortStableFunc(due, func(a, b turn) int { return cmp.Compare(a.at, b.at) })
	return due
}

// guard disables what no window holds. It begins no round after guardTime, so that the
// next run is not kept from the windows, and returns the turns that are left.
func (r *run) guard(ctx context.Context, due []turn) (left []turn, _ error) {
	for end := time.Now().Add(guardTime); len(due) > 0 && time.Now().Before(end); {
		if err := r.read(ctx); err != nil {
			return nil, err
		}
		one, ok := r.newRound(ctx, time.Now())
		if !ok {
			return due, nil
		}
		part, rest := due[:min(len(due), r.limit)], due[min(len(due), r.limit):]
		w := r.view.PlanGuard(At(time.Now()), one.actor, identifiersOf(part))
		if w == nil {
			due = rest
			continue
		}
		marked, err := r.write(ctx, []Window{*w}, one.actor.ID)
		if err == nil && marked {
			err = r.perform(ctx, one)
		}
		if err != nil {
			return nil, err
		}
		due = append(r.notBegun(part), rest...)
		if r.stalled && !pause(ctx, time.Until(one.beginBy)) {
			return due, nil
		}
	}
	return due, nil
}

// notBegun returns the turns whose calls the pace, or the time, has not let begin yet.
func (r *run) notBegun(turns []turn) []turn {
	return slices.DeleteFunc(slices.Clone(turns), func(t turn) bool {
		_, tried := r.tried[Target{t.identifier, apisecret.Disable}]
		return tried
	})
}

func identifiersOf(turns []turn) []apisecret.Identifier {
	list := make([]apisecret.Identifier, len(turns))
	for at := range turns {
		list[at] = turns[at].identifier
	}
	return list
}
