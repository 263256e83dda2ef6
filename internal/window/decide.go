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
// and all three are pure functions of what was read and the time. docs/window-protocol.md
// says why that is enough.

// Target is a call that may be wanted: one action for one API secret.
type Target struct {
	Identifier apisecret.Identifier
	Action     apisecret.Action
}

// Actor is one run of one function.
type Actor struct {
	ID     string         // of this round
	LandBy Instant        // of the calls of this round
	Limit  int            // how many calls this round may have
	Window string         // the only one that it plans for; empty: all
	Over   map[string]int // turns of the windows that the read before the one that is decided by found over

	// Tried are the calls that this run has made before; true: it succeeded, but an
	// opposite call was under way.
	Tried map[Target]bool
}

// knowsOver reports whether the window was over before the read that is decided by began.
func (a Actor) knowsOver(w *Window) bool {
	turn, known := a.Over[w.ID]
	return known && turn == w.Turn
}

// Plan returns the windows that are to be written before any call, each as it is to
// be: over if its time is, with what needs no call settled, and with the actor's mark of
// the calls to come. again says that another look is needed, though there may be
// nothing to write.
func (v View) Plan(now Instant, a Actor) (changed []Window, again bool) {
	chosen := map[Target]bool{}
	for _, before := range v.inOrder(now) {
		if before.ID == GuardID || a.Window != "" && a.Window != before.ID || !before.over(now) && !before.begun(now) {
			continue
		}
		w := before.clone()
		w.dropExpired(now)
		if w.over(now) {
			w.setOver(true)
			again = v.planEnd(&w, now, a, chosen) || again
		} else {
			v.planBeginning(&w, now, a, chosen)
		}
		if w.altered {
			changed = append(changed, w)
		}
	}
	return changed, again
}

// setOver makes the window over or not. The audit log tells anew of what is tried from now
// on: it is the opposite of what was tried before.
func (w *Window) setOver(over bool) {
	if w.Over == over {
		return
	}
	w.Over, w.altered = over, true
	w.Turn++
	for at := range w.Leases {
		w.Leases[at].Told = 0
	}
}

// settle gives a lease a state.
func (w *Window) settle(l *Lease, s LeaseState, now Instant) {
	l.State, l.At, l.Carry = s, now, false
	w.altered = true
}

// Opened returns a new window that has done nothing yet.
func Opened(id string, from, until Instant, identifiers []apisecret.Identifier) Window {
	w := Window{ID: id, From: from, Until: until, Leases: make([]Lease, len(identifiers))}
	for at, i := range identifiers {
		w.Leases[at] = Lease{Identifier: i, State: Pending}
	}
	return w
}

// begin marks what the actor is about to enable.
func (w *Window) begin(a Actor, list []apisecret.Identifier) {
	w.altered = w.altered || !w.Begun
	w.Begun = true
	w.mark(a, apisecret.Enable, list)
}

// Extend returns the window, which nobody has closed, with a later end. What a disabling
// of ours may have undone is enabled again; what is enabled stays as it is, without a call.
func (w *Window) Extend(until Instant) Window {
	after := w.clone()
	after.Until = until
	after.Extended++
	if !after.Over {
		return after
	}
	after.setOver(false)
	for at := range after.Leases {
		l := &after.Leases[at]
		switch {
		case l.State == Kept:
			l.State, l.At, l.Carry = Pending, 0, true
		case l.State == Disabled, l.State == NeverEnabled, l.holds() && (l.Undone || l.Off):
			l.State, l.At, l.Fault = Pending, 0, nil
		}
		l.Undone, l.Off = false, false
	}
	return after
}

// End returns the window closed by somebody before its time, or as it is if it is
// over already. What never began is never enabled.
func (w *Window) End(now Instant, by Change) Window {
	after := w.clone()
	after.dropExpired(now)
	if after.Ended == nil {
		after.Ended = &by
	}
	after.setOver(true)
	for at := range after.Leases {
		if l := &after.Leases[at]; after.neverBegun(l) {
			after.settle(l, NeverEnabled, now)
		}
	}
	return after
}

// neverBegun reports whether no call for the lease can have been begun.
func (w *Window) neverBegun(l *Lease) bool {
	return l.State == Pending && !l.Begun && !w.enabling(l.Identifier, "")
}

// dropExpired takes away marks whose calls have landed or never will. What they may
// have done stays with the leases.
func (w *Window) dropExpired(now Instant) {
	w.Marks = slices.DeleteFunc(w.Marks, func(m Mark) bool {
		if now < m.LandBy {
			return false
		}
		for _, i := range m.Identifiers {
			if l := w.lease(i); l != nil && m.Kind == apisecret.Enable {
				l.Begun, l.Landed = true, true
			}
		}
		w.altered = true
		return true
	})
}

// planEnd settles what needs no call at the end of the window, and marks the rest.
//
// An API secret is kept for a window that answers for it, and only if that was read after
// this one was over: of two that end together, each could be kept for the other's sake.
func (v View) planEnd(w *Window, now Instant, a Actor, chosen map[Target]bool) (again bool) {
	var mark []apisecret.Identifier
	for at := range w.Leases {
		l := &w.Leases[at]
		switch {
		case !l.holds():
		case w.neverBegun(l):
			w.settle(l, NeverEnabled, now)
		case v.answered(l.Identifier, now) && !a.knowsOver(w):
			again = true
		case v.answered(l.Identifier, now):
			w.settle(l, Kept, now)
		case v.wanted(l.Identifier, now):
			// Whoever holds it is about to enable it, and answers for it then.
		case a.choose(v, Target{l.Identifier, apisecret.Disable}, now, w, chosen):
			l.Undone = true
			mark = append(mark, l.Identifier)
		}
	}
	w.mark(a, apisecret.Disable, mark)
	return again
}

