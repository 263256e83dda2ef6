package window

import (
	"slices"
	"testing"

	"segura-enable/internal/apisecret"
)

// mutation is a way to get the protocol wrong.
type mutation func(*protocol)

// calls changes what is called.
func calls(change func(*Call)) mutation {
	return func(p *protocol) {
		deployed := p.decide
		p.decide = func(v View, now Instant, actor string) ([]*Call, Outcomes) {
			calls, outcomes := deployed(v, now, actor)
			for _, c := range calls {
				change(c)
			}
			return calls, outcomes
		}
	}
}

// doctored returns the view after a change to a copy of each window.
func (v View) doctored(change func(*Window)) View {
	var list []Window
	for _, one := range v.windows {
		w := one.clone()
		change(&w)
		list = append(list, w)
	}
	return NewView(list)
}

// decides has a changed view decided by.
func decides(change func(w *Window, actor string)) mutation {
	return func(p *protocol) {
		deployed := p.decide
		p.decide = func(v View, now Instant, actor string) ([]*Call, Outcomes) {
			return deployed(v.doctored(func(w *Window) { change(w, actor) }), now, actor)
		}
	}
}

func withoutMarks(w *Window, but string) {
	w.Marks = slices.DeleteFunc(w.Marks, func(m Mark) bool { return m.Actor != but })
}

// plans changes each window that is planned.
func plans(change func(v View, now Instant, w *Window)) mutation {
	return func(p *protocol) {
		deployed := p.plan
		p.plan = func(v View, now Instant, a Actor) ([]Window, bool) {
			planned, again := deployed(v, now, a)
			for at := range planned {
				change(v, now, &planned[at])
			}
			return planned, again
		}
	}
}

// outcomes changes what is applied.
func outcomes(change func(w *Window, o *Outcome)) mutation {
	return func(p *protocol) {
		deployed := p.apply
		p.apply = func(w *Window, now Instant, actor string, list []Outcome) Window {
			changed := slices.Clone(list)
			for at := range changed {
				change(w, &changed[at])
			}
			return deployed(w, now, actor, changed)
		}
	}
}

// applies changes the window, and its lease, that an actor writes after its calls.
func applies(change func(w *Window, l *Lease)) mutation {
	return func(p *protocol) {
		deployed := p.apply
		p.apply = func(w *Window, now Instant, actor string, list []Outcome) Window {
			after := deployed(w, now, actor, list)
			if len(after.Leases) > 0 { // the guard's has none
				change(&after, &after.Leases[0])
			} else {
				change(&after, &Lease{})
			}
			return after
		}
	}
}

// extends changes the window, and its lease, after its extension.
func extends(change func(before, after *Window, was, is *Lease)) mutation {
	return func(p *protocol) {
		deployed := p.extend
		p.extend = func(w *Window, until Instant) Window {
			after := deployed(w, until)
			change(w, &after, &w.Leases[0], &after.Leases[0])
			return after
		}
	}
}

// finishes forgets a part of what keeps a window from being closed.
func finishes(forget func(*Window)) mutation {
	return func(p *protocol) {
		deployed := p.finished
		p.finished = func(w *Window) bool {
			plain := w.clone()
			forget(&plain)
			return deployed(&plain)
		}
	}
}

