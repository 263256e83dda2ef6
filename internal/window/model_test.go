package window

import (
	"encoding/json"
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"

	"segura-enable/internal/apisecret"
)

// The model is the protocol with everything around it as small as it can be: one API
// secret, two windows, a clock of a few ticks, and actors that can be stopped before
// every step. It runs the functions that are deployed, and visits every state that any
// order of the steps leads to.

var deep = flag.Bool("model.deep", false, "visit every state of the large scenes too")

const secret apisecret.Identifier = 5

// Places of the table: two windows, and what carries the guard's marks.
const (
	placeA = iota
	placeB
	placeGuard
	places
)

// landing is how many ticks after a plan its calls have landed. Where clocks differ by
// a tick, a mark says one tick more.
const landing = 2

// protocol is what is searched: the deployed decisions, or one of them mutated.
type protocol struct {
	plan           func(View, Instant, Actor) ([]Window, bool)
	guard          func(View, Instant, Actor) []Window
	decide         func(View, Instant, string) ([]*Call, Outcomes)
	apply          func(*Window, Instant, string, []Outcome) Window
	extend         func(*Window, Instant) Window
	end            func(*Window, Instant, Change) Window
	finished       func(*Window) bool
	noSecondRead   bool // decide by what was read first
	unconditional  bool // write without looking whether the window has changed
	openAfterwards bool // write the window after its call
	unmarked       apisecret.Action
}

func deployed() protocol {
	return protocol{
		plan: View.Plan, decide: View.Decide, apply: (*Window).Apply, extend: (*Window).Extend, end: (*Window).End, finished: (*Window).Finished,
		guard: func(v View, now Instant, a Actor) []Window {
			if !v.guardable(secret, now) {
				return nil
			}
			return v.PlanGuard(now, a, []apisecret.Identifier{secret})
		},
	}
}

// flight is a call under way: begun, and not yet landed.
type flight struct {
	owner  string
	action apisecret.Action
	landBy Instant
}

// script is what an actor does before its rounds.
type script int

const (
	reconcile script = iota // nothing before
	open                    // writes window B
	extend                  // window A
	closeA
	closeB
	guard // marks for the guard, in place of a plan
)

// step is where an actor is.
type step int

const (
	first step = iota
	readPlan
	write
	readDecide
	callStep
	wait
	apply
	done
)

// actor is one run of one function, at one of its steps. Its pointers lead to what is
// never changed.
type actor struct {
	name   string
	script script
	skew   Instant
	began  Instant // the clock when it planned

	step     step
	index    int // of the window that is read, written or applied to next
	rounds   int // left, this one included
	landBy   Instant
	view     [places]*Window
	over     [places]int8 // what was read as over: the turn, and one
	planned  []*Window
	decision string // what was decided and what came of it, as text
	call     *Call
	outcomes Outcomes
	flight   flight
}

// world is a state of the model.
type world struct {
	clock   Instant
	on      bool
	table   [places]*Window
	flights []flight
	actors  []actor
}

func (w *world) clone() *world {
	c := *w
	c.flights = slices.Clone(w.flights)
	c.actors = slices.Clone(w.actors)
	return &c
}

// land has a call its effect.
func (w *world) land(at int) {
	w.on = w.flights[at].action == apisecret.Enable
	w.flights = slices.Delete(w.flights, at, at+1)
}

// key is the state as text: equal for equal states.
func (s *search) key(w *world) string {
	b := make([]byte, 0, 128)
	b = fmt.Appendf(b, "%d%t", w.clock, w.on)
	for _, one := range w.table {
		b = s.append(b, one)
	}
	for _, f := range slices.SortedFunc(slices.Values(w.flights), func(a, b flight) int { return strings.Compare(a.owner, b.owner) }) {
		b = append(append(b, f.owner...), f.action[0], byte(f.landBy))
	}
	for at := range w.actors {
		a := &w.actors[at]
		b = append(b, '|', byte(a.step))
		if a.step == done {
			continue
		}
		b = append(b, byte(a.index), byte(a.rounds), byte(a.landBy), byte(a.began), byte(a.over[0]), byte(a.over[1]))
		for _, one := range append(a.view[:], a.planned...) {
			b = s.append(b, one)
		}
		b = append(b, a.decision...)
	}
	return string(b)
}

