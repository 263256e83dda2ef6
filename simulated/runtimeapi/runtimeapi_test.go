package runtimeapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"segura-enable/simulated/runtimeapi"
	"segura-enable/simulated/stage"
)

var bootstrap string

func TestMain(m *testing.M) {
	if os.Getenv("RUNTIMEAPI_PARENT") != "" {
		os.Exit(m.Run()) // it is killed, and would leave what it compiles
	}
	const function = "./simulated/runtimeapi/testdata/function"
	var built map[string]string
	dir, err := os.MkdirTemp("", "runtimeapi")
	if err == nil {
		built, err = stage.Build(context.Background(), dir, stage.BuildOptions{}, function)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	bootstrap = built[function]
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

func start(t *testing.T, options runtimeapi.Options) *runtimeapi.Function {
	t.Helper()
	options.Bootstrap = bootstrap
	if options.Timeout == 0 {
		options.Timeout = 20 * time.Second
	}
	f, err := runtimeapi.Start(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func invoke(t *testing.T, f *runtimeapi.Function, event string, options ...runtimeapi.InvokeOption) runtimeapi.Invocation {
	t.Helper()
	inv, err := f.Invoke(t.Context(), []byte(event), options...)
	if err != nil {
		t.Fatalf("invoke with %s: %v", event, err)
	}
	return inv
}

type reply struct {
	Text, Client, ARN, Trace string
	PID                      int
	LeftMS                   int `json:"left_ms"`
}

func read(t *testing.T, inv runtimeapi.Invocation) (r reply) {
	t.Helper()
	if err := json.Unmarshal(inv.Payload, &r); err != nil {
		t.Fatalf("payload %s: %v", inv.Payload, err)
	}
	return r
}

func TestInvoke_returnsTheResponseAndTheLinesOfThatInvocation(t *testing.T) {
	f := start(t, runtimeapi.Options{FunctionName: "ApiFunction"})
	if err := f.WaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}

	first := invoke(t, f, `{"text":"one"}`)
	second := invoke(t, f, `{"text":"two"}`)

	if got := read(t, second).Text; got != "two" {
		t.Errorf("text: got %q, want two", got)
	}
	if first.FunctionError || first.Duration <= 0 {
		t.Errorf("got function error %v after %v", first.FunctionError, first.Duration)
	}
	if !regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(first.RequestID) {
		t.Errorf("request id %q is no UUID", first.RequestID)
	}
	want := []string{"out " + first.RequestID + " one", "err " + first.RequestID + " one"}
	if !slices.Equal(first.Logs, want) {
		t.Errorf("logs: got %q, want %q", first.Logs, want)
	}
	if got := f.Logs(); len(got) != 5 || got[0] != "init line" {
		t.Errorf("all logs: got %q, want the init line and four more", got)
	}
	if f.InitDuration() <= 0 {
		t.Error("no init duration")
	}
	if got, want := read(t, first).ARN, "arn:aws:lambda:eu-west-1:123456789012:function:ApiFunction"; got != want {
		t.Errorf("ARN: got %q, want %q", got, want)
	}
}

func TestInvoke_passesDeadlineTraceAndClientContext(t *testing.T) {
	f := start(t, runtimeapi.Options{Timeout: time.Second})

	inv := invoke(t, f, `{}`, runtimeapi.WithTimeout(time.Minute),
		runtimeapi.WithClientContext(`{"Client":{"app_title":"tester"}}`))

	got := read(t, inv)
	if got.LeftMS > 60_000 || got.LeftMS < 20_000 {
		t.Errorf("got %d ms left of 60,000", got.LeftMS)
	}
	if got.Client != "tester" {
		t.Errorf("got client %q", got.Client)
	}
	if trace := got.Trace; !regexp.MustCompile(`^Root=1-[0-9a-f]{8}-[0-9a-f]{24};Parent=[0-9a-f]{16};Sampled=0$`).MatchString(trace) {
		t.Errorf("made-up trace %q", trace)
	}
}

func TestInvoke_tellsTypeAndMessageOfAFunctionError(t *testing.T) {
	f := start(t, runtimeapi.Options{})

	inv := invoke(t, f, `{"do":"fail","text":"broken"}`)

	if !inv.FunctionError || inv.ErrorType != "Test.Failure" || inv.ErrorMessage != "broken" {
		t.Errorf("got %v %q %q", inv.FunctionError, inv.ErrorType, inv.ErrorMessage)
	}
	if !strings.Contains(inv.XRayCause, "Test.Failure") {
		t.Errorf("X-Ray cause %q", inv.XRayCause)
	}
	if got := invoke(t, f, `{"do":"error","text":"plain"}`); got.ErrorType != "errorString" {
		t.Errorf("type of a plain error: got %q", got.ErrorType)
	}
	if got := read(t, invoke(t, f, `{"text":"still here"}`)).Text; got != "still here" {
		t.Errorf("after the errors: got %q", got)
	}
}

func TestInvoke_takesAnErrorThatFillsTheHeaderOfXRay(t *testing.T) {
	f := start(t, runtimeapi.Options{})

	inv := invoke(t, f, `{"do":"fail","bytes":1000000}`)

	if len(inv.ErrorMessage) != 1000000 || len(inv.XRayCause) < 1000000 {
		t.Errorf("got a message of %d bytes and a cause of %d", len(inv.ErrorMessage), len(inv.XRayCause))
	}
}

func TestInvoke_refusesAResponseThatLambdaRefuses(t *testing.T) {
	f := start(t, runtimeapi.Options{})

	inv := invoke(t, f, `{"do":"large","bytes":6291600}`)

	if inv.ErrorType != "Function.ResponseSizeTooLarge" {
		t.Errorf("got %q", inv.ErrorType)
	}
	if inv := invoke(t, f, `{"do":"large","bytes":6000000}`); inv.FunctionError || len(inv.Payload) != 6000002 {
		t.Errorf("6 MB: got %q and %d bytes", inv.ErrorType, len(inv.Payload))
	}
}

func TestInvoke_endsTheProcessAtTheDeadlineAndStartsAnother(t *testing.T) {
	f := start(t, runtimeapi.Options{})
	before := read(t, invoke(t, f, `{}`)).PID

	inv := invoke(t, f, `{"do":"sleep","text":"1m"}`, runtimeapi.WithTimeout(1500*time.Millisecond))

	if !inv.TimedOut || inv.ErrorType != "Sandbox.Timedout" || !strings.HasSuffix(inv.ErrorMessage, "Task timed out after 1.50 seconds") {
		t.Errorf("got %+v", inv)
	}
	if len(inv.Logs) != 2 {
		t.Errorf("logs: got %q", inv.Logs)
	}
	if after := read(t, invoke(t, f, `{}`)).PID; after == before {
		t.Errorf("process %d is still there", before)
	}
	assertGone(t, before)
}

func TestInvoke_reportsAProcessThatEndsAndStartsAnother(t *testing.T) {
	f := start(t, runtimeapi.Options{})

	for event, want := range map[string]string{
		`{"do":"exit"}`:                "Runtime.ExitError",
		`{"do":"panic","text":"oops"}`: "string",
	} {
		inv := invoke(t, f, event)
		if !inv.FunctionError || inv.ErrorType != want {
			t.Errorf("%s: got %q %q, want %q", event, inv.ErrorType, inv.ErrorMessage, want)
		}
	}
	if got := read(t, invoke(t, f, `{"text":"back"}`)).Text; got != "back" {
		t.Errorf("got %q", got)
	}
}

func TestWaitReady_tellsWhyInitFailed(t *testing.T) {
	f := start(t, runtimeapi.Options{Env: map[string]string{"INIT": "fail"}})

	err := f.WaitReady(t.Context())

	var initError *runtimeapi.InitError
	if !errors.As(err, &initError) || initError.ExitCode != 3 || initError.Type != "Runtime.ExitError" {
		t.Fatalf("got %v", err)
	}
	if !strings.Contains(err.Error(), "SETTING is not a number") {
		t.Errorf("the error lacks the function's last line: %v", err)
	}
	if code, exited := f.Exited(); !exited || code != 3 {
		t.Errorf("got exit %v %d", exited, code)
	}
	if inv := invoke(t, f, `{}`); inv.ErrorType != "Runtime.ExitError" || !strings.Contains(inv.ErrorMessage, "exit status 3") || len(inv.Logs) != 2 {
		t.Errorf("invocation: got %+v", inv)
	}
}

func TestWaitReady_endsAnInitThatHangs(t *testing.T) {
	f := start(t, runtimeapi.Options{Env: map[string]string{"INIT": "hang"}, InitTimeout: 200 * time.Millisecond})

	err := f.WaitReady(t.Context())

	var initError *runtimeapi.InitError
	if !errors.As(err, &initError) || initError.Type != "Sandbox.Timedout" {
		t.Fatalf("got %v", err)
	}
}

func TestStart_givesTheProcessLambdasEnvironmentOnly(t *testing.T) {
	t.Setenv("AWS_PROFILE", "developer")
	t.Setenv("HTTPS_PROXY", "http://proxy.invalid:3128")
	f := start(t, runtimeapi.Options{FunctionName: "EventFunction",
		Env: map[string]string{"OWN": "value", "AWS_REGION": "sa-east-1"}})

	inv := invoke(t, f, `{"do":"env"}`)

	var env []string
	if err := json.Unmarshal(inv.Payload, &env); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"OWN=value", "AWS_REGION=sa-east-1", "AWS_LAMBDA_FUNCTION_NAME=EventFunction",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE=128", "AWS_LAMBDA_FUNCTION_VERSION=$LATEST", "_HANDLER=bootstrap",
		"AWS_LAMBDA_LOG_GROUP_NAME=/aws/lambda/EventFunction", "LAMBDA_TASK_ROOT=" + filepath.Dir(bootstrap)} {
		if !slices.Contains(env, want) {
			t.Errorf("%s is missing", want)
		}
	}
	for _, variable := range env {
		if strings.HasPrefix(variable, "AWS_PROFILE=") || strings.HasPrefix(variable, "HTTPS_PROXY=") {
			t.Errorf("%s came through", variable)
		}
	}
}

func TestInvoke_runsSeveralAtOnceWhereTheFunctionMay(t *testing.T) {
	f := start(t, runtimeapi.Options{MaxConcurrency: 4})

	var group sync.WaitGroup
	for i := range 4 {
		group.Go(func() {
			inv := invoke(t, f, `{"do":"meet","number":4}`)
			if inv.FunctionError || len(inv.Logs) != 2 || !strings.Contains(inv.Logs[0], inv.RequestID) {
				t.Errorf("invocation %d: got %s, logs %q", i, inv.Payload, inv.Logs)
			}
		})
	}
	group.Wait()
}

func TestInvoke_queuesWhereTheFunctionTakesOneAtATime(t *testing.T) {
	f := start(t, runtimeapi.Options{})

	var group sync.WaitGroup
	begin := time.Now()
	for range 3 {
		group.Go(func() {
			if inv := invoke(t, f, `{"do":"sleep","text":"100ms"}`); inv.FunctionError {
				t.Errorf("got %q", inv.ErrorMessage)
			}
		})
	}
	group.Wait()

	if took := time.Since(begin); took < 300*time.Millisecond {
		t.Errorf("three of 100 ms took %v", took)
	}
}

func TestSignal_freezesAndThawsTheProcess(t *testing.T) {
	f := start(t, runtimeapi.Options{})
	invoke(t, f, `{}`)
	if err := f.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return stopped(f.PID()) })
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()

	if inv, err := f.Invoke(ctx, []byte(`{}`)); err == nil {
		t.Errorf("a frozen process answered %s", inv.Payload)
	}

	if err := f.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if got := read(t, invoke(t, f, `{"text":"thawed"}`)).Text; got != "thawed" {
		t.Errorf("got %q", got)
	}
}

