package chaos

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"strings"
	"sync"

	"segura-enable/simulated/seguratest"
)

// storm says which requests meet a mishap, and what. The zero value is calm.
type storm struct {
	chance  float64
	palette []*mishap
}

func (s storm) String() string {
	var names []string
	for _, m := range s.palette {
		names = append(names, m.name)
	}
	return fmt.Sprintf("%v of %s", s.chance, strings.Join(names, ", "))
}

// fate decides what happens to each request to Segura: by the seed, the round,
// the identifier and how often it was called, and not by the order of arrival.
type fate struct {
	seed uint64

	mu     sync.Mutex
	round  int
	calls  storm
	tokens storm
	seen   map[call]int
	chosen map[int]*mishap // by the number of the request; nil is nothing
	played map[string]int  // how often each mishap was played
}

// call is what is asked of Segura.
type call struct {
	kind       seguratest.Kind
	identifier int64
}

func newFate(seed uint64) *fate {
	return &fate{seed: seed, seen: map[call]int{}, chosen: map[int]*mishap{}, played: map[string]int{}}
}

// become begins a round.
func (f *fate) become(calls, tokens storm) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.round++
	f.calls, f.tokens, f.seen = calls, tokens, map[call]int{}
}

func (f *fate) decide(r seguratest.Request) *mishap {
	f.mu.Lock()
	defer f.mu.Unlock()
	if m, decided := f.chosen[r.Number]; decided {
		return m
	}
	var s storm
	switch r.Kind {
	case seguratest.KindToken:
		s = f.tokens
	case seguratest.KindEnable, seguratest.KindDisable:
		s = f.calls
	}
	key := call{r.Kind, r.Identifier}
	f.seen[key]++
	var m *mishap
	if len(s.palette) > 0 {
		h := fnv.New64a()
		_, _ = fmt.Fprintf(h, "%d %d %s %d %d", f.seed, f.round, r.Kind, r.Identifier, f.seen[key])
		dice := rand.New(rand.NewPCG(h.Sum64(), f.seed))
		if dice.Float64() < s.chance {
			m = choose(dice, s.palette...)
			f.played[m.name]++
		}
	}
	f.chosen[r.Number] = m
	return m
}

// mishapOf is what was decided for a request; nil is nothing.
func (f *fate) mishapOf(e seguratest.Request) *mishap {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.chosen[e.Number]
}

// install makes the fate of every request the script of the server.
func (f *fate) install(server *seguratest.Server, catalogue [][]mishap) {
	for _, kind := range catalogue {
		for i := range kind {
			server.Fail(seguratest.Match{When: func(r seguratest.Request) bool { return f.decide(r) == &kind[i] }}, kind[i].fault, -1)
		}
	}
}
