package segura

import (
	"context"
	"math/rand/v2"
	"time"
)

// Bounds of the wait between two attempts.
const (
	firstBackoff = 100 * time.Millisecond
	maxBackoff   = 5 * time.Second
)

// Retry says how often a call is attempted against transient faults, the first
// attempt included. The zero value allows none beyond it.
type Retry struct{ MaxAttempts int }

// Wait sleeps before the next attempt and reports whether there is to be one. It
// waits for an exponentially growing time with full jitter, on top of what the
// upstream asked for, if anything. It returns false, at once, if the attempts
// made are all that are allowed or if the wait would not end before ctx does.
func (r Retry) Wait(ctx context.Context, made int, asked time.Duration) bool {
	if made >= r.MaxAttempts {
		return false
	}
	longest := min(maxBackoff, firstBackoff<<min(made-1, 10))
	return Sleep(ctx, asked+rand.N(longest)) //nolint:gosec // G404: jitter needs no secrecy.
}

// Sleep waits for d and reports whether it did; it returns false, at once, if ctx
// would end before.
func Sleep(ctx context.Context, d time.Duration) bool {
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= d {
		return false
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
