package window

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"segura-enable/internal/activation"
	"segura-enable/internal/apisecret"
)

// bench is a table and a Segura in memory, on a clock of their own. Each request takes
// a while, before and after it has its effect; a caller that is stopped meanwhile does
// not hear of it.
type bench struct {
	t      *testing.T
	mu     sync.Mutex
	random *rand.Rand
	live   map[string]Window
	closed map[string]Window
	holder string
	locked Instant
	last   Summary
	on     map[apisecret.Identifier]bool
	calls  int
	events []string
}

// newBench returns a bench, and a keeper at it.
func newBench(t *testing.T, seed uint64) (*bench, *Keeper) {
	b := &bench{t: t, random: rand.New(rand.NewPCG(seed, 3)), live: map[string]Window{}, closed: map[string]Window{}, on: map[apisecret.Identifier]bool{}}
	return b, &Keeper{Table: b, Caller: b, Longest: time.Hour, AttemptTimeout: time.Second, FirstCalls: 2, Log: slog.New(slog.DiscardHandler)}
}

// pause waits for up to d, and returns what has stopped the caller.
func (b *bench) pause(ctx context.Context, d time.Duration) error {
	b.mu.Lock()
	n := time.Duration(b.random.Int64N(int64(d)))
	b.mu.Unlock()
	pause(ctx, n)
	return ctx.Err()
}

// do has an effect in the midst of two pauses.
func (b *bench) do(ctx context.Context, effect func() error) error {
	const longest = 40 * time.Millisecond
	if err := b.pause(ctx, longest); err != nil {
		return err
	}
	b.mu.Lock()
	err := effect()
	b.check()
	b.mu.Unlock()
	if fault := b.pause(ctx, longest); fault != nil {
		return fault
	}
	return err
}

// check is called with the lock held.
func (b *bench) check() {
	for id, w := range b.live {
		for _, l := range w.Leases {
			if !w.Over && l.State == Enabled && !b.on[l.Identifier] {
				b.t.Errorf("%s: %s takes %d for enabled, but it is not\n%s", time.Now().Format(time.TimeOnly), id, l.Identifier, strings.Join(b.events, "\n"))
				b.on[l.Identifier] = true
			}
		}
	}
}

func (b *bench) note(format string, args ...any) {
	b.events = append(b.events, time.Now().Format("15:04:05.000 ")+fmt.Sprintf(format, args...))
}

func (b *bench) Due(ctx context.Context, now Instant) (due bool, last Summary, _ error) {
	err := b.do(ctx, func() error {
		for _, w := range b.live {
			due = due || w.DueAt() <= now && w.ID != GuardID
		}
		last = b.last
		return nil
	})
	return due, last, err
}

// Live reads window by window, as pages do.
func (b *bench) Live(ctx context.Context) (list []Window, _ error) {
	var ids []string
	err := b.do(ctx, func() error {
		ids = slices.Collect(maps.Keys(b.live))
		return nil
	})
	for _, id := range ids {
		if err == nil {
			err = b.do(ctx, func() error {
				if w, ok := b.live[id]; ok {
					list = append(list, w)
				}
				return nil
			})
		}
	}
	return list, err
}

func (b *bench) Find(ctx context.Context, id string) (w Window, _ error) {
	err := b.do(ctx, func() error {
		var ok bool
		if w, ok = b.live[id]; ok {
			return nil
		}
		if w, ok = b.closed[id]; !ok {
			return ErrNotFound
		}
		return nil
	})
	return w, err
}

func (b *bench) ListClosed(context.Context, string, int) ([]Window, string, error) {
	return nil, "", nil
}

func (b *bench) Write(ctx context.Context, w Window, _ *Change, _ *Key) error {
	return b.do(ctx, func() error {
		if before := b.live[w.ID]; before.Version != w.Version {
			return ErrChanged
		}
		w.Version++
		delete(b.live, w.ID)
		if w.Closed = w.Finished(); w.Closed {
			b.closed[w.ID] = w
		} else {
			b.live[w.ID] = w
		}
		b.note("%s: over %t, turn %d, %+v, marks %+v", w.ID, w.Over, w.Turn, w.Leases, w.Marks)
		return nil
	})
}

