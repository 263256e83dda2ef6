package segura_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"segura-enable/internal/apisecret"
	"segura-enable/simulated/seguratest"
)

// in is the newest envelope with this message and no error.
func in(message string) string {
	return fmt.Sprintf(`{"code":200,"response":{"status":200,"message":%q,"error":false,"error_code":0,"detail":"","mensagem":%q,"erro":false,"cod_erro":0}}`, message, message)
}

const activated = "Api secret activated successfully"

func refusedWith(status int) verdict {
	return verdict{apisecret.Failed, apisecret.AuthenticationFailed, false, 0, status}
}

func unexpected(status int) verdict {
	return verdict{apisecret.Failed, apisecret.UnexpectedResponse, false, 0, status}
}

func denied(seguraCode, status int) verdict {
	return verdict{apisecret.Failed, apisecret.AccessDenied, false, seguraCode, status}
}

func transient(code apisecret.Code, status int) verdict {
	return verdict{apisecret.Failed, code, true, 0, status}
}

// What a reply to a call that enables means: the one table.
func TestDo_readsEveryReply(t *testing.T) {
	json := seguratest.ReplyJSON
	text := func(status int, body string) seguratest.Fault { return seguratest.Reply(status, "text/plain", body) }
	notFound := verdict{apisecret.Failed, apisecret.NotFound, false, 1005, 400}
	server, client := start(t, seguratest.Options{})
	token := mustToken(t, client)
	for _, row := range []struct {
		name  string
		reply seguratest.Fault
		want  verdict
	}{
		{"enabled", json(200, in(activated)), succeeded(apisecret.Enabled)},
		{"already", json(200, in("Api secret has already been activated")), succeeded(apisecret.AlreadyEnabled)},
		{"two spaces", json(200, in("API secret  successfully activated")), succeeded(apisecret.Enabled)},
		{"other case and white space", json(200, in(" api\tSECRET\n has ALREADY been\u00a0Activated. ")), succeeded(apisecret.AlreadyEnabled)},
		{"fields missing", json(200, `{"response":{"status":200,"message":"`+activated+`","error":false}}`), succeeded(apisecret.Enabled)},
		{"fields added", json(200, `{"x":[],"response":{"status":200,"message":"`+activated+`","error":false,"y":null,"tenant":"a"},"exception":null}`), succeeded(apisecret.Enabled)},
		{"numbers as strings", json(200, `{"code":"200","response":{"status":"200","message":"`+activated+`","error":"false","error_code":"0"}}`), succeeded(apisecret.Enabled)},
		{"error flag as a number", json(200, `{"code":200,"response":{"status":200,"message":"`+activated+`","error":0}}`), succeeded(apisecret.Enabled)},
		{"an error_code means nothing", json(200, `{"code":200,"response":{"status":200,"message":"`+activated+`","error":false,"error_code":7,"cod_erro":9}}`), succeeded(apisecret.Enabled)},
		{"mensagem only", json(200, `{"response":{"status":200,"error":false,"mensagem":"`+activated+`"}}`), succeeded(apisecret.Enabled)},
		{"Message for mensagem", json(200, `{"response":{"status":200,"error":false,"Message":"`+activated+`"}}`), succeeded(apisecret.Enabled)},
		{"an empty message before mensagem", json(200, `{"response":{"status":200,"error":false,"message":"","mensagem":"`+activated+`"}}`), succeeded(apisecret.Enabled)},
		{"of the wrong content type", seguratest.Reply(200, "text/html", in(activated)), succeeded(apisecret.Enabled)},
		{"without content type", seguratest.Reply(200, "", in(activated)), succeeded(apisecret.Enabled)},
		{"with a byte order mark", json(200, "\ufeff"+in(activated)), succeeded(apisecret.Enabled)},
		{"with white space around", json(200, "\r\n "+in(activated)+" \n"), succeeded(apisecret.Enabled)},

		{"a password", seguratest.PasswordActivated(), unexpected(200)},
		{"without the envelope", json(200, `{"message":"`+activated+`"}`), unexpected(200)},
		{"the envelope's members without it", json(200, `{"status":200,"message":"`+activated+`","error":false}`), unexpected(200)},
		{"an envelope that is no object", json(200, `{"code":200,"response":"`+activated+`","message":"`+activated+`"}`), unexpected(200)},
		{"in plain text", text(200, activated), unexpected(200)},
		{"as a JSON string", json(200, `"`+activated+`"`), unexpected(200)},
		{"in the detail only", json(200, `{"code":200,"response":{"status":200,"detail":"`+activated+`","error":false}}`), unexpected(200)},
		{"no message", json(200, `{"code":200,"response":{"status":200,"error":false}}`), unexpected(200)},
		{"a message that is no string", json(200, `{"code":200,"response":{"status":200,"message":{"a":"`+activated+`"},"error":false}}`), unexpected(200)},
		{"flagged an error", json(200, `{"code":200,"response":{"status":200,"message":"`+activated+`","error":true}}`), unexpected(200)},
		{"flagged in Portuguese", json(200, `{"code":200,"response":{"status":200,"message":"`+activated+`","error":false,"erro":true}}`), unexpected(200)},
		{"flagged by a string", json(200, `{"code":200,"response":{"status":200,"message":"`+activated+`","error":"true"}}`), unexpected(200)},
		{"flagged by a number", json(200, `{"code":200,"response":{"status":200,"message":"`+activated+`","error":1}}`), unexpected(200)},
		{"with an exception", json(200, `{"code":200,"response":{"status":200,"message":"`+activated+`","error":false},"exception":{"code":0,"message":"x"}}`), unexpected(200)},
		{"another status within", json(200, `{"code":200,"response":{"status":202,"message":"`+activated+`","error":false}}`), unexpected(200)},
		{"another code outside", json(200, `{"code":201,"response":{"status":200,"message":"`+activated+`","error":false}}`), unexpected(200)},
		{"an error's code outside", json(200, `{"code":400,"response":{"status":200,"message":"`+activated+`","error":false}}`), unexpected(400)},
		{"a status that is no number", json(200, `{"code":200,"response":{"status":"fine","message":"`+activated+`","error":false}}`), unexpected(200)},
		{"a repeated name", json(200, `{"code":200,"response":{"status":200,"message":"x","message":"`+activated+`","error":false}}`), unexpected(200)},
		{"two envelopes", json(200, in(activated)+in(activated)), unexpected(200)},
		{"201", json(201, in(activated)), unexpected(201)},
		{"202", json(202, in(activated)), unexpected(202)},
		{"204", seguratest.Empty(204), unexpected(204)},
		{"206", json(206, in(activated)), unexpected(206)},
		{"301", json(301, in(activated)), unexpected(301)},
		{"304", seguratest.Empty(304), unexpected(304)},
		{"400 with a success within", json(400, in(activated)), unexpected(400)},
		{"500 with a success within", json(500, in(activated)), transient(apisecret.UpstreamError, 500)},

		{"1005", seguratest.NotFound1005(), notFound},
		{"1005 without exception", seguratest.NotFound1005WithoutException(), notFound},
		{"1005 in a 200", seguratest.EnvelopeException(200, 400, "1005: Api secret not found", 1005, "1005: Api secret not found"), notFound},
		{"1005 in a 200 without exception", seguratest.Envelope(200, 400, "1005: Api secret not found"), notFound},
		{"1005 as a string", json(400, `{"code":"400","response":{"status":"400","message":"x","error":true},"exception":{"code":"1005","message":"y"}}`), notFound},
		{"1005 in the envelope's exception", json(400, `{"response":{"status":400,"message":"x","error":true,"exception":{"code":1005}}}`), notFound},
		{"1005 in front of the exception's message", json(400, `{"response":{"status":400,"message":"x","error":true},"exception":{"code":400,"message":"1005: Api secret not found"}}`), notFound},
		{"1005 in mensagem", json(400, `{"response":{"status":400,"message":"Error","error":true,"mensagem":"1005: Api secret not found"}}`), notFound},
		{"1006", seguratest.AccessDenied1006(), denied(1006, 400)},
		{"1006 without exception", seguratest.AccessDenied1006WithoutException(), denied(1006, 400)},
		{"1006 in a 200", seguratest.Envelope(200, 400, "1006: User does not have access"), denied(1006, 400)},
		{"a code nobody listed", seguratest.EnvelopeException(400, 400, "1234: Whatever", 1234, "1234: Whatever"), verdict{apisecret.Failed, apisecret.UnexpectedResponse, false, 1234, 400}},
		{"a code nobody listed in a 500", seguratest.Envelope(500, 500, "1234: Whatever"), verdict{apisecret.Failed, apisecret.UpstreamError, true, 1234, 500}},
		{"a number that is no code", seguratest.Envelope(400, 400, "10050: Whatever"), unexpected(400)},
		{"a number in the middle", seguratest.Envelope(400, 400, "Whatever 1005: x"), unexpected(400)},
		{"a number below the codes", seguratest.Envelope(400, 400, "0404: Whatever"), unexpected(400)},
		{"a year", seguratest.Envelope(400, 400, "100500"), unexpected(400)},
		{"500 with a code that is a status", seguratest.PortugueseException500(), transient(apisecret.UpstreamError, 500)},
		{"500", seguratest.Unexpected500(), transient(apisecret.UpstreamError, 500)},
		{"500 in a 200", seguratest.Envelope(200, 500, "Unexpected error."), transient(apisecret.UpstreamError, 500)},
		{"a 400 with another text", seguratest.Envelope(400, 400, "Invalid parameter"), unexpected(400)},
		{"a 400 in a 200", seguratest.Envelope(200, 400, "Invalid parameter"), unexpected(400)},
		{"a 302 in a 200", seguratest.Envelope(200, 302, "Moved"), unexpected(302)},
		{"a status beyond HTTP's in a 200", seguratest.Envelope(200, 600, "Whatever"), unexpected(200)},
		{"a 503 of Segura's", seguratest.Envelope(503, 503, "Service unavailable"), transient(apisecret.UpstreamError, 503)},
		{"a 404 of Segura's that is about no token", seguratest.Envelope(404, 404, "Not found"), unexpected(404)},
		{"1006 as the error_code with 1005 in the message", json(400, `{"code":400,"response":{"status":400,"message":"1005: Api secret not found","error":true,"error_code":1006,"cod_erro":1006}}`), notFound},
		{"1005 as the error_code only", json(400, `{"code":400,"response":{"status":400,"message":"Something","error":true,"error_code":1005,"cod_erro":1005}}`), unexpected(400)},

		{"not authorized in 401", seguratest.NotAuthorized(401), denied(0, 401)},
		{"not authorized in 403", seguratest.NotAuthorized(403), denied(0, 403)},
		{"not authorized in 404", seguratest.NotAuthorized(404), denied(0, 404)},
		{"not authorized in 500", seguratest.NotAuthorized(500), denied(0, 500)},
		{"not authorized in 429", seguratest.NotAuthorized(429), denied(0, 429)},
		{"not authorized in 200", seguratest.Envelope(200, 401, "You are not authorized to access this resource"), denied(0, 401)},
		{"not authorized in 200 throughout", json(200, in("You are not authorized to access this resource")), denied(0, 200)},
		{"not authorized from the gateway", seguratest.Gateway(401, "You are not authorized to access this resource"), denied(0, 401)},
		{"not authorized in other case and spacing", json(400, `{"response":{"status":400,"message":"you are  NOT authorized to\naccess this resource.","error":true}}`), denied(0, 400)},
		{"address not allowed", seguratest.GatewayForbiddenIP403(), denied(0, 403)},
		{"403 in HTML", seguratest.HTML(403), denied(0, 403)},
		{"403 in a 200", seguratest.Envelope(200, 403, "Forbidden"), denied(0, 403)},
		{"another 403 of the gateway's", seguratest.Gateway(403, "You cannot consume this service"), denied(0, 403)},
		{"not authorized in plain text", text(403, "You are not authorized to access this resource\n"), denied(0, 403)},

		{"no route", seguratest.GatewayNoRoute404(), refusedWith(404)},
		{"refused token", seguratest.TokenRefused(seguratest.RefusedAuthentication), refusedWith(401)},
		{"inactive token", seguratest.TokenRefused(seguratest.RefusedInactive), refusedWith(401)},
		{"refused token in a 200", seguratest.TokenRefused(seguratest.RefusedAuthenticationAs200), refusedWith(401)},
		{"inactive token in a 200", seguratest.TokenRefused(seguratest.RefusedInactiveAs200), refusedWith(401)},
		{"refused token in a 400", seguratest.Envelope(400, 400, "Client authentication failed"), refusedWith(400)},
		{"inactive token in a 400", seguratest.Envelope(400, 400, "Inactive authorization"), refusedWith(400)},
		{"any 401", seguratest.HTML(401), refusedWith(401)},
		{"401 without a body", seguratest.Empty(401), refusedWith(401)},

		{"429", seguratest.Gateway429(), transient(apisecret.RateLimited, 429)},
		{"429 in HTML", seguratest.HTML(429), transient(apisecret.RateLimited, 429)},
		{"429 in a 200", seguratest.Envelope(200, 429, "Too many requests"), transient(apisecret.RateLimited, 429)},
		{"429 in an envelope", seguratest.Envelope(429, 429, "API rate limit exceeded"), transient(apisecret.RateLimited, 429)},
		{"429 without a body", seguratest.Empty(429), transient(apisecret.RateLimited, 429)},
		{"501", seguratest.Empty(501), transient(apisecret.UpstreamError, 501)},
		{"502 without a body", seguratest.Empty(502), transient(apisecret.UpstreamInvalidResponse, 502)},
		{"503 without a body", seguratest.Empty(503), transient(apisecret.UpstreamError, 503)},
		{"520 in HTML", seguratest.HTML(520), transient(apisecret.UpstreamError, 520)},
		{"599 of garbage", json(599, "\x00\x01{{{"), transient(apisecret.UpstreamError, 599)},
		{"gateway's 500", seguratest.Gateway500(), transient(apisecret.UpstreamError, 500)},
		{"gateway's 502", seguratest.Gateway502(), transient(apisecret.UpstreamInvalidResponse, 502)},
		{"a gateway's words for a 502 in a 500", seguratest.Gateway(500, "An invalid response was received from the upstream server"), transient(apisecret.UpstreamInvalidResponse, 500)},
		{"a gateway's words for a 504 in a 500", seguratest.Gateway(500, "The upstream server is timing out"), transient(apisecret.UpstreamTimeout, 500)},
		{"a gateway's words for a 429 in a 403", seguratest.Gateway(403, "API rate limit exceeded"), transient(apisecret.RateLimited, 403)},
		{"gateway's 503", seguratest.Gateway503(), transient(apisecret.UpstreamError, 503)},
		{"gateway's 504", seguratest.Gateway504(), transient(apisecret.UpstreamTimeout, 504)},
		{"502 in HTML", seguratest.HTML(502), transient(apisecret.UpstreamInvalidResponse, 502)},
		{"503 in HTML", seguratest.HTML(503), transient(apisecret.UpstreamError, 503)},
		{"504 in HTML", seguratest.HTML(504), transient(apisecret.UpstreamTimeout, 504)},
		{"504 without a body", seguratest.Empty(504), transient(apisecret.UpstreamTimeout, 504)},
		{"502 in a 200", seguratest.Envelope(200, 502, "Bad gateway"), transient(apisecret.UpstreamInvalidResponse, 502)},
		{"504 in a 200", seguratest.Envelope(200, 504, "Late"), transient(apisecret.UpstreamTimeout, 504)},
		{"408", seguratest.HTML(408), transient(apisecret.UpstreamTimeout, 408)},
		{"408 in a 200", seguratest.Envelope(200, 408, "Late"), transient(apisecret.UpstreamTimeout, 408)},
		{"421", seguratest.Empty(421), transient(apisecret.UpstreamError, 421)},
		{"425", seguratest.Empty(425), transient(apisecret.UpstreamError, 425)},
		{"nginx, no client certificate", seguratest.Reply(400, "text/html", "<html>\r\n<head><title>400 No required SSL certificate was sent</title></head>\r\n<body>"), verdict{apisecret.Failed, apisecret.UpstreamUnreachable, false, 0, 400}},
		{"nginx, a wrong client certificate", seguratest.Reply(400, "text/html", "<html><head><title>400 The SSL certificate error</title></head>"), verdict{apisecret.Failed, apisecret.UpstreamUnreachable, false, 0, 400}},
		{"1005 behind a warning of PHP", seguratest.Reply(400, "text/html", "<br />\n<b>Warning</b>: Undefined index {x in /a.php<br />\n"), unexpected(400)},
		{"1005 among warnings of PHP", seguratest.Reply(400, "text/html", "<br />\n<b>Warning</b>: x in <b>/a.php</b><br />\n"+`{"code":400,"response":{"status":400,"message":"1005: Api secret not found","error":true}}`+"\n<br />"), notFound},
		{"1006 behind a notice", text(400, `Notice: y {"response":{"status":400,"message":"1006: User does not have access","error":true}}`), denied(1006, 400)},
		{"a page about certificates with data in it", seguratest.Reply(400, "text/html", `<html><title>400 No required SSL certificate was sent</title><script>{"a":1}</script></html>`), verdict{apisecret.Failed, apisecret.UpstreamUnreachable, false, 0, 400}},
		{"1005 in front of a warning of PHP", json(400, `{"code":400,"response":{"status":400,"message":"1005: Api secret not found","error":true}}`+"\nWarning: x in /a.php on line 5\n"), notFound},
		{"1005 in front of what may be another object", json(400, `{"code":400,"response":{"status":400,"message":"1005: Api secret not found","error":true}} {"code"`), unexpected(400)},
		{"a success in front of a warning", json(200, in(activated)+"\nWarning: x in /a.php on line 5\n"), unexpected(200)},
		{"two objects among warnings", text(400, `w {"response":{"message":"1005: x"}} w {"response":{"message":"1006: x"}}`), unexpected(400)},
		{"a success behind a warning", seguratest.Reply(200, "text/html", "<br />\n"+in(activated)), unexpected(200)},
		{"a success behind a notice", text(200, "Notice: "+in(activated)), unexpected(200)},

		{"507", seguratest.Empty(507), transient(apisecret.UpstreamError, 507)},
		{"599", seguratest.Empty(599), transient(apisecret.UpstreamError, 599)},

		{"plain text, no route", text(404, "no Route matched with those values\nrequest_id: abc\n"), refusedWith(404)},
		{"plain text, 502", text(502, "An invalid response was received from the upstream server\nrequest_id: abc"), transient(apisecret.UpstreamInvalidResponse, 502)},
		{"plain text, 429", text(429, "API rate limit exceeded\n"), transient(apisecret.RateLimited, 429)},
		{"plain text, 503", text(503, "failure to get a peer from the ring-balancer\nrequest_id: abc\n"), transient(apisecret.UpstreamError, 503)},
		{"plain text, 504", text(504, "The upstream server is timing out\nrequest_id: abc\n"), transient(apisecret.UpstreamTimeout, 504)},

		{"cut JSON", seguratest.CutJSON(), transient(apisecret.UpstreamInvalidResponse, 200)},
		{"cut JSON in a 400", json(400, `{"response":{"status":400,"mess`), transient(apisecret.UpstreamInvalidResponse, 400)},
		{"cut JSON in a 403", json(403, `{"mess`), denied(0, 403)},
		{"cut JSON in a 503", json(503, `{"mess`), transient(apisecret.UpstreamError, 503)},
		{"cut short", seguratest.CutShort(), transient(apisecret.UpstreamInvalidResponse, 200)},
		{"cut after the JSON", seguratest.CutAfterJSON(), transient(apisecret.UpstreamInvalidResponse, 200)},
		{"cut chunked", seguratest.CutChunked(), transient(apisecret.UpstreamInvalidResponse, 200)},
		{"reset in the body", seguratest.ResetMidBody(), transient(apisecret.UpstreamInvalidResponse, 200)},
		{"empty", seguratest.Empty(200), unexpected(200)},
		{"a web page", seguratest.HTML(200), unexpected(200)},
		{"a web page that says so", seguratest.Reply(200, "text/html", "<html>"+activated+"</html>"), unexpected(200)},
		{"binary", seguratest.Binary(), unexpected(200)},
		{"an array", json(200, `["`+activated+`"]`), unexpected(200)},
		{"an array around an envelope", json(200, "["+in(activated)+"]"), unexpected(200)},
		{"an empty object", json(200, `{}`), unexpected(200)},
		{"a 404 without a body", seguratest.Empty(404), unexpected(404)},
		{"null", json(200, `null`), unexpected(200)},
		{"a number", json(200, `200`), unexpected(200)},
		{"no JSON", json(200, `{"message" = "`+activated+`"}`), unexpected(200)},
		{"a redirect", seguratest.Redirect(302, "https://example.com/"), unexpected(302)},
		{"a 404 of something else", seguratest.HTML(404), unexpected(404)},
		{"a web page that speaks of routes", seguratest.Reply(404, "text/html", "<html>no Route matched with those values</html>"), unexpected(404)},
		{"405", seguratest.Gateway(405, "Method not allowed"), unexpected(405)},
		{"a status nobody listed", seguratest.Empty(418), unexpected(418)},
		{"a status beyond HTTP's", seguratest.Empty(799), unexpected(799)},
	} {
		server.ClearFaults()
		server.Fail(enableCalls, row.reply, 1)

		answer, fault := client.Do(t.Context(), apisecret.Enable, 5, token)

		if got := verdictOf(answer, fault); got != row.want {
			t.Errorf("%s: got %+v, want %+v", row.name, got, row.want)
		}
		if fault != nil && (fault.Cause == apisecret.TokenRefused != (row.want.code == apisecret.AuthenticationFailed) || fault.Cause == apisecret.CredentialsRefused || fault.Cause == apisecret.NoReply) {
			t.Errorf("%s: got refused token %t, refused credentials %t, no reply %t", row.name, fault.Cause == apisecret.TokenRefused, fault.Cause == apisecret.CredentialsRefused, fault.Cause == apisecret.NoReply)
		}
		if fault != nil && (fault.Message == "" || strings.Contains(fault.Message, "example.com")) {
			t.Errorf("%s: got the message %q, want a sentence of our own", row.name, fault.Message)
		}
	}
	if got := len(server.Tokens()); got != 1 {
		t.Errorf("got %d tokens, want the one that was passed in to be used throughout", got)
	}
}

