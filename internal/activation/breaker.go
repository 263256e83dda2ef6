package activation

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"segura-enable/internal/apisecret"
)

// breaker is a circuit breaker around Segura, so that a request for many identifiers
// ends soon, and without hammering, where nobody answers.
//
// Closed, it lets every identifier through. The first one that is given up without
// any reply from Segura since it began makes it half-open: identifiers are tried one
// at a time. Any reply closes it again. After tripAfter identifiers in a row, and a
// silence of the patience, it opens: the identifiers left fail with the last fault.
// A token that is refused to every identifier counts as no reply.
//
// The zero value is closed, and has no patience.
type breaker struct {
	patience time.Duration // how long a silence has to last

	replies atomic.Int64

	mu      sync.Mutex
	lost    int       // identifiers given up since the last reply
	since   time.Time // when the first of them was
	probing bool      // half-open, and one identifier is under way
	open    *apisecret.Error
	changed chan struct{} // closed at the next change; nil if nobody waits
}

// tripAfter is how many identifiers in a row have to be given up: two that are
// faulty side by side do not end the request for the others.
const tripAfter = 3

// enter waits until an identifier may be tried and reports whether it is a probe; or
// it returns the fault with which the breaker opened.
func (b *breaker) enter(ctx context.Context) (probe bool, open *apisecret.Error) {
	for {
		b.mu.Lock()
		if open := b.open; open != nil || b.lost == 0 {
			b.mu.Unlock()
			return false, open
		}
		if !b.probing {
			b.probing = true
			b.mu.Unlock()
			return true, nil
		}
		if b.changed == nil {
			b.changed = make(chan struct{})
		}
		changed := b.changed
		b.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return false, timeRanOut()
		}
	}
}

// leave ends what enter began.
func (b *breaker) leave(probe bool) {
	if probe {
		b.change(func() { b.probing = false })
	}
}

// reply notes that Segura answered.
func (b *breaker) reply() {
	b.replies.Add(1)
	b.change(func() { b.lost, b.open = 0, nil })
}

// giveUp notes an identifier that was given up with the fault; before is how many
// replies there were when it began.
func (b *breaker) giveUp(before int64, fault *apisecret.Error) {
	b.change(func() {
		if b.replies.Load() != before {
			return
		}
		if b.lost++; b.lost == 1 {
			b.since = time.Now()
		}
		b.trip(fault)
	})
}

// silence notes an attempt without a reply and reports whether the breaker is open,
// so that no further attempt makes sense.
func (b *breaker) silence(fault *apisecret.Error) (open bool) {
	b.change(func() {
		b.trip(fault)
		open = b.open != nil
	})
	return open
}

// trip is called with the lock held. That a token is refused does not pass within
// this request.
func (b *breaker) trip(fault *apisecret.Error) {
	if b.lost >= tripAfter && (fault.Cause == apisecret.TokenRefused || time.Since(b.since) >= b.patience) {
		b.open = fault
	}
}

func (b *breaker) change(how func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	how()
	if b.changed != nil {
		close(b.changed)
		b.changed = nil
	}
}
