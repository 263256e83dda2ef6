package httpapi_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/lambdacontext"

	"segura-enable/internal/apisecret"
	"segura-enable/simulated/seguratest"
	"segura-enable/test/activationtest"
)

func TestInvoke_servesBothActionsInEveryEnvelope(t *testing.T) {
	for _, row := range []struct {
		payload string
		body    string
		calls   string
	}{
		{rest("POST", "/api-secrets/5/enable", ""), `{"identifier":5,"outcome":"enabled","attempts":1}`, "enable/5"},
		{rest("POST", "/api-secrets/6/enable", ""), `{"identifier":6,"outcome":"already_enabled","attempts":1}`, "enable/6"},
		{rest("POST", "/api-secrets/6/disable", ""), `{"identifier":6,"outcome":"disabled","attempts":1}`, "disable/6"},
		{rest("POST", "/api-secrets/5/disable", ""), `{"identifier":5,"outcome":"already_disabled","attempts":1}`, "disable/5"},
		{rest("POST", "/api-secrets/5/enable", `{"reason":"CHG"}`), `{"identifier":5,"outcome":"enabled","attempts":1}`, "enable/5"},
		{rest("POST", "/api-secrets/5/enable", `{}`), `{"identifier":5,"outcome":"enabled","attempts":1}`, "enable/5"},
		{rest("POST", "/api-secrets/enable", `{"identifier":"5"}`), `{"identifier":5,"outcome":"enabled","attempts":1}`, "enable/5"},
		{rest("POST", "/api-secrets/enable", `{"identifiers":[5]}`), `{"outcome":"succeeded","requested":1,"enabled":1,"already_enabled":0,"failed":0,"results":[{"identifier":5,"outcome":"enabled","attempts":1}]}`, "enable/5"},
		{rest("POST", "/api-secrets/disable", `{"identifiers":[6]}`), `{"outcome":"succeeded","requested":1,"disabled":1,"already_disabled":0,"failed":0,"results":[{"identifier":6,"outcome":"disabled","attempts":1}]}`, "disable/6"},
		{httpAPI("POST", "/api-secrets/5/enable", ""), `{"identifier":5,"outcome":"enabled","attempts":1}`, "enable/5"},
		{with(httpAPI("POST", "/api-secrets/5/enable", ""), "body:null"), `{"identifier":5,"outcome":"enabled","attempts":1}`, "enable/5"},
		{with(rest("POST", "/api-secrets/5/enable", ""), `version:"1.0"`), `{"identifier":5,"outcome":"enabled","attempts":1}`, "enable/5"},
		{httpAPI("POST", "/api-secrets/disable", `{"identifier":6,"reason":"x"}`), `{"identifier":6,"outcome":"disabled","attempts":1}`, "disable/6"},
		{with(rest("POST", "/api-secrets/enable", ""), "isBase64Encoded:true", "body:"+quote(base64.StdEncoding.EncodeToString([]byte(`{"identifier":5}`)))), `{"identifier":5,"outcome":"enabled","attempts":1}`, "enable/5"},
	} {
		w := newWorld(t, seguratest.Options{})

		got := w.invoke(t, row.payload)

		if got.StatusCode != 200 || got.Body != row.body || w.Calls() != row.calls {
			t.Errorf("%s: got %d %s after %s, want 200 %s after %s", row.payload, got.StatusCode, got.Body, w.Calls(), row.body, row.calls)
		}
	}
}

func TestInvoke_answersForSeveralWith207IfAnyFailed(t *testing.T) {
	for _, row := range []struct {
		body, outcome string
		status        int
	}{
		{`{"identifiers":[5,6]}`, "succeeded", 200},
		{`{"identifiers":[5,7]}`, "partially_succeeded", 207},
		{`{"identifiers":[7]}`, "failed", 207},
		{`{"identifiers":[7,8]}`, "failed", 207},
	} {
		w := newWorld(t, seguratest.Options{})

		got := w.invoke(t, rest("POST", "/api-secrets/enable", row.body))

		var document struct {
			Outcome string
			Results []struct{ Identifier json.Number }
		}
		if err := json.Unmarshal([]byte(got.Body), &document); err != nil || got.StatusCode != row.status || document.Outcome != row.outcome {
			t.Errorf("%s: got %d %s, want %d %s", row.body, got.StatusCode, got.Body, row.status, row.outcome)
		}
	}
}

