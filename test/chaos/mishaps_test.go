package chaos

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
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
	name  string
	fault seguratest.Fault
	codes []string // what an identifier may fail with because of it

	wire    bool // the connection suffers, so that attempts and calls seen may differ
	repeats bool // the transport repeats the request by itself
	slow    bool
	heavy   bool // costs much time of the processor
	kind    kind
	token   bool // the token endpoint only
	honest  bool // the answer is the faithful one, if it comes
}

// kind is a kind of mishaps. Each is drawn equally often, however many it has.
type kind int

const (
	wholeReply kind = iota
	emptyReply
	falseReply
	brokenReply
	tokenReply
	kinds // how many there are
)

// mishaps is the catalogue. It has the same length and order for every world.
func mishaps(w *world) []mishap {
	of := func(k kind, list []mishap) []mishap {
		for i := range list {
			list[i].kind = k
		}
		return list
	}
	all := slices.Concat(of(wholeReply, replies(w)), of(emptyReply, empties()), of(falseReply, lies()), of(brokenReply, breaks()), of(tokenReply, tokenReplies()))
	for _, m := range slices.Clone(all) {
		if m.heavy || m.repeats || m.token {
			continue
		}
		m.name, m.fault = m.name+", after applying", m.fault.AfterApplying()
		all = append(all, m)
	}
	return all
}

// replies come whole.
func replies(w *world) []mishap {
	one := func(name string, fault seguratest.Fault, codes ...string) mishap {
		return mishap{name: name, fault: fault, codes: codes}
	}
	soon := strconv.FormatInt(time.Now().Add(time.Second).Unix(), 10)
	all := []mishap{
		one("429", seguratest.Gateway429(), rateLimited),
		one("429, again at once", seguratest.Gateway429().WithHeader("Retry-After", "0"), rateLimited),
		one("429, again in 1 s", seguratest.Gateway429().WithHeader("Retry-After", "1"), rateLimited, deadline),
		one("429, again in a minute", seguratest.Gateway429().WithHeader("RateLimit-Reset", "60"), rateLimited, deadline),
		one("429, again at a time", seguratest.Gateway429().WithHeader("X-RateLimit-Reset", soon), rateLimited, deadline),
		one("429, again never", seguratest.Gateway429().WithHeader("Retry-After", "99999999999999999999"), rateLimited, deadline),
		one("503, again in 1 s", seguratest.Gateway503().WithHeader("Retry-After", "1"), upstreamError, deadline),
		one("500 of the gateway", seguratest.Gateway500(), upstreamError),
		one("502 of the gateway", seguratest.Gateway502(), invalidResponse),
		one("503 of the gateway", seguratest.Gateway503(), upstreamError),
		one("504 of the gateway", seguratest.Gateway504(), upstreamTimeout),
		one("500 of Segura", seguratest.Unexpected500(), upstreamError),
		one("500 in a 200", seguratest.Envelope(200, 500, "Unexpected error."), upstreamError),
		one("500 in Portuguese", seguratest.PortugueseException500(), upstreamError),
		one("403 of the gateway", seguratest.GatewayForbiddenIP403(), accessDenied),
		one("not authorized", seguratest.NotAuthorized(401), accessDenied),
		one("not authorized, in a 500", seguratest.NotAuthorized(500), accessDenied),
		one("1005", seguratest.NotFound1005(), notFound),
		one("1006 without exception", seguratest.AccessDenied1006WithoutException(), accessDenied),
		one("no route", seguratest.GatewayNoRoute404(), authentication),
		one("401", seguratest.InvalidClient401(), authentication),
		one("token refused", seguratest.TokenRefused(seguratest.RefusedInactive), authentication),
		one("token refused in a 200", seguratest.TokenRefused(seguratest.RefusedAuthenticationAs200), authentication),
		one("a password activated", seguratest.PasswordActivated(), unexpected),
		one("a web page", seguratest.HTML(200), unexpected),
		one("bytes", seguratest.Binary(), unexpected),
		one("half of the JSON", seguratest.CutJSON(), invalidResponse),
		one("a redirect", seguratest.Redirect(307, "https://"+trap.address+"/"), unexpected),
		one("a redirect to itself", seguratest.Redirect(308, w.segura.URL()), unexpected),
		one("the credentials quoted", seguratest.ReplyJSON(500, fmt.Sprintf(`{"message":"refused: client_id=%s&client_secret=%s at %s"}`,
			w.segura.ClientID(), w.segura.ClientSecret(), w.segura.URL())).WithHeader("X-Kong-Request-Id", w.segura.ClientSecret()), upstreamError),
		one("late", seguratest.Normally().After(100*time.Millisecond), upstreamTimeout, deadline),
		one("very late", seguratest.Normally().After(500*time.Millisecond), upstreamTimeout, deadline),
		one("the last of its connection", seguratest.Drain(), unreachable, invalidResponse),
	}
	for i := range all {
		all[i].slow = len(all[i].codes) > 1
		all[i].wire = all[i].name == "the last of its connection"
		all[i].honest = all[i].wire || strings.HasSuffix(all[i].name, "late")
	}
	return all
}