// planBeginning marks what is to be enabled.
func (v View) planBeginning(w *Window, now Instant, a Actor, chosen map[Target]bool) {
	var mark []apisecret.Identifier
	for at := range w.Leases {
		l := &w.Leases[at]
		if l.State == Pending && a.choose(v, Target{l.Identifier, apisecret.Enable}, now, w, chosen) {
			mark = append(mark, l.Identifier)
		}
	}
	w.begin(a, mark)
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

// PlanGuard returns the guard's pseudo-window with a mark of the identifiers, each of
// which is guardable; nothing, if there are none or too many marks.
func (v View) PlanGuard(now Instant, a Actor, list []apisecret.Identifier) []Window {
	w := Window{ID: GuardID, Over: true, Begun: true}
	if before := v.windows[GuardID]; before != nil {
		w = before.clone()
	}
	w.dropExpired(now)
	if len(w.Marks) >= maxMarks || len(list) == 0 {
		return nil
	}
	w.mark(a, apisecret.Disable, list)
	return []Window{w}
}

func (w *Window) mark(a Actor, kind apisecret.Action, list []apisecret.Identifier) {
	if len(list) > 0 {
		w.Marks, w.altered = append(w.Marks, Mark{Actor: a.ID, Kind: kind, LandBy: a.LandBy, Identifiers: list}), true
	}
}

// Call is a call that is to be made now, on behalf of one or more windows.
type Call struct {
	Target
	Settles bool           // no opposite call may be under way, so that its success is final
	Before  Instant        // it is not begun at this time or later; 0: no such limit
	Window  *Window        // for whose sake: of several the one with the latest end; nil: the guard's
	Turns   map[string]int // of all windows that it is made for, by their ids
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
func (v View) Decide(now Instant, actor string) (list []*Call, outcomes Outcomes) {
	outcomes = Outcomes{}
	calls := map[Target]*Call{}
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
					calls[t] = &Call{Target: t, Turns: map[string]int{}, Settles: !v.underWay(t.Action.Opposite(), t.Identifier, now)}
					list = append(list, calls[t])
				}
				calls[t].add(w)
			}
		}
	}
	slices.SortStableFunc(list, func(a, b *Call) int { return a.urgency() - b.urgency() })
	return list, outcomes
}

// decideOne reports whether the call is to be made for the window's sake, or else
// what becomes of it without.
func (v View) decideOne(w *Window, t Target, now Instant) (o Outcome, call bool) {
	skipped := Outcome{Target: t, Turn: w.Turn, Skipped: true}
	if t.Action == apisecret.Disable {
		return skipped, !v.held(t.Identifier, now)
	}
	switch l := w.lease(t.Identifier); {
	case l == nil || l.State != Pending || w.over(now):
		return skipped, false
	case v.handsOver(w, l, now):
		return Outcome{Target: t, Turn: w.Turn, Taken: true}, false
	default:
		return skipped, true
	}
}

// add makes the call one for the window's sake too.
func (c *Call) add(w *Window) {
	c.Turns[w.ID] = w.Turn
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
	for id, turn := range c.Turns {
		o.Turn = turn
		to[id] = append(to[id], o)
	}
}

// Apply returns the window with the outcomes in it, whatever has happened to it since
// they were decided on. To apply twice changes nothing more.
func (w *Window) Apply(now Instant, actor string, outcomes []Outcome) Window {
	after := w.clone()
	after.dropExpired(now)
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
	for at := range after.Marks {
		if m := &after.Marks[at]; m.Actor == actor {
			m.Identifiers = slices.DeleteFunc(m.Identifiers, func(i apisecret.Identifier) bool { return gone[Target{i, m.Kind}] })
		}
	}
	after.Marks = slices.DeleteFunc(after.Marks, func(m Mark) bool { return len(m.Identifiers) == 0 })
	return after
}

func (l *Lease) apply(w *Window, now Instant, actor string, o *Outcome) {
	if o.Told && o.Turn == w.Turn {
		l.Told = now
	}
	switch {
	case o.Skipped:
	case o.Action == apisecret.Enable:
		l.applyEnable(w, now, actor, o)
	case l.holds() && o.Turn == w.Turn: // neither resolved by another, nor extended meanwhile: Undone has it enabled again
		l.Fault = faultOf(o.Item.Error)
		switch {
		case !disabled(o.Item):
		case o.Settles:
			w.settle(l, Disabled, now)
		default:
			l.Off = true
		}
	}
}

// disabled reports whether a disabling that ended like this has left the API secret
// disabled: one that is not there counts.
func disabled(item apisecret.Item) bool {
	return item.Error == nil || item.Error.Code == apisecret.NotFound
}

func (l *Lease) applyEnable(w *Window, now Instant, actor string, o *Outcome) {
	failure := o.Item.Error
	if o.Item.Attempts > 0 || o.Open {
		l.Begun = true
		l.Landed = l.Landed || failure == nil || o.Open
	}
	if o.Turn != w.Turn || w.Over || l.State != Pending {
		return // a disabling may have been begun since it was decided on
	}
	l.Fault = faultOf(failure)
	switch {
	case o.Taken:
		l.Begun, l.Landed = true, true
		w.settle(l, Enabled, now)
	case failure == nil && o.Settles:
		w.settle(l, Enabled, now)
	case failure == nil || failure.Code != apisecret.NotFound && failure.Code != apisecret.AccessDenied:
	case !o.Open && !l.Landed && !w.enabling(l.Identifier, actor):
		w.settle(l, Failed, now)
	}
}