func TestInvoke_findsTheRouteBehindAPrefixOnly(t *testing.T) {
	w := newWorld(t, seguratest.Options{})
	const notFound, invalid = 404, 400
	for path, want := range map[string]int{
		"/api-secrets/5/enable":                           200,
		"/prod/api-secrets/5/enable":                      200,
		"/a/b/c/api-secrets/5/enable":                     200,
		"/api-secrets/api-secrets/5/enable":               200,
		"/5/enable/api-secrets/5/enable":                  200,
		"/$default/api-secrets/5/enable":                  200,
		"/API-SECRETS/api-secrets/5/enable":               200,
		"/prod/5/api-secrets/5/enable":                    200,
		"/api-secrets/5/disable":                          200,
		"/api-secrets/enable":                             invalid, // no body
		"/api-secrets/05/enable":                          invalid,
		"/api-secrets/0/enable":                           invalid,
		"/api-secrets/-5/enable":                          invalid,
		"/api-secrets/+5/enable":                          invalid,
		"/api-secrets/5.0/enable":                         invalid,
		"/api-secrets/5%20/enable":                        invalid,
		"/api-secrets/%35/enable":                         invalid,
		"/api-secrets/five/enable":                        invalid,
		"/api-secrets/5;6/enable":                         invalid,
		"/api-secrets/5,6/enable":                         invalid,
		"/api-secrets/9223372036854775808/enable":         invalid,
		"/api-secrets/５/enable":                           invalid,
		"/api-secrets/enable/enable":                      invalid,
		"":                                                invalid, // not an HTTP event at all
		"/":                                               notFound,
		"/api-secrets":                                    notFound,
		"/api-secrets/":                                   notFound,
		"/api-secrets/5":                                  notFound,
		"/api-secrets/5/":                                 notFound,
		"/api-secrets/5/enable/":                          200,
		"//api-secrets/5/enable":                          200,
		"/api-secrets//5/enable":                          200,
		"/api-secrets/5//enable":                          200,
		"/api-secrets//enable":                            invalid,
		"api-secrets/5/enable":                            notFound,
		"/api-secrets/5/Enable":                           notFound,
		"/API-SECRETS/5/enable":                           notFound,
		"/api-secrets/5/activate":                         notFound,
		"/api-secrets/5/inactive":                         notFound,
		"/api-secrets/5/enabled":                          notFound,
		"/api-secrets/5/enable.json":                      notFound,
		"/api-secrets/5/enable;x=1":                       notFound,
		"/api-secrets/5/enable ":                          notFound,
		"/x.api-secrets/5/enable":                         notFound,
		"/api-secretsx/5/enable":                          notFound,
		"/api_secrets/5/enable":                           notFound,
		"/5/enable":                                       notFound,
		"/enable":                                         notFound,
		"/api-secrets/5/disable/enable":                   notFound,
		"/api/mysafe/secretapi/active/5":                  notFound,
		"/api-secrets/5/enable/6":                         notFound,
		"/api-secrets/5/6/enable":                         notFound,
		"/api-secrets/5/enable?x":                         notFound,
		"/api-secrets/5/enable/api-secrets/6/enable":      notFound,
		"/api-secrets/5/api-secrets/6/enable":             notFound,
		"/api-secrets/api-secrets/5/api-secrets/6/enable": notFound,
		"/api-secrets/./5/enable":                         notFound,
		"/api-secrets/5/./enable":                         notFound,
		"/x/../api-secrets/5/enable":                      notFound,
		"/api-secrets/6/../5/enable":                      notFound,
		"/api-secrets/../api-secrets/5/enable":            notFound,
		"/api-secrets/5/enable/..":                        notFound,
		"/api-secrets%2F5%2Fenable":                       notFound,
		"/api-secrets/5%2Fenable":                         notFound,
		"/api-secret/5/enable":                            notFound,
		"/passwords/5/enable":                             notFound,
		"/api-secrets\\5\\enable":                         notFound,
		"/api-secrets/5/enable\n":                         notFound,
		"https://x/api-secrets/5/enable":                  notFound,
	} {
		for name, payload := range map[string]string{"REST": rest("POST", path, ""), "HTTP": httpAPI("POST", path, "")} {
			w.Reset()

			got := w.invoke(t, payload)

			if got.StatusCode != want {
				t.Errorf("%s %q: got %d %s, want %d", name, path, got.StatusCode, got.Body, want)
			}
			called := w.Calls()
			if want == 200 && called != "enable/5" && called != "disable/5" || want != 200 && called != "" {
				t.Errorf("%s %q: got the calls %q", name, path, called)
			}
			if want != 200 && got.problem(t).Code != "invalid_request" {
				t.Errorf("%s %q: got %s", name, path, got.Body)
			}
		}
	}
}

