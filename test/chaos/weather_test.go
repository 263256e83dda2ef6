package chaos

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"time"

	"segura-enable/simulated/seguratest"
	"segura-enable/simulated/stage"
)

// weather is what goes wrong during one round. The zero value is calm.
type weather struct {
	effects
	calls, tokens mix[*fault] // what requests to Segura meet
	wires         mix[hazard] // what connections to Segura meet
	incidents     []incident
	freeze        time.Duration // of the process, before the invocations
}

// incident is something that happens once: before the invocations, or in the middle.
type incident struct {
	name string
	at   time.Duration // 0: before
	effects
	do func()
}

func (o *weather) String() string {
	text := fmt.Sprintf("calls: %v; tokens: %v; wires: %v; frozen for %v before", o.calls, o.tokens, o.wires, o.freeze)
	for _, i := range o.incidents {
		text += fmt.Sprintf("; %s after %v", i.name, i.at.Round(time.Millisecond))
	}
	return fmt.Sprintf("%s [may: %b %v]", text, o.traits, strings.Join(o.codes, " "))
}

func (o *weather) may(e effects) { o.effects = o.with(e) }

// happens notes an incident: often before the invocations, else at any time until the
// limit of the invocation is over.
func (o *weather) happens(r *rand.Rand, limit time.Duration, i incident) {
	if r.IntN(2) == 0 {
		i.at = between(r, time.Millisecond, limit)
	}
	o.incidents = append(o.incidents, i)
	o.may(i.effects)
}

// forecast is the weather of a round whose invocations have so much time.
func (w *world) forecast(r *rand.Rand, limit time.Duration) weather {
	var o weather
	for range choose(r, 0, 1, 1, 2, 2, 3) {
		switch kind := r.IntN(10); {
		case kind < 3:
			o.calls = o.faults(w, r, token)
		case kind < 4:
			o.tokens = o.faults(w, r, 0)
		case kind < 5:
			o.wires = newMix(r, 3, func() hazard { return newHazard(r) })
			for _, h := range o.wires.of {
				o.may(h.effects)
			}
			o.happens(r, limit, incident{"connections drop", 0, lossy, func() { w.wires.drop(true) }}) // so that new ones are needed
		default:
			for _, i := range w.drawIncidents(r) {
				o.happens(r, limit, i)
			}
		}
	}
	if r.IntN(4) == 0 {
		o.freeze = between(r, time.Millisecond, 1200*time.Millisecond)
	}
	// A token that came late or with a wrong lifetime may be refused.
	for _, f := range o.tokens.of {
		if f.is(token) || f.is(slow) && w.config.lifetime < time.Minute {
			o.may(effects{traits: confusing})
		}
	}
	return o
}

// between is a duration whose logarithm is evenly spread.
func between(r *rand.Rand, least, most time.Duration) time.Duration {
	return time.Duration(float64(least) * math.Pow(float64(most)/float64(least), r.Float64()))
}

// faults draws a few of the catalogue that do not have a trait.
func (o *weather) faults(w *world, r *rand.Rand, without trait) mix[*fault] {
	m := newMix(r, 4, func() *fault {
		for {
			kind := choose(r, w.catalogue...)
			if f := &kind[r.IntN(len(kind))]; !f.is(without) {
				return f
			}
		}
	})
	for _, f := range m.of {
		o.may(effects{f.traits & (wire | slow), f.codes})
	}
	return m
}

// Effects that several incidents have.
var (
	lossy     = effects{wire, []string{unreachable, invalidResponse}}
	shut      = effects{wire | slow, []string{unreachable, invalidResponse, upstreamTimeout, deadline, unexpected}}
	deceiving = effects{confusing, nil}
	unread    = effects{slow | confusing, []string{unavailable, deadline}}
)

// drawIncidents draws some that belong together.
func (w *world) drawIncidents(r *rand.Rand) []incident {
	revoked := incident{"tokens revoked", 0, deceiving, w.segura.RevokeTokens}
	switch r.IntN(8) {
	case 0, 1:
		how := choose(r, seguratest.NotListening, seguratest.ResetOnAccept, seguratest.SilentOnAccept, seguratest.PlainOnAccept)
		return []incident{
			{fmt.Sprintf("Segura refuses connections (%d)", how), 0, shut, func() { _ = w.segura.RefuseConnections(how) }},
			{"it accepts them", 0, shut, func() { _ = w.segura.AcceptConnections() }}, // if that comes first, it refuses them for good
		}
	case 2:
		lost := incident{"connections lost", 0, lossy, w.segura.DropConnections}
		return []incident{lost, lost, lost}
	case 3:
		style := seguratest.RefusalStyle(r.IntN(5))
		return []incident{{fmt.Sprintf("tokens are refused in style %d", style), 0, effects{}, func() { w.segura.RefuseToken(style) }}, revoked, revoked}
	case 4:
		next := w.nextSecret()
		return []incident{{"rotated in Segura", 0, deceiving, func() { w.segura.RotateClientSecret(next) }}, {"rotated in Secrets Manager", 0, deceiving, func() { w.putSecret(next) }}, revoked}
	case 5:
		to := seguratest.Generation(r.IntN(6))
		return []incident{{fmt.Sprintf("upgraded to generation %d", to), 0, effects{}, func() { w.segura.SetGeneration(to) }}}
	case 6:
		fault, times, delay := choose(r, awsFaults...), choose(r, 1, 2, 3, 5, -1), between(r, 10*time.Millisecond, time.Second)
		return []incident{{fmt.Sprintf("Secrets Manager: %v late, then %s × %d", delay, fault, times), 0, unread, func() {
			w.secrets.Delay(delay, 1)
			w.secrets.Fail(fault, times)
		}}}
	default:
		document := choose(r, brokenDocuments...)
		return []incident{{fmt.Sprintf("the AWS secret is %q", document), 0, unread, func() { w.secrets.Put(stage.SecretName, document) }}}
	}
}
