package chaos

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// fixedSeeds are the worlds of go test, and fixedTime is after how long no more of
// them begin, on a machine that is too slow for all.
const (
	fixedSeeds = 16
	fixedTime  = 9 * time.Second
)

// totals are what all worlds came to.
type totals struct {
	mu          sync.Mutex
	worlds      int
	invocations int
	requests    int
	harmed      int
	excused     []string
	stale       int
	lonely      int
	told        time.Time
	codes       map[string]int
	mishaps     map[string]int
}

func (s *totals) add(w *world) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.worlds++
	s.invocations += w.invocations
	s.requests += w.ledger.size()
	_, harmed := w.wires.counts()
	s.harmed += harmed
	s.excused = append(s.excused, w.excused...)
	s.stale += w.stale
	s.lonely += w.lonely
	for code, n := range w.codes {
		s.codes[code] += n
	}
	w.fate.mu.Lock()
	defer w.fate.mu.Unlock()
	for at, n := range w.fate.played {
		s.mishaps[w.catalogue[at].name] += n
	}
}

// tell says now and then how far a long run is.
func (s *totals) tell(t *testing.T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if full() && time.Since(s.told) > 20*time.Second {
		s.told = time.Now()
		t.Logf("so far: %d worlds, %d invocations, %d requests to Segura", s.worlds, s.invocations, s.requests)
	}
}

func (s *totals) String() string {
	played := 0
	for _, n := range s.mishaps {
		played += n
	}
	return fmt.Sprintf("%d worlds, %d invocations, %d requests to Segura, %d mishaps of %d kinds, %d connections harmed, %d excused for a busy machine, %d stale calls, %d recoveries with a single attempt took one more; outcomes %v",
		s.worlds, s.invocations, s.requests, played, len(s.mishaps), s.harmed, len(s.excused), s.stale, s.lonely, s.codes)
}

// TestChaos runs world after world. Whatever the weather, the invariants hold.
func TestChaos(t *testing.T) {
	t.Parallel()
	began := time.Now()
	seed := *firstSeed
	if seed == 0 {
		seed = 1
	}
	sum := &totals{codes: map[string]int{}, mishaps: map[string]int{}}
	var group sync.WaitGroup
	var mu sync.Mutex
	begun, skipped := 0, uint64(0) // worlds
	next := func() (uint64, bool) {
		mu.Lock()
		defer mu.Unlock()
		sum.mu.Lock()
		done := sum.invocations
		sum.mu.Unlock()
		switch {
		case *invocations == 0:
			if begun == fixedSeeds || time.Since(began) > fixedTime {
				return 0, false
			}
		case *invocations == 1 && begun == 1, done >= *invocations:
			return 0, false
		}
		for !full() && hasClock(seed+uint64(begun)+skipped) {
			skipped++
		}
		begun++
		return seed + uint64(begun) - 1 + skipped, true
	}
	for range *atOnce {
		group.Go(func() {
			for {
				seed, more := next()
				if !more {
					return
				}
				runWorld(t, seed, sum)
			}
		})
	}
	group.Wait()
	t.Logf("seeds %d to %d in %v: %v", seed, seed+uint64(begun)-1+skipped, time.Since(began).Round(100*time.Millisecond), sum)
	if *talkative {
		for _, excuse := range sum.excused {
			t.Logf("excused: %s", excuse)
		}
		for _, name := range slices.Sorted(maps.Keys(sum.mishaps)) {
			t.Logf("%6d × %s", sum.mishaps[name], name)
		}
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
	sum.tell(t)
	if len(w.violations) > 0 {
		t.Errorf("world %d; again with: make chaos SEED=%d INVOCATIONS=1\n%s", seed, seed, strings.Join(w.violations[:min(len(w.violations), 2)], "\n"))
	}
	if *talkative {
		t.Logf("world %d: %d invocations, %d violations, %d excused: %v", seed, w.invocations, len(w.violations), len(w.excused), w.config)
	}
}
