package acceptance

import (
	"slices"
	"strings"
	"testing"

	"segura-enable/simulated/seguratest"
	"segura-enable/simulated/stage"
)

// reading is one row of the table of codes: a reply, and what it comes to.
type reading struct {
	about      string
	reply      seguratest.Fault
	code       string // several, separated by |, where more than one reading is fair
	retryable  bool
	seguraCode int
	httpStatus int
}

// envelopes are replies that say the same in every generation.
func envelopes() []reading {
	const (
		notFound      = "1005: Api secret not found"
		noAccess      = "1006: User does not have access"
		notAuthorized = "You are not authorized to access this resource"
		rateLimit     = "API rate limit exceeded"
	)
	return []reading{
		{"Segura's 1005", seguratest.NotFound1005(), "not_found", false, 1005, 400},
		{"Segura's 1005 without an exception", seguratest.NotFound1005WithoutException(), "not_found", false, 1005, 400},
		{"Segura's 1005 under HTTP 200", seguratest.EnvelopeException(200, 400, notFound, 1005, notFound), "not_found", false, 1005, 400},
		{"Segura's 1005 under HTTP 200 without an exception", seguratest.Envelope(200, 400, notFound), "not_found", false, 1005, 400},
		{"Segura's 1006", seguratest.AccessDenied1006(), "access_denied", false, 1006, 400},
		{"Segura's 1006 without an exception", seguratest.AccessDenied1006WithoutException(), "access_denied", false, 1006, 400},
		{"Segura's 1006 under HTTP 200", seguratest.EnvelopeException(200, 400, noAccess, 1006, noAccess), "access_denied", false, 1006, 400},
		{"a code that nobody listed", seguratest.EnvelopeException(400, 400, "1099: Something new", 1099, "1099: Something new"), "unexpected_response", false, 1099, 400},
		{"a code that nobody listed, without an exception", seguratest.Envelope(400, 400, "1099: Something new"), "unexpected_response", false, 1099, 400},
		{"a 400 without a code", seguratest.Envelope(400, 400, "Bad things"), "unexpected_response", false, 0, 400},
		{"not authorized, 400", seguratest.NotAuthorized(400), "access_denied", false, 0, 400},
		{"not authorized, 401", seguratest.NotAuthorized(401), "access_denied", false, 0, 401},
		{"not authorized, 403", seguratest.NotAuthorized(403), "access_denied", false, 0, 403},
		{"not authorized, 404", seguratest.NotAuthorized(404), "access_denied", false, 0, 404},
		{"not authorized, 500", seguratest.NotAuthorized(500), "access_denied", false, 0, 500},
		{"not authorized, 403 under HTTP 200", seguratest.Envelope(200, 403, notAuthorized), "access_denied", false, 0, 403},
		{"Unexpected error.", seguratest.Unexpected500(), "upstream_error", true, 0, 500},
		{"Unexpected error. under HTTP 200", seguratest.Envelope(200, 500, "Unexpected error."), "upstream_error", true, 0, 500},
		{"a 500 with an exception of code 400 in Portuguese", seguratest.PortugueseException500(), "upstream_error", true, 0, 500},
		{"a 503 of Segura's", seguratest.Envelope(503, 503, "Service unavailable"), "upstream_error", true, 0, 503},
		{"a rate limit in an envelope", seguratest.Envelope(429, 429, rateLimit), "rate_limited", true, 0, 429},
		{"a rate limit under HTTP 200", seguratest.Envelope(200, 429, rateLimit), "rate_limited", true, 0, 429},
		{"a 500 that calls itself a success", seguratest.Envelope(500, 200, "Api secret activated successfully"), "upstream_error", true, 0, 500},
		{"a password activated", seguratest.PasswordActivated(), "unexpected_response", false, 0, 200},
		{"a 404 of Segura's that is about no token", seguratest.Envelope(404, 404, "Not found"), "unexpected_response", false, 0, 404},
	}
}

