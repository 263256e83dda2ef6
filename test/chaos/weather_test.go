package chaos

import (
	"fmt"
	"hash/fnv"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"segura-enable/simulated/seguratest"
)

// weather is what goes wrong during one round. The zero value is calm.
type weather struct {
	names  []string
	calls  storm // requests that enable and disable
	tokens storm
	wires  roughness // to Segura
	aws    roughness // to Secrets Manager
	before []func()  // done before the invocations
	during []happening
	freeze time.Duration
	leap   time.Duration // of the wall clock, meanwhile

	resolving trouble // of names
	lost      bool    // connections are lost while the process is frozen
	killed    bool    // the process is ended from outside

	codes     map[string]bool // what identifiers may fail with
	wire      bool            // connections suffer
	repeats   int             // how many times a transport may repeat one request by itself
	slow      bool            // time runs out for reasons of the weather's
	doors     int             // events that open or shut the way to Segura
	revokes   int             // times that tokens were revoked
	confusing bool            // the credentials at hand may be wrong
}

// happening is something that happens in the middle of an invocation.
type happening struct {
	name string
	at   time.Duration
	do   func()
}

// storm says which requests meet a mishap, and what.
type storm struct {
	chance  float64
	palette []int // indexes of the catalogue
}

// may notes codes that identifiers may fail with.
func (o *weather) may(codes ...string) {
	if o.codes == nil {
		o.codes = map[string]bool{}
	}
	for _, code := range codes {
		o.codes[code] = true
		if code == unreachable || code == upstreamTimeout {
			o.slow = true
		}
	}
}

func (o *weather) String() string {
	if len(o.names) == 0 {
		return "calm"
	}
	text := strings.Join(o.names, "; ")
	for _, h := range o.during {
		text += fmt.Sprintf("; %s after %v", h.name, h.at.Round(time.Millisecond))
	}
	return text + " [may: " + strings.Join(slices.Sorted(maps.Keys(o.codes)), " ") + "]"
}

func (o *weather) name(format string, args ...any) {
	o.names = append(o.names, fmt.Sprintf(format, args...))
}

// phenomenon adds one thing that goes wrong.
type phenomenon struct {
	weight int
	add    func(*world, *weather, *rand.Rand, time.Duration)
}

// phenomena are all there are. Each gets the time limit of the invocation.
var phenomena = []phenomenon{
	{10, addCallStorm},
	{4, addTokenStorm},
	{4, addWireStorm},
	{2, addDeception},
	{3, addAWSFault},
	{1, addAWSDelay},
	{1, addAWSWires},
	{1, addBrokenDocument},
	{1, addClosedDoor},
	{3, addDoorThatOpens},
	{2, addDoorThatShuts},
	{2, addDrops},
	{3, addRevocation},
	{3, addRotation},
	{1, addUpgrade},
	{1, addKill},
	{3, addTroubleWithNames},
	{3, addLeap},
}

// forecast is the weather of a round.
func (w *world) forecast(r *rand.Rand, limit time.Duration) weather {
	var o weather
	total := 0
	for _, p := range phenomena {
		total += p.weight
	}
	for range choose(r, 0, 1, 1, 2, 2, 3) {
		at := r.IntN(total)
		for _, p := range phenomena {
			if at -= p.weight; at < 0 {
				p.add(w, &o, r, limit)
				break
			}
		}
	}
	if r.IntN(4) == 0 {
		o.freeze = between(r, time.Millisecond, 1200*time.Millisecond)
		o.name("frozen for %v before", o.freeze.Round(time.Millisecond))
		if r.IntN(3) == 0 {
			o.name("connections lost meanwhile")
			o.lost = true
			o.may(unreachable, invalidResponse)
			o.wire = true
		}
	}
	return o
}

// chances: mostly none, now and then, often, always.
func chance(r *rand.Rand) float64 { return choose(r, 0.03, 0.1, 0.3, 0.6, 1) }

// between is a duration whose logarithm is evenly spread.
func between(r *rand.Rand, least, most time.Duration) time.Duration {
	return time.Duration(float64(least) * math.Pow(float64(most)/float64(least), r.Float64()))
}

func addCallStorm(w *world, o *weather, r *rand.Rand, _ time.Duration) {
	o.calls = w.palette(o, r, func(m mishap) bool { return !m.token })
	o.name("calls: %s", w.describe(o.calls))
}

