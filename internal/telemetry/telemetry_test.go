package telemetry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"log/slog"
	"maps"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambdacontext"

	"segura-enable/internal/apisecret"
	"segura-enable/internal/telemetry"
	"segura-enable/simulated/stage"
)

const request = "8f5d3b1c-0000-4000-8000-000000000001"

func invoked(t *testing.T) context.Context {
	t.Helper()
	return lambdacontext.NewContext(t.Context(), &lambdacontext.LambdaContext{AwsRequestID: request})
}

// written returns the lines that use writes, each of them one JSON object.
func written(t *testing.T, o telemetry.Options, use func(*telemetry.Telemetry)) []map[string]any {
	t.Helper()
	var out bytes.Buffer
	o.Out = &out
	use(telemetry.New(o))
	return parse(t, out.String())
}

func parse(t *testing.T, text string) []map[string]any {
	t.Helper()
	var lines []map[string]any
	for line := range strings.Lines(text) {
		var one map[string]any
		if err := json.Unmarshal([]byte(line), &one); err != nil {
			t.Fatalf("got a line that is no JSON object: %v: %s", err, line)
		}
		lines = append(lines, one)
	}
	return lines
}

func failure() *apisecret.Error {
	e := apisecret.NewError(apisecret.NotFound, "sentence for the caller")
	e.SeguraCode, e.HTTPStatus, e.UpstreamRequestID, e.UpstreamMessage = 1005, 400, "kong-1", "1005: Api secret not found"
	return e
}

func TestAudit_hasTheKeysThatOperatorsSearchFor(t *testing.T) {
	full := telemetry.Entry{
		Origin: telemetry.Origin{Source: "event", Caller: "arn:aws:events:eu-west-1:1:rule/x", EventSource: "aws.events", EventID: "e-1", Execution: "arn:aws:states:eu-west-1:1:execution:bulk:x"},
		Action: apisecret.Disable, Reason: "CHG0012345", Duration: 1234567 * time.Microsecond,
		Item: apisecret.Item{Identifier: apisecret.MaxIdentifier, Outcome: apisecret.Failed, Attempts: 3, Error: failure()},
	}
	success := telemetry.Entry{
		Origin: telemetry.Origin{Source: "api"}, Action: apisecret.Enable, HTTPStatus: 200, UpstreamRequest: "kong-2", UpstreamMessage: "Api secret activated",
		Item: apisecret.Item{Identifier: 5, Outcome: apisecret.Enabled, Attempts: 1},
	}
	bare := telemetry.Entry{Origin: telemetry.Origin{Source: "api"}, Action: apisecret.Enable, Item: apisecret.Item{Identifier: 5, Outcome: apisecret.Failed, Error: apisecret.NewError(apisecret.NotAllowed, "x")}}
	for _, row := range []struct {
		entry telemetry.Entry
		want  map[string]any
	}{
		{full, map[string]any{
			"source": "event", "action": "disable", "identifier": float64(apisecret.MaxIdentifier), "outcome": "failed", "attempts": 3.0, "duration_ms": 1234.0,
			"code": "not_found", "cause": "sentence for the caller", "http_status": 400.0, "segura_code": 1005.0, "upstream_request_id": "kong-1", "upstream_message": "1005: Api secret not found",
			"reason": "CHG0012345", "caller": "arn:aws:events:eu-west-1:1:rule/x", "event_source": "aws.events", "event_id": "e-1", "execution": "arn:aws:states:eu-west-1:1:execution:bulk:x",
		}},
		{success, map[string]any{
			"source": "api", "action": "enable", "identifier": 5.0, "outcome": "enabled", "attempts": 1.0, "duration_ms": 0.0,
			"http_status": 200.0, "upstream_request_id": "kong-2", "upstream_message": "Api secret activated",
		}},
		{bare, map[string]any{"source": "api", "action": "enable", "identifier": 5.0, "outcome": "failed", "attempts": 0.0, "duration_ms": 0.0, "code": "not_allowed", "cause": "x"}},
	} {
		lines := written(t, telemetry.Options{Format: "JSON"}, func(tm *telemetry.Telemetry) { tm.Audit(invoked(t), row.entry) })

		if len(lines) != 1 {
			t.Fatalf("got %d lines, want 1", len(lines))
		}
		got := lines[0]
		if _, err := time.Parse(time.RFC3339Nano, fmt.Sprint(got["timestamp"])); err != nil || !strings.HasSuffix(fmt.Sprint(got["timestamp"]), "Z") {
			t.Errorf("got the timestamp %v: %v", got["timestamp"], err)
		}
		delete(got, "timestamp")
		want := maps.Clone(row.want)
		maps.Copy(want, map[string]any{"level": "INFO", "message": "audit", "requestId": request})
		if !maps.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	}
}

