package chaos

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"segura-enable/simulated/secretsmanager"
	"segura-enable/simulated/seguratest"
)

// The codes of failures, as callers know them.
const (
	notAllowed      = "not_allowed"
	notFound        = "not_found"
	accessDenied    = "access_denied"
	unavailable     = "credentials_unavailable"
	authentication  = "authentication_failed"
	rateLimited     = "rate_limited"
	upstreamError   = "upstream_error"
	invalidResponse = "upstream_invalid_response"
	upstreamTimeout = "upstream_timeout"
	unreachable     = "upstream_unreachable"
	unexpected      = "unexpected_response"
	deadline        = "deadline_exceeded"
	internalError   = "internal_error"
)

// worthRepeating says which codes are retryable; those that may be or not are
// left out.
var worthRepeating = map[string]bool{
	notAllowed: false, notFound: false, accessDenied: false, authentication: false, unexpected: false, internalError: false,
	rateLimited: true, upstreamError: true, invalidResponse: true, upstreamTimeout: true, deadline: true,
}

// mishap is something that happens to one request to Segura.
type mishap struct {
	name   string
	fault  seguratest.Fault
	traits trait
	codes  []string // what an identifier may fail with because of it
}

// trait is what else is to be known of a mishap; they can be added up.
type trait int

const (
	wire trait = 1 << iota // the connection suffers, so that attempts and calls seen may differ
	slow
	heavy  // costs much time of the processor
	token  // the token endpoint only
	honest // the answer is the faithful one, if it comes
)

// is reports whether the mishap has the trait; nil is no mishap.
func (m *mishap) is(t trait) bool { return m != nil && m.traits&t != 0 }

func one(name string, fault seguratest.Fault, traits trait, codes ...string) mishap {
	return mishap{name, fault, traits, codes}
}

// mishaps is the catalogue, by kinds: each kind is drawn equally often, however many
// it has. It has the same length and order for every world. What each fault must
// lead to is for the tests of packages; here is at least one of each class.
func mishaps(w *world) [][]mishap {
	catalogue := [][]mishap{wholeReplies(w), emptyReplies(), falseReplies(), brokenReplies(), tokenReplies()}
	for k, kind := range catalogue {
		for _, m := range kind {
			if !m.is(heavy | token) {
				m.name, m.fault = m.name+", after applying", m.fault.AfterApplying()
				catalogue[k] = append(catalogue[k], m)
			}
		}
	}
	return catalogue
}

func wholeReplies(w *world) []mishap {
	return []mishap{
		one("429", seguratest.Gateway429(), 0, rateLimited),
		one("429, again at once", seguratest.Gateway429().WithHeader("Retry-After", "0"), 0, rateLimited),
		one("429, again in a minute", seguratest.Gateway429().WithHeader("RateLimit-Reset", "60"), slow, rateLimited, deadline),
		one("503, again in 1 s", seguratest.Gateway503().WithHeader("Retry-After", "1"), slow, upstreamError, deadline),
		one("502 of the gateway", seguratest.Gateway502(), 0, invalidResponse),
		one("503 of the gateway", seguratest.Gateway503(), 0, upstreamError),
		one("504 of the gateway", seguratest.Gateway504(), 0, upstreamTimeout),
		one("500 in a 200", seguratest.Envelope(200, 500, "Unexpected error."), 0, upstreamError),
		one("not authorized, in a 500", seguratest.NotAuthorized(500), 0, accessDenied),
		one("1005", seguratest.NotFound1005(), 0, notFound),
		one("401", seguratest.InvalidClient401(), 0, authentication),
		one("token refused", seguratest.TokenRefused(seguratest.RefusedByGateway), 0, authentication),
		one("a web page", seguratest.HTML(200), 0, unexpected),
		one("half of the JSON", seguratest.CutJSON(), 0, invalidResponse),
		one("a redirect", seguratest.Redirect(307, "https://"+trap.Listener.Addr().String()+"/"), 0, unexpected),
		one("a redirect to itself", seguratest.Redirect(308, w.segura.URL()), 0, unexpected),
		one("the credentials quoted", seguratest.ReplyJSON(500, fmt.Sprintf(`{"message":"refused: client_id=%s&client_secret=%s at %s"}`,
			w.segura.ClientID(), w.segura.ClientSecret(), w.segura.URL())).WithHeader("X-Kong-Request-Id", w.segura.ClientSecret()), 0, upstreamError),
		one("late", seguratest.Normally().After(100*time.Millisecond), slow|honest, upstreamTimeout, deadline),
		one("very late", seguratest.Normally().After(500*time.Millisecond), slow|honest, upstreamTimeout, deadline),
		one("the last of its connection", seguratest.Drain(), slow|wire|honest, unreachable, invalidResponse),
	}
}

// emptyReplies are statuses of every kind, and nothing else.
func emptyReplies() (all []mishap) {
	for code, statuses := range map[string][]int{
		unexpected: {200, 204, 304, 400, 404, 600}, authentication: {401}, accessDenied: {403}, rateLimited: {429},
		upstreamError: {500, 503, 599}, invalidResponse: {502}, upstreamTimeout: {504},
	} {
		for _, status := range statuses {
			all = append(all, one(fmt.Sprintf("an empty %d", status), seguratest.Empty(status), 0, code))
		}
	}
	slices.SortFunc(all, func(a, b mishap) int { return strings.Compare(a.name, b.name) })
	return all
}

