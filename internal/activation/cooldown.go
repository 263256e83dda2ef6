package activation

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"segura-enable/internal/segura"
)

// cooldown holds all workers back while the gateway asks one of them to wait. The
// zero value holds nobody back.
type cooldown struct {
	mu    sync.Mutex
	until time.Time
}

// spread keeps the workers from calling all at once when the wait is over.
const spread = 100 * time.Millisecond

// begin holds back calls for d, unless that would not end before ctx does: each
// identifier is tried then all the same.
func (c *cooldown) begin(ctx context.Context, d time.Duration) {
	if deadline, ok := ctx.Deadline(); d <= 0 || ok && time.Until(deadline) <= d {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if until := time.Now().Add(d); until.After(c.until) {
		c.until = until
	}
}

// wait waits until calls may be made and reports whether there is time left for one.
func (c *cooldown) wait(ctx context.Context) bool {
	for {
		c.mu.Lock()
		left := time.Until(c.until)
		c.mu.Unlock()
		if left <= 0 {
			return ctx.Err() == nil
		}
		if !segura.Sleep(ctx, left+rand.N(spread)) { //nolint:gosec // G404: jitter needs no secrecy.
			return false
		}
	}
}
