package bench

import (
	"context"
	"fmt"
	"maps"
	"runtime"
	"strconv"
	"strings"
	"time"

	"segura-enable/simulated/runtimeapi"
	"segura-enable/simulated/stage"
)

// process is one contender, running.
type process struct {
	contender
	upstreams *upstreams
	function  *runtimeapi.Function
	group     string // empty: it has the whole machine
}

// start starts a contender, waits until it asks for work, and leaves it, for the rest
// of its life, the share of a CPU that comes with so much memory, in MB; 0: the whole
// machine. Lambda gives init more, too. The upstreams' garbage is collected before, so
// that this takes no CPU from what is measured.
func (s *upstreams) start(ctx context.Context, c contender, memory int, extra map[string]string) (*process, error) {
	runtime.GC()
	env := s.env(c)
	if memory > 0 {
		env["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] = strconv.Itoa(memory)
	}
	maps.Copy(env, extra)
	name := stage.Event
	if c.name == stage.Window {
		name = stage.Window
	}
	// Lambda's ten seconds for init are too few for Python on a busy machine.
	function, err := s.StartFunction(ctx, name, runtimeapi.Options{Bootstrap: c.bootstrap, Env: env, InitTimeout: time.Minute})
	if err != nil {
		return nil, err
	}
	p := &process{contender: c, upstreams: s, function: function}
	if err = function.WaitReady(ctx); err == nil && memory > 0 {
		p.group, err = limit(function.PID(), memory)
	}
	if err != nil {
		p.end()
		return nil, fmt.Errorf("%s: %w", c.name, err)
	}
	return p, nil
}

// enable has the identifiers from 1 to n enabled.
func (p *process) enable(ctx context.Context, n int) (sample, error) {
	s, _, err := p.invoke(ctx, payload(n))
	return s, err
}

// invoke invokes the function, and returns its answer, too. A function error, which
// each contender makes of any failure, is an error here.
func (p *process) invoke(ctx context.Context, payload []byte) (sample, []byte, error) {
	before := usedCPU(p.function.PID())
	inv, err := p.function.Invoke(ctx, payload)
	cpu := usedCPU(p.function.PID()) - before
	if err == nil && inv.FunctionError {
		err = fmt.Errorf("%s: %.300s", p.name, inv.Payload)
	}
	return sample{inv.Duration, cpu, p.function.MaxRSS()}, inv.Payload, err
}

// payload asks for the identifiers from 1 to n.
func payload(n int) []byte {
	var list strings.Builder
	for i := range n {
		fmt.Fprintf(&list, ",%d", i+1)
	}
	return []byte(`{"identifiers": [` + list.String()[1:] + `]}`)
}

// end ends the process, and has Segura forget the records of it, which grow.
func (p *process) end() {
	_ = p.function.Close()
	unlimit(p.group)
	p.upstreams.Segura.Reset()
}