func TestAudit_namesTheRootOfLambdasTraceHeaderAlone(t *testing.T) {
	const root = "1-5759e988-bd862e3fe1be46a994272793"
	for header, want := range map[any]any{
		"Root=" + root + ";Parent=3995c3f42cd8ad8;Sampled=1;Lineage=a87bd80c:1|68fd508a:5": root,
		"Self=1-67891234-12456789abcdef012345678;Root=" + root:                             root,
		"Parent=3995c3f42cd8ad8; Root=" + root + "; Sampled=0":                             root,
		"Parent=3995c3f42cd8ad8;Sampled=1":                                                 nil,
		"":                                                                                 nil,
		5:                                                                                  nil,
	} {
		ctx := context.WithValue(invoked(t), "x-amzn-trace-id", header) //nolint:staticcheck // The runtime library's own key.

		lines := written(t, telemetry.Options{Format: "JSON"}, func(tm *telemetry.Telemetry) { tm.Audit(ctx, telemetry.Entry{}) })

		if got := lines[0]["xray_trace_id"]; got != want {
			t.Errorf("%v: got %v, want %v", header, got, want)
		}
	}
}

func TestAudit_writesTheIdentifierExactly(t *testing.T) {
	var out bytes.Buffer

	telemetry.New(telemetry.Options{Out: &out, Format: "JSON"}).Audit(t.Context(), telemetry.Entry{Item: apisecret.Item{Identifier: apisecret.MaxIdentifier, Outcome: apisecret.Enabled}})

	if got := out.String(); !strings.Contains(got, `"identifier":9223372036854775807,`) || strings.Contains(got, "requestId") {
		t.Errorf("got %s, want the number in all its digits, and no request id outside of an invocation", got)
	}
}

// quoted are the quoted values of a line of text.
var quoted = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)

// Text that came from outside is a string and forges neither a line nor a field.
func TestAudit_cannotBeForged(t *testing.T) {
	for _, text := range []string{
		"x\n{\"level\":\"INFO\",\"message\":\"audit\",\"identifier\":6}\n", `","identifier":6,"x":"`, "a\r\nb", "\x1b[2K\x1b[1A", "\u2028\u2029", "\x00\x7f\x85", "\u202e gnirts",
		"level=ERROR msg=x identifier=6", "\U000e0041", "\xff\xfe", "😀 \"quoted\" \\",
	} {
		entry := telemetry.Entry{
			Origin: telemetry.Origin{Source: "event", Caller: text, EventSource: text, EventID: text, Execution: text}, Action: apisecret.Enable, Reason: text, UpstreamMessage: text, UpstreamRequest: text,
			Item: apisecret.Item{Identifier: 5, Outcome: apisecret.Enabled},
		}
		for _, format := range []string{"JSON", "Text", ""} {
			var out bytes.Buffer

			telemetry.New(telemetry.Options{Out: &out, Format: format}).Audit(t.Context(), entry)

			got := out.String()
			if strings.Count(got, "\n") != 1 || !strings.HasSuffix(got, "\n") || strings.ContainsFunc(got[:len(got)-1], func(r rune) bool {
				return r < ' ' || r >= 0x7f && r < 0xa0 || r == '\u2028' || r == '\u202e' || r == '\u2029'
			}) {
				t.Errorf("%q as %s: got %q, want one line without control characters", text, format, got)
			}
			if format != "JSON" {
				if fields := quoted.ReplaceAllString(got, ""); strings.Count(fields, "identifier=") != 1 || strings.Count(fields, "level=") != 1 {
					t.Errorf("%q as text: got %s", text, got)
				}
				continue
			}
			line := parse(t, got)[0]
			if line["identifier"] != 5.0 || line["level"] != "INFO" || line["message"] != "audit" {
				t.Errorf("%q: got %v", text, line)
			}
			want := strings.ToValidUTF8(text, "\uFFFD")
			if fmt.Sprint(line["reason"]) != want && len(want) == len(text) {
				t.Errorf("got the reason %q, want %q", line["reason"], text)
			}
		}
	}
}

