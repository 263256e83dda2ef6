package statemachine

import (
	"context"
	"sync"
	"time"
)

// Clock is the time of executions.
type Clock interface {
	// Now is the time.
	Now() time.Time
	// Wait returns after d, or when ctx ends, with its cause.
	Wait(ctx context.Context, d time.Duration) error
}

// RealClock is the time of this machine.
type RealClock struct{}

// Now implements [Clock].
func (RealClock) Now() time.Time { return time.Now() }

// Wait implements [Clock].
func (RealClock) Wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// SkippingClock runs as that of this machine, but waits take no time: it jumps to
// their end. So a window of eight hours opens and closes in a moment, while calls
// take as long as they take. The zero value shows the time of this machine.
type SkippingClock struct {
	mu      sync.Mutex
	skipped time.Duration
}

// Now implements [Clock].
func (c *SkippingClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.skipped)
}

// Wait implements [Clock].
func (c *SkippingClock) Wait(ctx context.Context, d time.Duration) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.skipped += max(d, 0)
	return nil
}
