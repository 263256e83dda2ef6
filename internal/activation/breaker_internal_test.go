package activation

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"segura-enable/internal/apisecret"
)

var (
	silence = &apisecret.Error{Code: apisecret.UpstreamTimeout, Cause: apisecret.NoReply}
	refusal = &apisecret.Error{Code: apisecret.AuthenticationFailed, Cause: apisecret.TokenRefused}
)

// lose has one identifier after another given up with the fault, each after d, and
// returns how many were tried before the breaker opened.
func lose(t *testing.T, b *breaker, fault *apisecret.Error, d time.Duration) int {
	t.Helper()
	for tried := range 100 {
		p, open := b.enter(t.Context())
		if open != nil {
			if open != fault {
				t.Errorf("got the fault %v, want that of the last identifier", open)
			}
			return tried
		}
		time.Sleep(d)
		b.leave(p, fault)
	}
	return 100
}

// isClosed reports whether an identifier may be tried, and not as a probe.
func isClosed(t *testing.T, b *breaker) bool {
	t.Helper()
	p, open := b.enter(t.Context())
	return open == nil && !p.probe
}

// doubted returns a breaker that is half-open.
func doubted(t *testing.T) *breaker {
	t.Helper()
	b := newBreaker(time.Hour)
	p, _ := b.enter(t.Context())
	b.leave(p, silence)
	return b
}

// entry is what came of entering.
type entry struct {
	pass
	open *apisecret.Error
}

// entering has so many identifiers enter, and returns where those are told that may.
func entering(t *testing.T, b *breaker, n int) <-chan entry {
	t.Helper()
	entered := make(chan entry, n)
	for range n {
		go func() {
			p, open := b.enter(t.Context())
			entered <- entry{p, open}
		}()
	}
	synctest.Wait()
	return entered
}

func TestBreaker_opensAfterSeveralIdentifiersAndALastingSilence(t *testing.T) {
	for _, row := range []struct {
		name           string
		patience, each time.Duration
		fault          *apisecret.Error
		want           int
	}{
		{"quick silence", 5 * time.Second, time.Second, silence, 6},
		{"slow silence", 5 * time.Second, 10 * time.Second, silence, tripAfter},
		{"no patience", 0, time.Millisecond, silence, tripAfter},
		{"refused tokens", time.Hour, time.Millisecond, refusal, tripAfter},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := newBreaker(row.patience)

			got := lose(t, b, row.fault, row.each)
			b.reply() // of one that was still under way
			closed := isClosed(t, b)
			again := lose(t, b, row.fault, row.each)

			if got != row.want || !closed || again != row.want {
				t.Errorf("%s: got %d identifiers tried, closed by a reply: %t, then %d more; want %d each", row.name, got, closed, again, row.want)
			}
		})
	}
}

func TestBreaker_doesNotDoubtAnIdentifierDuringWhichOthersGotReplies(t *testing.T) {
	b := newBreaker(0)
	for range 100 {
		p, _ := b.enter(t.Context())
		b.reply() // of another identifier
		b.leave(p, silence)
		if !isClosed(t, b) {
			t.Fatal("got a breaker that is half-open or open")
		}
	}
}

func TestBreaker_triesOneAtATimeWhileInDoubt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := doubted(t)

		entered := entering(t, b, 10)
		first := len(entered)
		b.leave((<-entered).pass, nil)
		synctest.Wait()
		second := len(entered)
		b.reply()
		synctest.Wait()
		others := len(entered)
		probe, other := <-entered, <-entered
		b.leave(other.pass, silence) // there is doubt again, and the probe is still under way
		again := entering(t, b, 1)
		beside := len(again)
		b.leave(probe.pass, nil)
		next := <-again

		if first != 1 || second != 1 || others != 9 || beside != 0 {
			t.Errorf("got %d tried at once, then %d, %d after a reply and %d beside an earlier probe; want 1, 1, 9 and 0", first, second, others, beside)
		}
		if !probe.probe || other.probe || !next.probe {
			t.Errorf("got probes: %t, %t after a reply, and %t in doubt", probe.probe, other.probe, next.probe)
		}
	})
}