func TestDo_understandsEveryGeneration(t *testing.T) {
	for _, generation := range []seguratest.Generation{
		seguratest.Newest, seguratest.V332, seguratest.Minimal, seguratest.CapitalMessage, seguratest.WithTenant, seguratest.NumbersAsStrings,
	} {
		for _, older := range []bool{false, true} {
			server, client := start(t, seguratest.Options{Generation: generation, OlderGateway: older})
			token := mustToken(t, client)
			for _, row := range []struct {
				action apisecret.Action
				i      apisecret.Identifier
				want   verdict
			}{
				{apisecret.Enable, 5, succeeded(apisecret.Enabled)},
				{apisecret.Enable, 5, succeeded(apisecret.AlreadyEnabled)},
				{apisecret.Disable, 5, succeeded(apisecret.Disabled)},
				{apisecret.Disable, 5, succeeded(apisecret.AlreadyDisabled)},
				{apisecret.Enable, 6, succeeded(apisecret.AlreadyEnabled)},
				{apisecret.Enable, 7, verdict{apisecret.Failed, apisecret.NotFound, false, 1005, 400}},
				{apisecret.Disable, 7, verdict{apisecret.Failed, apisecret.NotFound, false, 1005, 400}},
				{apisecret.Enable, 8, denied(1006, 400)},
			} {
				answer, fault := client.Do(t.Context(), row.action, row.i, token)

				if got := verdictOf(answer, fault); got != row.want {
					t.Errorf("generation %d, older gateway %t, %s %d: got %+v, want %+v", generation, older, row.action, row.i, got, row.want)
				}
			}
			for _, row := range []struct {
				reply seguratest.Fault
				want  verdict
			}{
				{seguratest.Unexpected500(), transient(apisecret.UpstreamError, 500)},
				{seguratest.NotAuthorized(404), denied(0, 404)},
				{seguratest.Envelope(200, 429, "API rate limit exceeded"), transient(apisecret.RateLimited, 429)},
				{seguratest.NotFound1005WithoutException(), verdict{apisecret.Failed, apisecret.NotFound, false, 1005, 400}},
				{seguratest.Envelope(400, 400, "1099: Something new"), verdict{apisecret.Failed, apisecret.UnexpectedResponse, false, 1099, 400}},
			} {
				server.Fail(seguratest.Match{Kind: seguratest.KindDisable}, row.reply, 1)
				if got := verdictOf(client.Do(t.Context(), apisecret.Disable, 5, token)); got != row.want {
					t.Errorf("generation %d, %s: got %+v, want %+v", generation, row.reply, got, row.want)
				}
			}
			server.RevokeTokens()
			for _, style := range []seguratest.RefusalStyle{
				seguratest.RefusedByGateway, seguratest.RefusedAuthentication, seguratest.RefusedInactive,
				seguratest.RefusedAuthenticationAs200, seguratest.RefusedInactiveAs200,
			} {
				server.RefuseToken(style)
				if _, fault := client.Do(t.Context(), apisecret.Enable, 5, token); fault == nil || fault.Cause != apisecret.TokenRefused || fault.Code != apisecret.AuthenticationFailed {
					t.Errorf("generation %d, older gateway %t, refusal %d: got %+v, want a refused token", generation, older, style, fault)
				}
			}
			if got := server.PasswordsEnabled(); len(got) != 0 {
				t.Errorf("generation %d: passwords %v were enabled", generation, got)
			}
		}
	}
}

