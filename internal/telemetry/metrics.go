package telemetry

import (
	"context"
	"encoding/json"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-lambda-go/lambdacontext"

	"segura-enable/internal/apisecret"
)

// Namespace is the metrics' namespace in CloudWatch.
const Namespace = "Segura"

// maxSamples is how many values CloudWatch takes of one metric in one line.
const maxSamples = 100

// Invocation gathers the metrics of one invocation. It may be used by several
// goroutines at once; a nil one gathers nothing.
type Invocation struct {
	mu        sync.Mutex
	outcomes  map[apisecret.Outcome]int
	codes     map[apisecret.Code]int
	calls     samples // in milliseconds
	tokens    samples // in milliseconds
	attempts  int
	refreshes int
}

// samples is a uniform sample of the values seen.
type samples struct {
	values []float64
	seen   int
}

func (s *samples) add(d time.Duration) {
	value := float64(d.Microseconds()) / 1000
	s.seen++
	if len(s.values) < maxSamples {
		s.values = append(s.values, value)
	} else if at := rand.IntN(s.seen); at < maxSamples { //nolint:gosec // G404: a sample needs no secrecy.
		s.values[at] = value
	}
}

type invocationKey struct{}

// Begin opens an invocation. The context that it returns carries it, and end
// writes its metric lines. What CarryOver left is part of it.
func (t *Telemetry) Begin(ctx context.Context) (_ context.Context, end func()) {
	t.mu.Lock()
	i := t.carried
	t.carried = nil
	t.mu.Unlock()
	if i == nil {
		i = &Invocation{}
	}
	ctx = context.WithValue(ctx, invocationKey{}, i)
	if id := requestID(ctx); id != "" && lambdacontext.MaxConcurrency() == 1 {
		t.atHand.Store(&id)
	}
	return ctx, func() {
		t.write(ctx, i)
		t.atHand.Store(nil)
	}
}

// CarryOver returns a context that gathers metrics for the next invocation to
// report: those of start-up, which has no invocation of its own.
func (t *Telemetry) CarryOver(ctx context.Context) context.Context {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.carried == nil {
		t.carried = &Invocation{}
	}
	return context.WithValue(ctx, invocationKey{}, t.carried)
}

func fromContext(ctx context.Context) *Invocation {
	i, _ := ctx.Value(invocationKey{}).(*Invocation)
	return i
}

func (i *Invocation) update(change func()) {
	if i == nil {
		return
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	change()
}

// Call counts an attempt of a call that enables or disables.
func Call(ctx context.Context, d time.Duration) {
	i := fromContext(ctx)
	i.update(func() { i.attempts++; i.calls.add(d) })
}

// TokenCall counts an attempt of a token request.
func TokenCall(ctx context.Context, d time.Duration) {
	i := fromContext(ctx)
	i.update(func() { i.tokens.add(d) })
}

// CredentialRefresh counts a read of the AWS secret.
func CredentialRefresh(ctx context.Context) {
	i := fromContext(ctx)
	i.update(func() { i.refreshes++ })
}

// Done counts an identifier's outcome.
func Done(ctx context.Context, item apisecret.Item) {
	i := fromContext(ctx)
	i.update(func() {
		if i.outcomes == nil {
			i.outcomes, i.codes = map[apisecret.Outcome]int{}, map[apisecret.Code]int{}
		}
		i.outcomes[item.Outcome]++
		if item.Error != nil {
			i.codes[item.Error.Code]++
		}
	})
}

// metric is the definition of one metric in the embedded metric format.
type metric struct {
	Name string
	Unit string
}

type directive struct {
	Namespace  string
	Dimensions [][]string
	Metrics    []metric
}

// write writes one line for the invocation and one more for each code.
//
// Source: Amazon CloudWatch's "Specification: Embedded metric format".
func (t *Telemetry) write(ctx context.Context, i *Invocation) {
	i.mu.Lock()
	defer i.mu.Unlock()
	values := map[string]any{
		"Enabled":           i.outcomes[apisecret.Enabled],
		"AlreadyEnabled":    i.outcomes[apisecret.AlreadyEnabled],
		"Disabled":          i.outcomes[apisecret.Disabled],
		"AlreadyDisabled":   i.outcomes[apisecret.AlreadyDisabled],
		"Failed":            i.outcomes[apisecret.Failed],
		"Attempts":          i.attempts,
		"CredentialRefresh": i.refreshes,
	}
	definitions := []metric{
		{"Enabled", "Count"}, {"AlreadyEnabled", "Count"}, {"Disabled", "Count"}, {"AlreadyDisabled", "Count"},
		{"Failed", "Count"}, {"Attempts", "Count"}, {"CredentialRefresh", "Count"},
	}
	if i.calls.seen > 0 {
		values["CallLatency"] = i.calls.values
		definitions = append(definitions, metric{"CallLatency", "Milliseconds"})
	}
	if i.tokens.seen > 0 {
		values["TokenLatency"] = i.tokens.values
		definitions = append(definitions, metric{"TokenLatency", "Milliseconds"})
	}
	t.line(ctx, values, definitions, []string{"Function"})
	for _, code := range slices.Sorted(maps.Keys(i.codes)) {
		failed := map[string]any{"Failed": i.codes[code], "Code": code}
		t.line(ctx, failed, []metric{{"Failed", "Count"}}, []string{"Function", "Code"})
	}
}

// line writes one metric line. It has Lambda's own keys too, without which
// CloudWatch takes it for INFO and drops it where the log level is higher.
func (t *Telemetry) line(ctx context.Context, values map[string]any, definitions []metric, dimensions []string) {
	now := time.Now().UTC()
	values["timestamp"] = now.Format(time.RFC3339Nano)
	values["level"] = t.level
	values["message"] = "metrics"
	values["Function"] = t.options.Function
	if id := requestID(ctx); id != "" {
		values["requestId"] = id
	}
	values["_aws"] = map[string]any{
		"Timestamp":         now.UnixMilli(),
		"CloudWatchMetrics": []directive{{Namespace, [][]string{dimensions}, definitions}},
	}
	text, err := json.Marshal(values)
	if err != nil {
		return // only numbers and texts are marshalled
	}
	_, _ = t.options.Out.Write(append(text, '\n'))
}
