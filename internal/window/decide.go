package window

import (
	"slices"

	"segura-enable/internal/apisecret"
)

// The decisions, in the order in which an actor makes them. Each round of an actor is
//
//	read all live windows -> Plan -> write the marks and endings planned
//	read them again       -> Decide -> call Segura
//	                      -> Apply, to each window as it is then -> write
//
// and all three are pure functions of what was read and the time. Two rules carry it:
// an actor writes what it is about to do before it reads what others are about to
// do, so that of two that cross, one at least sees the other; and a call only counts
// if no call of the opposite kind may have been under way when it was decided.

// Target is a call that may be wanted: one action for one API secret.
type Target struct {
	Identifier apisecret.Identifier
	Action     apisecret.Action
}

// Actor is one run of one function.
type Actor struct {
	ID     string
	LandBy Instant // of the calls of this round
	Limit  int     // how many calls this round may have

	// Tried are the calls that this run has made before; true: it succeeded, but an
	// opposite call was under way.
	Tried map[Target]bool

	// Over are the windows that an earlier read of this run found over, each with its
	// turn then.
	Over map[string]int
}

// Learn notes which windows are over.
func (v View) Learn(over map[string]int) {
	for id, w := range v.windows {
		if w.Over {
			over[id] = w.Turn
		}
	}
}

// knowsOver reports whether the window was over before the read that is decided by began.
func (a Actor) knowsOver(w *Window) bool {
	turn, known := a.Over[w.ID]
	return known && turn == w.Turn
}

// Plan returns the windows in scope that are to be written before any call, each as
// it is to be: over if its time is, with what needs no call settled, and with the
// actor's mark of the calls to come. A nil scope has all windows in it. again says that
// another look is needed, though there may be nothing to write.
func (v View) Plan(now Instant, a Actor, scope func(*Window) bool) (changed []Window, again bool) {
	chosen := map[Target]bool{}
	for _, before := range v.inOrder(now) {
		if before.ID == GuardID || scope != nil && !scope(before) || !before.over(now) && !before.begun(now) {
			continue
		}
		w := before.clone()
		altered := w.dropExpired(now)
		if w.over(now) {
			altered = w.finish() || altered
			settled, look := v.planEnd(&w, now, a, chosen)
			altered, again = altered || settled, again || look
		} else {
			altered = v.planBeginning(&w, now, a, chosen) || altered
		}
		if altered {
			changed = append(changed, w)
		}
	}
	return changed, again
}

// finish makes the window over, if it is not yet.
func (w *Window) finish() bool {
	if w.Over {
		return false
	}
	w.Over = true
	w.turn()
	return true
}

// turn notes that Over has changed. The audit log tells anew of what is tried from now on:
// it is the opposite of what was tried before.
func (w *Window) turn() {
	w.Turn++
	for at := range w.Leases {
		w.Leases[at].Told = 0
	}
}

// dropExpired takes away marks whose calls have landed or never will. What they may
// have done stays with the leases.
func (w *Window) dropExpired(now Instant) bool {
	before := len(w.Marks)
	w.Marks = slices.DeleteFunc(w.Marks, func(m Mark) bool {
		if now < m.LandBy {
			return false
		}
		for _, i := range m.Identifiers {
			if l := w.lease(i); l != nil && m.Kind == apisecret.Enable {
				l.Begun, l.Landed = true, true
			}
		}
		return true
	})
	return len(w.Marks) < before
}

// planEnd settles what needs no call at the end of the window, and marks the rest.
//
// An API secret is kept for a window that answers for it, and only if that was read after
// this one was over: of two that end together, each could be kept for the other's sake.
func (v View) planEnd(w *Window, now Instant, a Actor, chosen map[Target]bool) (altered, again bool) {
	var mark []apisecret.Identifier
	for at := range w.Leases {
		l := &w.Leases[at]
		switch {
		case !l.holds():
		case l.Standing == Pending && !l.Begun && !w.enabling(l.Identifier, ""):
			l.settle(NeverEnabled, now)
			altered = true
		case v.answered(l.Identifier, now):
			if !a.knowsOver(w) {
				again = true
				continue
			}
			l.settle(Kept, now)
			altered = true
		case v.wanted(l.Identifier, now):
			// Whoever holds it is about to enable it, and answers for it then.
		case a.choose(v, Target{l.Identifier, apisecret.Disable}, now, w, chosen):
			l.Undone = true
			mark = append(mark, l.Identifier)
		}
	}
	return w.mark(a, apisecret.Disable, mark) || altered, again
}

