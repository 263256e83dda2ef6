package acceptance

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"segura-enable/simulated/runtimeapi"
	"segura-enable/simulated/seguratest"
	"segura-enable/simulated/stage"
)

// levels are Lambda's, from the lowest to the highest.
var levels = []string{"TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"}

// traceID is the root of what the Runtime API makes up.
var traceID = regexp.MustCompile(`^1-[0-9a-f]{8}-[0-9a-f]{24}$`)

// hasOnly checks the members of an audit line, besides Lambda's own keys.
func hasOnly(t *testing.T, about string, l stage.Line, want map[string]any) {
	t.Helper()
	for key, value := range want {
		if fmt.Sprint(l[key]) != fmt.Sprint(value) || fmt.Sprintf("%T", l[key]) != fmt.Sprintf("%T", value) {
			t.Errorf("%s: %s is %v (%T), want %v (%T)", about, key, l[key], l[key], value, value)
		}
	}
	for _, key := range []string{"code", "http_status", "segura_code", "upstream_request_id", "upstream_message", "reason", "caller"} {
		if _, wanted := want[key]; !wanted && l[key] != nil {
			t.Errorf("%s: %s is %v, want none", about, key, l[key])
		}
	}
	if ms, ok := l.Number("duration_ms"); !ok || ms < 0 || ms > 20_000 {
		t.Errorf("%s: duration_ms is %v", about, l["duration_ms"])
	}
}

func TestAudit_saysWhoDidWhatAndWhatCameOfIt(t *testing.T) {
	t.Parallel()
	w := start(t, setup{segura: anyIdentifier, env: map[string]string{"SEGURA_ALLOWED_IDENTIFIERS": "1-999"}})
	w.segura.Fail(seguratest.Match{Kind: seguratest.KindEnable}, seguratest.Normally().WithHeader("X-Kong-Request-Id", "kong-1"), 3)
	inv := w.invoke(`{"identifiers":[5,6,7,1000],"reason":"CHG0012345"}`)
	lines := auditOf(t, inv.Invocation)
	for identifier, want := range map[int64]map[string]any{
		5: {"outcome": "enabled", "attempts": 1.0, "http_status": 200.0, "upstream_message": "Api secret activated successfully", "upstream_request_id": "kong-1"},
		6: {"outcome": "already_enabled", "attempts": 1.0, "http_status": 200.0, "upstream_message": "Api secret has already been activated", "upstream_request_id": "kong-1"},
		7: {"outcome": "failed", "attempts": 1.0, "http_status": 400.0, "upstream_message": "1005: Api secret not found", "upstream_request_id": "kong-1",
			"code": "not_found", "segura_code": 1005.0},
		1000: {"outcome": "failed", "attempts": 0.0, "code": "not_allowed"},
	} {
		want["source"], want["action"], want["identifier"], want["reason"] = "event", "enable", float64(identifier), "CHG0012345"
		if id := lines[identifier].Text("xray_trace_id"); !traceID.MatchString(id) {
			t.Errorf("%d: got the trace id %q", identifier, id)
		}
		hasOnly(t, fmt.Sprint(identifier), lines[identifier], want)
	}
	w.segura.Fail(seguratest.Match{Kind: seguratest.KindDisable}, seguratest.Normally().WithHeader("X-Kong-Request-Id", "kong-2"), 1)
	hasOnly(t, "disable", audited(t, "disable", w.invoke(`{"identifier":5,"action":"disable"}`).Invocation), map[string]any{
		"source": "event", "action": "disable", "identifier": 5.0, "outcome": "disabled", "attempts": 1.0, "http_status": 200.0,
		"upstream_message": "Api secret successfully deactivated", "upstream_request_id": "kong-2",
	})
}