func (b *bench) Key(context.Context, string) (*Key, error) { return nil, nil } //nolint:nilnil // no key is used here

func (b *bench) Lock(ctx context.Context, actor string, now, until Instant) (free bool, _ error) {
	err := b.do(ctx, func() error {
		if free = b.holder == actor || b.locked < now; free {
			b.holder, b.locked = actor, until
		}
		return nil
	})
	return free, err
}

func (b *bench) NoteOpen(context.Context, int) error { return nil }

func (b *bench) NoteGuarded(ctx context.Context, until Instant) error {
	return b.do(ctx, func() error {
		b.last.Guarded = until
		return nil
	})
}

// Call implements Caller. A call may land long after nobody waits for it any more.
func (b *bench) Call(ctx context.Context, orders []activation.Call) []activation.Done {
	all := make([]activation.Done, len(orders))
	for at, o := range orders {
		_ = b.pause(ctx, 200*time.Millisecond)
		all[at].Item = failed(apisecret.DeadlineExceeded, 0)
		if ctx.Err() != nil || !time.Now().Before(o.Before) {
			continue
		}
		b.mu.Lock()
		lands := time.Duration(b.random.Int64N(int64(time.Second)))
		late := b.random.IntN(4) == 0
		if late {
			lands = time.Duration(b.random.Int64N(int64(59 * time.Second)))
		}
		b.calls++
		if w, ok := b.live[o.Origin.Window]; ok && o.Action == apisecret.Enable && Now() >= w.Until {
			b.t.Errorf("enabling %d for %s is begun after its end", o.Identifier, w.ID)
		}
		b.note("%s %d is begun, and lands in %s", o.Action, o.Identifier, lands)
		b.mu.Unlock()
		time.AfterFunc(lands, func() {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.on[o.Identifier] = o.Action == apisecret.Enable
			b.note("%s %d lands", o.Action, o.Identifier)
			b.check()
		})
		if late {
			pause(ctx, min(lands, time.Second))
			all[at] = activation.Done{Item: failed(apisecret.UpstreamTimeout, 1), Open: true}
			continue
		}
		if !pause(ctx, lands+time.Millisecond) {
			all[at] = activation.Done{Item: failed(apisecret.DeadlineExceeded, 1), Open: true}
			continue
		}
		o.Audited(apisecret.Item{})
		all[at].Item = apisecret.Item{Outcome: o.Action.Changed(), Attempts: 1}
	}
	return all
}

// act does something at random, and is stopped at random.
func (b *bench) act(k *Keeper, random *rand.Rand, ids []string) string {
	ctx, cancel := context.WithTimeout(b.t.Context(), 25*time.Second)
	defer cancel()
	if random.IntN(5) == 0 {
		time.AfterFunc(time.Duration(random.Int64N(int64(3*time.Second))), cancel)
	}
	pick := func() string { return ids[random.IntN(len(ids))] }
	switch n := random.IntN(10); {
	case n < 4 || len(ids) == 0:
		r := Request{Kind: ToOpen, Identifiers: []apisecret.Identifier{1 + apisecret.Identifier(random.IntN(3))}, Length: 30 + Instant(random.IntN(200))}
		if other := 1 + apisecret.Identifier(random.IntN(3)); other != r.Identifiers[0] {
			r.Identifiers = append(r.Identifiers, other)
		}
		w, _, _ := k.Do(ctx, r)
		return w.ID
	case n < 6:
		_, _, _ = k.Do(ctx, Request{Kind: ToExtend, ID: pick(), Length: 30 + Instant(random.IntN(60))})
	case n < 8:
		_, _, _ = k.Do(ctx, Request{Kind: ToClose, ID: pick()})
	default:
		_, _ = k.Reconcile(ctx)
	}
	return ""
}

