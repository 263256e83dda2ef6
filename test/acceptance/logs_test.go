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
	"segura-enable/simulated/secretsmanager"
	"segura-enable/simulated/seguratest"
	"segura-enable/simulated/stage"
)

// levels are Lambda's, from the lowest to the highest.
var levels = []string{"TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"}

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

func TestAudit_callers(t *testing.T) {
	t.Parallel()
	const arn = "arn:aws:iam::123456789012:user/carol"
	w := start(t, setup{function: api, segura: anyIdentifier})
	for name, row := range map[string]struct {
		event func(method, path, body string, header map[string]string) map[string]any
		path  []string // below requestContext
		value any
		want  any
	}{
		"REST API with IAM":                    {stage.RESTEvent, []string{"identity", "userArn"}, arn, arn},
		"REST API with a Lambda authorizer":    {stage.RESTEvent, []string{"authorizer", "principalId"}, "user|carol", "user|carol"},
		"REST API with Cognito":                {stage.RESTEvent, []string{"authorizer", "claims"}, map[string]any{"sub": "8f0e", "email": "carol@example.com"}, "8f0e"},
		"HTTP API with IAM":                    {stage.HTTPEvent, []string{"authorizer", "iam", "userArn"}, arn, arn},
		"HTTP API with JWT":                    {stage.HTTPEvent, []string{"authorizer", "jwt", "claims"}, map[string]any{"sub": "8f0e", "iss": "https://x"}, "8f0e"},
		"HTTP API with a Lambda authorizer":    {stage.HTTPEvent, []string{"authorizer", "lambda"}, map[string]any{"principalId": "carol"}, "carol"},
		"HTTP API with a Lambda and a subject": {stage.HTTPEvent, []string{"authorizer", "lambda"}, map[string]any{"sub": "carol"}, "carol"},
		"function URL with IAM":                {functionURL, []string{"authorizer", "iam", "userArn"}, arn, arn},
		"nobody, REST":                         {stage.RESTEvent, []string{"identity", "userArn"}, nil, nil},
		"nobody, HTTP":                         {stage.HTTPEvent, []string{"authorizer"}, nil, nil},
		"a subject that is no text":            {stage.HTTPEvent, []string{"authorizer", "jwt", "claims"}, map[string]any{"sub": 5}, nil},
	} {
		e := row.event("POST", "/api-secrets/5/enable", "", nil)
		at := within(e, append([]string{"requestContext"}, row.path[:len(row.path)-1]...)...)
		at[row.path[len(row.path)-1]] = row.value
		a := w.httpEvent(e)
		if got := audited(t, name, a.Invocation)["caller"]; a.status != 200 || got != row.want {
			t.Errorf("%s: got caller %v, want %v (%d %s)", name, got, row.want, a.status, a.body)
		}
	}
}

func TestAudit_aRequestCannotNameItsCaller(t *testing.T) {
	t.Parallel()
	w := start(t, setup{function: api, segura: anyIdentifier})
	for name, event := range httpFronts {
		e := event("POST", "/api-secrets/5/enable", "", map[string]string{"X-Caller": "arn:forged", "X-Amzn-Principal": "arn:forged", "Authorization": "Bearer arn:forged"})
		e["queryStringParameters"] = map[string]any{"userArn": "arn:forged", "caller": "arn:forged"}
		a := w.httpEvent(e)
		if strings.Contains(strings.Join(a.Logs, "\n"), "arn:forged") {
			t.Errorf("%s: a header or a parameter is in the log: %s", name, strings.Join(a.Logs, "\n"))
		}
	}
}

func TestAudit_ofASchedulesEventNamesTheRuleOrTheSchedule(t *testing.T) {
	t.Parallel()
	w := start(t, setup{segura: anyIdentifier, env: map[string]string{"SEGURA_DEFAULT_IDENTIFIERS": "9"}})
	for name, want := range map[string]string{
		"scheduled-rule.json":            "arn:aws:events:eu-west-1:123456789012:rule/segura-enable-every-morning",
		"scheduler-default-payload.json": "arn:aws:scheduler:eu-west-1:123456789012:schedule/default/segura-enable-every-morning",
	} {
		if got := audited(t, name, w.raw(sample(t, name))).Text("caller"); got != want {
			t.Errorf("%s: got caller %q, want %q", name, got, want)
		}
	}
	// What a publisher writes into its event names nobody.
	forged := strings.Replace(eventBridge("com.example", `{"identifier":5}`), `"resources":[]`, `"resources":["arn:aws:iam::123456789012:user/somebody-else"]`, 1)
	for _, payload := range []string{forged, `{"identifier":5}`, strings.Replace(scheduled("aws.events", `{}`), `"resources":[`, `"resources":[5,null,`, 1)} {
		l := audited(t, payload, w.raw([]byte(payload)))
		if caller, _ := l["caller"].(string); strings.Contains(caller, "somebody-else") {
			t.Errorf("%s: got caller %q", payload, caller)
		}
	}
}

