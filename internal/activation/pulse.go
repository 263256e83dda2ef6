package activation

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"segura-enable/internal/segura"
)

// pulse knows whether Segura shows any sign of life, so that a request for many
// identifiers ends soon, and without hammering, where it shows none. An
// identifier given up without any reply from Segura since it began makes it
// suspect: from then on, identifiers are tried one at a time. A reply to any of
// them ends the suspicion. Once enough identifiers in a row were given up and the
// silence has lasted long enough, Segura is dead, and the identifiers left fail
// with the last fault. A token that is refused to every identifier counts as no
// sign of life.
//
// The zero value is alive, and has no patience.
type pulse struct {
	patience time.Duration // how long a silence has to last

	count atomic.Int64

	mu      sync.Mutex
	lost    int       // identifiers given up since the last sign of life
	since   time.Time // when the first of them was
	probing bool
	dead    *segura.Fault
	changed chan struct{} // closed at the next change; nil if nobody waits
}

// enough is how many identifiers in a row have to be given up: two that are ill
// side by side do not end the request for the others.
const enough = 3

// enter waits until an identifier may be tried and tells whether it is a probe;
// or it returns the fault with which Segura was found dead.
func (p *pulse) enter(ctx context.Context) (probe bool, dead *segura.Fault) {
	for {
		p.mu.Lock()
		if dead := p.dead; dead != nil || p.lost == 0 {
			p.mu.Unlock()
			return false, dead
		}
		if !p.probing {
			p.probing = true
			p.mu.Unlock()
			return true, nil
		}
		if p.changed == nil {
			p.changed = make(chan struct{})
		}
		changed := p.changed
		p.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return false, timeRanOut()
		}
	}
}

// leave ends what enter began.
func (p *pulse) leave(probe bool) {
	if probe {
		p.change(func() { p.probing = false })
	}
}

// beats returns how many signs of life there were so far.
func (p *pulse) beats() int64 { return p.count.Load() }

// beat notes a sign of life.
func (p *pulse) beat() {
	p.count.Add(1)
	p.change(func() { p.lost, p.dead = 0, nil })
}

// missing notes an identifier that was given up with the fault; before is what
// beats returned when it began, and final says that the fault will not pass
// within this request.
func (p *pulse) missing(before int64, fault *segura.Fault, final bool) {
	p.change(func() {
		if p.count.Load() != before {
			return
		}
		if p.lost++; p.lost == 1 {
			p.since = time.Now()
		}
		p.judge(fault, final || fault.RefusedToken)
	})
}

// silent notes an attempt without a reply and tells whether Segura is dead, so
// that no further attempt makes sense.
func (p *pulse) silent(fault *segura.Fault) (dead bool) {
	p.change(func() {
		p.judge(fault, false)
		dead = p.dead != nil
	})
	return dead
}

// judge is called with the lock held.
func (p *pulse) judge(fault *segura.Fault, final bool) {
	if p.lost >= enough && (final || time.Since(p.since) >= p.patience) {
		p.dead = fault
	}
}

func (p *pulse) change(how func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	how()
	if p.changed != nil {
		close(p.changed)
		p.changed = nil
	}
}

// pace holds all workers back while the gateway asks one of them to wait. The
// zero value holds nobody back.
type pace struct{ until atomic.Int64 } // Unix nanoseconds

// spread keeps the workers from calling all at once when the wait is over.
const spread = 100 * time.Millisecond

// slow holds back calls for d, unless that would not end before ctx does: each
// identifier is tried then all the same.
func (p *pace) slow(ctx context.Context, d time.Duration) {
	if deadline, ok := ctx.Deadline(); d <= 0 || ok && time.Until(deadline) <= d {
		return
	}
	until := time.Now().Add(d).UnixNano()
	for {
		now := p.until.Load()
		if now >= until || p.until.CompareAndSwap(now, until) {
			return
		}
	}
}

// wait waits until calls may be made and tells whether there is time left for one.
func (p *pace) wait(ctx context.Context) bool {
	for {
		left := time.Duration(p.until.Load() - time.Now().UnixNano())
		if p.until.Load() == 0 || left <= 0 {
			return ctx.Err() == nil
		}
		if !segura.Sleep(ctx, left+rand.N(spread)) { //nolint:gosec // G404: jitter needs no secrecy.
			return false
		}
	}
}
