package acceptance

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"regexp"
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

func TestHTTP_identifierInTheBodyAnswersWithTheItem(t *testing.T) {
	t.Parallel()
	w := start(t, setup{function: api, segura: anyIdentifier})
	a := w.http("POST", "/api-secrets/enable", `{"identifier":"5","reason":"x"}`, nil)
	if want := `{"identifier":5,"outcome":"enabled","attempts":1}`; a.status != 200 || !sameJSON(t, a.body, want) {
		t.Errorf("got %d %s, want 200 %s", a.status, a.body, want)
	}
	a = w.rest("POST", "/api-secrets/disable", `{"identifier":5}`, nil)
	if want := `{"identifier":5,"outcome":"disabled","attempts":1}`; a.status != 200 || !sameJSON(t, a.body, want) {
		t.Errorf("got %d %s, want 200 %s", a.status, a.body, want)
	}
	a = w.http("POST", "/api-secrets/enable", `{"identifier":7}`, nil)
	if a.status != 404 || a.problem.Code != "not_found" || a.problem.Identifier != 7 {
		t.Errorf("one that fails: got %d %s, want 404 not_found for 7", a.status, a.body)
	}
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

var failures = []failure{
	{"1005", 7, nil, 404, "not_found", false, 1005},
	{"1006", 8, nil, 403, "access_denied", false, 1006},
	{"not authorized", 5, fails(seguratest.NotAuthorized(400)), 403, "access_denied", false, 0},
	{"the gateway's 403", 5, fails(seguratest.GatewayForbiddenIP403()), 403, "access_denied", false, 0},
	{"outside the allowed", 1000, nil, 403, "not_allowed", false, 0},
	{"429", 5, fails(seguratest.Gateway429()), 503, "rate_limited", true, 0},
	{"429 with a hint", 5, fails(seguratest.Gateway429().WithHeader("Retry-After", "7")), 503, "rate_limited", true, 0},
	{"504", 5, fails(seguratest.Gateway504()), 504, "upstream_timeout", true, 0},
	{"silence", 5, fails(seguratest.Hang()), 504, "upstream_timeout", true, 0},
	{"500", 5, fails(seguratest.Unexpected500()), 502, "upstream_error", true, 0},
	{"500 within 200", 5, fails(seguratest.Envelope(200, 500, "Unexpected error.")), 502, "upstream_error", true, 0},
	{"503", 5, fails(seguratest.Gateway503()), 502, "upstream_error", true, 0},
	{"502", 5, fails(seguratest.Gateway502()), 502, "upstream_invalid_response", true, 0},
	{"cut short", 5, fails(seguratest.CutShort()), 502, "upstream_invalid_response", true, 0},
	{"reset", 5, fails(seguratest.ResetConnection()), 502, "upstream_unreachable", true, 0},
	{"another object", 5, fails(seguratest.PasswordActivated()), 502, "unexpected_response", false, 0},
	{"a web page", 5, fails(seguratest.HTML(200)), 502, "unexpected_response", false, 0},
	{"a redirect", 5, fails(seguratest.Redirect(302, "/elsewhere")), 502, "unexpected_response", false, 0},
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
				if row.fault != nil {
					w.segura.Fail(seguratest.Match{Kind: seguratest.KindEnable}, *row.fault, 1)
				}
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

func TestHTTP_retryAfterIsWhatTheGatewayAskedFor(t *testing.T) {
	t.Parallel()
	w := start(t, setup{function: api, segura: anyIdentifier, env: map[string]string{"SEGURA_MAX_ATTEMPTS": "1"}})
	w.segura.Fail(seguratest.Match{Kind: seguratest.KindEnable}, seguratest.Gateway429().WithHeader("Retry-After", "7"), 1)
	if got := w.http("POST", "/api-secrets/5/enable", "", nil).header.Get("Retry-After"); got != "7" {
		t.Errorf("got Retry-After %q, want 7", got)
	}
}

func TestHTTP_refusedTokensAnswerWith502(t *testing.T) {
	t.Parallel()
	w := start(t, setup{function: api, segura: anyIdentifier})
	w.segura.Fail(seguratest.Match{Kind: seguratest.KindEnable}, seguratest.TokenRefused(seguratest.RefusedAuthentication), -1)
	failure{"refused token", 5, nil, 502, "authentication_failed", false, 0}.check(t, w.http("POST", "/api-secrets/5/enable", "", nil))
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

func TestHTTP_severalThatTimeRanOutForAnswerWith207(t *testing.T) {
	t.Parallel()
	w := start(t, setup{function: api, segura: anyIdentifier})
	w.segura.Fail(seguratest.Match{Kind: seguratest.KindEnable}, seguratest.Hang(), -1)
	a := w.httpEvent(stage.RESTEvent("POST", "/api-secrets/enable", list("enable", upTo(101, 200)...), nil), runtimeapi.WithTimeout(3*time.Second), grace())
	if a.status != 207 || a.result.FailedByCode["deadline_exceeded"] != 100 || len(a.result.Results) != 100 {
		t.Errorf("got %d %.500s, want 207 and all 100 without time", a.status, a.body)
	}
}

func TestHTTP_whatIsNotAllowedIsSentForNeitherAction(t *testing.T) {
	t.Parallel()
	w := start(t, setup{function: api, segura: anyIdentifier, env: map[string]string{"SEGURA_ALLOWED_IDENTIFIERS": "5,7,100-199"}})
	for path, status := range map[string]int{
		"/api-secrets/99/enable": 403, "/api-secrets/200/enable": 403, "/api-secrets/6/disable": 403, "/api-secrets/200/disable": 403,
		"/api-secrets/100/enable": 200, "/api-secrets/199/disable": 200, "/api-secrets/5/enable": 200, "/api-secrets/5/disable": 200,
	} {
		before := w.segura.Count("")
		a := w.http("POST", path, "", nil)
		if a.status != status || status == 403 && (a.problem.Code != "not_allowed" || w.segura.Count("") != before) {
			t.Errorf("%s: got %d %s and %d requests to Segura, want %d", path, a.status, a.body, w.segura.Count("")-before, status)
		}
	}
}

func TestHTTP_nothingButTheFourPathsIsServed(t *testing.T) {
	t.Parallel()
	w := start(t, setup{function: api, segura: anyIdentifier})
	for _, path := range []string{
		"/", "/api-secrets", "/api-secrets/", "/api-secrets/5", "/api-secrets/5/", "/enable", "/5/enable", "/api-secret/5/enable", "/apisecrets/5/enable",
		"/api-secrets/5/activate", "/api-secrets/5/active", "/api-secrets/5/inactive", "/api-secrets/5/enabled", "/api-secrets/5/toggle", "/health",
		"/api-secrets/5/enable/now", "/api-secrets/5/6/enable", "/api-secrets/enable/5", "/api-secrets/5/enable/6", "/api-secrets/5/disable/enable",
		"/api-secrets/5/enable/disable", "/API-SECRETS/5/enable", "/Api-Secrets/5/enable", "/api-secrets/5/ENABLE", "/api-secrets/5/Enable",
		"/api_secrets/5/enable", "/xapi-secrets/5/enable", "/api-secretsx/5/enable", "/x.api-secrets/5/enable", "/api-secrets/5/enablex",
		"/api-secrets/5/enable ", "/api-secrets/5/enable.json", "/api-secrets/5/enable;x=1", "/api/mysafe/secretapi/active/5", "/api-secrets/enablex",
	} {
		for _, method := range []string{"POST", "GET"} {
			w.refusesHTTP(t, method+" "+path, stage.HTTPEvent(method, path, "", nil), 404)
		}
		w.refusesHTTP(t, path, stage.RESTEvent("POST", path, `{"identifier":5}`, nil), 404)
	}
}

func TestHTTP_anotherMethodIsRefusedWithAllow(t *testing.T) {
	t.Parallel()
	w := start(t, setup{function: api, segura: anyIdentifier})
	for _, method := range []string{"GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "POSTX", "ENABLE"} {
		for _, path := range []string{"/api-secrets/5/enable", "/api-secrets/5/disable", "/api-secrets/enable", "/api-secrets/disable", "/prod/api-secrets/5/enable"} {
			for name, front := range payloads {
				headers := map[string]string{"X-HTTP-Method-Override": "POST", "X-Http-Method": "POST", "X-Method-Override": "POST"}
				a := w.refusesHTTP(t, name+" "+method+" "+path, front(method, path, `{"identifier":5}`, headers), 405)
				if got := a.header.Get("Allow"); got != "POST" {
					t.Errorf("%s %s: got Allow %q, want POST", method, path, got)
				}
			}
		}
	}
}

func TestHTTP_pathsAreFoundBehindStagesMappingsAndProxies(t *testing.T) {
	t.Parallel()
	w := start(t, setup{function: api, segura: anyIdentifier})
	for _, prefix := range []string{"", "/prod", "/segura", "/v1/segura", "/$default", "/a/b/c/d", "/enable", "/5", "/api", "/prod/enable", "/API-SECRETS"} {
		for name, front := range payloads {
			w.segura.Reset()
			one := w.httpEvent(front("POST", prefix+"/api-secrets/5/enable", "", nil))
			off := w.httpEvent(front("POST", prefix+"/api-secrets/5/disable", "", nil))
			many := w.httpEvent(front("POST", prefix+"/api-secrets/enable", `{"identifiers":[9]}`, nil))
			if one.status != 200 || off.status != 200 || many.status != 200 {
				t.Errorf("%s, prefix %q: got %d %d %d, want 200 each: %s %s", name, prefix, one.status, off.status, many.status, one.body, many.body)
			}
			if got, want := w.sent(), []string{"enable 5", "disable 5", "enable 9"}; !slices.Equal(got, want) {
				t.Errorf("%s, prefix %q: Segura got %v, want %v", name, prefix, got, want)
			}
		}
	}
	// The resource and its parameters say nothing: the path does.
	e := stage.RESTEvent("POST", "/prod/api-secrets/5/enable", "", nil)
	e["resource"], e["pathParameters"] = "/api-secrets/{identifier}/disable", map[string]any{"identifier": "6", "proxy": "api-secrets/6/disable"}
	w.segura.Reset()
	if a := w.httpEvent(e); a.status != 200 {
		t.Errorf("got %d %s, want 200", a.status, a.body)
	}
	w.wasAsked(t, "a strange resource", "enable", 5)
}

func TestHTTP_payloadFormat1OfAnHTTPAPIIsServed(t *testing.T) {
	t.Parallel()
	w := start(t, setup{function: api, segura: anyIdentifier})
	e := stage.RESTEvent("POST", "/prod/api-secrets/5/enable", `{"reason":"x"}`, nil)
	e["version"] = "1.0"
	if a := w.httpEvent(e); a.status != 200 {
		t.Errorf("got %d %s, want 200", a.status, a.body)
	}
	w.wasAsked(t, "payload format 1.0", "enable", 5)
}

// Whoever may call only one path, because of a policy on it, must not reach
// another identifier by a trick. The second part is what may be enabled at all;
// empty: nothing.
func TestHTTP_noTrickWithAPathEnablesWhatWasNotAskedFor(t *testing.T) {
	t.Parallel()
	w := start(t, setup{function: api, segura: anyIdentifier})
	for path, allowed := range map[string]string{
		"/api-secrets/5/../6/enable": "", "/api-secrets/5/%2e%2e/6/enable": "", "/api-secrets/5/%2E%2E/6/enable": "", "/api-secrets/5/..%2f6/enable": "",
		"/api-secrets/5%2f..%2f6/enable": "", "/api-secrets/5/..;/6/enable": "", "/api-secrets/5/..\\6/enable": "", "/api-secrets/5/./enable": "enable 5",
		"/api-secrets/5/api-secrets/6/enable": "", "/api-secrets/5/enable/api-secrets/6/enable": "", "/api-secrets/5/enable/../../6/enable": "",
		"/api-secrets/5/enable/../../../api-secrets/6/enable": "", "/api-secrets/5/x/api-secrets/6/enable": "", "/api-secrets/5/api-secrets/enable": "",
		"/api-secrets/enable/api-secrets/6/enable": "", "/api-secrets/5//api-secrets/6/enable": "", "/api-secrets/5/disable/../enable": "",
		"/prod/api-secrets/5/api-secrets/6/enable": "", "/api-secrets/5/prod/api-secrets/6/disable": "", "/api-secrets/5%2fapi-secrets/6/enable": "",
		"/api-secrets/5/%61pi-secrets/6/enable": "", "/api-secrets/5?/api-secrets/6/enable": "", "/api-secrets/5#/api-secrets/6/enable": "",
		"//api-secrets/5/enable": "enable 5", "/api-secrets//5/enable": "enable 5", "/api-secrets/5//enable": "enable 5", "/api-secrets/5/enable/": "enable 5",
		"/api-secrets/5/enable//": "enable 5", "/./api-secrets/5/enable": "enable 5", "/x/../api-secrets/5/enable": "enable 5", "api-secrets/5/enable": "enable 5",
		"/api-secrets/%35/enable": "enable 5", "/api-secrets/5/%65nable": "enable 5", "/api%2dsecrets/5/enable": "enable 5",
		"https://example.com/api-secrets/5/enable": "enable 5", "/api-secrets/5/enable?identifier=6": "", "/api-secrets/5/enable#6": "", "/api-secrets/5/enable%2f..%2f6": "",
		"/api-secrets/5%3b6/enable": "", "/api-secrets/5;6/enable": "", "/api-secrets/56%08/enable": "", "/api-secrets/5\x00/enable": "", "/api-secrets/5\n/enable": "",
		"/api-secrets/5\r\nX: y/enable": "", "\\api-secrets\\5\\enable": "", "/api-secrets/enable/enable": "", "/api-secrets/disable/enable": "",
		"/api-secrets/%2e%2e/api-secrets/6/enable": "", "/api-secrets/../api-secrets/6/enable": "", "/../api-secrets/5/enable": "enable 5",
	} {
		for name, front := range payloads {
			w.segura.Reset()
			a := w.httpEvent(front("POST", path, "", nil))
			sent := w.sent()
			switch {
			case isSuccess(a.status) && (allowed == "" || !slices.Equal(sent, []string{allowed})),
				!isSuccess(a.status) && (len(sent) != 0 || a.status/100 != 4):
				t.Errorf("%s, POST %q: got %d %s and Segura got %v; want a refusal, or no more than %q", name, path, a.status, a.body, sent, allowed)
			}
		}
	}
}

// With a body, a trick could also reach the route for several identifiers.
func TestHTTP_noTrickWithAPathReachesTheRouteForSeveral(t *testing.T) {
	t.Parallel()
	w := start(t, setup{function: api, segura: anyIdentifier})
	for _, path := range []string{
		"/api-secrets/5/enable", "/api-secrets/5/api-secrets/enable", "/api-secrets/5/../enable", "/api-secrets/5/%2e%2e/enable", "/api-secrets/5/./../enable",
		"/api-secrets/5/x/api-secrets/enable", "/api-secrets/5/enable/api-secrets/enable", "/api-secrets/5//enable", "/api-secrets/5%2f../enable",
	} {
		for name, front := range payloads {
			w.refusesHTTP(t, name+" "+path, front("POST", path, `{"identifiers":[6,9]}`, nil), 400, 404)
		}
	}
}

func TestHTTP_headerNamesHaveAnyCase(t *testing.T) {
	t.Parallel()
	w := start(t, setup{function: api, segura: anyIdentifier})
	for _, name := range []string{"content-type", "Content-Type", "CONTENT-TYPE", "cOnTeNt-tYpE"} {
		for front, make := range map[string]func() map[string]any{
			"REST API": func() map[string]any {
				return stage.RESTEvent("POST", "/api-secrets/5/enable", `{}`, header(name, "text/plain"))
			},
			"HTTP API": func() map[string]any {
				e := stage.HTTPEvent("POST", "/api-secrets/5/enable", `{}`, nil)
				e["headers"] = map[string]any{name: "text/plain"}
				return e
			},
			"only several values": func() map[string]any {
				e := stage.RESTEvent("POST", "/api-secrets/5/enable", `{}`, header(name, "text/plain"))
				e["headers"] = nil
				return e
			},
			"only single values": func() map[string]any {
				e := stage.RESTEvent("POST", "/api-secrets/5/enable", `{}`, header(name, "text/plain"))
				e["multiValueHeaders"] = nil
				return e
			},
		} {
			w.refusesHTTP(t, front+" "+name, make(), 415)
		}
	}
}

func TestHTTP_aBodyThatIsNotJSONByItsContentTypeIsRefused(t *testing.T) {
	t.Parallel()
	w := start(t, setup{function: api, segura: anyIdentifier})
	for _, kind := range []string{
		"text/plain", "text/plain; charset=utf-8", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/html", "application/xml",
		"application/octet-stream", "text/javascript", "application/javascript", "image/png", "application/jsonp", "application/jsonx", "xapplication/json",
		"json", "*/*", "application/*", "text/plain; a=application/json", "text/plain,application/json",
	} {
		for name, front := range payloads {
			w.refusesHTTP(t, name+" "+kind, front("POST", "/api-secrets/5/enable", `{"reason":"x"}`, header("Content-Type", kind)), 415)
			w.refusesHTTP(t, name+" "+kind, front("POST", "/api-secrets/enable", `{"identifier":5}`, header("Content-Type", kind)), 415)
		}
	}
	for _, kind := range []string{
		"application/json", "application/json; charset=utf-8", "application/json;charset=UTF-8", "APPLICATION/JSON", "Application/Json ; charset=\"utf-8\"",
	} {
		for name, front := range payloads {
			a := w.httpEvent(front("POST", "/api-secrets/5/enable", `{"reason":"x"}`, header("Content-Type", kind)))
			if a.status != 200 {
				t.Errorf("%s, Content-Type %s: got %d %s, want 200", name, kind, a.status, a.body)
			}
		}
	}
}

func TestHTTP_aMissingContentTypeMeansJSON(t *testing.T) {
	t.Parallel()
	w := start(t, setup{function: api, segura: anyIdentifier})
	for name, front := range httpFronts {
		e := front("POST", "/api-secrets/enable", `{"identifier":5}`, nil)
		for _, headers := range []any{map[string]any{"host": "x"}, map[string]any{}, nil} {
			e["headers"] = headers
			delete(e, "multiValueHeaders")
			if a := w.httpEvent(e); a.status != 200 {
				t.Errorf("%s, headers %v: got %d %s, want 200", name, headers, a.status, a.body)
			}
		}
	}
	w.refusesHTTP(t, "not JSON after all", func() map[string]any {
		e := stage.HTTPEvent("POST", "/api-secrets/enable", `identifier=5`, nil)
		e["headers"] = map[string]any{}
		return e
	}(), 400)
}

func TestHTTP_anEmptyBodyIsNotLookedAt(t *testing.T) {
	t.Parallel()
	w := start(t, setup{function: api, segura: anyIdentifier})
	for name, front := range payloads {
		for _, kind := range []string{"text/plain", "application/x-www-form-urlencoded", "nonsense", ""} {
			for _, body := range []any{nil, ""} {
				for _, base64 := range []bool{false, true} {
					e := front("POST", "/api-secrets/5/enable", "", header("Content-Type", kind))
					e["body"], e["isBase64Encoded"] = body, base64
					if a := w.httpEvent(e); a.status != 200 {
						t.Errorf("%s, Content-Type %q, body %v: got %d %s, want 200", name, kind, body, a.status, a.body)
					}
				}
			}
		}
		e := front("POST", "/api-secrets/5/enable", "", nil)
		delete(e, "body")
		delete(e, "isBase64Encoded")
		if a := w.httpEvent(e); a.status != 200 {
			t.Errorf("%s without body: got %d %s, want 200", name, a.status, a.body)
		}
	}
}

func TestHTTP_bodiesInBase64AreDecoded(t *testing.T) {
	t.Parallel()
	w := start(t, setup{function: api, segura: anyIdentifier})
	for name, front := range httpFronts {
		w.segura.Reset()
		e := front("POST", "/api-secrets/enable", "x", nil)
		e["body"], e["isBase64Encoded"] = base64.StdEncoding.EncodeToString([]byte(`{"identifiers":[5,9],"reason":"größer > ÿÿÿ"}`)), true
		if a := w.httpEvent(e); a.status != 200 {
			t.Errorf("%s: got %d %s, want 200", name, a.status, a.body)
		}
		w.wasAsked(t, name, "enable", 5, 9)
		for _, body := range []string{"{\"identifier\":5}", "%%%", "eyJ", "====", base64.StdEncoding.EncodeToString([]byte(`{"identifier":`)), "\x00"} {
			e["body"] = body
			w.refusesHTTP(t, name+" "+body, e, 400)
		}
		e["body"], e["isBase64Encoded"] = base64.StdEncoding.EncodeToString([]byte(`{"identifier":5}`)), false
		w.refusesHTTP(t, name+": base64 that is not said to be", e, 400)
	}
}

func TestHTTP_aBodyOver64KiBIsRefused(t *testing.T) {
	t.Parallel()
	const limit = 64 << 10
	w := start(t, setup{function: api, segura: anyIdentifier})
	document := `{"identifier":5}`
	for name, front := range payloads {
		for _, inBase64 := range []bool{false, true} {
			sized := func(size int) map[string]any {
				body := document + strings.Repeat(" ", size-len(document))
				e := front("POST", "/api-secrets/enable", body, nil)
				if inBase64 {
					e["body"], e["isBase64Encoded"] = []byte(body), true
				}
				return e
			}
			if a := w.httpEvent(sized(limit)); a.status != 200 {
				t.Errorf("%s, 64 KiB, base64 %v: got %d %s, want 200", name, inBase64, a.status, a.body)
			}
			w.refusesHTTP(t, fmt.Sprintf("%s, 64 KiB and a byte, base64 %v", name, inBase64), sized(limit+1), 413)
			w.refusesHTTP(t, fmt.Sprintf("%s, 4 MiB, base64 %v", name, inBase64), sized(4<<20), 413)
		}
		multibyte := `{"identifier":5,"reason":"` + strings.Repeat("😀", 20) + `"}`
		multibyte += strings.Repeat(" ", limit+1-len(multibyte))
		w.refusesHTTP(t, name+": bytes count, not characters", front("POST", "/api-secrets/enable", multibyte, nil), 413)
	}
}

var problemType = regexp.MustCompile(`^(about:blank|[a-z][a-z0-9+.-]*:[^\s]+|/[^\s]*)$`)

func TestHTTP_problemsHaveTheMembersOfRFC9457(t *testing.T) {
	t.Parallel()
	w := start(t, setup{function: api, segura: anyIdentifier})
	for about, e := range map[string]map[string]any{
		"400": stage.HTTPEvent("POST", "/api-secrets/enable", `{`, nil), "404": stage.HTTPEvent("POST", "/x", "", nil), "405": stage.HTTPEvent("GET", "/api-secrets/5/enable", "", nil),
		"413":       stage.HTTPEvent("POST", "/api-secrets/enable", strings.Repeat(" ", 70000), nil),
		"415":       stage.HTTPEvent("POST", "/api-secrets/enable", `{}`, header("content-type", "text/plain")),
		"not_found": stage.RESTEvent("POST", "/api-secrets/7/enable", "", nil), "access_denied": stage.RESTEvent("POST", "/api-secrets/8/enable", "", nil),
	} {
		a := w.httpEvent(e)
		var members map[string]any
		decode(t, a.body, &members)
		for name, want := range map[string]string{"type": "string", "title": "string", "status": "float64", "detail": "string", "instance": "string", "code": "string", "retryable": "bool"} {
			if got := fmt.Sprintf("%T", members[name]); got != want {
				t.Errorf("%s: member %s is of type %s, want %s: %s", about, name, got, want, a.body)
			}
		}
		if !problemType.MatchString(a.problem.Type) {
			t.Errorf("%s: type %q is no URI reference", about, a.problem.Type)
		}
		if _, has := members["identifier"]; has != (a.problem.Code != "invalid_request") {
			t.Errorf("%s: identifier belongs into the problem of one identifier, and only there: %s", about, a.body)
		}
		if len(a.header) < 3 {
			t.Errorf("%s: got headers %v", about, a.header)
		}
	}
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

func TestHTTP_theFunctionAnswersWhateverBytesAreSent(t *testing.T) {
	t.Parallel()
	w := start(t, setup{function: api, segura: anyIdentifier})
	everything := [][]byte{
		{}, []byte("null"), []byte("0"), []byte(`""`), []byte("[]"), []byte("{}"), []byte("\xff\xfe"), []byte("\x00"), []byte("\ufeff{}"), []byte("nul"), []byte("{"),
		[]byte(strings.Repeat("[", 100_000)), []byte(strings.Repeat(`{"a":`, 100_000)),
		[]byte(strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000)),
		[]byte(`{"version":"2.0","rawPath":"/api-secrets/5/enable","requestContext":{"http":{"method":"POST"},"authorizer":` + strings.Repeat(`{"iam":`, 9000) + "1" + strings.Repeat("}", 9000) + `}}`),
		[]byte(`{"body":"` + strings.Repeat("x", 6_000_000) + `"}`), []byte(strings.Repeat(" ", 6_000_000)), []byte(strings.Repeat("\xf0", 6_000_000)),
		[]byte(encoded(t, stage.HTTPEvent("POST", "/api-secrets/5/enable", strings.Repeat("\\", 3_000_000), nil))),
		[]byte(encoded(t, stage.RESTEvent("POST", "/"+strings.Repeat("api-secrets/", 300_000)+"5/enable", "", nil))),
		[]byte(encoded(t, stage.RESTEvent("POST", strings.Repeat("/", 3_000_000), "", nil))),
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 60 {
		garbage := make([]byte, random.IntN(300))
		for i := range garbage {
			garbage[i] = byte(random.UintN(256))
		}
		everything = append(everything, garbage)
	}
	whole := sample(t, "http-api-one.json")
	for at := 0; at < len(whole); at += 101 {
		everything = append(everything, whole[:at], slices.Concat(whole[:at], []byte{byte(random.UintN(256))}, whole[at+1:]))
	}
	for _, payload := range everything {
		if a := readHTTP(t, w.raw(payload)); a.status/100 == 5 {
			t.Errorf("%.200q: got %d %s: not our fault", payload, a.status, a.body)
		}
	}
	for _, call := range w.sent() {
		if call != "enable 5" && call != "enable 6" { // what the payloads that are whole ask for
			t.Errorf("Segura got %s, which nobody asked for", call)
		}
	}
}

func TestHTTP_theFunctionAnswersWhateverShapeAnEventHas(t *testing.T) {
	t.Parallel()
	replacements := []any{nil, -1, "x", []any{nil}}
	for _, name := range []string{"function-url.json", "rest-batch.json"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := start(t, setup{function: api, segura: anyIdentifier})
			asked := map[string]string{"function-url.json": "enable 5", "rest-batch.json": "enable 5 enable 6 enable 7"}[name]
			e := sampleEvent(t, name)
			mutate(e, replacements, func() {
				if a := w.httpEvent(e); a.status >= 500 {
					t.Errorf("%s: got %d %s: not our fault", encoded(t, e), a.status, a.body)
				}
			})
			for _, call := range w.sent() {
				if !strings.Contains(asked, call) {
					t.Errorf("Segura got %s, which nobody asked for", call)
				}
			}
		})
	}
}

// mutate puts each replacement in the place of each member at any depth, and
// calls try each time.
func mutate(e map[string]any, replacements []any, try func()) {
	for _, name := range slices.Sorted(maps.Keys(e)) {
		original := e[name]
		if inner, ok := original.(map[string]any); ok {
			mutate(inner, replacements, try)
		}
		for _, replacement := range replacements {
			e[name] = replacement
			try()
		}
		delete(e, name)
		try()
		e[name] = original
	}
}
