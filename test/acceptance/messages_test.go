package acceptance

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"segura-enable/simulated/seguratest"
	"segura-enable/simulated/stage"
)

// said is a success of Segura's with another message.
func said(message string) seguratest.Fault {
	text, _ := json.Marshal(message)
	return seguratest.ReplyJSON(200, fmt.Sprintf(`{"code":200,"response":{"status":200,"message":%s,"error":false,"error_code":0,"detail":"","mensagem":%s,"erro":false,"cod_erro":0}}`, text, text))
}

func TestSuccess_isToldByTheMessageAlone(t *testing.T) {
	t.Parallel()
	w := start(t, setup{segura: seguratest.Options{AnyIdentifier: true}})
	table := []struct{ message, enable, disable string }{
		{"Api secret activated successfully", "enabled", ""},
		{"Api secret has already been activated", "already_enabled", ""},
		{"API secret  successfully activated", "enabled", ""},
		{"API SECRET HAS ALREADY BEEN ACTIVATED", "already_enabled", ""},
		{"  api\tsecret \n activated   SUCCESSFULLY. ", "enabled", ""},
		{"Api\u00a0secret\u00a0activated successfully!", "enabled", ""},
		{"Already activated: API secret", "already_enabled", ""},
		{"The API secret was Already activated", "already_enabled", ""},
		{"Api secret successfully deactivated", "", "disabled"},
		{"Api secret has already been deactivated", "", "already_disabled"},
		{"API secret  successfully  DEACTIVATED", "", "disabled"},
		{"API SECRET HAS\tALREADY BEEN deactivated", "", "already_disabled"},
		{"Password successfully activated", "", ""},
		{"Password has already been activated", "", ""},
		{"Password successfully deactivated", "", ""},
		{"Secret successfully activated", "", ""},
		{"Secret activated", "", ""},
		{"Activated successfully", "", ""},
		{"Successfully deactivated", "", ""},
		{"Api secret", "", ""},
		{"Api secret found", "", ""},
		{"OK", "", ""},
		{"", "", ""},
		{"Api secret inactivated", "", ""},
		{"Api secret is inactive", "", ""},
		{"Api secret is active", "", ""},
		{"Api secret not activated", "", ""},
		{"Api secret could not be activated", "", ""},
		{"Api secret could not be deactivated", "", ""},
		{"Api secret has not been activated", "", ""},
		{"Api secret has NOT already been activated", "", ""},
		{"Api secret cannot be activated", "", ""},
		{"Api secret can't be activated", "", ""},
		{"Api secret can’t be deactivated", "", ""},
		{"Api secret isn't activated", "", ""},
		{"Api secret was never activated", "", ""},
		{"Api secret not deactivated", "", ""},
		{"Api secret activated and deactivated", "", ""},
		{"No API secret was activated", "", ""},
		{"No API secret was deactivated", "", ""},
		{"API secret ativada com sucesso", "", ""},
	}
	identifier := int64(1000)
	for _, action := range actions {
		for _, row := range table {
			identifier++
			want := row.enable
			if action.name == "disable" {
				want = row.disable
			}
			w.segura.Fail(seguratest.Match{Kind: action.kind, Identifier: identifier}, said(row.message), 1)
			got := w.invoke(list(action.name, identifier)).result.Results[0]
			if want != "" {
				is(t, got, action.name+": "+row.message, want, "", false, 1)
			} else {
				is(t, got, action.name+": "+row.message, "failed", "unexpected_response", false, 1)
			}
		}
	}
}

func TestSuccess_isReadFromEveryGeneration(t *testing.T) {
	t.Parallel()
	w := start(t, setup{segura: seguratest.Options{AnyIdentifier: true}})
	for i, generation := range generations {
		w.segura.SetGeneration(generation.Generation)
		for _, action := range actions {
			identifier := int64(1001 + i)
			w.segura.SetActive(identifier, action.name == "disable")

			first := w.invoke(list(action.name, identifier))
			second := w.invoke(list(action.name, identifier))

			about := action.name + ", " + generation.name
			is(t, first.result.Results[0], about, action.outcome, "", false, 1)
			is(t, second.result.Results[0], about+", again", action.repeated, "", false, 1)
			if got, want := w.segura.Active(identifier), action.name == "enable"; got != want {
				t.Errorf("%s: the API secret is active: %v, want %v", about, got, want)
			}
		}
	}
}

func TestSuccess_toleratesMissingAndAddedFields(t *testing.T) {
	t.Parallel()
	w := start(t, setup{segura: seguratest.Options{AnyIdentifier: true}})
	const message = `"message":"Api secret activated successfully"`
	table := []string{
		`{"response":{"status":200,` + message + `,"error":false}}`,
		`{"code":"200","response":{"status":"200",` + message + `,"error":false,"error_code":"0","cod_erro":"0"}}`,
		`{"code":200,"response":{"status":200,` + message + `,"error":false,"tenant":"acme","something":{"new":[1,2]}},"more":null}`,
		`{"code":200,"response":{"status":200,` + message + `,"error":false,"error_code":7,"erro":false,"cod_erro":7}}`,
		`{"code":200,"response":{"status":200,` + message + `,"error":false,"detail":null,"mensagem":null}}`,
		`{"code":200,"response":{"status":200,` + message + `,"error":false},"exception":null}`,
		"\n\t " + `{ "response" : { "error" : false , ` + message + ` , "status" : 200 } , "code" : 200 }` + "\r\n",
		`{"code":200,"response":{"status":200,"message":"\u0041pi secret \u0061ctivated successfully","error":false}}`,
	}
	for i, body := range table {
		identifier := int64(1001 + i)
		w.segura.Fail(seguratest.Match{Identifier: identifier}, seguratest.ReplyJSON(200, body), 1)
		is(t, w.one(identifier), body, "enabled", "", false, 1)
	}
}