func TestMaxRSS_countsTheMemoryOfTheProcess(t *testing.T) {
	f := start(t, runtimeapi.Options{})
	invoke(t, f, `{}`)
	if before := f.MaxRSS(); runtime.GOOS == "linux" && (before == 0 || before > 30<<20) {
		t.Errorf("before: got %d bytes", before)
	}

	invoke(t, f, `{"do":"allocate","bytes":50000000}`)
	_ = f.Close()

	if got := f.MaxRSS(); got < 50e6 || got > 100e6 {
		t.Errorf("got %d bytes after allocating 50 MB", got)
	}
}

func TestClose_endsTheProcessAndWhatItWasDoing(t *testing.T) {
	f := start(t, runtimeapi.Options{})
	pid := read(t, invoke(t, f, `{}`)).PID
	if pid != f.PID() {
		t.Fatalf("PID: got %d, want %d", f.PID(), pid)
	}
	answer := make(chan runtimeapi.Invocation)
	go func() {
		inv, _ := f.Invoke(context.Background(), []byte(`{"do":"sleep","text":"1m"}`))
		answer <- inv
	}()
	waitFor(t, func() bool { return len(f.Logs()) == 5 })

	if err := errors.Join(f.Close(), f.Close()); err != nil {
		t.Fatal(err)
	}

	if inv := <-answer; inv.ErrorType != "Runtime.ExitError" {
		t.Errorf("got %q", inv.ErrorType)
	}
	assertGone(t, pid)
	if _, err := f.Invoke(t.Context(), nil); !errors.Is(err, runtimeapi.ErrClosed) {
		t.Errorf("after Close: got %v", err)
	}
}