// Whoever may call only one path, because of a policy on it, must not reach
// another identifier by a trick. The second part is what may be enabled at all;
// empty: nothing.
func TestInvoke_noTrickWithAPathEnablesWhatWasNotAskedFor(t *testing.T) {
	w := newWorld(t, seguratest.Options{AnyIdentifier: true})
	for path, allowed := range map[string]string{
		"/api-secrets/5/../6/enable": "", "/api-secrets/5/%2e%2e/6/enable": "", "/api-secrets/5/%2E%2E/6/enable": "", "/api-secrets/5/..%2f6/enable": "",
		"/api-secrets/5%2f..%2f6/enable": "", "/api-secrets/5/..;/6/enable": "", "/api-secrets/5/..\\6/enable": "", "/api-secrets/5/./enable": "enable/5",
		"/api-secrets/5/api-secrets/6/enable": "", "/api-secrets/5/enable/api-secrets/6/enable": "", "/api-secrets/5/enable/../../6/enable": "",
		"/api-secrets/5/enable/../../../api-secrets/6/enable": "", "/api-secrets/5/x/api-secrets/6/enable": "", "/api-secrets/5/api-secrets/enable": "",
		"/api-secrets/enable/api-secrets/6/enable": "", "/api-secrets/5//api-secrets/6/enable": "", "/api-secrets/5/disable/../enable": "",
		"/prod/api-secrets/5/api-secrets/6/enable": "", "/api-secrets/5/prod/api-secrets/6/disable": "", "/api-secrets/5%2fapi-secrets/6/enable": "",
		"/api-secrets/5/%61pi-secrets/6/enable": "", "/api-secrets/5?/api-secrets/6/enable": "", "/api-secrets/5#/api-secrets/6/enable": "",
		"//api-secrets/5/enable": "enable/5", "/api-secrets//5/enable": "enable/5", "/api-secrets/5//enable": "enable/5", "/api-secrets/5/enable/": "enable/5",
		"/api-secrets/5/enable//": "enable/5", "/./api-secrets/5/enable": "enable/5", "/x/../api-secrets/5/enable": "enable/5", "api-secrets/5/enable": "enable/5",
		"/api-secrets/%35/enable": "enable/5", "/api-secrets/5/%65nable": "enable/5", "/api%2dsecrets/5/enable": "enable/5",
		"https://example.com/api-secrets/5/enable": "enable/5", "/api-secrets/5/enable?identifier=6": "", "/api-secrets/5/enable#6": "", "/api-secrets/5/enable%2f..%2f6": "",
		"/api-secrets/5%3b6/enable": "", "/api-secrets/5;6/enable": "", "/api-secrets/56%08/enable": "", "/api-secrets/5\x00/enable": "", "/api-secrets/5\n/enable": "",
		"/api-secrets/5\r\nX: y/enable": "", "\\api-secrets\\5\\enable": "", "/api-secrets/enable/enable": "", "/api-secrets/disable/enable": "",
		"/api-secrets/%2e%2e/api-secrets/6/enable": "", "/api-secrets/../api-secrets/6/enable": "", "/../api-secrets/5/enable": "enable/5",
	} {
		for name, front := range fronts {
			w.Reset()

			got := w.invoke(t, front("POST", path, ""))

			calls := w.Calls()
			if got.StatusCode == 200 && (allowed == "" || calls != allowed) || got.StatusCode != 200 && (calls != "" || got.StatusCode/100 != 4) {
				t.Errorf("%s, POST %q: got %d %s and the calls %q; want a refusal, or no more than %q", name, path, got.StatusCode, got.Body, calls, allowed)
			}
		}
	}
	// With a body, a trick could also reach the route for several.
	for _, path := range []string{
		"/api-secrets/5/enable", "/api-secrets/5/api-secrets/enable", "/api-secrets/5/../enable", "/api-secrets/5/%2e%2e/enable", "/api-secrets/5/./../enable",
		"/api-secrets/5/x/api-secrets/enable", "/api-secrets/5/enable/api-secrets/enable", "/api-secrets/5//enable", "/api-secrets/5%2f../enable",
	} {
		for name, front := range fronts {
			w.Reset()
			if got := w.invoke(t, front("POST", path, `{"identifiers":[6,9]}`)); got.StatusCode/100 != 4 || w.Count("") > 0 {
				t.Errorf("%s, POST %q: got %d %s and %d requests", name, path, got.StatusCode, got.Body, w.Count(""))
			}
		}
	}
}

// The path alone says what is asked for: neither the resource and its parameters,
// nor a header, nor the query.
func TestInvoke_goesByThePathAndTheMethodAlone(t *testing.T) {
	w := newWorld(t, seguratest.Options{})
	served := with(rest("POST", "/prod/api-secrets/5/enable", ""), `resource:"/api-secrets/{identifier}/disable"`, `pathParameters:{"identifier":"6","proxy":"api-secrets/6/disable"}`,
		`queryStringParameters:{"identifier":"6","action":"disable"}`)
	refused := with(rest("GET", "/api-secrets/6/enable", ""), `headers:{"X-HTTP-Method-Override":"POST","X-Http-Method":"POST","X-Method-Override":"POST"}`)

	if got := w.invoke(t, served); got.StatusCode != 200 || w.Calls() != "enable/5" {
		t.Errorf("got %d %s after %s, want 5 enabled", got.StatusCode, got.Body, w.Calls())
	}
	if got := w.invoke(t, refused); got.StatusCode != 405 || w.Calls() != "enable/5" {
		t.Errorf("got %d %s after %s, want 405", got.StatusCode, got.Body, w.Calls())
	}
}

func TestInvoke_refusesWhatStandsInAPathForAnIdentifier(t *testing.T) {
	w := newWorld(t, seguratest.Options{})
	for _, text := range []string{
		"-0", "005", "5.", "5e0", "1e3", "0x5", "1_000", "null", "true", "NaN", "*", "18446744073709551621", strings.Repeat("9", 400),
		"٥", "५", "⁵", "𝟝", " 5", "5 ", "5\t", "5\n", "5\x00", "5\u200b", "\ufeff5", "%20", "5%00", "5%0a", "%", "5-7", "5;x=1", "5&6", "5?6", "5#6", "5%2C6", "5%2F6", "5:6",
		"{identifier}", "%7Bidentifier%7D", "\"5\"", "[5]",
	} {
		for name, front := range fronts {
			if got := w.invoke(t, front("POST", "/api-secrets/"+text+"/enable", "")); got.StatusCode != 400 && got.StatusCode != 404 {
				t.Errorf("%s, %q: got %d %s", name, text, got.StatusCode, got.Body)
			}
		}
	}
	if got := w.Count(""); got != 0 {
		t.Errorf("got %d requests", got)
	}
}