func TestErrorCode_meansNothing(t *testing.T) {
	t.Parallel()
	w := start(t, setup{segura: seguratest.Options{AnyIdentifier: true}})
	table := []struct {
		body       string
		code       string
		seguraCode int
	}{
		{`{"code":400,"response":{"status":400,"message":"1005: Api secret not found","error":true,"error_code":0,"cod_erro":0}}`, "not_found", 1005},
		{`{"code":400,"response":{"status":400,"message":"1005: Api secret not found","error":true,"error_code":1006,"cod_erro":1006}}`, "not_found", 1005},
		{`{"code":400,"response":{"status":400,"message":"Something","error":true,"error_code":1005,"cod_erro":1005}}`, "unexpected_response", 0},
	}
	for i, row := range table {
		identifier := int64(1001 + i)
		w.segura.Fail(seguratest.Match{Identifier: identifier}, seguratest.ReplyJSON(400, row.body), 1)
		got := w.one(identifier)
		is(t, got, row.body, "failed", row.code, false, 1)
		if got.Error != nil && got.Error.SeguraCode != row.seguraCode {
			t.Errorf("%s: got segura_code %d, want %d", row.body, got.Error.SeguraCode, row.seguraCode)
		}
	}
}

func TestUpstreamRequestID_comesFromWhereverTheGatewayPutsIt(t *testing.T) {
	t.Parallel()
	const kong, other = "X-Kong-Request-Id", "X-Request-Id"
	gatewayBody := `{"message":"The upstream server is timing out","request_id":"0123456789abcdef0123456789abcdef"}`
	plainBody := "The upstream server is timing out\nrequest_id: fedcba9876543210fedcba9876543210\n"
	table := []struct {
		about string
		reply seguratest.Fault
		want  string
	}{
		{"X-Kong-Request-Id", seguratest.Gateway504().WithHeader(kong, "from-kong"), "from-kong"},
		{"X-Request-Id", seguratest.Empty(504).WithHeader(kong, "").WithHeader(other, "from-proxy"), "from-proxy"},
		{"request_id in JSON", seguratest.ReplyJSON(504, gatewayBody).WithHeader(kong, ""), "0123456789abcdef0123456789abcdef"},
		{"request_id in plain text", seguratest.Reply(504, "text/plain", plainBody).WithHeader(kong, ""), "fedcba9876543210fedcba9876543210"},
		{"nowhere", seguratest.Empty(504).WithHeader(kong, ""), ""},
		{"on a failure of Segura's own", seguratest.NotFound1005().WithHeader(kong, "of-1005"), "of-1005"},
	}
	w := start(t, setup{segura: seguratest.Options{AnyIdentifier: true}, env: map[string]string{"SEGURA_MAX_ATTEMPTS": "1"}})
	for i, row := range table {
		identifier := int64(1001 + i)
		w.segura.Fail(seguratest.Match{Identifier: identifier}, row.reply, 1)
		inv := w.enable(identifier)
		got := inv.result.Results[0]
		if got.Error == nil || got.Error.UpstreamRequestID != row.want {
			t.Errorf("%s: got %+v, want the upstream_request_id %q", row.about, got.Error, row.want)
		}
		if has := strings.Contains(inv.text, "upstream_request_id"); has != (row.want != "") {
			t.Errorf("%s: got %s, want upstream_request_id only where there is one", row.about, inv.text)
		}
	}
}

func TestUpstreamText_goesToTheLogOnly(t *testing.T) {
	t.Parallel()
	w := start(t, setup{segura: seguratest.Options{AnyIdentifier: true}, env: map[string]string{"SEGURA_MAX_ATTEMPTS": "1"}})
	table := []seguratest.Fault{
		seguratest.Gateway(500, "quaint upstream words"),
		seguratest.Gateway(403, "quaint upstream words"),
		seguratest.Gateway(404, "quaint upstream words"),
		seguratest.Envelope(400, 400, "1099: quaint upstream words"),
		seguratest.Envelope(200, 200, "quaint upstream words"),
		seguratest.Reply(502, "text/plain", "quaint upstream words"),
	}
	for i, reply := range table {
		identifier := int64(1001 + i)
		w.segura.Fail(seguratest.Match{Identifier: identifier}, reply, 1)
		inv := w.enable(identifier)
		if strings.Contains(inv.text, "quaint") {
			t.Errorf("reply %v: the result repeats the upstream's text: %s", reply, inv.text)
		}
		audit := pick(parse(t, inv.Logs), stage.Line.IsAudit)
		if len(audit) != 1 || !strings.Contains(audit[0].Text("upstream_message"), "quaint upstream words") {
			t.Errorf("reply %v: got the audit lines %v, want one with the upstream's text", reply, audit)
		}
	}
}

func TestMessage_ofTheGateways404NamesBothCauses(t *testing.T) {
	t.Parallel()
	w := start(t, setup{segura: seguratest.Options{EnablePath: "/api/v2/active/{identifier}"}, secret: map[string]any{"enable_path": "/api/v3/active/{identifier}"}})
	got := w.one(5)
	is(t, got, "a wrong path", "failed", "authentication_failed", false, 2)
	if got.Error != nil {
		for _, want := range []string{"credentials", "base_url", "path"} {
			if !strings.Contains(got.Error.Message, want) {
				t.Errorf("the message %q does not mention %s", got.Error.Message, want)
			}
		}
	}
}
