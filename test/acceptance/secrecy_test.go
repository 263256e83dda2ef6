package acceptance

import (
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"segura-enable/simulated/runtimeapi"
	"segura-enable/simulated/seguratest"
	"segura-enable/simulated/stage"
	"segura-enable/test/leaktest"
)

// What every world checks when it ends is that no part of a secret value is in a log
// line, a reply or an error. The tests of this file bring about what could show one.

// echoes are ways in which an upstream writes a text back.
var echoes = map[string]func(string) string{
	"whole":           func(s string) string { return s },
	"second half":     func(s string) string { return s[len(s)/2:] },
	"url-encoded":     url.QueryEscape,
	"base64":          func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
	"url-safe base64": func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) },
	"a header":        func(s string) string { return "Authorization: Bearer " + s },
	"quoted":          func(s string) string { return fmt.Sprintf("%q", s) },
}

// bodies have a text wherever an upstream can write one; %s is the text, %q a JSON string.
var bodies = []string{
	`{"message":%q,"request_id":%q,"code":400,"response":{"status":400,"message":%q,"mensagem":%q,"detail":%q,"error":true},"exception":{"code":1005,"message":%q}}`,
	`{"code":200,"response":{"status":200,"message":"Api secret activated successfully","detail":%q,"error":false},"request_id":%q}`,
	`{"error":%q,"error_description":%q,"error_uri":%q,"hint":%q,"access_token":5,"request_id":%q}`,
	`{%q:1,"message":%q,"request_id":%q`, "%s\nrequest_id: %s\n", "<html><title>%s</title>%s</html>",
}

// echo is the reply of that body with a text in it, and in every header.
func echo(t *testing.T, status int, body, text string) seguratest.Fault {
	filled := strings.ReplaceAll(strings.ReplaceAll(body, "%q", encoded(t, text)), "%s", text)
	kind := "application/json"
	if body[0] != '{' {
		kind = "text/html"
	}
	reply := seguratest.Reply(status, kind, filled).WithHeader("X-Kong-Request-Id", "")
	for _, name := range []string{"X-Request-Id", "WWW-Authenticate", "Location", "Set-Cookie", "Retry-After", "RateLimit-Reset", "Server", "Content-Disposition"} {
		reply = reply.WithHeader(name, text)
	}
	return reply
}

// An upstream that is hostile, or merely chatty, writes back what it was sent.
func TestSecrecy_whateverTheUpstreamEchoes(t *testing.T) {
	t.Parallel()
	for _, textLogs := range []bool{false, true} {
		w := start(t, setup{textLogs: textLogs, env: map[string]string{"SEGURA_MAX_ATTEMPTS": "1", "AWS_LAMBDA_LOG_LEVEL": "DEBUG"},
			segura: seguratest.Options{ClientID: randomText(36), ClientSecret: randomText(20) + "+/=&% \"<" + randomText(24), Tenant: randomText(24), AnyIdentifier: true}})
		values := []string{w.setup.segura.ClientID, w.setup.segura.ClientSecret, w.setup.segura.Tenant, ""}
		at := 0
		for form, write := range echoes {
			for _, body := range bodies {
				for _, value := range values {
					status := []int{400, 401, 403, 404, 429, 500, 502, 200, 503, 302}[at%10]
					at++
					if value == "" { // the token that is sent
						tokens := w.segura.Tokens()
						value = tokens[len(tokens)-1]
					}
					reply := echo(t, status, body, write(value))
					w.segura.Fail(seguratest.Match{Kind: seguratest.KindEnable}, reply, 1)
					w.invoke(`{"identifier":5}`)
					if form == "whole" {
						w.segura.Fail(seguratest.Match{Kind: seguratest.KindToken}, reply, 1)
						w.segura.Fail(seguratest.Match{Kind: seguratest.KindHead}, reply, 1)
						w.invoke(`{"check":true}`)
					}
					w.segura.ClearFaults()
				}
			}
		}
	}
}

func TestSecrecy_ofATokenInAReplyThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	w := start(t, setup{env: map[string]string{"SEGURA_MAX_ATTEMPTS": "1"}})
	for _, body := range []string{
		`{"access_token":"{token}","token_type":"Bearer"`, `"{token}"`, `{token}`, `["{token}"]`, `{"access_token":["{token}"],"token_type":"Bearer"}`,
		`{"access_token":"{token}","error":"{token}","error_description":"{token}","token_type":"x"}`, `{"access_token":"{token}","expires_in":"x","token_type":"MAC"}`,
		`{"access_token":"{token} {token}","message":"{token}","request_id":"{token}"}`, `{"access_token":"{token}","access_token":"{token}"}`,
		`{"token":"{token}","id_token":"{token}","refresh_token":"{token}"}`, `{"message":"{token}","access_token":null}`,
	} {
		w.segura.Fail(seguratest.Match{Kind: seguratest.KindToken}, seguratest.TokenReply(body), 1)
		w.invoke(`{"check":true}`)
	}
}

