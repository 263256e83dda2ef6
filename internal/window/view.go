package window

import (
	"cmp"
	"slices"

	"segura-enable/internal/apisecret"
)

// View is all live windows, each as it was at some moment of one read. It is never
// changed.
type View struct {
	windows map[string]*Window
	places  map[apisecret.Identifier][]place
	marked  map[apisecret.Identifier][]marked
}

// place is an identifier in a window.
type place struct {
	window *Window
	lease  *Lease
}

// marked is an identifier in a mark.
type marked struct {
	kind   apisecret.Action
	landBy Instant
}

// NewView returns the view of what was read.
func NewView(windows []Window) View {
	v := View{
		windows: make(map[string]*Window, len(windows)),
		places:  map[apisecret.Identifier][]place{},
		marked:  map[apisecret.Identifier][]marked{},
	}
	for at := range windows {
		w := &windows[at]
		v.windows[w.ID] = w
		for l := range w.Leases {
			i := w.Leases[l].Identifier
			v.places[i] = append(v.places[i], place{w, &w.Leases[l]})
		}
		for _, m := range w.Marks {
			for _, i := range m.Identifiers {
				v.marked[i] = append(v.marked[i], marked{m.Kind, m.LandBy})
			}
		}
	}
	return v
}

// underWay reports whether a call of the kind may still land, whoever's.
func (v View) underWay(kind apisecret.Action, i apisecret.Identifier, now Instant) bool {
	return slices.ContainsFunc(v.marked[i], func(m marked) bool { return m.kind == kind && now < m.landBy })
}

// held reports whether any window is to keep the API secret enabled. A window whose
// end has passed counts until the table says that it is over: nothing that somebody
// may still take for held is disabled.
func (v View) held(i apisecret.Identifier, now Instant) bool {
	return slices.ContainsFunc(v.places[i], func(p place) bool {
		return !p.window.Over && p.window.begun(now) && p.lease.holds()
	})
}

// wanted reports whether any window that is not over by the clock either is to keep
// the API secret enabled.
func (v View) wanted(i apisecret.Identifier, now Instant) bool {
	return slices.ContainsFunc(v.places[i], func(p place) bool {
		return !p.window.over(now) && p.window.begun(now) && p.lease.holds()
	})
}

// answered reports whether any such window answers for the API secret: knows it
// enabled, and will have it disabled at its own end.
func (v View) answered(i apisecret.Identifier, now Instant) bool {
	return slices.ContainsFunc(v.places[i], func(p place) bool {
		return !p.window.over(now) && p.window.begun(now) && p.lease.Standing == Enabled
	})
}

// handsOver reports whether the window may take the API secret over without a call:
// another one has it enabled, and ends where this one begins, or kept it for this one
// before; and nothing of ours may have disabled it, or may yet.
func (v View) handsOver(w *Window, l *Lease, now Instant) bool {
	if v.underWay(apisecret.Disable, l.Identifier, now) {
		return false
	}
	return slices.ContainsFunc(v.places[l.Identifier], func(p place) bool {
		return p.window.ID != w.ID && p.lease.Standing == Enabled && !p.lease.Undone && !p.lease.Off &&
			(l.Carry || !l.Begun && p.window.Until == w.From && p.window.Ended == nil)
	})
}

// inOrder returns the windows, those that are over first, then by their ends.
func (v View) inOrder(now Instant) []*Window {
	list := make([]*Window, 0, len(v.windows))
	for _, w := range v.windows {
		list = append(list, w)
	}
	slices.SortFunc(list, func(a, b *Window) int {
		if a.over(now) != b.over(now) {
			if a.over(now) {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(a.Until, b.Until), cmp.Compare(a.ID, b.ID))
	})
	return list
}

// CountOpen returns how many windows are open.
func (v View) CountOpen(now Instant) int {
	n := 0
	for _, w := range v.windows {
		if w.ID != GuardID && w.StateAt(now, false) == Open {
			n++
		}
	}
	return n
}

// CountOverdue returns how many API secrets are still to be disabled after their last
// window's end. One that was disabled, but may yet be undone by an earlier call that
// lands late, is not overdue.
func (v View) CountOverdue(now Instant) int {
	n := 0
	for i, places := range v.places {
		late := slices.ContainsFunc(places, func(p place) bool {
			begun := p.lease.Standing == Enabled || p.lease.Begun || len(p.window.Marks) > 0
			return p.window.over(now) && p.lease.holds() && begun && !p.lease.Off
		})
		if late && !v.wanted(i, now) {
			n++
		}
	}
	return n
}
