package acceptance

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"segura-enable/simulated/runtimeapi"
	"segura-enable/simulated/secretsmanager"
	"segura-enable/simulated/seguratest"
	"segura-enable/simulated/stage"
)

func TestHTTP_oneIdentifierInThePathAnswersWithTheItem(t *testing.T) {
	t.Parallel()
	for name, front := range httpFronts {
		w := start(t, setup{function: api, segura: anyIdentifier})
		for _, row := range []struct{ path, body, outcome, call string }{
			{"/api-secrets/5/enable", "", "enabled", "enable 5"},
			{"/api-secrets/5/enable", `{"reason":"CHG0012345"}`, "already_enabled", "enable 5"},
			{"/api-secrets/5/disable", `{"reason":"CHG0012345"}`, "disabled", "disable 5"},
			{"/api-secrets/5/disable", "", "already_disabled", "disable 5"},
			{"/api-secrets/9223372036854775807/enable", "", "enabled", "enable 9223372036854775807"},
		} {
			w.segura.ClearFaults()
			before := len(w.sent())
			a := w.httpEvent(front("POST", row.path, row.body, nil))
			identifier := strings.Split(row.path, "/")[2]
			want := fmt.Sprintf(`{"identifier":%s,"outcome":%q,"attempts":1}`, identifier, row.outcome)
			if a.status != 200 || !sameJSON(t, a.body, want) {
				t.Errorf("%s: POST %s: got %d %s, want 200 %s", name, row.path, a.status, a.body, want)
			}
			if got := w.sent()[before:]; !slices.Equal(got, []string{row.call}) {
				t.Errorf("%s: POST %s: Segura got %v, want %s", name, row.path, got, row.call)
			}
		}
	}
}

// sameJSON compares JSON texts without regard to order and space; numbers are
// compared as they are written.
func sameJSON(t *testing.T, a, b string) bool {
	t.Helper()
	return canonical(t, a) == canonical(t, b)
}

func canonical(t *testing.T, text string) string {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	var v any
	if err := decoder.Decode(&v); err != nil {
		t.Errorf("%.300q is no JSON: %v", text, err)
		return text
	}
	return encoded(t, v)
}

func TestHTTP_identifiersEvenOfOneAnswerWithTheResultDocument(t *testing.T) {
	t.Parallel()
	w := start(t, setup{function: api, segura: anyIdentifier})
	a := w.http("POST", "/api-secrets/enable", `{"identifiers":[5]}`, nil)
	if want := `{"outcome":"succeeded","requested":1,"enabled":1,"already_enabled":0,"failed":0,` +
		`"results":[{"identifier":5,"outcome":"enabled","attempts":1}]}`; a.status != 200 || !sameJSON(t, a.body, want) {
		t.Errorf("got %d %s, want 200 %s", a.status, a.body, want)
	}
	a = w.rest("POST", "/api-secrets/disable", `{"identifiers":[6,5,9]}`, nil)
	if want := `{"outcome":"succeeded","requested":3,"disabled":2,"already_disabled":1,"failed":0,"results":[{"identifier":6,"outcome":"disabled","attempts":1},` +
		`{"identifier":5,"outcome":"disabled","attempts":1},{"identifier":9,"outcome":"already_disabled","attempts":1}]}`; a.status != 200 || !sameJSON(t, a.body, want) {
		t.Errorf("got %d %s, want 200 %s", a.status, a.body, want)
	}
	for _, body := range []string{`{"identifiers":[7]}`, `{"identifiers":[5,7]}`, `{"identifiers":[7,8]}`, `{"identifiers":[5,6,9,8]}`} {
		for action, path := range map[string]string{"enable": "/api-secrets/enable", "disable": "/api-secrets/disable"} {
			a := w.http("POST", path, body, nil)
			if a.status != 207 || a.result.Failed == 0 || len(a.result.FailedByCode) == 0 {
				t.Errorf("%s %s: got %d %s, want 207 with failures", action, body, a.status, a.body)
			}
		}
	}
}

// failure is a way for one identifier to fail, and how that looks over HTTP.
type failure struct {
	name       string
	identifier int64
	fault      *seguratest.Fault // played on the call; nil: none
	status     int
	code       string
	retryable  bool
	seguraCode int
}

func fails(f seguratest.Fault) *seguratest.Fault { return &f }

// failures has a row for each code that a reply, or none, can lead to.
var failures = []failure{
	{"1005", 7, nil, 404, "not_found", false, 1005},
	{"1006", 8, nil, 403, "access_denied", false, 1006},
	{"outside the allowed", 1000, nil, 403, "not_allowed", false, 0},
	{"a token that is refused", 5, fails(seguratest.TokenRefused(seguratest.RefusedAuthentication)), 502, "authentication_failed", false, 0},
	{"429", 5, fails(seguratest.Gateway429().WithHeader("Retry-After", "1")), 503, "rate_limited", true, 0},
	{"silence", 5, fails(seguratest.Hang()), 504, "upstream_timeout", true, 0},
	{"500 within 200", 5, fails(seguratest.Envelope(200, 500, "Unexpected error.")), 502, "upstream_error", true, 0},
	{"cut short", 5, fails(seguratest.CutShort()), 502, "upstream_invalid_response", true, 0},
	{"reset", 5, fails(seguratest.ResetConnection()), 502, "upstream_unreachable", true, 0},
	{"another object", 5, fails(seguratest.PasswordActivated()), 502, "unexpected_response", false, 0},
}

