package acceptance

import (
	"context"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"segura-enable/simulated/runtimeapi"
	"segura-enable/simulated/secretsmanager"
	"segura-enable/simulated/seguratest"
)

// shortPart is how many bytes of a secret value are a part of it that must not
// show.
const shortPart = 8

// treasure is a set of credentials of which every value is told apart from all
// other text.
type treasure struct {
	id, secret, tenant, referer, token string
}

func newTreasure() treasure {
	special := "+/=&% \"<"
	return treasure{
		id: randomText("i", 36), tenant: randomText("t", 24), token: randomText("k", 60),
		secret:  randomText("s", 20) + special + randomText("s", 24),
		referer: "https://" + strings.ToLower(randomText("r", 20)) + ".example/" + randomText("r", 16),
	}
}

// randomText begins with the prefix, and has letters and digits.
func randomText(prefix string, n int) string {
	const alphabet = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789"
	b := []byte(prefix)
	for len(b) < n {
		b = append(b, alphabet[rand.IntN(len(alphabet))])
	}
	return string(b)
}

func (v treasure) all() map[string]string {
	// What every address begins with is no part of the referer's.
	referer := strings.TrimPrefix(v.referer, "https://")
	return map[string]string{"client_id": v.id, "client_secret": v.secret, "tenant": v.tenant, "referer": referer, "token": v.token}
}

// hidden checks that no part of a value shows in the text, as it is or in the
// forms in which it travels.
func (v treasure) hidden(t *testing.T, about, text string) {
	t.Helper()
	for name, value := range v.all() {
		for form, shown := range map[string]string{"": value, " url-encoded": url.QueryEscape(value), " in base64": base64.StdEncoding.EncodeToString([]byte(value))} {
			n := shortPart
			if form != "" {
				n = 12
			}
			if part, leak := shows(text, shown, n); leak {
				at := strings.Index(text, part)
				t.Errorf("%s: %s%s shows (%q): …%s…", about, name, form, part, text[max(0, at-300):min(len(text), at+100)])
			}
		}
	}
	basic := base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(v.id) + ":" + url.QueryEscape(v.secret)))
	if part, leak := shows(text, basic, 12); leak {
		t.Errorf("%s: the Basic credentials show (%q)", about, part)
	}
}

// mirror is an upstream that says what a test wants it to say, over TLS.
type mirror struct {
	*httptest.Server
	v treasure

	mu    sync.Mutex
	call  http.HandlerFunc // what calls are answered with
	token http.HandlerFunc // what token requests are answered with; nil: the token
}

func startMirror(t *testing.T) *mirror {
	t.Helper()
	m := &mirror{v: newTreasure()}
	m.Server = httptest.NewUnstartedServer(http.HandlerFunc(m.serve))
	m.Config.ErrorLog = log.New(io.Discard, "", 0)
	m.StartTLS()
	t.Cleanup(m.Close)
	return m
}