func TestAudit_ofTheAPIFunctionNamesTheCaller(t *testing.T) {
	t.Parallel()
	w := start(t, setup{function: api, segura: anyIdentifier})
	w.segura.Fail(seguratest.Match{}, seguratest.Normally().WithHeader("X-Kong-Request-Id", "kong-1"), -1)
	a := w.httpEvent(sampleEvent(t, "rest-one.json"))
	hasOnly(t, "rest-one.json", audited(t, "rest-one.json", a.Invocation), map[string]any{
		"source": "api", "action": "enable", "identifier": 5.0, "outcome": "enabled", "attempts": 1.0, "http_status": 200.0, "reason": "CHG0012345",
		"caller":           "arn:aws:sts::123456789012:assumed-role/operations/alice",
		"upstream_message": "Api secret activated successfully", "upstream_request_id": "kong-1",
	})
}

func TestLogLevel_auditAndMetricLinesPassAnyOfThem(t *testing.T) {
	t.Parallel()
	for _, configured := range append([]string{"", "unheard of"}, levels...) {
		t.Run(configured, func(t *testing.T) {
			t.Parallel()
			for _, function := range []string{event, api} {
				w := start(t, setup{function: function, segura: anyIdentifier, env: map[string]string{"AWS_LAMBDA_LOG_LEVEL": configured}})
				if function == event {
					w.enable(5, 7)
				} else {
					w.http("POST", "/api-secrets/enable", `{"identifiers":[5,7]}`, nil)
				}
				if audit, metrics := len(w.audit()), len(w.metrics()); audit != 2 || metrics != 2 {
					t.Errorf("%s: got %d audit and %d metric lines, want 2 of each", function, audit, metrics)
				}
				for _, l := range w.logs() {
					needed := slices.Index(levels, configured)
					if configured == "FATAL" && !l.IsAudit() && !l.IsMetric() {
						continue // Lambda drops what is below
					}
					if got := slices.Index(levels, l.Text("level")); got < needed {
						t.Errorf("%s: the line %v is dropped at level %s", function, l, configured)
					}
				}
			}
		})
	}
}

// forgeries are texts that would forge a line or a field if they were written as
// they are.
var forgeries = []string{
	"x\n{\"timestamp\":\"2026-11-21T00:00:00Z\",\"level\":\"INFO\",\"message\":\"audit\",\"identifier\":1,\"outcome\":\"enabled\",\"attempts\":1}",
	"x\r\nEND RequestId: 00000000-0000-4000-8000-000000000000", `","outcome":"enabled","identifier":1,"x":"`, `\",\"outcome\":\"enabled\"`, `"}` + "\n" + `{"_aws":{}}`,
	" outcome=enabled identifier=1 ", "=", `"`, `\`, "\x1b[2J\x1b[31mred", "\x00\x01\x08\x0b\x0c\x0e\x1f", "\x7f", "\u0085\u2028\u2029", "\u202e\ufeff\ufffd", "😀\U0010ffff",
	"${jndi:ldap://example.com}", "%s%d%n%!v(MISSING)", "</script><!--",
}

// escapedJSON is the text as a JSON string of nothing but \u escapes.
func escapedJSON(text string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range text {
		if r > 0xffff {
			r -= 0x10000
			fmt.Fprintf(&b, `\u%04x\u%04X`, 0xd800+(r>>10), 0xdc00+(r&0x3ff))
			continue
		}
		fmt.Fprintf(&b, `\u%04x`, r)
	}
	return b.String() + `"`
}

func TestLogs_aReasonCannotForgeALineOrAField(t *testing.T) {
	t.Parallel()
	w := start(t, setup{segura: anyIdentifier})
	for _, text := range forgeries {
		inv := w.invoke(`{"identifier":5,"reason":` + escapedJSON(text) + `}`)
		l := audited(t, text, inv.Invocation)
		if l.Text("reason") != text || len(pick(parse(t, inv.Logs), stage.Line.IsMetric)) != 1 || len(inv.Logs) != 2 {
			t.Errorf("reason %q: got %q", text, inv.Logs)
		}
		clean(t, inv.Logs)
	}
	// A lone surrogate is no character, and no valid UTF-8 either.
	inv := w.invoke(`{"identifier":5,"reason":"x\ud800y\udc00z"}`)
	if got, want := audited(t, "surrogates", inv.Invocation).Text("reason"), "x\ufffdy\ufffdz"; got != want && !inv.FunctionError {
		t.Errorf("lone surrogates: got %q, want %q or a refusal", got, want)
	}
	clean(t, w.function.Logs())
}

