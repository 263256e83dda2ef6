package activation_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"segura-enable/internal/activation"
	"segura-enable/internal/apisecret"
	"segura-enable/internal/segura"
	"segura-enable/internal/telemetry"
	"segura-enable/simulated/seguratest"
	"segura-enable/simulated/stage"
)

// vault is a ClientSource by hand.
type vault struct {
	mu      sync.Mutex
	client  *segura.Client
	fault   *apisecret.Error // of Client and Reread
	changed *segura.Client   // what Reread finds instead of client, if set
	reread  *apisecret.Error // of Reread alone
	panics  any
	asked   int
	rereads int
}

func (v *vault) Client(context.Context) (*segura.Client, *apisecret.Error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.asked++
	if v.panics != nil {
		panic(v.panics)
	}
	if v.fault != nil {
		return nil, v.fault
	}
	return v.client, nil
}

func (v *vault) Reread(context.Context) (*segura.Client, *apisecret.Error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.rereads++
	switch {
	case v.panics != nil:
		panic(v.panics)
	case v.fault != nil:
		return nil, v.fault
	case v.reread != nil:
		return nil, v.reread
	}
	if v.changed != nil {
		v.client = v.changed
	}
	return v.client, nil
}

func (v *vault) counts() (asked, rereads int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.asked, v.rereads
}

// world is a runner with all that is around it.
type world struct {
	*seguratest.Server
	vault  *vault
	runner *activation.Runner
	audit  *stage.Buffer
	log    *stage.Buffer
}

func newWorld(t *testing.T, o seguratest.Options, change ...func(*segura.Options)) *world {
	t.Helper()
	server := seguratest.Start(t, o)
	w := &world{Server: server, audit: &stage.Buffer{}, log: &stage.Buffer{}}
	w.vault = &vault{client: w.newClient(t, change...)}
	w.runner = &activation.Runner{
		Clients:     w.vault,
		Concurrency: 8,
		Retry:       segura.Retry{MaxAttempts: 4},
		Patience:    500 * time.Millisecond,
		Telemetry:   telemetry.New(telemetry.Options{Out: w.audit, Format: "JSON", Function: "EventFunction"}),
		Log:         slog.New(slog.NewJSONHandler(w.log, nil)),
	}
	return w
}

// newClient returns a client with the credentials of the server as it is now.
func (w *world) newClient(t *testing.T, change ...func(*segura.Options)) *segura.Client {
	t.Helper()
	o := segura.Options{UserAgent: "test", AttemptTimeout: 5 * time.Second, Retry: segura.Retry{MaxAttempts: 4}, Connections: 20, OnTokenCall: telemetry.TokenCall}
	for _, f := range change {
		f(&o)
	}
	client, err := segura.New(segura.Credentials{
		BaseURL: w.URL(), ClientID: w.ClientID(), ClientSecret: segura.Hide(w.ClientSecret()), CACertificate: w.CACertificate(),
	}, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

func attemptTimeout(d time.Duration) func(*segura.Options) {
	return func(o *segura.Options) { o.AttemptTimeout = d }
}

func (w *world) enable(ctx context.Context, identifiers ...apisecret.Identifier) apisecret.Result {
	return w.runner.Run(ctx, apisecret.Request{Action: apisecret.Enable, Identifiers: identifiers}, telemetry.Origin{Source: "event"})
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

// auditLines are the audit lines so far.
func (w *world) auditLines(t *testing.T) []map[string]any {
	t.Helper()
	var all []map[string]any
	for line := range strings.Lines(w.audit.String()) {
		var one map[string]any
		if err := json.Unmarshal([]byte(line), &one); err != nil {
			t.Fatalf("an audit line is no JSON: %v: %s", err, line)
		}
		if one["message"] == "audit" {
			all = append(all, one)
		}
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

// requireItems compares the items of a result, and each one's audit line with it.
func (w *world) requireItems(t *testing.T, result apisecret.Result, want ...summary) {
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
func (w *world) requireAudit(t *testing.T, result apisecret.Result) {
	t.Helper()
	byIdentifier := map[float64][]map[string]any{}
	for _, line := range w.auditLines(t) {
		i, _ := line["identifier"].(float64)
		byIdentifier[i] = append(byIdentifier[i], line)
	}
	for _, item := range result.Items {
		all := byIdentifier[float64(item.Identifier)]
		if len(all) != 1 {
			t.Errorf("%d: got %d audit lines, want 1", item.Identifier, len(all))
			continue
		}
		line := all[0]
		code := ""
		if item.Error != nil {
			code = string(item.Error.Code)
		}
		said, _ := line["code"].(string)
		if line["outcome"] != string(item.Outcome) || line["attempts"] != float64(item.Attempts) || said != code || line["action"] != string(result.Action) {
			t.Errorf("%d: got the audit line %v, want that of %+v", item.Identifier, line, item)
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
