package activation

import (
	"context"
	"sync"
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
// It is made by newBreaker.
type breaker struct {
	patience time.Duration // how long a silence has to last

	mu      sync.Mutex
	changed *sync.Cond // of what follows
	replies int        // so far
	lost    int        // identifiers given up since the last reply
	since   time.Time  // when the first of them was
	probing bool       // half-open, and one identifier is under way
	open    *apisecret.Error
}

// tripAfter is how many identifiers in a row have to be given up: two that are
// faulty side by side do not end the request for the others.
const tripAfter = 3

func newBreaker(patience time.Duration) *breaker {
	b := &breaker{patience: patience}
	b.changed = sync.NewCond(&b.mu)
	return b
}

// pass is the leave to try an identifier.
type pass struct {
	probe   bool
	replies int // there were when it was given
}

// enter waits until an identifier may be tried, or returns the fault with which the
// breaker opened.
func (b *breaker) enter(ctx context.Context) (pass, *apisecret.Error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.lost > 0 {
		defer context.AfterFunc(ctx, func() { b.change(func() {}) })()
	}
	for b.open == nil && b.lost > 0 && b.probing {
		if ctx.Err() != nil {
			return pass{}, timeRanOut()
		}
		b.changed.Wait()
	}
	if b.open != nil || b.lost == 0 {
		return pass{replies: b.replies}, b.open
	}
	b.probing = true
	return pass{true, b.replies}, nil
}

// leave ends what enter began. lost is the fault if the identifier was given up
// without a reply, else nil.
func (b *breaker) leave(p pass, lost *apisecret.Error) {
	b.change(func() {
		if p.probe {
			b.probing = false
		}
		if lost == nil || b.replies != p.replies {
			return
		}
		if b.lost++; b.lost == 1 {
			b.since = time.Now()
		}
		b.trip(lost)
	})
}

// reply notes that Segura answered.
func (b *breaker) reply() {
	b.change(func() {
		b.replies++
		b.lost, b.open = 0, nil
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
	b.changed.Broadcast()
}
