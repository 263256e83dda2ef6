package telemetry

import (
	"context"
	"encoding/json"
	"maps"
	"math"
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

// invocation gathers the metrics of one invocation. It may be used by several
// goroutines at once.
type invocation struct {
	mu      sync.Mutex
	counts  map[string]int // by the metric's name
	codes   map[apisecret.Code]int
	calls   samples   // in milliseconds
	tokens  samples   // in milliseconds
	expires time.Time // the access key; zero: nobody has said
}

// metricOf names the count of each outcome.
var metricOf = map[apisecret.Outcome]string{
	apisecret.Enabled:         "Enabled",
	apisecret.AlreadyEnabled:  "AlreadyEnabled",
	apisecret.Disabled:        "Disabled",
	apisecret.AlreadyDisabled: "AlreadyDisabled",
	apisecret.Failed:          "Failed",
}

// newInvocation begins with the counts that are reported if they are 0 too.
func newInvocation() *invocation {
	i := &invocation{counts: map[string]int{"Attempts": 0, "CredentialRefresh": 0, "SecretUnusable": 0}, codes: map[apisecret.Code]int{}}
	for _, name := range metricOf {
		i.counts[name] = 0
	}
	return i
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
		i = newInvocation()
	}
	ctx = context.WithValue(ctx, invocationKey{}, i)
	if id := RequestID(ctx); id != "" && lambdacontext.MaxConcurrency() == 1 {
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
		t.carried = newInvocation()
	}
	return context.WithValue(ctx, invocationKey{}, t.carried)
}

// update changes what the invocation that ctx carries has gathered, if it carries one.
func update(ctx context.Context, change func(*invocation)) {
	if i, ok := ctx.Value(invocationKey{}).(*invocation); ok {
		i.mu.Lock()
		defer i.mu.Unlock()
		change(i)
	}
}

// Count adds to a count of the invocation's metrics.
func Count(ctx context.Context, name string, n int) {
	update(ctx, func(i *invocation) { i.counts[name] += n })
}

// Call counts an attempt of a call that enables or disables.
func Call(ctx context.Context, d time.Duration) {
	update(ctx, func(i *invocation) { i.counts["Attempts"]++; i.calls.add(d) })
}

// TokenCall counts an attempt of a token request.
func TokenCall(ctx context.Context, d time.Duration) {
	update(ctx, func(i *invocation) { i.tokens.add(d) })
}

// CredentialRefresh counts a read of the AWS secret.
func CredentialRefresh(ctx context.Context) { Count(ctx, "CredentialRefresh", 1) }

// SecretUnusable counts a read of the AWS secret that found a document that cannot be
// used.
func SecretUnusable(ctx context.Context) { Count(ctx, "SecretUnusable", 1) }

// AccessKeyExpires says when the access key in use expires.
func AccessKeyExpires(ctx context.Context, at time.Time) {
	update(ctx, func(i *invocation) { i.expires = at })
}

// Done counts an identifier's outcome.
func Done(ctx context.Context, item apisecret.Item) {
	update(ctx, func(i *invocation) {
		i.counts[metricOf[item.Outcome]]++
		if item.Error != nil {
			i.codes[item.Error.Code]++
		}
	})
}

// metric is one metric of a line.
type metric struct {
	name  string
	unit  string
	value any // a number, or a list of milliseconds
}

// daysLeft is below 0 once the time is over. CloudWatch has no unit for days.
func daysLeft(at time.Time) metric {
	return metric{"AccessKeyDaysLeft", "None", math.Round(time.Until(at).Hours()/24*100) / 100}
}

// write writes one line for the invocation and one more for each code.
//
// Source: Amazon CloudWatch's "Specification: Embedded metric format".
func (t *Telemetry) write(ctx context.Context, i *invocation) {
	i.mu.Lock()
	defer i.mu.Unlock()
	var metrics []metric
	for _, name := range slices.Sorted(maps.Keys(i.counts)) {
		metrics = append(metrics, metric{name, "Count", i.counts[name]})
	}
	if len(i.calls.values) > 0 {
		metrics = append(metrics, metric{"CallLatency", "Milliseconds", i.calls.values})
	}
	if len(i.tokens.values) > 0 {
		metrics = append(metrics, metric{"TokenLatency", "Milliseconds", i.tokens.values})
	}
	if !i.expires.IsZero() {
		metrics = append(metrics, daysLeft(i.expires))
	}
	t.line(ctx, "", metrics)
	for _, code := range slices.Sorted(maps.Keys(i.codes)) {
		t.line(ctx, code, []metric{{"Failed", "Count", i.codes[code]}})
	}
}

// line writes one metric line, with the code as a dimension if there is one. It has
// Lambda's own keys too, without which CloudWatch takes it for INFO and drops it where
// the log level is higher.
func (t *Telemetry) line(ctx context.Context, code apisecret.Code, metrics []metric) {
	now := time.Now().UTC()
	dimensions := []string{"Function"}
	line := map[string]any{"timestamp": now, "level": t.level, "message": "metrics", "Function": t.options.Function}
	if code != "" {
		line["Code"] = code
		dimensions = append(dimensions, "Code")
	}
	if id := RequestID(ctx); id != "" {
		line["requestId"] = id
	}
	definitions := make([]map[string]string, len(metrics))
	for at, m := range metrics {
		line[m.name] = m.value
		definitions[at] = map[string]string{"Name": m.name, "Unit": m.unit}
	}
	line["_aws"] = map[string]any{
		"Timestamp":         now.UnixMilli(),
		"CloudWatchMetrics": []any{map[string]any{"Namespace": Namespace, "Dimensions": [][]string{dimensions}, "Metrics": definitions}},
	}
	_ = json.NewEncoder(t.options.Out).Encode(line) // there is nowhere else to tell
}
