// Package bench measures the compiled functions as whole processes, beside what
// else one could deploy: the floor of Lambda's runtime library, and this function
// as it would be if it was written in an afternoon, in Go and in Python. It says
// how long, how much and how large; whether the functions do what they should is
// left to package acceptance.
//
// Contenders take turns run by run, because a machine's speed drifts by more than
// what is to be told apart.
package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"time"
)

// Options say how much to measure. The zero value of a count leaves its part out.
type Options struct {
	Root   string    // of the repository
	Python []string  // interpreters; the first one that has boto3 and urllib3 is used
	Log    io.Writer // where the progress is told

	Runs   int // cold starts of each contender, at each latency; batches of ours
	Warm   int // warm invocations of each contender
	Many   int // processes of each contender that get 10,000 identifiers
	Scale  bool
	Causes int // cold starts for each of the causes that make one up

	Shares    int // cold starts of each contender with each memory
	Deadlines int // invocations that run out of time, a multiple of atOnce
}

// Latencies of the upstreams where they are slow.
var (
	slow      = latencies{secret: 20 * time.Millisecond, token: 100 * time.Millisecond, call: 100 * time.Millisecond}
	slowCalls = latencies{call: 20 * time.Millisecond}
)

// Sizes of the requests for many.
const (
	batchSize = 200
	manySize  = 10_000
	peerRuns  = 3 // of what takes a peer seconds: one call after another
)

// stageMemory bounds what the upstreams may fill with garbage, in bytes.
const stageMemory = 2 << 30

// Report is what was measured.
type Report struct {
	Machine    string
	Contenders []contender
	Skipped    []string // what could not be measured, and why

	Cold     map[string][]cold // by contender, upstreams without latency
	ColdSlow map[string][]cold // at latencies slow
	Warm     map[string][]time.Duration
	Batch    map[string][]many // batchSize identifiers at latencies slowCalls
	Many     map[string][]many // manySize identifiers without latency
	Scale    []cell

	Causes      []cause
	PackageInit time.Duration // of this function, by the Go runtime's account

	Shares            map[string][]*atShare // by contender, one for each of memories
	Reconciled        []reconciled          // one for each of memories
	Deadlines, Killed int                   // invocations that ran out of time, and those of them that Lambda would kill
}

// Run measures. The error is one of a contender that does not do its work.
func Run(ctx context.Context, o Options) (*Report, error) {
	if runtime.GOOS != "linux" {
		return nil, errors.New("the bench needs Linux: peak memory and the list of trusted authorities are read and set as Linux has them")
	}
	dir, err := os.MkdirTemp("", "segura-bench-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // the upstreams' garbage waits: see upstreams.start
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(stageMemory))
	b := &bench{Options: o, dir: dir, report: &Report{Machine: machine()}}
	if err := b.build(ctx); err != nil {
		return nil, err
	}
	for _, part := range []struct {
		name    string
		wanted  bool
		measure func(context.Context) error
	}{
		{"cold starts", o.Runs > 0, b.coldStarts},
		{"cold starts with slow upstreams", o.Runs > 0, b.slowColdStarts},
		{"warm invocations", o.Warm > 0, b.warmInvocations},
		{fmt.Sprintf("batches of %d", batchSize), o.Runs > 0, b.batches},
		{fmt.Sprintf("%d identifiers", manySize), o.Many > 0, b.tenThousand},
		{"causes of a cold start", o.Causes > 0, b.coldStartCauses},
		{"scale", o.Scale, b.scale},
		{"CPU shares", o.Shares > 0, b.shares},
	} {
		if !part.wanted {
			continue
		}
		began := time.Now()
		if err := part.measure(ctx); err != nil {
			return nil, fmt.Errorf("%s: %w", part.name, err)
		}
		b.tell("%s: %.0f s\n", part.name, time.Since(began).Seconds())
	}
	return b.report, nil
}

// bench is one run of the bench.
type bench struct {
	Options
	dir    string // for what is built
	report *Report
}

func (b *bench) tell(format string, args ...any) { _, _ = fmt.Fprintf(b.Log, format, args...) }

// path returns one in the folder of what is built.
func (b *bench) path(elements ...string) string {
	return filepath.Join(append([]string{b.dir}, elements...)...)
}

func machine() string {
	return fmt.Sprintf("%s, %s/%s, %d CPUs", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
}