func addTokenStorm(w *world, o *weather, r *rand.Rand, _ time.Duration) {
	o.tokens = w.palette(o, r, func(mishap) bool { return true })
	o.name("tokens: %s", w.describe(o.tokens))
	// A token that came late or with a wrong lifetime may be refused.
	for _, at := range o.tokens.palette {
		if m := w.catalogue[at]; m.token || m.slow && w.config.lifetime < time.Minute {
			o.confusing = true
		}
	}
}

// palette draws a few mishaps.
func (w *world) palette(o *weather, r *rand.Rand, suits func(mishap) bool) storm {
	s := storm{chance: chance(r)}
	for n := 1 + r.IntN(4); len(s.palette) < n; {
		k := kind(r.IntN(int(kinds)))
		var of []int
		for at, m := range w.catalogue {
			if m.kind == k && suits(m) {
				of = append(of, at)
			}
		}
		if len(of) == 0 {
			continue
		}
		at := of[r.IntN(len(of))]
		m := w.catalogue[at]
		if m.heavy && r.IntN(3) > 0 {
			continue
		}
		if m.heavy {
			s.chance = min(s.chance, 0.1)
		}
		s.palette = append(s.palette, at)
		o.may(m.codes...)
		o.wire = o.wire || m.wire
		o.slow = o.slow || m.slow
		if m.repeats {
			o.repeats = 1000
		}
	}
	return s
}

func (w *world) describe(s storm) string {
	var names []string
	for _, at := range s.palette {
		names = append(names, w.catalogue[at].name)
	}
	return fmt.Sprintf("%v of %s", s.chance, strings.Join(names, ", "))
}

func addWireStorm(w *world, o *weather, r *rand.Rand, _ time.Duration) {
	all := hazards(r)
	o.wires.chance = chance(r)
	for range 1 + r.IntN(3) {
		h := all[r.IntN(len(all))]
		o.wires.hazards = append(o.wires.hazards, h)
		o.may(h.codes...)
	}
	o.wire, o.slow = true, true
	if r.IntN(3) > 0 { // so that new connections are needed
		o.may(unreachable, invalidResponse)
		o.before = append(o.before, func() { w.wires.drop(true) })
	}
	o.name("wires: %v of %s", o.wires.chance, nameAll(o.wires.hazards))
}

func nameAll(all []hazard) string {
	var names []string
	for _, h := range all {
		names = append(names, fmt.Sprintf("%s (%d/%d)", h.name, h.afterDown, h.afterUp))
	}
	return strings.Join(names, ", ")
}

func addDeception(w *world, o *weather, r *rand.Rand, _ time.Duration) {
	all := deceptions()
	h := all[r.IntN(len(all))]
	o.wires.chance = chance(r)
	o.wires.hazards = append(o.wires.hazards, h)
	o.may(h.codes...)
	o.wire = true
	o.name("wires: %v lead to %s", o.wires.chance, h.name)
	if r.IntN(2) == 0 { // so that new connections are needed
		o.may(invalidResponse)
		o.before = append(o.before, func() { w.wires.drop(true) })
	}
}

func addAWSFault(w *world, o *weather, r *rand.Rand, _ time.Duration) {
	kinds := slices.Sorted(maps.Keys(awsTrouble))
	kind := kinds[r.IntN(len(kinds))]
	times := []int{1, 2, 3, 5, -1}[r.IntN(5)]
	o.before = append(o.before, func() { w.secrets.Fail(kind, times) })
	o.may(unavailable, deadline)
	o.slow, o.confusing = true, true
	o.name("Secrets Manager: %s × %d", kind, times)
}

func addAWSDelay(w *world, o *weather, r *rand.Rand, _ time.Duration) {
	delay := between(r, 10*time.Millisecond, time.Second)
	o.before = append(o.before, func() { w.secrets.Delay(delay, 1+r.IntN(3)) })
	o.may(unavailable, deadline)
	o.slow, o.confusing = true, true
	o.name("Secrets Manager: %v late", delay.Round(time.Millisecond))
}

func addAWSWires(_ *world, o *weather, r *rand.Rand, _ time.Duration) {
	all := slices.DeleteFunc(hazards(r), func(h hazard) bool { return h.strike == corrupt })
	o.aws.chance = chance(r)
	o.aws.hazards = append(o.aws.hazards, all[r.IntN(len(all))])
	o.may(unavailable, deadline)
	o.slow, o.confusing = true, true
	o.name("wires to Secrets Manager: %v of %s", o.aws.chance, nameAll(o.aws.hazards))
}

