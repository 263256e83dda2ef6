package activation_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"segura-enable/internal/apisecret"
	"segura-enable/internal/segura"
	"segura-enable/internal/telemetry"
	"segura-enable/simulated/seguratest"
	"segura-enable/test/activationtest"
)

// world is a runner with all that is around it.
type world struct{ *activationtest.World }

func newWorld(t *testing.T, o seguratest.Options, change ...func(*segura.Options)) world {
	t.Helper()
	change = append([]func(*segura.Options){func(o *segura.Options) { o.Retry.MaxAttempts = 4 }}, change...)
	w := activationtest.Start(t, o, "EventFunction", change...)
	w.Runner.Concurrency, w.Runner.Retry.MaxAttempts, w.Runner.Patience = 8, 4, 500*time.Millisecond
	return world{w}
}

func attemptTimeout(d time.Duration) func(*segura.Options) {
	return func(o *segura.Options) { o.AttemptTimeout = d }
}

func (w world) enable(ctx context.Context, identifiers ...apisecret.Identifier) apisecret.Result {
	return w.Runner.Run(ctx, apisecret.Request{Action: apisecret.Enable, Identifiers: identifiers}, telemetry.Origin{Source: "event"})
}

// lenient is a context that goes on after its deadline.
type lenient struct {
	context.Context
	deadline time.Time
}

func (l lenient) Deadline() (time.Time, bool) { return l.deadline, true }

// withDeadlineOf returns a context whose deadline is so far away, and which ends a
// minute later than that: what ends before the context does has kept the deadline
// in mind, however slow the machine is. By how much is told by TestReserve.
func withDeadlineOf(t *testing.T, left time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), left+time.Minute)
	t.Cleanup(cancel)
	return lenient{ctx, time.Now().Add(left)}
}

// span are the identifiers from first to last.
func span(first, last apisecret.Identifier) []apisecret.Identifier {
	var list []apisecret.Identifier
	for i := first; i <= last; i++ {
		list = append(list, i)
	}
	return list
}

// auditLines are the audit lines so far, by identifier.
func (w world) auditLines(t *testing.T) map[any][]map[string]any {
	t.Helper()
	all := map[any][]map[string]any{}
	for line := range strings.Lines(w.Audit.String()) {
		var one map[string]any
		if err := json.Unmarshal([]byte(line), &one); err != nil || one["message"] != "audit" {
			t.Fatalf("got %s, no audit line: %v", line, err)
		}
		all[one["identifier"]] = append(all[one["identifier"]], one)
	}
	return all
}

// summary is an item in a form that compares.
type summary struct {
	identifier apisecret.Identifier
	outcome    apisecret.Outcome
	attempts   int
	code       apisecret.Code
	retryable  bool
}

func summarize(item apisecret.Item) summary {
	s := summary{item.Identifier, item.Outcome, item.Attempts, "", false}
	if item.Error != nil {
		s.code, s.retryable = item.Error.Code, item.Error.Retryable
	}
	return s
}

func failed(i apisecret.Identifier, attempts int, code apisecret.Code, retryable bool) summary {
	return summary{i, apisecret.Failed, attempts, code, retryable}
}

func done(i apisecret.Identifier, outcome apisecret.Outcome, attempts int) summary {
	return summary{i, outcome, attempts, "", false}
}

// each is a summary for each of the identifiers.
func each(identifiers []apisecret.Identifier, s summary) []summary {
	var all []summary
	for _, s.identifier = range identifiers {
		all = append(all, s)
	}
	return all
}

// requireItems compares the items of a result, and each one's audit line with it.
func (w world) requireItems(t *testing.T, result apisecret.Result, want ...summary) {
	t.Helper()
	if len(result.Items) != len(want) {
		t.Fatalf("got %d items, want %d: %+v", len(result.Items), len(want), result.Items)
	}
	for at, item := range result.Items {
		if got := summarize(item); got != want[at] {
			t.Errorf("item %d: got %+v, want %+v (%v)", at, got, want[at], item.Error)
		}
	}
	w.requireAudit(t, result)
}

// requireAudit checks that each item has exactly one audit line that says the same.
func (w world) requireAudit(t *testing.T, result apisecret.Result) {
	t.Helper()
	lines := w.auditLines(t)
	for _, item := range result.Items {
		all := lines[float64(item.Identifier)]
		var code any
		if item.Error != nil {
			code = string(item.Error.Code)
		}
		if len(all) != 1 || all[0]["outcome"] != string(item.Outcome) || all[0]["attempts"] != float64(item.Attempts) || all[0]["code"] != code || all[0]["action"] != string(result.Action) {
			t.Errorf("%d: got the audit lines %v, want one of %+v", item.Identifier, all, item)
		}
	}
}

var (
	enableCalls = seguratest.Match{Kind: seguratest.KindEnable}
	tokenCalls  = seguratest.Match{Kind: seguratest.KindToken}
)

func callsFor(i int64) seguratest.Match {
	return seguratest.Match{Kind: seguratest.KindEnable, Identifier: i}
}