// planBeginning marks what is to be enabled.
func (v View) planBeginning(w *Window, now Instant, a Actor, chosen map[Target]bool) (altered bool) {
	var mark []apisecret.Identifier
	for at := range w.Leases {
		l := &w.Leases[at]
		if l.Standing == Pending && a.choose(v, Target{l.Identifier, apisecret.Enable}, now, w, chosen) {
			mark = append(mark, l.Identifier)
		}
	}
	altered = !w.Begun
	w.Begun = true
	return w.mark(a, apisecret.Enable, mark) || altered
}

// choose reports whether the call is to be made in this round, and notes it.
func (a Actor) choose(v View, t Target, now Instant, w *Window, chosen map[Target]bool) bool {
	unsettled, tried := a.Tried[t]
	switch {
	case len(w.Marks) >= maxMarks:
		return false
	case tried && (!unsettled || v.underWay(t.Action.Opposite(), t.Identifier, now)):
		return false
	case !chosen[t] && len(chosen) >= a.Limit:
		return false
	}
	chosen[t] = true
	return true
}

// PlanGuard returns the guard's pseudo-window with a mark of those identifiers that no
// window holds or has yet to let go of; nil if there are none.
func (v View) PlanGuard(now Instant, a Actor, guarded []apisecret.Identifier) *Window {
	w := Window{ID: GuardID, Over: true, Begun: true}
	if before := v.windows[GuardID]; before != nil {
		w = before.clone()
	}
	w.dropExpired(now)
	var mark []apisecret.Identifier
	for _, i := range guarded {
		busy := slices.ContainsFunc(v.places[i], func(p place) bool { return p.window.begun(now) && p.lease.holds() })
		if !busy && len(w.Marks) < maxMarks {
			mark = append(mark, i)
		}
	}
	if !w.mark(a, apisecret.Disable, mark) {
		return nil
	}
	return &w
}

func (w *Window) mark(a Actor, kind apisecret.Action, list []apisecret.Identifier) bool {
	if len(list) == 0 {
		return false
	}
	w.Marks = append(w.Marks, Mark{Actor: a.ID, Kind: kind, LandBy: a.LandBy, Identifiers: list})
	return true
}

func (l *Lease) settle(s Standing, now Instant) {
	l.Standing, l.At, l.Carry = s, now, false
}

// Call is a call that is to be made now, on behalf of one or more windows.
type Call struct {
	Target
	Settles bool    // no opposite call may be under way, so that its success is final
	Before  Instant // it is not begun at this time or later; 0: no such limit
	Window  *Window // for whose sake: of several the one with the latest end; nil: the guard's
	Parts   []Part
}

// Part is a window that the call is made for.
type Part struct {
	ID   string
	Turn int
}

// Outcome is what became of a mark's identifier.
type Outcome struct {
	Target
	Turn    int // the window's when the call was decided on
	Settles bool
	Skipped bool // no call was made, since none is wanted any more
	Taken   bool // no call was made, since another window has it enabled
	Open    bool // a call was begun whose effect is not known, or may be yet to come
	Told    bool // the audit log told of it
	Item    apisecret.Item
}

// Outcomes are those of one round, by the windows' ids.
type Outcomes map[string][]Outcome

// Decide returns the calls to be made of those that the actor has marked, and what
// becomes of the others. The view is one that was read after the marks were written.
func (v View) Decide(now Instant, actor string) ([]Call, Outcomes) {
	outcomes := Outcomes{}
	calls := map[Target]*Call{}
	var order []Target
	for _, w := range v.inOrder(now) {
		for _, m := range w.Marks {
			if m.Actor != actor {
				continue
			}
			for _, i := range m.Identifiers {
				t := Target{i, m.Kind}
				if o, call := v.decideOne(w, t, now); !call {
					outcomes[w.ID] = append(outcomes[w.ID], o)
					continue
				}
				if calls[t] == nil {
					calls[t] = &Call{Target: t, Settles: !v.underWay(t.Action.Opposite(), t.Identifier, now)}
					order = append(order, t)
				}
				calls[t].add(w)
			}
		}
	}
	list := make([]Call, 0, len(order))
	for _, t := range order {
		list = append(list, *calls[t])
	}
	slices.SortStableFunc(list, func(a, b Call) int { return a.urgency() - b.urgency() })
	return list, outcomes
}

