package seguratest_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"segura-enable/simulated/seguratest"
)

func TestCalls_areAnsweredAsTheVendorsPagesShow(t *testing.T) {
	segura, c := start(t, seguratest.Options{})
	const success = `{"code":200,"response":{"status":200,"message":"%[1]s","error":false,"error_code":0,"detail":"","mensagem":"%[1]s","erro":false,"cod_erro":0}}`
	const failure = `{"code":400,"response":{"status":400,"message":"%[1]s","error":true,"error_code":0,"detail":"","mensagem":"%[1]s","erro":true,"cod_erro":0},` +
		`"exception":{"code":%.4[1]s,"message":"%[1]s","detail":null}}`
	for _, row := range []struct {
		path          string
		status        int
		body, message string
	}{
		{"secretapi/active/5", 200, success, "Api secret activated successfully"},
		{"secretapi/active/5", 200, success, "Api secret has already been activated"},
		{"secretapi/inactive/6", 200, success, "Api secret successfully deactivated"},
		{"secretapi/inactive/6", 200, success, "Api secret has already been deactivated"},
		{"secretapi/active/7", 400, failure, "1005: Api secret not found"},
		{"secretapi/active/9223372036854775807", 400, failure, "1005: Api secret not found"},
		{"secretapi/inactive/8", 400, failure, "1006: User does not have access"},
		{"password/active/100", 200, success, "Password successfully activated"},
		{"password/inactive/100", 200, success, "Password successfully deactivated"},
	} {
		a := c.calls("POST", "/api/mysafe/"+row.path, "")

		if want := fmt.Sprintf(row.body, row.message); a.StatusCode != row.status || a.body != want {
			t.Errorf("%s:\n got %v\nwant %d %s", row.path, a, row.status, want)
		}
	}
	if got := segura.PasswordsEnabled(); !segura.Active(5) || segura.Active(6) || segura.Active(100) || !slices.Equal(got, []int64{100}) {
		t.Errorf("got the states %v and the passwords %v", segura.States(), got)
	}
}

func TestGenerations_wordAndShapeTheirRepliesDifferently(t *testing.T) {
	for generation, want := range [...]struct{ changed, unchanged, missing string }{
		seguratest.V332: {`{"response":{"status":200,"message":"API secret  successfully activated"`, `"API secret has already been activated"`,
			`"exception":{"code":1005,"message":"1005: Api secret not found","detail":""}}`},
		seguratest.Minimal: {`{"response":{"status":200,"message":"Api secret activated successfully","error":false}}`, `already`,
			`{"response":{"status":400,"message":"1005: Api secret not found","error":true}}`},
		seguratest.CapitalMessage:   {`"detail":"","Message":"Api secret activated`, `"Message":"Api secret has already`, `"Message":"1005: Api`},
		seguratest.WithTenant:       {`"cod_erro":0,"tenant":"default"}}`, `"tenant":"default"`, `"tenant":"default"},"exception":{"code":1005`},
		seguratest.NumbersAsStrings: {`{"code":"200","response":{"status":"200"`, `"error_code":"0"`, `"exception":{"code":"1005"`},
	} {
		_, c := start(t, seguratest.Options{Generation: seguratest.Generation(generation), OlderGateway: true})
		for what, one := range map[string]struct {
			a      answer
			status int
			want   string
		}{
			"a change": {c.enables(5), 200, want.changed}, "no change": {c.enables(6), 200, want.unchanged}, "nothing": {c.enables(7), 400, want.missing},
			"no route": {c.calls("GET", "/x", ""), 404, "{\n  \"message\":\"no Route matched with those values\"\n}"},
		} {
			wantAnswer(t, fmt.Sprintf("generation %d, %s", generation, what), one.a, one.status, one.want)
			if !json.Valid([]byte(one.a.body)) || one.a.Header.Get("X-Kong-Request-Id") != "" {
				t.Errorf("generation %d, %s: got %v with %v, want JSON without a request id", generation, what, one.a, one.a.Header)
			}
		}
	}
}

