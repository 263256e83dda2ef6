package chaos

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"time"

	"segura-enable/simulated/seguratest"
	"segura-enable/simulated/stage"
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
	lost   bool          // connections are lost while the process is frozen
	killed bool          // the process is ended from outside
	effects
}

// effects are what a weather may lead to.
type effects struct {
	codes     map[string]bool // what identifiers may fail with
	wire      bool            // connections suffer
	slow      bool            // time runs out for reasons of the weather's
	confusing bool            // the credentials at hand may be wrong
	revokes   int             // times that tokens were revoked
}

// happening is something that happens in the middle of an invocation.
type happening struct {
	name string
	at   time.Duration
	do   func()
}

// may notes codes that identifiers may fail with.
func (e *effects) may(codes ...string) {
	if e.codes == nil {
		e.codes = map[string]bool{}
	}
	for _, code := range codes {
		e.codes[code] = true
		e.slow = e.slow || code == unreachable || code == upstreamTimeout
	}
}

// with are these effects and others.
func (e effects) with(o effects) effects {
	codes := map[string]bool{}
	maps.Copy(codes, e.codes)
	maps.Copy(codes, o.codes)
	return effects{codes, e.wire || o.wire, e.slow || o.slow, e.confusing || o.confusing, e.revokes + o.revokes}
}

func (o *weather) String() string {
	text := strings.Join(o.names, "; ")
	for _, h := range o.during {
		text += fmt.Sprintf("; %s after %v", h.name, h.at.Round(time.Millisecond))
	}
	return fmt.Sprintf("%s [may: %+v]", text, o.effects)
}

func (o *weather) name(format string, args ...any) {
	o.names = append(o.names, fmt.Sprintf(format, args...))
}

func (o *weather) first(do func()) { o.before = append(o.before, do) }

func (o *weather) then(name string, at time.Duration, do func()) {
	o.during = append(o.during, happening{name, at, do})
}

