package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"syscall"
	"time"

	"segura-enable/simulated/runtimeapi"
	"segura-enable/simulated/stage"
)

// process is one contender, running.
type process struct {
	contender
	function *runtimeapi.Function
	cpu      time.Duration // of the children that had ended before this one began
	group    *group        // nil: it has the whole machine
}

// start starts a contender and waits until it asks for work. The upstreams' garbage
// is collected before, so that this takes no CPU from what is measured.
func (s *upstreams) start(ctx context.Context, c contender, extra map[string]string) (*process, error) {
	runtime.GC()
	p := &process{contender: c, cpu: childrenCPU()}
	var err error
	name := stage.Event
	if c.name == stage.Window {
		name = stage.Window
	}
	p.function, err = s.StartFunction(ctx, name, runtimeapi.Options{
		Bootstrap:   c.bootstrap,
		Env:         s.env(c, extra),
		InitTimeout: time.Minute, // Lambda's ten seconds are too few for Python on a busy machine
	})
	if err != nil {
		return nil, err
	}
	if err := p.function.WaitReady(ctx); err != nil {
		p.end()
		return nil, fmt.Errorf("%s: %w", c.name, err)
	}
	return p, nil
}

// enable has the identifiers from 1 to n enabled, and tells how long that took.
func (p *process) enable(ctx context.Context, n int) (time.Duration, error) {
	inv, err := p.function.Invoke(ctx, payload(n))
	switch {
	case err != nil:
		return 0, err
	case inv.FunctionError:
		return 0, fmt.Errorf("%s: %s: %.300s", p.name, inv.ErrorType, inv.ErrorMessage)
	case p.calls() && strings.Contains(string(inv.Payload), `"failed":`) && !strings.Contains(string(inv.Payload), `"failed":0`):
		return 0, fmt.Errorf("%s: %.300s", p.name, inv.Payload)
	}
	return inv.Duration, nil
}

// payload asks for the identifiers from 1 to n.
func payload(n int) []byte {
	if n == 1 {
		return []byte(`{"identifier": 1}`)
	}
	list := make([]int, n)
	for i := range list {
		list[i] = i + 1
	}
	text, err := json.Marshal(map[string]any{"identifiers": list})
	if err != nil {
		return nil // numbers only
	}
	return text
}

// end ends the process and tells what it used: CPU time of the process, by the
// kernel's account of what has ended, and its peak memory in bytes.
func (p *process) end() (cpu time.Duration, rss int64) {
	_ = p.function.Close()
	if p.group != nil {
		_ = p.group.remove()
	}
	return childrenCPU() - p.cpu, p.function.MaxRSS()
}

func childrenCPU() time.Duration {
	var usage syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_CHILDREN, &usage) != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
