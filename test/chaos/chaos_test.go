package chaos

import (
	"strings"
	"sync"
	"testing"
	"time"
)

// Of worlds, so many run at once. Those of go test are fixed: so many, of which none
// begins after fixedTime, on a machine that is too slow for all.
const (
	worldsAtOnce = 8
	fixedWorlds  = 16
	fixedTime    = 9 * time.Second
)

// totals are what all worlds came to.
type totals struct {
	mu                                   sync.Mutex
	next                                 uint64 // seed
	begun                                int    // worlds
	invocations, requests, lonely, stale int
	excused                              []string
	codes, mishaps                       map[string]int
}

// begin returns the seed of the next world, or false where there is none.
func (s *totals) begin(since time.Time) (uint64, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !full() && (s.begun == fixedWorlds || time.Since(since) > fixedTime),
		*invocations == 1 && s.begun == 1, full() && s.invocations >= *invocations:
		return 0, false
	}
	for !full() && hasClock(s.next) {
		s.next++
	}
	s.begun++
	s.next++
	return s.next - 1, true
}

func (s *totals) add(w *world) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.invocations += w.invocations
	s.requests += w.segura.Count("")
	s.lonely += w.lonely
	s.stale += w.stale
	s.excused = append(s.excused, w.excused...)
	for code, n := range w.codes {
		s.codes[code] += n
	}
	w.fate.mu.Lock()
	defer w.fate.mu.Unlock()
	for name, n := range w.fate.played {
		s.mishaps[name] += n
	}
}

// TestChaos runs world after world. Whatever the weather, the invariants hold.
func TestChaos(t *testing.T) {
	t.Parallel()
	began := time.Now()
	sum := &totals{next: *firstSeed, codes: map[string]int{}, mishaps: map[string]int{}}
	var group sync.WaitGroup
	for range worldsAtOnce {
		group.Go(func() {
			for seed, more := sum.begin(began); more; seed, more = sum.begin(began) {
				runWorld(t, seed, sum)
			}
		})
	}
	group.Wait()
	t.Logf("%d worlds to seed %d in %v: %d invocations, %d requests to Segura, %d kinds of mishaps, %d stale calls, %d recoveries with a single attempt took one more; outcomes %v",
		sum.begun, sum.next-1, time.Since(began).Round(100*time.Millisecond), sum.invocations, sum.requests, len(sum.mishaps), sum.stale, sum.lonely, sum.codes)
	if len(sum.excused) > 0 {
		t.Logf("%d excused for a busy machine, such as: %s", len(sum.excused), sum.excused[0])
	}
}

// hasClock reports whether the world of the seed moves the function's clock, which
// takes another build of it.
func hasClock(seed uint64) bool { return newConfig(newRandom(seed), seed).clock }

func runWorld(t *testing.T, seed uint64, sum *totals) {
	w, err := newWorld(seed)
	if err != nil {
		t.Errorf("world %d: %v", seed, err)
		return
	}
	defer w.close()
	if err := w.live(); err != nil {
		t.Errorf("world %d: %v", seed, err)
	}
	sum.add(w)
	if len(w.violations) > 0 {
		t.Errorf("world %d; again with: make chaos SEED=%d INVOCATIONS=1\n%s", seed, seed, strings.Join(w.violations, "\n"))
	}
}
