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

type line = map[string]any

// written returns the lines that use writes, each of them one JSON object.
func written(t *testing.T, use func(*telemetry.Telemetry)) []line {
	t.Helper()
	var out bytes.Buffer
	use(telemetry.New(telemetry.Options{Out: &out, Format: "JSON", Function: "EventFunction"}))
	return parse(t, out.String())
}

// reported returns the lines of an invocation that does what do does.
func reported(t *testing.T, do func(context.Context)) []line {
	t.Helper()
	return written(t, func(tm *telemetry.Telemetry) {
		ctx, end := tm.Begin(invoked(t))
		defer end()
		do(ctx)
	})
}

func parse(t *testing.T, text string) []line {
	t.Helper()
	var lines []line
	for one := range strings.Lines(text) {
		lines = append(lines, nil)
		if err := json.Unmarshal([]byte(one), &lines[len(lines)-1]); err != nil {
			t.Fatalf("got a line that is no JSON object: %v: %s", err, one)
		}
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
		Origin: telemetry.Origin{
			Source: "event", Caller: "arn:aws:events:eu-west-1:1:rule/x", EventSource: "aws.events", EventID: "e-1", Window: "w-1", Execution: "arn:aws:states:eu-west-1:1:execution:bulk:x",
		},
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
		want  line
	}{
		{full, line{
			"source": "event", "action": "disable", "identifier": float64(apisecret.MaxIdentifier), "outcome": "failed", "attempts": 3.0, "duration_ms": 1234.0,
			"code": "not_found", "cause": "sentence for the caller", "http_status": 400.0, "segura_code": 1005.0, "upstream_request_id": "kong-1", "upstream_message": "1005: Api secret not found",
			"reason": "CHG0012345", "caller": "arn:aws:events:eu-west-1:1:rule/x", "event_source": "aws.events", "event_id": "e-1", "window": "w-1", "execution": "arn:aws:states:eu-west-1:1:execution:bulk:x",
		}},
		{success, line{
			"source": "api", "action": "enable", "identifier": 5.0, "outcome": "enabled", "attempts": 1.0, "duration_ms": 0.0,
			"http_status": 200.0, "upstream_request_id": "kong-2", "upstream_message": "Api secret activated",
		}},
		{bare, line{"source": "api", "action": "enable", "identifier": 5.0, "outcome": "failed", "attempts": 0.0, "duration_ms": 0.0, "code": "not_allowed", "cause": "x"}},
	} {
		got := written(t, func(tm *telemetry.Telemetry) { tm.Audit(invoked(t), row.entry) })[0]

		if _, err := time.Parse("2006-01-02T15:04:05.999999999Z", fmt.Sprint(got["timestamp"])); err != nil {
			t.Errorf("got the timestamp %v: %v", got["timestamp"], err)
		}
		delete(got, "timestamp")
		maps.Copy(row.want, line{"level": "INFO", "message": "audit", "requestId": request})
		if !maps.Equal(got, row.want) {
			t.Errorf("got %v, want %v", got, row.want)
		}
	}
}

func TestAudit_namesTheRootOfLambdasTraceHeaderAlone(t *testing.T) {
	const root = "1-5759e988-bd862e3fe1be46a994272793"
	for header, want := range map[any]any{
		"Root=" + root + ";Parent=3995c3f42cd8ad8;Sampled=1;Lineage=a87bd80c:1|68fd508a:5":       root,
		"Self=1-67891234-12456789abcdef012345678;Parent=3995c3f42cd8ad8; Root=" + root + "; X=0": root,
		"Parent=3995c3f42cd8ad8;Sampled=1":                                                       nil,
		5:                                                                                        nil,
	} {
		ctx := context.WithValue(invoked(t), "x-amzn-trace-id", header) //nolint:staticcheck // The runtime library's own key.

		lines := written(t, func(tm *telemetry.Telemetry) { tm.Audit(ctx, telemetry.Entry{}) })

		if got := lines[0]["xray_trace_id"]; got != want {
			t.Errorf("%v: got %v, want %v", header, got, want)
		}
	}
}

// quoted are the quoted values of a line of text.
var quoted = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)