// An upstream may remember what it was sent before a rotation.
func TestSecrecy_ofFormerCredentialsAfterARotation(t *testing.T) {
	t.Parallel()
	w := start(t, setup{env: map[string]string{"SEGURA_CREDENTIALS_TTL": alwaysExpired}})
	w.enables("before", 6, "already_enabled, attempts 1")
	former, token := w.segura.ClientSecret(), w.segura.Tokens()[0]
	w.segura.RotateClientSecret(randomText(30))
	w.segura.RevokeTokens()
	w.stack.PutSecret(nil)
	w.enables("after the rotation", 5, "enabled, attempts 1")
	for _, value := range []string{former, token} {
		for _, text := range []string{value, strings.Join(strings.Split(value, ""), " ")} {
			w.segura.Fail(seguratest.Match{}, seguratest.Envelope(400, 400, text).WithHeader("X-Kong-Request-Id", text), 1)
			a := w.enable(5)
			joined := strings.ReplaceAll(strings.Join(a.Logs, "")+string(a.Payload), " ", "")
			if shown := leaktest.Find(joined, leaktest.ShortPart, map[string]string{value: "a former value"}); len(shown) > 0 {
				t.Errorf("quoted as %q: %v", text, shown)
			}
		}
	}
}

// talker is an upstream that issues a token, and answers calls with whatever it is told
// to say, word for word, with a pause in between.
type talker struct {
	*httptest.Server
	token string

	mu   sync.Mutex
	says []string
}

func (s *talker) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasSuffix(r.URL.Path, "/token") {
		_, _ = io.WriteString(w, `{"token_type":"Bearer","expires_in":3600,"access_token":"`+s.token+`"}`)
		return
	}
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, words := range s.says {
		_, _ = io.WriteString(conn, strings.ReplaceAll(words, "TOKEN", "Bearer "+s.token))
		time.Sleep(20 * time.Millisecond)
	}
	_ = conn.Close()
}

// net/http reports what it did not ask for, with the bytes that came.
func TestSecrecy_whatTheHTTPClientComplainsAbout(t *testing.T) {
	t.Parallel()
	const reply = "HTTP/1.1 500 x\r\nContent-Length: 2\r\n\r\n{}"
	server := &talker{token: randomText(40)}
	server.Server = httptest.NewUnstartedServer(server)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	w := start(t, setup{secret: map[string]any{"base_url": server.URL + "/pam", "ca_certificate": string(ca)},
		env: map[string]string{"SEGURA_MAX_ATTEMPTS": "1", "SEGURA_ATTEMPT_TIMEOUT": "500ms"}})
	w.mark(server.token)
	for _, says := range [][]string{
		{reply, "HTTP/1.1 200 TOKEN\r\nX: TOKEN\r\n\r\n"}, {reply, "TOKEN"}, {"TOKEN\r\n\r\n"}, {"HTTP/1.1 TOKEN\r\n\r\n"}, {"HTTP/9.TOKEN 200 OK\r\n\r\n"},
		{"HTTP/1.1 200 OK\r\nTOKEN\r\n\r\n"}, {"HTTP/1.1 200 OK\r\nContent-Length: TOKEN\r\n\r\n"}, {"HTTP/1.1 200 OK\r\nTransfer-Encoding: TOKEN\r\n\r\n"},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nTOKEN\r\n"}, {"HTTP/1.1 103 TOKEN\r\nLink: TOKEN\r\n\r\n" + reply},
		{"HTTP/1.1 101 TOKEN\r\nUpgrade: TOKEN\r\nConnection: upgrade\r\n\r\n", "TOKEN"}, {"HTTP/1.1 307 x\r\nLocation: https://TOKEN.invalid/\r\nContent-Length: 0\r\n\r\n"},
	} {
		server.mu.Lock()
		server.says = says
		server.mu.Unlock()
		// Not by invoke: what the client logs on its own has no request's id.
		inv, err := w.function.Invoke(t.Context(), []byte(`{"identifier":5}`))
		if err != nil || inv.ErrorType != "Segura.TransientError" && inv.ErrorType != "Segura.PermanentError" || strings.Contains(string(inv.Payload)+inv.XRayCause, server.token[:leaktest.ShortPart]) {
			t.Errorf("%q: got %s %s, %v; want a failure that does not show the token", says, inv.ErrorType, inv.Payload, err)
		}
	}
}

