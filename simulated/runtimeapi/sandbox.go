package runtimeapi

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"
)

// InitError tells that a process ended before it asked for an invocation.
type InitError struct {
	ExitCode int      // -1 for a signal
	Type     string   // what the function reported, or Lambda's own type
	Message  string   // likewise
	Logs     []string // what the process wrote
}

// Error gives type and message, and the last line that the process wrote.
func (e *InitError) Error() string {
	text := fmt.Sprintf("init failed: %s: %s", e.Type, e.Message)
	if len(e.Logs) > 0 {
		text += ": " + e.Logs[len(e.Logs)-1]
	}
	return text
}

// sandbox is one process with a Runtime API of its own, so that no request of
// an earlier process can be taken for one of this.
type sandbox struct {
	options  Options
	logs     *logbook
	pipe     *logPipe
	listener net.Listener
	server   *http.Server
	process  *os.Process
	started  time.Time
	logStart int

	queue  chan *invocation
	ready  chan struct{} // closed by the first request for work
	exited chan struct{} // closed once the process is gone and its logs are in
	state  *os.ProcessState

	mu        sync.Mutex
	inFlight  map[string]*invocation
	init      time.Duration
	initError *InitError
	peakRSS   int64
}

func startSandbox(options Options, logs *logbook) (*sandbox, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for the Runtime API: %w", err)
	}
	pipe, err := newLogPipe(logs)
	if err != nil {
		_ = listener.Close()
		return nil, err
	}
	s := &sandbox{options: options, logs: logs, pipe: pipe, listener: listener,
		queue: make(chan *invocation), ready: make(chan struct{}), exited: make(chan struct{}),
		inFlight: map[string]*invocation{}, logStart: logs.position()}
	s.server = &http.Server{
		Handler:           s.routes(),
		ReadHeaderTimeout: time.Minute,
		// An error document comes once more in a header, up to 1 MiB of it.
		MaxHeaderBytes: 2 << 20,
	}
	go func() { _ = s.server.Serve(listener) }()
	if err := s.start(); err != nil {
		_ = s.server.Close()
		pipe.close()
		return nil, fmt.Errorf("start bootstrap: %w", err)
	}
	return s, nil
}

// start starts the process from a thread that stays until the process has
// ended: Linux sends the signal of the parent's death when the thread that
// started the process ends.
func (s *sandbox) start() error {
	cmd := exec.Command(s.options.Bootstrap)
	cmd.Dir = filepath.Dir(s.options.Bootstrap)
	cmd.Env = environment(s.options, s.listener.Addr().String())
	cmd.Stdout, cmd.Stderr = s.pipe.writer, s.pipe.writer
	cmd.SysProcAttr = processAttributes()
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		s.mu.Lock()
		s.started = time.Now()
		s.mu.Unlock()
		if err := cmd.Start(); err != nil {
			started <- err
			return
		}
		s.process = cmd.Process
		started <- nil
		_ = cmd.Wait() // what became of it is in the state
		s.state = cmd.ProcessState
		s.ended()
	}()
	if err := <-started; err != nil {
		return err
	}
	go s.limitInit()
	return nil
}

// limitInit ends a process that does not ask for work in time.
func (s *sandbox) limitInit() {
	timer := time.NewTimer(s.options.InitTimeout)
	defer timer.Stop()
	select {
	case <-s.ready:
	case <-s.exited:
	case <-timer.C:
		s.failInit("Sandbox.Timedout", fmt.Sprintf("Init timed out after %.2f seconds", s.options.InitTimeout.Seconds()))
		s.kill()
	}
}

func (s *sandbox) failInit(kind, message string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.initError == nil {
		s.initError = &InitError{Type: kind, Message: message}
	}
}

// ended takes in the rest of the logs and ends what is still in flight.
func (s *sandbox) ended() {
	s.pipe.close()
	s.failInit("Runtime.ExitError", exitMessage(s.state))
	s.mu.Lock()
	s.initError.ExitCode = s.state.ExitCode()
	s.initError.Logs = s.logs.between(s.logStart, s.logs.position())
	lost := s.inFlight
	s.inFlight = nil
	s.mu.Unlock()
	close(s.exited) // first: whoever learns that its invocation is lost may invoke again at once
	for _, inv := range lost {
		s.lose(inv)
	}
}

