package activation

import (
	"context"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"segura-enable/internal/segura"
)

// cooldown holds all workers back while the gateway asks one of them to wait. The
// zero value holds nobody back.
type cooldown struct{ until atomic.Int64 } // Unix nanoseconds

// spread keeps the workers from calling all at once when the wait is over.
const spread = 100 * time.Millisecond

// begin holds back calls for d, unless that would not end before ctx does: each
// identifier is tried then all the same.
func (c *cooldown) begin(ctx context.Context, d time.Duration) {
	if deadline, ok := ctx.Deadline(); d <= 0 || ok && time.Until(deadline) <= d {
		return
	}
	until := time.Now().Add(d).UnixNano()
	for {
		now := c.until.Load()
		if now >= until || c.until.CompareAndSwap(now, until) {
			return
		}
	}
}

// wait waits until calls may be made and reports whether there is time left for one.
func (c *cooldown) wait(ctx context.Context) bool {
	for {
		left := time.Duration(c.until.Load() - time.Now().UnixNano())
		if c.until.Load() == 0 || left <= 0 {
			return ctx.Err() == nil
		}
		if !segura.Sleep(ctx, left+rand.N(spread)) { //nolint:gosec // G404: jitter needs no secrecy.
			return false
		}
	}
}
