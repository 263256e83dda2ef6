package acceptance

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"segura-enable/simulated/runtimeapi"
	"segura-enable/simulated/secretsmanager"
	"segura-enable/simulated/seguratest"
	"segura-enable/simulated/stage"
)

// anyIdentifier is a Segura that has every API secret but a few.
var anyIdentifier = seguratest.Options{AnyIdentifier: true, APISecrets: map[int64]seguratest.APISecret{
	6: {Active: true}, 7: {Missing: true}, 8: {Forbidden: true},
}}

// calls has Segura answer every call to enable so.
func calls(f seguratest.Fault) func(*world) {
	return func(w *world) { w.segura.Fail(seguratest.Match{Kind: seguratest.KindEnable}, f, -1) }
}

// codes has a row for each code that what is around a function can lead to.
var codes = []struct {
	code       string
	identifier int64
	arrange    func(*world)
	status     int
	retryable  bool
	seguraCode int
}{
	{"not_found", 7, calls(seguratest.Normally()), 404, false, 1005},
	{"access_denied", 8, calls(seguratest.Normally()), 403, false, 1006},
	{"not_allowed", 1000, calls(seguratest.Normally()), 403, false, 0},
	{"credentials_unavailable", 5, func(w *world) { w.secrets.Fail(secretsmanager.AccessDenied, -1) }, 500, false, 0},
	{"authentication_failed", 5, calls(seguratest.TokenRefused(seguratest.RefusedAuthentication)), 502, false, 0},
	{"rate_limited", 5, calls(seguratest.Gateway429().WithHeader("Retry-After", "1")), 503, true, 0},
	{"upstream_error", 5, calls(seguratest.Envelope(200, 500, "Unexpected error.")), 502, true, 0},
	{"upstream_invalid_response", 5, calls(seguratest.CutShort()), 502, true, 0},
	{"upstream_timeout", 5, calls(seguratest.Gateway504()), 504, true, 0},
	{"upstream_unreachable", 5, calls(seguratest.ResetConnection()), 502, true, 0},
	{"unexpected_response", 5, calls(seguratest.PasswordActivated()), 502, false, 0},
	{"deadline_exceeded", 5, calls(seguratest.Hang()), 504, true, 0},
}

var codesEnv = map[string]string{
	"SEGURA_MAX_ATTEMPTS": "1", "SEGURA_ALLOWED_IDENTIFIERS": "1-999", "SEGURA_CREDENTIALS_TTL": alwaysExpired, "AWS_MAX_ATTEMPTS": "1",
	"SEGURA_MAX_CONCURRENCY": "1", // a reset takes with it what else is on its connection
}

// limit is the time of the invocation for a row of codes.
func limit(code string) runtimeapi.InvokeOption {
	if code == "deadline_exceeded" {
		return runtimeapi.WithTimeout(2 * time.Second)
	}
	return runtimeapi.WithTimeout(5 * time.Minute)
}

// A failure is told by a function error, whose type says whether trying again may
// help, by an audit line and by a metric, all with the code.
func TestEventFunction_tellsEachCode(t *testing.T) {
	t.Parallel()
	w := start(t, setup{segura: anyIdentifier, env: codesEnv})
	for _, row := range codes {
		w.segura.ClearFaults()
		w.secrets.ClearFaults()
		row.arrange(w)

		a := w.invoke(list(row.identifier), limit(row.code), grace())

		want := "Segura.PermanentError"
		if row.retryable {
			want = "Segura.TransientError"
		}
		if a.Answer.ErrorType != want || a.Result == nil || a.Result.Failed != 1 {
			t.Errorf("%s: got %q, want %s: %s", row.code, a.Answer.ErrorType, want, a.Text)
			continue
		}
		if e := a.Result.Results[0].Error; e == nil || e.Code != row.code || e.Retryable != row.retryable || e.SeguraCode != row.seguraCode {
			t.Errorf("%s: got %+v", row.code, e)
		}
		audit := lines(t, a.Logs, stage.Line.IsAudit)
		if len(audit) != 1 || audit[0].Text("code") != row.code || audit[0].Text("outcome") != "failed" || !strings.HasPrefix(audit[0].Text("xray_trace_id"), "1-") {
			t.Errorf("%s: got the audit lines %v, want one with the code, and Lambda's trace", row.code, audit)
		}
		if got := tally(t, a.Logs); got["Failed"] != 1 || got["Failed "+row.code] != 1 {
			t.Errorf("%s: got the metrics %v, want one failure, and one of the code", row.code, got)
		}
	}
}

func TestAPIFunction_tellsEachCode(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]front{"REST API": stage.RESTEvent, "HTTP API": stage.HTTPEvent} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := start(t, setup{function: api, segura: anyIdentifier, env: codesEnv})
			for _, row := range codes {
				w.segura.ClearFaults()
				w.secrets.ClearFaults()
				row.arrange(w)

				a := w.http(f, fmt.Sprintf("/api-secrets/%d/enable", row.identifier), "", limit(row.code), grace())

				if p := a.Problem; p == nil || a.Status != row.status || p.Code != row.code || p.Retryable != row.retryable ||
					p.Identifier != row.identifier || p.SeguraCode != row.seguraCode || p.Instance != "urn:uuid:"+a.RequestID {
					t.Errorf("%s: got %d %s", row.code, a.Status, a.Text)
				}
				if seconds, err := strconv.Atoi(a.Header.Get("Retry-After")); (err == nil && seconds > 0) != row.retryable {
					t.Errorf("%s: got Retry-After %q, want seconds where it is retryable", row.code, a.Header.Get("Retry-After"))
				}
			}
		})
	}
}