// search visits states.
type search struct {
	protocol
	seen      map[string]bool
	completed map[string]bool
	canonical map[string]*Window
	numbers   map[*Window]uint16
	refusals  bool
	skewed    bool
	places    int     // of the table that are in use
	last      Instant // the clock's last tick
	fault     string
	limit     int
}

// canon returns the one copy of the window's content, apart from what no decision
// depends on.
func (s *search) canon(w *Window) *Window {
	if w == nil || s.numbers[w] != 0 {
		return w
	}
	plain := w.clone()
	for at := range plain.Leases {
		plain.Leases[at].At, plain.Leases[at].Fault = 0, nil
	}
	text, _ := json.Marshal(plain)
	if known := s.canonical[string(text)]; known != nil {
		return known
	}
	s.canonical[string(text)] = &plain
	s.numbers[&plain] = uint16(len(s.canonical))
	return &plain
}

func (s *search) append(b []byte, w *Window) []byte {
	n := s.numbers[w]
	return append(b, byte(n), byte(n>>8))
}

// run visits every state that the world leads to, or returns the first fault.
func (s *search) run(start *world) string {
	s.seen, s.completed = map[string]bool{}, map[string]bool{}
	s.canonical, s.numbers = map[string]*Window{}, map[*Window]uint16{}
	for at := range start.table {
		start.table[at] = s.canon(start.table[at])
	}
	s.fault = ""
	todo := []*world{start}
	s.seen[s.key(start)] = true
	for len(todo) > 0 && s.fault == "" {
		w := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for _, next := range s.successors(w) {
			key := s.key(next)
			if s.seen[key] {
				continue
			}
			s.seen[key] = true
			s.check(next)
			if s.fault != "" {
				return s.fault
			}
			if s.limit > 0 && len(s.seen) > s.limit {
				return ""
			}
			todo = append(todo, next)
		}
	}
	return s.fault
}

func (s *search) failf(w *world, format string, args ...any) {
	if s.fault == "" {
		text, _ := json.Marshal(w.table)
		s.fault = fmt.Sprintf(format, args...) + fmt.Sprintf(" (clock %d, on %t, flights %v, table %s)", w.clock, w.on, w.flights, text)
	}
}

// successors returns every state that one step leads to.
func (s *search) successors(w *world) []*world {
	var all []*world
	for at := range w.flights { // a call lands
		next := w.clone()
		next.land(at)
		all = append(all, next)
	}
	if w.clock < s.last && !slices.ContainsFunc(w.flights, func(f flight) bool { return f.landBy <= w.clock+1 }) {
		next := w.clone()
		next.clock++
		all = append(all, next)
	}
	for at := range w.actors {
		a := &w.actors[at]
		if a.step == done {
			continue
		}
		all = append(all, s.act(w, at)...)
		if a.step >= readDecide || a.step == write && a.index > 0 { // stopped; before anything was written it does not matter
			next := w.clone()
			next.actors[at] = actor{name: a.name, step: done}
			all = append(all, next)
		}
	}
	return all
}

// act returns the states that an actor's next step leads to.
func (s *search) act(w *world, at int) []*world {
	next := w.clone()
	a := &next.actors[at]
	now := next.clock + a.skew
	switch a.step {
	case first:
		s.begin(next, a, now)
	case readPlan, readDecide:
		a.view[a.index] = next.table[a.index]
		if a.index++; a.index < s.places {
			break
		}
		a.index = 0
		if a.step == readPlan {
			s.plan(next, a, now)
		} else {
			s.decide(a, now)
		}
	case write:
		s.write(next, a)
	case callStep:
		s.call(next, a, now)
	case wait:
		return s.answers(w, at)
	case apply:
		s.applyOne(next, a, now)
	}
	return []*world{next}
}

// begin carries out an actor's script: one write.
func (s *search) begin(w *world, a *actor, now Instant) {
	s.mark(w, a)
	a.step = readPlan
	switch a.script {
	case open:
		s.open(w, a, now)
	case extend:
		if before := w.table[placeA]; before != nil && before.Until == 1 && before.Ended == nil {
			after := s.extend(before, 3)
			w.table[placeA] = s.canon(&after)
		}
	case closeA, closeB:
		place := placeA
		if a.script == closeB {
			place = placeB
		}
		if before := w.table[place]; before != nil {
			after := s.end(before, now, Change{At: now})
			s.put(w, place, &after)
		}
	}
}

