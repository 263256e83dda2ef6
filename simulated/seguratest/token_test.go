package seguratest_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"segura-enable/simulated/seguratest"
)

func TestToken_isIssuedForTheCredentialsInTheForm(t *testing.T) {
	segura := start(t, seguratest.Options{})
	c := newCaller(t, segura)

	a := c.asksToken(c.goodForm())

	token := accessToken(t, a)
	wantBody(t, a, `{"token_type":"Bearer","expires_in":3600,"access_token":"`+token+`"}`)
	if got := segura.Tokens(); len(got) != 1 || got[0] != token {
		t.Errorf("tokens issued: got %q, want [%q]", got, token)
	}
	c.token = token
	wantStatus(t, c.enables(5), 200)
}

func TestToken_isIssuedForBasicCredentialsThatWereFormEncodedFirst(t *testing.T) {
	segura := start(t, seguratest.Options{ClientID: "id:1 +", ClientSecret: "p%20:&é"})
	c := newCaller(t, segura)
	form := url.Values{"grant_type": {"client_credentials"}}
	basic := func(id, secret string) string {
		return basicAuth(url.QueryEscape(id), url.QueryEscape(secret))
	}

	good := c.asksToken(form, "Authorization", basic("id:1 +", "p%20:&é"))
	bad := c.asksToken(form, "Authorization", basic("id:1 +", "other"))

	accessToken(t, good)
	wantStatus(t, bad, 401)
	if got, want := bad.header.Get("WWW-Authenticate"), `Basic realm="OAuth"`; got != want {
		t.Errorf("WWW-Authenticate: got %q, want %q", got, want)
	}
}

func TestToken_isRefusedInTheWordsOfTheOAuthServer(t *testing.T) {
	segura := start(t, seguratest.Options{Tenant: "acme"})
	c := newCaller(t, segura)
	const (
		invalidClient = `{"error":"invalid_client","error_description":"Client authentication failed","message":"Client authentication failed"}`
		unsupported   = `{"error":"unsupported_grant_type","error_description":"The authorization grant type is not supported by the authorization server.","hint":"Check that all required parameters have been provided","message":"The authorization grant type is not supported by the authorization server."}`
	)
	for name, row := range map[string]struct {
		change func(url.Values)
		status int
		body   string
	}{
		"wrong secret":   {func(f url.Values) { f.Set("client_secret", "x") }, 401, invalidClient},
		"no secret":      {func(f url.Values) { f.Del("client_secret") }, 401, invalidClient},
		"unknown client": {func(f url.Values) { f.Set("client_id", "x") }, 401, invalidClient},
		"no tenant":      {func(f url.Values) { f.Del("tenant") }, 401, invalidClient},
		"other tenant":   {func(f url.Values) { f.Set("tenant", "x") }, 401, invalidClient},
		"no grant":       {func(f url.Values) { f.Del("grant_type") }, 400, unsupported},
		"other grant":    {func(f url.Values) { f.Set("grant_type", "password") }, 400, unsupported},
		"no client_id":   {func(f url.Values) { f.Del("client_id") }, 400, ""},
		"all well":       {func(url.Values) {}, 200, ""},
	} {
		t.Run(name, func(t *testing.T) {
			form := c.goodForm()
			form.Set("tenant", "acme")
			row.change(form)

			a := c.asksToken(form)

			wantStatus(t, a, row.status)
			if row.body != "" {
				wantBody(t, a, row.body)
			}
			if row.status == 400 && !strings.Contains(a.body, `"hint":"Check`) {
				t.Errorf("body: got %q, want a hint", a.body)
			}
			if got := a.header.Get("WWW-Authenticate"); got != "" {
				t.Errorf("WWW-Authenticate: got %q, want none for credentials in the form", got)
			}
		})
	}
}

func TestToken_isAskedForByPostOfAFormOnly(t *testing.T) {
	segura := start(t, seguratest.Options{})
	c := newCaller(t, segura)

	get := c.do("GET", segura.TokenURL()+"?"+c.goodForm().Encode(), "", "Accept", "application/json")
	noForm := c.do("POST", segura.TokenURL(), c.goodForm().Encode(), "Content-Type", "text/plain")

	wantHolds(t, get, 404, "no Route matched with those values")
	wantHolds(t, noForm, 400, "unsupported_grant_type")
}

func TestCall_isRefusedWithoutAHonouredToken(t *testing.T) {
	now := time.Now()
	segura := start(t, seguratest.Options{TokenLifetime: 90500 * time.Millisecond, Now: func() time.Time { return now }})
	issued := newCaller(t, segura)
	wantHolds(t, issued.asksToken(issued.goodForm()), 200, `"expires_in":91,`)
	fresh := func() *caller { return newCaller(t, segura).hasToken() }

	for name, c := range map[string]*caller{
		"none":    newCaller(t, segura),
		"unknown": {t: t, segura: segura, http: issued.http, token: "x"},
		"revoked": func() *caller { c := fresh(); segura.RevokeTokens(); return c }(),
		"expired": func() *caller { c := fresh(); now = now.Add(91 * time.Second); return c }(),
	} {
		t.Run(name, func(t *testing.T) {
			a := c.enables(5)

			wantHolds(t, a, 404, `"message":"no Route matched with those values"`, `"request_id":"`)
			if segura.Active(5) {
				t.Error("the API secret was enabled")
			}
		})
	}
	wantStatus(t, fresh().enables(5), 200)
}

func TestRefuseToken_changesHowARefusalIsWorded(t *testing.T) {
	for style, want := range map[seguratest.RefusalStyle]struct {
		status int
		text   string
	}{
		seguratest.RefusedByGateway:           {404, "no Route matched with those values"},
		seguratest.RefusedAuthentication:      {401, `"status":401,"message":"Client authentication failed","error":true`},
		seguratest.RefusedInactive:            {401, `"status":401,"message":"Inactive authorization","error":true`},
		seguratest.RefusedAuthenticationAs200: {200, `"status":401,"message":"Client authentication failed","error":true`},
		seguratest.RefusedInactiveAs200:       {200, `"status":401,"message":"Inactive authorization","error":true`},
	} {
		segura := start(t, seguratest.Options{})
		c := newCaller(t, segura)
		segura.RefuseToken(style)

		old := c.enables(5)
		segura.Fail(seguratest.Match{Kind: seguratest.KindEnable}, seguratest.TokenRefused(style), 1)
		fresh := c.hasToken().enables(5)

		wantHolds(t, old, want.status, want.text)
		wantHolds(t, fresh, want.status, want.text)
		wantStatus(t, c.enables(5), 200)
	}
}

func TestCredentials_canBeRotatedAndAdded(t *testing.T) {
	segura := start(t, seguratest.Options{})
	c := newCaller(t, segura).hasToken()
	before := c.goodForm()
	other := url.Values{"grant_type": {"client_credentials"}, "client_id": {"b"}, "client_secret": {"c"}}

	segura.RotateClientSecret("newer")
	segura.AddCredentials("b", "c")

	wantStatus(t, c.asksToken(before), 401)
	wantStatus(t, c.asksToken(c.goodForm()), 200)
	wantStatus(t, c.asksToken(other), 200)
	wantStatus(t, c.enables(5), 200) // the token outlives the rotation
}