func TestAudit_passesWhateverLevelIsConfigured(t *testing.T) {
	for configured, want := range map[string]string{
		"": "INFO", "TRACE": "INFO", "DEBUG": "INFO", "INFO": "INFO", "WARN": "WARN", "ERROR": "ERROR", "FATAL": "FATAL", "something": "INFO",
	} {
		lines := written(t, telemetry.Options{Format: "JSON", Level: configured, Function: "f"}, func(tm *telemetry.Telemetry) {
			ctx, end := tm.Begin(invoked(t))
			tm.Audit(ctx, telemetry.Entry{Item: apisecret.Item{Identifier: 5, Outcome: apisecret.Failed, Error: failure()}})
			telemetry.Done(ctx, apisecret.Item{Outcome: apisecret.Failed, Error: failure()})
			end()
		})

		if len(lines) != 3 {
			t.Fatalf("%s: got %d lines, want an audit line and two metric lines", configured, len(lines))
		}
		for _, line := range lines {
			if line["level"] != want {
				t.Errorf("AWS_LAMBDA_LOG_LEVEL=%s: got a line of level %v, want %s", configured, line["level"], want)
			}
		}
	}
}

// definitions are the metrics of an EMF line: the dimensions, then name and unit.
func definitions(t *testing.T, line map[string]any) (dimensions string, metrics map[string]string) {
	t.Helper()
	aws, _ := line["_aws"].(map[string]any)
	directives, _ := aws["CloudWatchMetrics"].([]any)
	if len(directives) != 1 {
		t.Fatalf("got the directives %v, want one", directives)
	}
	stamp, _ := aws["Timestamp"].(float64)
	if age := time.Since(time.UnixMilli(int64(stamp))); age < -time.Second || age > time.Minute {
		t.Errorf("got a timestamp of %s ago", age)
	}
	directive, _ := directives[0].(map[string]any)
	if directive["Namespace"] != "Segura" {
		t.Errorf("got the namespace %v", directive["Namespace"])
	}
	metrics = map[string]string{}
	list, _ := directive["Metrics"].([]any)
	for _, one := range list {
		m, _ := one.(map[string]any)
		metrics[fmt.Sprint(m["Name"])] = fmt.Sprint(m["Unit"])
	}
	return fmt.Sprint(directive["Dimensions"]), metrics
}

