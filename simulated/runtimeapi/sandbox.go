package runtimeapi

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"time"
)

// InitError tells that a process ended before it asked for an invocation.
type InitError struct {
	ExitCode int      // -1 for a signal
	Type     string   // Lambda's own
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
	initError *InitError // also where it had been ready
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
	s := &sandbox{options: options, logs: logs, pipe: pipe, listener: listener, started: time.Now(),
		queue: make(chan *invocation), ready: make(chan struct{}), exited: make(chan struct{}),
		inFlight: map[string]*invocation{}, logStart: logs.position()}
	s.server = &http.Server{Handler: s.routes(), ReadHeaderTimeout: time.Minute}
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
		s.mu.Lock()
		s.initError = &InitError{Type: "Sandbox.Timedout", Message: fmt.Sprintf("Init timed out after %.2f seconds", s.options.InitTimeout.Seconds())}
		s.mu.Unlock()
		s.kill()
	}
}

// ended takes in the rest of the logs and ends what is still in flight.
func (s *sandbox) ended() {
	s.pipe.close()
	s.mu.Lock()
	if s.initError == nil {
		s.initError = &InitError{Type: "Runtime.ExitError", Message: exitMessage(s.state)}
	}
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

func exitMessage(state *os.ProcessState) string {
	if state.Success() {
		return "Runtime exited without providing a reason"
	}
	return "Runtime exited with error: " + state.String()
}

func (s *sandbox) waitReady(ctx context.Context) error {
	select {
	case <-s.ready:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-s.exited:
	}
	if s.initDuration() > 0 {
		return nil // it was ready, before it ended
	}
	return s.initError
}

func (s *sandbox) initDuration() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.init
}

func (s *sandbox) kill() { _ = s.process.Kill() }

func (s *sandbox) close() {
	s.kill()
	<-s.exited
	_ = s.server.Close()
}

// environment is what Lambda sets, then what the caller sets: of several values the last counts.
func environment(o Options, address string) []string {
	dir := filepath.Dir(o.Bootstrap)
	env := []string{
		"AWS_LAMBDA_RUNTIME_API=" + address,
		"AWS_LAMBDA_FUNCTION_NAME=" + o.FunctionName,
		"AWS_LAMBDA_FUNCTION_VERSION=$LATEST",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE=128",
		"AWS_LAMBDA_INITIALIZATION_TYPE=on-demand",
		"AWS_LAMBDA_LOG_GROUP_NAME=/aws/lambda/" + o.FunctionName,
		"AWS_LAMBDA_LOG_STREAM_NAME=" + time.Now().UTC().Format("2006/01/02/") + "[$LATEST]" + randomHex(16),
		"AWS_REGION=" + defaultRegion, "AWS_DEFAULT_REGION=" + defaultRegion,
		"AWS_ACCESS_KEY_ID=" + AccessKeyID, "AWS_SECRET_ACCESS_KEY=" + SecretAccessKey, "AWS_SESSION_TOKEN=" + SessionToken,
		"LAMBDA_TASK_ROOT=" + dir, "LAMBDA_RUNTIME_DIR=" + dir, "HOME=" + dir,
		"_HANDLER=bootstrap", "LANG=en_US.UTF-8", "TZ=:UTC",
		"PATH=" + os.Getenv("PATH"), "TMPDIR=" + os.TempDir(),
	}
	if o.MaxConcurrency > 1 {
		env = append(env, "AWS_LAMBDA_MAX_CONCURRENCY="+strconv.Itoa(o.MaxConcurrency))
	}
	for name, value := range o.Env {
		env = append(env, name+"="+value)
	}
	return env
}