func TestLogs_theUpstreamCannotForgeALineOrAField(t *testing.T) {
	t.Parallel()
	w := start(t, setup{segura: anyIdentifier, env: map[string]string{"SEGURA_MAX_ATTEMPTS": "1"}})
	for _, text := range append(forgeries, "Api secret activated successfully\n"+forgeries[0]) {
		w.segura.ClearFaults()
		var asked []int64
		for i, fault := range []seguratest.Fault{
			seguratest.Envelope(400, 400, text), seguratest.Envelope(200, 200, text), seguratest.Gateway(403, text),
			seguratest.EnvelopeException(400, 400, text, 1005, text), seguratest.Reply(500, "text/plain", text),
			seguratest.ReplyJSON(500, `{"message":`+quoted(text)+`,"request_id":`+quoted(text)+`}`).WithHeader("X-Kong-Request-Id", ""),
			seguratest.Reply(500, "text/plain", "x\nrequest_id: "+text).WithHeader("X-Kong-Request-Id", ""),
		} {
			asked = append(asked, int64(101+i))
			w.segura.Fail(seguratest.Match{Identifier: int64(101 + i)}, fault, 1)
		}
		inv := w.enable(asked...)
		lines := auditOf(t, inv.Invocation)
		for _, identifier := range asked {
			if lines[identifier] == nil {
				t.Errorf("%q: identifier %d has no audit line", text, identifier)
			}
		}
		if len(lines) != len(asked) {
			t.Errorf("%q: got %d audit lines, want %d: %q", text, len(lines), len(asked), inv.Logs)
		}
		clean(t, inv.Logs)
	}
	for _, body := range []string{"\xff\xfe\xc0\xaf", "{\"message\":\"\xff\xed\xa0\x80\x80\"}", "{\"message\":\"x\\ud800y\"}", "\x00\x01", "{\"message\":\"" + strings.Repeat("é", 511) + "\"}"} {
		w.segura.Fail(seguratest.Match{Kind: seguratest.KindEnable}, seguratest.Reply(500, "text/plain", body), 1)
		audited(t, body, w.enable(5).Invocation)
	}
	for _, id := range []string{`","code":"x`, "\xff\xfe", strings.Repeat("é", 100), strings.Repeat("x", 5000), "a\tb", `\u0022`, "{}"} {
		w.segura.Fail(seguratest.Match{Kind: seguratest.KindEnable}, seguratest.Gateway500().WithHeader("X-Kong-Request-Id", id), 1)
		inv := w.enable(5)
		if got := audited(t, id, inv.Invocation).Text("upstream_request_id"); len(got) > 1024 {
			t.Errorf("a request id of %d bytes is in the log", len(got))
		}
	}
	clean(t, w.function.Logs())
}

// The runtime library prints the error that a function returns, as a line that
// is no JSON and holds the whole document.
func TestLogs_aFunctionErrorLeavesOneLineWithoutTheDocument(t *testing.T) {
	t.Parallel()
	w := start(t, setup{segura: anyIdentifier})
	for payload, kind := range map[string]string{
		`{"identifiers":[5,7,8]}`: "Segura.PermanentError", `{`: "Segura.InvalidRequest", `{"identifier":0}`: "Segura.InvalidRequest",
	} {
		inv := w.raw([]byte(payload))
		var about []string
		for _, text := range inv.Logs {
			l := parse(t, []string{text})[0]
			if l.IsAudit() || l.IsMetric() {
				continue
			}
			if strings.Contains(text, kind) {
				about = append(about, text)
			}
			if strings.Contains(text, "requested") || strings.Contains(text, "results") || strings.Contains(text, `failed_by_code`) {
				t.Errorf("%s: a line repeats the document: %s", payload, text)
			}
			if l.Text("level") != "ERROR" {
				t.Errorf("%s: got the level %s of %s, want ERROR", payload, l.Text("level"), text)
			}
		}
		if len(about) != 1 {
			t.Errorf("%s: got %d lines about the %s, want 1: %q", payload, len(about), kind, about)
		}
	}
}