// The message alone tells what became of an API secret, so that whatever does
// not say that it is now in the state asked for is no success.
func TestDo_takesNoOtherSentenceForSuccess(t *testing.T) {
	enabled := []string{
		"Api secret activated", "Api secret was activated.", "The API secret has been activated successfully!", "«Api secret» activated",
		"API SECRET ACTIVATED", "Api-secret activated", "Activated: Api secret",
		"Apisecret activated", "Api secret 5 activated", `Api secret "5" successfully activated`, "Api\u00a0secret\u3000activated\n", "5: Api secret activated",
	}
	alreadyEnabled := []string{"Api secret already activated", "API SECRET HAS ALREADY BEEN ACTIVATED", "Api secret «5» has already been activated!", "API  secret was already activated", "Already activated: api secret"}
	disabled := []string{"Api secret deactivated", "API secret  successfully\tDEACTIVATED", "Api secret successfully deactivated", "The API secret has been DEACTIVATED."}
	alreadyDisabled := []string{"Api secret has already been deactivated", "api secret already deactivated"}
	neither := []string{
		"", "activated", "Activated successfully", "Successfully deactivated", "Api activated", "Api secret found", "Api secret is active", "Api secret ativada com sucesso",
		"Api secret could not be deactivated", "Api secret can’t be deactivated", "Api secret was never activated", "Secret activated", "Api key activated", "OK", "Success", "Api secret", "true",
		"Password successfully activated", "Password has already been activated", "Password of the api secret activated",
		"Password successfully deactivated", "Api secret password deactivated",
		"Api secret not activated", "Api secret was not activated", "Api secret has not been activated", "Api secret not successfully activated",
		"Api secret NOT\u00a0activated", "Api secret isn't activated", "Api secret isn’t activated", "Api secret wasn't activated",
		"Api secret hasn't been activated", "Api secret hasnʼt been activated", "Api secret couldn't be activated", "Api secret won't be activated",
		"Api secret cannot be activated", "Api secret can't be activated", "Api secret could not be activated", "Api secret never activated",
		"No api secret activated", "No API secret was activated", "None activated: api secret", "Neither api secret activated", "Api secret left without being activated",
		"Failed: api secret activated", "Api secret failed to be activated", "Api secret activated: error", "Unable to have api secret activated",
		"Api secret não activated", "Api secret will be activated", "Api secret must be activated", "Api secret pending, not yet activated",
		"Api secret not deactivated", "Api secret was not deactivated", "Api secret cannot be deactivated", "No api secret deactivated", "Api secret isn't deactivated",
		"Api secret activated and deactivated", "Api secret activated, then deactivated", "Api secret deactivated, not activated",
		"Api secret inactivated", "Api secret reactivated later", "Api secret is inactive", "Api secret activation", "Api secret activate",
		"Api secret enabled", "Api secretactivated", "API secrets: unactivated",
		"1005: Api secret not found",
		"Api secret can be activated after approval", "Api secret is being activated", "Api secret scheduled to be activated",
		"Api secret activated: false", "If the Api secret is activated, a mail is sent", "Api secret requested to be activated",
		"Api secret has already been activated by someone else and is now inactive", "Api secret activated until it is disabled",
		"Api secret activated, then disabled", "Api secret partially activated", "Api secret 6 activated", "Api secret #5 activated",
		"Api secret activated?", "Api secret activated soon", "Api secret to be activated", "Api secret may be activated", "Api secret is activated",
		"Api secret activated in test mode", "Api secrets activated", "Api secret activated 5 5 6", "Api secret activated (simulated)",
		"Api secret acti\u200bvated", "Api\u200b secret activated", "Api secret activated\u0000", "Api secret activated\u202e", "Api secret activated \ufffd",
		"Api secret of the api activated", "Api secret secret activated", "Api‐secret activated", "Api_secret activated", "Api secret “5” activated",
		"Api secret user activated", "User of the Api secret has been activated", "Api secret access key activated", "Api secret ativado", "Api secret aсtivated",
	}
	server, client := start(t, seguratest.Options{})
	token := mustToken(t, client)
	verdictFor := func(action apisecret.Action, message string) verdict {
		server.ClearFaults()
		server.Fail(seguratest.Match{}, seguratest.ReplyJSON(200, in(message)), 1)
		v := verdictOf(client.Do(t.Context(), action, 5, token))
		if v.code == apisecret.NotFound { // a cause of its own, and no success either
			return unexpected(200)
		}
		return v
	}
	for _, row := range []struct {
		messages        []string
		enable, disable verdict
	}{
		{enabled, succeeded(apisecret.Enabled), unexpected(200)},
		{alreadyEnabled, succeeded(apisecret.AlreadyEnabled), unexpected(200)},
		{disabled, unexpected(200), succeeded(apisecret.Disabled)},
		{alreadyDisabled, unexpected(200), succeeded(apisecret.AlreadyDisabled)},
		{neither, unexpected(200), unexpected(200)},
	} {
		for _, message := range row.messages {
			if got := verdictFor(apisecret.Enable, message); got != row.enable {
				t.Errorf("enable, %q: got %+v, want %+v", message, got, row.enable)
			}
			if got := verdictFor(apisecret.Disable, message); got != row.disable {
				t.Errorf("disable, %q: got %+v, want %+v", message, got, row.disable)
			}
		}
	}
}