func TestPathsThatAreNotSegurasGetTheGatewaysNotFound(t *testing.T) {
	segura, c := start(t, seguratest.Options{AnyIdentifier: true})
	rows := []string{
		"POST x/api/mysafe/secretapi/active/5", "POST //api/mysafe/secretapi/active/5", "POST /api/mysafe/secretapi/active/", "POST /api/mysafe/secretapi/active/05",
		"POST /api/mysafe/secretapi/active/0", "POST /api/mysafe/secretapi/active/-5", "POST /api/mysafe/secretapi/active/5/", "POST /api/mysafe/secretapi/active/5%2F6",
		"POST /api/mysafe/secretapi/active/..%2F..%2Fpassword%2Factive%2F5", "POST /api/mysafe/secretapi/active/9223372036854775808",
		"POST /api/mysafe/secretapi/5", "PUT /api/mysafe/secretapi/active/5", "GET /api/oauth2/token",
	}
	for _, row := range rows {
		method, path, _ := strings.Cut(row, " ")

		a := c.calls(method, path, "")

		wantAnswer(t, row, a, 404, "{\n  \"message\":\"no Route matched with those values\",\n  \"request_id\":\""+a.Header.Get("X-Kong-Request-Id")+"\"\n}")
	}
	wantAnswer(t, "HEAD of the start page", c.calls("HEAD", "/", ""), 200, "")
	wantAnswer(t, "HEAD elsewhere", c.calls("HEAD", "/x", ""), 404, "")
	if other, head := segura.Count(seguratest.KindOther), segura.Count(seguratest.KindHead); other != len(rows) || head != 2 {
		t.Errorf("got %d requests without a route and %d HEAD, want %d and 2", other, head, len(rows))
	}
}

