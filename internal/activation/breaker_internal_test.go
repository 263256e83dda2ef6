package activation

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"segura-enable/internal/apisecret"
)

func silence() *apisecret.Error {
	fault := apisecret.NewError(apisecret.UpstreamTimeout, "")
	fault.Cause = apisecret.NoReply
	return fault
}

func refusal() *apisecret.Error {
	fault := apisecret.NewError(apisecret.AuthenticationFailed, "")
	fault.Cause = apisecret.TokenRefused
	return fault
}

// lose has one identifier after another given up with the fault, each after d, and
// returns how many were tried before Segura was found dead.
func lose(t *testing.T, b *breaker, fault *apisecret.Error, d time.Duration, most int) int {
	t.Helper()
	for tried := range most {
		probe, dead := b.enter(t.Context())
		if dead != nil {
			if dead != fault {
				t.Errorf("got the fault %v, want that of the last identifier", dead)
			}
			return tried
		}
		before := b.replies.Load()
		time.Sleep(d)
		b.giveUp(before, fault)
		b.leave(probe)
	}
	return most
}

func TestBreaker_isDeadAfterSeveralIdentifiersAndALastingSilence(t *testing.T) {
	for _, row := range []struct {
		name     string
		patience time.Duration
		each     time.Duration
		fault    *apisecret.Error
		want     int
	}{
		{"quick silence", 5 * time.Second, time.Second, silence(), 6},
		{"slow silence", 5 * time.Second, 10 * time.Second, silence(), tripAfter},
		{"no patience", 0, time.Millisecond, silence(), tripAfter},
		{"refused tokens", time.Hour, time.Millisecond, refusal(), tripAfter},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := breaker{patience: row.patience}

			if got := lose(t, &b, row.fault, row.each, 100); got != row.want {
				t.Errorf("%s: got %d identifiers tried, want %d", row.name, got, row.want)
			}
		})
	}
}

func TestBreaker_needsNoPatienceForAFaultThatWillNotPass(t *testing.T) {
	b := breaker{patience: time.Hour}
	fault := apisecret.NewError(apisecret.AuthenticationFailed, "")
	fault.Cause = apisecret.TokenRefused

	for range tripAfter {
		b.giveUp(b.replies.Load(), fault)
	}

	if probe, dead := b.enter(t.Context()); probe || dead != fault {
		t.Errorf("got a probe: %t, dead: %v; want %v", probe, dead, fault)
	}
}

func TestBreaker_comesBackWithAnyReply(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker{}
		fault := silence()
		lose(t, &b, fault, time.Second, 100)

		b.reply() // of one that was still under way

		if probe, dead := b.enter(t.Context()); probe || dead != nil {
			t.Errorf("got a probe: %t, dead: %v; want neither", probe, dead)
		}
		if got := lose(t, &b, fault, time.Second, 100); got != tripAfter {
			t.Errorf("afterwards: got %d identifiers tried, want %d as in the beginning", got, tripAfter)
		}
	})
}

func TestBreaker_isNotSuspiciousOfAnIdentifierDuringWhichOthersGotReplies(t *testing.T) {
	b := breaker{}
	for range 100 {
		probe, dead := b.enter(t.Context())
		before := b.replies.Load()
		b.reply() // of another identifier
		b.giveUp(before, silence())
		b.leave(probe)
		if probe || dead != nil {
			t.Fatalf("got a probe: %t, dead: %v; want neither", probe, dead)
		}
	}
}

func TestBreaker_triesOneAtATimeWhileInDoubt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker{patience: time.Hour}
		b.giveUp(b.replies.Load(), silence())
		entered := make(chan bool, 10)
		for range cap(entered) {
			go func() {
				probe, _ := b.enter(t.Context())
				entered <- probe
			}()
		}

		synctest.Wait()
		first := len(entered)
		b.leave(<-entered)
		synctest.Wait()
		second := len(entered)
		b.reply()
		synctest.Wait()

		if first != 1 || second != 1 || len(entered) != 9 {
			t.Errorf("got %d tried at once, then %d, and %d after a reply; want 1, 1 and all 9", first, second, len(entered))
		}
		if !<-entered || <-entered {
			t.Error("want the second to be a probe and the others none")
		}
	})
}

func TestBreaker_letsAWaiterGoWhenItsTimeIsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker{patience: time.Hour}
		b.giveUp(b.replies.Load(), silence())
		if probe, _ := b.enter(t.Context()); !probe {
			t.Fatal("the first one in doubt is no probe")
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()

		probe, fault := b.enter(ctx)

		if probe || fault == nil || fault.Code != apisecret.DeadlineExceeded {
			t.Errorf("got a probe: %t, %v; want deadline_exceeded", probe, fault)
		}
	})
}

func TestBreaker_tellsWaitersThatItIsDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker{}
		fault := silence()
		for range tripAfter - 1 {
			b.giveUp(b.replies.Load(), fault)
		}
		probe, _ := b.enter(t.Context())
		found := make(chan *apisecret.Error, 5)
		for range cap(found) {
			go func() {
				_, dead := b.enter(t.Context())
				found <- dead
			}()
		}
		synctest.Wait()

		b.giveUp(b.replies.Load(), fault)
		b.leave(probe)

		for range cap(found) {
			if got := <-found; got != fault {
				t.Errorf("got %v, want %v", got, fault)
			}
		}
	})
}

func TestCooldown_holdsAllBackForAsLongAsAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c cooldown
		began := time.Now()
		c.begin(t.Context(), time.Minute)
		c.begin(t.Context(), time.Second) // asks for less
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
		if least < time.Minute || most >= time.Minute+spread || least == most {
			t.Errorf("got waits from %s to %s, want a minute and up to %s more, spread", least, most, spread)
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
	})
}

func TestCooldown_waitsAgainIfItIsAskedToMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c cooldown
		began := time.Now()
		c.begin(t.Context(), time.Second)
		time.AfterFunc(900*time.Millisecond, func() { c.begin(t.Context(), 10*time.Second) })

		c.wait(t.Context())

		if took := time.Since(began); took < 10900*time.Millisecond {
			t.Errorf("got a wait of %s, want 10.9 s", took)
		}
	})
}

func TestCooldown_endsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c cooldown
		began := time.Now()
		c.begin(t.Context(), time.Minute)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)

		if c.wait(ctx) || time.Since(began) != time.Second {
			t.Errorf("got time left after %s, want none after a second", time.Since(began))
		}
		if c.wait(ctx) {
			t.Error("with an ended context: got time left")
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
		{3 * time.Second, 0, 2500 * time.Millisecond},
		{time.Second, 1, 500 * time.Millisecond},
		{2 * time.Second, 100, 1500 * time.Millisecond},
		{2 * time.Second, 200, 1470 * time.Millisecond},
		{3 * time.Second, 10_000, 625 * time.Millisecond},
		{100 * time.Millisecond, 0, 50 * time.Millisecond},
		{100 * time.Millisecond, 10_000, 12500 * time.Microsecond},
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
	if _, ok := unlimited.Deadline(); ok {
		t.Error("without a deadline: got one")
	}
	stop()
	if unlimited.Err() == nil {
		t.Error("the work goes on after it was stopped")
	}
}

func TestReserve_leavesNothingOfATimeThatIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
		defer cancel()

		work, stop := Reserve(ctx, 1)
		defer stop()

		if work.Err() == nil {
			t.Error("got a context to work in")
		}
	})
}
