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
	"os"
	"runtime"
	"runtime/debug"
	"time"

	"segura-enable/simulated/stage"
)

// Options say what to measure, and how often.
type Options struct {
	Python []string // interpreters; the first one that has boto3 and urllib3 is used
	Runs   int      // cold starts of each contender; of what takes longer, there are fewer
	Whole  bool     // measure on the whole machine
	Shares bool     // measure at the CPU shares of some memories
}

// Latencies of the upstreams: those of a slow day, and Segura's alone.
var (
	slow      = latencies{secret: 20 * time.Millisecond, token: 100 * time.Millisecond, call: 100 * time.Millisecond}
	slowCalls = latencies{call: 20 * time.Millisecond}
)

// Sizes of the requests for many.
const (
	batchSize = 200
	manySize  = 10_000
)

// stageMemory bounds what the upstreams may fill with garbage, in bytes.
const stageMemory = 2 << 30

// bench is one run of the bench.
type bench struct {
	Options
	root, dir  string // of the repository, and for what is built
	bootstraps map[string]string
	fast, late *upstreams // without latency, and at slowCalls
	report     *Report
}

// Run measures. The error is one of a contender that does not do its work.
func Run(ctx context.Context, o Options) (*Report, error) {
	if runtime.GOOS != "linux" {
		return nil, errors.New("the bench needs Linux: CPU time and the list of trusted authorities are read and set as Linux has them")
	}
	root, err := stage.Root()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "segura-bench-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // the upstreams' garbage waits: see upstreams.start
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(stageMemory))
	b := &bench{Options: o, root: root, dir: dir, report: &Report{
		Machine: fmt.Sprintf("%s, %s/%s, %d CPUs", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU()),
	}}
	if err := b.build(ctx); err != nil {
		return nil, err
	}
	return b.report, b.measure(ctx)
}

func (b *bench) measure(ctx context.Context) (err error) {
	if b.fast, err = b.startUpstreams(ctx, latencies{}); err != nil {
		return err
	}
	defer b.fast.close()
	if b.late, err = b.startUpstreams(ctx, slowCalls); err != nil {
		return err
	}
	defer b.late.close()
	if b.Whole {
		if err := b.whole(ctx); err != nil {
			return err
		}
	}
	if b.Shares {
		return b.shares(ctx)
	}
	return nil
}