// empties are statuses of every kind, and nothing else.
func empties() (all []mishap) {
	for _, status := range []int{200, 201, 202, 204, 206, 226, 300, 302, 304, 400, 401, 403, 404, 405, 408, 409, 410, 413, 415, 418,
		421, 422, 423, 424, 425, 426, 428, 429, 431, 451, 499, 500, 501, 502, 503, 504, 505, 507, 508, 511, 520, 522, 525, 530, 599, 600, 799} {
		all = append(all, mishap{name: fmt.Sprintf("an empty %d", status), fault: seguratest.Empty(status), codes: []string{codeOf(status)}})
	}
	return all
}

// lies are replies that look like a success to whoever does not look closely.
func lies() []mishap {
	one := func(name string, fault seguratest.Fault, codes ...string) mishap {
		return mishap{name: name, fault: fault, codes: codes}
	}
	const (
		activated   = "Api secret activated successfully"
		deactivated = "Api secret deactivated successfully"
	)
	says := func(status int, body string) seguratest.Fault { return seguratest.ReplyJSON(status, body) }
	var all []mishap
	for _, message := range []string{activated, deactivated} {
		all = append(all,
			one("a 500 with "+message, seguratest.Envelope(500, 500, message), upstreamError),
			one("a 200 with 500 within and "+message, seguratest.Envelope(200, 500, message), upstreamError),
			one("a 200 with 400 within and "+message, seguratest.Envelope(200, 400, message), unexpected),
			one("a 400 with 200 within and "+message, seguratest.Envelope(400, 200, message), unexpected),
			one("a 201 with "+message, seguratest.Envelope(201, 200, message), unexpected),
			one("a flagged "+message, says(200, `{"code":200,"response":{"status":200,"message":"`+message+`","error":true,"error_code":0}}`), unexpected),
			one("an exception with "+message, says(200, `{"response":{"status":200,"message":"`+message+`","error":false},"exception":{"code":0,"message":"x"}}`), unexpected),
			one("no JSON, but "+message, seguratest.Reply(200, "text/html", "<p>"+message+"</p>"), unexpected),
			one("500 in two places, no flag, and "+message, says(200, `{"code":500,"response":{"status":500,"message":"`+message+`","error":false}}`), upstreamError),
			one("404 within, no flag, and "+message, says(200, `{"code":200,"response":{"status":404,"message":"`+message+`","error":false}}`), unexpected),
			one("a list with "+message, says(200, `[{"response":{"status":200,"message":"`+message+`","error":false}}]`), unexpected),
			one("another member with "+message, says(200, `{"code":200,"response":{"status":200,"title":"`+message+`","error":false}}`), unexpected),
			one("a cut of "+message, says(200, `{"code":200,"response":{"status":200,"error":false,"message":"`+message+`"`), invalidResponse),
		)
	}
	for _, message := range []string{"Password successfully activated", "Password successfully deactivated", "Api secret could not be activated", "Api secret could not be deactivated",
		"Api secret not activated", "Api secret not deactivated", "Api secret will be activated", "Failed: Api secret activated", "Api secrets listed", "activated", "deactivated", ""} {
		all = append(all, one(fmt.Sprintf("a 200 with %q", message), seguratest.Envelope(200, 200, message), unexpected))
	}
	return all
}