// Whatever else a reply says beside a message of success: it stays one unless
// something contradicts it.
func TestDo_takesAContradictedMessageForNoSuccess(t *testing.T) {
	server, client := start(t, seguratest.Options{})
	token := mustToken(t, client)
	const inside, outside = `{"response":{"status":200,"message":"Api secret %s successfully",%s}}`, `{"response":{"status":200,"message":"Api secret %s successfully"},%s}`
	table := []struct {
		members string
		success bool
	}{
		{`"error":false`, true}, {`"error":null`, true}, {`"error":0`, true}, {`"error":0.0`, true}, {`"error":""`, true}, {`"error":" "`, true},
		{`"error":[]`, true}, {`"error":[ ]`, true}, {`"error":{}`, true}, {`"error":"False"`, true}, {`"error":"null"`, true}, {`"error":"0"`, true},
		{`"error":"[]"`, true}, {`"error":"{}"`, true}, {`"erro":false,"errors":[],"exception":null`, true}, {`"success":true`, true},
		{`"success":null`, true}, {`"success":1`, true}, {`"success":"true"`, true}, {`"error_code":7,"cod_erro":9`, true},
		{`"detail":"for the audit"`, true}, {`"mensagem":"Segredo ativado"`, true}, {`"mensagem":7`, true},
		{`"detail":"10050 rows"`, true}, {`"Message":""`, true}, {`"warning":"not of this one"`, true},

		{`"error":true`, false}, {`"error":1`, false}, {`"error":-1`, false}, {`"error":"true"`, false}, {`"error":"yes"`, false}, {`"error":"none"`, false},
		{`"error":[0]`, false}, {`"error":{"code":0}`, false}, {`"error":"E"`, false}, {`"erro":true`, false}, {`"erro":"sim"`, false},
		{`"errors":["x"]`, false}, {`"errors":"x"`, false}, {`"errors":{"a":null}`, false}, {`"exception":"x"`, false}, {`"exception":{"code":0}`, false},
		{`"exception":{"code":1005,"message":"1005: Api secret not found"}`, false}, {`"exception":true`, false},
		{`"success":false`, false}, {`"success":"false"`, false}, {`"success":0`, false}, {`"success":"0"`, false}, {`"success":""`, false},
		{`"mensagem":"Api secret not activated"`, false}, {`"mensagem":"1006: User does not have access"`, false}, {`"mensagem":"1234 x"`, false},
		{`"Message":"1005: Api secret"`, false}, {`"detail":"não ativado"`, false}, {`"detail":"It isn’t."`, false}, {`"detail":"never"`, false},
		{`"error_description":"it was not"`, false},
	}
	for action, state := range map[apisecret.Action]string{apisecret.Enable: "activated", apisecret.Disable: "deactivated"} {
		opposite := map[string]string{"activated": "Deactivated", "deactivated": "ACTIVATED"}[state]
		rows := append(table[:len(table):len(table)], []struct {
			members string
			success bool
		}{
			{`"detail":"de-activated"`, action == apisecret.Disable},
			{`"mensagem":"Api secret ` + state + `"`, true}, {`"mensagem":"Api secret 1005 ` + state + `"`, true}, {`"mensagem":"Api secret ` + opposite + `"`, false}, {`"detail":"` + opposite + `"`, false},
		}...)
		for _, row := range rows {
			want := unexpected(200)
			if row.success {
				want = succeeded(action.Changed())
			}
			for _, where := range []string{inside, outside} {
				reply := fmt.Sprintf(where, state, row.members)
				server.ClearFaults()
				server.Fail(seguratest.Match{}, seguratest.ReplyJSON(200, reply), 1)

				got := verdictOf(client.Do(t.Context(), action, 5, token))

				got.seguraCode = 0
				if got != want {
					t.Errorf("%s, %s: got %+v, want %+v", action, reply, got, want)
				}
			}
		}
	}
}