// mark notes until when the calls of the round that begins have landed.
func (s *search) mark(w *world, a *actor) {
	a.began, a.landBy = w.clock, w.clock+a.skew+landing
	if s.skewed {
		a.landBy++
	}
}

// id is the actor's in this round.
func (a *actor) id() string { return fmt.Sprint(a.name, ".", a.rounds) }

// open writes window B, with the opener's mark in it, and goes on with the read that
// decides.
func (s *search) open(w *world, a *actor, now Instant) {
	b := scheduled("B", now, 3)
	b.begin(Actor{ID: a.id(), LandBy: a.landBy}, []apisecret.Identifier{secret})
	if s.unmarked == apisecret.Enable {
		b.Marks = nil
	}
	a.step = readDecide
	if s.openAfterwards {
		a.call = &Call{Target: Target{secret, apisecret.Enable}, Settles: true, Before: 3, Turns: map[string]int{"B": 0}}
		a.outcomes, a.step = Outcomes{}, callStep
		return
	}
	w.table[placeB] = s.canon(b)
}

func (s *search) views(a *actor) View {
	var list []Window
	for _, one := range a.view {
		if one != nil {
			list = append(list, *one)
		}
	}
	return NewView(list)
}

func (s *search) plan(w *world, a *actor, now Instant) {
	s.mark(w, a)
	actor := Actor{ID: a.id(), LandBy: a.landBy, Limit: 10, Over: map[string]int{}}
	for at, turn := range a.over[:placeGuard] {
		if turn > 0 {
			actor.Over[names[at]] = int(turn - 1)
		}
	}
	var list []Window
	look := false
	if a.script == guard {
		list = s.guard(s.views(a), now, actor)
	} else {
		list, look = s.protocol.plan(s.views(a), now, actor)
	}
	a.learn()
	a.planned, a.step = nil, write
	for at := range list {
		a.planned = append(a.planned, s.canon(&list[at]))
	}
	switch {
	case len(list) > 0:
	case look:
		*a = again(a, a.rounds)
	default:
		*a = actorDone(a)
	}
}

// learn notes what was read as over.
func (a *actor) learn() {
	for at, one := range a.view[:placeGuard] {
		if one != nil && one.Over {
			a.over[at] = int8(one.Turn + 1)
		}
	}
}

// again is the actor at the beginning of another round, with what it knows.
func again(a *actor, rounds int) actor {
	return actor{name: a.name, script: a.script, skew: a.skew, rounds: rounds, over: a.over, step: readPlan}
}

func actorDone(a *actor) actor { return actor{name: a.name, step: done} }

// names are the windows' ids, by their places.
var names = [places]string{"A", "B", GuardID}

func placeOf(id string) int { return slices.Index(names[:], id) }

// put writes a window: to where closed ones are, if it is finished.
func (s *search) put(w *world, place int, after *Window) {
	w.table[place] = s.canon(after)
	if s.finished(after) {
		w.table[place] = nil
	}
}

// write writes the next planned window, unless it has changed since it was read.
func (s *search) write(w *world, a *actor) {
	planned := a.planned[a.index]
	place := placeOf(planned.ID)
	if s.unconditional && w.table[place] != nil || w.table[place] == a.view[place] {
		written := planned
		if s.unmarked != "" {
			plain := planned.clone()
			plain.Marks = slices.DeleteFunc(plain.Marks, func(m Mark) bool { return m.Kind == s.unmarked })
			written = &plain
		}
		s.put(w, place, written)
		a.view[place] = planned
	}
	if a.index++; a.index < len(a.planned) {
		return
	}
	a.index, a.step = 0, readDecide
	if !s.noSecondRead && s.unmarked == "" {
		a.planned, a.view = nil, [places]*Window{}
		return
	}
	for at := range a.view { // who writes no mark sees what others wrote, and knows what he intends
		if s.unmarked != "" && !slices.ContainsFunc(a.planned, func(p *Window) bool { return placeOf(p.ID) == at }) {
			a.view[at] = w.table[at]
		}
	}
	s.decide(a, w.clock+a.skew)
}