// phenomena are all things that can go wrong, by how often. Each gets the time limit
// of the invocation.
var phenomena = []struct {
	weight int
	add    func(*world, *weather, *rand.Rand, time.Duration)
}{
	{10, addCallStorm},
	{4, addTokenStorm},
	{6, addWireStorm},
	{5, addAWSTrouble},
	{1, addBrokenDocument},
	{6, addShutDoor},
	{2, addDrops},
	{3, addRevocation},
	{3, addRotation},
	{1, addUpgrade},
	{1, addKill},
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
		if o.lost = r.IntN(3) == 0; o.lost {
			o.name("connections lost meanwhile")
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
	o.calls = w.palette(o, r, func(m *mishap) bool { return !m.is(token) })
	o.name("calls: %v", o.calls)
}

func addTokenStorm(w *world, o *weather, r *rand.Rand, _ time.Duration) {
	o.tokens = w.palette(o, r, func(*mishap) bool { return true })
	o.name("tokens: %v", o.tokens)
	// A token that came late or with a wrong lifetime may be refused.
	for _, m := range o.tokens.palette {
		o.confusing = o.confusing || m.is(token) || m.is(slow) && w.config.lifetime < time.Minute
	}
}

// palette draws a few mishaps.
func (w *world) palette(o *weather, r *rand.Rand, suits func(*mishap) bool) storm {
	s := storm{chance: chance(r)}
	for n := 1 + r.IntN(4); len(s.palette) < n; {
		kind := choose(r, w.catalogue...)
		m := &kind[r.IntN(len(kind))]
		if !suits(m) || m.is(heavy) && r.IntN(3) > 0 {
			continue
		}
		if m.is(heavy) {
			s.chance = min(s.chance, 0.1)
		}
		s.palette = append(s.palette, m)
		o.may(m.codes...)
		o.wire, o.slow = o.wire || m.is(wire), o.slow || m.is(slow)
	}
	return s
}

func addWireStorm(w *world, o *weather, r *rand.Rand, _ time.Duration) {
	o.wires = newRoughness(r, hazards(r))
	for _, h := range o.wires.hazards {
		o.may(h.codes...)
	}
	o.wire, o.slow = true, true
	if r.IntN(3) > 0 { // so that new connections are needed
		o.may(unreachable, invalidResponse)
		o.first(func() { w.wires.drop(true) })
	}
	o.name("wires: %v", o.wires)
}

func addAWSTrouble(w *world, o *weather, r *rand.Rand, _ time.Duration) {
	o.may(unavailable, deadline)
	o.slow, o.confusing = true, true
	switch r.IntN(5) {
	case 0:
		delay := between(r, 10*time.Millisecond, time.Second)
		o.first(func() { w.secrets.Delay(delay, 1+r.IntN(3)) })
		o.name("Secrets Manager: %v late", delay.Round(time.Millisecond))
	case 1:
		o.aws = newRoughness(r, slices.DeleteFunc(hazards(r), func(h hazard) bool { return h.strike == corrupt }))
		o.name("wires to Secrets Manager: %v", o.aws)
	default:
		fault, times := choose(r, awsFaults...), choose(r, 1, 2, 3, 5, -1)
		o.first(func() { w.secrets.Fail(fault, times) })
		o.name("Secrets Manager: %s × %d", fault, times)
	}
}

func addBrokenDocument(w *world, o *weather, r *rand.Rand, _ time.Duration) {
	document := choose(r, brokenDocuments...)
	if r.IntN(3) == 0 {
		o.first(func() { w.secrets.Delete(stage.SecretName) })
		o.name("the AWS secret deleted")
	} else {
		o.first(func() { w.secrets.Put(stage.SecretName, document) })
		o.name("the AWS secret is %q", document)
	}
	o.may(unavailable)
	o.confusing = true
}

// addShutDoor makes Segura refuse connections: for good, until some time, or from
// some time on and for a while.
func addShutDoor(w *world, o *weather, r *rand.Rand, limit time.Duration) {
	how := choose(r, seguratest.NotListening, seguratest.ResetOnAccept, seguratest.SilentOnAccept, seguratest.PlainOnAccept)
	o.may(unreachable, invalidResponse, upstreamTimeout, deadline)
	if how == seguratest.PlainOnAccept {
		o.may(unexpected)
	}
	o.wire, o.slow = true, true
	o.name("Segura refuses connections (%d)", how)
	shut := func() { _ = w.segura.RefuseConnections(how) }
	at := between(r, 5*time.Millisecond, limit)
	switch r.IntN(6) {
	case 0:
		o.first(shut)
	case 1, 2:
		o.then("it refuses them", at, shut)
		o.then("it accepts them", at+between(r, time.Millisecond, limit), w.accept)
	default:
		o.first(shut)
		o.then("it accepts them", at, w.accept)
	}
}

func addDrops(w *world, o *weather, r *rand.Rand, limit time.Duration) {
	for range 1 + r.IntN(6) {
		o.then("connections drop", between(r, time.Millisecond, limit), w.segura.DropConnections)
	}
	o.may(unreachable, invalidResponse)
	o.wire = true
}

func addRevocation(w *world, o *weather, r *rand.Rand, limit time.Duration) {
	style := seguratest.RefusalStyle(r.IntN(5))
	o.first(func() {
		w.segura.RefuseToken(style)
		w.politely = style >= seguratest.RefusedAuthenticationAs200
	})
	if r.IntN(2) == 0 {
		o.first(w.segura.RevokeTokens)
		o.revokes++
	}
	for range r.IntN(3) {
		o.revokes++
		o.then("tokens revoked", between(r, time.Millisecond, limit), w.segura.RevokeTokens)
	}
	o.name("%d revocations (style %d)", o.revokes, style)
}

func addRotation(w *world, o *weather, r *rand.Rand, limit time.Duration) {
	at := between(r, time.Millisecond, limit)
	o.confusing = true
	next := w.nextSecret()
	inSegura, inSecretsManager := func() { w.rotateSegura(next) }, func() { w.putSecret(next) }
	switch r.IntN(5) {
	case 0:
		o.first(inSegura)
		o.first(inSecretsManager)
		o.name("rotated before")
	case 1:
		o.then("rotated", at, func() { inSegura(); inSecretsManager() })
	case 2:
		o.first(inSegura)
		o.then("rotated in Secrets Manager, too", at, inSecretsManager)
	case 3:
		o.first(inSecretsManager)
		o.then("rotated in Segura, too", at, inSegura)
	default:
		o.first(inSegura)
		o.name("rotated in Segura only")
	}
	if r.IntN(3) > 0 {
		o.first(w.segura.RevokeTokens)
		o.name("tokens revoked with a rotation")
	}
}

func addUpgrade(w *world, o *weather, r *rand.Rand, limit time.Duration) {
	to := seguratest.Generation(r.IntN(6))
	o.then(fmt.Sprintf("upgraded to generation %d", to), between(r, time.Millisecond, limit), func() { w.segura.SetGeneration(to) })
}

// addKill ends the process from outside, in the middle of whatever it does, as
// Lambda does.
func addKill(w *world, o *weather, r *rand.Rand, limit time.Duration) {
	o.killed, o.wire = true, true
	o.then("killed", between(r, time.Millisecond, limit), func() { _ = w.function.Signal(syscall.SIGKILL) })
}

// addLeap moves the wall clock forward while the process is frozen, past the life
// of the AWS secret's copy or of tokens.
func addLeap(w *world, o *weather, r *rand.Rand, _ time.Duration) {
	leap := choose(r, 20*time.Second, time.Minute, 6*time.Minute, 3595*time.Second, 2*time.Hour)
	if w.config.clock {
		o.leap, o.freeze = leap, max(o.freeze, time.Millisecond)
		o.name("the clock %v ahead", leap)
	}
}
