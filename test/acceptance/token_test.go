package acceptance

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"segura-enable/simulated/seguratest"
)

// tokenReadings are replies to a token request, by the same codes as a call's.
func tokenReadings() []reading {
	return []reading{
		{"invalid_client", seguratest.InvalidClient401(), "authentication_failed", false, 0, 401},
		{"invalid_client, 400", seguratest.ReplyJSON(400, `{"error":"invalid_client"}`), "authentication_failed", false, 0, 400},
		{"Client authentication failed in an envelope", seguratest.Envelope(401, 401, "Client authentication failed"), "authentication_failed", false, 0, 401},
		{"Client authentication failed under HTTP 200", seguratest.Envelope(200, 401, "Client authentication failed"), "authentication_failed", false, 0, 401},
		{"a 401 without a body", seguratest.Empty(401), "authentication_failed", false, 0, 401},
		{"an address that is not allowed", seguratest.GatewayForbiddenIP403(), "access_denied", false, 0, 403},
		{"not authorized", seguratest.NotAuthorized(400), "access_denied", false, 0, 400},
		{"the gateway's 429", seguratest.Gateway429(), "rate_limited", true, 0, 429},
		{"Segura's 500", seguratest.Unexpected500(), "upstream_error", true, 0, 500},
		{"Segura's 500 under HTTP 200", seguratest.Envelope(200, 500, "Unexpected error."), "upstream_error", true, 0, 500},
		{"the gateway's 503", seguratest.Gateway503(), "upstream_error", true, 0, 503},
		{"the gateway's 502", seguratest.Gateway502(), "upstream_invalid_response", true, 0, 502},
		{"the gateway's 504", seguratest.Gateway504(), "upstream_timeout", true, 0, 504},
		{"a web page", seguratest.HTML(200), "unexpected_response", false, 0, 200},
		{"a 404 as a web page", seguratest.HTML(404), "unexpected_response", false, 0, 404},
		{"nothing", seguratest.Empty(200), "unexpected_response", false, 0, 200},
		{"garbage", seguratest.Binary(), "unexpected_response", false, 0, 200},
		{"no token", seguratest.TokenMissing(), "unexpected_response", false, 0, 200},
		{"an empty token", seguratest.TokenReply(`{"token_type":"Bearer","expires_in":3600,"access_token":""}`), "unexpected_response", false, 0, 200},
		{"a token that is a number", seguratest.TokenReply(`{"token_type":"Bearer","expires_in":3600,"access_token":12345678}`), "unexpected_response", false, 0, 200},
		{"a token that no header can carry", seguratest.TokenWithLineBreaks(), "unexpected_response", false, 0, 200},
		{"a redirect", seguratest.Redirect(302, "/login"), "unexpected_response", false, 0, 302},
		{"a redirect that keeps the method", seguratest.Redirect(307, "/pam/api/oauth2/token2"), "unexpected_response", false, 0, 307},
		{"a permanent redirect", seguratest.Redirect(308, "https://127.0.0.1:1/"), "unexpected_response", false, 0, 308},
		{"half of a reply", seguratest.CutShort(), "upstream_invalid_response", true, 0, 0},
		{"half of the JSON", seguratest.CutJSON(), "upstream_invalid_response", true, 0, 0},
		{"no reply in time", seguratest.Hang(), "upstream_timeout", true, 0, 0},
		{"a reset", seguratest.ResetConnection(), "upstream_unreachable", true, 0, 0},
	}
}

func TestTokenCall_thatFailsIsDescribedByTheSameCodes(t *testing.T) {
	t.Parallel()
	w := start(t, setup{
		segura: seguratest.Options{AnyIdentifier: true},
		env:    map[string]string{"SEGURA_MAX_ATTEMPTS": "2", "SEGURA_ATTEMPT_TIMEOUT": "3s"},
		before: func(w *world) { w.segura.Fail(seguratest.Match{}, seguratest.Unexpected500(), -1) },
	})
	for _, row := range tokenReadings() {
		w.segura.Reset()
		w.segura.Fail(seguratest.Match{Kind: seguratest.KindToken}, row.reply, -1)

		got := w.invoke(list("enable", 1001, 1002, 1003)).result.Results

		want := 1
		if row.retryable {
			want = 2
		}
		if n := w.segura.Count(seguratest.KindToken); n != want {
			t.Errorf("%s: got %d token requests, want %d however many identifiers", row.about, n, want)
		}
		if n := w.segura.Count(""); n != want {
			t.Errorf("%s: got %d requests, want token requests only", row.about, n)
		}
		for _, one := range got {
			if row.httpStatus == 0 && one.Error != nil {
				one.Error.HTTPStatus = 0
			}
			row.compare(t, w, row.about, one, 0)
		}
	}
}