// codeOf is what a status means where the body says nothing.
func codeOf(status int) string {
	switch {
	case status == 401:
		return authentication
	case status == 403:
		return accessDenied
	case status == 429:
		return rateLimited
	case status == 502:
		return invalidResponse
	case status == 504:
		return upstreamTimeout
	case status >= 500 && status < 600:
		return upstreamError
	default:
		return unexpected
	}
}

// breaks do not come, or not whole.
func breaks() []mishap {
	one := func(name string, fault seguratest.Fault, codes ...string) mishap {
		return mishap{name: name, fault: fault, codes: codes, wire: true}
	}
	late := func(m mishap) mishap { m.slow = true; return m }
	honest := func(m mishap) mishap { m.honest = true; return m }
	heavy := func(m mishap) mishap { m.slow, m.heavy = true, true; return m }
	repeats := func(m mishap) mishap { m.repeats = true; return m }
	return []mishap{
		late(one("a hang", seguratest.Hang(), upstreamTimeout, deadline)),
		late(one("a hang mid-body", seguratest.HangMidBody(), upstreamTimeout, deadline)),
		honest(late(one("a drip", seguratest.SlowDrip(time.Millisecond), upstreamTimeout, deadline))),
		honest(late(one("a slow drip", seguratest.SlowDrip(20*time.Millisecond), upstreamTimeout, deadline))),
		one("a reset", seguratest.ResetConnection(), unreachable, invalidResponse),
		late(one("a late reset", seguratest.ResetConnection().After(60*time.Millisecond), unreachable, invalidResponse, upstreamTimeout, deadline)),
		one("a reset mid-body", seguratest.ResetMidBody(), unreachable, invalidResponse),
		one("an end of the connection", seguratest.CloseConnection(), unreachable, invalidResponse),
		one("an end of the stream", seguratest.ResetStream(), unreachable, invalidResponse),
		one("a cut", seguratest.CutShort(), invalidResponse, unreachable),
		one("a cut after the JSON", seguratest.CutAfterJSON(), invalidResponse, unreachable),
		one("a cut between chunks", seguratest.CutChunked(), invalidResponse, unreachable),
		one("no HTTP", seguratest.NotHTTP(), unexpected, unreachable, invalidResponse),
		repeats(one("a GOAWAY", seguratest.GoAway(), unreachable, invalidResponse)),
		heavy(one("a giant body", seguratest.GiantBody(2), unexpected, invalidResponse, upstreamTimeout, deadline)),
		heavy(one("a gzip bomb", seguratest.GzipBomb(64), unexpected, invalidResponse, upstreamTimeout, deadline)),
		heavy(one("endless headers", seguratest.EndlessHeaders(), unexpected, unreachable, invalidResponse, upstreamTimeout, deadline)),
		heavy(one("endless hints", seguratest.EndlessEarlyHints(), unexpected, unreachable, invalidResponse, upstreamTimeout, deadline)),
	}
}

// tokenReplies are answers of the token endpoint.
func tokenReplies() []mishap {
	one := func(name string, fault seguratest.Fault, codes ...string) mishap {
		return mishap{name: name, fault: fault, codes: codes, token: true}
	}
	return []mishap{
		one("no expires_in", seguratest.TokenExpiresIn(""), authentication),
		one("expires_in 0", seguratest.TokenExpiresIn("0"), authentication),
		one("expires_in -1", seguratest.TokenExpiresIn("-1"), authentication),
		one("expires_in 1", seguratest.TokenExpiresIn("1"), authentication),
		one(`expires_in "2"`, seguratest.TokenExpiresIn(`"2"`), authentication),
		one("expires_in 9e99", seguratest.TokenExpiresIn("9e99"), authentication),
		one("no token", seguratest.TokenMissing(), unexpected),
		one("a token with line breaks", seguratest.TokenWithLineBreaks(), unexpected, authentication),
		one("a token type of another kind", seguratest.TokenType(`"mac"`), unexpected),
		one("a token that nobody honours", seguratest.TokenReply(`{"token_type":"Bearer","expires_in":3600,"access_token":"stale"}`), authentication),
	}
}

