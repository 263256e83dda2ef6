package bench

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"segura-enable/simulated/runtimeapi"
	"segura-enable/simulated/seguratest"
)

// overHTTP is how many identifiers one request over HTTP may have.
const overHTTP = 100

// memories are those whose shares of a CPU are measured, in MB.
var memories = []int{128, 256, 512, 1024, wholeCPU}

// smallest is the memory that the targets are for.
const smallest = 128

// mostlyIdle is the memory up to which processes may run side by side: together, they
// keep the machine busy for a part of the time.
const mostlyIdle = 256

// warmCalls are measured of each process, one right after the other.
const warmCalls = 100

// spent is how long something took, and how much of a CPU's time.
type spent struct{ took, cpu time.Duration }

// atShare is what was measured of one contender with one memory.
type atShare struct {
	memory int
	first  []spent // invocation, without latency
	warm   []spent // the same, one right after the other
	call   []spent // a warm one, Segura at slowCalls
	batch  []spent // batchSize identifiers then
	many   []spent // manySize identifiers, without latency
}

// of returns the middle one by duration.
func of(list []spent) spent {
	return spent{medianOf(list, func(s spent) time.Duration { return s.took }), medianOf(list, func(s spent) time.Duration { return s.cpu })}
}

// mean returns the mean. Of what is throttled now and then, no single one is typical.
func mean(list []spent) (m spent) {
	for _, s := range list {
		m.took += s.took / time.Duration(len(list))
		m.cpu += s.cpu / time.Duration(len(list))
	}
	return m
}

// limit gives the process the share of a CPU that comes with so much memory, in MB, for
// the rest of its life. Lambda gives init a whole one.
func (p *process) limit(memory int) (err error) {
	if p.group, err = newGroup(memory); err != nil {
		return err
	}
	return p.group.add(p.function.PID())
}

// spend has n identifiers enabled.
func (p *process) spend(ctx context.Context, n int) (spent, error) {
	before := usedCPU(p.function.PID())
	took, err := p.enable(ctx, n)
	return spent{took, usedCPU(p.function.PID()) - before}, err
}

// startAt starts a contender, and limits it when its init is over.
func (s *upstreams) startAt(ctx context.Context, c contender, memory int, env map[string]string) (*process, error) {
	all := map[string]string{"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": strconv.Itoa(memory)}
	maps.Copy(all, env)
	p, err := s.start(ctx, c, all)
	if err != nil {
		return nil, err
	}
	if err := p.limit(memory); err != nil {
		p.end()
		return nil, err
	}
	return p, nil
}

// shares measures the contenders at the CPU shares of some memories.
func (b *bench) shares(ctx context.Context) error {
	g, err := newGroup(smallest)
	if err != nil {
		b.report.Skipped = append(b.report.Skipped, "CPU shares: "+err.Error())
		b.tell("!!! SKIPPED: CPU shares: %v\n", err)
		return nil
	}
	if err := g.remove(); err != nil {
		return err
	}
	fast, err := b.startUpstreams(ctx, latencies{}, false)
	if err != nil {
		return err
	}
	defer fast.close()
	late, err := b.startUpstreams(ctx, slowCalls, false)
	if err != nil {
		return err
	}
	defer late.close()
	windows, err := b.startWindows(ctx, late)
	if err != nil {
		return err
	}
	defer windows.close()
	b.report.Shares = map[string][]*atShare{}
	for _, memory := range memories {
		began := time.Now()
		if err := b.sharesOf(ctx, memory, fast, late, windows); err != nil {
			return fmt.Errorf("%d MB: %w", memory, err)
		}
		b.tell("  %d MB: %.0f s\n", memory, time.Since(began).Seconds())
	}
	return b.deadlines(ctx)
}

// sharesOf measures all contenders with one memory.
func (b *bench) sharesOf(ctx context.Context, memory int, fast, late *upstreams, w *windows) error {
	jobs := []func() error{func() error { return b.reconciles(ctx, memory, w) }}
	for _, c := range b.report.Contenders {
		if !c.calls() {
			continue
		}
		one := &atShare{memory: memory}
		b.report.Shares[c.name] = append(b.report.Shares[c.name], one)
		if err := errors.Join(b.firstAndWarm(ctx, c, fast, one), b.slowOnes(ctx, c, late, one)); err != nil {
			return err
		}
		jobs = append(jobs, func() error { return one.tenThousand(ctx, c, fast) })
	}
	return together(memory <= mostlyIdle, jobs)
}

