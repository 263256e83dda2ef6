package acceptance

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"segura-enable/simulated/runtimeapi"
	"segura-enable/simulated/seguratest"
)

func TestAttemptTimeout_limitsOneAttempt(t *testing.T) {
	t.Parallel()
	const limit = 1500 * time.Millisecond
	env := map[string]string{"SEGURA_ATTEMPT_TIMEOUT": limit.String(), "SEGURA_MAX_ATTEMPTS": "2", "AWS_MAX_ATTEMPTS": "1"}
	about := func(t *testing.T, inv invocation, attempts time.Duration) {
		t.Helper()
		if inv.Duration < attempts*limit || inv.Duration > attempts*limit+2*time.Second {
			t.Errorf("took %v, want %d times %v and a little", inv.Duration, attempts, limit)
		}
	}
	t.Run("of a call", func(t *testing.T) {
		t.Parallel()
		w := start(t, setup{env: env})
		w.segura.Fail(seguratest.Match{Kind: seguratest.KindEnable}, seguratest.Hang(), -1)
		inv := w.enable(5)
		is(t, inv.result.Results[0], "hang", "failed", "upstream_timeout", true, 2)
		about(t, inv, 2)
	})
	t.Run("of Secrets Manager", func(t *testing.T) {
		t.Parallel()
		w := start(t, setup{env: env, before: func(w *world) { w.secrets.Fail("hang", -1) }})
		inv := w.enable(5)
		is(t, inv.result.Results[0], "hang", "failed", "credentials_unavailable", true, 0)
		about(t, inv, 1)
	})
}

func TestDeadline_theReplyAlwaysGoesOut(t *testing.T) {
	t.Parallel()
	hang := seguratest.Hang()
	table := []struct {
		about string
		with  func(w *world)
		code  string // several, separated by |
	}{
		{"the call hangs", func(w *world) { w.segura.Fail(seguratest.Match{Kind: seguratest.KindEnable}, hang, -1) }, "deadline_exceeded"},
		{"the call hangs half-way", func(w *world) {
			w.segura.Fail(seguratest.Match{Kind: seguratest.KindEnable}, seguratest.HangMidBody(), -1)
		}, "deadline_exceeded"},
		{"the token call hangs", func(w *world) {
			w.segura.RevokeTokens()
			w.segura.Fail(seguratest.Match{Kind: seguratest.KindToken}, hang, -1)
		}, "deadline_exceeded"},
		{"the handshake hangs", func(w *world) { _ = w.segura.RefuseConnections(seguratest.SilentOnAccept) }, "deadline_exceeded"},
		{"Secrets Manager hangs", func(w *world) {
			w.secrets.Fail("marked_for_deletion", 1)
			w.enable(1)
			w.secrets.Fail("hang", -1)
		}, "deadline_exceeded"},
	}
	for _, row := range table {
		for _, timeout := range []time.Duration{time.Second, 3 * time.Second} {
			t.Run(fmt.Sprintf("%s, %v", row.about, timeout), func(t *testing.T) {
				t.Parallel()
				w := start(t, setup{segura: seguratest.Options{AnyIdentifier: true}, env: map[string]string{"SEGURA_CREDENTIALS_TTL": alwaysExpired}})
				row.with(w)
				inv := w.invoke(list("enable", upTo(1001, 1020)...), runtimeapi.WithTimeout(timeout), grace())
				if inv.TimedOut {
					return // the world complains
				}
				if inv.Duration < timeout/2 {
					t.Errorf("took %v of %v: it gave up early", inv.Duration, timeout)
				}
				if len(inv.result.Results) != 20 || inv.result.Failed != 20 || inv.ErrorType != "Segura.TransientError" {
					t.Fatalf("got %s %.500s", inv.ErrorType, inv.text)
				}
				for _, got := range inv.result.Results {
					is(t, got, row.about, "failed", row.code, true, got.Attempts)
				}
				w.segura.ClearFaults()
			})
		}
	}
}

func TestDeadline_cutsALongRequestAndTellsOfEachIdentifier(t *testing.T) {
	t.Parallel()
	w := start(t, setup{
		timeout: 3 * time.Second,
		segura:  seguratest.Options{AnyIdentifier: true, Latency: seguratest.Latency{Call: 100 * time.Millisecond}},
	})
	inv := w.enable(upTo(1001, 2000)...)
	r := inv.result
	if r.Requested != 1000 || *r.Enabled+*r.AlreadyEnabled+r.Failed != 1000 {
		t.Errorf("the counts do not add up: %.300s", inv.text)
	}
	if *r.Enabled < 8 || r.FailedByCode["deadline_exceeded"] < 500 {
		t.Errorf("got %d enabled, %v failed; want some, and most deadline_exceeded", *r.Enabled, r.FailedByCode)
	}
	if r.Outcome != "partially_succeeded" || inv.ErrorType != "Segura.TransientError" {
		t.Errorf("got %s, %s; want partially_succeeded, Segura.TransientError", r.Outcome, inv.ErrorType)
	}
	if got := auditLines(inv.Logs); got != 1000 {
		t.Errorf("got %d audit lines, want 1000", got)
	}
	untouched := 0
	for _, one := range r.Results {
		if one.Attempts == 0 {
			untouched++
		}
	}
	if untouched == 0 {
		t.Error("no identifier has 0 attempts, though most were never called for")
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
	w := start(t, setup{segura: seguratest.Options{AnyIdentifier: true}})
	w.enable(1) // so that connection and token are there
	w.segura.Fail(seguratest.Match{Kind: seguratest.KindEnable}, seguratest.Hang(), -1)
	var before time.Duration
	measured := make(chan struct{})
	time.AfterFunc(timeout-keptBack-500*time.Millisecond, func() {
		defer close(measured)
		before = w.processorTime()
	})

	inv := w.invoke(list("enable", upTo(10_001, 20_000)...), runtimeapi.WithTimeout(timeout), runtimeapi.WithGrace(time.Minute))

	<-measured
	used := w.processorTime() - before
	if n := inv.result.FailedByCode["deadline_exceeded"]; n != 10_000 {
		t.Fatalf("got %v, want 10,000 of deadline_exceeded", inv.result.FailedByCode)
	}
	if n := auditLines(inv.Logs); n != 10_000 {
		t.Errorf("got %d audit lines, want 10,000", n)
	}
	// A slow or crowded processor may take twice as long for the same.
	if most := 2 * keptBack / 1000 * smallShare; used > most {
		t.Errorf("the end took %v of a processor, want at most %v", used, most)
	}
	t.Logf("the end took %v of a processor, and %v until the reply", used, inv.Duration-(timeout-keptBack))
}