// hazards are what the wires to Segura can do.
func hazards(random *rand.Rand) []hazard {
	smooth := hazard{afterDown: -1, afterUp: -1, impostor: -1}
	with := func(name string, change func(*hazard), codes ...string) hazard {
		h := smooth
		h.name, h.codes = name, codes
		change(&h)
		return h
	}
	bytes := func(n int) int { return 1 + random.IntN(n) }
	return []hazard{
		with("refused", func(h *hazard) { h.refuse = true }, unreachable),
		with("silent", func(h *hazard) { h.silent = true }, upstreamTimeout, unreachable, deadline),
		with("30 ms late", func(h *hazard) { h.delay = 30 * time.Millisecond }, upstreamTimeout, deadline),
		with("250 ms late", func(h *hazard) { h.delay = 250 * time.Millisecond }, upstreamTimeout, deadline),
		with("slow", func(h *hazard) { h.slow = 10 * time.Millisecond }, upstreamTimeout, deadline),
		with("cut in the handshake", func(h *hazard) { h.afterDown = bytes(1200) }, unreachable),
		with("cut later", func(h *hazard) { h.afterDown = 1200 + bytes(4000) }, unreachable, invalidResponse),
		with("cut on the way up", func(h *hazard) { h.afterUp = bytes(2500) }, unreachable, invalidResponse),
		with("stalled in the handshake", func(h *hazard) { h.afterDown, h.strike = bytes(1200), stall }, upstreamTimeout, unreachable, deadline),
		with("stalled later", func(h *hazard) { h.afterDown, h.strike = 1200+bytes(4000), stall }, upstreamTimeout, unreachable, deadline),
		with("stalled on the way up", func(h *hazard) { h.afterUp, h.strike = bytes(2500), stall }, upstreamTimeout, unreachable, deadline),
		with("corrupted", func(h *hazard) { h.afterDown, h.strike = bytes(4000), corrupt }, unreachable, invalidResponse, upstreamTimeout, deadline),
		with("corrupted on the way up", func(h *hazard) { h.afterUp, h.strike = bytes(2500), corrupt }, unreachable, invalidResponse, upstreamTimeout, deadline),
	}
}

// deceptions lead to a server that must not be talked to.
func deceptions() []hazard {
	var all []hazard
	for i, one := range impostors {
		all = append(all, hazard{name: one.name, codes: []string{unreachable}, afterDown: -1, afterUp: -1, impostor: i})
	}
	return all
}

// awsTrouble are faults of Secrets Manager, and whether an identifier that fails
// because of it is worth another try.
var awsTrouble = map[secretsmanager.Fault]bool{
	secretsmanager.Throttling: true, secretsmanager.InternalError: true, secretsmanager.Unavailable: true,
	secretsmanager.AccessDenied: false, secretsmanager.KeyAccessDenied: false, secretsmanager.ResourceNotFound: false,
	secretsmanager.MarkedForDeletion: false, secretsmanager.DecryptionFailure: false, secretsmanager.SignatureMismatch: false,
	secretsmanager.ExpiredToken: false, secretsmanager.InvalidToken: false,
	secretsmanager.Hang: true, secretsmanager.Reset: true, secretsmanager.Garbage: false, secretsmanager.NoValue: false,
	secretsmanager.CutShort: true, secretsmanager.GiantBody: false,
}

// brokenDocuments are contents of the AWS secret that cannot be used.
var brokenDocuments = []string{
	"", "{", "null", "[]", `"text"`, "{}", `{"base_url":"http://127.0.0.1","client_id":"a","client_secret":"b"}`,
	`{"base_url":"https://127.0.0.1:1/","client_id":"","client_secret":"b"}`,
	`{"base_url":"https://127.0.0.1:1/","client_id":"a","client_secret":"b","ca_certificate":"none"}`,
	`{"base_url":"https://127.0.0.1:1/","client_id":"a","client_secret":"b","enable_path":"/api/mysafe/password/active/{identifier}"}`,
	`{"base_url":"https://127.0.0.1:1/","client_id":"a","client_secret":"b","enable_path":"/%61pi/mysafe/%70assword/active/{identifier}"}`,
	`{"base_url":"https://127.0.0.1:1/","client_id":"a","client_id":"a","client_secret":"b"}`,
}
