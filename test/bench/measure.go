package bench

import (
	"context"
	"fmt"
	"log"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"segura-enable/simulated/runtimeapi"
	"segura-enable/simulated/seguratest"
)

// memories are those whose shares of a CPU are measured, in MB.
var memories = []int{128, 256, 512, 1024, wholeCPU}

// smallest is the memory that the targets are for.
const smallest = 128

// whole measures the contenders on the whole machine.
func (b *bench) whole(ctx context.Context) error {
	if err := b.at(ctx, 0, effort{starts: b.Runs, again: 12, batches: b.Runs, many: max(1, b.Runs/13)}); err != nil {
		return err
	}
	s, err := b.startUpstreams(ctx, slow)
	if err != nil {
		return err
	}
	defer s.close()
	if err := b.starts(ctx, s, 0, b.Runs, slowly, 0); err != nil {
		return err
	}
	return b.scale(ctx)
}

// shares measures the contenders at the CPU shares of some memories.
func (b *bench) shares(ctx context.Context) error {
	p, err := b.fast.start(ctx, b.report.contender(hello), smallest, nil)
	if err != nil {
		b.report.Skipped = append(b.report.Skipped, "CPU shares: "+err.Error())
		log.Print("!!! SKIPPED: CPU shares: ", err)
		return nil
	}
	p.end()
	w, err := b.startWindows(ctx)
	if err != nil {
		return err
	}
	defer w.server.Close()
	for _, memory := range memories {
		// One batch in a few takes half as long again, where the machine itself gives less.
		if err := b.at(ctx, memory, effort{starts: max(1, b.Runs/8), again: 100, batches: max(1, b.Runs/2), many: 1}); err != nil {
			return err
		}
		if err := b.reconciles(ctx, memory, w); err != nil {
			return err
		}
	}
	return b.meetDeadlines(ctx)
}

// effort is how often something is measured.
type effort struct{ starts, again, batches, many int }

// at measures the contenders with one memory, in MB; 0: on the whole machine.
func (b *bench) at(ctx context.Context, memory int, e effort) error {
	log.Printf("measuring with %d MB", memory)
	if err := b.starts(ctx, b.fast, memory, e.starts, "", e.again); err != nil {
		return err
	}
	if err := b.batches(ctx, memory, e.batches); err != nil {
		return err
	}
	return b.tenThousand(ctx, memory, e.many)
}

// starts starts each contender so many times, in turns, and has one identifier enabled,
// and then the same again and again.
func (b *bench) starts(ctx context.Context, s *upstreams, memory, runs int, prefix string, again int) error {
	// One more run than asked for: the first one reads the binaries from the disk.
	for run := range runs + 1 {
		for _, c := range shuffled(b.report.Contenders) {
			add := func(what string, s sample) {
				if run > 0 {
					b.report.add(figure{prefix + what, c.name, memory}, s)
				}
			}
			if err := s.startOne(ctx, c, memory, again, add); err != nil {
				return err
			}
		}
	}
	return nil
}

// shuffled lets each contender come after each of the others, since what ran before
// leaves the machine as it likes.
func shuffled(all []contender) []contender {
	list := slices.Clone(all)
	rand.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list
}

const untilWarm = 20 // invocations that are not counted

func (s *upstreams) startOne(ctx context.Context, c contender, memory, again int, add func(string, sample)) error {
	p, err := s.start(ctx, c, memory, nil)
	if err != nil {
		return err
	}
	defer p.end()
	atFirst, err := p.enable(ctx, 1)
	if err != nil {
		return err
	}
	took := p.function.InitDuration()
	add(initial, sample{took: took})
	add(first, atFirst)
	add(both, sample{took + atFirst.took, usedCPU(p.function.PID()), atFirst.rss})
	if again == 0 {
		return nil
	}
	return p.repeat(ctx, 1, untilWarm, again, func(s sample) { add(warm, s) })
}

// repeat has n identifiers enabled so many times, of which the first few do not count.
func (p *process) repeat(ctx context.Context, n, before, times int, add func(sample)) error {
	for run := range before + times {
		s, err := p.enable(ctx, n)
		if err != nil {
			return err
		}
		if run >= before {
			add(s)
		}
	}
	return nil
}

