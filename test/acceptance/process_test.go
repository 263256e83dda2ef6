package acceptance

import (
	"bytes"
	"debug/elf"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"segura-enable/simulated/runtimeapi"
	"segura-enable/simulated/secretsmanager"
	"segura-enable/simulated/seguratest"
	"segura-enable/simulated/stage"
)

func TestBootstraps_needNothingOfTheirSurroundings(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("the functions are compiled for this machine, which is no Linux")
	}
	for name, path := range bootstraps {
		file, err := elf.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if slices.ContainsFunc(file.Progs, func(segment *elf.Prog) bool { return segment.Type == elf.PT_INTERP }) {
			t.Errorf("%s is linked dynamically", name)
		}
		_ = file.Close()
	}
}

// What is wrong with the configuration ends init, with one line that names each variable.
func TestInit_failsForAConfigurationThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	many := map[string]string{
		"SEGURA_SECRET_ID": unset, "SEGURA_CREDENTIALS_TTL": "soon", "SEGURA_MAX_ATTEMPTS": "0", "SEGURA_ALLOWED_IDENTIFIERS": "7-5", "HTTPS_PROXY": "gopher://x",
	}
	for about, s := range map[string]setup{
		"several":          {env: many},
		"over HTTP":        {env: many, function: api},
		"as text":          {env: many, textLogs: true},
		"of the AWS SDK's": {env: map[string]string{"AWS_MAX_ATTEMPTS": "many"}},
	} {
		s.initFails = true
		w := start(t, s)
		logs := w.function.Logs()
		if w.initError.ExitCode == 0 || len(logs) != 1 || !strings.Contains(logs[0], "ERROR") {
			t.Errorf("%s: got exit code %d and the lines\n%s\nwant one, of level ERROR", about, w.initError.ExitCode, strings.Join(logs, "\n"))
			continue
		}
		for name := range s.env {
			if !strings.Contains(logs[0], name) {
				t.Errorf("%s: the line does not mention %s:\n%s", about, name, logs[0])
			}
		}
		w.counts(about, 0, 0, 0)
	}
}

func TestInit_waitsTwoSecondsForASilentSecretsManagerAndIsEndedByNothing(t *testing.T) {
	t.Parallel()
	w := start(t, setup{before: func(w *world) { w.secrets.Fail(secretsmanager.Hang, -1) }}) // which Lambda ends after 10 s
	w.secrets.ClearFaults()
	w.enables("the first invocation, with the fault gone", 5, "enabled, attempts 1")
}

func TestCaches_secretTokenAndConnectionAreReusedAcrossInvocations(t *testing.T) {
	t.Parallel()
	for _, function := range []string{api, event} {
		t.Run(function, func(t *testing.T) {
			t.Parallel()
			w := start(t, setup{function: function, segura: anyIdentifier})
			w.counts("after init", 1, 0, 1)
			for i := range int64(5) {
				if function == api {
					w.http(stage.HTTPEvent, fmt.Sprintf("/api-secrets/%d/enable", 1000+i), "")
				} else {
					w.enable(1000 + i)
				}
			}
			w.counts("after five invocations", 1, 5, 1)
			if n := w.segura.Connections(); n > 2 {
				t.Errorf("got %d connections, want one or two that are reused", n)
			}
		})
	}
}

func TestCredentials_thatChangeTakeTheirConnectionsWithThem(t *testing.T) {
	t.Parallel()
	w := start(t, setup{segura: anyIdentifier, env: map[string]string{"SEGURA_CREDENTIALS_TTL": alwaysExpired}})
	for n := range 5 {
		w.stack.PutSecret(map[string]any{"referer": fmt.Sprintf("https://number-%d.example", n)})
		w.enables("after the change", int64(1001+n), "enabled, attempts 1")
	}
	open := w.segura.OpenConnections()
	for again := 0; again < 2000 && open != 1; again++ {
		time.Sleep(10 * time.Millisecond)
		open = w.segura.OpenConnections()
	}
	if open != 1 {
		t.Errorf("got %d open connections after five changes of the credentials, want the one that is in use", open)
	}
}

