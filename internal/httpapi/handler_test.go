package httpapi_test

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/lambdacontext"

	"segura-enable/internal/apisecret"
	"segura-enable/simulated/seguratest"
	"segura-enable/test/activationtest"
)

func TestInvoke_servesBothActionsInEveryEnvelope(t *testing.T) {
	const (
		enabled5 = `{"identifier":5,"outcome":"enabled","attempts":1}`
		several5 = `{"outcome":"succeeded","requested":1,"enabled":1,"already_enabled":0,"failed":0,"results":[` + enabled5 + `]}`
		disabled = `{"identifier":6,"outcome":"disabled","attempts":1}`
		several6 = `{"outcome":"succeeded","requested":1,"disabled":1,"already_disabled":0,"failed":0,"results":[` + disabled + `]}`
	)
	inBase64 := "body:" + quote(base64.StdEncoding.EncodeToString([]byte(`{"identifier":5}`)))
	for _, row := range []struct{ payload, body, calls string }{
		{rest("POST", "/api-secrets/5/enable", ""), enabled5, "enable/5"},
		{rest("POST", "/api-secrets/6/enable", ""), `{"identifier":6,"outcome":"already_enabled","attempts":1}`, "enable/6"},
		{rest("POST", "/api-secrets/6/disable", ""), disabled, "disable/6"},
		{rest("POST", "/api-secrets/5/enable", `{"reason":"CHG"}`), enabled5, "enable/5"},
		{rest("POST", "/api-secrets/5/enable", `{}`), enabled5, "enable/5"},
		{rest("POST", "/api-secrets/enable", `{"identifier":"5"}`), enabled5, "enable/5"},
		{rest("POST", "/api-secrets/enable", `{"identifiers":[5]}`), several5, "enable/5"},
		{rest("POST", "/api-secrets/disable", `{"identifiers":[6]}`), several6, "disable/6"},
		{httpAPI("POST", "/api-secrets/5/enable", ""), enabled5, "enable/5"},
		{with(httpAPI("POST", "/api-secrets/5/enable", ""), "body:null"), enabled5, "enable/5"},
		{with(rest("POST", "/api-secrets/5/enable", ""), `version:"1.0"`), enabled5, "enable/5"},
		{httpAPI("POST", "/api-secrets/disable", `{"identifier":6,"reason":"x"}`), disabled, "disable/6"},
		{with(rest("POST", "/api-secrets/enable", ""), "isBase64Encoded:true", inBase64), enabled5, "enable/5"},
	} {
		w := newWorld(t, seguratest.Options{})

		got := w.invoke(t, row.payload)

		if got.StatusCode != 200 || got.Body != row.body || w.Calls() != row.calls {
			t.Errorf("%s: got %d %s after %s, want 200 %s after %s", row.payload, got.StatusCode, got.Body, w.Calls(), row.body, row.calls)
		}
	}
}

func TestInvoke_answersForSeveralWith207IfAnyFailed(t *testing.T) {
	w := newWorld(t, seguratest.Options{})
	for list, want := range map[string]struct {
		status  int
		outcome string
	}{"5,6": {200, "succeeded"}, "5,7": {207, "partially_succeeded"}, "7": {207, "failed"}} {
		got := w.invoke(t, rest("POST", "/api-secrets/enable", `{"identifiers":[`+list+`]}`))

		if got.StatusCode != want.status || !strings.HasPrefix(got.Body, `{"outcome":"`+want.outcome+`"`) {
			t.Errorf("%s: got %d %s, want %d %s", list, got.StatusCode, got.Body, want.status, want.outcome)
		}
	}
}