func TestInvoke_allowsPostOnly(t *testing.T) {
	w := newWorld(t, seguratest.Options{})
	for _, method := range []string{"GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "post", "Post", "POST ", "X"} {
		for _, payload := range []string{rest(method, "/api-secrets/5/enable", ""), httpAPI(method, "/api-secrets/enable", `{"identifier":5}`)} {
			if got := w.invoke(t, payload); got.StatusCode != 405 || got.Headers["Allow"] != "POST" || got.problem(t).Code != "invalid_request" {
				t.Errorf("%s: got %d, Allow: %q, %s", method, got.StatusCode, got.Headers["Allow"], got.Body)
			}
		}
	}
	if got := w.Count(""); got != 0 {
		t.Errorf("got %d requests", got)
	}
}

// Also what comes here where a stack has no windows.
func TestInvoke_saysThatNothingIsAtAnyOtherPath(t *testing.T) {
	w := newWorld(t, seguratest.Options{})
	const body = `{"identifiers": [5], "for": "PT1H"}`
	for _, payload := range []string{
		rest("GET", "/elsewhere", ""), rest("POST", "/windows", body), rest("GET", "/windows", ""),
		rest("GET", "/windows/5", ""), rest("POST", "/windows/5/extend", body), rest("POST", "/windows/5/close", ""),
	} {
		if got := w.invoke(t, payload); got.StatusCode != 404 || got.problem(t).Code != "invalid_request" {
			t.Errorf("%s: got %d %s, want a 404", payload, got.StatusCode, got.Body)
		}
	}
	if got := w.Count(""); got != 0 {
		t.Errorf("got %d requests", got)
	}
}

func TestInvoke_refusesBodiesThatItCannotRead(t *testing.T) {
	w := newWorld(t, seguratest.Options{})
	big := `{"identifiers":[5],"reason":"` + strings.Repeat(" ", 64<<10) + `"}`
	whole := `{"identifiers":[6]` + strings.Repeat(" ", 64<<10-19) + `}`
	of := func(body string, members ...string) string {
		return with(rest("POST", "/api-secrets/enable", body), members...)
	}
	for _, row := range []struct {
		name, payload string
		want          int
	}{
		{"64 KiB", of(whole), 200},
		{"a byte more", of(whole + " "), 413},
		{"far more", of(big), 413},
		{"more in base64", of("", "isBase64Encoded:true", "body:"+quote(base64.StdEncoding.EncodeToString([]byte(big)))), 413},
		{"64 KiB in base64", of("", "isBase64Encoded:true", "body:"+quote(base64.StdEncoding.EncodeToString([]byte(whole)))), 200},
		{"more on the path of one", with(rest("POST", "/api-secrets/5/enable", big)), 413},
		{"no base64", of("", "isBase64Encoded:true", `body:"{}"`), 400},
		{"half of base64", of("", "isBase64Encoded:true", `body:"eyJ"`), 400},
		{"half of JSON in base64", of("", "isBase64Encoded:true", "body:"+quote(base64.StdEncoding.EncodeToString([]byte(`{"identifier":`)))), 400},
		{"base64 that is not said to be", of(base64.StdEncoding.EncodeToString([]byte(`{"identifier":6}`))), 400},
		{"bytes count, not characters", of(`{"identifier":6,"reason":"` + strings.Repeat("😀", 20) + `"}` + strings.Repeat(" ", 64<<10-60)), 413},
		{"JSON without headers", with(of(`{"identifier":6}`), "headers:null"), 200},
		{"no JSON without headers", with(of("identifier=6"), "headers:null"), 400},
		{"no JSON", of("identifier=5"), 400},
		{"an array", of("[5]"), 400},
		{"two documents", of(`{"identifier":6}{"identifier":5}`), 400},
		{"no body", of(""), 400},
		{"null", of("", "body:null"), 400},
		{"white space", of(" "), 400},
		{"a repeated field", of(`{"identifier":6,"identifier":5}`), 400},
		{"a field in other case", of(`{"Identifier":6}`), 400},
		{"an action", of(`{"identifier":6,"action":"disable"}`), 400},
		{"a check", of(`{"check":true}`), 400},
		{"an unknown field", of(`{"identifier":6,"force":true}`), 400},
		{"both fields", of(`{"identifier":6,"identifiers":[6]}`), 400},
		{"neither field", of(`{"reason":"x"}`), 400},
		{"no identifiers", of(`{"identifiers":[]}`), 400},
		{"100 identifiers", of(`{"identifiers":[` + strings.Repeat("6,", 99) + `6]}`), 200},
		{"101 identifiers", of(`{"identifiers":[` + strings.Repeat("6,", 100) + `6]}`), 400},
		{"an identifier beside the path's", with(rest("POST", "/api-secrets/6/enable", `{"identifier":5}`)), 400},
		{"a long reason", with(rest("POST", "/api-secrets/6/enable", `{"reason":"`+strings.Repeat("x", 257)+`"}`)), 400},
		{"an action beside the path's", rest("POST", "/api-secrets/6/enable", `{"action":"enable"}`), 400},
		{"a check beside the path's", rest("POST", "/api-secrets/6/enable", `{"check":true}`), 400},
		{"identifiers beside the path's", rest("POST", "/api-secrets/6/enable", `{"identifiers":[6]}`), 400},
		{"a repeated reason", rest("POST", "/api-secrets/6/enable", `{"reason":"x","reason":"y"}`), 400},
		{"an array on the path of one", rest("POST", "/api-secrets/6/enable", `[]`), 400},
		{"null on the path of one", rest("POST", "/api-secrets/6/enable", `null`), 400},
		{"an empty object on the path of one", rest("POST", "/api-secrets/6/enable", ` { } `), 200},
		{"100 identifiers and one to disable", rest("POST", "/api-secrets/disable", `{"identifiers":[`+strings.Repeat("6,", 100)+`6]}`), 400},
		{"a reason that is no text", with(rest("POST", "/api-secrets/6/enable", `{"reason":5}`)), 400},
	} {
		w.Reset()

		got := w.invoke(t, row.payload)

		if got.StatusCode != row.want || (row.want == 200) != (w.Calls() == "enable/6") {
			t.Errorf("%s: got %d %s after the calls %q, want %d", row.name, got.StatusCode, got.Body, w.Calls(), row.want)
		}
		if row.want != 200 {
			if p := got.problem(t); p.Code != "invalid_request" || p.Retryable || p.Identifier != 0 {
				t.Errorf("%s: got %+v", row.name, p)
			}
		}
	}
}