func TestTokenCall_isRepeatedAgainstTransientFaults(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		attempts string
		faults   int
		outcome  string
		tokens   int
	}{
		{unset, 3, "enabled", 4}, // the default is 4
		{unset, 4, "failed", 4},
		{"1", 1, "failed", 1},
		{"2", 1, "enabled", 2},
		{"6", 5, "enabled", 6},
	} {
		t.Run(fmt.Sprintf("%d faults", row.faults), func(t *testing.T) {
			t.Parallel()
			w := start(t, setup{
				env: map[string]string{"SEGURA_MAX_ATTEMPTS": row.attempts},
				before: func(w *world) {
					w.segura.Fail(seguratest.Match{Kind: seguratest.KindToken}, seguratest.Unexpected500(), -1)
				},
			})
			w.segura.Reset()
			w.segura.Fail(seguratest.Match{Kind: seguratest.KindToken}, seguratest.Gateway503(), row.faults)
			got := w.one(5)
			if got.Outcome != row.outcome {
				t.Errorf("got %s, want %s", got.Outcome, row.outcome)
			}
			if n := w.segura.Count(seguratest.KindToken); n != row.tokens {
				t.Errorf("got %d token requests, want %d", n, row.tokens)
			}
			if want := map[string]int{"enabled": 1, "failed": 0}[row.outcome]; got.Attempts != want {
				t.Errorf("got %d attempts, want %d: token calls are not counted", got.Attempts, want)
			}
		})
	}
}

func TestTokenRequest_isTheDocumentedForm(t *testing.T) {
	t.Parallel()
	// Characters that a form, Basic and a careless client treat differently.
	id, secret := `id+/ %&=:ü"`+marker(t), `s:e c+r%41&e=t/"ü€`+marker(t)
	for _, style := range []string{"", "body", "basic"} {
		for _, tenant := range []string{"", "acme & söhne"} {
			t.Run(style+" "+tenant, func(t *testing.T) {
				t.Parallel()
				fields := map[string]any{}
				if style != "" {
					fields["auth_style"] = style
				}
				w := start(t, setup{segura: seguratest.Options{ClientID: id, ClientSecret: secret, Tenant: tenant}, secret: fields})
				w.mark(id, secret, url.QueryEscape(id), url.QueryEscape(secret))

				is(t, w.one(5), "enable", "enabled", "", false, 1)

				tokens := w.segura.Requests(seguratest.KindToken)
				if len(tokens) != 1 {
					t.Fatalf("got %d token requests, want 1: the style is never probed", len(tokens))
				}
				r := tokens[0]
				if got := r.Header.Get("Content-Type"); got != "application/x-www-form-urlencoded" {
					t.Errorf("Content-Type: got %q", got)
				}
				want := url.Values{"grant_type": {"client_credentials"}}
				if tenant != "" {
					want.Set("tenant", tenant)
				}
				authorization := ""
				if style == "basic" {
					authorization = "Basic " + base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(id)+":"+url.QueryEscape(secret)))
				} else {
					want.Set("client_id", id)
					want.Set("client_secret", secret)
				}
				if got := r.Form.Encode(); got != want.Encode() {
					t.Errorf("form: got %s, want %s", got, want.Encode())
				}
				if got := r.Header.Get("Authorization"); got != authorization {
					t.Errorf("Authorization: got %q, want %q", got, authorization)
				}
			})
		}
	}
}

