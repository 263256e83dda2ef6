package window

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"segura-enable/internal/activation"
	"segura-enable/internal/apisecret"
)

func TestGuardDue_spreadsEverythingOverAnHour(t *testing.T) {
	k := &Keeper{Guarded: make([]apisecret.Identifier, 150)}
	for at := range k.Guarded {
		k.Guarded[at] = apisecret.Identifier(at + 1)
	}
	start := Instant(1_790_000_017)
	seen := map[apisecret.Identifier]int{}
	last, most := start, 0
	for now := start + 60; now <= start+2*hour; now += 60 {
		due := k.guardDue(last, now)
		most = max(most, len(due))
		for _, one := range due {
			seen[one.identifier]++
		}
		last = now
	}
	for _, i := range k.Guarded {
		if seen[i] != 2 {
			t.Errorf("%d: looked at %d times in two hours", i, seen[i])
		}
	}
	if most > 3 {
		t.Errorf("got %d at once", most)
	}
	if got := k.guardDue(start, start+10*hour); len(got) != len(k.Guarded) {
		t.Errorf("after ten hours: got %d of %d", len(got), len(k.Guarded))
	}
}

func TestGuardable_leavesAloneWhatAWindowHoldsOrHasToLetGo(t *testing.T) {
	now := Instant(100)
	holding := Opened("A", 0, 200, []apisecret.Identifier{1})
	ending := Opened("B", 0, 50, []apisecret.Identifier{2})
	ending.Leases[0].State = Enabled
	coming := Opened("C", 150, 200, []apisecret.Identifier{3})
	failed := Opened("D", 0, 200, []apisecret.Identifier{4})
	failed.Leases[0].State = Failed

	v := NewView([]Window{holding, ending, coming, failed})
	var got []apisecret.Identifier
	for i := range apisecret.Identifier(5) {
		if v.guardable(i+1, now) {
			got = append(got, i+1)
		}
	}

	if want := []apisecret.Identifier{3, 4, 5}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestReconcile_leavesWhatTheGuardHasNoTimeForToTheNextRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := Now()
		b, k := newBench(t, 1)
		b.last.Guarded, k.FirstCalls = start-hour, 100
		for i := range apisecret.Identifier(120) {
			k.Guarded = append(k.Guarded, i+1)
			b.on[i+1] = true
		}

		runs := 0
		for ; b.last.Guarded < start; runs++ {
			began := time.Now()
			if _, err := k.Reconcile(t.Context()); err != nil || runs > 20 {
				t.Fatalf("run %d: %v", runs, err)
			}
			if took := time.Since(began); took > 45*time.Second {
				t.Errorf("run %d kept the next one waiting: it took %s", runs, took)
			}
			time.Sleep(time.Minute - time.Since(began))
		}
		time.Sleep(time.Minute) // until the last call has landed
		b.mu.Lock()
		defer b.mu.Unlock()

		if runs < 2 {
			t.Errorf("got %d run, want more: there was not time for all", runs)
		}
		for i, on := range b.on {
			if on {
				t.Errorf("%d is still enabled", i)
			}
		}
	})
}

// still is a Segura whose pace lets nothing begin.
type still struct{ rounds int }

func (s *still) Call(_ context.Context, calls []activation.Call) []activation.Done {
	s.rounds++
	all := make([]activation.Done, len(calls))
	for at := range all {
		all[at].Item = failed(apisecret.DeadlineExceeded, 0)
	}
	return all
}

func TestReconcile_waitsWhereThePaceLetsNothingBegin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, k := newBench(t, 1)
		s := &still{}
		b.live["w"], k.Caller = Opened("w", Now(), Now()+3600, []apisecret.Identifier{1}), s
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()

		if _, _ = k.Reconcile(ctx); s.rounds < 2 || s.rounds > 12 {
			t.Errorf("got %d rounds in a minute, want one in ten seconds, and some more at the end", s.rounds)
		}
	})
}