func (s *search) decide(a *actor, now Instant) {
	calls, outcomes := s.protocol.decide(s.views(a), now, a.id())
	a.learn()
	a.view, a.planned = [places]*Window{}, nil
	a.outcomes, a.step = outcomes, apply
	if len(calls) > 0 {
		a.call, a.step = calls[0], callStep
	}
	if len(calls) > 1 {
		s.fault = "two calls for one API secret in one round"
	}
	a.describe()
	if a.step == apply && len(outcomes) == 0 {
		s.round(a)
	}
}

// round begins the next round, if there is one.
func (s *search) round(a *actor) {
	*a = again(a, a.rounds-1)
	if a.rounds <= 0 {
		*a = actorDone(a)
	}
}

// call begins a call, if there is still time for one.
func (s *search) call(w *world, a *actor, now Instant) {
	if w.clock >= a.began+landing || a.call.Before != 0 && now >= a.call.Before {
		a.report(Outcome{Item: failed(apisecret.DeadlineExceeded, 0)})
		return
	}
	a.step = wait
	a.flight = flight{a.id(), a.call.Action, a.began + landing}
	w.flights = append(w.flights, a.flight)
	if a.call.Action == apisecret.Enable && a.skew == 0 && a.call.Window != nil && w.clock >= a.call.Window.Until {
		s.failf(w, "enabling was begun after the end")
	}
}

// failed is an item whose call was begun so often.
func failed(code apisecret.Code, attempts int) apisecret.Item {
	return apisecret.Item{Attempts: attempts, Error: apisecret.NewError(code, "")}
}

func (a *actor) report(o Outcome) {
	outcomes := Outcomes{}
	for id, list := range a.outcomes {
		outcomes[id] = slices.Clone(list)
	}
	a.call.Report(outcomes, o)
	a.outcomes, a.call, a.step, a.flight = outcomes, nil, apply, flight{}
	a.describe()
}

// describe puts into words what was decided and what came of it.
func (a *actor) describe() {
	a.decision = ""
	if a.call != nil {
		a.decision = fmt.Sprintf("%s%v%v%d", a.call.Action, a.call.Settles, a.call.Turns, a.call.Before)
	}
	for _, id := range names {
		for _, o := range a.outcomes[id] {
			a.decision += fmt.Sprintf("%s%s%d%t%t%t%t%d%v", id, o.Action, o.Turn, o.Settles, o.Skipped, o.Taken, o.Open, o.Item.Attempts, o.Item.Error)
		}
	}
}

// answers returns what may become of a call: its answer, if it has landed; a refusal
// without effect; or no answer, and it may land later.
func (s *search) answers(w *world, at int) []*world {
	var all []*world
	answer := func(o Outcome, landed bool) {
		next := w.clone()
		a := &next.actors[at]
		if !landed {
			next.flights = slices.DeleteFunc(next.flights, func(f flight) bool { return f == a.flight })
		}
		a.report(o)
		all = append(all, next)
	}
	f := w.actors[at].flight
	if !slices.Contains(w.flights, f) {
		answer(Outcome{Item: apisecret.Item{Attempts: 1}}, true)
	} else if s.refusals {
		refusal := apisecret.AccessDenied
		if f.action == apisecret.Enable {
			refusal = apisecret.NotFound
		}
		answer(Outcome{Item: failed(refusal, 1)}, false)
		answer(Outcome{Item: failed(apisecret.RateLimited, 1)}, false)
	}
	answer(Outcome{Open: true, Item: failed(apisecret.UpstreamTimeout, 1)}, true)
	return all
}

// applyOne writes the outcomes of the next window that has some.
func (s *search) applyOne(w *world, a *actor, now Instant) {
	if s.openAfterwards && a.script == open {
		w.table[placeB] = s.canon(held("B", now, 3))
		*a = actorDone(a)
		return
	}
	for a.index < places {
		at := a.index
		a.index++
		if outcomes := a.outcomes[names[at]]; len(outcomes) > 0 {
			if before := w.table[at]; before != nil {
				after := s.apply(before, now, a.id(), outcomes)
				s.put(w, at, &after)
			}
			break
		}
	}
	if a.index >= places {
		s.round(a)
	}
}