func TestAudit_everyIdentifierHasALineWhateverHappened(t *testing.T) {
	t.Parallel()
	w := start(t, setup{segura: anyIdentifier, env: map[string]string{
		"SEGURA_MAX_ATTEMPTS": "1", "SEGURA_ATTEMPT_TIMEOUT": "4s", "SEGURA_ALLOWED_IDENTIFIERS": "1-999",
	}})
	for _, row := range failures {
		w.segura.Reset()
		if row.fault != nil {
			w.segura.Fail(seguratest.Match{Identifier: row.identifier}, *row.fault, 1)
		}
		l := audited(t, row.name, w.enable(row.identifier).Invocation)
		if l.Text("code") != row.code || l.Text("outcome") != "failed" {
			t.Errorf("%s: got %v, want the code %s", row.name, l, row.code)
		}
	}
	same := func(about, code string, inv invocation) {
		t.Helper()
		if lines := auditOf(t, inv.Invocation); len(lines) != len(inv.result.Results) || len(lines) == 0 {
			t.Errorf("%s: got %d audit lines, want one for each of %d identifiers", about, len(lines), len(inv.result.Results))
		} else {
			for _, i := range inv.result.Results {
				l := lines[i.Identifier]
				if attempts, _ := l.Number("attempts"); l.Text("code") != code || int(attempts) != i.Attempts || i.Error.Code != code {
					t.Errorf("%s: identifier %d: got the line %v and the item %+v, want %s in both", about, i.Identifier, l, i.Error, code)
				}
			}
		}
	}
	w.segura.Reset()
	w.segura.Fail(seguratest.Match{Kind: seguratest.KindEnable}, seguratest.TokenRefused(seguratest.RefusedByGateway), -1)
	same("tokens are refused", "authentication_failed", w.enable(upTo(10, 30)...))
	w.segura.Reset()
	if err := w.segura.RefuseConnections(seguratest.NotListening); err != nil {
		t.Fatal(err)
	}
	same("Segura is dead", "upstream_unreachable", w.enable(upTo(10, 60)...))
	if err := w.segura.AcceptConnections(); err != nil {
		t.Fatal(err)
	}
	denied := start(t, setup{before: func(w *world) { w.secrets.Fail(secretsmanager.ResourceNotFound, 0) }})
	same("no credentials", "credentials_unavailable", denied.enable(upTo(10, 30)...))
}

func TestAudit_identifiersThatTimeRanOutForHaveALine(t *testing.T) {
	t.Parallel()
	w := start(t, setup{segura: anyIdentifier, env: map[string]string{"SEGURA_MAX_CONCURRENCY": "2"}})
	w.segura.Fail(seguratest.Match{Kind: seguratest.KindEnable}, seguratest.Normally().After(500*time.Millisecond), -1)
	inv := w.invoke(list("enable", upTo(10, 60)...), runtimeapi.WithTimeout(3500*time.Millisecond), grace())
	lines := auditOf(t, inv.Invocation)
	if len(lines) != 51 || inv.result.FailedByCode["deadline_exceeded"] == 0 || *inv.result.Enabled == 0 {
		t.Errorf("got %d audit lines for %s; want 51, of which some are enabled and some had no time", len(lines), inv.text)
	}
	for _, i := range inv.result.Results {
		if l := lines[i.Identifier]; l.Text("outcome") != i.Outcome {
			t.Errorf("identifier %d: got the outcome %q in the log and %q in the result", i.Identifier, l.Text("outcome"), i.Outcome)
		}
	}
}

