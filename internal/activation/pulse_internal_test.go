package activation

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"segura-enable/internal/apisecret"
	"segura-enable/internal/segura"
)

func silence() *segura.Fault {
	fault := segura.NewFault(apisecret.UpstreamTimeout)
	fault.NoReply = true
	return fault
}

func refusal() *segura.Fault {
	fault := segura.NewFault(apisecret.AuthenticationFailed)
	fault.RefusedToken = true
	return fault
}

// lose has one identifier after another given up with the fault, each after d, and
// returns how many were tried before Segura was found dead.
func lose(t *testing.T, p *pulse, fault *segura.Fault, d time.Duration, most int) int {
	t.Helper()
	for tried := range most {
		probe, dead := p.enter(t.Context())
		if dead != nil {
			if dead != fault {
				t.Errorf("got the fault %v, want that of the last identifier", dead)
			}
			return tried
		}
		before := p.beats()
		time.Sleep(d)
		p.missing(before, fault, false)
		p.leave(probe)
	}
	return most
}

func TestPulse_isDeadAfterSeveralIdentifiersAndALastingSilence(t *testing.T) {
	for _, row := range []struct {
		name     string
		patience time.Duration
		each     time.Duration
		fault    *segura.Fault
		want     int
	}{
		{"quick silence", 5 * time.Second, time.Second, silence(), 6},
		{"slow silence", 5 * time.Second, 10 * time.Second, silence(), enough},
		{"no patience", 0, time.Millisecond, silence(), enough},
		{"refused tokens", time.Hour, time.Millisecond, refusal(), enough},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := pulse{patience: row.patience}

			if got := lose(t, &p, row.fault, row.each, 100); got != row.want {
				t.Errorf("%s: got %d identifiers tried, want %d", row.name, got, row.want)
			}
		})
	}
}

func TestPulse_needsNoPatienceForAFaultThatWillNotPass(t *testing.T) {
	p := pulse{patience: time.Hour}
	fault := segura.NewFault(apisecret.CredentialsUnavailable)

	for range enough {
		p.missing(p.beats(), fault, true)
	}

	if probe, dead := p.enter(t.Context()); probe || dead != fault {
		t.Errorf("got a probe: %t, dead: %v; want %v", probe, dead, fault)
	}
}

func TestPulse_comesBackWithAnyReply(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pulse{}
		fault := silence()
		lose(t, &p, fault, time.Second, 100)

		p.beat() // of one that was still under way

		if probe, dead := p.enter(t.Context()); probe || dead != nil {
			t.Errorf("got a probe: %t, dead: %v; want neither", probe, dead)
		}
		if got := lose(t, &p, fault, time.Second, 100); got != enough {
			t.Errorf("afterwards: got %d identifiers tried, want %d as in the beginning", got, enough)
		}
	})
}

func TestPulse_isNotSuspiciousOfAnIdentifierDuringWhichOthersGotReplies(t *testing.T) {
	p := pulse{}
	for range 100 {
		probe, dead := p.enter(t.Context())
		before := p.beats()
		p.beat() // of another identifier
		p.missing(before, silence(), false)
		p.leave(probe)
		if probe || dead != nil {
			t.Fatalf("got a probe: %t, dead: %v; want neither", probe, dead)
		}
	}
}

func TestPulse_triesOneAtATimeWhileInDoubt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pulse{patience: time.Hour}
		p.missing(p.beats(), silence(), false)
		entered := make(chan bool, 10)
		for range cap(entered) {
			go func() {
				probe, _ := p.enter(t.Context())
				entered <- probe
			}()
		}

		synctest.Wait()
		first := len(entered)
		p.leave(<-entered)
		synctest.Wait()
		second := len(entered)
		p.beat()
		synctest.Wait()

		if first != 1 || second != 1 || len(entered) != 9 {
			t.Errorf("got %d tried at once, then %d, and %d after a reply; want 1, 1 and all 9", first, second, len(entered))
		}
		if !<-entered || <-entered {
			t.Error("want the second to be a probe and the others none")
		}
	})
}

func TestPulse_letsAWaiterGoWhenItsTimeIsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pulse{patience: time.Hour}
		p.missing(p.beats(), silence(), false)
		if probe, _ := p.enter(t.Context()); !probe {
			t.Fatal("the first one in doubt is no probe")
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()

		probe, fault := p.enter(ctx)

		if probe || fault == nil || fault.Code != apisecret.DeadlineExceeded {
			t.Errorf("got a probe: %t, %v; want deadline_exceeded", probe, fault)
		}
	})
}

func TestPulse_tellsWaitersThatItIsDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pulse{}
		fault := silence()
		for range enough - 1 {
			p.missing(p.beats(), fault, false)
		}
		probe, _ := p.enter(t.Context())
		found := make(chan *segura.Fault, 5)
		for range cap(found) {
			go func() {
				_, dead := p.enter(t.Context())
				found <- dead
			}()
		}
		synctest.Wait()

		p.missing(p.beats(), fault, false)
		p.leave(probe)

		for range cap(found) {
			if got := <-found; got != fault {
				t.Errorf("got %v, want %v", got, fault)
			}
		}
	})
}

func TestPace_holdsAllBackForAsLongAsAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p pace
		began := time.Now()
		p.slow(t.Context(), time.Minute)
		p.slow(t.Context(), time.Second) // asks for less
		waited := make(chan time.Duration, 20)

		for range cap(waited) {
			go func() {
				if !p.wait(t.Context()) {
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
		if again := time.Now(); !p.wait(t.Context()) || time.Since(again) != 0 {
			t.Error("got another wait afterwards")
		}
	})
}

func TestPace_holdsNobodyBackPastADeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		began := time.Now()
		var p pace

		p.slow(ctx, 10*time.Second)
		p.slow(ctx, 0)
		p.slow(ctx, -time.Second)

		if !p.wait(ctx) || time.Since(began) != 0 {
			t.Errorf("got a wait of %s", time.Since(began))
		}
	})
}

func TestPace_waitsAgainIfItIsAskedToMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p pace
		began := time.Now()
		p.slow(t.Context(), time.Second)
		time.AfterFunc(900*time.Millisecond, func() { p.slow(t.Context(), 10*time.Second) })

		p.wait(t.Context())

		if took := time.Since(began); took < 10900*time.Millisecond {
			t.Errorf("got a wait of %s, want 10.9 s", took)
		}
	})
}

func TestPace_endsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p pace
		began := time.Now()
		p.slow(t.Context(), time.Minute)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)

		if p.wait(ctx) || time.Since(began) != time.Second {
			t.Errorf("got time left after %s, want none after a second", time.Since(began))
		}
		if p.wait(ctx) {
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

			work, stop := reserve(ctx, row.items)
			defer stop()

			deadline, ok := work.Deadline()
			if got := time.Until(deadline); !ok || got != row.want {
				t.Errorf("%s for %d items: got %s to work in, want %s", row.left, row.items, got, row.want)
			}
		})
	}
	unlimited, stop := reserve(t.Context(), 1)
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

		work, stop := reserve(ctx, 1)
		defer stop()

		if work.Err() == nil {
			t.Error("got a context to work in")
		}
	})
}
