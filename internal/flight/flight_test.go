package flight_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"segura-enable/internal/flight"
)

// answer is what one call of Do returned, and when.
type answer struct {
	value int
	err   error
	after time.Duration
}

// ask calls Do in a goroutine and returns where its answer goes.
func ask(ctx context.Context, g *flight.Group[int], work func(context.Context) (int, error)) <-chan answer {
	began := time.Now()
	answered := make(chan answer, 1)
	go func() {
		value, err := g.Do(ctx, work)
		answered <- answer{value, err, time.Since(began)}
	}()
	return answered
}

// slow is work that takes so long, and returns the number of its turn unless its
// context ends before.
func slow(turns *atomic.Int32, d time.Duration) func(context.Context) (int, error) {
	return func(ctx context.Context) (int, error) {
		turn := turns.Add(1)
		select {
		case <-time.After(d):
			return int(turn), nil
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

func TestDo_runsOnceForAllWhoAskMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var group flight.Group[int]
		var turns atomic.Int32
		var asked []<-chan answer

		for range 5 {
			asked = append(asked, ask(t.Context(), &group, slow(&turns, time.Second)))
		}

		for _, one := range asked {
			if got, want := <-one, (answer{1, nil, time.Second}); got != want {
				t.Errorf("got %v, want %v", got, want)
			}
		}
		if got := turns.Load(); got != 1 {
			t.Errorf("got %d turns, want 1", got)
		}
	})
}

func TestDo_runsAgainForWhoAsksLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var group flight.Group[int]
		var turns atomic.Int32

		first, second := <-ask(t.Context(), &group, slow(&turns, time.Second)), <-ask(t.Context(), &group, slow(&turns, time.Second))

		if first.value != 1 || second.value != 2 {
			t.Errorf("got the results of turns %d and %d, want 1 and 2", first.value, second.value)
		}
	})
}

func TestDo_handsAFaultToAllWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var group flight.Group[int]
		var turns atomic.Int32
		fault := errors.New("fault")
		work := func(context.Context) (int, error) {
			turns.Add(1)
			time.Sleep(time.Second)
			return 0, fault
		}

		first, second := ask(t.Context(), &group, work), ask(t.Context(), &group, work)

		if a, b := <-first, <-second; !errors.Is(a.err, fault) || !errors.Is(b.err, fault) || turns.Load() != 1 {
			t.Errorf("got %v, %v after %d turns, want the same fault after one", a.err, b.err, turns.Load())
		}
	})
}

func TestDo_letsAWaiterGoWhenItsOwnContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var group flight.Group[int]
		var turns atomic.Int32
		impatient, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		leader := ask(t.Context(), &group, slow(&turns, time.Minute))
		synctest.Wait()

		got := <-ask(impatient, &group, slow(&turns, time.Minute))

		if !errors.Is(got.err, context.DeadlineExceeded) || got.after != time.Second {
			t.Errorf("the waiter: got %v, want its deadline after a second", got)
		}
		if got := <-leader; got.err != nil || got.after != time.Minute {
			t.Errorf("the leader: got %v, want success after a minute", got)
		}
		if got := turns.Load(); got != 1 {
			t.Errorf("got %d turns, want 1", got)
		}
	})
}

func TestDo_tellsAWaiterTheCauseOfItsContextsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var group flight.Group[int]
		var turns atomic.Int32
		cause := errors.New("cause")
		waiting, cancel := context.WithCancelCause(t.Context())
		leader := ask(t.Context(), &group, slow(&turns, time.Minute))
		synctest.Wait()
		waiter := ask(waiting, &group, slow(&turns, time.Minute))
		synctest.Wait()

		cancel(cause)

		if got := <-waiter; !errors.Is(got.err, cause) {
			t.Errorf("got %v, want %v", got.err, cause)
		}
		<-leader
	})
}

func TestDo_beginsAgainWhenTheLeadersContextEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var group flight.Group[int]
		var turns atomic.Int32
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		leader := ask(short, &group, slow(&turns, time.Minute))
		synctest.Wait()

		waiters := []<-chan answer{
			ask(t.Context(), &group, slow(&turns, time.Minute)),
			ask(t.Context(), &group, slow(&turns, time.Minute)),
		}

		if got := <-leader; !errors.Is(got.err, context.DeadlineExceeded) {
			t.Errorf("the leader: got %v, want its deadline", got)
		}
		for _, waiter := range waiters {
			if got, want := <-waiter, (answer{2, nil, time.Minute + time.Second}); got != want {
				t.Errorf("a waiter: got %v, want %v of the second turn", got, want)
			}
		}
		if got := turns.Load(); got != 2 {
			t.Errorf("got %d turns, want 2", got)
		}
	})
}

func TestDo_keepsAResultThatCameInSpiteOfAnEndedContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var group flight.Group[int]
		var turns atomic.Int32
		ended, cancel := context.WithCancel(t.Context())
		stubborn := func(context.Context) (int, error) {
			turns.Add(1)
			time.Sleep(time.Second)
			return 7, nil
		}
		leader := ask(ended, &group, stubborn)
		synctest.Wait()
		waiter := ask(t.Context(), &group, stubborn)
		synctest.Wait()

		cancel()

		if a, b := <-leader, <-waiter; a.value != 7 || b.value != 7 || turns.Load() != 1 {
			t.Errorf("got %v and %v after %d turns, want 7 twice after one", a, b, turns.Load())
		}
	})
}

func TestDo_beginsAgainForWaitersWhenTheWorkPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var group flight.Group[int]
		var turns atomic.Int32
		panicked := make(chan any, 1)
		go func() {
			defer func() { panicked <- recover() }()
			_, _ = group.Do(t.Context(), func(context.Context) (int, error) {
				time.Sleep(time.Second)
				panic("in the work")
			})
		}()
		synctest.Wait()
		waiter := ask(t.Context(), &group, slow(&turns, time.Second))

		got := <-waiter

		if got.err != nil || got.value != 1 {
			t.Errorf("the waiter: got %v, want the result of its own turn", got)
		}
		if got := <-panicked; got != "in the work" {
			t.Errorf("the leader: got the panic %v, want its own", got)
		}
	})
}
