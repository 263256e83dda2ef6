// Package runtimeapi runs a compiled Lambda function as Lambda would: it
// starts the bootstrap as a child process with Lambda's environment and serves
// it the Runtime API on a socket of this machine.
//
// It stands for one execution environment of one function. An invocation that
// runs out of time ends the process, as Lambda ends it, and the next one
// starts a new process. What Lambda does around that is left to others: the
// events come from the caller, retries and destinations do not exist, and
// no memory size is enforced.
package runtimeapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Limits and defaults of Lambda itself.
const (
	DefaultTimeout     = 3 * time.Second  // of a function that sets none
	DefaultInitTimeout = 10 * time.Second // from the start of the process to its first request for work
	MaxResponseSize    = 6291556          // bytes of a response

	defaultRegion = "eu-west-1"
	defaultName   = "function"
)

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
	// parent's environment only PATH, TMPDIR and the time zone are passed on,
	// so the developer's AWS profile and proxies have no influence.
	Env map[string]string

	// FunctionName is what the function finds in AWS_LAMBDA_FUNCTION_NAME, and
	// a part of its ARN. Empty means "function".
	FunctionName string

	// Timeout is how long an invocation may take before the process is ended.
	// Zero means [DefaultTimeout].
	Timeout time.Duration

	// InitTimeout is how long the process may take until it asks for its first
	// invocation. Zero means [DefaultInitTimeout].
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
func Start(ctx context.Context, options Options) (*Function, error) {
	options = withDefaults(options)
	bootstrap, err := filepath.Abs(options.Bootstrap)
	if err != nil {
		return nil, fmt.Errorf("find bootstrap: %w", err)
	}
	if info, err := os.Stat(bootstrap); err != nil {
		return nil, fmt.Errorf("find bootstrap: %w", err)
	} else if info.IsDir() {
		return nil, fmt.Errorf("find bootstrap: %s is a directory", bootstrap)
	}
	options.Bootstrap = bootstrap
	f := &Function{options: options, logs: newLogbook(options.Output)}
	if f.current, err = startSandbox(options, f.logs); err != nil {
		return nil, err
	}
	f.stop = context.AfterFunc(ctx, func() { _ = f.Close() })
	return f, nil
}

func withDefaults(o Options) Options {
	if o.FunctionName == "" {
		o.FunctionName = defaultName
	}
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	if o.InitTimeout <= 0 {
		o.InitTimeout = DefaultInitTimeout
	}
	if o.MaxConcurrency < 1 {
		o.MaxConcurrency = 1
	}
	return o
}

// WaitReady waits until the process asks for its first invocation, which ends
// Lambda's init phase. A process that ended instead is an [*InitError].
func (f *Function) WaitReady(ctx context.Context) error {
	s, err := f.live()
	if err != nil {
		return err
	}
	return s.waitReady(ctx)
}

// InitDuration is the time from the start of the process to its first request
// for work; zero before that.
func (f *Function) InitDuration() time.Duration {
	s, err := f.live()
	if err != nil {
		return 0
	}
	return s.initDuration()
}

// Logs returns every line that the function wrote to standard output and
// standard error so far, in order, over all processes. The oldest are
// forgotten once they exceed 64 MiB.
func (f *Function) Logs() []string { return f.logs.all() }

// PID is the process id of the current process.
func (f *Function) PID() int {
	s, err := f.live()
	if err != nil {
		return 0
	}
	return s.process.Pid
}

// Exited reports whether the current process has ended, and with which exit
// code; -1 stands for a signal.
func (f *Function) Exited() (code int, exited bool) {
	f.mu.Lock()
	s := f.current
	f.mu.Unlock()
	select {
	case <-s.exited:
		return s.state.ExitCode(), true
	default:
		return 0, false
	}
}

// Signal sends a signal to the current process. SIGSTOP and SIGCONT do what
// Lambda does between two invocations: nothing of the process runs.
func (f *Function) Signal(sig os.Signal) error {
	s, err := f.live()
	if err != nil {
		return err
	}
	return s.process.Signal(sig)
}

// MaxRSS is the largest resident set in bytes of any process of this function.
// On Linux it is read at the end of each invocation and at Close; elsewhere it
// is known once a process has ended.
func (f *Function) MaxRSS() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return max(f.maxRSS, f.current.maxRSS())
}

// Close ends the process by its id, waits until it is gone and stops the
// Runtime API. Invocations in flight end as failed. It may be called again.
func (f *Function) Close() error {
	f.mu.Lock()
	f.closed = true
	s := f.current
	f.mu.Unlock()
	if f.stop != nil {
		f.stop()
	}
	s.close()
	return nil
}

// live returns the current process, which may have ended.
func (f *Function) live() (*sandbox, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil, ErrClosed
	}
	return f.current, nil
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
	f.maxRSS = max(f.maxRSS, f.current.maxRSS())
	f.current = next
	return next, nil
}
