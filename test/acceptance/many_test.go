package acceptance

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"segura-enable/simulated/runtimeapi"
	"segura-enable/simulated/secretsmanager"
	"segura-enable/simulated/seguratest"
	"segura-enable/simulated/stage"
)

func TestConcurrency_isBoundForEachInvocationByItself(t *testing.T) {
	t.Parallel()
	w := start(t, setup{
		segura:      seguratest.Options{AnyIdentifier: true, Latency: seguratest.Latency{Call: 20 * time.Millisecond}},
		env:         map[string]string{"SEGURA_MAX_CONCURRENCY": "3"},
		concurrency: 2,
	})
	w.holdUntilAtOnce(seguratest.Normally(), 6)
	var group sync.WaitGroup
	for i := range int64(2) {
		group.Go(func() { w.enable(upTo(1001+100*i, 1030+100*i)...) })
	}
	group.Wait()
	if got := w.segura.Peak(seguratest.KindEnable); got != 6 {
		t.Errorf("got %d calls at once of two invocations, want three of each", got)
	}
}

// succeeded counts those enabled, before or now: where an attempt was too slow,
// the next one finds its work done.
func succeeded(r stage.Result) int {
	n := 0
	for _, count := range []*int{r.Enabled, r.AlreadyEnabled, r.Disabled, r.AlreadyDisabled} {
		if count != nil {
			n += *count
		}
	}
	return n
}

func TestDeadSegura_isAskedAgainByTheNextInvocation(t *testing.T) {
	t.Parallel()
	w := start(t, setup{segura: seguratest.Options{AnyIdentifier: true}})
	if err := w.segura.RefuseConnections(seguratest.NotListening); err != nil {
		t.Fatal(err)
	}
	w.enable(upTo(1001, 1100)...)
	if err := w.segura.AcceptConnections(); err != nil {
		t.Fatal(err)
	}
	if inv := w.enable(upTo(1001, 1100)...); *inv.result.Enabled != 100 {
		t.Errorf("got %.300s", inv.text)
	}
}

func TestDroppedConnections_loseNothing(t *testing.T) {
	t.Parallel()
	w := start(t, setup{segura: seguratest.Options{AnyIdentifier: true, Latency: seguratest.Latency{Call: 20 * time.Millisecond}}})
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 3 {
			select {
			case <-time.After(300 * time.Millisecond):
				w.segura.DropConnections()
			case <-stop:
			}
		}
	}()
	inv := w.enable(upTo(1001, 1500)...)
	close(stop)
	<-done
	if got := succeeded(inv.result); got != 500 {
		t.Errorf("got %d of 500, %v failed", got, inv.result.FailedByCode)
	}
}

func TestTenThousand_takeOneTokenOneReadTenConnectionsAnd80MiB(t *testing.T) {
	t.Parallel()
	w := start(t, setup{timeout: 5 * time.Minute, segura: seguratest.Options{AnyIdentifier: true}})

	inv := w.enable(upTo(10_001, 20_000)...)

	if inv.FunctionError || *inv.result.Enabled != 10_000 || inv.result.Requested != 10_000 {
		t.Errorf("got %.300s", inv.text)
	}
	w.counts("ten thousand", 1, 10_000, 1)
	if n := w.segura.Connections(); n > 10 {
		t.Errorf("got %d connections, want at most 10", n)
	}
	if got := w.function.MaxRSS(); got >= 80<<20 {
		t.Errorf("got %.1f MiB of memory, want under 80", float64(got)/(1<<20))
	}
	if n := auditLines(inv.Logs); n != 10_000 {
		t.Errorf("got %d audit lines, want 10000", n)
	}
	t.Logf("%v, %.1f MiB", inv.Duration, float64(w.function.MaxRSS())/(1<<20))
}