func TestInvoke_wantsJSON(t *testing.T) {
	w := newWorld(t, seguratest.Options{})
	for value, want := range map[string]int{
		"application/json":                   200,
		"Application/JSON":                   200,
		"application/json; charset=utf-8":    200,
		"application/json;charset=\"utf-8\"": 200,
		"application/json;":                  200,
		" application/json ":                 200,
		"application/vnd.api+json":           200,
		"application/merge-patch+json":       200,
		"":                                   200,
		"text/plain":                         415,
		"text/html":                          415,
		"application/x-www-form-urlencoded":  415,
		"multipart/form-data; boundary=x":    415,
		"application/octet-stream":           415,
		"application/xml":                    415,
		"application/jsonp":                  415,
		"text/javascript":                    415,
		"application/jsonx":                  415,
		"application/*":                      415,
		"text/plain; a=application/json":     415,
		"text/plain,application/json":        415,
		"application/json-seq":               415,
		"image/svg+json":                     415,
		"json":                               415,
		"*/*":                                415,
		"application/json, text/plain":       415,
		"application/json; charset=utf-8; =": 415,
	} {
		for name, header := range map[string]string{
			"Content-Type": "headers:{" + quote("Content-Type") + ":" + quote(value) + "}", "content-type": "headers:{" + quote("content-type") + ":" + quote(value) + "}",
			"several": "multiValueHeaders:{" + quote("CONTENT-TYPE") + ":[" + quote(value) + "]}",
		} {
			for _, body := range []string{`{"identifier":6}`, ""} {
				path, expected := "/api-secrets/enable", want
				if body == "" { // which is not looked at
					path, expected = "/api-secrets/6/enable", 200
				}
				if got := w.invoke(t, with(rest("POST", path, body), header)); got.StatusCode != expected {
					t.Errorf("%s: %q with the body %q: got %d %s, want %d", name, value, body, got.StatusCode, got.Body, expected)
				}
			}
		}
	}
}

func TestInvoke_servesNoOtherEvents(t *testing.T) {
	w := newWorld(t, seguratest.Options{})
	payloads := slices.Concat(slices.Collect(maps.Values(activationtest.Foreign)), slices.Collect(maps.Values(activationtest.ForeignHTTP)))
	payloads = append(payloads,
		"", " ", "null", "5", `"x"`, "[]", "{}", "{", "\xff", `{"version":"2.0"}`, `{"version":5}`,
		with(httpAPI("POST", "/api-secrets/5/enable", ""), `version:"3.0"`),
		with(httpAPI("POST", "/api-secrets/5/enable", ""), `version:"1.0"`),
		with(rest("POST", "/api-secrets/5/enable", ""), `version:"2.0"`),
		with(rest("POST", "/api-secrets/5/enable", ""), `requestContext:{"elb":{"targetGroupArn":"arn:aws:elasticloadbalancing:x"}}`),
		with(rest("POST", "/api-secrets/5/enable", ""), `type:"REQUEST"`, `methodArn:"arn:aws:execute-api:x"`),
		with(httpAPI("POST", "/api-secrets/5/enable", ""), `type:"REQUEST"`, `routeArn:"arn:aws:execute-api:x"`),
		with(rest("POST", "/api-secrets/5/enable", ""), `headers:[]`),
		with(rest("POST", "/api-secrets/5/enable", ""), `body:{"reason":"x"}`),
		with(rest("POST", "/api-secrets/5/enable", ""), `path:["/api-secrets/5/enable"]`),
		`{"requestContext":{"routeKey":"$connect","eventType":"CONNECT","connectionId":"x"},"isBase64Encoded":false}`,
		`{"Records":[{"EventSource":"aws:sns","Sns":{"Message":"{\"identifier\":5}"}}]}`,
		`{"Records":[{"eventSource":"aws:s3"}]}`, `{"Records":[{"eventSource":"aws:sqs","body":"{\"identifier\":5}"}]}`,
		`{"Records":[{"eventSource":"aws:dynamodb"}]}`, `{"identifier":5}`, `{"check":true}`,
	)
	for _, name := range []string{"direct-one", "direct-many", "eventbridge-custom", "scheduler-custom-input", "scheduled-rule", "scheduler-default-payload", "self-check", "step-functions", "bulk-batch", "eventbridge-replay"} {
		payloads = append(payloads, sample(t, name))
	}
	for _, payload := range payloads {
		if got := w.invoke(t, payload); got.StatusCode != 400 || got.problem(t).Code != "invalid_request" {
			t.Errorf("%.100s: got %d %s, want 400", payload, got.StatusCode, got.Body)
		}
	}
	if got := w.Count(""); got != 0 {
		t.Errorf("got %d requests", got)
	}
}