func addBrokenDocument(w *world, o *weather, r *rand.Rand, _ time.Duration) {
	document := brokenDocuments[r.IntN(len(brokenDocuments))]
	if r.IntN(3) == 0 {
		o.before = append(o.before, func() { w.secrets.Delete(secretName) })
		o.name("the AWS secret deleted")
	} else {
		o.before = append(o.before, func() { w.secrets.Put(secretName, document) })
		o.name("the AWS secret is %q", document)
	}
	o.may(unavailable)
	o.confusing = true
}

var refusals = []seguratest.Refused{seguratest.NotListening, seguratest.ResetOnAccept, seguratest.SilentOnAccept, seguratest.PlainOnAccept}

func (o *weather) shut(how seguratest.Refused) {
	o.may(unreachable, invalidResponse, upstreamTimeout, deadline)
	if how == seguratest.PlainOnAccept {
		o.may(unexpected)
	}
	o.wire, o.slow = true, true
	o.doors++
}

func addClosedDoor(w *world, o *weather, r *rand.Rand, _ time.Duration) {
	how := refusals[r.IntN(len(refusals))]
	o.shut(how)
	o.before = append(o.before, func() { w.refuse(how) })
	o.name("Segura refuses connections (%d)", how)
}

func addDoorThatOpens(w *world, o *weather, r *rand.Rand, limit time.Duration) {
	how := refusals[r.IntN(len(refusals))]
	o.shut(how)
	o.before = append(o.before, func() { w.refuse(how) })
	o.name("Segura refuses connections (%d)", how)
	o.during = append(o.during, happening{"it accepts them", between(r, 5*time.Millisecond, limit), w.accept})
}

func addDoorThatShuts(w *world, o *weather, r *rand.Rand, limit time.Duration) {
	how := refusals[r.IntN(len(refusals))]
	o.shut(how)
	at := between(r, time.Millisecond, limit)
	o.during = append(o.during,
		happening{fmt.Sprintf("Segura refuses connections (%d)", how), at, func() { w.refuse(how) }},
		happening{"it accepts them", at + between(r, time.Millisecond, limit), w.accept})
	o.name("a shut door")
}

func addDrops(w *world, o *weather, r *rand.Rand, limit time.Duration) {
	for range 1 + r.IntN(6) {
		o.during = append(o.during, happening{"connections drop", between(r, time.Millisecond, limit), w.segura.DropConnections})
	}
	o.may(unreachable, invalidResponse)
	o.wire = true
	o.name("drops")
}

func addRevocation(w *world, o *weather, r *rand.Rand, limit time.Duration) {
	style := seguratest.RefusalStyle(r.IntN(5))
	o.before = append(o.before, func() {
		w.segura.RefuseToken(style)
		w.politely = style >= seguratest.RefusedAuthenticationAs200
	})
	if r.IntN(2) == 0 {
		o.before = append(o.before, w.segura.RevokeTokens)
		o.revokes++
	}
	for range r.IntN(3) {
		o.revokes++
		o.during = append(o.during, happening{"tokens revoked", between(r, time.Millisecond, limit), w.segura.RevokeTokens})
	}
	o.name("%d revocations (style %d)", o.revokes, style)
}

func addRotation(w *world, o *weather, r *rand.Rand, limit time.Duration) {
	at := between(r, time.Millisecond, limit)
	o.confusing = true
	next := w.nextSecret()
	switch r.IntN(5) {
	case 0:
		o.before = append(o.before, func() { w.rotateSegura(next); w.putSecret(next) })
		o.name("rotated before")
	case 1:
		o.during = append(o.during, happening{"rotated", at, func() { w.rotateSegura(next); w.putSecret(next) }})
		o.name("rotated")
	case 2:
		o.before = append(o.before, func() { w.rotateSegura(next) })
		o.during = append(o.during, happening{"told to Secrets Manager", at, func() { w.putSecret(next) }})
		o.name("rotated in Segura first")
	case 3:
		o.before = append(o.before, func() { w.putSecret(next) })
		o.during = append(o.during, happening{"rotated in Segura", at, func() { w.rotateSegura(next) }})
		o.name("rotated in Secrets Manager first")
	default:
		o.before = append(o.before, func() { w.rotateSegura(next) })
		o.name("rotated in Segura only")
	}
	if r.IntN(3) > 0 {
		o.before = append(o.before, w.segura.RevokeTokens)
		o.name("tokens revoked with it")
	}
}