func TestStart_copiesEachLineToTheOutput(t *testing.T) {
	var output stage.Buffer
	f := start(t, runtimeapi.Options{Output: &output})

	inv := invoke(t, f, `{"text":"hello"}`)

	if want := "out " + inv.RequestID + " hello\n"; !strings.Contains(output.String(), want) {
		t.Errorf("got %q, want %q in it", output.String(), want)
	}
}

// TestParent is not a test: it is the parent of the next one, which kills it.
func TestParent(t *testing.T) {
	if os.Getenv("RUNTIMEAPI_PARENT") == "" {
		t.Skip("started by another test")
	}
	f, err := runtimeapi.Start(context.Background(), runtimeapi.Options{Bootstrap: os.Getenv("RUNTIMEAPI_PARENT")})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.WaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	fmt.Printf("pid=%d\n", f.PID())
	time.Sleep(time.Minute)
}

func TestStart_leavesNoProcessBehindWhenItsParentIsKilled(t *testing.T) {
	parent := exec.Command(os.Args[0], "-test.run=^TestParent$", "-test.v")
	parent.Env = append(os.Environ(), "RUNTIMEAPI_PARENT="+bootstrap)
	var output stage.Buffer
	parent.Stdout = &output
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	var pid int
	waitFor(t, func() bool {
		_, after, ok := strings.Cut(output.String(), "pid=")
		if ok {
			_, _ = fmt.Sscan(after, &pid)
		}
		return ok
	})

	_ = parent.Process.Kill()
	_ = parent.Wait()

	waitFor(t, func() bool { return gone(pid) })
}

func assertGone(t *testing.T, pid int) {
	t.Helper()
	if !gone(pid) {
		t.Errorf("process %d is still there", pid)
	}
}

// gone also takes an orphan for gone that nobody has collected yet.
func gone(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return true
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && bytes.Contains(stat, []byte(") Z "))
}

// stopped reports whether a process is stopped, where the system tells.
func stopped(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || bytes.Contains(stat, []byte(") T "))
}

func waitFor(t *testing.T, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("waited in vain")
		}
	}
}