// Text that came from outside is a string and forges neither a line nor a field.
func TestAudit_cannotBeForged(t *testing.T) {
	for _, text := range []string{
		"x\n{\"level\":\"INFO\",\"message\":\"audit\",\"identifier\":6}\n", `","identifier":6,"x":"`, "a\r\nb", "\x1b[2K\x1b[1A", "\u2028\u2029", "\x00\x7f\u0085", "\u202e gnirts",
		"level=ERROR msg=x identifier=6", "\U000e0041", "\xff\xfe", "😀 \"quoted\" \\",
	} {
		entry := telemetry.Entry{
			Origin: telemetry.Origin{Source: "event", Caller: text, EventSource: text, EventID: text, Execution: text}, Reason: text, UpstreamMessage: text, UpstreamRequest: text,
			Item: apisecret.Item{Identifier: apisecret.MaxIdentifier, Outcome: apisecret.Enabled},
		}
		for _, format := range []string{"JSON", "Text", ""} {
			var out bytes.Buffer

			telemetry.New(telemetry.Options{Out: &out, Format: format}).Audit(t.Context(), entry)

			got, oneLine := strings.CutSuffix(out.String(), "\n")
			if !oneLine || strings.ContainsFunc(got, func(r rune) bool {
				return r < ' ' || r >= 0x7f && r < 0xa0 || r == '\u2028' || r == '\u2029' || r == '\u202e'
			}) {
				t.Errorf("%q as %s: got %q, want one line without control characters", text, format, got)
			}
			if format != "JSON" {
				if fields := quoted.ReplaceAllString(got, ""); !strings.Contains(fields, " identifier=9223372036854775807 ") || strings.Count(fields, "identifier=") != 1 || strings.Count(fields, "level=") != 1 {
					t.Errorf("%q as text: got %s", text, got)
				}
				continue
			}
			read := parse(t, got)[0]
			if !strings.Contains(got, `"identifier":9223372036854775807,`) || read["level"] != "INFO" || read["message"] != "audit" || read["reason"] != string([]rune(text)) || read["requestId"] != nil {
				t.Errorf("%q: got %s", text, got)
			}
		}
	}
}

func TestAudit_passesWhateverLevelIsConfigured(t *testing.T) {
	for configured, want := range map[string]string{
		"": "INFO", "TRACE": "INFO", "DEBUG": "INFO", "INFO": "INFO", "WARN": "WARN", "ERROR": "ERROR", "FATAL": "FATAL", "something": "INFO",
	} {
		var out bytes.Buffer
		tm := telemetry.New(telemetry.Options{Out: &out, Format: "JSON", Level: configured})
		item := apisecret.Item{Identifier: 5, Outcome: apisecret.Failed, Error: failure()}

		ctx, end := tm.Begin(invoked(t))
		tm.Audit(ctx, telemetry.Entry{Item: item})
		telemetry.Done(ctx, item)
		end()

		if got := out.String(); strings.Count(got, "\n") != 3 || strings.Count(got, `"level":"`+want+`"`) != 3 {
			t.Errorf("AWS_LAMBDA_LOG_LEVEL=%s: got %s, want an audit line and two metric lines of level %s", configured, got, want)
		}
	}
}

// definitions are the metrics of an EMF line: the dimensions, then name and unit.
func definitions(t *testing.T, l line) (dimensions string, metrics map[string]string) {
	t.Helper()
	var aws struct {
		Timestamp         int64
		CloudWatchMetrics []struct {
			Namespace  string
			Dimensions [][]string
			Metrics    []struct{ Name, Unit string }
		}
	}
	text, _ := json.Marshal(l["_aws"])
	if err := json.Unmarshal(text, &aws); err != nil || len(aws.CloudWatchMetrics) != 1 || aws.CloudWatchMetrics[0].Namespace != "Segura" {
		t.Fatalf("got %v, %v; want one directive", l, err)
	}
	if age := time.Since(time.UnixMilli(aws.Timestamp)); age < -time.Second || age > time.Minute {
		t.Errorf("got a timestamp of %s ago", age)
	}
	metrics = map[string]string{}
	for _, m := range aws.CloudWatchMetrics[0].Metrics {
		metrics[m.Name] = m.Unit
	}
	return fmt.Sprint(aws.CloudWatchMetrics[0].Dimensions), metrics
}

