package segura

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"segura-enable/internal/apisecret"
	"segura-enable/internal/strictjson"
)

// readReply reads a reply to a call for the API secret 5.
func readReply(action apisecret.Action, status int, body []byte) verdict {
	r := reply{status: status, header: http.Header{}, body: body}
	outcome, fault := readCall(action, 5, r, readContent(r.body))
	return verdictOf(Answer{Outcome: outcome, HTTPStatus: status}, fault)
}

// Reading a reply never panics; it is a success only if the status is 200 and the
// message says so; and how the JSON is spaced or ordered makes no difference.
func FuzzReadReply(f *testing.F) {
	for _, seed := range []string{
		in(activated), `{"response":{"status":"200","message":"API secret  successfully deactivated","error":"false"}}`,
		`{"response":{"status":200,"message":"Api secret has already been activated","error":false,"tenant":"default"}}`,
		`{"code":400,"response":{"status":400,"message":"1005: Api secret not found","error":true},"exception":{"code":1005,"message":"1005: Api secret not found","detail":null}}`,
		`{"code":500,"response":{"status":500,"message":"Unexpected error.","error":true},"exception":{"code":400,"message":"Não foi possível","detail":null}}`,
		`{"response":{"status":400,"Message":"1006: User does not have access","error":true}}`,
		`{"message":"no Route matched with those values","request_id":"abc"}`, `{"message":"API rate limit exceeded"}`,
		"no Route matched with those values\nrequest_id: abc\n", `<html>Api secret activated</html>`, `["Api secret activated"]`, "", "null", "{", `{"a":1}{`,
		`{"error":"invalid_client","error_description":"Client authentication failed","message":"Client authentication failed"}`,
		`{"message":"Api secret not activated","message":"Api secret activated"}`, `{"response":{"message":"Password successfully activated"}}`,
		`{"response":{"message":"Api secret activated","exception":[]}}`, "\ufeff{}", "\xff\xfe{}", `{"response":{"status":1e400,"message":"Api secret activated"}}`,
	} {
		for _, status := range []int{200, 400, 404} {
			f.Add(status, true, []byte(seed))
		}
		f.Add(200, false, []byte(seed))
	}
	f.Fuzz(func(t *testing.T, status int, enable bool, body []byte) {
		action := apisecret.Enable
		if !enable {
			action = apisecret.Disable
		}
		got := readReply(action, status, body)
		requireConsistent(t, action, status, body, got)
		for how, again := range rewritten(body) {
			if other := readReply(action, status, again); other != got {
				t.Fatalf("status %d, %q: got %+v, but %+v with its JSON %s: %q", status, body, got, other, how, again)
			}
		}
	})
}

func requireConsistent(t *testing.T, action apisecret.Action, status int, body []byte, got verdict) {
	t.Helper()
	if got.outcome == apisecret.Failed {
		if got.code == "" || got.httpStatus < status && status/100 != 2 || got.retryable != apisecret.NewError(got.code, "").Retryable && got.code != apisecret.UpstreamUnreachable {
			t.Fatalf("status %d, %q: got %+v", status, body, got)
		}
		return
	}
	said := strings.ToLower(readContent(body).message)
	wanted := map[apisecret.Action]string{apisecret.Enable: "activated", apisecret.Disable: "deactivated"}[action]
	if status != 200 || !strings.Contains(said, wanted) || !strings.Contains(said, "secret") || !strings.Contains(said, "api") {
		t.Fatalf("status %d, %q: got %+v for %s, though nothing says so", status, body, got, action)
	}
	if got.outcome == action.Unchanged() && !strings.Contains(said, "already") {
		t.Fatalf("status %d, %q: got %+v, though nothing says already", status, body, got)
	}
	if other := readReply(action.Opposite(), status, body); other.outcome != apisecret.Failed {
		t.Fatalf("status %d, %q: a success of enabling and of disabling", status, body)
	}
}

// rewritten returns a JSON object's text spaced and ordered in other ways; nothing
// for any other text.
func rewritten(body []byte) map[string][]byte {
	if _, err := strictjson.Object(body); err != nil {
		return nil
	}
	var compact, wide bytes.Buffer
	if json.Compact(&compact, body) != nil || json.Indent(&wide, body, "\t", "  ") != nil {
		return nil
	}
	return map[string][]byte{"compact": compact.Bytes(), "indented": append([]byte(" \r\n"), wide.Bytes()...), "reversed": reversed(body)}
}

// reversed returns a JSON object's text with its members, and those of the objects
// in it, in the opposite order.
func reversed(value []byte) []byte {
	members, err := strictjson.Object(value)
	if err != nil {
		return value
	}
	parts := make([]string, 0, len(members))
	for _, member := range members {
		name, _ := json.Marshal(member.Name)
		parts = append(parts, string(name)+":"+string(reversed(member.Value)))
	}
	slices.Reverse(parts)
	return []byte("{" + strings.Join(parts, ",") + "}")
}
