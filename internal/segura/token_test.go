package segura_test

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"segura-enable/internal/apisecret"
	"segura-enable/internal/segura"
	"segura-enable/simulated/seguratest"
)

func TestToken_sendsTheFormOfTheVendorsPage(t *testing.T) {
	const id, secret = "id with space/+ü", "s&c=r%e+t/ä\""
	for _, row := range []struct {
		style  segura.AuthStyle
		tenant string
		form   url.Values
		basic  string // the user and the password of the Authorization header, if any
	}{
		{"", "", url.Values{"grant_type": {"client_credentials"}, "client_id": {id}, "client_secret": {secret}}, ""},
		{segura.AuthBody, "acme & co", url.Values{"grant_type": {"client_credentials"}, "client_id": {id}, "client_secret": {secret}, "tenant": {"acme & co"}}, ""},
		{segura.AuthBasic, "", url.Values{"grant_type": {"client_credentials"}}, url.QueryEscape(id) + ":" + url.QueryEscape(secret)},
		{segura.AuthBasic, "acme", url.Values{"grant_type": {"client_credentials"}, "tenant": {"acme"}}, url.QueryEscape(id) + ":" + url.QueryEscape(secret)},
	} {
		server := seguratest.Start(t, seguratest.Options{ClientID: id, ClientSecret: secret, Tenant: row.tenant, Referer: "https://referer.example.com/"})
		c := credentialsOf(t, server)
		c.AuthStyle = row.style
		client := newClient(t, c)

		_, fault := client.Token(t.Context(), nil)

		requests := server.Requests()
		if fault != nil || len(requests) != 1 {
			t.Errorf("%q: got %v after %d requests, want a token from the only one", row.style, fault, len(requests))
			continue
		}
		got := requests[0]
		user, password, _ := (&http.Request{Header: got.Header}).BasicAuth()
		if pair := user + ":" + password; pair != row.basic && (row.basic != "" || pair != ":") {
			t.Errorf("%q: got the basic credentials %q, want %q", row.style, pair, row.basic)
		}
		if !maps.EqualFunc(got.Form, row.form, slices.Equal[[]string]) {
			t.Errorf("%q: got the form %v, want %v", row.style, got.Form, row.form)
		}
		if got.Method != "POST" || got.Path != "/pam/api/oauth2/token" || got.Query != "" || got.Header.Get("Content-Type") != "application/x-www-form-urlencoded" {
			t.Errorf("%q: got %s %s?%s as %s", row.style, got.Method, got.Path, got.Query, got.Header.Get("Content-Type"))
		}
		if got.Header.Get("Accept") != "application/json" || got.Header.Get("User-Agent") != userAgent || got.Header.Get("Referer") != "https://referer.example.com/" {
			t.Errorf("%q: got the headers %v", row.style, got.Header)
		}
	}
}

// Another style of authentication is never tried, nor is a refusal questioned.
func TestToken_neverProbes(t *testing.T) {
	for _, style := range []segura.AuthStyle{segura.AuthBody, segura.AuthBasic} {
		server := seguratest.Start(t, seguratest.Options{})
		c := credentialsOf(t, server)
		c.AuthStyle, c.ClientSecret = style, segura.Hide("another secret")
		client := newClient(t, c, attempts(4))

		_, fault := client.Token(t.Context(), nil)

		if fault == nil || fault.Code != apisecret.AuthenticationFailed || fault.Cause != apisecret.CredentialsRefused || fault.HTTPStatus != 401 || server.Count("") != 1 {
			t.Errorf("%s: got %+v after %d requests, want refused credentials after one", style, fault, server.Count(""))
		}
	}
}