func TestBegin_writesTheMetricsOfAnInvocation(t *testing.T) {
	lines := written(t, telemetry.Options{Format: "JSON", Function: "EventFunction"}, func(tm *telemetry.Telemetry) {
		ctx, end := tm.Begin(invoked(t))
		defer end()
		for _, item := range []apisecret.Item{
			{Outcome: apisecret.Enabled}, {Outcome: apisecret.Enabled}, {Outcome: apisecret.AlreadyEnabled}, {Outcome: apisecret.Disabled}, {Outcome: apisecret.AlreadyDisabled},
			{Outcome: apisecret.Failed, Error: apisecret.NewError(apisecret.UpstreamTimeout, "")}, {Outcome: apisecret.Failed, Error: failure()}, {Outcome: apisecret.Failed, Error: failure()},
		} {
			telemetry.Done(ctx, item)
		}
		telemetry.Call(ctx, 1500*time.Microsecond)
		telemetry.Call(ctx, 2*time.Second)
		telemetry.TokenCall(ctx, 20*time.Millisecond)
		telemetry.CredentialRefresh(ctx)
	})

	if len(lines) != 3 {
		t.Fatalf("got %d lines, want one for the invocation and one for each code", len(lines))
	}
	all := lines[0]
	dimensions, metrics := definitions(t, all)
	wantMetrics := map[string]string{
		"Enabled": "Count", "AlreadyEnabled": "Count", "Disabled": "Count", "AlreadyDisabled": "Count", "Failed": "Count", "Attempts": "Count", "CredentialRefresh": "Count", "SecretUnusable": "Count",
		"CallLatency": "Milliseconds", "TokenLatency": "Milliseconds",
	}
	if dimensions != "[[Function]]" || !maps.Equal(metrics, wantMetrics) {
		t.Errorf("got the metrics %v by %s, want %v by [[Function]]", metrics, dimensions, wantMetrics)
	}
	for key, want := range map[string]any{
		"Function": "EventFunction", "requestId": request, "level": "INFO", "message": "metrics", "Enabled": 2.0, "AlreadyEnabled": 1.0, "Disabled": 1.0, "AlreadyDisabled": 1.0,
		"Failed": 3.0, "Attempts": 2.0, "CredentialRefresh": 1.0, "CallLatency": "[1.5 2000]", "TokenLatency": "[20]",
	} {
		got := all[key]
		if list, ok := got.([]any); ok {
			got = fmt.Sprint(list)
		}
		if got != want {
			t.Errorf("%s: got %v, want %v", key, got, want)
		}
	}
	for at, want := range []struct {
		code   string
		failed float64
	}{{"not_found", 2}, {"upstream_timeout", 1}} {
		line := lines[at+1]
		dimensions, metrics := definitions(t, line)
		if line["Code"] != want.code || line["Failed"] != want.failed || line["Function"] != "EventFunction" || dimensions != "[[Function Code]]" || !maps.Equal(metrics, map[string]string{"Failed": "Count"}) {
			t.Errorf("got %v, want %d times %s by Function and Code", line, int(want.failed), want.code)
		}
	}
}

func TestBegin_reportsTheDaysThatTheAccessKeyHasLeft(t *testing.T) {
	for left, want := range map[time.Duration]float64{
		29*24*time.Hour + 12*time.Hour + time.Minute: 29.5, -36*time.Hour + time.Minute: -1.5, time.Minute: 0,
	} {
		lines := written(t, telemetry.Options{Format: "JSON", Function: "f"}, func(tm *telemetry.Telemetry) {
			ctx, end := tm.Begin(t.Context())
			telemetry.AccessKeyExpires(ctx, time.Now().Add(400*24*time.Hour)) // of a key that was replaced meanwhile
			telemetry.AccessKeyExpires(ctx, time.Now().Add(left))
			end()
		})

		if len(lines) != 1 {
			t.Fatalf("got %d lines, want one for the invocation", len(lines))
		}
		_, metrics := definitions(t, lines[0])
		if got := lines[0]["AccessKeyDaysLeft"]; got != want || metrics["AccessKeyDaysLeft"] != "None" {
			t.Errorf("%s: got %v %s, want %v without a unit", left, got, metrics["AccessKeyDaysLeft"], want)
		}
	}
}

// The definition of a metric without a value makes CloudWatch drop the line.
func TestBegin_definesOnlyMetricsThatHaveAValue(t *testing.T) {
	lines := written(t, telemetry.Options{Format: "JSON", Function: "f"}, func(tm *telemetry.Telemetry) {
		_, end := tm.Begin(t.Context())
		end()
	})

	if len(lines) != 1 {
		t.Fatalf("got %d lines, want 1", len(lines))
	}
	_, metrics := definitions(t, lines[0])
	for name := range metrics {
		if _, ok := lines[0][name].(float64); !ok {
			t.Errorf("%s: got %v, want a number", name, lines[0][name])
		}
	}
	if _, defined := metrics["CallLatency"]; defined || len(metrics) != 8 {
		t.Errorf("got the metrics %v, want no latencies where nothing was called", metrics)
	}
}