func TestBreaker_letsAWaiterGoWhenItsTimeIsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := doubted(t)
		_, _ = b.enter(t.Context())
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()

		p, fault := b.enter(ctx)

		if p.probe || fault == nil || fault.Code != apisecret.DeadlineExceeded {
			t.Errorf("got a probe: %t, %v; want deadline_exceeded", p.probe, fault)
		}
	})
}

func TestBreaker_tellsWaitersThatItIsOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(0)
		begun := entering(t, b, tripAfter)
		b.leave((<-begun).pass, silence)
		waiting := entering(t, b, 5)
		<-waiting // a probe, and it is still under way

		b.leave((<-begun).pass, silence)
		b.leave((<-begun).pass, silence)

		for range cap(waiting) - 1 {
			if got := <-waiting; got.open != silence {
				t.Errorf("got %v, want %v", got.open, silence)
			}
		}
	})
}

func TestCooldown_holdsAllBackForAsLongAsAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c cooldown
		began := time.Now()
		c.begin(t.Context(), time.Minute)
		c.begin(t.Context(), time.Second)                                            // asks for less
		time.AfterFunc(50*time.Second, func() { c.begin(t.Context(), time.Minute) }) // asks for more meanwhile
		waited := make(chan time.Duration, 20)

		for range cap(waited) {
			go func() {
				if !c.wait(t.Context()) {
					t.Error("got no time left")
				}
				waited <- time.Since(began)
			}()
		}

		var least, most time.Duration = time.Hour, 0
		for range cap(waited) {
			took := <-waited
			least, most = min(least, took), max(most, took)
		}
		if least < 110*time.Second || most >= 110*time.Second+spread || least == most {
			t.Errorf("got waits from %s to %s, want 110 s and up to %s more, spread", least, most, spread)
		}
		if again := time.Now(); !c.wait(t.Context()) || time.Since(again) != 0 {
			t.Error("got another wait afterwards")
		}
	})
}

func TestCooldown_holdsNobodyBackPastADeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		began := time.Now()
		var c cooldown

		c.begin(ctx, 10*time.Second)
		c.begin(ctx, 0)
		c.begin(ctx, -time.Second)

		if !c.wait(ctx) || time.Since(began) != 0 {
			t.Errorf("got a wait of %s", time.Since(began))
		}
		c.begin(t.Context(), 10*time.Second)
		if c.wait(ctx) || time.Since(began) != 0 {
			t.Errorf("got time left after %s, want none at once", time.Since(began))
		}
	})
}

func TestReserve_keepsTimeBackForTheReply(t *testing.T) {
	for _, row := range []struct {
		left  time.Duration
		items int
		want  time.Duration // of what is left for the work
	}{
		{15 * time.Minute, 1, 15*time.Minute - 500*time.Millisecond},
		{15 * time.Minute, 10_000, 15*time.Minute - 3470*time.Millisecond},
		{time.Second, 1, 500 * time.Millisecond},
		{2 * time.Second, 100, 1500 * time.Millisecond},
		{2 * time.Second, 200, 1470 * time.Millisecond},
		{3 * time.Second, 10_000, 625 * time.Millisecond},
		{100 * time.Millisecond, 0, 50 * time.Millisecond},
		{100 * time.Millisecond, 10_000, 12500 * time.Microsecond},
		{-time.Second, 1, -time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), row.left)
			defer cancel()

			work, stop := Reserve(ctx, row.items)
			defer stop()

			deadline, ok := work.Deadline()
			if got := time.Until(deadline); !ok || got != row.want {
				t.Errorf("%s for %d items: got %s to work in, want %s", row.left, row.items, got, row.want)
			}
		})
	}
	unlimited, stop := Reserve(t.Context(), 1)
	stop()
	if _, ok := unlimited.Deadline(); ok || unlimited.Err() == nil {
		t.Errorf("without a deadline: got one: %t; %v after it was stopped", ok, unlimited.Err())
	}
}
