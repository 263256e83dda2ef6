package window

import (
	"cmp"
	"maps"
	"slices"

	"segura-enable/internal/apisecret"
)

// View is all live windows, each as it was at some moment of one read. It is never
// changed.
type View struct {
	windows map[string]*Window
	places  map[apisecret.Identifier][]place
	marks   map[apisecret.Identifier][]*Mark
}

// place is an identifier in a window.
type place struct {
	*Window
	lease *Lease
}

// NewView returns the view of what was read.
func NewView(windows []Window) View {
	v := View{make(map[string]*Window, len(windows)), map[apisecret.Identifier][]place{}, map[apisecret.Identifier][]*Mark{}}
	for at := range windows {
		w := &windows[at]
		v.windows[w.ID] = w
		for l := range w.Leases {
			i := w.Leases[l].Identifier
			v.places[i] = append(v.places[i], place{w, &w.Leases[l]})
		}
		for m := range w.Marks {
			for _, i := range w.Marks[m].Identifiers {
				v.marks[i] = append(v.marks[i], &w.Marks[m])
			}
		}
	}
	return v
}

// over returns the turns of the windows that are over, by their ids.
func (v View) over() map[string]int {
	turns := map[string]int{}
	for id, w := range v.windows {
		if w.Over {
			turns[id] = w.Turn
		}
	}
	return turns
}

// underWay reports whether a call of the kind may still land, whoever's.
func (v View) underWay(kind apisecret.Action, i apisecret.Identifier, now Instant) bool {
	return slices.ContainsFunc(v.marks[i], func(m *Mark) bool { return m.Kind == kind && now < m.LandBy })
}

// held reports whether any window is to keep the API secret enabled. A window whose
// end has passed counts until the table says that it is over: nothing that somebody
// may still take for held is disabled.
func (v View) held(i apisecret.Identifier, now Instant) bool {
	return slices.ContainsFunc(v.places[i], func(p place) bool { return !p.Over && p.begun(now) && p.lease.holds() })
}

// wanted reports whether any window that is not over by the clock either is to keep
// the API secret enabled.
func (v View) wanted(i apisecret.Identifier, now Instant) bool {
	return slices.ContainsFunc(v.places[i], func(p place) bool { return !p.over(now) && p.begun(now) && p.lease.holds() })
}

// answered reports whether any such window answers for the API secret: knows it
// enabled, and will have it disabled at its own end.
func (v View) answered(i apisecret.Identifier, now Instant) bool {
	return slices.ContainsFunc(v.places[i], func(p place) bool { return !p.over(now) && p.begun(now) && p.lease.State == Enabled })
}

// guardable reports whether no window holds the API secret, or has yet to let go of it.
func (v View) guardable(i apisecret.Identifier, now Instant) bool {
	return !slices.ContainsFunc(v.places[i], func(p place) bool { return p.begun(now) && p.lease.holds() })
}

// handsOver reports whether the window may take the API secret over without a call:
// another one has it enabled, and ends where this one begins, or kept it for this one
// before; and nothing of ours may have disabled it, or may yet.
func (v View) handsOver(w *Window, l *Lease, now Instant) bool {
	return !v.underWay(apisecret.Disable, l.Identifier, now) && slices.ContainsFunc(v.places[l.Identifier], func(p place) bool {
		return p.ID != w.ID && p.lease.State == Enabled && !p.lease.Undone && !p.lease.Off &&
			(l.Carry || !l.Begun && p.Until == w.From && p.Ended == nil)
	})
}

// inOrder returns the windows, those that are over first, then by their ends.
func (v View) inOrder(now Instant) []*Window {
	goesOn := func(w *Window) int {
		if w.over(now) {
			return 0
		}
		return 1
	}
	return slices.SortedFunc(maps.Values(v.windows), func(a, b *Window) int {
		return cmp.Or(cmp.Compare(goesOn(a), goesOn(b)), byEnd(a, b))
	})
}

func byEnd(a, b *Window) int { return cmp.Or(cmp.Compare(a.Until, b.Until), cmp.Compare(a.ID, b.ID)) }

// countOpen returns how many windows are open.
func (v View) countOpen(now Instant) (n int) {
	for id, w := range v.windows {
		if id != GuardID && w.StateAt(now) == Open {
			n++
		}
	}
	return n
}

// countOverdue returns how many API secrets are still to be disabled after their last
// window's end. One that was disabled, but may yet be undone by an earlier call that
// lands late, is not overdue.
func (v View) countOverdue(now Instant) (n int) {
	for i, places := range v.places {
		late := slices.ContainsFunc(places, func(p place) bool {
			begun := p.lease.State == Enabled || p.lease.Begun || len(p.Marks) > 0
			return p.over(now) && p.lease.holds() && begun && !p.lease.Off
		})
		if late && !v.wanted(i, now) {
			n++
		}
	}
	return n
}
