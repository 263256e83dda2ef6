package activation

import (
	"context"
	"time"

	"segura-enable/internal/apisecret"
	"segura-enable/internal/segura"
	"segura-enable/internal/telemetry"
)

// try is the request for one identifier.
type try struct {
	*job
	what     *Call
	attempts int  // calls begun
	open     bool // the effect of one is not known, or may be yet to come
}

// enter makes the calls unless the breaker is open, and reports to it what came of them.
func (t *try) enter(ctx context.Context) (segura.Answer, *apisecret.Error) {
	p, fault := t.breaker.enter(ctx)
	if fault != nil {
		return segura.Answer{}, fault
	}
	var lost *apisecret.Error
	defer func() { t.breaker.leave(p, lost) }()
	answer, fault := t.call(ctx)
	if fault != nil && (fault.Cause == apisecret.NoReply || fault.Cause == apisecret.TokenRefused) {
		lost = fault
	}
	return answer, fault
}

// call calls Segura until it has an answer, a fault that no repetition cures, or no
// attempts or time left.
func (t *try) call(ctx context.Context) (segura.Answer, *apisecret.Error) {
	var (
		own *apisecret.Error // the last transient fault of this identifier's
		g   *grant
	)
	for transient, refusals := 0, 0; ; {
		var fault *apisecret.Error
		if g, fault = t.turn(ctx, g); fault != nil {
			return segura.Answer{}, prefer(own, fault)
		}
		answer, fault := t.attempt(ctx, g)
		switch {
		case fault == nil:
			return answer, nil
		case fault.Code == apisecret.DeadlineExceeded:
			return segura.Answer{}, prefer(own, fault)
		case fault.Cause == apisecret.TokenRefused:
			refusals++
			var none *apisecret.Error
			if g, none = t.session.replace(ctx, g, refusals); none != nil {
				return segura.Answer{}, prefer(own, none)
			}
			if g == nil {
				return segura.Answer{}, fault
			}
		default:
			own, g = fault, nil
			transient++
			t.cooldown.begin(ctx, fault.RetryAfter)
			if fault.Cause == apisecret.NoReply && t.breaker.silence(fault) || !fault.Retryable || !t.Retry.Wait(ctx, transient, fault.RetryAfter) {
				return segura.Answer{}, fault
			}
		}
	}
}

// turn waits until an attempt may be begun and returns what to make it with, which is
// g unless that is nil. It obtains a grant before it waits for the pace: calls that
// waited for a token together would begin together.
func (t *try) turn(ctx context.Context, g *grant) (_ *grant, fault *apisecret.Error) {
	due, cancel := ctx, context.CancelFunc(func() {})
	if !t.what.Before.IsZero() {
		due, cancel = context.WithDeadline(ctx, t.what.Before)
	}
	defer cancel()
	if due.Err() != nil {
		return nil, timeRanOut()
	}
	if g == nil {
		if g, fault = t.session.grant(ctx); fault != nil {
			return nil, fault
		}
	}
	if !t.cooldown.wait(due) || t.Pace != nil && t.Pace.Wait(due) != nil {
		return nil, timeRanOut()
	}
	if g.token.Expired() { // while it waited
		if g, fault = t.session.grant(ctx); fault != nil {
			return nil, fault
		}
	}
	if due.Err() != nil {
		return nil, timeRanOut()
	}
	return g, nil
}

// settled are the codes of replies that say that a call had no effect, and has none
// later.
var settled = map[apisecret.Code]bool{
	apisecret.NotFound: true, apisecret.AccessDenied: true, apisecret.RateLimited: true, apisecret.AuthenticationFailed: true,
}

func (t *try) attempt(ctx context.Context, g *grant) (segura.Answer, *apisecret.Error) {
	t.attempts++
	began := time.Now()
	answer, fault := g.client.Do(ctx, t.what.Action, t.what.Identifier, g.token)
	telemetry.Call(ctx, time.Since(began))
	t.open = t.open || fault != nil && !settled[fault.Code]
	if fault == nil || fault.Cause != apisecret.NoReply && fault.Cause != apisecret.TokenRefused && fault.Code != apisecret.DeadlineExceeded {
		t.breaker.reply()
	}
	if fault == nil || fault.SeguraCode != 0 {
		g.accepted.Store(true)
	}
	return answer, fault
}

// prefer returns the identifier's own fault where time ran out while that was
// being overcome: it explains more.
func prefer(own, fault *apisecret.Error) *apisecret.Error {
	if own != nil && fault.Code == apisecret.DeadlineExceeded {
		return own
	}
	return fault
}

func timeRanOut() *apisecret.Error { return apisecret.NewError(apisecret.DeadlineExceeded, "") }