func (b *bench) run(k *Keeper, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 1))
	k.Guarded = []apisecret.Identifier{3}
	var group sync.WaitGroup
	var mu sync.Mutex
	var ids []string
	for range 60 {
		mu.Lock()
		known := slices.Clone(ids)
		mu.Unlock()
		own := rand.New(rand.NewPCG(random.Uint64(), 2))
		group.Go(func() {
			if id := b.act(k, own, known); id != "" {
				mu.Lock()
				ids = append(ids, id)
				mu.Unlock()
			}
		})
		time.Sleep(time.Duration(random.Int64N(int64(10 * time.Second))))
	}
	group.Wait()
	for range 15 {
		time.Sleep(time.Minute)
		if _, err := k.Reconcile(b.t.Context()); err != nil {
			b.t.Error(err)
		}
	}
	delete(b.live, GuardID)
	if len(b.live) > 0 || b.on[1] || b.on[2] || b.on[3] {
		b.t.Errorf("seed %d: it never came right: %+v, enabled %v\n%s", seed, b.live, b.on, strings.Join(b.events, "\n"))
	}
}

func TestKeeper_comesRightWhateverHappensAtTheSameTime(t *testing.T) {
	calls := 0
	for seed := range uint64(200) {
		synctest.Test(t, func(t *testing.T) {
			b, k := newBench(t, seed)
			b.run(k, seed)
			calls += b.calls
		})
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	if calls < 2000 {
		t.Errorf("got %d calls in 200 worlds, want thousands", calls)
	}
}

func TestChange_leavesAWindowThatIsClosedMeanwhileAsItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, k := newBench(t, 1)
		b.closed["w"] = Window{ID: "w", Version: 3, Closed: true}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()

		if err := k.change(ctx, Window{ID: "w", Version: 1}, func(w *Window) *Window { return w }); err != nil {
			t.Errorf("got %v", err)
		}
	})
}

func TestChange_isMadeToTheWindowAsItIsBehindAnothersChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, k := newBench(t, 1)
		now := *held("w", 0, Now()+60)
		now.Version, now.Until = 2, now.Until+60
		b.live["w"], b.on[secret] = now, true
		read := now
		read.Version, read.Until = 1, now.Until-60

		if err := k.change(t.Context(), read, Request{Caller: "me"}.end); err != nil {
			t.Fatal(err)
		}

		if got := b.live["w"]; !got.Over || got.ClosedBy(Now()) != "me" || got.Until != now.Until {
			t.Errorf("got %+v, want it closed, with its later end", got)
		}
	})
}

// looks counts the reads that come before the first write.
type looks struct {
	*bench
	read, before int
}

func (l *looks) Live(ctx context.Context) ([]Window, error) {
	l.read++
	return l.bench.Live(ctx)
}

func (l *looks) Write(ctx context.Context, w Window, e *Change, key *Key) error {
	l.before = cmp.Or(l.before, l.read)
	return l.bench.Write(ctx, w, e, key)
}

// Two windows that are closed at once may each be kept for the other's sake, where a read
// that found the one over has the other as it was before.
func TestSettle_keepsNothingByTheReadThatFirstFindsTheWindowOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, k := newBench(t, 1)
		over, open := held("A", 0, Now()), held("B", 0, Now()+60)
		over.setOver(true)
		over.Version, open.Version = 1, 1
		b.live["A"], b.live["B"], b.on[secret] = *over, *open, true
		table := &looks{bench: b}
		k.Table = table
		if err := k.newRun("").settle(t.Context()); err != nil {
			t.Fatal(err)
		}

		if got := b.closed["A"].Leases; len(got) != 1 || got[0].State != Kept || table.before != 2 {
			t.Errorf("after %d reads: got %+v, want it kept after 2", table.before, got)
		}
	})
}