// A client context that cannot be read fails an invocation before the function
// sees it. What the library logs then cannot know the request's id.
func TestLogs_theLibrarysOwnErrorsAreJSONToo(t *testing.T) {
	t.Parallel()
	w := start(t, setup{segura: anyIdentifier})
	for _, clientContext := range []string{`x`, `5`, `{"client":5}`, `[]`, `{"custom":"","client":{"app_title":5}}`, "\"},{\"level\":\"INFO\"}", "\"" + strings.Repeat("x", 500)} {
		inv, err := w.function.Invoke(context.Background(), []byte(`{"identifier":5}`), runtimeapi.WithClientContext(clientContext))
		if err != nil || !inv.FunctionError || strings.HasPrefix(inv.ErrorType, "Runtime.") {
			t.Errorf("client context %q: got %+v, %v; want an error of the library's", clientContext, inv, err)
		}
		if lines := parse(t, inv.Logs); len(lines) != 1 || lines[0].Text("level") != "ERROR" || strings.Contains(inv.Logs[0], "app_title") {
			t.Errorf("client context %q: got the lines %q, want one", clientContext, inv.Logs)
		}
	}
	is(t, w.one(5), "afterwards", "enabled", "", false, 1)
}

func TestLogs_inTextFormatHaveOneLineForEachRecord(t *testing.T) {
	t.Parallel()
	w := start(t, setup{segura: anyIdentifier, textLogs: true})
	plain := textLines(w.invoke(`{"identifier":5,"reason":"x"}`).Invocation)
	if len(plain) != 1 {
		t.Fatalf("got %d lines, want one audit line: %q", len(plain), plain)
	}
	for _, want := range []string{"source=event", "action=enable", "identifier=5", "outcome=enabled", "attempts=1", "duration_ms=", "http_status=200", "reason=x", "requestId="} {
		if !strings.Contains(plain[0], want) {
			t.Errorf("the audit line %s has not %s", plain[0], want)
		}
	}
	refused := func(message, reason string) []string {
		w.segura.Fail(seguratest.Match{Kind: seguratest.KindEnable}, seguratest.Envelope(200, 200, message), 1)
		return textLines(w.invoke(`{"identifier":5,"reason":` + escapedJSON(reason) + `}`).Invocation)
	}
	plain = refused("x", "x")
	for _, text := range forgeries {
		lines := refused("Api secret activated, they say "+text, "x "+text)
		if len(lines) != 2 || fields(lines[0]) != fields(plain[0]) || fields(lines[1]) != fields(plain[1]) {
			t.Errorf("reason and message %q: got the lines %q, want the fields of %q", text, lines, plain)
		}
		clean(t, lines)
	}
	inv := w.enable(5, 7)
	if lines := textLines(inv.Invocation); len(lines) != 3 || strings.Contains(strings.Join(lines, "\n"), "failed_by_code") {
		t.Errorf("got %q, want two audit lines and one about the error", lines)
	}
	for _, text := range w.function.Logs() {
		if strings.HasPrefix(text, "{") {
			checkMetricLine(t, parse(t, []string{text})[0], "EventFunction")
		}
	}
}

// textLines are the lines of an invocation but for the metrics, which are JSON
// whatever the format.
func textLines(inv runtimeapi.Invocation) []string {
	return slices.DeleteFunc(slices.Clone(inv.Logs), func(text string) bool { return strings.HasPrefix(text, "{") })
}

var quotedText = regexp.MustCompile(`"(\\.|[^"\\])*"`)

// fields are the names of a line's fields.
func fields(text string) string {
	var names []string
	for _, field := range strings.Fields(quotedText.ReplaceAllString(text, "q")) {
		name, _, _ := strings.Cut(field, "=")
		names = append(names, name)
	}
	return strings.Join(names, " ")
}