// lose ends an invocation whose process has ended without an answer.
func (s *sandbox) lose(inv *invocation) {
	inv.answer(exitFailure(inv.id, "Runtime.ExitError", exitMessage(s.state)))
	s.finish(inv)
}

func exitMessage(state *os.ProcessState) string {
	if state.Success() {
		return "Runtime exited without providing a reason"
	}
	return "Runtime exited with error: " + state.String()
}

func exitFailure(id, kind, message string) Invocation {
	return Invocation{FunctionError: true, ErrorType: kind,
		ErrorMessage: fmt.Sprintf("RequestId: %s Error: %s", id, message)}
}

// initFailure answers an invocation that found no process to go to.
func (s *sandbox) initFailure(inv *invocation) Invocation {
	s.mu.Lock()
	defer s.mu.Unlock()
	inv.answer(exitFailure(inv.id, s.initError.Type, s.initError.Message))
	result := inv.result
	result.Logs = s.initError.Logs
	return result
}

func (s *sandbox) waitReady(ctx context.Context) error {
	select {
	case <-s.ready:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-s.exited:
	}
	select {
	case <-s.ready: // it was, before it ended
		return nil
	default:
		return s.initError
	}
}

func (s *sandbox) initDuration() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.init
}

// finish ends an invocation once its lines are in the logbook.
func (s *sandbox) finish(inv *invocation) {
	s.noteRSS()
	s.pipe.flush()
	to := s.logs.position()
	inv.finish(func(from int) []string {
		lines := s.logs.between(from, to)
		if s.options.MaxConcurrency == 1 {
			return lines
		}
		var own []string
		for _, line := range lines {
			if strings.Contains(line, inv.id) {
				own = append(own, line)
			}
		}
		return own
	})
}

func (s *sandbox) noteRSS() {
	rss := peakRSS(s.process.Pid)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.peakRSS = max(s.peakRSS, rss)
}

func (s *sandbox) maxRSS() int64 {
	fallback := int64(0)
	select {
	case <-s.exited:
		fallback = rusageRSS(s.state)
	default:
		s.noteRSS()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return cmp.Or(s.peakRSS, fallback)
}

func (s *sandbox) kill() { _ = s.process.Kill() }

func (s *sandbox) close() {
	s.noteRSS()
	s.kill()
	<-s.exited
	_ = s.server.Close()
}

// environment is what Lambda sets, then what the caller sets.
func environment(o Options, address string) []string {
	dir := filepath.Dir(o.Bootstrap)
	vars := map[string]string{
		"AWS_LAMBDA_RUNTIME_API":          address,
		"AWS_LAMBDA_FUNCTION_NAME":        o.FunctionName,
		"AWS_LAMBDA_FUNCTION_VERSION":     "$LATEST",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
		"AWS_LAMBDA_INITIALIZATION_TYPE":  "on-demand",
		"AWS_LAMBDA_LOG_GROUP_NAME":       "/aws/lambda/" + o.FunctionName,
		"AWS_LAMBDA_LOG_STREAM_NAME":      time.Now().UTC().Format("2006/01/02/") + "[$LATEST]" + strings.ReplaceAll(newUUID(), "-", ""),
		"AWS_REGION":                      defaultRegion,
		"AWS_DEFAULT_REGION":              defaultRegion,
		"AWS_ACCESS_KEY_ID":               AccessKeyID,
		"AWS_SECRET_ACCESS_KEY":           SecretAccessKey,
		"AWS_SESSION_TOKEN":               SessionToken,
		"LAMBDA_TASK_ROOT":                dir,
		"LAMBDA_RUNTIME_DIR":              dir,
		"_HANDLER":                        "bootstrap",
		"HOME":                            dir,
		"LANG":                            "en_US.UTF-8",
		"TZ":                              ":UTC",
	}
	if o.MaxConcurrency > 1 {
		vars["AWS_LAMBDA_MAX_CONCURRENCY"] = strconv.Itoa(o.MaxConcurrency)
	}
	for _, name := range []string{"PATH", "TMPDIR"} {
		if value, ok := os.LookupEnv(name); ok {
			vars[name] = value
		}
	}
	for name, value := range o.Env {
		vars[name] = value
	}
	env := make([]string, 0, len(vars))
	for name, value := range vars {
		env = append(env, name+"="+value)
	}
	return env
}

func region(o Options) string {
	if r := o.Env["AWS_REGION"]; r != "" {
		return r
	}
	return defaultRegion
}