func TestDo_takesADeactivatedSpelledWithAHyphenForNoActivated(t *testing.T) {
	server, client := start(t, seguratest.Options{})
	token := mustToken(t, client)
	for _, message := range []string{"Api secret successfully de-activated", "Api secret de-activated", "Api secret in-activated", "Api secret De‐activated"} {
		server.Fail(enableCalls, seguratest.ReplyJSON(200, in(message)), 1)

		got := verdictOf(client.Do(t.Context(), apisecret.Enable, 5, token))

		if got != unexpected(200) {
			t.Errorf("%q: got %+v, want %+v", message, got, unexpected(200))
		}
	}
}

func TestDo_passesOnTheGatewaysNumberForTheRequest(t *testing.T) {
	for _, row := range []struct {
		name  string
		reply seguratest.Fault
		want  string
	}{
		{"Kong's header first", seguratest.ReplyJSON(404, `{"message":"x","request_id":"in-the-body"}`).WithHeader("X-Kong-Request-Id", "of-kong").WithHeader("X-Request-Id", "of-another"), "of-kong"},
		{"another header", seguratest.ReplyJSON(404, `{"message":"x","request_id":"in-the-body"}`).WithHeader("X-Kong-Request-Id", "").WithHeader("X-Request-Id", "of-another"), "of-another"},
		{"the body", seguratest.ReplyJSON(404, `{"message":"x","request_id":"in-the-body"}`).WithHeader("X-Kong-Request-Id", ""), "in-the-body"},
		{"plain text", seguratest.Reply(404, "text/plain", "x\nrequest_id: in-the-text\n").WithHeader("X-Kong-Request-Id", ""), "in-the-text"},
		{"odd characters are left out", seguratest.ReplyJSON(404, `{"message":"x","request_id":"a \"b\" <c>\\d é\u2028\u007fe"}`).WithHeader("X-Kong-Request-Id", ""), "abcde"},
		{"none", seguratest.ReplyJSON(404, `{"message":"x"}`).WithHeader("X-Kong-Request-Id", ""), ""},
		{"no string", seguratest.ReplyJSON(404, `{"message":"x","request_id":5}`).WithHeader("X-Kong-Request-Id", ""), ""},
		{"a long one is cut", seguratest.ReplyJSON(404, `{"message":"x"}`).WithHeader("X-Kong-Request-Id", strings.Repeat("z", 4000)), strings.Repeat("z", 128)},
	} {
		server, client := start(t, seguratest.Options{})
		server.Fail(enableCalls, row.reply, 1)

		_, fault := client.Do(t.Context(), apisecret.Enable, 5, mustToken(t, client))

		if fault == nil || fault.UpstreamRequestID != row.want {
			t.Errorf("%s: got %+v, want the request id %q", row.name, fault, row.want)
		}
	}
}