// check holds a state against what is certain.
func (s *search) check(w *world) {
	if s.fault != "" {
		return
	}
	answers, enabling := false, false
	for _, one := range w.table {
		if one == nil || one.ID == GuardID {
			continue
		}
		l := &one.Leases[0]
		if !one.Over && l.State == Enabled {
			if !w.on {
				s.failf(w, "%s holds the API secret and takes it for enabled, but it is disabled", one.ID)
			}
			if slices.ContainsFunc(w.flights, func(f flight) bool { return f.action == apisecret.Disable }) {
				s.failf(w, "%s holds the API secret, and it is being disabled", one.ID)
			}
		}
		if !one.Over && !l.holds() && l.State != Failed {
			s.failf(w, "%s is open, and its API secret %s", one.ID, l.State)
		}
		answers = answers || l.holds() && one.Begun
		enabling = enabling || one.enabling(secret, "")
	}
	if w.on && !answers && !enabling {
		s.failf(w, "the API secret is enabled, and no window answers for it")
	}
	for _, f := range w.flights {
		known := slices.ContainsFunc(w.table[:], func(one *Window) bool {
			return one != nil && slices.ContainsFunc(one.Marks, func(m Mark) bool { return m.Kind == f.action && m.LandBy >= f.landBy })
		})
		if !known {
			s.failf(w, "a call is under way that the table does not know")
		}
	}
	s.complete(w)
}

// complete stops all actors where they are, lets the clock go on, runs one undisturbed
// reconcile a tick, and sees that everything comes right, and when.
func (s *search) complete(from *world) {
	w := from.clone()
	w.actors = nil
	key := s.key(w)
	if s.completed[key] || s.fault != "" {
		return
	}
	s.completed[key] = true
	for ; w.clock <= s.last+2*landing+2; w.clock++ {
		if w.table == [places]*Window{} && len(w.flights) == 0 && !w.on {
			return
		}
		late := func(f flight) bool { return f.landBy <= w.clock }
		for at := slices.IndexFunc(w.flights, late); at >= 0; at = slices.IndexFunc(w.flights, late) {
			w.land(at)
		}
		s.undisturbed(w)
		s.checkCompleted(w)
	}
	if w.table[placeA] != nil || w.table[placeB] != nil || w.on {
		s.failf(w, "it never came right")
	}
}

// undisturbed is a reconcile whose calls land at once.
func (s *search) undisturbed(w *world) {
	w.actors = []actor{{name: "last", step: readPlan, rounds: 3}}
	for a := &w.actors[0]; a.step != done && s.fault == ""; {
		if a.step == wait {
			w.land(slices.Index(w.flights, a.flight))
			a.report(Outcome{Item: apisecret.Item{Attempts: 1}})
			continue
		}
		next := s.act(w, 0)[0]
		*w = *next
		a = &w.actors[0]
	}
	w.actors = nil
}

func (s *search) checkCompleted(w *world) {
	held := false
	for _, one := range w.table {
		if one == nil || one.ID == GuardID {
			continue
		}
		if !one.Over && one.begun(w.clock) && one.Leases[0].holds() {
			held = true
			if w.clock >= one.Until {
				s.failf(w, "%s holds the API secret after its end", one.ID)
			}
		}
	}
	late := func(action apisecret.Action) bool {
		return slices.ContainsFunc(w.flights, func(f flight) bool { return f.action == action })
	}
	switch {
	case held && !w.on && !late(apisecret.Disable):
		s.failf(w, "a window holds the API secret, and a reconcile left it disabled")
	case !held && w.on && !late(apisecret.Enable):
		s.failf(w, "no window holds the API secret, and a reconcile left it enabled")
	}
}

// scene is where a search begins.
type scene struct {
	name     string
	a, b     *Window // what is in the table
	on       bool
	scripts  []script
	skew     Instant // of the first actor
	refusals bool
	deep     bool    // it takes long: only what fits is visited, unless asked for
	rounds   int     // of each actor; 0: one
	last     Instant // of the clock while they run; 0: 4
}

// held returns a window that has the API secret enabled.
func held(id string, from, until Instant) *Window {
	w := scheduled(id, from, until)
	w.Begun = true
	w.Leases[0] = Lease{Identifier: secret, State: Enabled, Begun: true, Landed: true}
	return w
}

func scheduled(id string, from, until Instant) *Window {
	w := Opened(id, from, until, []apisecret.Identifier{secret})
	return &w
}

