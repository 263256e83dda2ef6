package telemetry

import (
	"context"
	"encoding/json"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
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

// metric is one metric of a line: a count, or values in milliseconds.
type metric struct {
	name   string
	count  int
	values []float64 // nil: it is a count
}

func (m metric) unit() string {
	if m.values != nil {
		return "Milliseconds"
	}
	return "Count"
}

// write writes one line for the invocation and one more for each code.
//
// Source: Amazon CloudWatch's "Specification: Embedded metric format".
func (t *Telemetry) write(ctx context.Context, i *Invocation) {
	i.mu.Lock()
	defer i.mu.Unlock()
	metrics := []metric{
		{name: "Enabled", count: i.outcomes[apisecret.Enabled]},
		{name: "AlreadyEnabled", count: i.outcomes[apisecret.AlreadyEnabled]},
		{name: "Disabled", count: i.outcomes[apisecret.Disabled]},
		{name: "AlreadyDisabled", count: i.outcomes[apisecret.AlreadyDisabled]},
		{name: "Failed", count: i.outcomes[apisecret.Failed]},
		{name: "Attempts", count: i.attempts},
		{name: "CredentialRefresh", count: i.refreshes},
	}
	if i.calls.seen > 0 {
		metrics = append(metrics, metric{name: "CallLatency", values: i.calls.values})
	}
	if i.tokens.seen > 0 {
		metrics = append(metrics, metric{name: "TokenLatency", values: i.tokens.values})
	}
	t.line(ctx, "", metrics)
	for _, code := range slices.Sorted(maps.Keys(i.codes)) {
		t.line(ctx, code, []metric{{name: "Failed", count: i.codes[code]}})
	}
}

// line writes one metric line, with the code as a dimension if there is one. It
// has Lambda's own keys too, without which CloudWatch takes it for INFO and drops
// it where the log level is higher. It is put together by hand: with encoding/json,
// an invocation's metrics take three times as long.
func (t *Telemetry) line(ctx context.Context, code apisecret.Code, metrics []metric) {
	now := time.Now().UTC()
	dimensions := `"Function"`
	parts := make([]string, 0, 96)
	parts = append(parts, `{"timestamp":"`, now.Format(time.RFC3339Nano), `","level":"`, t.level,
		`","message":"metrics","Function":`, quoted(t.options.Function))
	if code != "" {
		parts = append(parts, `,"Code":`, quoted(string(code)))
		dimensions = `"Function","Code"`
	}
	if id := requestID(ctx); id != "" {
		parts = append(parts, `,"requestId":`, quoted(id))
	}
	for _, m := range metrics {
		parts = append(parts, `,"`, m.name, `":`, m.value())
	}
	parts = append(parts, `,"_aws":{"Timestamp":`, strconv.FormatInt(now.UnixMilli(), 10),
		`,"CloudWatchMetrics":[{"Namespace":"`+Namespace+`","Dimensions":[[`, dimensions, `]],"Metrics":[`)
	separator := ""
	for _, m := range metrics {
		parts = append(parts, separator, `{"Name":"`, m.name, `","Unit":"`, m.unit(), `"}`)
		separator = ","
	}
	parts = append(parts, "]}]}}\n")
	_, _ = io.WriteString(t.options.Out, strings.Join(parts, ""))
}

// value returns the metric's value as JSON text.
func (m metric) value() string {
	if m.values == nil {
		return strconv.Itoa(m.count)
	}
	texts := make([]string, len(m.values))
	for at, value := range m.values {
		texts[at] = strconv.FormatFloat(value, 'f', -1, 64)
	}
	return "[" + strings.Join(texts, ",") + "]"
}

// quoted returns a text from outside as a JSON string.
func quoted(text string) string {
	b, err := json.Marshal(text)
	if err != nil {
		return `""` // a string always encodes
	}
	return string(b)
}