// What the log quotes of a reply, in this order.
func TestDo_quotesForTheLogWhatAReplySays(t *testing.T) {
	server, client := start(t, seguratest.Options{})
	token := mustToken(t, client)
	for name, row := range map[string]struct {
		reply seguratest.Fault
		want  string
	}{
		"the message":                {seguratest.ReplyJSON(400, `{"response":{"message":"a","mensagem":"b"},"error":"c","error_description":"d"}`), "a"},
		"mensagem":                   {seguratest.ReplyJSON(400, `{"response":{"message":"","mensagem":"b"},"error":"c"}`), "b"},
		"the error's description":    {seguratest.ReplyJSON(400, `{"error":"invalid_request","error_description":"d"}`), "d"},
		"the error":                  {seguratest.ReplyJSON(400, `{"error":"invalid_scope"}`), "invalid_scope"},
		"an exception's message":     {seguratest.ReplyJSON(500, `{"response":{"error":true},"exception":{"message":"e"}}`), "e"},
		"a page's title":             {seguratest.Reply(403, "text/html", "<html><head>\n<TITLE>403  &amp; Forbidden\n</TITLE></head><body>no</body>"), "403 & Forbidden"},
		"an error among warnings":    {seguratest.Reply(400, "text/html", "<br />\n<b>Warning</b>: x<br />\n"+`{"error":"invalid_scope","error_description":"d"}`), "d"},
		"a page with data in it":     {seguratest.Reply(503, "text/html", `<html><title>Down</title><script>{"@type":"x"}</script></html>`), "Down"},
		"a page without a title":     {seguratest.Reply(403, "text/html", "<html><body>no</body>"), ""},
		"where a redirect leads":     {seguratest.Redirect(302, "https://sso.example.com:8443/login?to=secret"), "https://sso.example.com:8443"},
		"a redirect elsewhere by //": {seguratest.Redirect(302, "//sso.example.com/login"), "https://sso.example.com"},
		"a redirect on this host":    {seguratest.Redirect(302, "/login"), ""},
		"where a page's link leads":  {seguratest.Redirect(307, "http://plain.example.com/x#y"), "http://plain.example.com"},
	} {
		server.ClearFaults()
		server.Fail(enableCalls, row.reply, 1)

		_, fault := client.Do(t.Context(), apisecret.Enable, 5, token)

		if fault == nil || fault.UpstreamMessage != row.want {
			t.Errorf("%s: got %q, want %q (%v)", name, fault.UpstreamMessage, row.want, fault)
			continue
		}
		if says := strings.Contains(fault.Message, "is in the log"); says && row.want == "" {
			t.Errorf("%s: got %q, though the log has nothing", name, fault.Message)
		}
	}
}