func scenes() []scene {
	short, next := held("A", 0, 1), scheduled("B", 1, 3)
	return []scene{
		{name: "a clock ahead", a: short, on: true, scripts: []script{reconcile, open}, skew: 1},
		{name: "a clock behind", a: short, on: true, scripts: []script{reconcile, open}, skew: -1},
		{name: "a clock behind at an extension", a: short, on: true, scripts: []script{reconcile, extend}, skew: -1},
		{name: "an enabling clock behind", b: scheduled("B", 1, 2), scripts: []script{reconcile, reconcile}, skew: -1},
		{name: "one follows another, with refusals", a: short, b: next, on: true, scripts: []script{reconcile, reconcile}, refusals: true},
		{name: "one follows another that is extended", a: short, b: next, on: true, scripts: []script{reconcile, extend}},
		{name: "the guard beside an opener", scripts: []script{guard, open}},
		{name: "a window opens while another ends", a: short, on: true, scripts: []script{reconcile, open}, refusals: true},
		{name: "an extension at the end", a: short, on: true, scripts: []script{reconcile, extend}, refusals: true},
		{name: "a clock ahead where one follows another", a: short, b: next, on: true, scripts: []script{reconcile, reconcile}, skew: 1},
		{name: "closed while it opens, with refusals", scripts: []script{open, closeB}, refusals: true},
		{name: "the guard, an opener and a reconciler", scripts: []script{guard, open, reconcile}, last: 1, deep: true},
		{name: "one follows another, twice", a: short, b: next, on: true, scripts: []script{reconcile, reconcile}, rounds: 2, last: 2, deep: true},
		{name: "closed while it opens, twice", scripts: []script{open, closeB}, rounds: 2, last: 2, deep: true},
		{name: "a window opens while another ends, twice", a: short, on: true, scripts: []script{reconcile, open}, rounds: 2, last: 3, deep: true},
		{name: "an extension at the end, twice", a: short, on: true, scripts: []script{reconcile, extend}, rounds: 2, last: 3, deep: true},
		{name: "one closes under another", a: short, on: true, scripts: []script{closeA, open, reconcile}, last: 1, deep: true},
		{name: "closing both", a: held("A", 0, 3), b: held("B", 0, 3), on: true, scripts: []script{closeA, closeB, reconcile}, last: 1, deep: true},
		{name: "one follows another, and both are closed", a: short, b: next, on: true, scripts: []script{reconcile, closeA, closeB}, last: 1, deep: true},
		{name: "two reconcilers and an opener", a: short, on: true, scripts: []script{reconcile, reconcile, open}, last: 2, deep: true},
		{name: "an extension between two reconcilers", a: short, on: true, scripts: []script{reconcile, reconcile, extend}, last: 2, deep: true},
		{name: "closed while it opens and a reconciler runs", scripts: []script{open, closeB, reconcile}, last: 1, deep: true},
	}
}

func (sc scene) world() *world {
	w := &world{on: sc.on}
	w.table[placeA], w.table[placeB] = sc.a, sc.b
	for at, script := range sc.scripts {
		a := actor{name: fmt.Sprint("actor-", at), script: script, rounds: max(1, sc.rounds)}
		if at == 0 {
			a.skew = sc.skew
		}
		w.actors = append(w.actors, a)
	}
	return w
}

func (sc scene) search(p protocol) *search {
	s := &search{protocol: p, refusals: sc.refusals, skewed: sc.skew != 0, last: sc.last, places: placeGuard}
	if s.last == 0 {
		s.last = 4
	}
	if slices.Contains(sc.scripts, guard) {
		s.places = places
	} else if sc.b == nil && !slices.Contains(sc.scripts, open) {
		s.places = placeB
	}
	return s
}

func TestProtocol_noInterleavingBreaksACertainty(t *testing.T) {
	for _, scene := range scenes() {
		t.Run(scene.name, func(t *testing.T) {
			t.Parallel()
			s := scene.search(deployed())
			if s.limit = 4_000_000; scene.deep && !*deep {
				s.limit = 5_000
			}
			if fault := s.run(scene.world()); fault != "" {
				t.Error(fault)
			}
			t.Logf("%d states, %d completions, %d windows", len(s.seen), len(s.completed), len(s.canonical))
		})
	}
}