func sample(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("../../events/" + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestInvoke_answersTheSamples(t *testing.T) {
	for name, want := range map[string]struct {
		status int
		calls  string
	}{
		"rest-one": {200, "enable/5"}, "rest-batch": {0, ""}, "rest-disable": {200, "disable/6"}, "rest-not-found": {404, "enable/7"},
		"http-api-one": {200, "enable/6"}, "http-api-batch": {0, ""}, "http-api-access-denied": {403, "enable/8"}, "function-url": {200, "enable/5"},
	} {
		w := newWorld(t, seguratest.Options{})

		got := w.invoke(t, sample(t, name))

		if want.status == 0 && got.StatusCode != 200 && got.StatusCode != 207 || want.status != 0 && (got.StatusCode != want.status || w.Calls() != want.calls) {
			t.Errorf("%s: got %d %s after %s", name, got.StatusCode, got.Body, w.Calls())
		}
		if text := got.Body + w.Audit.String() + w.Log.String(); strings.Contains(text, "IQoJb3JpZ2luX2Vj") || strings.Contains(text, "AWS4-HMAC") {
			t.Errorf("%s: the security token or the signature of the request is repeated", name)
		}
	}
}

func TestInvoke_auditsWhoCalled(t *testing.T) {
	for name, row := range map[string]struct{ payload, want string }{
		"REST, IAM":               {with(rest("POST", "/api-secrets/5/enable", ""), `requestContext:{"identity":{"userArn":"arn:aws:iam::1:user/a","sourceIp":"203.0.113.1"}}`), "arn:aws:iam::1:user/a"},
		"REST, Cognito":           {with(rest("POST", "/api-secrets/5/enable", ""), `requestContext:{"identity":{"userArn":null},"authorizer":{"claims":{"sub":"cognito-sub","email":"x"}}}`), "cognito-sub"},
		"REST, Lambda authorizer": {with(rest("POST", "/api-secrets/5/enable", ""), `requestContext:{"authorizer":{"principalId":"principal","integrationLatency":3}}`), "principal"},
		"REST, its context":       {with(rest("POST", "/api-secrets/5/enable", ""), `requestContext:{"authorizer":{"principalId":"principal","sub":"subject"}}`), "subject"},
		"HTTP, IAM":               {with(httpAPI("POST", "/api-secrets/5/enable", ""), `requestContext:{"http":{"method":"POST"},"authorizer":{"iam":{"userArn":"arn:aws:iam::1:user/b"}}}`), "arn:aws:iam::1:user/b"},
		"HTTP, JWT":               {with(httpAPI("POST", "/api-secrets/5/enable", ""), `requestContext:{"http":{"method":"POST"},"authorizer":{"jwt":{"claims":{"sub":"jwt-sub"},"scopes":null}}}`), "jwt-sub"},
		"HTTP, Lambda authorizer": {with(httpAPI("POST", "/api-secrets/5/enable", ""), `requestContext:{"http":{"method":"POST"},"authorizer":{"lambda":{"sub":"lambda-sub"}}}`), "lambda-sub"},
		"HTTP, its principal":     {with(httpAPI("POST", "/api-secrets/5/enable", ""), `requestContext:{"http":{"method":"POST"},"authorizer":{"lambda":{"principalId":"lambda-principal"}}}`), "lambda-principal"},
		"nobody asked":            {httpAPI("POST", "/api-secrets/5/enable", ""), ""},
		"no object":               {with(httpAPI("POST", "/api-secrets/5/enable", ""), `requestContext:{"http":{"method":"POST"},"authorizer":"sub"}`), ""},
		"no text":                 {with(httpAPI("POST", "/api-secrets/5/enable", ""), `requestContext:{"http":{"method":"POST"},"authorizer":{"jwt":{"claims":{"sub":5}}}}`), ""},
		"null":                    {with(httpAPI("POST", "/api-secrets/5/enable", ""), `requestContext:{"http":{"method":"POST"},"authorizer":null}`), ""},
		"a header is no proof":    {with(rest("POST", "/api-secrets/5/enable", ""), `headers:{"X-Caller":"forged","X-Amzn-Principal":"forged","Authorization":"forged"}`), ""},
		"nor is the query":        {with(httpAPI("POST", "/api-secrets/5/enable", ""), `queryStringParameters:{"userArn":"forged","caller":"forged"}`, `rawQueryString:"caller=forged"`), ""},
	} {
		w := newWorld(t, seguratest.Options{})

		w.invoke(t, with(row.payload, `body:"{\"reason\":\"CHG\"}"`))

		var line map[string]any
		first, _, _ := strings.Cut(w.Audit.String(), "\n")
		if err := json.Unmarshal([]byte(first), &line); err != nil {
			t.Fatalf("%s: %v: %s", name, err, first)
		}
		caller, _ := line["caller"].(string)
		if strings.Contains(first, "forged") || caller != row.want || line["source"] != "api" || line["reason"] != "CHG" || line["requestId"] != requestID || line["identifier"] != 5.0 {
			t.Errorf("%s: got the audit line %v, want the caller %q", name, line, row.want)
		}
	}
}

func TestInvoke_answersAFailureOfOneWithAProblem(t *testing.T) {
	for _, row := range []struct {
		fault  seguratest.Fault
		status int
		code   apisecret.Code
		after  string // Retry-After
		segura int
	}{
		{seguratest.NotFound1005(), 404, apisecret.NotFound, "", 1005},
		{seguratest.AccessDenied1006(), 403, apisecret.AccessDenied, "", 1006},
		{seguratest.Gateway429().WithHeader("Retry-After", "7"), 503, apisecret.RateLimited, "7", 0},
		{seguratest.Gateway429().WithHeader("Retry-After", "0.2"), 503, apisecret.RateLimited, "1", 0},
		{seguratest.Gateway429().WithHeader("Retry-After", "1.2"), 503, apisecret.RateLimited, "2", 0},
		{seguratest.Gateway429(), 503, apisecret.RateLimited, "5", 0},
		{seguratest.Gateway503().WithHeader("Retry-After", "30"), 502, apisecret.UpstreamError, "30", 0},
		{seguratest.Gateway502(), 502, apisecret.UpstreamInvalidResponse, "5", 0},
		{seguratest.Gateway504(), 504, apisecret.UpstreamTimeout, "5", 0},
		{seguratest.PasswordActivated(), 502, apisecret.UnexpectedResponse, "", 0},
		{seguratest.CloseConnection(), 502, apisecret.UpstreamUnreachable, "5", 0},
		{seguratest.TokenRefused(seguratest.RefusedByGateway), 502, apisecret.AuthenticationFailed, "", 0},
	} {
		w := newWorld(t, seguratest.Options{})
		w.Fail(seguratest.Match{Kind: seguratest.KindEnable}, row.fault, -1)

		got := w.invoke(t, rest("POST", "/api-secrets/5/enable", ""))

		p := got.problem(t)
		if got.StatusCode != row.status || p.Code != row.code || got.Headers["Retry-After"] != row.after || p.Identifier != 5 || p.SeguraCode != row.segura {
			t.Errorf("%s: got %d %+v, Retry-After: %q; want %d %s %q", row.fault, got.StatusCode, p, got.Headers["Retry-After"], row.status, row.code, row.after)
		}
		if strings.Contains(got.Body, "upstream_message") || strings.Contains(got.Body, "http_status") {
			t.Errorf("%s: got %s", row.fault, got.Body)
		}
	}
}

func TestInvoke_answersForWhatIsNotAllowedAndForNoCredentials(t *testing.T) {
	w := newWorld(t, seguratest.Options{})
	w.door.Runner.Allowed, _ = apisecret.ParseSet("5-8")
	w.Source.Gives, w.Source.Fault = nil, apisecret.NewError(apisecret.CredentialsUnavailable, "sentence")

	forbidden, unavailable := w.invoke(t, rest("POST", "/api-secrets/100/enable", "")), w.invoke(t, rest("POST", "/api-secrets/enable", `{"identifier":5}`))

	if p := forbidden.problem(t); forbidden.StatusCode != 403 || p.Code != apisecret.NotAllowed || p.Identifier != 100 {
		t.Errorf("not allowed: got %d %+v", forbidden.StatusCode, p)
	}
	if p := unavailable.problem(t); unavailable.StatusCode != 500 || p.Code != apisecret.CredentialsUnavailable || p.Detail != "sentence" {
		t.Errorf("no credentials: got %d %+v", unavailable.StatusCode, p)
	}
}

func TestInvoke_turnsAPanicIntoAProblem(t *testing.T) {
	w := newWorld(t, seguratest.Options{})
	w.Source.Before = func() { panic("MARKER") }
	inside := w.invoke(t, rest("POST", "/api-secrets/5/enable", ""))
	w.door.Runner = nil // a fault of ours outside of what the runner guards

	outside := w.invoke(t, rest("POST", "/api-secrets/5/enable", ""))

	for name, got := range map[string]response{"inside the runner": inside, "outside of it": outside} {
		if p := got.problem(t); got.StatusCode != 500 || p.Code != apisecret.InternalError || p.Retryable || strings.Contains(got.Body, "MARKER") {
			t.Errorf("%s: got %d %s", name, got.StatusCode, got.Body)
		}
	}
	if log := w.Log.String(); strings.Contains(log, "MARKER") || strings.Count(log, "recovered from a panic") != 2 {
		t.Errorf("got the log %s", log)
	}
}

func TestInvoke_writesItsMetricsWhateverHappens(t *testing.T) {
	w := newWorld(t, seguratest.Options{})
	for payload, want := range map[string]string{
		rest("POST", "/api-secrets/5/enable", ""): `"Enabled":1`, rest("GET", "/", ""): `"Enabled":0`, "garbage": `"Failed":0`,
	} {
		w.Audit.Reset()

		w.invoke(t, payload)

		if got := w.Audit.String(); strings.Count(got, `"_aws"`) != 1 || !strings.Contains(got, want) || !strings.Contains(got, requestID) {
			t.Errorf("%.60s: got %s, want one metric line with %s", payload, got, want)
		}
	}
}

func TestInvoke_answersWithoutALambdaContextToo(t *testing.T) {
	w := newWorld(t, seguratest.Options{})

	reply, err := w.door.Invoke(t.Context(), []byte(rest("GET", "/", "")))

	if err != nil || !strings.Contains(string(reply), `"statusCode":404`) || strings.Contains(string(reply), "urn:uuid:") {
		t.Errorf("got %s, %v", reply, err)
	}
}

func TestInvoke_isHonestWhateverShapeAnEventHas(t *testing.T) {
	w := newWorld(t, seguratest.Options{})
	w.door.Runner.Allowed, _ = apisecret.ParseSet("5-8")
	for _, name := range []string{"function-url", "rest-batch"} {
		err := activationtest.Misshape(sample(t, name), func(payload string) {
			w.Reset()
			w.Audit.Reset()

			got := w.invoke(t, payload)

			if got.StatusCode >= 500 {
				t.Errorf("%s: got %d %s: not our fault", payload, got.StatusCode, got.Body)
			}
			requireHonest(t, w, []byte(payload), got)
		}, nil, -1, "x", []any{nil})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// A payload never makes the door panic, never has Segura called for an identifier
// that was not accepted, and is never answered with a success that Segura did not
// have.
func FuzzInvoke(f *testing.F) {
	w := newWorld(f, seguratest.Options{})
	w.door.Runner.Allowed, _ = apisecret.ParseSet("5-8,100-105")
	for _, seed := range []string{
		rest("POST", "/api-secrets/5/enable", ""), rest("POST", "/prod/api-secrets/enable", `{"identifiers":[5,"6",7,100,200]}`), rest("GET", "/api-secrets/5/enable", ""),
		httpAPI("POST", "/api-secrets/6/disable", `{"reason":"x"}`), httpAPI("POST", "/api-secrets/disable", `{"identifier":6}`),
		with(rest("POST", "/api-secrets/enable", ""), "isBase64Encoded:true", "body:"+quote(base64.StdEncoding.EncodeToString([]byte(`{"identifier":5}`)))),
		`{"identifier":5}`, `{"version":"2.0"}`, `[]`, `null`, ``, `{"path":"/api-secrets/5/enable","httpMethod":"POST"}`,
		`{"PATH":"/api-secrets/5/enable","HTTPMethod":"POST","path":"/api-secrets/6/enable"}`, `{"path":"/api-secrets/5/enable","httpMethod":"POST","body":"{\"identifier\":6}"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		w.Reset()
		w.Audit.Reset()
		w.Log.Reset()
		ctx := lambdacontext.NewContext(t.Context(), &lambdacontext.LambdaContext{AwsRequestID: requestID})

		reply, err := w.door.Invoke(ctx, payload)

		var r response
		if err != nil || json.Unmarshal(reply, &r) != nil || r.StatusCode < 200 || r.StatusCode > 599 || !json.Valid([]byte(r.Body)) {
			t.Fatalf("%q: got %s, %v", payload, reply, err)
		}
		requireHonest(t, w, payload, r)
	})
}

// requireHonest holds an answer against what Segura was asked.
func requireHonest(t *testing.T, w *world, payload []byte, r response) {
	t.Helper()
	var body struct {
		Identifier int64
		Outcome    string
		Code       string
		Results    []struct {
			Identifier int64
			Outcome    string
		}
	}
	if err := json.Unmarshal([]byte(r.Body), &body); err != nil {
		t.Fatalf("%q: got %s", payload, r.Body)
	}
	told := map[int64]string{} // identifier -> outcome
	if body.Identifier != 0 {
		told[body.Identifier] = body.Outcome
	}
	for _, one := range body.Results {
		told[one.Identifier] = one.Outcome
	}
	succeeded := map[int64]bool{}
	for _, call := range w.Requests(seguratest.KindEnable, seguratest.KindDisable, seguratest.KindPasswordEnable, seguratest.KindPasswordDisable, seguratest.KindOther) {
		if _, ok := told[call.Identifier]; !ok || call.Kind != seguratest.KindEnable && call.Kind != seguratest.KindDisable {
			t.Fatalf("%q: Segura was called: %s %s; answered %d %s", payload, call.Method, call.Path, r.StatusCode, r.Body)
		}
		if i := apisecret.Identifier(call.Identifier); !w.door.Runner.Allowed.Contains(i) {
			t.Fatalf("%q: Segura was called for %d, which is not allowed", payload, i)
		}
		succeeded[call.Identifier] = call.Status == 200
	}
	for i, outcome := range told {
		if outcome != "" && outcome != "failed" && !succeeded[i] {
			t.Fatalf("%q: got %s for %d, which Segura did not say: %d %s", payload, outcome, i, r.StatusCode, r.Body)
		}
	}
	if r.StatusCode == 200 && len(told) == 0 || r.StatusCode == 200 && strings.Contains(r.Body, `"failed"`) && body.Identifier != 0 {
		t.Fatalf("%q: got %d %s", payload, r.StatusCode, r.Body)
	}
	if audits := strings.Count(w.Audit.String(), `"message":"audit"`); audits != len(told) {
		t.Fatalf("%q: got %d audit lines for %d identifiers: %s", payload, audits, len(told), fmt.Sprint(told)+strconv.Itoa(r.StatusCode))
	}
}