func TestBegin_writesTheMetricsOfAnInvocation(t *testing.T) {
	lines := reported(t, func(ctx context.Context) {
		for _, outcome := range []apisecret.Outcome{apisecret.Enabled, apisecret.Enabled, apisecret.AlreadyEnabled, apisecret.Disabled, apisecret.AlreadyDisabled} {
			telemetry.Done(ctx, apisecret.Item{Outcome: outcome})
		}
		for _, fault := range []*apisecret.Error{apisecret.NewError(apisecret.UpstreamTimeout, ""), failure(), failure()} {
			telemetry.Done(ctx, apisecret.Item{Outcome: apisecret.Failed, Error: fault})
		}
		telemetry.Call(ctx, 1500*time.Microsecond)
		telemetry.TokenCall(ctx, 20*time.Millisecond)
		telemetry.CredentialRefresh(ctx)
		telemetry.SecretUnusable(ctx)
		telemetry.Count(ctx, "WindowsOpen", 0)
	})

	if len(lines) != 3 {
		t.Fatalf("got %d lines, want one for the invocation and one for each code", len(lines))
	}
	dimensions, metrics := definitions(t, lines[0])
	wantMetrics := map[string]string{
		"Enabled": "Count", "AlreadyEnabled": "Count", "Disabled": "Count", "AlreadyDisabled": "Count", "Failed": "Count", "Attempts": "Count", "CredentialRefresh": "Count", "SecretUnusable": "Count",
		"WindowsOpen": "Count", "CallLatency": "Milliseconds", "TokenLatency": "Milliseconds",
	}
	if dimensions != "[[Function]]" || !maps.Equal(metrics, wantMetrics) {
		t.Errorf("got the metrics %v by %s, want %v by [[Function]]", metrics, dimensions, wantMetrics)
	}
	for key, want := range map[string]any{
		"Function": "EventFunction", "requestId": request, "level": "INFO", "message": "metrics", "Enabled": 2, "AlreadyEnabled": 1, "Disabled": 1, "AlreadyDisabled": 1,
		"Failed": 3, "Attempts": 1, "CredentialRefresh": 1, "SecretUnusable": 1, "WindowsOpen": 0, "CallLatency": "[1.5]", "TokenLatency": "[20]",
	} {
		if got := lines[0][key]; fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: got %v, want %v", key, got, want)
		}
	}
	for at, want := range []string{"not_found: 2 of EventFunction", "upstream_timeout: 1 of EventFunction"} {
		got := lines[at+1]
		dimensions, metrics := definitions(t, got)
		if fmt.Sprintf("%v: %v of %v", got["Code"], got["Failed"], got["Function"]) != want || dimensions != "[[Function Code]]" || !maps.Equal(metrics, map[string]string{"Failed": "Count"}) {
			t.Errorf("got %v, want %s by Function and Code", got, want)
		}
	}
}

// The definition of a metric without a value makes CloudWatch drop the line.
func TestBegin_definesOnlyMetricsThatHaveAValue(t *testing.T) {
	for left, want := range map[time.Duration]float64{
		29*24*time.Hour + 12*time.Hour + time.Minute: 29.5, -36*time.Hour + time.Minute: -1.5, time.Minute: 0,
	} {
		lines := reported(t, func(ctx context.Context) {
			telemetry.AccessKeyExpires(ctx, time.Now().Add(400*24*time.Hour)) // of a key that was replaced meanwhile
			telemetry.AccessKeyExpires(ctx, time.Now().Add(left))
		})

		_, metrics := definitions(t, lines[0])
		if got := lines[0]["AccessKeyDaysLeft"]; got != want || metrics["AccessKeyDaysLeft"] != "None" {
			t.Errorf("%s: got %v %s, want %v without a unit", left, got, metrics["AccessKeyDaysLeft"], want)
		}
		delete(metrics, "AccessKeyDaysLeft")
		for name := range metrics {
			if lines[0][name] != 0.0 {
				t.Errorf("%s: got %v, want 0", name, lines[0][name])
			}
		}
		if len(lines) != 1 || len(metrics) != 8 {
			t.Errorf("got %v, want one line with eight counts, and no latencies where nothing was called", lines)
		}
	}
}

func TestBegin_samplesAtMostAHundredLatencies(t *testing.T) {
	lines := reported(t, func(ctx context.Context) {
		for i := range 10_000 {
			telemetry.Call(ctx, time.Duration(i)*time.Millisecond)
		}
	})

	sample, _ := lines[0]["CallLatency"].([]any)
	sum, late := 0.0, 0
	for _, value := range sample {
		v, _ := value.(float64)
		sum += v
		if v >= 100 {
			late++
		}
	}
	if mean := sum / 100; len(sample) != 100 || lines[0]["Attempts"] != 10_000.0 || mean < 3500 || mean > 6500 || late < 90 {
		t.Errorf("got %d values of %v with the mean %.0f, %d of them behind the first hundred; want a uniform sample of 0 to 9999", len(sample), lines[0]["Attempts"], mean, late)
	}
}