// inject has Segura fail as the row says, and as no row before it did.
func (f failure) inject(w *world) {
	w.segura.ClearFaults()
	if f.fault != nil {
		w.segura.Fail(seguratest.Match{Kind: seguratest.KindEnable, Identifier: f.identifier}, *f.fault, -1)
	}
}

func TestHTTP_oneIdentifierThatFailsAnswersWithAProblem(t *testing.T) {
	t.Parallel()
	for name, front := range httpFronts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := start(t, setup{function: api, segura: anyIdentifier, env: map[string]string{
				"SEGURA_MAX_ATTEMPTS": "1", "SEGURA_ATTEMPT_TIMEOUT": "4s", "SEGURA_ALLOWED_IDENTIFIERS": "1-999",
			}})
			for _, row := range failures {
				row.inject(w)
				a := w.httpEvent(front("POST", fmt.Sprintf("/api-secrets/%d/enable", row.identifier), "", nil))
				row.check(t, a)
			}
		})
	}
}

func (f failure) check(t *testing.T, a httpAnswer) {
	t.Helper()
	p := a.problem
	got := fmt.Sprintf("%d %s retryable %v, identifier %d, segura_code %d", a.status, p.Code, p.Retryable, p.Identifier, p.SeguraCode)
	want := fmt.Sprintf("%d %s retryable %v, identifier %d, segura_code %d", f.status, f.code, f.retryable, f.identifier, f.seguraCode)
	if got != want || p.Type == "" || p.Title == "" || p.Detail == "" {
		t.Errorf("%s: got %s; want %s: %s", f.name, got, want, a.body)
	}
	if strings.Contains(a.body, `"segura_code"`) != (f.seguraCode != 0) {
		t.Errorf("%s: segura_code must be there where it is known, and only there: %s", f.name, a.body)
	}
	checkRetryAfter(t, f.name, a)
}

// checkRetryAfter: a problem that is retryable, and only that, carries one.
func checkRetryAfter(t *testing.T, about string, a httpAnswer) {
	t.Helper()
	value := a.header.Get("Retry-After")
	if !a.problem.Retryable {
		if value != "" {
			t.Errorf("%s: got Retry-After %q, want none: not retryable", about, value)
		}
		return
	}
	if seconds, err := strconv.Atoi(value); err != nil || seconds < 1 || seconds > 86400 {
		t.Errorf("%s: got Retry-After %q, want whole seconds", about, value)
	}
}

func TestHTTP_credentialsThatCannotBeReadAnswerWith500(t *testing.T) {
	t.Parallel()
	denied := start(t, setup{function: api, before: func(w *world) { w.secrets.Fail(secretsmanager.AccessDenied, 0) }})
	failure{"denied", 5, nil, 500, "credentials_unavailable", false, 0}.check(t, denied.http("POST", "/api-secrets/5/enable", "", nil))

	throttled := start(t, setup{function: api, env: map[string]string{"AWS_MAX_ATTEMPTS": "1"},
		before: func(w *world) { w.secrets.Fail(secretsmanager.Throttling, 0) }})
	failure{"throttled", 5, nil, 500, "credentials_unavailable", true, 0}.check(t, throttled.rest("POST", "/api-secrets/5/enable", "", nil))
}

func TestHTTP_timeThatRanOutAnswersWith504(t *testing.T) {
	t.Parallel()
	w := start(t, setup{function: api, segura: anyIdentifier})
	w.segura.Fail(seguratest.Match{Kind: seguratest.KindEnable}, seguratest.Hang(), -1)
	a := w.httpEvent(stage.HTTPEvent("POST", "/api-secrets/5/enable", "", nil), runtimeapi.WithTimeout(3*time.Second), grace())
	failure{"no time left", 5, nil, 504, "deadline_exceeded", true, 0}.check(t, a)
}

func TestHTTP_repliesHoldNothingOfTheUpstreamsText(t *testing.T) {
	t.Parallel()
	w := start(t, setup{function: api, segura: anyIdentifier, env: map[string]string{"SEGURA_MAX_ATTEMPTS": "1"}})
	text := "upstreamtext" + marker(t)
	for _, f := range []seguratest.Fault{
		seguratest.Envelope(500, 500, text), seguratest.Envelope(200, 400, text), seguratest.Gateway(403, text), seguratest.Reply(418, "text/plain", text),
		seguratest.EnvelopeException(400, 400, "1005: "+text, 1005, text), seguratest.Gateway429().WithHeader("Retry-After", text), seguratest.ReplyJSON(200, quoted(text)),
		seguratest.Redirect(302, "https://"+text), seguratest.HTML(503).WithHeader("Server", text),
	} {
		w.segura.Fail(seguratest.Match{Kind: seguratest.KindEnable}, f, 2)
		one := w.http("POST", "/api-secrets/5/enable", "", nil)
		many := w.http("POST", "/api-secrets/enable", `{"identifiers":[5]}`, nil)
		for _, a := range []httpAnswer{one, many} {
			if isSuccess(a.status) && a.status != 207 {
				t.Errorf("%v: got %d %s, want a failure", f, a.status, a.body)
			}
			if part, leak := shows(string(a.Payload), text, 12); leak {
				t.Errorf("%v: the reply has the upstream's text (%s): %s", f, part, a.Payload)
			}
		}
	}
}