func TestBegin_reportsASingleCallToo(t *testing.T) {
	lines := written(t, telemetry.Options{Format: "JSON", Function: "f"}, func(tm *telemetry.Telemetry) {
		ctx, end := tm.Begin(t.Context())
		telemetry.Call(ctx, 3*time.Millisecond)
		telemetry.TokenCall(ctx, 4*time.Millisecond)
		end()
	})

	if got := lines[0]; fmt.Sprint(got["CallLatency"], got["TokenLatency"]) != "[3] [4]" {
		t.Errorf("got %v", got)
	}
}

func TestBegin_samplesAtMostAHundredLatencies(t *testing.T) {
	lines := written(t, telemetry.Options{Format: "JSON", Function: "f"}, func(tm *telemetry.Telemetry) {
		ctx, end := tm.Begin(t.Context())
		for i := range 10_000 {
			telemetry.Call(ctx, time.Duration(i)*time.Millisecond)
		}
		for range 100 {
			telemetry.TokenCall(ctx, time.Second)
		}
		end()
	})

	sample, _ := lines[0]["CallLatency"].([]any)
	tokens, _ := lines[0]["TokenLatency"].([]any)
	if len(sample) != 100 || len(tokens) != 100 || lines[0]["Attempts"] != 10_000.0 {
		t.Fatalf("got %d and %d values for %v attempts, want 100 each for 10,000", len(sample), len(tokens), lines[0]["Attempts"])
	}
	sum, late := 0.0, 0
	for _, value := range sample {
		v, _ := value.(float64)
		sum += v
		if v >= 100 {
			late++
		}
	}
	if mean := sum / 100; mean < 3500 || mean > 6500 || late < 90 {
		t.Errorf("got a sample with the mean %.0f, %d of it behind the first hundred; want a uniform one of 0 to 9999", mean, late)
	}
}

func TestCarryOver_isReportedByTheNextInvocationOnly(t *testing.T) {
	lines := written(t, telemetry.Options{Format: "JSON", Function: "f"}, func(tm *telemetry.Telemetry) {
		start := tm.CarryOver(t.Context())
		telemetry.CredentialRefresh(start)
		telemetry.TokenCall(start, 20*time.Millisecond)
		telemetry.TokenCall(tm.CarryOver(t.Context()), 30*time.Millisecond)
		first, end := tm.Begin(t.Context())
		telemetry.CredentialRefresh(first)
		end()
		_, end = tm.Begin(t.Context())
		end()
	})

	if len(lines) != 2 || lines[0]["CredentialRefresh"] != 2.0 || fmt.Sprint(lines[0]["TokenLatency"]) != "[20 30]" || lines[1]["CredentialRefresh"] != 0.0 || lines[1]["TokenLatency"] != nil {
		t.Errorf("got %v", lines)
	}
}

func TestCounting_outsideOfAnInvocationDoesNothing(t *testing.T) {
	telemetry.Call(t.Context(), time.Second)
	telemetry.TokenCall(t.Context(), time.Second)
	telemetry.CredentialRefresh(t.Context())
	telemetry.Done(t.Context(), apisecret.Item{Outcome: apisecret.Enabled})
}