// falseReplies look like a success to whoever does not look closely.
func falseReplies() (all []mishap) {
	for _, message := range []string{"Api secret activated successfully", "Api secret deactivated successfully"} {
		says := func(form string) seguratest.Fault { return seguratest.ReplyJSON(200, fmt.Sprintf(form, message)) }
		all = append(all,
			one("a 500 with "+message, seguratest.Envelope(500, 500, message), 0, upstreamError),
			one("a 200 with 500 within and "+message, seguratest.Envelope(200, 500, message), 0, upstreamError),
			one("a 400 with 200 within and "+message, seguratest.Envelope(400, 200, message), 0, unexpected),
			one("a flagged "+message, says(`{"code":200,"response":{"status":200,"message":%q,"error":true,"error_code":0}}`), 0, unexpected),
			one("an exception with "+message, says(`{"response":{"status":200,"message":%q,"error":false},"exception":{"code":0,"message":"x"}}`), 0, unexpected),
			one("500 in two places, no flag, and "+message, says(`{"code":500,"response":{"status":500,"message":%q,"error":false}}`), 0, upstreamError),
			one("404 within, no flag, and "+message, says(`{"code":200,"response":{"status":404,"message":%q,"error":false}}`), 0, unexpected),
			one("a list with "+message, says(`[{"response":{"status":200,"message":%q,"error":false}}]`), 0, unexpected),
			one("a cut of "+message, says(`{"code":200,"response":{"status":200,"error":false,"message":%q`), 0, invalidResponse),
			one("no JSON, but "+message, seguratest.Reply(200, "text/html", "<p>"+message+"</p>"), 0, unexpected),
		)
	}
	for _, message := range []string{"Password successfully activated", "Password successfully deactivated", "Api secret not activated",
		"Api secret could not be deactivated", "Failed: Api secret activated", "activated", ""} {
		all = append(all, one(fmt.Sprintf("a 200 with %q", message), seguratest.Envelope(200, 200, message), 0, unexpected))
	}
	return all
}

// brokenReplies do not come, or not whole.
func brokenReplies() []mishap {
	return []mishap{
		one("a hang", seguratest.Hang(), wire|slow, upstreamTimeout, deadline),
		one("a hang mid-body", seguratest.HangMidBody(), wire|slow, upstreamTimeout, deadline),
		one("a drip", seguratest.SlowDrip(time.Millisecond), wire|slow|honest, upstreamTimeout, deadline),
		one("a reset", seguratest.ResetConnection(), wire, unreachable, invalidResponse),
		one("a late reset", seguratest.ResetConnection().After(60*time.Millisecond), wire|slow, unreachable, invalidResponse, upstreamTimeout, deadline),
		one("a reset mid-body", seguratest.ResetMidBody(), wire, unreachable, invalidResponse),
		one("an end of the connection", seguratest.CloseConnection(), wire, unreachable, invalidResponse),
		one("a cut", seguratest.CutShort(), wire, invalidResponse, unreachable),
		one("a cut after the JSON", seguratest.CutAfterJSON(), wire, invalidResponse, unreachable),
		one("a cut between chunks", seguratest.CutChunked(), wire, invalidResponse, unreachable),
		one("no HTTP", seguratest.NotHTTP(), wire, unexpected, unreachable, invalidResponse),
		one("a giant body", seguratest.GiantBody(2), wire|slow|heavy, unexpected, invalidResponse, upstreamTimeout, deadline),
		one("a gzip bomb", seguratest.GzipBomb(64), wire|slow|heavy, unexpected, invalidResponse, upstreamTimeout, deadline),
		one("endless headers", seguratest.EndlessHeaders(), wire|slow|heavy, unexpected, unreachable, invalidResponse, upstreamTimeout, deadline),
		one("endless hints", seguratest.EndlessEarlyHints(), wire|slow|heavy, unexpected, unreachable, invalidResponse, upstreamTimeout, deadline),
	}
}

// tokenReplies are answers of the token endpoint.
func tokenReplies() []mishap {
	return []mishap{
		one("no expires_in", seguratest.TokenExpiresIn(""), token, authentication),
		one("expires_in -1", seguratest.TokenExpiresIn("-1"), token, authentication),
		one(`expires_in "2"`, seguratest.TokenExpiresIn(`"2"`), token, authentication),
		one("no token", seguratest.TokenMissing(), token, unexpected),
		one("a token with line breaks", seguratest.TokenWithLineBreaks(), token, unexpected, authentication),
		one("a token type of another kind", seguratest.TokenType(`"mac"`), token, unexpected),
		one("a token that nobody honours", seguratest.TokenReply(`{"token_type":"Bearer","expires_in":3600,"access_token":"stale"}`), token, authentication),
	}
}

// awsFaults are those of Secrets Manager.
var awsFaults = []secretsmanager.Fault{
	secretsmanager.Throttling, secretsmanager.InternalError, secretsmanager.Unavailable, secretsmanager.AccessDenied,
	secretsmanager.ResourceNotFound, secretsmanager.MarkedForDeletion, secretsmanager.ExpiredToken, secretsmanager.Hang,
	secretsmanager.Reset, secretsmanager.Garbage, secretsmanager.NoValue, secretsmanager.CutShort, secretsmanager.GiantBody,
}

// brokenDocuments are contents of the AWS secret that cannot be used.
var brokenDocuments = []string{
	"", "{", "null", `{"base_url":"http://127.0.0.1","client_id":"a","client_secret":"b"}`,
	`{"base_url":"https://127.0.0.1:1/","client_id":"","client_secret":"b"}`,
	`{"base_url":"https://127.0.0.1:1/","client_id":"a","client_secret":"b","enable_path":"/%61pi/mysafe/%70assword/active/{identifier}"}`,
}