// What a reply to a token request means.
func TestToken_readsEveryReply(t *testing.T) {
	json := seguratest.ReplyJSON
	got := verdict{outcome: "token"}
	refused := refusedWith(401)
	for _, row := range []struct {
		name    string
		reply   seguratest.Fault
		want    verdict
		refused bool // the credentials
	}{
		{"the vendor's", seguratest.Normally(), got, false},
		{"without token_type", seguratest.TokenType(``), got, false},
		{"token_type in other case", seguratest.TokenType(`"bearer"`), got, false},
		{"token_type null", seguratest.TokenType(`null`), got, false},
		{"without expires_in", seguratest.TokenExpiresIn(``), got, false},
		{"expires_in that is no number", seguratest.TokenExpiresIn(`"soon"`), got, false},
		{"expires_in with a fraction", seguratest.TokenExpiresIn(`3600.0`), got, false},
		{"of another content type", seguratest.Reply(200, "text/plain", `{"access_token":"a"}`), got, false},
		{"expires_in negative", seguratest.TokenExpiresIn(`-5`), got, false},
		{"expires_in huge", seguratest.TokenExpiresIn(`9e99`), got, false},
		{"in another order, with more", seguratest.TokenReply(`{"scope":null,"access_token":"{token}","refresh_token":"x","expires_in":60}`), got, false},

		{"another token_type", seguratest.TokenType(`"mac"`), unexpected(200), false},
		{"no access_token", seguratest.TokenMissing(), unexpected(200), false},
		{"an empty access_token", seguratest.TokenReply(`{"access_token":"","expires_in":60}`), unexpected(200), false},
		{"an access_token that is a number", seguratest.TokenReply(`{"access_token":12345678,"expires_in":60}`), unexpected(200), false},
		{"an access_token with line breaks", seguratest.TokenWithLineBreaks(), unexpected(200), false},
		{"an access_token with a space", seguratest.TokenReply(`{"access_token":"a b"}`), unexpected(200), false},
		{"an access_token that is not ASCII", seguratest.TokenReply(`{"access_token":"tokén"}`), unexpected(200), false},
		{"an access_token as long as a header may be", seguratest.TokenReply(`{"access_token":"` + strings.Repeat("t", 8<<10) + `"}`), got, false},
		{"a longer access_token", seguratest.TokenReply(`{"access_token":"` + strings.Repeat("t", 8<<10+1) + `"}`), unexpected(200), false},
		{"an error beside the token", seguratest.TokenReply(`{"access_token":"a","error":"temporarily_unavailable"}`), unexpected(200), false},
		{"a query string", seguratest.Reply(200, "application/x-www-form-urlencoded", "access_token=a%20b"), unexpected(200), false},
		{"a web page", seguratest.HTML(200), unexpected(200), false},
		{"empty", seguratest.Empty(200), unexpected(200), false},
		{"an array", json(200, `[]`), unexpected(200), false},
		{"binary", seguratest.Binary(), unexpected(200), false},
		{"a token in a 201", json(201, `{"access_token":"a"}`), unexpected(201), false},
		{"a token in a 400", json(400, `{"access_token":"a"}`), unexpected(400), false},
		{"a token in a 500", json(500, `{"access_token":"a"}`), transient(apisecret.UpstreamError, 500), false},
		{"a redirect", seguratest.Redirect(307, "https://elsewhere.example.com/"), unexpected(307), false},
		{"a redirect that changes the method", seguratest.Redirect(302, "/login"), unexpected(302), false},
		{"a permanent redirect", seguratest.Redirect(308, "https://elsewhere.example.com/"), unexpected(308), false},
		{"cut JSON", seguratest.CutJSON(), transient(apisecret.UpstreamInvalidResponse, 200), false},
		{"cut short", seguratest.CutShort(), transient(apisecret.UpstreamInvalidResponse, 200), false},
		{"cut after the JSON", seguratest.CutAfterJSON(), transient(apisecret.UpstreamInvalidResponse, 200), false},

		{"invalid_client", seguratest.InvalidClient401(), refused, true},
		{"invalid_client without words", json(401, `{"error":"invalid_client"}`), refused, true},
		{"invalid_client in a 400", json(400, `{"error":"invalid_client"}`), refusedWith(400), true},
		{"words without invalid_client", json(401, `{"message":"Client authentication failed"}`), refused, true},
		{"in an envelope", seguratest.Envelope(401, 401, "Client authentication failed"), refused, true},
		{"in an envelope in a 200", seguratest.Envelope(200, 401, "Client authentication failed"), refused, true},
		{"unauthorized_client", json(400, `{"error":"unauthorized_client"}`), refusedWith(400), true},
		{"invalid_grant", json(400, `{"error":"invalid_grant"}`), refusedWith(400), true},
		{"unauthorized_client among warnings of PHP", seguratest.Reply(400, "text/html", "<br />\n<b>Warning</b>: x<br />\n"+`{"error":"unauthorized_client"}`), refusedWith(400), true},
		{"a bare 401", seguratest.Empty(401), refused, true},
		{"no route", seguratest.GatewayNoRoute404(), refusedWith(404), true},
		{"unsupported_grant_type", json(400, `{"error":"unsupported_grant_type"}`), unexpected(400), false},
		{"invalid_request", json(400, `{"error":"invalid_request"}`), unexpected(400), false},
		{"a 404 of something else", seguratest.HTML(404), unexpected(404), false},

		{"address not allowed", seguratest.GatewayForbiddenIP403(), denied(0, 403), false},
		{"not authorized", seguratest.NotAuthorized(401), denied(0, 401), false},
		{"not authorized in a 400", seguratest.NotAuthorized(400), denied(0, 400), false},
		{"429", seguratest.Gateway429(), transient(apisecret.RateLimited, 429), false},
		{"500", seguratest.Unexpected500(), transient(apisecret.UpstreamError, 500), false},
		{"500 in a 200", seguratest.Envelope(200, 500, "Unexpected error."), transient(apisecret.UpstreamError, 500), false},
		{"502", seguratest.Gateway502(), transient(apisecret.UpstreamInvalidResponse, 502), false},
		{"503", seguratest.Gateway503(), transient(apisecret.UpstreamError, 503), false},
		{"504", seguratest.Gateway504(), transient(apisecret.UpstreamTimeout, 504), false},
		{"a status nobody listed", seguratest.Empty(418), unexpected(418), false},
	} {
		server, client := start(t, seguratest.Options{})
		server.Fail(tokenCalls, row.reply, 1)

		token, fault := client.Token(t.Context(), nil)

		v := verdict{outcome: "token"}
		if fault != nil {
			v = verdictOf(segura.Answer{}, fault)
		}
		if v != row.want || (token == nil) == (fault == nil) {
			t.Errorf("%s: got %+v, want %+v", row.name, v, row.want)
		}
		if fault != nil && (fault.Message == "" || strings.Contains(fault.Message, "API secret")) {
			t.Errorf("%s: got the message %q, want one that speaks of no API secret", row.name, fault.Message)
		}
		if fault != nil && (fault.Cause == apisecret.CredentialsRefused != row.refused || fault.Cause == apisecret.TokenRefused) {
			t.Errorf("%s: got refused credentials %t and refused token %t, want %t and false", row.name, fault.Cause == apisecret.CredentialsRefused, fault.Cause == apisecret.TokenRefused, row.refused)
		}
	}
}