const bareSchedule = `{"version":"0","id":"53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa","detail-type":"Scheduled Event","source":"aws.events",
"account":"123456789012","time":"2026-11-21T08:00:00Z","region":"eu-west-1","resources":["arn:aws:events:eu-west-1:123456789012:rule/nightly"],"detail":{}}`

func TestEventFunction_goesByItsDefaultsAndItsAllowedSources(t *testing.T) {
	t.Parallel()
	w := start(t, setup{segura: anyIdentifier, env: map[string]string{
		"SEGURA_ALLOWED_EVENT_SOURCES": "com.example.a, aws.events", "SEGURA_DEFAULT_IDENTIFIERS": "107,101-103",
	}})
	for payload, want := range map[string]string{
		bareSchedule: "[107 enabled 101 enabled 102 enabled 103 enabled]",
		eventBridge("com.example.a", `{"identifier":5}`): "[5 enabled]",
		eventBridge("com.example.b", `{"identifier":5}`): "[]",
	} {
		a := w.invoke(payload)
		if got := fmt.Sprint(a.Items()); got != want || (want == "[]") != (a.Answer.ErrorType == "Segura.InvalidRequest") {
			t.Errorf("%s: got %s %s, want %s", payload, got, a.Text, want)
		}
	}
}

// tally adds up the metrics of log lines as CloudWatch would, as "Failed" and, by code,
// "Failed not_found"; of latencies it counts the values.
func tally(t *testing.T, logs []string) map[string]float64 {
	t.Helper()
	sums := map[string]float64{}
	for _, l := range lines(t, logs, stage.Line.IsMetric) {
		for key, value := range l {
			if l["Code"] != nil {
				key += " " + l.Text("Code")
			}
			switch v := value.(type) {
			case float64:
				sums[key] += v
			case []any:
				sums[key] += float64(len(v))
			}
			if sums[key] == 0 {
				delete(sums, key)
			}
		}
	}
	return sums
}

func TestMetrics_countWhatHappenedInAnInvocation(t *testing.T) {
	t.Parallel()
	w := start(t, setup{segura: anyIdentifier, env: map[string]string{"SEGURA_MAX_ATTEMPTS": "2"},
		secret: map[string]any{"expires_at": time.Now().Add(20*24*time.Hour + time.Hour).Format(time.RFC3339)}})
	w.segura.Fail(seguratest.Match{Identifier: 10}, seguratest.Unexpected500(), 1)
	w.enable(5, 6, 9, 10, 7, 8)
	disabled := w.invoke(`{"identifiers":[5,12,13],"action":"disable"}`)
	// What init did, the secret and the token, is counted once as well.
	all, second := tally(t, w.function.Logs()), tally(t, disabled.Logs)
	if days := second["AccessKeyDaysLeft"]; days < 20 || days > 20.1 {
		t.Errorf("got AccessKeyDaysLeft %v, want 20.04", days)
	}
	delete(all, "AccessKeyDaysLeft")
	delete(second, "AccessKeyDaysLeft")
	for about, row := range map[string]struct{ got, want map[string]float64 }{
		"both": {all, map[string]float64{
			"Enabled": 3, "AlreadyEnabled": 1, "Failed": 2, "Failed not_found": 1, "Failed access_denied": 1, "Disabled": 1, "AlreadyDisabled": 2,
			"Attempts": 10, "CallLatency": 10, "TokenLatency": 1, "CredentialRefresh": 1,
		}},
		"the second": {second, map[string]float64{"Disabled": 1, "AlreadyDisabled": 2, "Attempts": 3, "CallLatency": 3}},
	} {
		if fmt.Sprint(row.got) != fmt.Sprint(row.want) {
			t.Errorf("%s: got %v, want %v", about, row.got, row.want)
		}
	}
}

func TestMetrics_latenciesAreThoseOfTheCallsInMilliseconds(t *testing.T) {
	t.Parallel()
	w := start(t, setup{segura: seguratest.Options{AnyIdentifier: true, Latency: seguratest.Latency{Call: 120 * time.Millisecond, Token: 60 * time.Millisecond}}})
	line := lines(t, w.enable(5).Logs, stage.Line.IsMetric)[0]
	for key, least := range map[string]float64{"CallLatency": 120, "TokenLatency": 60} {
		values, _ := line[key].([]any)
		if len(values) != 1 {
			t.Fatalf("got %s %v, want one value", key, values)
		}
		if ms, _ := values[0].(float64); ms < least || ms > 60_000 {
			t.Errorf("got %s %v, want one of %v and a little", key, values, least)
		}
	}
}
