package flight_test

import (
	"context"
	"errors"
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

var (
	errWork  = errors.New("fault of the work")
	errCause = errors.New("cause of a context's end")
)

// world is a group and the work that it is asked for.
type world struct {
	group flight.Group[int]
	began time.Time
	turns int // work begun
	fault error
	deaf  bool // whether the work goes on after its context ended
}

// inBubble runs a test in which time passes by itself.
func inBubble(t *testing.T, test func(*testing.T, *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, &world{began: time.Now()}) })
}

// ask calls Do, for work that takes a minute and returns the number of its turn, and
// returns where the answer goes. The call has begun to wait by then.
func (w *world) ask(ctx context.Context) <-chan answer {
	answered := make(chan answer, 1)
	go func() {
		value, err := w.group.Do(ctx, w.work)
		answered <- answer{value, err, time.Since(w.began)}
	}()
	synctest.Wait()
	return answered
}

func (w *world) work(ctx context.Context) (int, error) {
	w.turns++
	turn, ended := w.turns, ctx.Done()
	if w.deaf {
		ended = nil
	}
	select {
	case <-time.After(time.Minute):
		return turn, w.fault
	case <-ended:
		return 0, ctx.Err()
	}
}

func require(t *testing.T, who string, got <-chan answer, want answer) {
	t.Helper()
	if got := <-got; got != want {
		t.Errorf("%s: got %v, want %v", who, got, want)
	}
}

func TestDo_runsOnceForAllWhoAskMeanwhile(t *testing.T) {
	for _, fault := range []error{nil, errWork} {
		inBubble(t, func(t *testing.T, w *world) {
			w.fault = fault

			first, second, third := w.ask(t.Context()), w.ask(t.Context()), w.ask(t.Context())

			want := answer{1, fault, time.Minute}
			require(t, "the first", first, want)
			require(t, "the second", second, want)
			require(t, "the third", third, want)
			require(t, "one who asks later", w.ask(t.Context()), answer{2, fault, 2 * time.Minute})
		})
	}
}

func TestDo_letsAWaiterGoWhenItsOwnContextEnds(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		impatient, cancel := context.WithTimeoutCause(t.Context(), time.Second, errCause)
		defer cancel()

		leader, waiter := w.ask(t.Context()), w.ask(impatient)

		require(t, "the waiter", waiter, answer{0, errCause, time.Second})
		require(t, "the leader", leader, answer{1, nil, time.Minute})
	})
}

func TestDo_beginsAgainWhenTheLeadersContextEnded(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()

		leader, second, third := w.ask(short), w.ask(t.Context()), w.ask(t.Context())

		require(t, "the leader", leader, answer{0, context.DeadlineExceeded, time.Second})
		require(t, "the second", second, answer{2, nil, time.Minute + time.Second})
		require(t, "the third", third, answer{2, nil, time.Minute + time.Second})
	})
}

func TestDo_keepsAResultThatCameInSpiteOfAnEndedContext(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.deaf = true
		ended, cancel := context.WithCancel(t.Context())
		leader, waiter := w.ask(ended), w.ask(t.Context())

		cancel()

		require(t, "the leader", leader, answer{1, nil, time.Minute})
		require(t, "the waiter", waiter, answer{1, nil, time.Minute})
	})
}

func TestDo_beginsAgainForWaitersWhenTheWorkPanics(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		panicked := make(chan any, 1)
		go func() {
			defer func() { panicked <- recover() }()
			_, _ = w.group.Do(t.Context(), func(context.Context) (int, error) {
				time.Sleep(time.Second)
				panic("in the work")
			})
		}()
		synctest.Wait()

		require(t, "the waiter", w.ask(t.Context()), answer{1, nil, time.Minute + time.Second})
		if got := <-panicked; got != "in the work" {
			t.Errorf("the leader: got the panic %v, want its own", got)
		}
	})
}