// Requests carry their callers' session tokens and Authorization headers.
func TestLogs_neverHoldTheRequestsOwnHeadersOrBody(t *testing.T) {
	t.Parallel()
	w := start(t, setup{function: api, segura: anyIdentifier})
	for _, name := range []string{"rest-one.json", "rest-batch.json", "rest-not-found.json", "http-api-one.json", "http-api-access-denied.json", "function-url.json"} {
		e := sampleEvent(t, name)
		w.httpEvent(e)
		for _, body := range []string{`{"reason":5,"x":"bodymarkerbodymarker"}`, `{"bodymarker`, `bodymarkerbodymarker`} {
			e["body"], e["isBase64Encoded"] = body, false
			w.httpEvent(e)
		}
		e["body"] = nil
		for _, key := range []string{"path", "rawPath"} {
			if e[key] != nil {
				e[key] = "/pathmarker/pathmarker"
			}
		}
		w.httpEvent(e)
	}
	for _, secret := range []string{"IQoJb3JpZ2luX2Vj", "AWS4-HMAC-SHA256", "ASIAIOSFODNN7EXAMPLE", "0123456789abcdef0123456789abcdef", "bodymarkerbody"} {
		if strings.Contains(w.said(), secret) {
			t.Errorf("%s of a request is in the log or in a reply", secret)
		}
	}
}

func TestConcurrentInvocations_mixNothing(t *testing.T) {
	t.Parallel()
	const workers, rounds = 8, 20
	w := start(t, setup{function: api, concurrency: workers, segura: seguratest.Options{
		AnyIdentifier: true, APISecrets: map[int64]seguratest.APISecret{}, Latency: seguratest.Latency{Jitter: 10 * time.Millisecond},
	}})
	w.segura.Fail(seguratest.Match{Kind: seguratest.KindEnable, When: func(r seguratest.Request) bool { return r.Identifier%10 == 7 }}, seguratest.NotFound1005(), -1)
	var group sync.WaitGroup
	for worker := range workers {
		group.Go(func() {
			for round := range rounds {
				w.oneOfMany(t, int64(1000*(worker+1)+10*round))
			}
		})
	}
	group.Wait()
	if n := len(w.audit()); n != workers*rounds*4 {
		t.Errorf("got %d audit lines, want %d", n, workers*rounds*4)
	}
	byRequest := map[string]float64{}
	for _, l := range w.metrics() {
		if n, has := l.Number("Enabled"); has {
			byRequest[l.Text("requestId")] += n
			if failed, _ := l.Number("Failed"); failed != 1 {
				t.Errorf("request %s: got Failed %v, want 1", l.Text("requestId"), failed)
			}
		}
	}
	for id, n := range byRequest {
		if n != 3 {
			t.Errorf("request %s: got Enabled %v, want 3", id, n)
		}
	}
	if len(byRequest) != workers*rounds {
		t.Errorf("got metrics of %d requests, want %d", len(byRequest), workers*rounds)
	}
}

// oneOfMany enables four identifiers, of which the last does not exist, with a
// reason and a caller of their own, and checks that all that is said of them is
// theirs.
func (w *world) oneOfMany(t *testing.T, first int64) {
	reason, caller := fmt.Sprintf("reason-%d-", first), fmt.Sprintf("arn:aws:iam::123456789012:user/u%d-", first)
	identifiers := []int64{first + 1, first + 2, first + 3, first + 7}
	e := stage.HTTPEvent("POST", "/api-secrets/enable", strings.Replace(list("enable", identifiers...), "}", `,"reason":`+quoted(reason)+`}`, 1), nil)
	within(e, "requestContext", "authorizer", "iam")["userArn"] = caller
	a := w.httpEvent(e)
	var got []string
	for _, i := range a.result.Results {
		got = append(got, fmt.Sprintf("%d %s", i.Identifier, i.Outcome))
	}
	if want := []string{fmt.Sprint(first+1, " enabled"), fmt.Sprint(first+2, " enabled"), fmt.Sprint(first+3, " enabled"), fmt.Sprint(first+7, " failed")}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	lines := auditOf(t, a.Invocation)
	for _, identifier := range identifiers {
		l := lines[identifier]
		if l.Text("requestId") != a.RequestID || l.Text("reason") != reason || l.Text("caller") != caller {
			t.Errorf("request %s for %v: got the audit line %v", a.RequestID, identifiers, l)
		}
	}
	if len(lines) != len(identifiers) {
		t.Errorf("request %s: got %d audit lines, want %d", a.RequestID, len(lines), len(identifiers))
	}
}