func TestConcurrency_isBoundForEachInvocationByItself(t *testing.T) {
	t.Parallel()
	w := start(t, setup{segura: anyIdentifier, env: map[string]string{"SEGURA_MAX_CONCURRENCY": "3"}, concurrency: 2})
	// The first calls wait for their replies until there are six at once.
	six := make(chan struct{})
	w.segura.Fail(seguratest.Match{Kind: seguratest.KindEnable}, seguratest.Normally().Until(six), 6)
	go func() {
		defer close(six)
		_ = w.segura.Await(w.t.Context(), seguratest.KindEnable, 6)
	}()
	var group sync.WaitGroup
	for i := range int64(2) {
		group.Go(func() { w.invoke(list(upTo(1001+100*i, 1030+100*i)...)) })
	}
	group.Wait()
	if got := w.segura.Peak(seguratest.KindEnable); got != 6 {
		t.Errorf("got %d calls at once of two invocations, want three of each", got)
	}
}

func TestFrozenProcess_goesOnAfterwards(t *testing.T) {
	t.Parallel()
	w := start(t, setup{segura: seguratest.Options{AnyIdentifier: true, TokenLifetime: 2 * time.Second}})
	w.enables("before", 1001, "enabled, attempts 1")
	before := w.segura.Count(seguratest.KindToken)
	_ = w.function.Signal(syscall.SIGSTOP) // as Lambda does between two invocations
	time.Sleep(2500 * time.Millisecond)
	_ = w.function.Signal(syscall.SIGCONT)
	w.segura.DropConnections()
	if got := w.enable(1002).Items()[0]; got.Outcome != "enabled" {
		t.Errorf("got %+v (%+v), want enabled", got, got.Error)
	}
	if n := w.segura.Count(seguratest.KindToken); n != before+1 {
		t.Errorf("got %d token requests, want one more after the lifetime than the %d before", n, before)
	}
}

func TestAttemptTimeout_limitsOneAttempt(t *testing.T) {
	t.Parallel()
	const limit = 1500 * time.Millisecond
	for about, row := range map[string]struct {
		arrange  func(*world)
		want     string
		attempts time.Duration
	}{
		"a call":          {calls(seguratest.Hang()), "upstream_timeout, retryable, attempts 2", 2},
		"Secrets Manager": {func(w *world) { w.secrets.Fail(secretsmanager.Hang, -1) }, "credentials_unavailable, retryable, attempts 0", 1},
	} {
		t.Run(about, func(t *testing.T) {
			t.Parallel()
			w := start(t, setup{before: row.arrange, env: map[string]string{"SEGURA_ATTEMPT_TIMEOUT": limit.String(), "SEGURA_MAX_ATTEMPTS": "2", "AWS_MAX_ATTEMPTS": "1"}})
			a := w.enable(5)
			if got := written(a.Items()[0]); got != row.want || a.Duration < row.attempts*limit || a.Duration > row.attempts*limit+2*time.Second {
				t.Errorf("got %s after %v, want %s after %d times %v and a little", got, a.Duration, row.want, row.attempts, limit)
			}
		})
	}
}

func TestDeadline_theReplyAlwaysGoesOut(t *testing.T) {
	t.Parallel()
	const timeout = 2 * time.Second
	for about, with := range map[string]func(w *world){
		"the call hangs":          calls(seguratest.Hang()),
		"the call hangs half-way": calls(seguratest.HangMidBody()),
		"the token call hangs": func(w *world) {
			w.segura.RevokeTokens()
			w.segura.Fail(seguratest.Match{Kind: seguratest.KindToken}, seguratest.Hang(), -1)
		},
		"the handshake hangs": func(w *world) { _ = w.segura.RefuseConnections(seguratest.SilentOnAccept) },
		"Secrets Manager hangs": func(w *world) {
			w.secrets.Fail(secretsmanager.MarkedForDeletion, 1)
			w.enable(1)
			w.secrets.Fail(secretsmanager.Hang, -1)
		},
	} {
		t.Run(about, func(t *testing.T) {
			t.Parallel()
			w := start(t, setup{segura: anyIdentifier, env: map[string]string{"SEGURA_CREDENTIALS_TTL": alwaysExpired}})
			with(w)
			a := w.invoke(list(upTo(1001, 1020)...), runtimeapi.WithTimeout(timeout), grace())
			if a.Duration < timeout/2 || a.Result == nil || a.Result.FailedByCode["deadline_exceeded"] != 20 || a.Answer.ErrorType != "Segura.TransientError" {
				t.Errorf("got %s %.500s after %v of %v", a.Answer.ErrorType, a.Text, a.Duration, timeout)
			}
			check := w.invoke(`{"check":true}`, runtimeapi.WithTimeout(timeout), grace())
			if wantFailed := !strings.HasPrefix(about, "the call"); wantFailed != (check.Answer.ErrorType == "Segura.CheckFailed") {
				t.Errorf("the self-check: got %s %s", check.Answer.ErrorType, check.Text)
			}
		})
	}
}