// Whoever may call only one path, because of a policy on it, must not reach another
// identifier by a trick: the whole route matches behind a prefix, or nothing is called.
func TestInvoke_noTrickWithAPathEnablesWhatWasNotAskedFor(t *testing.T) {
	w := newWorld(t, seguratest.Options{AnyIdentifier: true})
	for want, paths := range map[int][]string{
		200: {
			"/api-secrets/5/enable", "/prod/api-secrets/5/enable", "/a/b/c/api-secrets/5/enable", "/api-secrets/api-secrets/5/enable", "/$default/api-secrets/5/enable",
			"/API-SECRETS/api-secrets/5/enable", "/6/enable/api-secrets/5/enable", "/api-secrets/5/enable/", "//api-secrets/5/enable", "/api-secrets//5//enable//",
		},
		400: {
			"/api-secrets/enable", "/api-secrets//enable", "/api-secrets/05/enable", "/api-secrets/0/enable", "/api-secrets/-5/enable", "/api-secrets/+5/enable", "/api-secrets/5.0/enable", "/api-secrets/5e0/enable",
			"/api-secrets/%35/enable", "/api-secrets/five/enable", "/api-secrets/5;6/enable", "/api-secrets/5,6/enable", "/api-secrets/9223372036854775808/enable", "/api-secrets/５/enable",
			"/api-secrets/5 /enable", "/api-secrets/5\x00/enable", "/api-secrets/5\r\nX: y/enable", "/api-secrets/5\u200b/enable", "/api-secrets/*/enable", "/api-secrets/{identifier}/enable",
			"/api-secrets/5%20/enable", "/api-secrets/56%08/enable", "/api-secrets/5%3b6/enable", "/api-secrets/5%2f..%2f6/enable", "/api-secrets/5%2fapi-secrets/enable",
			"/api-secrets/enable/enable", "/api-secrets/disable/enable", "",
		},
		404: {
			"/", "/enable", "/5/enable", "/api-secrets", "/api-secrets/5", "api-secrets/5/enable", "https://x/api-secrets/5/enable", "/api-secrets/5/Enable", "/API-SECRETS/5/enable",
			"/api-secrets/5/activate", "/api-secrets/5/enable.json", "/api-secrets/5/enable;x=1", "/api-secrets/5/enable ", "/api-secrets/5/enable\n", "/api-secrets/5/enable?x", "/api-secrets/5/enable#6",
			"/x.api-secrets/5/enable", "/api-secretsx/5/enable", "/api-secret/5/enable", "/api/mysafe/secretapi/active/5", "/passwords/5/enable", "/windows", "/windows/5/close",
			"/api-secrets/5/disable/enable", "/api-secrets/5/enable/6", "/api-secrets/5/6/enable", "/api-secrets/5/enable/api-secrets/6/enable", "/api-secrets/5/api-secrets/6/enable",
			"/prod/api-secrets/5/api-secrets/6/enable", "/api-secrets/5/api-secrets/enable", "/api-secrets/enable/api-secrets/6/enable", "/api-secrets/api-secrets/5/api-secrets/6/enable",
			"/./api-secrets/5/enable", "/api-secrets/./5/enable", "/api-secrets/5/./enable", "/x/../api-secrets/5/enable", "/api-secrets/6/../5/enable", "/api-secrets/../api-secrets/6/enable", "/api-secrets/5/enable/..",
			"/api-secrets/5/%2e%2e/6/enable", "/api-secrets/5/..%2f6/enable", "/api-secrets/5/..;/6/enable", "/api-secrets/5/..\\6/enable", "/api-secrets/5/%61pi-secrets/6/enable",
			"/api-secrets/5?/api-secrets/6/enable", "/api-secrets/5%2Fenable", "/api-secrets%2F5%2Fenable", "/api%2dsecrets/5/enable", "/api-secrets/5/%65nable", "\\api-secrets\\5\\enable",
		},
	} {
		for _, path := range paths {
			for name, front := range fronts {
				w.Reset()

				got := w.invoke(t, front("POST", path, ""))

				if calls := w.Calls(); got.StatusCode != want || (calls == "enable/5") != (want == 200) || want != 200 && (calls != "" || got.problem(t).Code != "invalid_request") {
					t.Errorf("%s, POST %q: got %d %s and the calls %q, want %d", name, path, got.StatusCode, got.Body, calls, want)
				}
			}
		}
	}
	// With a body, a trick could also reach the route for several.
	for _, path := range []string{
		"/api-secrets/5/enable", "/api-secrets/5/api-secrets/enable", "/api-secrets/5/../enable", "/api-secrets/5/%2e%2e/enable", "/api-secrets/5/x/api-secrets/enable",
		"/api-secrets/5/enable/api-secrets/enable", "/api-secrets/5//enable", "/api-secrets/5%2f../enable",
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

func TestInvoke_allowsPostOnly(t *testing.T) {
	w := newWorld(t, seguratest.Options{})
	for _, method := range []string{"GET", "HEAD", "PUT", "DELETE", "OPTIONS", "post", "POST ", "X"} {
		for _, payload := range []string{rest(method, "/api-secrets/5/enable", ""), httpAPI(method, "/api-secrets/enable", `{"identifier":5}`)} {
			if got := w.invoke(t, payload); got.StatusCode != 405 || got.Headers["Allow"] != "POST" || got.problem(t).Code != "invalid_request" {
				t.Errorf("%s: got %d, Allow: %q, %s", method, got.StatusCode, got.Headers["Allow"], got.Body)
			}
		}
		if got := w.invoke(t, rest(method, "/windows", "")); got.StatusCode != 404 {
			t.Errorf("%s where nothing is: got %d %s, want 404", method, got.StatusCode, got.Body)
		}
	}
	if got := w.Count(""); got != 0 {
		t.Errorf("got %d requests", got)
	}
}

func TestInvoke_refusesBodiesThatItCannotRead(t *testing.T) {
	w := newWorld(t, seguratest.Options{})
	whole := `{"identifiers":[6]` + strings.Repeat(" ", 64<<10-19) + `}`
	wide := `{"identifier":6,"reason":"` + strings.Repeat("😀", 20) + `"}` + strings.Repeat(" ", 64<<10-60) // bytes count, not characters
	several := func(body string) string { return rest("POST", "/api-secrets/enable", body) }
	one := func(body string) string { return rest("POST", "/api-secrets/6/enable", body) }
	inBase64 := func(body string) string {
		return with(several(""), "isBase64Encoded:true", "body:"+quote(base64.StdEncoding.EncodeToString([]byte(body))))
	}
	for want, payloads := range map[int][]string{
		200: {several(whole), inBase64(whole), with(several(`{"identifier":6}`), "headers:null"), several(`{"identifiers":[` + strings.Repeat("6,", 99) + `6]}`), one(` { } `)},
		413: {several(whole + " "), one(whole + " "), inBase64(whole + " "), several(wide)},
		400: {
			with(several(""), "isBase64Encoded:true", `body:"{}"`), with(several(""), "isBase64Encoded:true", `body:"eyJ"`), inBase64(`{"identifier":`),
			several(base64.StdEncoding.EncodeToString([]byte(`{"identifier":6}`))), with(several("identifier=6"), "headers:null"),
			several("[5]"), several(`{"identifier":6}{"identifier":5}`), several(""), with(several(""), "body:null"), several(" "),
			several(`{"identifier":6,"identifier":5}`), several(`{"identifier":6,"action":"disable"}`), several(`{"check":true}`), several(`{"identifier":6,"force":true}`),
			several(`{"reason":"x"}`), several(`{"identifiers":[` + strings.Repeat("6,", 100) + `6]}`), rest("POST", "/api-secrets/disable", `{"identifiers":[`+strings.Repeat("6,", 100)+`6]}`),
			one(`{"identifier":5}`), one(`{"identifiers":[6]}`), one(`{"action":"enable"}`), one(`{"check":true}`), one(`{"reason":"x","reason":"y"}`), one(`{"reason":5}`), one(`[]`), one(`null`),
		},
	} {
		for _, payload := range payloads {
			w.Reset()

			got := w.invoke(t, payload)

			if got.StatusCode != want || (want == 200) != (w.Calls() == "enable/6") {
				t.Errorf("%.150s: got %d %s after the calls %q, want %d", payload, got.StatusCode, got.Body, w.Calls(), want)
			}
			if want != 200 {
				if p := got.problem(t); p.Code != "invalid_request" || p.Retryable || p.Identifier != 0 {
					t.Errorf("%.150s: got %+v", payload, p)
				}
			}
		}
	}
}

func TestInvoke_wantsJSON(t *testing.T) {
	w := newWorld(t, seguratest.Options{})
	for want, values := range map[int][]string{
		200: {"application/json", "Application/JSON", `application/json;charset="utf-8"`, "application/json;", " application/json ", "text/json", "application/vnd.api+json", ""},
		415: {
			"text/plain", "application/x-www-form-urlencoded", "application/octet-stream", "application/jsonp", "application/*", "*/*", "json", "image/svg+json", "application/json-seq",
			"text/plain; a=application/json", "text/plain,application/json", "application/json, text/plain", "application/json; charset=utf-8; =",
		},
	} {
		for _, value := range values {
			for _, header := range []string{
				`headers:{"Accept":"text/html","Content-Type":` + quote(value) + `}`, `headers:{"content-type":` + quote(value) + `}`, `multiValueHeaders:{"Accept":["text/html"],"CONTENT-TYPE":[` + quote(value) + `]}`,
			} {
				got, empty := w.invoke(t, with(rest("POST", "/api-secrets/enable", `{"identifier":6}`), header)), w.invoke(t, with(rest("POST", "/api-secrets/6/enable", ""), header))

				if got.StatusCode != want || empty.StatusCode != 200 {
					t.Errorf("%s: got %d %s, want %d; and %d for an empty body, which is not looked at", header, got.StatusCode, got.Body, want, empty.StatusCode)
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
		with(httpAPI("POST", "/api-secrets/5/enable", ""), `version:"1.0"`), with(rest("POST", "/api-secrets/5/enable", ""), `version:"2.0"`),
		with(rest("POST", "/api-secrets/5/enable", ""), `requestContext:{"elb":{"targetGroupArn":"arn:aws:elasticloadbalancing:x"}}`),
		with(rest("POST", "/api-secrets/5/enable", ""), `methodArn:"arn:aws:execute-api:x"`), with(httpAPI("POST", "/api-secrets/5/enable", ""), `routeArn:"arn:aws:execute-api:x"`),
		with(rest("POST", "/api-secrets/5/enable", ""), `headers:[]`), with(rest("POST", "/api-secrets/5/enable", ""), `body:{"reason":"x"}`), `{"identifier":5}`, `{"check":true}`,
	)
	for _, payload := range payloads {
		if got := w.invoke(t, payload); got.StatusCode != 400 || got.problem(t).Code != "invalid_request" {
			t.Errorf("%.100s: got %d %s, want 400", payload, got.StatusCode, got.Body)
		}
	}
	if got := w.Count(""); got != 0 {
		t.Errorf("got %d requests", got)
	}
}

// What says who called is API Gateway's or the function URL's word; a header or the
// query is no proof, and nothing of the request's own is repeated.
func TestInvoke_auditsWhoCalled(t *testing.T) {
	forged := []string{
		`headers:{"X-Caller":"forged","X-Amzn-Principal":"forged","Authorization":"forged","X-Amz-Security-Token":"forged"}`,
		`queryStringParameters:{"userArn":"forged","caller":"forged"}`, `rawQueryString:"caller=forged"`, `body:"{\"reason\":\"CHG\"}"`,
	}
	v1, v2 := rest("POST", "/api-secrets/5/enable", ""), httpAPI("POST", "/api-secrets/5/enable", "")
	for _, row := range []struct{ payload, context, want string }{
		{v1, `"identity":{"userArn":"arn:aws:iam::1:user/a","sourceIp":"203.0.113.1"}`, "arn:aws:iam::1:user/a"},
		{v1, `"identity":{"userArn":null},"authorizer":{"claims":{"sub":"cognito-sub","email":"x"}}`, "cognito-sub"},
		{v1, `"authorizer":{"principalId":"principal","integrationLatency":3}`, "principal"},
		{v1, `"authorizer":{"principalId":"principal","sub":"subject"}`, "subject"},
		{v2, `"authorizer":{"iam":{"userArn":"arn:aws:iam::1:user/b"}}`, "arn:aws:iam::1:user/b"},
		{v2, `"authorizer":{"jwt":{"claims":{"sub":"jwt-sub"},"scopes":null}}`, "jwt-sub"},
		{v2, `"authorizer":{"lambda":{"sub":"lambda-sub"}}`, "lambda-sub"},
		{v2, `"authorizer":{"lambda":{"principalId":"lambda-principal"}}`, "lambda-principal"},
		{v1, `"stage":"prod"`, ""},
		{v2, `"authorizer":"sub"`, ""},
		{v2, `"authorizer":{"jwt":{"claims":{"sub":5}}}`, ""},
		{v2, `"authorizer":null`, ""},
	} {
		w := newWorld(t, seguratest.Options{})

		got := w.invoke(t, with(row.payload, append(forged, `requestContext:{"http":{"method":"POST"},`+row.context+`}`)...))

		line, err := w.Audited()
		caller, _ := line["caller"].(string)
		if err != nil || caller != row.want || line["source"] != "api" || line["reason"] != "CHG" || line["requestId"] != requestID || line["identifier"] != 5.0 {
			t.Errorf("%s: got %v and the audit line %v, want the caller %q", row.context, err, line, row.want)
		}
		if text := got.Body + w.Audit.String() + w.Log.String(); strings.Contains(text, "forged") {
			t.Errorf("%s: got %s, which repeats what the request says of itself", row.context, text)
		}
	}
}

func TestInvoke_answersAFailureOfOneWithAProblem(t *testing.T) {
	for path, row := range map[string]struct {
		fault  seguratest.Fault
		status int
		code   apisecret.Code
		after  string // Retry-After
		segura int
	}{
		"/api-secrets/5/enable":   {seguratest.NotFound1005(), 404, apisecret.NotFound, "", 1005},
		"/api-secrets/6/enable":   {seguratest.Gateway429().WithHeader("Retry-After", "7"), 503, apisecret.RateLimited, "7", 0},
		"/api-secrets/7/enable":   {seguratest.TokenRefused(seguratest.RefusedByGateway), 502, apisecret.AuthenticationFailed, "", 0},
		"/api-secrets/100/enable": {seguratest.Normally(), 403, apisecret.NotAllowed, "", 0},
	} {
		w := newWorld(t, seguratest.Options{})
		w.door.Runner.Allowed, _ = apisecret.ParseSet("5-8")
		w.Fail(seguratest.Match{Kind: seguratest.KindEnable}, row.fault, -1)

		got := w.invoke(t, rest("POST", path, ""))

		p := got.problem(t)
		if got.StatusCode != row.status || p.Code != row.code || got.Headers["Retry-After"] != row.after || !strings.Contains(path, "/"+p.Identifier.String()+"/") || p.SeguraCode != row.segura {
			t.Errorf("%s, %s: got %d %+v, Retry-After: %q; want %d %s %q", path, row.fault, got.StatusCode, p, got.Headers["Retry-After"], row.status, row.code, row.after)
		}
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
	for payload, want := range map[string]string{rest("POST", "/api-secrets/5/enable", ""): `"Enabled":1`, "garbage": `"Enabled":0`} {
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
	for _, name := range []string{"function-url", "rest-batch"} {
		sample, err := os.ReadFile("../../events/" + name + ".json")
		if err == nil {
			err = activationtest.Misshape(string(sample), func(payload string) { f.Add([]byte(payload)) }, nil, -1, "x", []any{nil})
		}
		if err != nil {
			f.Fatal(err)
		}
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		w.Reset()
		w.Audit.Reset()
		w.Log.Reset()
		ctx := lambdacontext.NewContext(t.Context(), &lambdacontext.LambdaContext{AwsRequestID: requestID})

		reply, err := w.door.Invoke(ctx, payload)

		var r response
		if err != nil || json.Unmarshal(reply, &r) != nil || r.StatusCode < 200 || r.StatusCode >= 500 || !json.Valid([]byte(r.Body)) {
			t.Fatalf("%q: got %s, %v", payload, reply, err)
		}
		told, err := outcomes(r.Body)
		if err == nil {
			err = w.Honest(told)
		}
		if err != nil || r.StatusCode == 200 && (len(told) == 0 || slices.Contains(slices.Collect(maps.Values(told)), apisecret.Failed)) {
			t.Fatalf("%q: got %d %s: %v", payload, r.StatusCode, r.Body, err)
		}
	})
}

// outcomes are what a body tells of identifiers; a problem of one has no outcome but to
// have failed.
func outcomes(body string) (map[int64]apisecret.Outcome, error) {
	type item struct {
		Identifier int64
		Outcome    apisecret.Outcome
	}
	var d struct {
		item
		Results []item
	}
	err := json.Unmarshal([]byte(body), &d)
	told := map[int64]apisecret.Outcome{}
	for _, one := range append(d.Results, d.item) {
		if one.Identifier != 0 {
			told[one.Identifier] = cmp.Or(one.Outcome, apisecret.Failed)
		}
	}
	return told, err
}