func TestDo_sendsTheTokenAndNoBody(t *testing.T) {
	server, client := start(t, seguratest.Options{Referer: "https://referer.example.com/"})
	token := mustToken(t, client)

	for _, action := range []apisecret.Action{apisecret.Enable, apisecret.Disable} {
		if _, fault := client.Do(t.Context(), action, 5, token); fault != nil {
			t.Fatal(fault)
		}
	}

	for _, got := range server.Requests(seguratest.KindEnable, seguratest.KindDisable) {
		if got.Method != "POST" || got.Body != "" || got.Query != "" || got.Header.Get("Content-Length") != "0" && got.Proto == "HTTP/1.1" {
			t.Errorf("%s: got %s with the body %q and the headers %v", got.Kind, got.Method, got.Body, got.Header)
		}
		want := map[string]string{
			"Authorization": "Bearer " + server.Tokens()[0], "Accept": "application/json", "User-Agent": userAgent, "Referer": "https://referer.example.com/",
		}
		for name, value := range want {
			if values := got.Header.Values(name); !slices.Equal(values, []string{value}) {
				t.Errorf("%s: got %s %q, want %q", got.Kind, name, values, value)
			}
		}
		if got.Header.Get("Content-Type") != "" || got.Header.Get("Accept-Encoding") != "identity" {
			t.Errorf("%s: got the headers %v, want no Content-Type and no coding", got.Kind, got.Header)
		}
	}
	if got := server.Count(seguratest.KindOther); got != 0 {
		t.Errorf("got %d requests of other paths", got)
	}
}

func TestDo_sendsNoRefererWithoutOne(t *testing.T) {
	server, client := start(t, seguratest.Options{})

	_, fault := client.Do(t.Context(), apisecret.Enable, 5, mustToken(t, client))

	for _, got := range server.Requests() {
		if _, sent := got.Header["Referer"]; sent || fault != nil {
			t.Errorf("%s: got the headers %v and %v", got.Kind, got.Header, fault)
		}
	}
}

func TestCredentials_haveTheSameDigestOnlyIfAllFieldsAreTheSame(t *testing.T) {
	base := segura.Credentials{
		BaseURL: "a", TokenURL: "b", ClientID: "c", ClientSecret: segura.Hide("d"), Tenant: "e", CACertificate: "f", ClientCertificate: "g",
		ClientKey: segura.Hide("h"), Referer: "i", EnablePath: "j", DisablePath: "k", AuthStyle: "l",
	}
	same := base
	same.ClientSecret, same.ClientKey = segura.Hide("d"), segura.Hide("h")
	if base.Digest() != same.Digest() || (segura.Credentials{}).Digest() != (segura.Credentials{ClientSecret: segura.Hide("")}).Digest() {
		t.Error("the same values: got two digests")
	}
	for name, change := range map[string]func(*segura.Credentials){
		"BaseURL": func(c *segura.Credentials) { c.BaseURL = "x" }, "TokenURL": func(c *segura.Credentials) { c.TokenURL = "x" },
		"ClientID": func(c *segura.Credentials) { c.ClientID = "x" }, "ClientSecret": func(c *segura.Credentials) { c.ClientSecret = segura.Hide("x") },
		"Tenant": func(c *segura.Credentials) { c.Tenant = "x" }, "CACertificate": func(c *segura.Credentials) { c.CACertificate = "x" },
		"ClientCertificate": func(c *segura.Credentials) { c.ClientCertificate = "x" }, "ClientKey": func(c *segura.Credentials) { c.ClientKey = segura.Hide("x") },
		"Referer": func(c *segura.Credentials) { c.Referer = "x" }, "EnablePath": func(c *segura.Credentials) { c.EnablePath = "x" },
		"DisablePath": func(c *segura.Credentials) { c.DisablePath = "x" }, "AuthStyle": func(c *segura.Credentials) { c.AuthStyle = "x" },
		"two swapped": func(c *segura.Credentials) { c.TokenURL, c.BaseURL = c.BaseURL, c.TokenURL },
	} {
		other := same
		change(&other)
		if base.Digest() == other.Digest() {
			t.Errorf("another %s: got the same digest", name)
		}
	}
}
