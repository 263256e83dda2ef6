package segura

import (
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"

	"segura-enable/internal/apisecret"
	"segura-enable/simulated/seguratest"
)

// Another style of authentication is never tried, nor is a refusal questioned.
func TestToken_sendsTheFormOfTheVendorsPage(t *testing.T) {
	const id, secret = "id with space/+ü", "s&c=r%e+t/ä\""
	pair := url.QueryEscape(id) + ":" + url.QueryEscape(secret)
	for _, row := range []struct {
		style  AuthStyle
		tenant string
		form   url.Values // beside the grant type
		basic  string     // the user and the password of the Authorization header
	}{
		{"", "", url.Values{"client_id": {id}, "client_secret": {secret}}, ":"},
		{AuthBody, "acme & co", url.Values{"client_id": {id}, "client_secret": {secret}, "tenant": {"acme & co"}}, ":"},
		{AuthBasic, "", url.Values{}, pair},
		{AuthBasic, "acme", url.Values{"tenant": {"acme"}}, pair},
	} {
		server := seguratest.Start(t, seguratest.Options{ClientID: id, ClientSecret: secret, Tenant: row.tenant, Referer: "https://referer.example.com/"})
		c := credentialsOf(t, server)
		c.AuthStyle = row.style

		_, fault := newClient(t, c).Token(t.Context(), nil)

		requests := server.Requests()
		if fault != nil || len(requests) != 1 {
			t.Errorf("%q: got %v after %d requests, want a token from the only one", row.style, fault, len(requests))
			continue
		}
		got := requests[0]
		user, password, _ := (&http.Request{Header: got.Header}).BasicAuth()
		row.form.Set("grant_type", "client_credentials")
		if basic := user + ":" + password; basic != row.basic || !maps.EqualFunc(got.Form, row.form, slices.Equal[[]string]) {
			t.Errorf("%q: got the basic credentials %q and the form %v, want %q and %v", row.style, basic, got.Form, row.basic, row.form)
		}
		if got.Method != "POST" || got.Path != "/pam/api/oauth2/token" || got.Query != "" || got.Header.Get("Content-Type") != "application/x-www-form-urlencoded" {
			t.Errorf("%q: got %s %s?%s as %s", row.style, got.Method, got.Path, got.Query, got.Header.Get("Content-Type"))
		}
		if got.Header.Get("Accept") != "application/json" || got.Header.Get("User-Agent") != userAgent || got.Header.Get("Referer") != "https://referer.example.com/" {
			t.Errorf("%q: got the headers %v", row.style, got.Header)
		}
		server.RotateClientSecret("another")
		if got := tokenVerdict(newClient(t, c).Token(t.Context(), nil)); got != refusedCredentials(401) || server.Count("") != 2 {
			t.Errorf("%q, refused: got %+v after %d requests, want refused credentials after one more", row.style, got, server.Count(""))
		}
	}
}

func refusedCredentials(status int) verdict {
	return permanent(apisecret.AuthenticationFailed, 0, status).because(apisecret.CredentialsRefused)
}

