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
	"strconv"
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
	var output stage.Buffer
	f := start(t, runtimeapi.Options{FunctionName: "ApiFunction", Output: &output})
	if err := f.WaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}

	first := invoke(t, f, `{"do":"half","text":"one"}`)
	second := invoke(t, f, `{"text":"two"}`, runtimeapi.WithTimeout(time.Minute), runtimeapi.WithClientContext(`{"Client":{"app_title":"tester"}}`))

	if first.FunctionError || first.Duration <= 0 || f.InitDuration() <= 0 {
		t.Errorf("got function error %v after %v, init %v", first.FunctionError, first.Duration, f.InitDuration())
	}
	got := read(t, second)
	for what, row := range map[string][2]string{
		"request id": {first.RequestID, `[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}`},
		"text":       {got.Text, "two"},
		"client":     {got.Client, "tester"},
		"ARN":        {got.ARN, "arn:aws:lambda:eu-west-1:123456789012:function:ApiFunction"},
		"trace":      {got.Trace, "Root=1-[0-9a-f]{8}-[0-9a-f]{24};Parent=[0-9a-f]{16};Sampled=0"},
		"ms left":    {strconv.Itoa(got.LeftMS), "[2-5][0-9]{4}|60000"}, // of 60,000, where the function has 20,000
	} {
		if !regexp.MustCompile("^(" + row[1] + ")$").MatchString(row[0]) {
			t.Errorf("%s: got %q, want %q", what, row[0], row[1])
		}
	}
	lines := []string{"out " + first.RequestID + " one", "err " + first.RequestID + " one"}
	if !slices.Equal(first.Logs, lines) {
		t.Errorf("logs: got %q, want %q", first.Logs, lines)
	}
	whole := []string{"half a line out " + second.RequestID + " two", "err " + second.RequestID + " two"}
	if !slices.Equal(second.Logs, whole) {
		t.Errorf("logs after half a line: got %q, want %q", second.Logs, whole)
	}
	want := slices.Concat([]string{"init line"}, lines, whole)
	if got := f.Logs(); !slices.Equal(got, want) {
		t.Errorf("all logs: got %q, want %q", got, want)
	}
	if got, want := output.String(), strings.Join(want, "\n")+"\n"; got != want {
		t.Errorf("output: got %q, want %q", got, want)
	}
}

func TestInvoke_tellsTypeAndMessageOfAFunctionError(t *testing.T) {
	f := start(t, runtimeapi.Options{})
	// The error comes once more in a header, for X-Ray, where it has less than 1 MiB in all.
	for event, want := range map[string]runtimeapi.Invocation{
		`{"do":"fail","text":"broken"}`:    {ErrorType: "Test.Failure", ErrorMessage: "broken", XRayCause: "Test.Failure"},
		`{"do":"fail","bytes":1048000}`:    {ErrorType: "Test.Failure", ErrorMessage: strings.Repeat("x", 1048000), XRayCause: strings.Repeat("x", 1048000)},
		`{"do":"error","text":"plain"}`:    {ErrorType: "errorString", ErrorMessage: "plain"},
		`{"do":"panic","text":"oops"}`:     {ErrorType: "string", ErrorMessage: "oops"}, // ends the process
		`{"do":"exit","text":"with exit"}`: {ErrorType: "Runtime.ExitError", ErrorMessage: "exit status 7"},
	} {
		got := invoke(t, f, event)

		if !got.FunctionError || got.ErrorType != want.ErrorType || !strings.HasSuffix(got.ErrorMessage, want.ErrorMessage) || !strings.Contains(got.XRayCause, want.XRayCause) {
			t.Errorf("%s: got %v %q %.100q and for X-Ray %.100q", event, got.FunctionError, got.ErrorType, got.ErrorMessage, got.XRayCause)
		}
		if got := read(t, invoke(t, f, `{"text":"still here"}`)).Text; got != "still here" {
			t.Errorf("after %s: got %q", event, got)
		}
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

func TestWaitReady_tellsWhyInitFailed(t *testing.T) {
	for _, row := range []struct {
		init  string
		limit time.Duration
		code  int
		want  string
		lines int // at least
	}{
		{"fail", 0, 3, "init failed: Runtime.ExitError: Runtime exited with error: exit status 3: SETTING is not a number", 2},
		{"hang", 200 * time.Millisecond, -1, "init failed: Sandbox.Timedout: Init timed out after 0.20 seconds", 0},
	} {
		f := start(t, runtimeapi.Options{Env: map[string]string{"INIT": row.init}, InitTimeout: row.limit})

		err := f.WaitReady(t.Context())

		var got *runtimeapi.InitError
		if !errors.As(err, &got) || got.ExitCode != row.code || !strings.HasPrefix(err.Error(), row.want) {
			t.Fatalf("%s: got %v, want %s", row.init, err, row.want)
		}
		if code, exited := f.Exited(); !exited || code != row.code {
			t.Errorf("%s: got exit %v %d", row.init, exited, code)
		}
		if inv := invoke(t, f, `{}`); inv.ErrorType != got.Type || !strings.Contains(inv.ErrorMessage, got.Message) || len(inv.Logs) < row.lines {
			t.Errorf("%s: invocation: got %+v", row.init, inv)
		}
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

func TestMaxRSS_countsTheMemoryOfTheProcess(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("known on Linux alone")
	}
	f := start(t, runtimeapi.Options{})
	invoke(t, f, `{}`)
	if before := f.MaxRSS(); before == 0 || before > 30<<20 {
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

// TestParent is not a test: it is the parent of the next one, which kills it.
func TestParent(t *testing.T) {
	if os.Getenv("RUNTIMEAPI_PARENT") == "" {
		t.Skip("started by another test")
	}
	f, err := runtimeapi.Start(context.Background(), runtimeapi.Options{Bootstrap: os.Getenv("RUNTIMEAPI_PARENT"), Timeout: time.Hour, Output: os.Stdout})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.WaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	fmt.Printf("pid=%d\n", f.PID())
	event := `{}`
	if runtime.GOOS == "linux" {
		event = `{"do":"sleep","text":"1h"}` // elsewhere it only ends when it misses its Runtime API
	}
	invoke(t, f, event)
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
		_, _ = fmt.Sscan(after, &pid)
		return ok && strings.Contains(after, "out ")
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

func waitFor(t *testing.T, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("waited in vain")
		}
	}
}