func TestAudit_durationIsThatOfTheIdentifier(t *testing.T) {
	t.Parallel()
	w := start(t, setup{segura: anyIdentifier})
	w.segura.Fail(seguratest.Match{Identifier: 5}, seguratest.Normally().After(2*time.Second), 1)
	lines := auditOf(t, w.enable(5, 9).Invocation)
	slow, _ := lines[5].Number("duration_ms")
	fast, _ := lines[9].Number("duration_ms")
	if slow < 2000 || fast >= slow {
		t.Errorf("got %v ms and %v ms, want about 2000 and less", slow, fast)
	}
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

func TestLogs_aCallerCannotForgeALineOrAField(t *testing.T) {
	t.Parallel()
	w := start(t, setup{function: api, segura: anyIdentifier})
	for _, text := range forgeries {
		for _, path := range [][]string{{"iam", "userArn"}, {"jwt", "claims", "sub"}, {"lambda", "principalId"}} {
			e := stage.HTTPEvent("POST", "/api-secrets/5/enable", "", nil)
			within(e, append([]string{"requestContext", "authorizer"}, path[:len(path)-1]...)...)[path[len(path)-1]] = text
			a := w.httpEvent(e)
			if l := audited(t, text, a.Invocation); l.Text("caller") != text || len(a.Logs) != 2 {
				t.Errorf("caller %q: got %q", text, a.Logs)
			}
			clean(t, a.Logs)
		}
	}
	payload := strings.Replace(encoded(t, stage.RESTEvent("POST", "/api-secrets/5/enable", "", nil)), `"identity":{`, `"identity":{"userArn":"x`+"\xff\xc0\xed\xa0\x80"+`y",`, 1)
	a := readHTTP(t, w.raw([]byte(payload)))
	if a.status != 200 && a.status != 400 {
		t.Errorf("invalid UTF-8 in the caller: got %d %s", a.status, a.body)
	}
	clean(t, w.function.Logs())
}

func TestLogs_anEnvelopeCannotForgeALineOrAField(t *testing.T) {
	t.Parallel()
	w := start(t, setup{segura: anyIdentifier})
	for _, text := range forgeries {
		for _, source := range []string{text, "aws.events"} {
			payload := `{"version":"0","id":` + quoted(text) + `,"detail-type":` + quoted(text) + `,"source":` + quoted(source) + `,"account":` + quoted(text) +
				`,"resources":[` + quoted("arn:"+text) + `,` + quoted(text) + `],"detail":{"identifier":5,` + quoted("x"+text) + `:` + quoted(text) + `}}`
			inv := w.raw([]byte(payload))
			audited(t, text, inv)
			if len(inv.Logs) != 2 {
				t.Errorf("an envelope of %q: got %q, want an audit and a metric line", text, inv.Logs)
			}
			clean(t, inv.Logs)
		}
	}
}

func TestLogs_aRequestThatIsRefusedCannotForgeALineOrAField(t *testing.T) {
	t.Parallel()
	events := start(t, setup{segura: anyIdentifier, env: map[string]string{"SEGURA_ALLOWED_EVENT_SOURCES": "com.good"}})
	requests := start(t, setup{function: api, segura: anyIdentifier})
	for _, text := range forgeries {
		for _, payload := range []string{
			`{"identifier":5,` + quoted(text) + `:1}`, `{` + quoted(text) + `:1,` + quoted(text) + `:1}`, `{"identifier":` + quoted(text) + `}`,
			`{"identifier":5,"action":` + quoted(text) + `}`, eventBridge(text, `{"identifier":5}`), text,
		} {
			if inv := events.refuses(t, "forged", payload); len(inv.Logs) != 2 || strings.Contains(strings.Join(inv.Logs, ""), `"identifier":1,`) {
				t.Errorf("%s: got the lines %q, want one about the error and one of metrics", payload, inv.Logs)
			} else {
				clean(t, inv.Logs)
			}
		}
		for _, e := range []map[string]any{
			stage.HTTPEvent("POST", "/api-secrets/enable", `{`+quoted(text)+`:1}`, nil), stage.HTTPEvent("POST", "/api-secrets/"+text+"/enable", "", nil), stage.HTTPEvent("POST", "/"+text, "", nil),
			stage.HTTPEvent(text, "/api-secrets/5/enable", "", nil), stage.HTTPEvent("POST", "/api-secrets/5/enable", "{}", header("content-type", text)), rawBody(text),
		} {
			a := requests.refusesHTTP(t, "forged "+text, e, 400, 404, 405, 415)
			for name, values := range a.header {
				if strings.ContainsAny(strings.Join(values, ""), "\r\n\x00") {
					t.Errorf("%q: the response has the header %s: %q", text, name, values)
				}
			}
			clean(t, a.Logs)
		}
	}
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

func TestLogs_theUpstreamsTextGoesToTheLog(t *testing.T) {
	t.Parallel()
	w := start(t, setup{segura: anyIdentifier, env: map[string]string{"SEGURA_MAX_ATTEMPTS": "1"}})
	w.segura.Fail(seguratest.Match{Kind: seguratest.KindEnable}, seguratest.Envelope(500, 500, "Something odd: ÄÖÜ"), 1)
	inv := w.enable(5)
	if got := audited(t, "odd", inv.Invocation).Text("upstream_message"); got != "Something odd: ÄÖÜ" {
		t.Errorf("got upstream_message %q, want the upstream's text", got)
	}
	if strings.Contains(inv.text, "odd") {
		t.Errorf("the upstream's text is in the result: %s", inv.text)
	}
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

func TestConcurrentInvocations_ofTheEventFunctionMixNothing(t *testing.T) {
	t.Parallel()
	w := start(t, setup{concurrency: 6, segura: anyIdentifier})
	var group sync.WaitGroup
	for worker := range 6 {
		group.Go(func() {
			for round := range 10 {
				identifier := int64(100*(worker+1) + round)
				missing := fmt.Sprintf(`{"identifiers":[%d,7],"reason":"r%d"}`, identifier, identifier)
				for payload, want := range map[string]string{missing: "Segura.PermanentError", fmt.Sprintf(`{"identifier":%d}`, identifier): "", `{`: "Segura.InvalidRequest"} {
					inv := w.invoke(payload)
					if inv.ErrorType != want || want == "Segura.PermanentError" && inv.result.Results[0].Identifier != identifier {
						t.Errorf("%s: got %s %s, want %q", payload, inv.ErrorType, inv.text, want)
					}
				}
			}
		})
	}
	group.Wait()
	if n := len(w.audit()); n != 6*10*3 {
		t.Errorf("got %d audit lines, want %d", n, 6*10*3)
	}
	w.counts("60 identifiers, one of them in every request", 1, 6*10*3, 1)
}
