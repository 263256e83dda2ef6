// Package flight lets many callers share one piece of slow work. Unlike
// golang.org/x/sync/singleflight, the work runs under the context of the caller
// that began it, no goroutine outlives that caller, and each of the others
// waits no longer than its own context.
package flight

import (
	"context"
	"sync"
)

// Group runs at most one piece of work at a time and hands its result to all
// who ask meanwhile. The zero value is ready; it may be used by several
// goroutines at once and must not be copied.
type Group[T any] struct {
	mu      sync.Mutex
	current *call[T]
}

type call[T any] struct {
	done      chan struct{}
	value     T
	err       error
	abandoned bool
}

// Do returns what work returns, running it unless another caller is already
// doing so. If that other caller's context ended before its work did, the work
// is begun again for this one. The error is work's, or ctx's.
func (g *Group[T]) Do(ctx context.Context, work func(context.Context) (T, error)) (T, error) {
	for {
		g.mu.Lock()
		c := g.current
		if c == nil {
			return g.lead(ctx, work)
		}
		g.mu.Unlock()
		select {
		case <-c.done:
			if !c.abandoned {
				return c.value, c.err
			}
		case <-ctx.Done():
			var none T
			return none, context.Cause(ctx)
		}
	}
}

// lead is called with the lock held and gives it up.
func (g *Group[T]) lead(ctx context.Context, work func(context.Context) (T, error)) (T, error) {
	c := &call[T]{done: make(chan struct{}), abandoned: true}
	g.current = c
	g.mu.Unlock()
	defer func() {
		g.mu.Lock()
		g.current = nil
		g.mu.Unlock()
		close(c.done)
	}()
	c.value, c.err = work(ctx)
	c.abandoned = c.err != nil && ctx.Err() != nil
	return c.value, c.err
}
