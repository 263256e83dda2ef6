package bench

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"
)

// scaleLatency is how long Segura takes for a call in the measurement of scale.
const scaleLatency = 10 * time.Millisecond

// What scale is measured for.
var (
	scaleSizes       = []int{1, 10, 100, 1_000, 10_000}
	scaleConcurrency = []int{1, 2, 4, 8, 16, 32, 64}
)

// mostlyWaiting is the concurrency up to which measurements may run side by side:
// together, they keep the machine busy for a small part of the time.
const mostlyWaiting = 4

// cell is one measurement of scale.
type cell struct {
	identifiers, concurrency int
	many
}

// ideal is how long the cell would take if nothing but Segura took any time.
func (c cell) ideal() time.Duration {
	rounds := (c.identifiers + c.concurrency - 1) / c.concurrency
	return time.Duration(rounds) * scaleLatency
}

// scale measures every size at every concurrency, once each: those that mostly
// wait side by side, the others one by one.
func (b *bench) scale(ctx context.Context) error {
	s, err := b.startUpstreams(ctx, latencies{call: scaleLatency}, false)
	if err != nil {
		return err
	}
	defer s.close()
	var (
		group sync.WaitGroup
		mu    sync.Mutex
		first error
	)
	b.report.Scale = make([]cell, 0, len(scaleSizes)*len(scaleConcurrency))
	measure := func(concurrency int) {
		for _, n := range scaleSizes {
			one, err := s.scaleCell(ctx, b.report.contender(ours), n, concurrency)
			mu.Lock()
			b.report.Scale = append(b.report.Scale, one)
			if err != nil && first == nil {
				first = fmt.Errorf("%d identifiers, %d at once: %w", n, concurrency, err)
			}
			mu.Unlock()
		}
	}
	for _, concurrency := range scaleConcurrency {
		if concurrency <= mostlyWaiting {
			group.Go(func() { measure(concurrency) })
		}
	}
	group.Wait()
	for _, concurrency := range scaleConcurrency {
		if concurrency > mostlyWaiting {
			measure(concurrency)
		}
	}
	return first
}

func (s *upstreams) scaleCell(ctx context.Context, c contender, n, concurrency int) (cell, error) {
	one, err := s.batch(ctx, c, n, map[string]string{"SEGURA_MAX_CONCURRENCY": strconv.Itoa(concurrency)})
	return cell{n, concurrency, one}, err
}

// at returns the cell of a size and a concurrency; the zero value if there is
// none.
func (r *Report) at(identifiers, concurrency int) cell {
	for _, c := range r.Scale {
		if c.identifiers == identifiers && c.concurrency == concurrency {
			return c
		}
	}
	return cell{}
}