func TestTelemetry_keepsInvocationsApart(t *testing.T) {
	out := &stage.Buffer{}
	tm := telemetry.New(telemetry.Options{Out: out, Format: "JSON", Function: "f"})
	var group sync.WaitGroup

	for n := range 20 {
		group.Go(func() {
			ctx, end := tm.Begin(lambdacontext.NewContext(t.Context(), &lambdacontext.LambdaContext{AwsRequestID: fmt.Sprint("request-", n)}))
			for range n {
				telemetry.Done(ctx, apisecret.Item{Outcome: apisecret.Enabled})
				telemetry.Call(ctx, time.Millisecond)
				tm.Audit(ctx, telemetry.Entry{Item: apisecret.Item{Identifier: apisecret.Identifier(n), Outcome: apisecret.Enabled}})
			}
			end()
		})
	}
	group.Wait()

	audits := map[any]int{}
	for _, line := range parse(t, out.String()) {
		var n int
		if _, err := fmt.Sscanf(fmt.Sprint(line["requestId"]), "request-%d", &n); err != nil {
			t.Fatalf("got the line %v", line)
		}
		if line["message"] == "audit" {
			audits[line["requestId"]]++
			if line["identifier"] != float64(n) {
				t.Errorf("got %v of another request", line)
			}
		} else if line["Enabled"] != float64(n) || line["Attempts"] != float64(n) {
			t.Errorf("got %v, want %d of each", line, n)
		}
	}
	for n := range 20 {
		if got := audits[fmt.Sprint("request-", n)]; got != n {
			t.Errorf("request %d: got %d audit lines", n, got)
		}
	}
}

func TestStandardLog_makesEachLineOneOfTheLogs(t *testing.T) {
	for _, row := range []struct {
		line string
		want string // "text" of the log line; empty: no line
	}{
		{"plain words", "plain words"},
		{"two\nlines\n", "two\nlines"},
		{`Unsolicited response received on idle HTTP channel starting with "HTTP/1.1 200 OK\r\nMARKER"; err=<nil>`, `Unsolicited response received on idle HTTP channel starting with …; err=<nil>`},
		{`a "MARKER" and "MARKER" b`, `a … b`},
		{`{"errorMessage":"{\"outcome\":\"failed\",\"MARKER\":1}","errorType":"Segura.TransientError"}`, ""},
		{`{"errorMessage":"MARKER","errorType":"Segura.InvalidRequest"}`, ""},
		{`{"a":"MARKER"}`, `{…}`},
		{``, ``},
	} {
		var out bytes.Buffer
		standard := log.New(telemetry.StandardLog{Log: slog.New(slog.NewJSONHandler(&out, nil))}, "", 0)

		standard.Print(row.line)

		got := out.String()
		if strings.Contains(got, "MARKER") {
			t.Errorf("%s: got %s", row.line, got)
		}
		lines := parse(t, got)
		if row.want == "" && row.line != "" {
			if len(lines) != 0 {
				t.Errorf("%s: got %s, want nothing", row.line, got)
			}
			continue
		}
		if len(lines) != 1 || lines[0]["text"] != row.want || lines[0]["level"] != "ERROR" {
			t.Errorf("%s: got %s, want %q", row.line, got, row.want)
		}
	}
}

func TestStandardLog_namesTheTypeOfAFunctionErrorThatIsNotOurs(t *testing.T) {
	var out bytes.Buffer

	n, err := telemetry.StandardLog{Log: slog.New(slog.NewJSONHandler(&out, nil))}.Write([]byte(`{"errorMessage":"MARKER","errorType":"errorString","stackTrace":[{"path":"MARKER"}]}` + "\n"))

	if got := out.String(); err != nil || n == 0 || !strings.Contains(got, `"errorType":"errorString"`) || strings.Contains(got, "MARKER") {
		t.Errorf("got %s, %d, %v", got, n, err)
	}
}

func TestStandardLog_hasTheRequestIDOfTheInvocationAtHand(t *testing.T) {
	var out bytes.Buffer
	tm := telemetry.New(telemetry.Options{Out: io.Discard, Format: "JSON"})
	standard := telemetry.StandardLog{Log: slog.New(slog.NewJSONHandler(&out, nil)), Telemetry: tm}

	_, _ = standard.Write([]byte("before"))
	_, end := tm.Begin(invoked(t))
	_, _ = standard.Write([]byte("within"))
	end()
	_, _ = standard.Write([]byte("after"))

	lines := parse(t, out.String())
	if len(lines) != 3 || lines[0]["requestId"] != nil || lines[1]["requestId"] != request || lines[2]["requestId"] != nil {
		t.Errorf("got %v", lines)
	}
}