func addUpgrade(w *world, o *weather, r *rand.Rand, limit time.Duration) {
	to := seguratest.Generation(r.IntN(6))
	o.during = append(o.during, happening{"upgraded", between(r, time.Millisecond, limit), func() { w.segura.SetGeneration(to) }})
	o.name("generation %d", to)
}

// addKill ends the process from outside, in the middle of whatever it does, as
// Lambda does.
func addKill(w *world, o *weather, r *rand.Rand, limit time.Duration) {
	o.killed, o.wire = true, true
	o.during = append(o.during, happening{"killed", between(r, time.Millisecond, limit), func() { _ = w.function.Signal(syscall.SIGKILL) }})
	o.name("a killed process")
}

// addTroubleWithNames makes Segura's name hard to resolve, where it has one.
func addTroubleWithNames(w *world, o *weather, r *rand.Rand, _ time.Duration) {
	t := trouble{chance: chance(r), late: between(r, time.Millisecond, 2*w.config.attemptTimeout),
		answer: choose[byte](r, 0, 0, 0, serverFailure, noSuchName, silence, noise)}
	if !w.config.named {
		return
	}
	o.resolving, o.wire = t, true
	o.may(unreachable, upstreamTimeout, invalidResponse, deadline)
	o.before = append(o.before, func() { w.wires.drop(true) }) // so that new connections are needed
	o.name("names: %v of %v late, answer %d", t.chance, t.late.Round(time.Millisecond), t.answer)
}

// addLeap moves the wall clock forward while the process is frozen, past the life
// of the AWS secret's copy or of tokens.
func addLeap(w *world, o *weather, r *rand.Rand, _ time.Duration) {
	leap := choose(r, 20*time.Second, time.Minute, 6*time.Minute, 3595*time.Second, 2*time.Hour)
	if !w.config.clock {
		return
	}
	o.leap = leap
	o.freeze = max(o.freeze, time.Millisecond)
	o.name("the clock %v ahead", leap)
}

// fate decides what happens to each request to Segura: by the seed, the round,
// the identifier and how often it was called, and not by the order of arrival.
type fate struct {
	seed uint64

	mu     sync.Mutex
	round  int
	calls  storm
	tokens storm
	seen   map[fateKey]int
	chosen map[int]int // by the number of the request; -1 is nothing
	played map[int]int // how often each mishap was played
}

type fateKey struct {
	kind       seguratest.Kind
	identifier int64
}

func newFate(seed uint64) *fate {
	return &fate{seed: seed, seen: map[fateKey]int{}, chosen: map[int]int{}, played: map[int]int{}}
}

func (f *fate) become(round int, calls, tokens storm) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.round, f.calls, f.tokens = round, calls, tokens
	f.seen = map[fateKey]int{}
}

// decide returns the index of the mishap of a request, or -1.
func (f *fate) decide(r seguratest.Request) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	if at, decided := f.chosen[r.Number]; decided {
		return at
	}
	at := -1
	s := f.calls
	switch r.Kind {
	case seguratest.KindToken:
		s = f.tokens
	case seguratest.KindEnable, seguratest.KindDisable:
	default:
		s = storm{}
	}
	key := fateKey{r.Kind, r.Identifier}
	f.seen[key]++
	if len(s.palette) > 0 {
		h := fnv.New64a()
		_, _ = fmt.Fprintf(h, "%d %d %s %d %d", f.seed, f.round, r.Kind, r.Identifier, f.seen[key])
		dice := rand.New(rand.NewPCG(h.Sum64(), f.seed))
		if dice.Float64() < s.chance {
			at = s.palette[dice.IntN(len(s.palette))]
			f.played[at]++
		}
	}
	f.chosen[r.Number] = at
	return at
}

// mishapOf is the index of what was decided for a request.
func (f *fate) mishapOf(number int) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	if at, decided := f.chosen[number]; decided {
		return at
	}
	return -1
}

// install makes the fate of every request the script of the server.
func (f *fate) install(server *seguratest.Server, catalogue []mishap) {
	for at, m := range catalogue {
		server.Fail(seguratest.Match{When: func(r seguratest.Request) bool { return f.decide(r) == at }}, m.fault, -1)
	}
}