// gateways are replies of what stands in front of Segura.
func gateways() []reading {
	success := `{"code":200,"response":{"status":200,"message":"Api secret activated successfully","error":false}}`
	return []reading{
		{"an address that is not allowed", seguratest.GatewayForbiddenIP403(), "access_denied", false, 0, 403},
		{"another 403 of the gateway's", seguratest.Gateway(403, "You cannot consume this service"), "access_denied", false, 0, 403},
		{"a 403 as a web page", seguratest.HTML(403), "access_denied", false, 0, 403},
		{"not authorized in the gateway's format, 401", seguratest.Gateway(401, "You are not authorized to access this resource"), "access_denied", false, 0, 401},
		{"not authorized as plain text", seguratest.Reply(403, "text/plain", "You are not authorized to access this resource\n"), "access_denied", false, 0, 403},
		{"the gateway's 429", seguratest.Gateway429(), "rate_limited", true, 0, 429},
		{"the gateway's 429 as plain text", seguratest.Reply(429, "text/plain; charset=utf-8", "API rate limit exceeded\nrequest_id: 0123456789abcdef\n"), "rate_limited", true, 0, 429},
		{"a 429 without a body", seguratest.Empty(429), "rate_limited", true, 0, 429},
		{"the gateway's 500", seguratest.Gateway500(), "upstream_error", true, 0, 500},
		{"the gateway's 503", seguratest.Gateway503(), "upstream_error", true, 0, 503},
		{"the gateway's 503 as plain text", seguratest.Reply(503, "text/plain; charset=utf-8", "failure to get a peer from the ring-balancer\nrequest_id: 0123456789abcdef\n"), "upstream_error", true, 0, 503},
		{"a 500 as a web page", seguratest.HTML(500), "upstream_error", true, 0, 500},
		{"a 503 without a body", seguratest.Empty(503), "upstream_error", true, 0, 503},
		{"a 501", seguratest.Empty(501), "upstream_error", true, 0, 501},
		{"a 520", seguratest.HTML(520), "upstream_error", true, 0, 520},
		{"a 599 of garbage", seguratest.Reply(599, "application/json", "\x00\x01{{{"), "upstream_error", true, 0, 599},
		{"the gateway's 502", seguratest.Gateway502(), "upstream_invalid_response", true, 0, 502},
		{"the gateway's 502 as plain text", seguratest.Reply(502, "text/plain; charset=utf-8", "An invalid response was received from the upstream server\nrequest_id: 0123456789abcdef\n"), "upstream_invalid_response", true, 0, 502},
		{"a 502 as a web page", seguratest.HTML(502), "upstream_invalid_response", true, 0, 502},
		{"a 502 without a body", seguratest.Empty(502), "upstream_invalid_response", true, 0, 502},
		{"the gateway's 504", seguratest.Gateway504(), "upstream_timeout", true, 0, 504},
		{"the gateway's 504 as plain text", seguratest.Reply(504, "text/plain; charset=utf-8", "The upstream server is timing out\nrequest_id: 0123456789abcdef\n"), "upstream_timeout", true, 0, 504},
		{"a 504 as a web page", seguratest.HTML(504), "upstream_timeout", true, 0, 504},
		{"a 504 without a body", seguratest.Empty(504), "upstream_timeout", true, 0, 504},
		{"a web page instead of Segura", seguratest.HTML(200), "unexpected_response", false, 0, 200},
		{"a 404 as a web page", seguratest.HTML(404), "unexpected_response", false, 0, 404},
		{"a 404 without a body", seguratest.Empty(404), "unexpected_response", false, 0, 404},
		{"a 405", seguratest.Gateway(405, "Method not allowed"), "unexpected_response", false, 0, 405},
		{"a 418", seguratest.Empty(418), "unexpected_response", false, 0, 418},
		{"a 200 without a body", seguratest.Empty(200), "unexpected_response", false, 0, 200},
		{"a 204", seguratest.Empty(204), "unexpected_response", false, 0, 204},
		{"a 201 with the body of a success", seguratest.ReplyJSON(201, success), "unexpected_response", false, 0, 201},
		{"a 202 with the body of a success", seguratest.ReplyJSON(202, success), "unexpected_response", false, 0, 202},
		{"a 301 with the body of a success", seguratest.ReplyJSON(301, success), "unexpected_response", false, 0, 301},
		{"bytes that are no text", seguratest.Binary(), "unexpected_response", false, 0, 200},
		{"JSON null", seguratest.ReplyJSON(200, "null"), "unexpected_response", false, 0, 200},
		{"a JSON array", seguratest.ReplyJSON(200, "[]"), "unexpected_response", false, 0, 200},
		{"a JSON array around a success", seguratest.ReplyJSON(200, "["+success+"]"), "unexpected_response", false, 0, 200},
		{"an empty JSON object", seguratest.ReplyJSON(200, "{}"), "unexpected_response", false, 0, 200},
		{"a response that is null", seguratest.ReplyJSON(200, `{"code":200,"response":null}`), "unexpected_response", false, 0, 200},
		{"a message that is no text", seguratest.ReplyJSON(200, `{"code":200,"response":{"status":200,"message":{"activated":"Api secret"},"error":false}}`), "unexpected_response", false, 0, 200},
		{"a success that calls itself an error", seguratest.ReplyJSON(200, `{"code":200,"response":{"status":200,"message":"Api secret activated successfully","error":true}}`), "unexpected_response", false, 0, 200},
		{"a success with an error's status inside", seguratest.ReplyJSON(200, `{"code":200,"response":{"status":400,"message":"Api secret activated successfully","error":false}}`), "unexpected_response", false, 0, 400},
		{"a success with an error's code outside", seguratest.ReplyJSON(200, `{"code":400,"response":{"status":200,"message":"Api secret activated successfully","error":false}}`), "unexpected_response", false, 0, 400},
		{"an exception with a message in another language", seguratest.ReplyJSON(400, `{"code":400,"response":{"status":400,"message":"Nao encontrado","error":true},"exception":{"code":1005,"message":"Nao encontrado","detail":null}}`), "not_found", false, 1005, 400},
		{"an exception's code as a string", seguratest.ReplyJSON(400, `{"response":{"status":"400","message":"x","error":"true"},"exception":{"code":"1005","message":"x"}}`), "not_found", false, 1005, 400},
		{"an exception's code that differs from the number in front of the message", seguratest.ReplyJSON(400, `{"response":{"status":400,"message":"1006: User does not have access","error":true},"exception":{"code":400,"message":"Requisicao invalida"}}`), "access_denied", false, 1006, 400},
		{"a 307 to the same place", seguratest.Redirect(307, "https://127.0.0.1:1/elsewhere"), "unexpected_response", false, 0, 307},
		{"a 302 to a login page", seguratest.Redirect(302, "/login"), "unexpected_response", false, 0, 302},
		{"a 308", seguratest.Redirect(308, "/elsewhere"), "unexpected_response", false, 0, 308},
	}
}

