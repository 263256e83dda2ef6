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
	mu          sync.Mutex
	worlds      uint64 // begun; of which the seeds follow one another
	invocations int
	excused     []string
	codes       map[string]int // failures by code
}

// begin returns the seed of the next world, or false where there is none.
func (s *totals) begin(since time.Time) (seed uint64, more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch *invocations {
	case 0:
		more = s.worlds < fixedWorlds && time.Since(since) < fixedTime
	case 1:
		more = s.worlds == 0
	default:
		more = s.invocations < *invocations
	}
	s.worlds++
	return *firstSeed + s.worlds - 1, more
}

func (s *totals) add(w *world) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.invocations += w.invocations
	s.excused = append(s.excused, w.excused...)
	for code, n := range w.codes {
		s.codes[code] += n
	}
}

// TestChaos runs world after world. Whatever the weather, the invariants hold.
func TestChaos(t *testing.T) {
	t.Parallel()
	began := time.Now()
	sum := &totals{codes: map[string]int{}}
	var group sync.WaitGroup
	for range worldsAtOnce {
		group.Go(func() {
			for seed, more := sum.begin(began); more; seed, more = sum.begin(began) {
				runWorld(t, seed, sum)
			}
		})
	}
	group.Wait()
	t.Logf("%d worlds in %v: %d invocations; outcomes %v; %d excused for a busy machine: %.300v",
		sum.worlds-worldsAtOnce, time.Since(began).Round(100*time.Millisecond), sum.invocations, sum.codes, len(sum.excused), sum.excused)
}

func runWorld(t *testing.T, seed uint64, sum *totals) {
	r := newRandom(seed)
	w, err := newWorld(seed, r, newConfig(r, seed))
	if err != nil {
		t.Errorf("world %d: %v", seed, err)
		return
	}
	defer w.close()
	w.live()
	sum.add(w)
	if len(w.violations) > 0 {
		t.Errorf("world %d; again with: make chaos SEED=%d INVOCATIONS=1\n%s", seed, seed, strings.Join(w.violations, "\n"))
	}
}
