package bench

import (
	"slices"
	"time"
)

// Report is what was measured.
type Report struct {
	Machine    string
	Contenders []contender
	Skipped    []string // what could not be measured, and why

	samples           map[figure][]sample
	deadlines, killed int // invocations that ran out of time, and those of them that Lambda would kill
}

// figure names what was measured: what, of which contender, and with how much memory,
// in MB; 0: on the whole machine.
type figure struct {
	what   string
	who    string
	memory int
}

// What is measured. Of the figures of scale, the name has the size and the concurrency.
const (
	initial   = "init"
	first     = "first"              // invocation, for one identifier
	both      = "both"               // of these
	slowly    = "slow "              // before each of these: with upstreams that are slow
	warm      = "warm"               // invocation, right after another one
	warmCall  = "warm call"          // the same, Segura at slowCalls
	batch     = "batch"              // batchSize identifiers then
	many      = "many"               // manySize identifiers, without latency
	nothing   = "nothing due"        // for a reconcile
	windowEnd = "windows have ended" // and a reconcile disables
)

// sample is how long something took, how much of a CPU's time, and the peak of the
// process's memory by then, in bytes.
type sample struct {
	took, cpu time.Duration
	rss       int64
}

func (r *Report) add(f figure, s sample) {
	if r.samples == nil {
		r.samples = map[figure][]sample{}
	}
	r.samples[f] = append(r.samples[f], s)
}

// median returns the median of each part of the samples; the zero value of none.
func (r *Report) median(f figure) sample {
	var took, cpu []time.Duration
	var rss []int64
	for _, s := range r.samples[f] {
		took, cpu, rss = append(took, s.took), append(cpu, s.cpu), append(rss, s.rss)
	}
	return sample{median(took), median(cpu), median(rss)}
}

// mean returns the mean. Of what is throttled now and then, no single one is typical.
func (r *Report) mean(f figure) (m sample) {
	n := len(r.samples[f])
	for _, s := range r.samples[f] {
		m.took += s.took / time.Duration(n)
		m.cpu += s.cpu / time.Duration(n)
	}
	return m
}

// median returns the middle value, or the mean of the two in the middle; 0 of none.
func median[T time.Duration | int64](values []T) T {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}