func TestCarryOver_isReportedByTheNextInvocationOnly(t *testing.T) {
	lines := written(t, func(tm *telemetry.Telemetry) {
		start := tm.CarryOver(t.Context())
		telemetry.CredentialRefresh(start)
		telemetry.TokenCall(start, 20*time.Millisecond)
		telemetry.TokenCall(tm.CarryOver(t.Context()), 30*time.Millisecond)
		first, end := tm.Begin(t.Context())
		telemetry.CredentialRefresh(first)
		end()
		_, end = tm.Begin(t.Context())
		telemetry.CredentialRefresh(t.Context()) // outside of any
		end()
	})

	if len(lines) != 2 || lines[0]["CredentialRefresh"] != 2.0 || fmt.Sprint(lines[0]["TokenLatency"]) != "[20 30]" || lines[1]["CredentialRefresh"] != 0.0 || lines[1]["TokenLatency"] != nil {
		t.Errorf("got %v", lines)
	}
}

func TestTelemetry_keepsInvocationsApart(t *testing.T) {
	out := &stage.Buffer{}
	tm := telemetry.New(telemetry.Options{Out: out, Format: "JSON"})
	var group sync.WaitGroup

	for n := range 20 {
		group.Go(func() {
			ctx, end := tm.Begin(lambdacontext.NewContext(t.Context(), &lambdacontext.LambdaContext{AwsRequestID: fmt.Sprint(n)}))
			defer end()
			for range n {
				telemetry.Done(ctx, apisecret.Item{Outcome: apisecret.Enabled})
			}
		})
	}
	group.Wait()

	for _, l := range parse(t, out.String()) {
		if l["requestId"] != fmt.Sprint(l["Enabled"]) {
			t.Errorf("got %v, want as many as the request's id says", l)
		}
	}
}

func TestStandardLog_makesEachLineOneOfTheLogs(t *testing.T) {
	for text, want := range map[string]line{
		"plain words":  {"text": "plain words"},
		"two\nlines\n": {"text": "two\nlines"},
		"":             {"text": ""},
		`Unsolicited response received on idle HTTP channel starting with "HTTP/1.1 200 OK\r\nMARKER"; err=<nil>`: {"text": "Unsolicited response received on idle HTTP channel starting with …; err=<nil>"},
		`a "MARKER" and "MARKER" b`: {"text": "a … b"},
		`{"a":"MARKER"}`:            {"text": "{…}"},
		`{"errorMessage":"{\"outcome\":\"failed\",\"MARKER\":1}","errorType":"Segura.TransientError"}`: nil,
		`{"errorMessage":"MARKER","errorType":"errorString","stackTrace":[{"path":"MARKER"}]}`:         {"errorType": "errorString"},
	} {
		var out bytes.Buffer
		standard := log.New(telemetry.StandardLog{Log: slog.New(slog.NewJSONHandler(&out, nil))}, "", 0)

		standard.Print(text)

		if want == nil {
			if out.Len() > 0 {
				t.Errorf("%s: got %s, want nothing", text, &out)
			}
			continue
		}
		got := parse(t, out.String())[0]
		maps.Copy(want, line{"time": got["time"], "msg": got["msg"], "level": "ERROR"})
		if !maps.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", text, got, want)
		}
	}
}

func TestStandardLog_hasTheRequestIDOfTheInvocationAtHand(t *testing.T) {
	var out bytes.Buffer
	tm := telemetry.New(telemetry.Options{Out: io.Discard, Format: "JSON"})
	standard := log.New(telemetry.StandardLog{Log: slog.New(slog.NewJSONHandler(&out, nil)), Telemetry: tm}, "", 0)

	standard.Print("before")
	_, end := tm.Begin(invoked(t))
	standard.Print("within")
	end()
	standard.Print("after")

	lines := parse(t, out.String())
	if len(lines) != 3 || lines[0]["requestId"] != nil || lines[1]["requestId"] != request || lines[2]["requestId"] != nil {
		t.Errorf("got %v", lines)
	}
}