func (m *mirror) serve(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	call, token := m.call, m.token
	m.mu.Unlock()
	switch {
	case !strings.HasSuffix(r.URL.Path, "/token"):
		call(w, r)
	case token != nil:
		token(w, r)
	default:
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"token_type":"Bearer","expires_in":3600,"access_token":%s}`, quoted(m.v.token))
	}
}

func (m *mirror) answers(call, token http.HandlerFunc) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.call, m.token = call, token
}

// secret are the overrides of the AWS secret that lead to the mirror.
func (m *mirror) secret() map[string]any {
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: m.Certificate().Raw})
	return map[string]any{
		"base_url": m.URL + "/pam", "ca_certificate": string(ca), "client_id": m.v.id, "client_secret": m.v.secret,
		"tenant": m.v.tenant, "referer": m.v.referer,
	}
}

// echoes are ways in which a text is written back, and what reads it is the log.
var echoes = map[string]func(string) string{
	"whole":                   func(s string) string { return s },
	"first half":              func(s string) string { return s[:len(s)/2] },
	"second half":             func(s string) string { return s[len(s)/2:] },
	"middle":                  func(s string) string { return s[len(s)/3 : 2*len(s)/3] },
	"url-encoded":             url.QueryEscape,
	"path-encoded":            url.PathEscape,
	"lower-case %xx":          func(s string) string { return lowerEscapes(url.QueryEscape(s)) },
	"base64":                  func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
	"url-safe base64":         func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) },
	"an Authorization header": func(s string) string { return "Authorization: Bearer " + s },
	"a form": func(s string) string {
		return "grant_type=client_credentials&client_secret=" + url.QueryEscape(s) + "&x=1"
	},
	"quoted": func(s string) string { return fmt.Sprintf("%q", s) },
}

// lowerEscapes writes %2B as %2b.
func lowerEscapes(s string) string {
	b := []byte(s)
	for i := 0; i+2 < len(b); i++ {
		if b[i] == '%' {
			copy(b[i+1:i+3], strings.ToLower(string(b[i+1:i+3])))
		}
	}
	return string(b)
}

// places are where an upstream can write a text.
var places = map[string]func(w http.ResponseWriter, status int, text string){
	"message": func(w http.ResponseWriter, status int, text string) {
		writeJSON(w, status, `{"message":`+quoted(text)+`}`)
	},
	"envelope": func(w http.ResponseWriter, status int, text string) {
		writeJSON(w, status, fmt.Sprintf(`{"code":%d,"response":{"status":%[1]d,"message":%[2]s,"mensagem":%[2]s,"error":true,"error_code":0,"detail":%[2]s},"exception":{"code":1005,"message":%[2]s,"detail":%[2]s}}`, status, quoted(text)))
	},
	"success": func(w http.ResponseWriter, _ int, text string) {
		writeJSON(w, 200, `{"code":200,"response":{"status":200,"message":`+quoted("Api secret activated successfully "+text)+`,"error":false}}`)
	},
	"request_id": func(w http.ResponseWriter, status int, text string) {
		writeJSON(w, status, `{"message":"x","request_id":`+quoted(text)+`}`)
	},
	"X-Kong-Request-Id": func(w http.ResponseWriter, status int, text string) {
		w.Header().Set("X-Kong-Request-Id", text)
		writeJSON(w, status, `{"message":"x"}`)
	},
	"X-Request-Id": func(w http.ResponseWriter, status int, text string) {
		w.Header().Set("X-Request-Id", text)
		writeJSON(w, status, `{"code":400,"response":{"status":400,"message":"1006: User does not have access","error":true}}`)
	},
	"other headers": func(w http.ResponseWriter, status int, text string) {
		for _, name := range []string{"WWW-Authenticate", "Location", "Set-Cookie", "Retry-After", "RateLimit-Reset", "Server", "Authorization", "Content-Disposition"} {
			w.Header().Set(name, text)
		}
		writeJSON(w, status, `{}`)
	},
	"plain text": func(w http.ResponseWriter, status int, text string) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, text+"\nrequest_id: "+text+"\n")
	},
	"web page": func(w http.ResponseWriter, status int, text string) {
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "<html>"+text+"</html>")
	},
	"OAuth error": func(w http.ResponseWriter, status int, text string) {
		writeJSON(w, status, fmt.Sprintf(`{"error":%[1]s,"error_description":%[1]s,"error_uri":%[1]s,"hint":%[1]s,"message":%[1]s,"access_token":5}`, quoted(text)))
	},
	"broken JSON": func(w http.ResponseWriter, status int, text string) {
		writeJSON(w, status, `{"message":`+quoted(text)+`,"request_id":`+quoted(text))
	},
	"a key": func(w http.ResponseWriter, status int, text string) {
		writeJSON(w, status, `{`+quoted(text)+`:1,`+quoted(text)+`:2}`)
	},
	"content type": func(w http.ResponseWriter, status int, text string) {
		w.Header().Set("Content-Type", text)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, text)
	},
}

func writeJSON(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

// An upstream that is hostile, or merely chatty, writes back what it was sent.
func TestSecrecy_whateverTheUpstreamEchoes(t *testing.T) {
	t.Parallel()
	for place, write := range places {
		t.Run(place, func(t *testing.T) {
			// Where nothing is read, a few forms are enough.
			unread := strings.Contains("other headers, web page, broken JSON, a key, content type", place)
			t.Parallel()
			m := startMirror(t)
			statuses := []int{400, 401, 403, 404, 429, 500, 502, 200, 503, 302}
			m.answers(func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, 500, `{}`) }, nil)
			w := start(t, setup{secret: m.secret(), env: map[string]string{"SEGURA_MAX_ATTEMPTS": "1"}, textLogs: place == "envelope"})
			at := 0
			for _, form := range slices.Sorted(maps.Keys(echoes)) {
				if unread && form != "whole" && form != "base64" {
					continue
				}
				for name, value := range m.v.all() {
					text := headerText(place, echoes[form](value))
					status := statuses[at%len(statuses)]
					at++
					answer := func(w http.ResponseWriter, _ *http.Request) { write(w, status, text) }
					m.answers(answer, nil)
					w.raw([]byte(`{"identifier":5}`))
					if name == "token" || name == "client_secret" && form == "whole" {
						m.answers(answer, answer)
						w.raw([]byte(`{"check":true}`))
					}
				}
			}
			m.v.hidden(t, place, w.said())
		})
	}
}

// headerText makes a text fit into a header, where it goes into one.
func headerText(place, text string) string {
	if place == "message" || place == "envelope" || place == "success" {
		return text
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '_'
		}
		return r
	}, text)
}

// A token that was replaced may be of use to somebody yet.
func TestSecrecy_ofTokensThatWereReplaced(t *testing.T) {
	t.Parallel()
	m := startMirror(t)
	var mu sync.Mutex
	var tokens []string
	issue := func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		tokens = append(tokens, randomText("k", 60))
		writeJSON(w, 200, fmt.Sprintf(`{"token_type":"Bearer","expires_in":3600,"access_token":%q,"message":%[1]q}`, tokens[len(tokens)-1]))
	}
	quote := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			for _, token := range tokens[max(0, len(tokens)-2):] {
				w.Header().Set("X-Request-Id", token)
			}
			writeJSON(w, status, `{"message":`+quoted(strings.Join(tokens[max(0, len(tokens)-2):], " "))+`}`)
		}
	}
	m.answers(quote(401), issue)
	w := start(t, setup{secret: m.secret(), env: map[string]string{"SEGURA_MAX_ATTEMPTS": "1"}})
	for range 3 {
		w.raw([]byte(`{"identifiers":[5,6]}`))
		w.raw([]byte(`{"check":true}`))
	}
	m.answers(quote(500), issue)
	w.raw([]byte(`{"identifiers":[5,6]}`))
	said := w.said()
	for i, token := range tokens {
		if part, leak := shows(said, token, shortPart); leak {
			at := strings.Index(said, part)
			t.Errorf("token %d of %d shows (%q): …%s…", i+1, len(tokens), part, said[max(0, at-300):min(len(said), at+100)])
		}
	}
	if len(tokens) < 4 {
		t.Errorf("got %d tokens, want several", len(tokens))
	}
}

// net/http reports what it did not ask for, with the bytes that came.
func TestSecrecy_whatTheHTTPClientComplainsAbout(t *testing.T) {
	t.Parallel()
	m := startMirror(t)
	said := func(before, after string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			conn, buffered, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return
			}
			_, _ = buffered.WriteString(before)
			_ = buffered.Flush()
			time.Sleep(20 * time.Millisecond)
			_, _ = buffered.WriteString(after)
			_ = buffered.Flush()
			time.Sleep(20 * time.Millisecond)
			_ = conn.Close()
		}
	}
	m.answers(func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, 500, `{}`) }, nil)
	w := start(t, setup{secret: m.secret(), env: map[string]string{"SEGURA_MAX_ATTEMPTS": "1", "SEGURA_ATTEMPT_TIMEOUT": "500ms"}})
	const reply = "HTTP/1.1 500 x\r\nContent-Length: 2\r\n\r\n{}"
	for _, value := range []string{m.v.token, m.v.secret, "Authorization: Bearer " + m.v.token} {
		plain := headerText("header", value)
		for about, talk := range map[string][2]string{
			"unasked":            {reply, "HTTP/1.1 200 " + plain + "\r\nX: " + plain + "\r\n\r\n"},
			"unasked bytes":      {reply, plain},
			"no HTTP":            {plain + "\r\n\r\n", ""},
			"a strange status":   {"HTTP/1.1 " + plain + "\r\n\r\n", ""},
			"a strange version":  {"HTTP/9." + plain + " 200 OK\r\n\r\n", ""},
			"a strange header":   {"HTTP/1.1 200 OK\r\n" + plain + "\r\n\r\n", ""},
			"a strange length":   {"HTTP/1.1 200 OK\r\nContent-Length: " + plain + "\r\n\r\n", ""},
			"a strange encoding": {"HTTP/1.1 200 OK\r\nTransfer-Encoding: " + plain + "\r\n\r\n", ""},
			"a strange chunk":    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + plain + "\r\n", ""},
			"a strange trailer":  {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: " + plain + "\r\n\r\n2\r\n{}\r\n0\r\n" + plain + ": x\r\n\r\n", ""},
			"early hints":        {"HTTP/1.1 103 " + plain + "\r\nLink: " + plain + "\r\n\r\n" + reply, ""},
			"another protocol":   {"HTTP/1.1 101 " + plain + "\r\nUpgrade: " + plain + "\r\nConnection: upgrade\r\n\r\n", plain},
			"a redirect":         {"HTTP/1.1 307 x\r\nLocation: https://" + plain + ".invalid/\r\nContent-Length: 0\r\n\r\n", ""},
		} {
			m.answers(said(talk[0], talk[1]), nil)
			// Not by invoke: what the client logs on its own has no request's id.
			inv, err := w.function.Invoke(context.Background(), []byte(`{"identifier":5}`))
			if err != nil || inv.ErrorType != "Segura.TransientError" && inv.ErrorType != "Segura.PermanentError" {
				t.Errorf("%s: got %s %s, %v; want a failure", about, inv.ErrorType, inv.Payload, err)
			}
			m.v.hidden(t, about, string(inv.Payload)+inv.XRayCause)
		}
	}
	m.v.hidden(t, "whatever was said", w.said())
	clean(t, w.function.Logs())
}

// everyFault is what can happen to a request at Segura.
var everyFault = []seguratest.Fault{
	seguratest.AccessDenied1006(), seguratest.AccessDenied1006WithoutException(), seguratest.Binary(), seguratest.CloseConnection(),
	seguratest.CutAfterJSON(), seguratest.CutChunked(), seguratest.CutJSON(), seguratest.CutShort(), seguratest.Drain(), seguratest.Empty(200), seguratest.Empty(500),
	seguratest.EndlessEarlyHints(), seguratest.EndlessHeaders(), seguratest.Envelope(500, 500, "x"), seguratest.Gateway(418, "x"), seguratest.Gateway429(),
	seguratest.Gateway500(), seguratest.Gateway502(), seguratest.Gateway503(), seguratest.Gateway504(), seguratest.GatewayForbiddenIP403(),
	seguratest.GatewayNoRoute404(), seguratest.GiantBody(2), seguratest.GzipBomb(2), seguratest.HTML(200), seguratest.HTML(502),
	seguratest.Hang(), seguratest.HangMidBody(), seguratest.InvalidClient401(), seguratest.NotAuthorized(401), seguratest.NotFound1005(), seguratest.NotHTTP(),
	seguratest.PasswordActivated(), seguratest.PortugueseException500(), seguratest.Redirect(302, "https://example.com"), seguratest.Redirect(307, "/"),
	seguratest.ResetConnection(), seguratest.ResetMidBody(), seguratest.SlowDrip(100 * time.Millisecond),
	seguratest.TokenRefused(seguratest.RefusedAuthentication), seguratest.TokenRefused(seguratest.RefusedInactiveAs200), seguratest.Unexpected500(),
}

// tokenFaults are replies of the token endpoint with a token in them.
var tokenFaults = []seguratest.Fault{
	seguratest.TokenExpiresIn("-1"), seguratest.TokenExpiresIn("9e99"), seguratest.TokenExpiresIn(`"x"`), seguratest.TokenExpiresIn(`{}`),
	seguratest.TokenType(`"MAC"`), seguratest.TokenType(`5`), seguratest.TokenWithLineBreaks(), seguratest.TokenMissing(),
	seguratest.TokenReply(`{"access_token":"{token}","token_type":"Bearer"`), seguratest.TokenReply(`"{token}"`), seguratest.TokenReply(`{token}`),
	seguratest.TokenReply(`["{token}"]`), seguratest.TokenReply(`{"access_token":["{token}"],"token_type":"Bearer"}`),
	seguratest.TokenReply(`{"access_token":"{token}","error":"{token}","error_description":"{token}","token_type":"x"}`),
	seguratest.TokenReply(`{"access_token":"{token} {token}","message":"{token}","request_id":"{token}"}`),
	seguratest.TokenReply(`{"access_token":"{token}","access_token":"{token}"}`), seguratest.TokenReply(`{"token":"{token}","id_token":"{token}","refresh_token":"{token}"}`),
	seguratest.TokenReply(`{"message":"{token}","access_token":null}`),
}

// The harness looks for parts of every secret value in all that came out.
func TestSecrecy_whateverGoesWrongAtSegura(t *testing.T) {
	t.Parallel()
	v := newTreasure()
	for name, inject := range map[string]func(*world, seguratest.Fault){
		"calls": func(w *world, f seguratest.Fault) {
			w.segura.Fail(seguratest.Match{Kind: seguratest.KindEnable}, f, 1)
			w.raw([]byte(`{"identifiers":[5,9],"reason":"x"}`))
		},
		"tokens": func(w *world, f seguratest.Fault) {
			w.segura.Fail(seguratest.Match{Kind: seguratest.KindToken}, f, 1)
			w.raw([]byte(`{"check":true}`))
			w.raw([]byte(`{"identifier":5}`))
		},
		"HEAD": func(w *world, f seguratest.Fault) {
			w.segura.Fail(seguratest.Match{Kind: seguratest.KindHead}, f, 1)
			w.raw([]byte(`{"check":true}`))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := start(t, setup{
				segura: seguratest.Options{ClientID: v.id, ClientSecret: v.secret, Tenant: v.tenant, Referer: v.referer, RequireClientCertificate: true, AnyIdentifier: true},
				env:    map[string]string{"SEGURA_MAX_ATTEMPTS": "1", "SEGURA_ATTEMPT_TIMEOUT": "250ms"},
			})
			faults := everyFault
			if name == "tokens" {
				faults = append(faults[:len(faults):len(faults)], tokenFaults...)
			}
			for _, f := range faults {
				w.segura.ClearFaults()
				inject(w, f)
			}
			w.segura.ClearFaults()
			for _, how := range []seguratest.Refused{seguratest.NotListening, seguratest.ResetOnAccept, seguratest.SilentOnAccept, seguratest.PlainOnAccept} {
				if err := w.segura.RefuseConnections(how); err != nil {
					t.Fatal(err)
				}
				w.raw([]byte(`{"identifier":5}`))
				w.raw([]byte(`{"check":true}`))
				if err := w.segura.AcceptConnections(); err != nil {
					t.Fatal(err)
				}
			}
			w.segura.RotateClientSecret(randomText("n", 40))
			w.segura.RevokeTokens()
			w.raw([]byte(`{"identifiers":[5,9]}`))
			v.hidden(t, name, w.said())
		})
	}
}

func TestSecrecy_whateverGoesWrongAtSecretsManager(t *testing.T) {
	t.Parallel()
	v := newTreasure()
	w := start(t, setup{
		segura: seguratest.Options{ClientID: v.id, ClientSecret: v.secret, Tenant: v.tenant, Referer: v.referer},
		env:    map[string]string{"SEGURA_CREDENTIALS_TTL": "1ns", "AWS_MAX_ATTEMPTS": "1", "SEGURA_ATTEMPT_TIMEOUT": "300ms", "AWS_LAMBDA_LOG_LEVEL": "DEBUG"},
	})
	for _, kind := range []secretsmanager.Fault{
		secretsmanager.Throttling, secretsmanager.InternalError, secretsmanager.Unavailable, secretsmanager.AccessDenied, secretsmanager.KeyAccessDenied,
		secretsmanager.ResourceNotFound, secretsmanager.MarkedForDeletion, secretsmanager.DecryptionFailure, secretsmanager.SignatureMismatch,
		secretsmanager.ExpiredToken, secretsmanager.InvalidToken, secretsmanager.Hang, secretsmanager.Reset, secretsmanager.Garbage, secretsmanager.NoValue,
		secretsmanager.CutShort, secretsmanager.GiantBody,
	} {
		w.secrets.Fail(kind, 0)
		w.raw([]byte(`{"identifier":5}`))
		w.raw([]byte(`{"check":true}`))
		w.secrets.ClearFaults()
		w.raw([]byte(`{"identifier":5}`))
	}
	v.hidden(t, "faults of Secrets Manager", w.said())
}

// An endpoint that answers in AWS's form with whatever it was sent.
func TestSecrecy_whateverSecretsManagerEchoes(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	mode := 0
	v := newTreasure()
	document := encoded(t, map[string]string{"base_url": "http://x", "client_id": v.id, "client_secret": v.secret, "tenant": v.tenant, "referer": v.referer})
	echo := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		told := r.Header.Get("X-Amz-Security-Token") + " " + r.Header.Get("Authorization") + " " + runtimeapi.SecretAccessKey
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		switch mode {
		case 0:
			writeJSON(w, 400, `{"__type":"InvalidSignatureException","Message":`+quoted(told)+`}`)
		case 1:
			writeJSON(w, 403, `{"__type":"SignatureDoesNotMatch","message":`+quoted(told)+`,"Message":`+quoted(told)+`}`)
		case 2:
			w.Header().Set("X-Amzn-Requestid", told)
			w.Header().Set("X-Amzn-Errortype", "AccessDeniedException:"+told)
			writeJSON(w, 400, `{"Message":`+quoted(told)+`}`)
		case 3:
			writeJSON(w, 400, told)
		case 4:
			writeJSON(w, 200, `{"SecretString":`+document) // not a string, and not whole
		case 5:
			writeJSON(w, 200, `{"SecretString":`+quoted(document)+`,"VersionId":5}`)
		case 6:
			writeJSON(w, 200, `{"SecretBinary":`+quoted(document)+`}`) // not base64
		case 7:
			writeJSON(w, 500, `{"__type":"InternalServiceError","Message":`+quoted(document)+`}`)
		default:
			http.Redirect(w, r, "https://"+url.PathEscape(told)+".invalid/", http.StatusTemporaryRedirect)
		}
	}))
	t.Cleanup(echo.Close)
	w := start(t, setup{env: map[string]string{"AWS_ENDPOINT_URL_SECRETS_MANAGER": echo.URL, "AWS_MAX_ATTEMPTS": "1", "AWS_LAMBDA_LOG_LEVEL": "DEBUG"}})
	for i := range 9 {
		mu.Lock()
		mode = i
		mu.Unlock()
		inv := w.invoke(`{"identifier":5}`)
		if len(inv.result.Results) != 1 || inv.result.Results[0].Error.Code != "credentials_unavailable" {
			t.Errorf("reply %d: got %s %s, want credentials_unavailable", i, inv.ErrorType, inv.text)
		}
		w.raw([]byte(`{"check":true}`))
	}
	v.hidden(t, "echoes of Secrets Manager", w.said())
}

func TestSecrecy_whateverIsWrongWithTheAWSSecret(t *testing.T) {
	t.Parallel()
	v := newTreasure()
	key := randomText("p", 64)
	w := start(t, setup{env: map[string]string{"SEGURA_CREDENTIALS_TTL": "1ns", "SEGURA_ATTEMPT_TIMEOUT": "300ms", "SEGURA_MAX_ATTEMPTS": "1"}})
	w.mark(key)
	fields := map[string]any{
		"base_url": "https://127.0.0.1:1/pam", "client_id": v.id, "client_secret": v.secret, "tenant": v.tenant, "referer": v.referer,
	}
	var documents []string
	for name, values := range map[string][]any{
		"base_url": {"http://" + v.token, "https://" + v.id + ":" + v.secret[:16] + "@127.0.0.1/", "https://127.0.0.1/?" + v.token, "https://127.0.0.1/#" + v.token,
			"https://" + v.token + ".invalid/", "https://127.0.0.1:" + v.token, "https://[" + v.token, v.token, "https://127.0.0.1:1/mysafe/password/" + v.token, "%" + v.token, 5, []string{v.token}},
		"token_url":          {"http://" + v.token, "https://" + v.id + ":" + v.token + "@127.0.0.1/", "https://" + strings.ToLower(v.token) + ".invalid/", v.token, map[string]string{v.token: v.token}},
		"client_id":          {"", nil, 5, []string{v.id}},
		"client_secret":      {"", nil, map[string]string{"x": v.secret}, []string{v.secret}},
		"tenant":             {5, []string{v.tenant}},
		"ca_certificate":     {v.token, "-----BEGIN CERTIFICATE-----\n" + v.token + "\n-----END CERTIFICATE-----", []string{v.token}},
		"client_certificate": {v.token, 5},
		"client_key":         {key, "-----BEGIN PRIVATE KEY-----\n" + key + "\n-----END PRIVATE KEY-----", []string{key}},
		"referer":            {v.referer + "\r\nX: y", v.referer + "ü", []string{v.referer}},
		"enable_path":        {v.token, "/" + v.token, "/mysafe/password/" + v.token + "/{identifier}", "/{identifier}?" + v.token, "/%zz" + v.token + "/{identifier}", 5},
		"disable_path":       {v.token, "/x/../" + v.token + "/{identifier}", []string{v.token}},
		"auth_style":         {v.token, 5},
		v.token:              {v.token},
	} {
		for _, value := range values {
			document := map[string]any{name: value}
			for other, usual := range fields {
				if other != name {
					document[other] = usual
				}
			}
			documents = append(documents, encoded(t, document))
		}
	}
	documents = append(documents, v.token, quoted(v.token), `["`+v.token+`"]`, `{"client_secret":"`+v.token+`"`, `{"client_secret":`+v.token+`}`, v.token+"\xff",
		`{"client_secret":"`+v.token+`","client_secret":"`+v.token+`x"}`, `{"`+v.token+`":1,"`+v.token+`":2}`, `{"client_secret":"`+v.token+`"}`+v.token,
		strings.Repeat(`{"`+v.token+`":`, 100), "client_id="+v.id+"&client_secret="+v.token, "")
	for _, document := range documents {
		w.secrets.Put(secretName, document)
		w.invoke(`{"identifier":5}`) // with the copy of a good one, if there was any
		if inv := w.raw([]byte(`{"check":true}`)); !inv.FunctionError {
			t.Errorf("%.200s: the self-check got %s, want a failure", document, inv.Payload)
		}
	}
	w.secrets.PutBinary(secretName, []byte(v.token+"\x00\xff"))
	w.invoke(`{"identifier":5}`)
	v.hidden(t, "some AWS secret", w.said())
}

// The password of a proxy is in an error of net/http's. A proxy that cannot be
// parsed ends init: net/http would pass it by.
func TestSecrecy_ofAProxysPassword(t *testing.T) {
	t.Parallel()
	password := randomText("w", 30)
	for proxy, usable := range map[string]bool{
		"http://user:" + password + "@127.0.0.1:1": true, "socks5://user:" + password + "@127.0.0.1:1": true, "https://user:" + password + "@127.0.0.1:1": true,
		"http://user:" + password + "@127.0.0.1:bad": false, "http://user:" + password + "@%zz": false, "user:" + password + "@ x": false,
		"gopher://user:" + password + "@127.0.0.1:1": false, "http://user:100%safe" + password + "@127.0.0.1:1": false,
	} {
		for _, variable := range []string{"HTTPS_PROXY", "https_proxy"} {
			w := start(t, setup{
				secret:    map[string]any{"base_url": "https://segura.invalid/pam"},
				env:       map[string]string{variable: proxy, "SEGURA_MAX_ATTEMPTS": "1", "SEGURA_ATTEMPT_TIMEOUT": "1s"},
				initFails: !usable,
			})
			said := ""
			if usable {
				w.one(5)
				w.raw([]byte(`{"check":true}`))
				said = w.said()
			} else if said = strings.Join(w.function.Logs(), "\n"); !strings.Contains(said, variable+": ") {
				t.Errorf("%s=%s: the log does not name it: %s", variable, proxy, said)
			}
			if part, leak := shows(said, password, shortPart); leak {
				t.Errorf("%s=%s: the password shows (%q)", variable, proxy, part)
			}
			w.counts("with a proxy that leads nowhere", 0, 0, w.secrets.Reads())
			if !usable && w.secrets.Reads() != 0 {
				t.Errorf("%s=%s: the AWS secret was read", variable, proxy)
			}
		}
	}
}

// An upstream may remember what it was sent before a rotation.
func TestSecrecy_ofFormerCredentialsAfterARotation(t *testing.T) {
	t.Parallel()
	w := start(t, setup{env: map[string]string{"SEGURA_CREDENTIALS_TTL": alwaysExpired}})
	former, token := w.segura.ClientSecret(), w.segura.Tokens()[0]
	w.segura.RotateClientSecret("next-" + marker(t))
	w.segura.RevokeTokens()
	w.putSecret(nil)
	is(t, w.one(5), "after the rotation", "enabled", "", false, 1)
	for _, value := range []string{former, token} {
		apart := strings.Join(strings.Split(value, ""), " ")
		w.segura.Fail(seguratest.Match{}, seguratest.Envelope(400, 400, value).WithHeader("X-Kong-Request-Id", value), 1)
		w.one(5)
		w.segura.Fail(seguratest.Match{}, seguratest.Envelope(400, 400, apart).WithHeader("X-Kong-Request-Id", apart), 1)
		w.one(5)
	}
}

// Whatever is wrong with the environment, what it says of that holds none of
// the credentials that are in it.
func TestSecrecy_ofAWSCredentialsWhenInitFails(t *testing.T) {
	t.Parallel()
	for _, env := range []map[string]string{
		{"SEGURA_SECRET_ID": ""}, {"SEGURA_MAX_ATTEMPTS": "x"}, {"AWS_ENDPOINT_URL_SECRETS_MANAGER": ":"}, {"AWS_MAX_ATTEMPTS": "x"}, {"AWS_REGION": ""},
	} {
		f, err := runtimeapi.Start(context.Background(), runtimeapi.Options{Bootstrap: bootstraps[event], Env: merged(map[string]string{
			"SEGURA_SECRET_ID": secretName, "AWS_LAMBDA_LOG_FORMAT": "JSON", "AWS_LAMBDA_LOG_LEVEL": "DEBUG",
		}, env)})
		if err != nil {
			t.Fatal(err)
		}
		ready := f.WaitReady(context.Background())
		said := strings.Join(f.Logs(), "\n") + fmt.Sprint(ready)
		_ = f.Close()
		for _, secret := range []string{runtimeapi.SessionToken, runtimeapi.SecretAccessKey, runtimeapi.AccessKeyID} {
			if part, leak := shows(said, secret, shortPart); leak {
				t.Errorf("%v: AWS credentials show (%q): %s", env, part, said)
			}
		}
		parse(t, f.Logs())
	}
}