// together does the jobs, side by side if asked to.
func together(sideBySide bool, jobs []func() error) error {
	faults := make([]error, len(jobs))
	var group sync.WaitGroup
	for at, job := range jobs {
		if !sideBySide {
			faults[at] = job()
			continue
		}
		group.Go(func() { faults[at] = job() })
	}
	group.Wait()
	return errors.Join(faults...)
}

func (b *bench) firstAndWarm(ctx context.Context, c contender, s *upstreams, one *atShare) error {
	for range b.Shares {
		p, err := s.startAt(ctx, c, one.memory, nil)
		if err != nil {
			return err
		}
		first, err := p.spend(ctx, 1)
		one.first = append(one.first, first)
		if err == nil {
			err = p.repeat(ctx, warmCalls, &one.warm)
		}
		p.end()
		if err != nil {
			return err
		}
	}
	return nil
}

// repeat has one identifier enabled so many times.
func (p *process) repeat(ctx context.Context, times int, into *[]spent) error {
	for range times {
		call, err := p.spend(ctx, 1)
		if err != nil {
			return err
		}
		*into = append(*into, call)
	}
	return nil
}

// batches are measured of ours, whose target is near: one in a few takes half as long
// again, where the machine itself gives less.
const batches = 20

func (b *bench) slowOnes(ctx context.Context, c contender, s *upstreams, one *atShare) error {
	defer s.Segura.Reset() // forget the records
	p, err := s.startAt(ctx, c, one.memory, nil)
	if err != nil {
		return err
	}
	defer p.end()
	var warmUp []spent
	if err := errors.Join(p.repeat(ctx, 5, &warmUp), p.repeat(ctx, warmCalls/2, &one.call)); err != nil {
		return err
	}
	runs := 1
	if c.name == ours {
		runs = batches
	}
	for range runs {
		batch, err := p.spend(ctx, batchSize)
		if err != nil {
			return err
		}
		one.batch = append(one.batch, batch)
	}
	return nil
}

// tenThousand measures manySize identifiers, once, and holds that the share was no more
// than it should be.
func (a *atShare) tenThousand(ctx context.Context, c contender, s *upstreams) error {
	defer s.Segura.Reset()
	p, err := s.startAt(ctx, c, a.memory, nil)
	if err != nil {
		return err
	}
	defer p.end()
	if _, err := p.spend(ctx, 1); err != nil {
		return err
	}
	one, err := p.spend(ctx, manySize)
	a.many = append(a.many, one)
	if share := one.cpu.Seconds() / one.took.Seconds(); share > 1.1*float64(a.memory)/wholeCPU {
		return fmt.Errorf("%s got %.2f of a CPU: this machine does not enforce the quota", c.name, share)
	}
	return err
}

// seguraIsSlow is how long Segura takes where no invocation ends by itself.
const seguraIsSlow = 2 * time.Second

// atOnce is how many processes meet their deadlines side by side.
const atOnce = 20

// deadlines has invocations run out of time, at the smallest share, anywhere between
// 0.3 and 25 s, and counts those that Lambda would have killed.
func (b *bench) deadlines(ctx context.Context) error {
	s, err := b.startUpstreams(ctx, latencies{}, false)
	if err != nil {
		return err
	}
	defer s.close()
	s.Segura.SetLatency(seguratest.Latency{Call: seguraIsSlow})
	var (
		mu   sync.Mutex
		jobs []func() error
	)
	for range atOnce {
		jobs = append(jobs, func() error {
			for range b.Deadlines / atOnce {
				killed, err := s.meetDeadline(ctx, b.report.contender(ours))
				if err != nil {
					return err
				}
				mu.Lock()
				b.report.Deadlines++
				if killed {
					b.report.Killed++
				}
				mu.Unlock()
			}
			return nil
		})
	}
	return together(true, jobs)
}

// meetDeadline reports whether an invocation for as many identifiers as one over HTTP
// may have was killed.
func (s *upstreams) meetDeadline(ctx context.Context, c contender) (killed bool, _ error) {
	p, err := s.startAt(ctx, c, smallest, nil)
	if err != nil {
		return false, err
	}
	defer p.end()
	limit := time.Duration(0.3 * math.Pow(25/0.3, rand.Float64()) * float64(time.Second))
	inv, err := p.function.Invoke(ctx, payload(overHTTP), runtimeapi.WithTimeout(limit))
	return inv.TimedOut, err
}
