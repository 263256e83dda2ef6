package window

import (
	"testing"

	"segura-enable/internal/apisecret"
)

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

func withoutMarks(but string) func(*Window) {
	return func(w *Window) {
		var own []Mark
		for _, m := range w.Marks {
			if m.Actor == but {
				own = append(own, m)
			}
		}
		w.Marks = own
	}
}

// onApply changes what is applied.
func onApply(p *protocol, change func(w *Window, o *Outcome)) {
	deployed := p.apply
	p.apply = func(w *Window, now Instant, actor string, list []Outcome) Window {
		changed := make([]Outcome, len(list))
		for at, o := range list {
			change(w, &o)
			changed[at] = o
		}
		return deployed(w, now, actor, changed)
	}
}

// onCalls changes what is called.
func onCalls(p *protocol, change func(*Call)) {
	deployed := p.decide
	p.decide = func(v View, now Instant, actor string) ([]*Call, Outcomes) {
		calls, outcomes := deployed(v, now, actor)
		for at := range calls {
			change(calls[at])
		}
		return calls, outcomes
	}
}

// onApplied changes the window that an actor writes after its calls.
func onApplied(p *protocol, change func(before, after *Window, actor string)) {
	deployed := p.apply
	p.apply = func(w *Window, now Instant, actor string, list []Outcome) Window {
		after := deployed(w, now, actor, list)
		change(w, &after, actor)
		return after
	}
}

