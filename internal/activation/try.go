package activation

import (
	"context"
	"time"

	"segura-enable/internal/apisecret"
	"segura-enable/internal/segura"
	"segura-enable/internal/telemetry"
)

// maxRefusals is how often one identifier's calls may be refused for their
// token: once for the token at hand, once for the one fetched in its place, and
// once for one of changed credentials.
const maxRefusals = 3

// try is the request for one identifier.
type try struct {
	*job
	identifier apisecret.Identifier
	attempts   int  // calls begun
	noGrant    bool // whether it ended because nobody gets a token any more
}

// enter makes the calls unless Segura is known to be down, and notes what they
// say of that.
func (t *try) enter(ctx context.Context) (segura.Answer, *segura.Fault) {
	probe, fault := t.pulse.enter(ctx)
	if fault != nil {
		return segura.Answer{}, fault
	}
	before := t.pulse.beats()
	defer t.pulse.leave(probe)
	answer, fault := t.call(ctx)
	if fault != nil && (fault.NoReply || fault.RefusedToken || t.noGrant) {
		t.pulse.missing(before, fault, t.noGrant)
	}
	return answer, fault
}

// call calls Segura until it has an answer, a fault that no repetition cures, or
// no attempts or time left.
func (t *try) call(ctx context.Context) (segura.Answer, *segura.Fault) {
	var (
		own     *segura.Fault // the last transient fault of this identifier's
		refused *rejection    // what the last call ended in, if it was that
	)
	for transient, refusals := 0, 0; ; {
		g, fault := t.ready(ctx, refused)
		if fault != nil {
			return segura.Answer{}, prefer(own, fault)
		}
		answer, fault := t.attempt(ctx, g)
		switch {
		case fault == nil:
			return answer, nil
		case fault.Code == apisecret.DeadlineExceeded:
			return segura.Answer{}, prefer(own, fault)
		case fault.RefusedToken:
			if refusals++; refusals == maxRefusals {
				return segura.Answer{}, fault
			}
			refused = &rejection{g, fault, refusals}
		default:
			own, refused = fault, nil
			transient++
			t.pace.slow(ctx, fault.RetryAfter)
			if fault.NoReply && t.pulse.silent(fault) {
				return segura.Answer{}, fault
			}
			if !fault.Retryable || !t.Retry.Wait(ctx, transient, fault.RetryAfter) {
				return segura.Answer{}, fault
			}
		}
	}
}

// ready waits until a call may be made, and returns what it takes.
func (t *try) ready(ctx context.Context, refused *rejection) (*grant, *segura.Fault) {
	if !t.pace.wait(ctx) {
		return nil, timeRanOut()
	}
	g, fault := t.session.grant(ctx, refused)
	t.noGrant = fault != nil && (refused == nil || fault != refused.fault)
	return g, fault
}

func (t *try) attempt(ctx context.Context, g *grant) (segura.Answer, *segura.Fault) {
	t.attempts++
	began := time.Now()
	answer, fault := g.client.Do(ctx, t.request.Action, t.identifier, g.token)
	telemetry.Call(ctx, time.Since(began))
	if fault == nil || !fault.NoReply && !fault.RefusedToken && fault.Code != apisecret.DeadlineExceeded {
		t.pulse.beat()
	}
	if fault == nil || fault.SeguraCode != 0 {
		g.accepted.Store(true)
	}
	return answer, fault
}

// prefer returns the identifier's own fault where time ran out while that was
// being overcome: it explains more.
func prefer(own, fault *segura.Fault) *segura.Fault {
	if own != nil && fault.Code == apisecret.DeadlineExceeded {
		return own
	}
	return fault
}

func timeRanOut() *segura.Fault { return segura.NewFault(apisecret.DeadlineExceeded) }