var generations = []struct {
	name string
	seguratest.Generation
}{
	{"newest", seguratest.Newest}, {"3.32", seguratest.V332}, {"minimal", seguratest.Minimal},
	{"capital Message", seguratest.CapitalMessage}, {"with tenant", seguratest.WithTenant}, {"numbers as strings", seguratest.NumbersAsStrings},
}

var actions = []struct {
	name              string
	kind              seguratest.Kind
	outcome, repeated string
}{
	{"enable", seguratest.KindEnable, "enabled", "already_enabled"},
	{"disable", seguratest.KindDisable, "disabled", "already_disabled"},
}

// play has one identifier answered as the row says and compares what comes out.
func (r reading) play(t *testing.T, w *world, action string, kind seguratest.Kind, identifier int64, attempts int) {
	t.Helper()
	if !r.retryable {
		attempts = 1
	}
	w.segura.Fail(seguratest.Match{Kind: kind, Identifier: identifier}, r.reply, attempts)
	inv := w.invoke(list(action, identifier))
	about := action + ": " + r.about
	if len(inv.result.Results) != 1 {
		t.Fatalf("%s: got %s", about, inv.text)
	}
	r.compare(t, w, about, inv.result.Results[0], attempts)
	if n := w.segura.CountFor(kind, identifier); n != attempts {
		t.Errorf("%s: got %d calls, want %d", about, n, attempts)
	}
	wantType := "Segura.PermanentError"
	if r.retryable {
		wantType = "Segura.TransientError"
	}
	if inv.ErrorType != wantType {
		t.Errorf("%s: got errorType %q, want %q", about, inv.ErrorType, wantType)
	}
	w.segura.ClearFaults()
}

func (r reading) compare(t *testing.T, w *world, about string, got stage.Item, attempts int) {
	t.Helper()
	codes := strings.Split(r.code, "|")
	if got.Error == nil || got.Outcome != "failed" {
		t.Errorf("%s: got %s, want failed with %s", about, got.Outcome, r.code)
		return
	}
	code := codes[0]
	if slices.Contains(codes, got.Error.Code) {
		code = got.Error.Code
	}
	is(t, got, about, "failed", code, r.retryable, attempts)
	if got.Error.SeguraCode != r.seguraCode {
		t.Errorf("%s: got segura_code %d, want %d", about, got.Error.SeguraCode, r.seguraCode)
	}
	if got.Error.HTTPStatus != r.httpStatus {
		t.Errorf("%s: got http_status %d, want %d", about, got.Error.HTTPStatus, r.httpStatus)
	}
	if r.httpStatus == 0 {
		return
	}
	requests := w.segura.Requests()
	if last := requests[len(requests)-1]; got.Error.UpstreamRequestID != last.ID {
		t.Errorf("%s: got upstream_request_id %q, want the one of X-Kong-Request-Id, %q", about, got.Error.UpstreamRequestID, last.ID)
	}
}

func TestCodes_areReadFromEveryGenerationOfEnvelope(t *testing.T) {
	t.Parallel()
	w := start(t, setup{
		segura: seguratest.Options{AnyIdentifier: true},
		env:    map[string]string{"SEGURA_MAX_ATTEMPTS": "2"},
	})
	identifier := int64(1000)
	for _, action := range actions {
		for _, generation := range generations {
			if action.name == "disable" && generation.Generation > seguratest.V332 {
				continue // the envelope is the same
			}
			w.segura.SetGeneration(generation.Generation)
			for _, row := range envelopes() {
				identifier++
				row.about += ", " + generation.name
				row.play(t, w, action.name, action.kind, identifier, 2)
			}
		}
	}
}

func TestCodes_areReadFromEveryReplyOfTheGateway(t *testing.T) {
	t.Parallel()
	w := start(t, setup{
		segura: seguratest.Options{AnyIdentifier: true},
		env:    map[string]string{"SEGURA_MAX_ATTEMPTS": "2"},
	})
	identifier := int64(1000)
	for _, action := range actions {
		for _, row := range gateways() {
			identifier++
			row.play(t, w, action.name, action.kind, identifier, 2)
		}
	}
}
