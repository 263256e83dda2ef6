// Package telemetry writes what operators read: the audit line of each
// identifier, metrics in CloudWatch's embedded metric format, and the log. It
// decides nothing.
package telemetry

import (
	"context"
	"io"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-lambda-go/lambdacontext"

	"segura-enable/internal/apisecret"
)

// Options are Lambda's settings, as its environment has them.
type Options struct {
	Out      io.Writer // standard output, of which each line becomes a log event
	Format   string    // AWS_LAMBDA_LOG_FORMAT: JSON, or else text
	Level    string    // AWS_LAMBDA_LOG_LEVEL: lines below it are dropped by Lambda where the format is JSON
	Function string    // AWS_LAMBDA_FUNCTION_NAME, the metrics' dimension
}

// Telemetry writes audit lines and metrics. It may be used by several goroutines
// at once.
type Telemetry struct {
	options Options
	level   string
	audit   *slog.Logger

	atHand  atomic.Pointer[string] // the request id, while one invocation runs alone
	mu      sync.Mutex
	carried *invocation // what start-up measured, for the first invocation to report
}

// New returns a Telemetry that writes to o.Out.
func New(o Options) *Telemetry {
	t := &Telemetry{options: o, level: passingLevel(o.Level)}
	h := &slog.HandlerOptions{ReplaceAttr: t.replace}
	if o.Format == "JSON" {
		t.audit = slog.New(slog.NewJSONHandler(printable{o.Out}, h))
	} else {
		t.audit = slog.New(slog.NewTextHandler(o.Out, h))
	}
	return t
}

// passingLevel returns the level of audit and metric lines: INFO, or whatever
// more the configured level demands to let a line through.
func passingLevel(configured string) string {
	switch configured {
	case "WARN", "ERROR", "FATAL":
		return configured
	default:
		return "INFO"
	}
}

// replace gives audit lines Lambda's own keys, and a level that passes.
func (t *Telemetry) replace(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.LevelKey {
		return slog.String(slog.LevelKey, t.level)
	}
	return lambdacontext.ReplaceAttr(groups, a)
}

// Origin says who asked.
type Origin struct {
	Source      string // api, event, window or guard
	Caller      string // as the door can prove it; empty: not known
	EventSource string // EventBridge's source; empty: no such event
	EventID     string // EventBridge's id; empty: no such event
	Window      string // for whose sake the call is made; empty: for no window's
	Execution   string // of the state machine that sent the batch, as it says; empty: none
}

// Entry is what the audit log keeps of one identifier.
type Entry struct {
	Origin
	Action          apisecret.Action
	Reason          string
	Item            apisecret.Item
	Duration        time.Duration
	HTTPStatus      int    // of a success; a failure's is in its error
	UpstreamRequest string // of a success
	UpstreamMessage string // of a success
}

// Audit writes one line, whatever the log level.
func (t *Telemetry) Audit(ctx context.Context, e Entry) {
	attributes := make([]slog.Attr, 0, 21)
	attributes = append(attributes,
		slog.String("source", e.Source),
		slog.String("action", string(e.Action)),
		slog.Int64("identifier", int64(e.Item.Identifier)),
		slog.String("outcome", string(e.Item.Outcome)),
		slog.Int("attempts", e.Item.Attempts),
		slog.Int64("duration_ms", e.Duration.Milliseconds()),
	)
	text := func(key, value string) {
		if value != "" {
			attributes = append(attributes, slog.String(key, value))
		}
	}
	count := func(key string, value int) {
		if value != 0 {
			attributes = append(attributes, slog.Int(key, value))
		}
	}
	if failure := e.Item.Error; failure != nil {
		text("code", string(failure.Code))
		text("cause", failure.Message)
		e.HTTPStatus, e.UpstreamRequest, e.UpstreamMessage = failure.HTTPStatus, failure.UpstreamRequestID, failure.UpstreamMessage
		count("segura_code", failure.SeguraCode)
	}
	count("http_status", e.HTTPStatus)
	text("upstream_request_id", e.UpstreamRequest)
	text("upstream_message", e.UpstreamMessage)
	text("reason", e.Reason)
	text("window", e.Window)
	text("caller", e.Caller)
	text("event_source", e.EventSource)
	text("event_id", e.EventID)
	text("execution", e.Execution)
	text("xray_trace_id", traceID(ctx))
	text("requestId", RequestID(ctx))
	t.audit.LogAttrs(ctx, slog.LevelInfo, "audit", attributes...)
}

// RequestID returns the id of the invocation that ctx belongs to; empty outside one.
func RequestID(ctx context.Context) string {
	if lc, ok := lambdacontext.FromContext(ctx); ok {
		return lc.AwsRequestID
	}
	return ""
}

// traceID returns the id of the X-Ray trace that the invocation belongs to: the Root
// of Lambda's trace header, which the runtime library hands on under this name. Empty
// where there is none.
func traceID(ctx context.Context) string {
	header, _ := ctx.Value("x-amzn-trace-id").(string)
	for part := range strings.SplitSeq(header, ";") {
		if id, found := strings.CutPrefix(strings.TrimSpace(part), "Root="); found {
			return id
		}
	}
	return ""
}