// decideOne reports whether the call is to be made for the window's sake, or else
// what becomes of it without.
func (v View) decideOne(w *Window, t Target, now Instant) (o Outcome, call bool) {
	o = Outcome{Target: t, Turn: w.Turn, Skipped: true}
	if t.Action == apisecret.Disable {
		return o, !v.held(t.Identifier, now)
	}
	l := w.lease(t.Identifier)
	if l == nil || l.Standing != Pending || w.over(now) {
		return o, false
	}
	if v.handsOver(w, l, now) {
		o.Skipped, o.Taken = false, true
		return o, false
	}
	return o, true
}

// add makes the call one for the window's sake too.
func (c *Call) add(w *Window) {
	c.Parts = append(c.Parts, Part{w.ID, w.Turn})
	if w.ID == GuardID {
		return
	}
	if c.Window == nil || w.endedAt() > c.Window.endedAt() {
		c.Window = w
	}
	if c.Action == apisecret.Enable {
		c.Before = max(c.Before, w.Until)
	}
}

// urgency orders calls: ends come before beginnings, and those before the guard.
func (c *Call) urgency() int {
	switch {
	case c.Window == nil:
		return 2
	case c.Action == apisecret.Enable:
		return 1
	default:
		return 0
	}
}

// Report adds what came of the call to the outcomes of its windows.
func (c *Call) Report(to Outcomes, o Outcome) {
	o.Target, o.Settles = c.Target, c.Settles
	for _, part := range c.Parts {
		o.Turn = part.Turn
		to[part.ID] = append(to[part.ID], o)
	}
}

// Apply returns the window with the outcomes in it, whatever has happened to it since
// they were decided on, and whether anything changed. To apply twice changes nothing
// more.
func (w *Window) Apply(now Instant, actor string, outcomes []Outcome) (Window, bool) {
	after := w.clone()
	altered := after.dropExpired(now)
	gone := map[Target]bool{}
	for at := range outcomes {
		o := &outcomes[at]
		if !o.Open {
			gone[o.Target] = true
		}
		if l := after.lease(o.Identifier); l != nil {
			l.apply(&after, now, actor, o)
		}
	}
	after.unmark(actor, gone)
	return after, altered || len(outcomes) > 0
}

// unmark takes targets out of the actor's marks.
func (w *Window) unmark(actor string, gone map[Target]bool) {
	w.Marks = slices.DeleteFunc(w.Marks, func(m Mark) bool { return m.Actor == actor && m.without(gone) == nil })
	for at := range w.Marks {
		if m := &w.Marks[at]; m.Actor == actor {
			m.Identifiers = m.without(gone)
		}
	}
}

func (m Mark) without(gone map[Target]bool) []apisecret.Identifier {
	var left []apisecret.Identifier
	for _, i := range m.Identifiers {
		if !gone[Target{i, m.Kind}] {
			left = append(left, i)
		}
	}
	return left
}

func (l *Lease) apply(w *Window, now Instant, actor string, o *Outcome) {
	if o.Skipped {
		return
	}
	if o.Told && o.Turn == w.Turn {
		l.Told = now
	}
	if o.Action == apisecret.Enable {
		l.applyEnable(w, now, actor, o)
		return
	}
	if !l.holds() || o.Turn != w.Turn {
		return // resolved by another, or extended meanwhile: Undone has it enabled again
	}
	l.Fault = faultOf(o.Item.Error)
	gone := o.Item.Error != nil && o.Item.Error.Code == apisecret.NotFound
	switch {
	case o.Item.Error != nil && !gone:
	case o.Settles:
		l.settle(Disabled, now)
	default:
		l.Off = true
	}
}

func (l *Lease) applyEnable(w *Window, now Instant, actor string, o *Outcome) {
	failure := o.Item.Error
	late := o.Turn != w.Turn || w.Over || l.Standing != Pending
	refused := failure != nil && (failure.Code == apisecret.NotFound || failure.Code == apisecret.AccessDenied) &&
		!o.Open && !l.Landed && !w.enabling(l.Identifier, actor)
	if o.Item.Attempts > 0 || o.Open {
		l.Begun = true
		l.Landed = l.Landed || failure == nil || o.Open
	}
	switch {
	case late: // a disabling may have been begun since it was decided on
	case o.Taken:
		l.Begun, l.Landed, l.Fault = true, true, nil
		l.settle(Enabled, now)
	case failure == nil && o.Settles:
		l.Fault = nil
		l.settle(Enabled, now)
	case failure == nil:
		l.Fault = nil
	case refused:
		l.Fault = faultOf(failure)
		l.settle(Failed, now)
	default:
		l.Fault = faultOf(failure)
	}
}