func TestManyFailures_areToldWithLittleMemory(t *testing.T) {
	t.Parallel()
	w := start(t, setup{timeout: 5 * time.Minute}) // only the sample exists
	inv := w.enable(upTo(10_001, 12_000)...)
	if inv.result.FailedByCode["not_found"] != 2000 {
		t.Errorf("got %v, want 2000 of not_found", inv.result.FailedByCode)
	}
	if inv.result.Omitted == nil || inv.result.Omitted.Failed+len(inv.result.Results) != 2000 {
		t.Errorf("got %+v omitted and %d results, want 2000 together", inv.result.Omitted, len(inv.result.Results))
	}
	if got := w.function.MaxRSS(); got >= 80<<20 {
		t.Errorf("got %.1f MiB of memory, want under 80", float64(got)/(1<<20))
	}
	w.counts("two thousand failures", 1, 2000, 1)
}

func TestNotAllowed_isSentToNobody(t *testing.T) {
	t.Parallel()
	env := map[string]string{"SEGURA_ALLOWED_IDENTIFIERS": "101,103-105"}
	events := start(t, setup{segura: anyIdentifier, noSecret: true, env: env})
	requests := start(t, setup{function: api, segura: anyIdentifier, env: env})
	requests.segura.Reset()
	for _, action := range []string{"enable", "disable"} {
		inv := events.invoke(list(action, 102, 106, 100, 9223372036854775807))
		for _, got := range inv.result.Results {
			is(t, got, action, "failed", "not_allowed", false, 0)
		}
		if n := events.segura.Count(""); n != 0 || inv.ErrorType != "Segura.PermanentError" {
			t.Errorf("%s: got %s after %d requests, want none", action, inv.ErrorType, n)
		}
		for identifier, status := range map[int64]int{100: 403, 106: 403, 101: 200, 105: 200} {
			if a := requests.http("POST", fmt.Sprintf("/api-secrets/%d/%s", identifier, action), "", nil); a.status != status {
				t.Errorf("%s %d: got %d %s, want %d", action, identifier, a.status, a.body, status)
			}
		}
	}
	for _, call := range requests.sent() {
		if !strings.HasSuffix(call, " 101") && !strings.HasSuffix(call, " 105") {
			t.Errorf("Segura got %s, which is not allowed", call)
		}
	}
}

// Two invocations at once share one token fetch or one secret read. Neither may
// suffer from the other's deadline.
func TestWaiting_doesNotSufferFromTheDeadlineOfWhoeverFetches(t *testing.T) {
	t.Parallel()
	// What each arranges begins to hang when there is one request more of the kind
	// that is counted.
	table := map[string]func(w *world) (count func() int){
		"token": func(w *world) func() int {
			w.segura.RevokeTokens()
			w.segura.Fail(seguratest.Match{Kind: seguratest.KindToken}, seguratest.Hang(), 1)
			return func() int { return w.segura.Count(seguratest.KindToken) }
		},
		"secret": func(w *world) func() int {
			w.secrets.Fail(secretsmanager.MarkedForDeletion, 1)
			w.one(1000)
			w.secrets.Fail(secretsmanager.Hang, 1)
			return w.secrets.Reads
		},
	}
	for name, with := range table {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := start(t, setup{
				segura: seguratest.Options{AnyIdentifier: true}, concurrency: 2,
				env: map[string]string{"SEGURA_CREDENTIALS_TTL": alwaysExpired, "SEGURA_ATTEMPT_TIMEOUT": "30s"},
			})
			count := with(w)
			before := count()
			var group sync.WaitGroup
			group.Go(func() {
				inv := w.invoke(list("enable", 1001), runtimeapi.WithTimeout(2500*time.Millisecond), grace())
				if got := inv.result.Results; len(got) != 1 || got[0].Outcome != "failed" || !got[0].Error.Retryable {
					t.Errorf("the one in a hurry: got %s", inv.text)
				}
			})
			for count() == before {
				time.Sleep(time.Millisecond)
			}
			group.Go(func() { // its own attempt would end after 30 s
				inv := w.invoke(list("enable", 1002), runtimeapi.WithTimeout(20*time.Second))
				if got := inv.result.Results; len(got) != 1 || got[0].Outcome != "enabled" {
					t.Errorf("the one with time: got %s", inv.text)
				}
			})
			group.Wait()
		})
	}
}
