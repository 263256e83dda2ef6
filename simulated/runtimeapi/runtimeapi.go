// Package runtimeapi runs a compiled Lambda function as Lambda would: it
// starts the bootstrap as a child process with Lambda's environment and serves
// it the Runtime API on a socket of this machine.
//
// It stands for one execution environment of one function. An invocation that
// runs out of time ends the process, as Lambda ends it, and the next one
// starts a new process. What Lambda does around that is left to others: the
// events come from the caller, retries and destinations do not exist, and
// no size of memory or of a response is enforced.
package runtimeapi

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"
)

const defaultRegion = "eu-west-1"

// The AWS credentials that the process is given. They open nothing.
const (
	AccessKeyID     = "ASIALOCALEXAMPLE0000"
	SecretAccessKey = "local-secret-access-key/EXAMPLE+0000000000"
	SessionToken    = "local-session-token/EXAMPLE+0000000000000="
)

// ErrClosed is returned by calls to a [Function] after Close.
var ErrClosed = errors.New("function is closed")

// Options says what to run and how.
type Options struct {
	// Bootstrap is the path of the compiled function. Required.
	Bootstrap string

	// Env is added to Lambda's own variables and wins over them. Of the
	// parent's environment only PATH and TMPDIR are passed on, so the
	// developer's AWS profile and proxies have no influence.
	Env map[string]string

	// FunctionName is what the function finds in AWS_LAMBDA_FUNCTION_NAME, and
	// a part of its ARN. Empty means "function".
	FunctionName string

	// Timeout is how long an invocation may take before the process is ended.
	// Zero means Lambda's own default, 3 s.
	Timeout time.Duration

	// InitTimeout is how long the process may take until it asks for its first
	// invocation. Zero means Lambda's own, 10 s.
	InitTimeout time.Duration

	// MaxConcurrency is how many invocations one process is offered at once.
	// Above one it is announced in AWS_LAMBDA_MAX_CONCURRENCY.
	MaxConcurrency int

	// Output receives each line of standard output and standard error as it
	// comes. Nil means that the lines are only kept for [Function.Logs].
	Output io.Writer
}

// Function is a running function. Its methods may be called at once.
type Function struct {
	options Options
	logs    *logbook
	stop    func() bool // releases the hook on the context of Start

	mu      sync.Mutex
	current *sandbox
	closed  bool
	maxRSS  int64
}

// Start starts the process and returns at once: see [Function.WaitReady]. The
// function lives until Close, or until ctx ends.
func Start(ctx context.Context, o Options) (*Function, error) {
	o.FunctionName = cmp.Or(o.FunctionName, "function")
	o.Timeout = cmp.Or(o.Timeout, 3*time.Second)
	o.InitTimeout = cmp.Or(o.InitTimeout, 10*time.Second)
	o.MaxConcurrency = max(o.MaxConcurrency, 1)
	var err error
	if o.Bootstrap, err = filepath.Abs(o.Bootstrap); err != nil {
		return nil, fmt.Errorf("find bootstrap: %w", err)
	}
	f := &Function{options: o, logs: &logbook{output: o.Output}}
	if f.current, err = startSandbox(o, f.logs); err != nil {
		return nil, err
	}
	f.stop = context.AfterFunc(ctx, func() { _ = f.Close() })
	return f, nil
}

// WaitReady waits until the process asks for its first invocation, which ends
// Lambda's init phase. A process that ended instead is an [*InitError].
func (f *Function) WaitReady(ctx context.Context) error { return f.process().waitReady(ctx) }

// InitDuration is the time from the start of the process to its first request
// for work; zero before that.
func (f *Function) InitDuration() time.Duration { return f.process().initDuration() }

// Logs returns every line that the function wrote to standard output and
// standard error so far, in order, over all processes. The oldest are
// forgotten once they exceed 64 MiB.
func (f *Function) Logs() []string { return f.logs.between(0, f.logs.position()) }

// PID is the process id of the current process.
func (f *Function) PID() int { return f.process().process.Pid }

// Exited reports whether the current process has ended, and with which exit
// code; -1 stands for a signal.
func (f *Function) Exited() (code int, exited bool) {
	s := f.process()
	select {
	case <-s.exited:
		return s.state.ExitCode(), true
	default:
		return 0, false
	}
}

// Signal sends a signal to the current process. SIGSTOP and SIGCONT do what
// Lambda does between two invocations: nothing of the process runs.
func (f *Function) Signal(sig os.Signal) error { return f.process().process.Signal(sig) }

// MaxRSS is the largest resident set in bytes of this function's process, and of
// those before it that did not end by themselves. Elsewhere than on Linux it is zero.
func (f *Function) MaxRSS() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.noteRSS()
	return f.maxRSS
}

// noteRSS has to be called before a process is ended: afterwards nobody tells.
func (f *Function) noteRSS() { f.maxRSS = max(f.maxRSS, peakRSS(f.current.process.Pid)) }

// Close ends the process by its id, waits until it is gone and stops the
// Runtime API. Invocations in flight end as failed. It may be called again.
func (f *Function) Close() error {
	f.mu.Lock()
	if !f.closed {
		f.noteRSS()
	}
	f.closed = true
	s := f.current
	f.mu.Unlock()
	if f.stop != nil {
		f.stop()
	}
	s.close()
	return nil
}

// process is the current one, which may have ended.
func (f *Function) process() *sandbox {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.current
}

// running returns the current process, or a new one where that has ended.
func (f *Function) running() (*sandbox, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil, ErrClosed
	}
	select {
	case <-f.current.exited:
	default:
		return f.current, nil
	}
	next, err := startSandbox(f.options, f.logs)
	if err != nil {
		return nil, err
	}
	f.current.close()
	f.current = next
	return next, nil
}