// An endpoint that answers in AWS's form with whatever it was sent.
func TestSecrecy_whateverSecretsManagerEchoes(t *testing.T) {
	t.Parallel()
	secret := randomText(40)
	document := encoded(t, `{"base_url":"http://x","client_id":"id","client_secret":"`+secret+`"}`)
	for _, row := range []struct {
		status int
		body   string // %q is what was sent, as a JSON string
	}{
		{400, `{"__type":"InvalidSignatureException","Message":%q}`}, {403, `{"__type":"SignatureDoesNotMatch","message":%q,"Message":%q}`}, {400, `{"Message":%q}`}, {400, `%q`},
		{200, `{"SecretString":` + document}, {200, `{"SecretString":` + document + `,"VersionId":5}`}, {200, `{"SecretBinary":` + document + `}`}, // not whole, no text, not base64
		{500, `{"__type":"InternalServiceError","Message":` + document + `}`}, {307, ""},
	} {
		endpoint := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			told := r.Header.Get("X-Amz-Security-Token") + " " + r.Header.Get("Authorization") + " " + runtimeapi.SecretAccessKey
			w.Header().Set("Content-Type", "application/x-amz-json-1.1")
			w.Header().Set("X-Amzn-Requestid", told)
			w.Header().Set("X-Amzn-Errortype", "AccessDeniedException:"+told)
			w.Header().Set("Location", "https://"+url.PathEscape(told)+".invalid/")
			w.WriteHeader(row.status)
			_, _ = io.WriteString(w, strings.ReplaceAll(row.body, "%q", encoded(t, told)))
		}))
		t.Cleanup(endpoint.Close)
		w := start(t, setup{before: func(w *world) { w.mark(secret) },
			env: map[string]string{"AWS_ENDPOINT_URL_SECRETS_MANAGER": endpoint.URL, "AWS_MAX_ATTEMPTS": "1", "AWS_LAMBDA_LOG_LEVEL": "DEBUG"}})
		if a := w.enable(5); a.Result.FailedByCode["credentials_unavailable"] != 1 {
			t.Errorf("%d %s: got %s, want credentials_unavailable", row.status, row.body, a.Text)
		}
		w.invoke(`{"check":true}`)
	}
}

// The password of a proxy is in an error of net/http's. A proxy that cannot be
// parsed ends init: net/http would pass it by.
func TestSecrecy_ofAProxysPassword(t *testing.T) {
	t.Parallel()
	password := randomText(30)
	for address, usable := range map[string]bool{
		"http://user:PASSWORD@127.0.0.1:1": true, "socks5://user:PASSWORD@127.0.0.1:1": true, "https://user:PASSWORD@127.0.0.1:1": true,
		"http://user:PASSWORD@127.0.0.1:bad": false, "user:PASSWORD@ x": false, "gopher://user:PASSWORD@127.0.0.1:1": false, "http://user:100%safePASSWORD@127.0.0.1:1": false,
	} {
		w := start(t, setup{
			secret:    map[string]any{"base_url": "https://segura.invalid/pam"},
			before:    func(w *world) { w.mark(password) },
			env:       map[string]string{"https_proxy": strings.ReplaceAll(address, "PASSWORD", password), "SEGURA_MAX_ATTEMPTS": "1", "SEGURA_ATTEMPT_TIMEOUT": "1s"},
			initFails: !usable,
		})
		if usable {
			w.enables(address, 5, "upstream_unreachable, retryable, attempts 0")
			w.invoke(`{"check":true}`)
		} else if logs := strings.Join(w.function.Logs(), "\n"); !strings.Contains(logs, "https_proxy: ") || w.secrets.Reads() != 0 {
			t.Errorf("%s: the log does not name the variable, or the AWS secret was read: %s", address, logs)
		}
	}
}

// Requests carry their callers' session tokens and Authorization headers.
func TestSecrecy_ofTheRequestsOwnHeadersAndBodies(t *testing.T) {
	t.Parallel()
	w := start(t, setup{function: api, segura: anyIdentifier})
	w.mark("IQoJb3JpZ2luX2Vj", "AWS4-HMAC-SHA256", "ASIAIOSFODNN7EXAMPLE", "bodymarkerbodymarker")
	for _, name := range []string{"rest-one.json", "rest-batch.json", "http-api-one.json", "http-api-access-denied.json", "function-url.json"} {
		content, err := os.ReadFile(filepath.Join("..", "..", "events", name))
		var e map[string]any
		if err != nil || json.Unmarshal(content, &e) != nil {
			t.Fatal(name, err)
		}
		w.invoke(string(content))
		for _, body := range []string{`{"reason":5,"x":"bodymarkerbodymarker"}`, `{"bodymarkerbodymarker`} {
			e["body"], e["isBase64Encoded"] = body, false
			w.invoke(encoded(t, e))
		}
	}
	for _, f := range []front{stage.RESTEvent, stage.HTTPEvent} {
		w.http(f, "/pathmarker/bodymarkerbodymarker", "")
	}
	if strings.Contains(w.said(), "0123456789abcdef0123456789abcdef") {
		t.Error("a signature shows")
	}
}
