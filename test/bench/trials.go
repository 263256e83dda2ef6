package bench

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"
)

// cold is one start of a process and its first invocation, for one identifier.
type cold struct {
	init, first, cpu time.Duration
	rss              int64 // bytes
}

func (c cold) both() time.Duration { return c.init + c.first }

// many is one invocation for many identifiers.
type many struct {
	took time.Duration
	rss  int64 // bytes
}

func (b *bench) coldStarts(ctx context.Context) (err error) {
	b.report.Cold, err = b.coldStartsAt(ctx, latencies{})
	return err
}

func (b *bench) slowColdStarts(ctx context.Context) (err error) {
	b.report.ColdSlow, err = b.coldStartsAt(ctx, slow)
	return err
}

func (b *bench) coldStartsAt(ctx context.Context, l latencies) (map[string][]cold, error) {
	s, err := b.startUpstreams(ctx, l, false)
	if err != nil {
		return nil, err
	}
	defer s.close()
	all := map[string][]cold{}
	// One more run than asked for: the first one reads the binaries from the disk.
	for run := range b.Runs + 1 {
		for _, c := range shuffled(b.report.Contenders) {
			one, err := s.coldStart(ctx, c, nil)
			if err != nil {
				return nil, err
			}
			if run > 0 {
				all[c.name] = append(all[c.name], one)
			}
		}
	}
	return all, nil
}

// shuffled lets each contender come after each of the others, since what ran before
// leaves the machine as it likes.
func shuffled(all []contender) []contender {
	list := slices.Clone(all)
	rand.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list
}

func (s *upstreams) coldStart(ctx context.Context, c contender, env map[string]string) (cold, error) {
	p, err := s.start(ctx, c, env)
	if err != nil {
		return cold{}, err
	}
	one := cold{init: p.function.InitDuration()}
	one.first, err = p.enable(ctx, 1)
	one.cpu, one.rss = p.end()
	return one, err
}

func (b *bench) warmInvocations(ctx context.Context) error {
	s, err := b.startUpstreams(ctx, latencies{}, false)
	if err != nil {
		return err
	}
	defer s.close()
	b.report.Warm = map[string][]time.Duration{}
	var running []*process
	defer func() {
		for _, p := range running {
			p.end()
		}
	}()
	for _, c := range b.report.Contenders {
		p, err := s.start(ctx, c, nil)
		if err != nil {
			return err
		}
		running = append(running, p)
	}
	const untilWarm = 20
	for run := range b.Warm + untilWarm {
		for _, p := range running {
			took, err := p.enable(ctx, 1)
			if err != nil {
				return err
			}
			if run >= untilWarm {
				b.report.Warm[p.name] = append(b.report.Warm[p.name], took)
			}
		}
	}
	return nil
}

func (b *bench) batches(ctx context.Context) (err error) {
	b.report.Batch, err = b.manyAt(ctx, slowCalls, batchSize, map[string]int{ours: b.Runs, afternoon: peerRuns, python: peerRuns})
	return err
}

func (b *bench) tenThousand(ctx context.Context) (err error) {
	b.report.Many, err = b.manyAt(ctx, latencies{}, manySize, map[string]int{ours: b.Many, afternoon: b.Many, python: b.Many})
	return err
}

// manyAt has n identifiers enabled in a fresh process each time, as often as runs
// says of each contender.
func (b *bench) manyAt(ctx context.Context, l latencies, n int, runs map[string]int) (map[string][]many, error) {
	s, err := b.startUpstreams(ctx, l, false)
	if err != nil {
		return nil, err
	}
	defer s.close()
	all := map[string][]many{}
	for run := range b.Runs {
		for _, c := range b.report.Contenders {
			if run >= runs[c.name] {
				continue
			}
			one, err := s.batch(ctx, c, n, nil)
			if err != nil {
				return nil, err
			}
			all[c.name] = append(all[c.name], one)
		}
	}
	return all, nil
}

// batch is the second invocation of a process, so that what the first one does
// once is not counted.
func (s *upstreams) batch(ctx context.Context, c contender, n int, env map[string]string) (many, error) {
	defer s.Segura.Reset() // forget the records, which grow
	p, err := s.start(ctx, c, env)
	if err != nil {
		return many{}, err
	}
	if _, err := p.enable(ctx, 1); err != nil {
		p.end()
		return many{}, err
	}
	took, err := p.enable(ctx, n)
	_, rss := p.end()
	return many{took, rss}, err
}