// mutants are mistakes that somebody may make.
var mutants = []struct {
	name   string
	mutate mutation
	scene  string // that finds it; empty: one of the small ones does
}{
	{"decide by what was read before the marks were written", func(p *protocol) { p.noSecondRead = true }, ""},
	{"write without looking whether the window has changed", func(p *protocol) { p.unconditional = true }, ""},
	{"write the window after its call", func(p *protocol) { p.openAfterwards = true }, ""},
	{"disable without a mark", func(p *protocol) { p.unmarked = apisecret.Disable }, ""},
	{"enable without a mark", func(p *protocol) { p.unmarked = apisecret.Enable }, ""},
	{"take every success for final", calls(func(c *Call) { c.Settles = true }), ""},
	{"forget to settle an enabling", calls(func(c *Call) { c.Settles = c.Settles || c.Action == apisecret.Enable }), ""},
	{"forget to settle a disabling", calls(func(c *Call) { c.Settles = c.Settles || c.Action == apisecret.Disable }), ""},
	{"enable after the end", calls(func(c *Call) { c.Before = 0 }), ""},
	{"trust a late answer", outcomes(func(w *Window, o *Outcome) { o.Turn = w.Turn }), ""},
	{"take no answer for one", outcomes(func(_ *Window, o *Outcome) { o.Open = false }), ""},
	{"close with calls under way", finishes(func(w *Window) { w.Marks = nil }), ""},
	{"close before everything is disabled", finishes(func(w *Window) { w.Leases = nil }), ""},
	{"take marks for expired at once", decides(withoutMarks), ""},
	{"take others' marks away with one's own", applies(func(w *Window, _ *Lease) { w.Marks = nil }), ""},
	{"keep what nobody answers for yet", plans(func(v View, now Instant, w *Window) {
		if w.Over && w.Leases[0].holds() && v.wanted(secret, now) {
			w.Leases[0].State = Kept
		}
	}), ""},
	{"keep by a look from before the end was written", func(p *protocol) {
		p.plan = func(v View, now Instant, a Actor) ([]Window, bool) {
			a.Over = v.over()
			return v.Plan(now, a)
		}
	}, "closing both"},
	{"disable what a window holds", func(p *protocol) {
		deployed := p.decide
		p.decide = func(v View, now Instant, actor string) ([]*Call, Outcomes) {
			calls, outcomes := deployed(v, now, actor)
			for id, list := range outcomes {
				for _, o := range list {
					if o.Action == apisecret.Disable && o.Skipped && len(calls) == 0 {
						return []*Call{{Target: o.Target, Settles: true, Turns: map[string]int{id: o.Turn}}}, Outcomes{}
					}
				}
			}
			return calls, outcomes
		}
	}, ""},
	{"hold by what is enabled alone", func(p *protocol) {
		deployed := p.decide
		p.decide = func(v View, now Instant, actor string) ([]*Call, Outcomes) {
			calls, _ := deployed(v.doctored(func(w *Window) {
				for at := range w.Leases {
					if l := &w.Leases[at]; l.State == Pending && !w.Over && !w.enabling(secret, "") {
						l.State = Failed
					}
				}
			}), now, actor)
			if len(calls) > 0 {
				return calls, Outcomes{}
			}
			_, outcomes := deployed(v, now, actor)
			return calls, outcomes
		}
	}, ""},
	{"extend without enabling again", extends(func(_, _ *Window, was, is *Lease) {
		if is.State == Pending && was.State == Enabled {
			is.State = Enabled
		}
	}), ""},
	{"extend what was disabled as it is", extends(func(_, _ *Window, was, is *Lease) {
		if was.State == Disabled {
			*is = *was
		}
	}), "an extension between two reconcilers"},
	{"extend without a new turn", extends(func(before, after *Window, _, _ *Lease) { after.Turn = before.Turn }), ""},
	{"fail although an earlier call may have landed", applies(func(w *Window, l *Lease) {
		if l.State == Pending && l.Fault != nil && l.Fault.Code == apisecret.NotFound && !w.Over {
			l.State = Failed
		}
	}), ""},
	{"forget that a call was begun", applies(func(_ *Window, l *Lease) { l.Begun = l.Begun && l.State != Pending }), ""},
	{"forget a call whose actor was stopped", func(p *protocol) {
		p.plan = func(v View, now Instant, a Actor) ([]Window, bool) {
			return v.doctored(func(w *Window) {
				w.Marks = slices.DeleteFunc(w.Marks, func(m Mark) bool { return now >= m.LandBy })
			}).Plan(now, a)
		}
	}, ""},
	{"take over without a look for a disabling under way", decides(func(w *Window, actor string) {
		withoutMarks(w, actor)
		for at := range w.Leases {
			w.Leases[at].Undone = false
		}
	}), ""},
	{"take over before the beginning is written", plans(func(v View, now Instant, w *Window) {
		if l := &w.Leases[0]; !w.Over && l.State == Pending && v.handsOver(w, l, now) {
			*l = Lease{Identifier: secret, State: Enabled, Begun: true, Landed: true}
			w.Marks = nil
		}
	}), ""},
	{"end a window without saying so", plans(func(v View, _ Instant, w *Window) {
		if before := v.windows[w.ID]; !before.Over {
			w.Over, w.Turn = false, before.Turn
		}
	}), ""},
	{"guard without a mark's being heeded", func(p *protocol) {
		deployed := p.guard
		p.guard = func(_ View, now Instant, a Actor) []Window { return deployed(NewView(nil), now, a) }
		p.unmarked = apisecret.Disable
	}, ""},
}

func TestProtocol_everyMutantIsFound(t *testing.T) {
	for _, mutant := range mutants {
		t.Run(mutant.name, func(t *testing.T) {
			t.Parallel()
			for _, scene := range scenes() {
				if mutant.scene != "" && mutant.scene != scene.name {
					continue
				}
				p := deployed()
				mutant.mutate(&p)
				s := scene.search(p)
				s.limit = 25_000
				if mutant.scene != "" {
					s.limit = 0 // it is a large one
				}
				if fault := s.run(scene.world()); fault != "" {
					t.Logf("after %d states of %q: %s", len(s.seen), scene.name, fault)
					return
				}
			}
			t.Error("not found")
		})
	}
}