// mutants are ways to get the protocol wrong, each a mistake that somebody may make.
var mutants = []struct {
	name   string
	mutate func(*protocol)
	scene  string // that finds it; empty: one of the small ones does
}{
	{name: "decide by what was read before the marks were written", mutate: func(p *protocol) { p.noSecondRead = true }},
	{name: "write without looking whether the window has changed", mutate: func(p *protocol) { p.unconditional = true }},
	{name: "write the window after its call", mutate: func(p *protocol) { p.openAfterwards = true }},
	{name: "disable without a mark", mutate: func(p *protocol) { p.unmarked = apisecret.Disable }},
	{name: "enable without a mark", mutate: func(p *protocol) { p.unmarked = apisecret.Enable }},
	{name: "take every success for final", mutate: func(p *protocol) { onCalls(p, func(c *Call) { c.Settles = true }) }},
	{name: "forget to settle an enabling", mutate: func(p *protocol) {
		onCalls(p, func(c *Call) { c.Settles = c.Settles || c.Action == apisecret.Enable })
	}},
	{name: "forget to settle a disabling", mutate: func(p *protocol) {
		onCalls(p, func(c *Call) { c.Settles = c.Settles || c.Action == apisecret.Disable })
	}},
	{name: "trust a late answer", mutate: func(p *protocol) { onApply(p, func(w *Window, o *Outcome) { o.Turn = w.Turn }) }},
	{name: "take no answer for one", mutate: func(p *protocol) { onApply(p, func(_ *Window, o *Outcome) { o.Open = false }) }},
	{name: "close with calls under way", mutate: func(p *protocol) {
		p.finished = func(w *Window) bool {
			plain := *w
			plain.Marks = nil
			return plain.Finished()
		}
	}},
	{name: "close before everything is disabled", mutate: func(p *protocol) {
		p.finished = func(w *Window) bool { return w.Over && w.ID != GuardID && len(w.Marks) == 0 }
	}},
	{name: "take marks for expired at once", mutate: func(p *protocol) {
		deployed := p.decide
		p.decide = func(v View, now Instant, actor string) ([]*Call, Outcomes) {
			return deployed(v.doctored(withoutMarks(actor)), now, actor)
		}
	}},
	{name: "take others' marks away with one's own", mutate: func(p *protocol) {
		onApplied(p, func(_, after *Window, _ string) { after.Marks = nil })
	}},
	{name: "keep what nobody answers for yet", mutate: func(p *protocol) {
		p.plan = func(v View, now Instant, a Actor) ([]Window, bool) {
			planned, again := v.Plan(now, a)
			for at := range planned {
				for l := range planned[at].Leases {
					lease := &planned[at].Leases[l]
					if planned[at].Over && lease.holds() && v.wanted(lease.Identifier, now) {
						lease.State = Kept
					}
				}
			}
			return planned, again
		}
	}},
	{name: "keep by a look from before the end was written", mutate: func(p *protocol) {
		p.plan = func(v View, now Instant, a Actor) ([]Window, bool) {
			a.Before = v
			return v.Plan(now, a)
		}
	}, scene: "closing both"},
	{name: "disable what a window holds", mutate: func(p *protocol) {
		deployed := p.decide
		p.decide = func(v View, now Instant, actor string) ([]*Call, Outcomes) {
			calls, outcomes := deployed(v, now, actor)
			for id, list := range outcomes {
				for at, o := range list {
					if o.Action == apisecret.Disable && o.Skipped && len(calls) == 0 {
						c := Call{Target: o.Target, Settles: true, Turns: map[string]int{id: o.Turn}}
						return []*Call{&c}, Outcomes{}
					}
					_ = at
				}
			}
			return calls, outcomes
		}
	}},
	{name: "hold by what is enabled alone", mutate: func(p *protocol) {
		deployed := p.decide
		p.decide = func(v View, now Instant, actor string) ([]*Call, Outcomes) {
			_, outcomes := deployed(v, now, actor)
			calls, _ := deployed(v.doctored(func(w *Window) {
				for at := range w.Leases {
					if l := &w.Leases[at]; l.State == Pending && !w.Over && !w.enabling(l.Identifier, "none") {
						l.State = Failed
					}
				}
			}), now, actor)
			if len(calls) > 0 {
				outcomes = Outcomes{}
			}
			return calls, outcomes
		}
	}},
	{name: "extend without enabling again", mutate: func(p *protocol) {
		deployed := p.extend
		p.extend = func(w *Window, until Instant) Window {
			after := deployed(w, until)
			for at := range after.Leases {
				if l := &after.Leases[at]; l.State == Pending && w.Leases[at].State == Enabled {
					l.State = Enabled
				}
			}
			return after
		}
	}},
	{name: "extend what was disabled as it is", mutate: func(p *protocol) {
		deployed := p.extend
		p.extend = func(w *Window, until Instant) Window {
			after := deployed(w, until)
			for at := range after.Leases {
				if w.Leases[at].State == Disabled {
					after.Leases[at] = w.Leases[at]
				}
			}
			return after
		}
	}, scene: "an extension between two reconcilers"},
	{name: "extend without a new turn", mutate: func(p *protocol) {
		deployed := p.extend
		p.extend = func(w *Window, until Instant) Window {
			after := deployed(w, until)
			after.Turn = w.Turn
			return after
		}
	}},
	{name: "fail although an earlier call may have landed", mutate: func(p *protocol) {
		onApplied(p, func(before, after *Window, _ string) {
			for at := range after.Leases {
				if l := &after.Leases[at]; l.State == Pending && l.Fault != nil && l.Fault.Code == apisecret.NotFound && !after.Over {
					l.State = Failed
				}
			}
			_ = before
		})
	}},
	{name: "forget that a call was begun", mutate: func(p *protocol) {
		onApplied(p, func(_, after *Window, _ string) {
			for at := range after.Leases {
				if after.Leases[at].State == Pending {
					after.Leases[at].Begun = false
				}
			}
		})
	}},
	{name: "forget a call whose actor was stopped", mutate: func(p *protocol) {
		p.plan = func(v View, now Instant, a Actor) ([]Window, bool) {
			return v.doctored(func(w *Window) {
				var live []Mark
				for _, m := range w.Marks {
					if now < m.LandBy {
						live = append(live, m)
					}
				}
				if len(live) < len(w.Marks) {
					w.Marks = live
				}
			}).Plan(now, a)
		}
	}},
	{name: "take over without a look for a disabling under way", mutate: func(p *protocol) {
		deployed := p.decide
		p.decide = func(v View, now Instant, actor string) ([]*Call, Outcomes) {
			return deployed(v.doctored(func(w *Window) {
				withoutMarks(actor)(w)
				for at := range w.Leases {
					w.Leases[at].Undone = false
				}
			}), now, actor)
		}
	}},
	{name: "take over before the beginning is written", mutate: func(p *protocol) {
		p.plan = func(v View, now Instant, a Actor) ([]Window, bool) {
			planned, again := v.Plan(now, a)
			for at := range planned {
				w := &planned[at]
				for l := range w.Leases {
					if lease := &w.Leases[l]; !w.Over && lease.State == Pending && v.handsOver(w, lease, now) {
						lease.Begun, lease.Landed = true, true
						lease.State = Enabled
						w.Marks = nil
					}
				}
			}
			return planned, again
		}
	}},
	{name: "enable after the end", mutate: func(p *protocol) {
		onCalls(p, func(c *Call) { c.Before = 0 })
	}},
	{name: "end a window without saying so", mutate: func(p *protocol) {
		p.plan = func(v View, now Instant, a Actor) ([]Window, bool) {
			planned, again := v.Plan(now, a)
			for at := range planned {
				if before := v.windows[planned[at].ID]; !before.Over {
					planned[at].Over, planned[at].Turn = false, before.Turn
				}
			}
			return planned, again
		}
	}},
	{name: "guard without a mark's being heeded", mutate: func(p *protocol) {
		deployed := p.guard
		p.guard = func(v View, now Instant, a Actor) []Window {
			return deployed(NewView(nil), now, a)
		}
		p.unmarked = apisecret.Disable
	}},
}

func TestProtocol_everyMutantIsFound(t *testing.T) {
	for _, mutant := range mutants {
		t.Run(mutant.name, func(t *testing.T) {
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