func TestToken_isIssuedForTheRightCredentialsOnly(t *testing.T) {
	segura, c := start(t, seguratest.Options{Tenant: "acme", ClientID: "id:1 +", ClientSecret: "p%20:&é", TokenLifetime: 90500 * time.Millisecond})
	basic := func(id, secret string) answer {
		return c.calls("POST", "/api/oauth2/token", "grant_type=client_credentials&tenant=acme", "Content-Type", "application/x-www-form-urlencoded",
			"Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(id+":"+secret)))
	}
	segura.AddCredentials("b", "c")
	before := segura.ClientSecret()
	segura.RotateClientSecret("newer")
	const invalidClient = `{"error":"invalid_client","error_description":"Client authentication failed","message":"Client authentication failed"}`
	for what, row := range map[string]struct {
		a      answer
		status int
		want   string
	}{
		"form":           {c.asksToken("tenant", "acme"), 200, `{"token_type":"Bearer","expires_in":91,"access_token":"`},
		"Basic":          {basic(url.QueryEscape("id:1 +"), "newer"), 200, `"access_token"`},
		"another key":    {c.asksToken("tenant", "acme", "client_id", "b", "client_secret", "c"), 200, `"access_token"`},
		"former secret":  {c.asksToken("tenant", "acme", "client_secret", before), 401, invalidClient},
		"no secret":      {c.asksToken("tenant", "acme", "client_secret", ""), 401, invalidClient},
		"unknown client": {c.asksToken("tenant", "acme", "client_id", "x"), 401, invalidClient},
		"no client":      {c.asksToken("tenant", "acme", "client_id", ""), 401, invalidClient},
		"unencoded":      {basic("id:1 +", "newer"), 401, invalidClient},
		"no tenant":      {c.asksToken(), 401, invalidClient},
		"other tenant":   {c.asksToken("tenant", "x"), 401, invalidClient},
		"no grant":       {c.asksToken("tenant", "acme", "grant_type", ""), 400, `"error":"unsupported_grant_type"`},
		"other grant":    {c.asksToken("tenant", "acme", "grant_type", "password"), 400, `"error":"unsupported_grant_type"`},
		"no form":        {c.calls("POST", "/api/oauth2/token", "grant_type=client_credentials", "Content-Type", "text/plain"), 400, `"error":"unsupported_grant_type"`},
	} {
		wantAnswer(t, what, row.a, row.status, row.want)
	}
	if got := segura.Tokens(); len(got) != 4 || got[0] != c.token {
		t.Errorf("tokens issued: got %q, want 4", got)
	}
	wantAnswer(t, "the token of before", c.enables(5), 200, "activated")
}

func TestCall_isRefusedWithoutAHonouredToken(t *testing.T) {
	now := time.Now()
	segura, c := start(t, seguratest.Options{Now: func() time.Time { return now }})
	for what, lose := range map[string]func(){
		"none":    func() { c.token = "" },
		"unknown": func() { c.token = "x" },
		"revoked": segura.RevokeTokens,
		"expired": func() { now = now.Add(time.Hour) },
	} {
		c.renewsToken()
		lose()
		for style, want := range [...]struct {
			status int
			text   string
		}{
			seguratest.RefusedByGateway:           {404, "no Route matched with those values"},
			seguratest.RefusedAuthentication:      {401, `"status":401,"message":"Client authentication failed","error":true`},
			seguratest.RefusedInactive:            {401, `"status":401,"message":"Inactive authorization","error":true`},
			seguratest.RefusedAuthenticationAs200: {200, `"status":401,"message":"Client authentication failed","error":true`},
			seguratest.RefusedInactiveAs200:       {200, `"status":401,"message":"Inactive authorization","error":true`},
		} {
			segura.RefuseToken(seguratest.RefusalStyle(style))

			wantAnswer(t, what, c.enables(5), want.status, want.text)
		}
	}
	if segura.Active(5) {
		t.Error("the API secret was enabled")
	}
	c.renewsToken()
	wantAnswer(t, "a fresh token", c.enables(5), 200, "activated successfully")
	_, c = start(t, seguratest.Options{Referer: "https://referer.example/"})
	wantAnswer(t, "no Referer", c.enables(5), 403, "You are not authorized to access this resource")
}

func TestRequests_recordWhatWasAsked(t *testing.T) {
	segura, c := start(t, seguratest.Options{})
	http2 := new(http.Protocols)
	http2.SetHTTP2(true)

	c.calls("POST", "/api/mysafe/secretapi/inactive/6?a=b", "hello", "X-Trace", "t1")
	newCaller(t, segura, http2).calls("GET", "/x", "")

	all := segura.Requests()
	if len(all) != 3 || segura.Count("") != 3 || segura.Connections() != 2 || segura.OpenConnections() != 2 {
		t.Fatalf("got %d requests (%d), %d connections and %d open, want 3, 2 and 2", len(all), segura.Count(""), segura.Connections(), segura.OpenConnections())
	}
	token, disable, other := all[0], all[1], all[2]
	if token.Kind != seguratest.KindToken || token.Form.Get("client_secret") != segura.ClientSecret() || token.Identifier != 0 {
		t.Errorf("token request: got %+v", token)
	}
	if disable.Kind != seguratest.KindDisable || disable.Identifier != 6 || disable.Method != "POST" || disable.Status != 200 || disable.Connection != 1 ||
		disable.Path != "/pam/api/mysafe/secretapi/inactive/6" || disable.Query != "a=b" || disable.Body != "hello" || disable.Proto != "HTTP/1.1" ||
		disable.Header.Get("X-Trace") != "t1" || disable.Number != 2 || disable.Time.IsZero() || disable.TLS.Version != 0x0304 {
		t.Errorf("disable request: got %+v", disable)
	}
	if other.Kind != seguratest.KindOther || other.Proto != "HTTP/2.0" || other.Status != 404 || other.Connection != 2 {
		t.Errorf("other request: got %+v", other)
	}
	if segura.CountFor(seguratest.KindDisable, 6) != 1 || segura.CountFor("", 6) != 1 || segura.CountFor(seguratest.KindEnable, 6) != 0 {
		t.Error("the counts by identifier are wrong")
	}
}

func TestLatency_isAddedToEveryAnswer(t *testing.T) {
	_, c := start(t, seguratest.Options{Latency: seguratest.Latency{Token: 30 * time.Millisecond, Call: 60 * time.Millisecond, Jitter: time.Millisecond}})
	for least, call := range map[time.Duration]func(){30 * time.Millisecond: c.renewsToken, 60 * time.Millisecond: func() { c.enables(5) }} {
		began := time.Now()
		call()
		if took := time.Since(began); took < least {
			t.Errorf("got an answer after %v, want %v at least", took, least)
		}
	}
}