// How long the gateway asks to wait counts where it limits the rate or is out of
// order for a while.
func TestDo_tellsHowLongTheGatewayAsksToWait(t *testing.T) {
	server, client := start(t, seguratest.Options{})
	token := mustToken(t, client)
	for status, want := range map[int]time.Duration{429: 7 * time.Second, 503: 7 * time.Second, 500: 0, 403: 0} {
		server.Fail(enableCalls, seguratest.HTML(status).WithHeader("Retry-After", "7"), 1)

		_, fault := client.Do(t.Context(), apisecret.Enable, 5, token)

		if fault == nil || fault.RetryAfter != want {
			t.Errorf("%d with Retry-After: got %+v, want a wait of %s", status, fault, want)
		}
	}
}

func TestDo_namesBothCausesOfTheGateways404(t *testing.T) {
	server, client := start(t, seguratest.Options{})
	server.Fail(enableCalls, seguratest.GatewayNoRoute404(), 1)

	_, fault := client.Do(t.Context(), apisecret.Enable, 5, mustToken(t, client))

	for _, want := range []string{"credentials", "base_url", "path"} {
		if fault == nil || !strings.Contains(fault.Message, want) {
			t.Errorf("got %v, want %s in it", fault, want)
		}
	}
}

func TestDo_keepsTheUpstreamsTextForTheLogOnly(t *testing.T) {
	server, client := start(t, seguratest.Options{})
	token := mustToken(t, client)
	server.Fail(enableCalls, seguratest.Envelope(400, 400, "Text of the upstream"), 1)

	_, fault := client.Do(t.Context(), apisecret.Enable, 5, token)
	answer, second := client.Do(t.Context(), apisecret.Enable, 5, token)

	if fault == nil || fault.UpstreamMessage != "Text of the upstream" || strings.Contains(fault.Message, "Text of the upstream") {
		t.Errorf("of a failure: got %+v", fault)
	}
	if second != nil || answer.Message != activated || answer.RequestID == "" {
		t.Errorf("of a success: got %+v, %v", answer, second)
	}
}