// batches measures a call, and batchSize of them at once: as often as asked for of ours,
// and once of the others, which take seconds, one call after another.
func (b *bench) batches(ctx context.Context, memory, runs int) error {
	for _, c := range b.report.callers() {
		times := 1
		if c.name == ours {
			times = runs
		}
		p, err := b.late.start(ctx, c, memory, nil)
		if err != nil {
			return err
		}
		err = p.repeat(ctx, 1, 5, 50, func(one sample) { b.report.add(figure{warmCall, c.name, memory}, one) })
		if err == nil {
			err = p.repeat(ctx, batchSize, 0, times, func(one sample) { b.report.add(figure{batch, c.name, memory}, one) })
		}
		p.end()
		if err != nil {
			return err
		}
	}
	return nil
}

// tenThousand measures manySize identifiers, and holds that the share was no more than
// it should be.
func (b *bench) tenThousand(ctx context.Context, memory, runs int) error {
	for range runs {
		for _, c := range b.report.callers() {
			one, err := b.fast.second(ctx, c, memory, manySize, nil)
			if err != nil {
				return err
			}
			if share := one.cpu.Seconds() / one.took.Seconds(); memory > 0 && share > 1.1*float64(memory)/wholeCPU {
				return fmt.Errorf("%s got %.2f of a CPU: this machine does not enforce the quota", c.name, share)
			}
			b.report.add(figure{many, c.name, memory}, one)
		}
	}
	return nil
}

// second is the second invocation of a process, for n identifiers, so that what the
// first one does once is not counted.
func (s *upstreams) second(ctx context.Context, c contender, memory, n int, env map[string]string) (one sample, _ error) {
	p, err := s.start(ctx, c, memory, env)
	if err != nil {
		return one, err
	}
	defer p.end()
	if _, err := p.enable(ctx, 1); err != nil {
		return one, err
	}
	return p.enable(ctx, n)
}

// scaleLatency is how long Segura takes for a call in the measurement of scale.
const scaleLatency = 10 * time.Millisecond

// What scale is measured for.
var (
	scaleSizes       = []int{1, 10, 100, 1_000, 10_000}
	scaleConcurrency = []int{1, 2, 4, 8, 16, 32, 64}
)

// scaled names a measurement of scale, which is of ours.
func scaled(identifiers, concurrency int) figure {
	return figure{fmt.Sprintf("%d identifiers, %d at once", identifiers, concurrency), ours, 0}
}

// scale measures every size at every concurrency, once each.
func (b *bench) scale(ctx context.Context) error {
	log.Print("scale")
	s, err := b.startUpstreams(ctx, latencies{call: scaleLatency})
	if err != nil {
		return err
	}
	defer s.close()
	for _, concurrency := range scaleConcurrency {
		for _, n := range scaleSizes {
			f := scaled(n, concurrency)
			one, err := s.second(ctx, b.report.contender(ours), 0, n, map[string]string{"SEGURA_MAX_CONCURRENCY": strconv.Itoa(concurrency)})
			if err != nil {
				return fmt.Errorf("%s: %w", f.what, err)
			}
			b.report.add(f, one)
		}
	}
	return nil
}

// Where invocations run out of time: how long Segura takes, how many processes meet their
// deadlines side by side, and for how many identifiers, which are those that one request
// over HTTP may have.
const (
	tooSlow  = 2 * time.Second
	atOnce   = 20
	overHTTP = 100
)

// meetDeadlines has invocations run out of time, at the smallest share, anywhere between
// 0.3 and 25 s, and counts those that Lambda would have killed.
func (b *bench) meetDeadlines(ctx context.Context) error {
	log.Print("deadlines")
	b.fast.Segura.SetLatency(seguratest.Latency{Call: tooSlow})
	invocations := make([]runtimeapi.Invocation, 5*b.Runs)
	var jobs errgroup.Group
	jobs.SetLimit(atOnce)
	for at := range invocations {
		jobs.Go(func() error {
			p, err := b.fast.start(ctx, b.report.contender(ours), smallest, nil)
			if err != nil {
				return err
			}
			defer p.end()
			limit := time.Duration(0.3 * math.Pow(25/0.3, rand.Float64()) * float64(time.Second))
			invocations[at], err = p.function.Invoke(ctx, payload(overHTTP), runtimeapi.WithTimeout(limit))
			return err
		})
	}
	if err := jobs.Wait(); err != nil {
		return err
	}
	for _, inv := range invocations {
		b.report.deadlines++
		if inv.TimedOut {
			b.report.killed++
		}
	}
	return nil
}