// What a reply to a token request means; lifetimes are TestToken_isReusedUntilShortlyBeforeItExpires'.
func TestToken_readsEveryReply(t *testing.T) {
	type replies map[string]seguratest.Fault
	json, gives, envelope := seguratest.ReplyJSON, seguratest.TokenReply, seguratest.Envelope
	server, client := start(t, seguratest.Options{})
	for _, group := range []struct {
		want    verdict
		replies replies
	}{
		{aToken, replies{
			"the vendor's": seguratest.Normally(), "without token_type": seguratest.TokenType(``), "in other case": seguratest.TokenType(`"bearer"`), "null": seguratest.TokenType(`null`),
			"expires_in that is no number": seguratest.TokenExpiresIn(`"soon"`), "another content type": seguratest.Reply(200, "text/plain", `{"access_token":"a"}`),
			"in another order, with more":   gives(`{"scope":null,"access_token":"{token}","refresh_token":"x","expires_in":60}`),
			"as long as a header may be":    gives(`{"access_token":"` + strings.Repeat("t", 8<<10) + `"}`),
			"unreadable to the library too": gives(`{"access_token":"a","expires_in":[1],"token_type":"BEARER"}`),
		}},
		{unexpected(200), replies{
			"another token_type": seguratest.TokenType(`"mac"`), "no access_token": seguratest.TokenMissing(), "an empty one": gives(`{"access_token":"","expires_in":60}`),
			"a number": gives(`{"access_token":12345678,"expires_in":60}`), "line breaks": seguratest.TokenWithLineBreaks(), "a space": gives(`{"access_token":"a b"}`),
			"not ASCII": gives(`{"access_token":"tokén"}`), "longer than a header": gives(`{"access_token":"` + strings.Repeat("t", 8<<10+1) + `"}`),
			"an error beside the token": gives(`{"access_token":"a","error":"temporarily_unavailable"}`), "a web page": seguratest.HTML(200), "empty": seguratest.Empty(200),
			"an error, and no lifetime": gives(`{"access_token":"a","expires_in":[1],"error":"temporarily_unavailable"}`),
			"a query string":            seguratest.Reply(200, "application/x-www-form-urlencoded", "access_token=a%20b"), "an array": json(200, `[]`), "binary": seguratest.Binary(),
		}},
		{unexpected(201), replies{"a token in a 201": json(201, `{"access_token":"a"}`), "unreadable": json(201, `{"access_token":"a","expires_in":[1]}`)}},
		{unexpected(400), replies{"a token in a 400": json(400, `{"access_token":"a"}`), "unsupported_grant_type": json(400, `{"error":"unsupported_grant_type"}`),
			"invalid_request": json(400, `{"error":"invalid_request"}`)}},
		{unexpected(404), replies{"something else's": seguratest.HTML(404)}},
		{unexpected(418), replies{"nobody listed it": seguratest.Empty(418)}},
		{transient(apisecret.UpstreamError, 500), replies{"a token in a 500": json(500, `{"access_token":"a"}`), "500": seguratest.Unexpected500(), "in a 200": envelope(200, 500, "Unexpected error.")}},
		{transient(apisecret.UpstreamInvalidResponse, 200), replies{"cut JSON": seguratest.CutJSON(), "cut short": seguratest.CutShort(), "cut after the JSON": seguratest.CutAfterJSON()}},
		{transient(apisecret.RateLimited, 429), replies{"429": seguratest.Gateway429()}},
		{transient(apisecret.UpstreamInvalidResponse, 502), replies{"502": seguratest.Gateway502()}},
		{transient(apisecret.UpstreamTimeout, 504), replies{"504": seguratest.Gateway504()}},
		{refusedCredentials(401), replies{
			"invalid_client": seguratest.InvalidClient401(), "invalid_client without words": json(401, `{"error":"invalid_client"}`), "a bare 401": seguratest.Empty(401),
			"in an envelope in a 200": envelope(200, 401, "Client authentication failed"),
		}},
		{refusedCredentials(400), replies{"invalid_client": json(400, `{"error":"invalid_client"}`), "unauthorized_client": json(400, `{"error":"unauthorized_client"}`),
			"in words": json(400, `{"message":"Client authentication failed"}`), "invalid_grant": json(400, `{"error":"invalid_grant"}`),
			"among warnings of PHP": seguratest.Reply(400, "text/html", "<br />\n<b>Warning</b>: x<br />\n"+`{"error":"unauthorized_client"}`)}},
		{refusedCredentials(404), replies{"no route": seguratest.GatewayNoRoute404()}},
		{denied(403), replies{"the address": seguratest.GatewayForbiddenIP403()}},
		{denied(401), replies{"not authorized": seguratest.NotAuthorized(401)}},
	} {
		for name, reply := range group.replies {
			server.ClearFaults()
			server.Fail(tokenCalls, reply, 1)

			token, fault := client.FreshToken(t.Context())

			if got := tokenVerdict(token, fault); got != group.want {
				t.Errorf("%s: got %+v, want %+v", name, got, group.want)
			}
			if fault != nil && (fault.Message == "" || strings.Contains(fault.Message, "API secret")) {
				t.Errorf("%s: got the message %q, want one that speaks of no API secret", name, fault.Message)
			}
		}
	}
}

func TestDo_sendsTheTokenAndNoBody(t *testing.T) {
	for _, referer := range []string{"", "https://referer.example.com/"} {
		s := begin(t, seguratest.Options{Referer: referer})
		_, enableFault := s.do(t.Context(), apisecret.Enable)
		_, disableFault := s.do(t.Context(), apisecret.Disable)

		requests := s.Requests(seguratest.KindEnable, seguratest.KindDisable)

		if enableFault != nil || disableFault != nil || len(requests) != 2 || s.Count("") != 3 {
			t.Errorf("got %v, %v after %d requests, want two calls and a token request", enableFault, disableFault, s.Count(""))
		}
		want := http.Header{
			"Authorization": {"Bearer " + s.Tokens()[0]}, "Accept": {"application/json"}, "Accept-Encoding": {"identity"}, "User-Agent": {userAgent}, "Content-Length": {"0"},
		}
		if referer != "" {
			want.Set("Referer", referer)
		}
		for _, got := range requests {
			if got.Method != "POST" || got.Body != "" || got.Query != "" || !maps.EqualFunc(got.Header, want, slices.Equal[[]string]) {
				t.Errorf("%s: got %s with the body %q and the headers %v, want %v", got.Kind, got.Method, got.Body, got.Header, want)
			}
		}
	}
}

func TestCredentials_haveTheSameDigestOnlyIfAllFieldsAreTheSame(t *testing.T) {
	base := marked()
	same := base
	same.ClientSecret, same.ClientKey = Hide(markedSecret), Hide(markedKey)
	if base.Digest() != same.Digest() || (Credentials{}).Digest() != (Credentials{ClientSecret: Hide("")}).Digest() {
		t.Error("the same values: got two digests")
	}
	for field := range reflect.TypeFor[Credentials]().Fields() {
		other := same
		switch value := reflect.ValueOf(&other).Elem().FieldByIndex(field.Index); {
		case field.Type == reflect.TypeFor[Sensitive]():
			value.Set(reflect.ValueOf(Hide("x")))
		case field.IsExported():
			value.SetString("x")
		default:
			continue
		}
		if base.Digest() == other.Digest() {
			t.Errorf("another %s: got the same digest", field.Name)
		}
	}
	swapped := same
	swapped.TokenURL, swapped.BaseURL = base.BaseURL, base.TokenURL
	if base.Digest() == swapped.Digest() {
		t.Error("two swapped: got the same digest")
	}
}