// A Segura that is dead ends a request soon: no identifier waits for its own attempts to
// fail, each failure is worth repeating, and the next invocation finds out that it is back.
func TestDeadSegura_isGivenUpForTheRestOfARequest(t *testing.T) {
	t.Parallel()
	for code, dies := range map[string]func(*world){
		"upstream_timeout":     calls(seguratest.Hang()),
		"upstream_unreachable": func(w *world) { _ = w.segura.RefuseConnections(seguratest.NotListening) },
	} {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			w := start(t, setup{segura: anyIdentifier, env: map[string]string{"SEGURA_ATTEMPT_TIMEOUT": "1s"}})
			dies(w)
			a := w.invoke(list(upTo(1001, 2000)...), runtimeapi.WithTimeout(3*time.Minute))
			attempts := 0
			for _, item := range a.Items() {
				attempts += item.Attempts
			}
			if a.Result == nil || a.Result.FailedByCode[code] != 1000 || a.Answer.ErrorType != "Segura.TransientError" || attempts > 250 {
				t.Errorf("got %d attempts, %.500s", attempts, a.Text)
			}
			w.segura.ClearFaults()
			_ = w.segura.AcceptConnections()
			w.enables("afterwards", 5, "enabled, attempts 1")
		})
	}
}

// smallShare is a little less than what Lambda gives a function of 128 MB of one
// processor: 128 of the 1,769 MB that a whole one comes with.
const smallShare = 70 // thousandths

// processorTime is what all threads of the function have used of the processors
// so far.
func (w *world) processorTime() (sum time.Duration) {
	w.t.Helper()
	folder := fmt.Sprintf("/proc/%d/task", w.function.PID())
	threads, err := os.ReadDir(folder)
	if err != nil {
		w.t.Skipf("what a process has used is read from /proc, which this system has not: %v", err)
	}
	for _, thread := range threads {
		text, err := os.ReadFile(folder + "/" + thread.Name() + "/schedstat")
		fields := bytes.Fields(text)
		if err != nil || len(fields) == 0 {
			continue // it has just ended
		}
		n, _ := strconv.ParseInt(string(fields[0]), 10, 64)
		sum += time.Duration(n)
	}
	return sum
}

// What is left to do when the time for work is over is measured in time of the
// processor, which a busy machine does not change: Lambda gives a small function
// that little of it in the time that is kept back.
func TestDeadline_whatIsLeftForTheEndSuitsTheProcessorOfASmallFunction(t *testing.T) {
	t.Parallel()
	const (
		timeout  = 9 * time.Second
		keptBack = 500*time.Millisecond + 10_000*300*time.Microsecond
	)
	w := start(t, setup{segura: anyIdentifier})
	w.enable(1) // so that connection and token are there
	calls(seguratest.Hang())(w)
	var before time.Duration
	measured := make(chan struct{})
	time.AfterFunc(timeout-keptBack-500*time.Millisecond, func() {
		defer close(measured)
		before = w.processorTime()
	})

	a := w.invoke(list(upTo(10_001, 20_000)...), runtimeapi.WithTimeout(timeout), grace())

	<-measured
	used := w.processorTime() - before
	if n := a.Result.FailedByCode["deadline_exceeded"]; n != 10_000 || len(lines(t, a.Logs, stage.Line.IsAudit)) != n {
		t.Fatalf("got %v, want 10,000 of deadline_exceeded, each with an audit line", a.Result.FailedByCode)
	}
	// A slow or crowded processor may take twice as long for the same.
	if most := 2 * keptBack / 1000 * smallShare; used > most {
		t.Errorf("the end took %v of a processor, want at most %v", used, most)
	}
	t.Logf("the end took %v of a processor, and %v until the reply", used, a.Duration-(timeout-keptBack))
}