func TestAuthStyle_isNeverProbed(t *testing.T) {
	t.Parallel()
	for _, style := range []string{"body", "basic"} {
		t.Run(style, func(t *testing.T) {
			t.Parallel()
			w := start(t, setup{secret: map[string]any{"auth_style": style, "client_secret": "wrong-" + marker(t)}})
			w.segura.Reset()
			w.secrets.Reset()

			is(t, w.one(5), "wrong credentials", "failed", "authentication_failed", false, 0)

			tokens := w.segura.Requests(seguratest.KindToken)
			if len(tokens) != 1 {
				t.Fatalf("got %d token requests, want 1", len(tokens))
			}
			if basic := strings.HasPrefix(tokens[0].Header.Get("Authorization"), "Basic "); basic != (style == "basic") {
				t.Errorf("the request carries Basic credentials: %v, want %v", basic, style == "basic")
			}
		})
	}
}

func TestToken_withoutUsableExpiresInIsUsedAndReused(t *testing.T) {
	t.Parallel()
	for _, literal := range []string{"", "null", `"soon"`, "-1", "0", `""`, "9e99", "[]", "{}", "true", "-9e99", `"-5"`, "1e400"} {
		t.Run(literal, func(t *testing.T) {
			t.Parallel()
			w := start(t, setup{
				segura: seguratest.Options{AnyIdentifier: true},
				before: func(w *world) {
					w.segura.Fail(seguratest.Match{Kind: seguratest.KindToken}, seguratest.TokenExpiresIn(literal), -1)
				},
			})
			is(t, w.one(1001), "first", "enabled", "", false, 1)
			time.Sleep(50 * time.Millisecond)
			is(t, w.one(1002), "second", "enabled", "", false, 1)
			w.counts("expires_in "+literal, 1, 2, 1)
		})
	}
}

func TestToken_isRenewedWhenItsTimeIsOver(t *testing.T) {
	t.Parallel()
	for _, literal := range []string{"2", `"2"`, "2.0"} {
		t.Run(literal, func(t *testing.T) {
			t.Parallel()
			w := start(t, setup{
				segura: seguratest.Options{AnyIdentifier: true},
				before: func(w *world) {
					w.segura.Fail(seguratest.Match{Kind: seguratest.KindToken}, seguratest.TokenExpiresIn(literal), -1)
				},
			})
			is(t, w.one(1001), "first", "enabled", "", false, 1)
			before := w.segura.Count(seguratest.KindToken) // 1, or 2 on a slow machine
			time.Sleep(2 * time.Second)
			is(t, w.one(1002), "second", "enabled", "", false, 1)
			w.counts("after", before+1, 2, 1)
		})
	}
}

func TestToken_thatExpiresDuringAnInvocationIsRenewed(t *testing.T) {
	t.Parallel()
	w := start(t, setup{
		segura: seguratest.Options{AnyIdentifier: true, Latency: seguratest.Latency{Call: 50 * time.Millisecond}},
		before: func(w *world) {
			w.segura.Fail(seguratest.Match{Kind: seguratest.KindToken}, seguratest.TokenExpiresIn("2"), -1)
		},
	})
	inv := w.enable(upTo(1001, 1600)...) // 8 at once: 3.75 s
	if *inv.result.Enabled != 600 {
		t.Errorf("got %.300s", inv.text)
	}
	most := 2 + int(inv.Duration/(1800*time.Millisecond)) // 2 s, less a margin
	if n := w.segura.Count(seguratest.KindToken); n < 2 || n > most {
		t.Errorf("got %d token requests in %v, want 2 to %d", n, inv.Duration, most)
	}
}

func TestTokenType_otherThanBearerIsUnderstoodWhereItIsBearer(t *testing.T) {
	t.Parallel()
	for _, literal := range []string{`"Bearer"`, `"bearer"`, `"BEARER"`} {
		t.Run(literal, func(t *testing.T) {
			t.Parallel()
			w := start(t, setup{before: func(w *world) {
				w.segura.Fail(seguratest.Match{Kind: seguratest.KindToken}, seguratest.TokenType(literal), -1)
			}})
			is(t, w.one(5), literal, "enabled", "", false, 1)
			for _, r := range w.segura.Requests(seguratest.KindEnable) {
				if got := r.Header.Get("Authorization"); !strings.HasPrefix(got, "Bearer ") {
					t.Errorf("Authorization begins with %.10q, want Bearer", got)
				}
			}
		})
	}
}
