package segura

import (
	"fmt"
	"net/http"
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

func refusal(status int) verdict {
	return permanent(apisecret.AuthenticationFailed, 0, status).because(apisecret.TokenRefused)
}

// What a reply to a call that enables means: the one table.
func TestDo_readsEveryReply(t *testing.T) {
	type replies map[string]seguratest.Fault
	json, gateway, envelope, html, empty := seguratest.ReplyJSON, seguratest.Gateway, seguratest.Envelope, seguratest.HTML, seguratest.Empty
	text := func(status int, body string) seguratest.Fault { return seguratest.Reply(status, "text/plain", body) }
	page := func(status int, body string) seguratest.Fault { return seguratest.Reply(status, "text/html", body) }
	const php = "<br />\n<b>Warning</b>: Undefined index in <b>/a.php</b><br />\n"
	const noCertificate = "<html>\r\n<head><title>400 No required SSL certificate was sent</title></head>\r\n<body>"
	const wrapped = `{"code":400,"response":{"status":400,"message":"1005: Api secret not found","error":true}}`
	const notAuthorized, notFound, noAccess = "You are not authorized to access this resource", "1005: Api secret not found", "1006: User does not have access"
	s := begin(t, seguratest.Options{})
	for _, group := range []struct {
		want    verdict
		replies replies
	}{
		{succeeded(apisecret.AlreadyEnabled), replies{
			"already":     json(200, in("Api secret has already been activated")),
			"white space": json(200, in(" api\tSECRET\n has ALREADY been\u00a0Activated. ")),
		}},
		{succeeded(apisecret.Enabled), replies{
			"enabled":              json(200, in(activated)),
			"fields missing":       json(200, `{"response":{"status":200,"message":"`+activated+`","error":false}}`),
			"fields added":         json(200, `{"x":[],"response":{"status":200,"message":"`+activated+`","error":false,"y":null,"tenant":"a"},"exception":null}`),
			"numbers as strings":   json(200, `{"code":"200","response":{"status":"200","message":"`+activated+`","error":"false","error_code":"0"}}`),
			"mensagem only":        json(200, `{"response":{"status":200,"error":false,"mensagem":"`+activated+`"}}`),
			"Message for mensagem": json(200, `{"response":{"status":200,"error":false,"Message":"`+activated+`"}}`),
			"an empty message":     json(200, `{"response":{"status":200,"error":false,"message":"","mensagem":"`+activated+`"}}`),
			"a wrong content type": page(200, in(activated)), "no content type": seguratest.Reply(200, "", in(activated)),
			"a byte order mark": json(200, "\ufeff"+in(activated)), "white space": json(200, "\r\n "+in(activated)+" \n"),
		}},
		{unexpected(200), replies{
			"a password": seguratest.PasswordActivated(), "no envelope": json(200, `{"message":"`+activated+`"}`),
			"the envelope's members without it": json(200, `{"status":200,"message":"`+activated+`","error":false}`),
			"an envelope that is no object":     json(200, `{"code":200,"response":"`+activated+`","message":"`+activated+`"}`),
			"plain text":                        text(200, activated), "a JSON string": json(200, `"`+activated+`"`),
			"in the detail only":          json(200, `{"code":200,"response":{"status":200,"detail":"`+activated+`","error":false}}`),
			"no message":                  json(200, `{"code":200,"response":{"status":200,"error":false}}`),
			"a message that is no string": json(200, `{"code":200,"response":{"status":200,"message":{"a":"`+activated+`"},"error":false}}`),
			"another status within":       json(200, `{"code":200,"response":{"status":202,"message":"`+activated+`","error":false}}`),
			"another code outside":        json(200, `{"code":201,"response":{"status":200,"message":"`+activated+`","error":false}}`),
			"a status that is no number":  json(200, `{"code":200,"response":{"status":"fine","message":"`+activated+`","error":false}}`),
			"a status that is no integer": json(200, `{"code":200,"response":{"status":200.5,"message":"`+activated+`","error":false}}`),
			"a repeated name":             json(200, `{"code":200,"response":{"status":200,"message":"x","message":"`+activated+`","error":false}}`),
			"two envelopes":               json(200, in(activated)+in(activated)),
			"a status beyond HTTP's":      envelope(200, 600, "Whatever"),
			"a success before a warning":  json(200, in(activated)+"\nWarning: x in /a.php on line 5\n"),
			"a success behind a warning":  page(200, "<br />\n"+in(activated)),
			"an array":                    json(200, `["`+activated+`"]`),
			"an array around an envelope": json(200, "["+in(activated)+"]"),
			"no JSON":                     json(200, `{"message" = "`+activated+`"}`),
			"a web page":                  page(200, "<html>"+activated+"</html>"),
			"nothing":                     empty(200), "binary": seguratest.Binary(), "null": json(200, `null`), "an empty object": json(200, `{}`),
			"in another member":            json(200, `{"data":{"status":200,"message":"`+activated+`"}}`),
			"an envelope in other letters": json(200, `{"Response":{"status":200,"message":"`+activated+`"}}`),
		}},
		{unexpected(201), replies{"a success": json(201, in(activated))}}, {unexpected(206), replies{"a success": json(206, in(activated))}},
		{unexpected(204), replies{"no body": empty(204)}}, {unexpected(301), replies{"a success": json(301, in(activated))}},
		{unexpected(302), replies{"a redirect": seguratest.Redirect(302, "https://example.com/"), "a 302 within": envelope(200, 302, "Moved")}},
		{unexpected(400), replies{
			"a success in a 400": json(400, in(activated)), "an error's code outside": json(200, `{"code":400,"response":{"status":200,"message":"`+activated+`","error":false}}`),
			"more than a code": envelope(400, 400, "10050: Whatever"), "a code in the middle": envelope(400, 400, "Whatever 1005: x"),
			"less than a code": envelope(400, 400, "0404: Whatever"), "digits alone": envelope(400, 400, "100500"), "another text": envelope(400, 400, "Invalid parameter"),
			"within a 200":                json(200, `{"response":{"status":400,"message":"Invalid parameter","error":true}}`),
			"1005 as the error_code only": json(400, `{"code":400,"response":{"status":400,"message":"Something","error":true,"error_code":1005,"cod_erro":1005}}`),
			"warnings alone":              page(400, php+"{x in /a.php"), "what may be another object": json(400, wrapped+` {"code"`),
			"two objects among warnings": text(400, `w {"response":{"message":"1005: x"}} w {"response":{"message":"1006: x"}}`),
		}},
		{unexpected(404), replies{"Segura's, about no token": envelope(404, 404, "Not found"), "no body": empty(404), "a web page": html(404),
			"a web page about routes": page(404, "<html>no Route matched with those values</html>")}},
		{unexpected(418), replies{"nobody listed it": empty(418)}}, {unexpected(799), replies{"beyond HTTP's": empty(799)}},

		{permanent(apisecret.NotFound, 1005, 400), replies{
			"1005": seguratest.NotFound1005(), "no exception": envelope(400, 400, notFound), "in a 200": seguratest.EnvelopeException(200, 400, notFound, 1005, notFound),
			"in a 200 without exception":  envelope(200, 400, notFound),
			"as a string":                 json(400, `{"code":"400","response":{"status":"400","message":"x","error":true},"exception":{"code":"1005","message":"y"}}`),
			"in the envelope's exception": json(400, `{"response":{"status":400,"message":"x","error":true,"exception":{"code":1005}}}`),
			"in the exception's message":  json(400, `{"response":{"status":400,"message":"x","error":true},"exception":{"code":400,"message":"`+notFound+`"}}`),
			"in mensagem":                 json(400, `{"response":{"status":400,"message":"Error","error":true,"mensagem":"`+notFound+`"}}`),
			"beside another error_code":   json(400, `{"response":{"status":400,"message":"`+notFound+`","error":true,"error_code":1006,"cod_erro":1006}}`),
			"among warnings of PHP":       page(400, php+wrapped+"\n<br />"), "before one": json(400, wrapped+"\nWarning: x\n"),
		}},
		{permanent(apisecret.AccessDenied, 1006, 400), replies{
			"1006": seguratest.AccessDenied1006(), "no exception": envelope(400, 400, noAccess), "in a 200": envelope(200, 400, noAccess),
			"behind a notice": text(400, `Notice: y {"response":{"status":400,"message":"`+noAccess+`","error":true}}`),
		}},
		{permanent(apisecret.UnexpectedResponse, 1234, 400), replies{"nobody listed it": seguratest.EnvelopeException(400, 400, "1234: Whatever", 1234, "1234: Whatever")}},
		{verdict{apisecret.Failed, apisecret.UpstreamError, true, 1234, 500, 0}, replies{"nobody listed it, in a 500": envelope(500, 500, "1234: Whatever")}},

		{denied(200), replies{"not authorized in a 200": json(200, in(notAuthorized))}}, {denied(404), replies{"not authorized": envelope(404, 404, notAuthorized)}},
		{denied(400), replies{"not authorized in other spacing": envelope(400, 400, "you are  NOT authorized to\naccess this resource.")}},
		{denied(401), replies{"not authorized": envelope(401, 401, notAuthorized), "in a 200": envelope(200, 401, notAuthorized), "the gateway's": gateway(401, notAuthorized)}},
		{denied(403), replies{
			"the address": seguratest.GatewayForbiddenIP403(), "another text": gateway(403, "You cannot consume this service"), "plain text": text(403, notAuthorized+"\n"),
			"a web page": html(403), "in a 200": envelope(200, 403, "Forbidden"), "cut JSON": json(403, `{"mess`),
		}},
		{denied(429), replies{"not authorized": envelope(429, 429, notAuthorized)}}, {denied(500), replies{"not authorized": envelope(500, 500, notAuthorized)}},

		{refusal(404), replies{"no route": seguratest.GatewayNoRoute404(), "in plain text": text(404, "no Route matched with those values\nrequest_id: abc\n")}},
		{refusal(401), replies{
			"a refused token": seguratest.TokenRefused(seguratest.RefusedAuthentication), "an inactive one": seguratest.TokenRefused(seguratest.RefusedInactive),
			"in a 200": seguratest.TokenRefused(seguratest.RefusedAuthenticationAs200), "any page": html(401), "no body": empty(401),
		}},
		{refusal(400), replies{"a refused token": envelope(400, 400, "Client authentication failed"), "an inactive one": envelope(400, 400, "Inactive authorization")}},

		{transient(apisecret.RateLimited, 403), replies{"the gateway's words": gateway(403, "API rate limit exceeded")}},
		{transient(apisecret.RateLimited, 429), replies{
			"the gateway's": seguratest.Gateway429(), "a web page": html(429), "in a 200": envelope(200, 429, "Too many requests"), "no body": empty(429),
		}},
		{transient(apisecret.UpstreamError, 500), replies{
			"Segura's": seguratest.Unexpected500(), "a code that is a status": seguratest.PortugueseException500(), "the gateway's": seguratest.Gateway500(),
			"in a 200": envelope(200, 500, "Unexpected error."), "a success within": json(500, in(activated)),
		}},
		{transient(apisecret.UpstreamError, 503), replies{
			"Segura's": envelope(503, 503, "Service unavailable"), "the gateway's": seguratest.Gateway503(), "a web page": html(503), "cut JSON": json(503, `{"mess`),
		}},
		{transient(apisecret.UpstreamError, 421), replies{"misdirected": empty(421)}}, {transient(apisecret.UpstreamError, 425), replies{"too early": empty(425)}},
		{transient(apisecret.UpstreamError, 501), replies{"a web page": html(501)}}, {transient(apisecret.UpstreamError, 599), replies{"garbage": json(599, "\x00\x01{{{")}},
		{transient(apisecret.UpstreamInvalidResponse, 502), replies{
			"the gateway's": seguratest.Gateway502(), "a web page": html(502), "no body": empty(502), "in a 200": envelope(200, 502, "Bad gateway"),
		}},
		{transient(apisecret.UpstreamInvalidResponse, 500), replies{"the gateway's words": gateway(500, "An invalid response was received from the upstream server")}},
		{transient(apisecret.UpstreamInvalidResponse, 400), replies{"cut JSON": json(400, `{"response":{"status":400,"mess`)}},
		{transient(apisecret.UpstreamInvalidResponse, 200), replies{
			"cut JSON": seguratest.CutJSON(), "cut short": seguratest.CutShort(), "cut after the JSON": seguratest.CutAfterJSON(), "cut chunked": seguratest.CutChunked(),
		}},
		{transient(apisecret.UpstreamTimeout, 504), replies{"the gateway's": seguratest.Gateway504(), "a web page": html(504), "in a 200": envelope(200, 504, "Late")}},
		{transient(apisecret.UpstreamTimeout, 500), replies{"the gateway's words": gateway(500, "The upstream server is timing out")}},
		{transient(apisecret.UpstreamTimeout, 408), replies{"408": html(408), "in a 200": envelope(200, 408, "Late")}},
		{permanent(apisecret.UpstreamUnreachable, 0, 400), replies{
			"nginx, no client certificate": page(400, noCertificate), "with data in it": page(400, noCertificate+`<script>{"a":1}</script></html>`),
			"a wrong one": page(400, "<html><head><title>400 The SSL certificate error</title></head>"),
		}},
	} {
		waits := time.Duration(0) // where the gateway limits the rate or is out of order for a while, it is asked how long
		if group.want.code == apisecret.RateLimited || group.want.httpStatus == 503 {
			waits = 7 * time.Second
		}
		for name, reply := range group.replies {
			answer, fault := s.hears(t, reply.WithHeader("Retry-After", "7"))

			if got := verdictOf(answer, fault); got != group.want {
				t.Errorf("%s: got %+v, want %+v", name, got, group.want)
			}
			if fault == nil {
				continue
			}
			if fault.Message == "" || strings.Contains(fault.Message, "example.com") || fault.RetryAfter != waits {
				t.Errorf("%s: got the message %q and a wait of %s, want a sentence of our own and %s", name, fault.Message, fault.RetryAfter, waits)
			}
			if both := strings.Contains(fault.Message, "the credentials or the token are refused, or base_url"); both != (group.want == refusal(404)) {
				t.Errorf("%s: got the message %q, which names both causes of the gateway's 404: %t", name, fault.Message, both)
			}
		}
	}
	if got := len(s.Tokens()); got != 1 {
		t.Errorf("got %d tokens, want the one that was passed in to be used throughout", got)
	}
}

func TestDo_understandsEveryGeneration(t *testing.T) {
	notFound := permanent(apisecret.NotFound, 1005, 400)
	for _, generation := range []seguratest.Generation{
		seguratest.Newest, seguratest.V332, seguratest.Minimal, seguratest.CapitalMessage, seguratest.WithTenant, seguratest.NumbersAsStrings,
	} {
		for _, older := range []bool{false, true} {
			s := begin(t, seguratest.Options{Generation: generation, OlderGateway: older})
			for _, row := range []struct {
				action apisecret.Action
				i      apisecret.Identifier
				want   verdict
			}{
				{apisecret.Enable, 5, succeeded(apisecret.Enabled)}, {apisecret.Enable, 5, succeeded(apisecret.AlreadyEnabled)},
				{apisecret.Disable, 5, succeeded(apisecret.Disabled)}, {apisecret.Disable, 5, succeeded(apisecret.AlreadyDisabled)},
				{apisecret.Enable, 7, notFound}, {apisecret.Disable, 7, notFound}, {apisecret.Enable, 8, permanent(apisecret.AccessDenied, 1006, 400)},
			} {
				answer, fault := s.client.Do(t.Context(), row.action, row.i, s.token)

				if got := verdictOf(answer, fault); got != row.want {
					t.Errorf("generation %d, older gateway %t, %s %d: got %+v, want %+v", generation, older, row.action, row.i, got, row.want)
				}
			}
			s.RevokeTokens()
			for style, status := range map[seguratest.RefusalStyle]int{seguratest.RefusedByGateway: 404, seguratest.RefusedInactiveAs200: 401} {
				s.RefuseToken(style)
				if got := verdictOf(s.do(t.Context(), apisecret.Enable)); got != refusal(status) {
					t.Errorf("generation %d, older gateway %t: got %+v, want a refused token", generation, older, got)
				}
			}
		}
	}
}

// The message alone tells what became of an API secret, so that whatever does
// not say that it is now in the state asked for is no success.
func TestDo_takesNoOtherSentenceForSuccess(t *testing.T) {
	no := unexpected(200)
	for _, row := range []struct {
		enable, disable verdict
		messages        []string
	}{
		{succeeded(apisecret.Enabled), no, []string{
			"Api secret activated", "Api secret was activated.", "The API secret has been activated successfully!", "«Api secret» activated", "API SECRET ACTIVATED",
			"API secret  successfully activated", "Api-secret activated", "Activated: Api secret", "Apisecret activated", "Api secret 5 activated",
			`Api secret "5" successfully activated`, "Api\u00a0secret\u3000activated\n", "5: Api secret activated", "Api secret api secret the the activated activated",
		}},
		{succeeded(apisecret.AlreadyEnabled), no, []string{
			"Api secret already activated", "API SECRET HAS ALREADY BEEN ACTIVATED", "Api secret «5» has already been activated!", "API  secret was already activated", "Already activated: api secret",
		}},
		{no, succeeded(apisecret.Disabled), []string{"Api secret deactivated", "API secret  successfully\tDEACTIVATED", "The API secret has been DEACTIVATED."}},
		{no, succeeded(apisecret.AlreadyDisabled), []string{"Api secret has already been deactivated", "api secret already deactivated"}},
		{no, no, []string{
			"", "activated", "Activated successfully", "Successfully deactivated", "Api activated", "Secret activated", "Api key activated", "OK", "true", "Api secret", "already",
			"Api secret found", "Api secret is active", "Api secret is inactive", "Api secret activate", "Api secret activation", "Api secret enabled", "Api secret ativado",
			"Password successfully activated", "Password has already been activated", "Password of the api secret activated", "Password successfully deactivated",
			"Api secret password deactivated", "Api secret user activated", "User of the Api secret has been activated", "Api secret of the api activated", "Api secret secret activated",
			"Api secrets activated", "api-secrets activated", "Api secretactivated", "API secrets: unactivated", "Api secret activated api", "Api‐secret activated", "Api_secret activated",
			"Api secret not activated", "Api secret has not been activated", "Api secret NOT\u00a0activated", "Api secret isn't activated", "Api secret hasnʼt been activated",
			"Api secret cannot be activated", "Api secret never activated", "No api secret activated", "Neither api secret activated", "Failed: api secret activated",
			"Api secret activated: error", "Api secret activated: false", "Api secret não activated", "Api secret foi activated", "Api secret pending, not yet activated",
			"Api secret not deactivated", "Api secret can’t be deactivated", "No api secret deactivated", "1005: Api secret not found", "Api secret activated 1005",
			"Api secret activated and deactivated", "Api secret deactivated, activated", "Api secret inactivated", "Api secret re-activated", "Api secret reactivated later",
			"Api secret de-activated", "Api secret in-activated", "Api secret De‐activated", "Api secret can be activated after approval", "Api secret is being activated",
			"Api secret scheduled to be activated", "Api secret will be activated", "If the Api secret is activated, a mail is sent", "Api secret activated until it is disabled",
			"Api secret has already been activated by someone else and is now inactive", "Api secret partially activated", "Api secret is activated", "Api secret activated soon",
			"Api secret activated in test mode", "Api secret 6 activated", "Api secret 55 activated", "Api secret 05 activated", "Api secret #5 activated", "Api secret activated 5 5 6",
			"Api secret activated?", "Api secret activated;", "Api secret (activated)", "Api secret “5” activated", "Api secret activated - <b>", "Api secret aсtivated",
			"Api secret acti\u200bvated", "Api secret activ\u00adated", "Api\u200b secret activated", "Api secret activated\u0000", "Api secret activated\u202e", "Api secret activated \ufffd",
		}},
	} {
		for _, message := range row.messages {
			for action, want := range map[apisecret.Action]verdict{apisecret.Enable: row.enable, apisecret.Disable: row.disable} {
				got := readReply(action, 200, []byte(in(message)))

				if got != want && got.code != apisecret.NotFound { // a cause of its own, and no success either
					t.Errorf("%s, %q: got %+v, want %+v", action, message, got, want)
				}
			}
		}
	}
}

// Whatever else a reply says beside a message of success: it stays one unless
// something contradicts it.
func TestDo_takesAContradictedMessageForNoSuccess(t *testing.T) {
	for action, state := range map[apisecret.Action]string{apisecret.Enable: "activated", apisecret.Disable: "deactivated"} {
		opposite := map[string]string{"activated": "Deactivated", "deactivated": "ACTIVATED"}[state]
		hyphened := map[apisecret.Action]verdict{apisecret.Enable: unexpected(200), apisecret.Disable: succeeded(apisecret.Disabled)}[action]
		for _, group := range []struct {
			want    verdict
			members []string
		}{
			{succeeded(action.Changed()), []string{
				`"error":false`, `"error":null`, `"error":0`, `"error":0.0`, `"error":""`, `"error":" "`, `"error":[]`, `"error":[ ]`, `"error":{}`, `"error":"False"`,
				`"error":"null"`, `"error":"0"`, `"error":"[]"`, `"error":"{}"`, `"error":"\"\""`, `"erro":false,"errors":[],"exception":null`, `"success":true`, `"success":null`, `"success":1`,
				`"success":"true"`, `"error_code":7,"cod_erro":9`, `"detail":"for the audit"`, `"mensagem":"Segredo ativado"`, `"mensagem":7`, `"detail":"10050 rows"`,
				`"detail":"1005"`, `"detail":"2026-11-21"`, `"detail":"done: 1005"`, `"detail":"nothingness"`, `"Message":""`, `"warning":"not of this one"`,
				`"mensagem":"Api secret ` + state + `"`, `"mensagem":"Api secret 1005 ` + state + `"`,
			}},
			{unexpected(200), []string{
				`"error":true`, `"error":1`, `"error":-1`, `"error":0.5`, `"error":"true"`, `"error":"yes"`, `"error":"none"`, `"error":[0]`, `"error":{"code":0}`, `"error":"E"`,
				`"erro":true`, `"erro":"sim"`, `"errors":["x"]`, `"errors":"x"`, `"errors":{"a":null}`, `"exception":"x"`, `"exception":{"code":0}`, `"exception":true`,
				`"success":false`, `"success":"false"`, `"success":0`, `"success":"0"`, `"success":""`, `"success":[]`, `"mensagem":"Api secret not activated"`, `"mensagem":"1234 x"`,
				`"mensagem":"1006: User does not have access"`, `"Message":"1005: Api secret"`, `"detail":"não ativado"`, `"detail":"It isn’t."`, `"detail":"never"`,
				`"detail":"falha: failed"`, `"detail":"no"`, `"detail":"2001 something"`, `"error_description":"it was not"`,
				`"exception":{"code":1005,"message":"1005: Api secret not found"}`, `"mensagem":"Api secret ` + opposite + `"`, `"detail":"` + opposite + `"`,
			}},
			{hyphened, []string{`"detail":"de-activated"`}},
		} {
			for _, members := range group.members {
				for _, where := range []string{`{"response":{"status":200,"message":"Api secret %s successfully",%s}}`, `{"response":{"status":200,"message":"Api secret %s successfully"},%s}`} {
					reply := fmt.Sprintf(where, state, members)

					got := readReply(action, 200, []byte(reply))

					if got.seguraCode = 0; got != group.want {
						t.Errorf("%s, %s: got %+v, want %+v", action, reply, got, group.want)
					}
				}
			}
		}
	}
}

func TestDo_passesOnTheGatewaysNumberForTheRequest(t *testing.T) {
	const inTheBody = `{"message":"x","request_id":"in-the-body"}`
	s := begin(t, seguratest.Options{})
	for name, row := range map[string]struct {
		reply       seguratest.Fault
		kong, other string // the headers
		want        string
	}{
		"Kong's header first":         {seguratest.ReplyJSON(404, inTheBody), "of-kong", "of-another", "of-kong"},
		"another header":              {seguratest.ReplyJSON(404, inTheBody), "", "of-another", "of-another"},
		"the body":                    {seguratest.ReplyJSON(404, inTheBody), "", "", "in-the-body"},
		"plain text":                  {seguratest.Reply(404, "text/plain", "x\nrequest_id: in-the-text\n"), "", "", "in-the-text"},
		"odd characters are left out": {seguratest.ReplyJSON(404, `{"message":"x","request_id":"a \"b\" <c>\\d é\u2028\u007fe"}`), "", "", "abcde"},
		"no string":                   {seguratest.ReplyJSON(404, `{"message":"x","request_id":5}`), "", "", ""},
		"a long one is cut":           {seguratest.ReplyJSON(404, inTheBody), strings.Repeat("z", 4000), "", strings.Repeat("z", 128)},
	} {
		_, fault := s.hears(t, row.reply.WithHeader("X-Kong-Request-Id", row.kong).WithHeader("X-Request-Id", row.other))

		if fault == nil || fault.UpstreamRequestID != row.want {
			t.Errorf("%s: got %+v, want the request id %q", name, fault, row.want)
		}
	}
}

// What the log quotes of a reply, in this order; no caller sees it.
func TestDo_quotesForTheLogWhatAReplySays(t *testing.T) {
	s := begin(t, seguratest.Options{})
	page := func(status int, body string) seguratest.Fault { return seguratest.Reply(status, "text/html", body) }
	for name, row := range map[string]struct {
		reply seguratest.Fault
		want  string
	}{
		"the message":                {seguratest.ReplyJSON(400, `{"response":{"message":"what","mensagem":"b"},"error":"c","error_description":"d"}`), "what"},
		"mensagem":                   {seguratest.ReplyJSON(400, `{"response":{"message":"","mensagem":"o que"},"error":"c"}`), "o que"},
		"the error's description":    {seguratest.ReplyJSON(400, `{"error":"invalid_request","error_description":"why"}`), "why"},
		"the error":                  {seguratest.ReplyJSON(400, `{"error":"invalid_scope"}`), "invalid_scope"},
		"an exception's message":     {seguratest.ReplyJSON(500, `{"response":{"error":true},"exception":{"message":"ex"}}`), "ex"},
		"a page's title":             {page(403, "<html><head>\n<TITLE>403  &amp; Forbidden\n</TITLE></head><body>no</body>"), "403 & Forbidden"},
		"an error among warnings":    {page(400, "<br />\n<b>Warning</b>: x<br />\n"+`{"error":"invalid_scope","error_description":"why"}`), "why"},
		"a page with data in it":     {page(503, `<html><title>Down</title><script>{"@type":"x"}</script></html>`), "Down"},
		"a page without a title":     {page(404, "<html><body>no</body>"), ""},
		"where a redirect leads":     {seguratest.Redirect(302, "https://sso.example.com:8443/login?to=secret"), "https://sso.example.com:8443"},
		"a redirect elsewhere by //": {seguratest.Redirect(302, "//sso.example.com/login"), "https://sso.example.com"},
		"a redirect on this host":    {seguratest.Redirect(302, "/login"), ""},
		"a success's link":           {seguratest.ReplyJSON(201, `{}`).WithHeader("Location", "https://sso.example.com"), ""},
	} {
		_, fault := s.hears(t, row.reply)

		if fault == nil || fault.UpstreamMessage != row.want || row.want != "" && strings.Contains(fault.Message, row.want) {
			t.Errorf("%s: got %v with %q for the log, want %q there alone", name, fault, fault.UpstreamMessage, row.want)
			continue
		}
		if says := strings.Contains(fault.Message, "is in the log"); says != (row.want != "" && fault.Code == apisecret.UnexpectedResponse) {
			t.Errorf("%s: got %q, with %q in the log", name, fault.Message, row.want)
		}
	}
	if answer, fault := s.do(t.Context(), apisecret.Enable); fault != nil || answer.Message != activated || answer.RequestID == "" {
		t.Errorf("of a success: got %+v, %v", answer, fault)
	}
}

func TestRetryAfter_readsEveryForm(t *testing.T) {
	now := time.Date(2026, 11, 21, 8, 15, 30, 500e6, time.UTC)
	const day, half = 24 * time.Hour, 500 * time.Millisecond
	for name, table := range map[string]map[string]time.Duration{
		"Retry-After": {
			"2": 2 * time.Second, "0": 0, "1.5": 3 * half, "-3": 0, "NaN": 0, "soon": 0, "": 0, "Inf": day, "1e30": day, "999999999": day,
			"Sat, 21 Nov 2026 08:16:00 GMT": 59 * half, "Saturday, 21-Nov-26 08:16:00 GMT": 59 * half, "Sat, 21 Nov 2026 08:15:00 GMT": 0, "Sat, 21 Nov 2099 08:15:00 GMT": day,
		},
		"RateLimit-Reset":   {"7": 7 * time.Second, "-7": 0, "later": 0},
		"X-RateLimit-Reset": {"1795248940": 19 * half, "1795248920": 0, "60": 0, "9999999999": day},
		"Other":             {"5": 0},
	} {
		for value, want := range table {
			if got := retryAfter(http.Header{http.CanonicalHeaderKey(name): {value}}, now); got != want {
				t.Errorf("%s: %s: got %s, want %s", name, value, got, want)
			}
		}
	}
	h := http.Header{"Retry-After": {"1"}, "Ratelimit-Reset": {"2"}, "X-Ratelimit-Reset": {"1795248940"}}
	for _, row := range []struct {
		without string
		want    time.Duration
	}{{"Nothing", time.Second}, {"Retry-After", 2 * time.Second}, {"Ratelimit-Reset", 19 * half}} { // one after another
		h.Set(row.without, "soon")
		if got := retryAfter(h, now); got != row.want {
			t.Errorf("%v: got %s, want %s", h, got, row.want)
		}
	}
}
