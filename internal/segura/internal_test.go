package segura

import (
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"segura-enable/internal/apisecret"
	"segura-enable/internal/strictjson"
)

// Whatever the fields say, they are refused, or each call goes to the host and
// below the prefix of the base URL, with the identifier as one segment, and to no
// password.
func FuzzAddresses(f *testing.F) {
	for _, seed := range []string{
		DefaultEnablePath, "/api/mysafe/password/active/{identifier}", "/{identifier}", "//x/{identifier}", "/a b/{identifier}", "/%70/{identifier}",
		"/..;/{identifier}", "/@evil.example/{identifier}", "/api/mysafe/\u202epassword/{identifier}", "/{identifier}/%2e%2e", "/{identifier}:80",
		"/mysafe/PASSWORD%2f/{identifier}", "/x%2f..%2f../mysafe/pass%77ord/{identifier}",
	} {
		f.Add("https://segura.example.com/pam", seed)
	}
	f.Add("https://segura.example.com/api/mysafe", "/password/active/{identifier}")
	f.Add("https://segura.example.com/{identifier}/", "/{identifier}")
	f.Add("https://segura.example.com:8443//", DefaultDisablePath)
	f.Fuzz(func(t *testing.T, base, enablePath string) {
		a, err := newAddresses(Credentials{BaseURL: base, EnablePath: enablePath})
		if err != nil {
			if text := err.Error(); enablePath != "" && len(enablePath) > 20 && strings.Contains(text, enablePath) {
				t.Fatalf("%q, %q: the error repeats a value: %s", base, enablePath, text)
			}
			return
		}
		prefix, err := url.Parse(base)
		if err != nil {
			t.Fatalf("%q is accepted: %v", base, err)
		}
		for action, address := range map[apisecret.Action]string{
			apisecret.Enable: a.call(apisecret.Enable, 4711), apisecret.Disable: a.call(apisecret.Disable, 4711), "token": a.token,
		} {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, http.NoBody)
			if err != nil {
				t.Fatalf("%q, %q: %s: no request can be made: %v", base, enablePath, action, err)
			}
			requireSafe(t, prefix, request.URL, action)
		}
	})
}

func requireSafe(t *testing.T, base, called *url.URL, action apisecret.Action) {
	t.Helper()
	if called.Scheme != "https" || called.Hostname() != base.Hostname() || called.Port() != base.Port() || called.User != nil || called.RawQuery != "" || called.Fragment != "" {
		t.Fatalf("%s: %s goes elsewhere than %s", action, called, base)
	}
	if !strings.HasPrefix(called.Path, strings.TrimRight(base.Path, "/")+"/") || path.Clean(called.Path) == "/" {
		t.Fatalf("%s: %s is not below %s", action, called, base)
	}
	segments := strings.Split(called.EscapedPath(), "/")
	if slices.Contains(segments, "..") || action != "token" && !slices.Contains(segments, "4711") {
		t.Fatalf("%s: %s does not have the identifier as a segment, or has dot segments", action, called)
	}
	for decoded, left := called.Path, 3; left > 0; left-- {
		if strings.Contains(strings.ToLower(path.Clean(decoded))+"/", "/mysafe/password/") {
			t.Fatalf("%s: %s leads to a password", action, called)
		}
		again, err := url.PathUnescape(decoded)
		if err != nil {
			return
		}
		decoded = again
	}
}

// read is all that is read out of a reply.
type read struct {
	outcome    apisecret.Outcome
	code       apisecret.Code
	retryable  bool
	seguraCode int
	httpStatus int
	token      bool // the token is refused
}

func readReply(action apisecret.Action, status int, body []byte) read {
	r := reply{status: status, header: http.Header{}, body: body}
	said := readContent(r.body)
	outcome, fault := readCall(action, 5, r, said)
	if fault == nil {
		return read{outcome: outcome, httpStatus: status}
	}
	return read{apisecret.Failed, fault.Code, fault.Retryable, fault.SeguraCode, fault.HTTPStatus, fault.Cause == apisecret.TokenRefused}
}

// Reading a reply never panics; it is a success only if the status is 200 and the
// message says so; and how the JSON is spaced or ordered makes no difference.
func FuzzReadReply(f *testing.F) {
	for _, seed := range []string{
		`{"code":200,"response":{"status":200,"message":"Api secret activated successfully","error":false,"error_code":0,"detail":"","mensagem":"x","erro":false,"cod_erro":0}}`,
		`{"response":{"status":"200","message":"API secret  successfully deactivated","error":"false"}}`,
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

func requireConsistent(t *testing.T, action apisecret.Action, status int, body []byte, got read) {
	t.Helper()
	if got.outcome == apisecret.Failed {
		if got.code == "" || got.httpStatus < status && status/100 != 2 || got.retryable != apisecret.NewError(got.code, "").Retryable {
			t.Fatalf("status %d, %q: got %+v", status, body, got)
		}
		return
	}
	var text string
	for _, escaped := range []string{string(body), unescaped(body)} {
		text += strings.ToLower(escaped) + "\n"
	}
	wanted := "activated"
	if action == apisecret.Disable {
		wanted = "deactivated"
	}
	if status != 200 || !strings.Contains(text, wanted) || !strings.Contains(text, "secret") || !strings.Contains(text, "api") {
		t.Fatalf("status %d, %q: got %+v for %s, though nothing says so", status, body, got, action)
	}
	if got.outcome == action.Unchanged() && !strings.Contains(text, "already") {
		t.Fatalf("status %d, %q: got %+v, though nothing says already", status, body, got)
	}
	if other := readReply(action.Opposite(), status, body); other.outcome != apisecret.Failed {
		t.Fatalf("status %d, %q: a success of enabling and of disabling", status, body)
	}
}

// unescaped returns all the strings in a JSON text.
func unescaped(body []byte) string {
	decoder := json.NewDecoder(bytes.NewReader(bytes.TrimPrefix(body, []byte("\ufeff"))))
	all := ""
	for {
		token, err := decoder.Token()
		if err != nil {
			return all
		}
		if text, ok := token.(string); ok {
			all += text + "\n"
		}
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

func TestRetryAfter_readsEveryForm(t *testing.T) {
	now := time.Date(2026, 11, 21, 8, 15, 30, 500e6, time.UTC)
	for _, row := range []struct {
		name, value string
		want        time.Duration
	}{
		{"Retry-After", "2", 2 * time.Second},
		{"Retry-After", "0", 0},
		{"Retry-After", "1.5", 1500 * time.Millisecond},
		{"Retry-After", "-3", 0},
		{"Retry-After", "NaN", 0},
		{"Retry-After", "Inf", 24 * time.Hour},
		{"Retry-After", "1e30", 24 * time.Hour},
		{"Retry-After", "999999999", 24 * time.Hour},
		{"Retry-After", "Sat, 21 Nov 2026 08:16:00 GMT", 29500 * time.Millisecond},
		{"Retry-After", "Saturday, 21-Nov-26 08:16:00 GMT", 29500 * time.Millisecond},
		{"Retry-After", "Sat, 21 Nov 2026 08:15:00 GMT", 0},
		{"Retry-After", "Sat, 21 Nov 2099 08:15:00 GMT", 24 * time.Hour},
		{"Retry-After", "soon", 0},
		{"Retry-After", "", 0},
		{"RateLimit-Reset", "7", 7 * time.Second},
		{"RateLimit-Reset", "-7", 0},
		{"RateLimit-Reset", "later", 0},
		{"X-RateLimit-Reset", "1795248940", 9500 * time.Millisecond},
		{"X-RateLimit-Reset", "1795248920", 0},
		{"X-RateLimit-Reset", "60", 0},
		{"X-RateLimit-Reset", "9999999999", 24 * time.Hour},
		{"Other", "5", 0},
	} {
		if got := retryAfter(http.Header{http.CanonicalHeaderKey(row.name): {row.value}}, now); got != row.want {
			t.Errorf("%s: %s: got %s, want %s", row.name, row.value, got, row.want)
		}
	}
}

func TestRetryAfter_takesTheFirstHeaderThatSaysAnything(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	header := func(pairs ...string) http.Header {
		h := http.Header{}
		for at := 0; at < len(pairs); at += 2 {
			h.Set(pairs[at], pairs[at+1])
		}
		return h
	}
	for _, row := range []struct {
		header http.Header
		want   time.Duration
	}{
		{header("Retry-After", "1", "RateLimit-Reset", "2", "X-RateLimit-Reset", "1000003"), time.Second},
		{header("Retry-After", "soon", "RateLimit-Reset", "2", "X-RateLimit-Reset", "1000003"), 2 * time.Second},
		{header("Retry-After", "soon", "RateLimit-Reset", "later", "X-RateLimit-Reset", "1000003"), 3 * time.Second},
		{header(), 0},
	} {
		if got := retryAfter(row.header, now); got != row.want {
			t.Errorf("%v: got %s, want %s", row.header, got, row.want)
		}
	}
}

func TestRedact_findsASecretInEveryForm(t *testing.T) {
	for name, row := range map[string]struct {
		secret, quoted string
		shows          bool
	}{
		"as it is":                   {"Zr9Vb3LpTqXw7YcN", "Zr9Vb3LpTqXw7YcN", false},
		"of seven bytes":             {"Zr9Vb3L", "Zr9Vb3L", false},
		"of five bytes":              {"Zr9Vb", "Zr9Vb", false},
		"of four bytes, too common":  {"Zr9V", "Zr9V", true},
		"in a URL":                   {"Zr9&Vb=3L%pT/Xw", "Zr9%26Vb%3D3L%25pT%2FXw", false},
		"where a long text is cut":   {"Zr9Vb3LpTqXw7YcN2m", strings.Repeat("Zr9Vb3LpTqXw7YcN2m", 300), false},
		"in base64":                  {"Zr9Vb3LpTqXw7YcN", base64.StdEncoding.EncodeToString([]byte("Zr9Vb3LpTqXw7YcN")), false},
		"in base64, behind a byte":   {"Zr9Vb3LpTqXw7YcN", base64.StdEncoding.EncodeToString([]byte("xZr9Vb3LpTqXw7YcN"))[4:], false},
		"in base64, behind two":      {"Zr9Vb3LpTqXw7YcN", base64.StdEncoding.EncodeToString([]byte("xyZr9Vb3LpTqXw7YcN"))[4:], false},
		"in base64 for URLs":         {"~~~???~~~???~~~???", base64.URLEncoding.EncodeToString([]byte("~~~???~~~???~~~???")), false},
		"in base64 for URLs, behind": {"~~~???~~~???~~~???", base64.URLEncoding.EncodeToString([]byte("xyz~~~???~~~???~~~???"))[4:], false},
	} {
		var r Redactor
		r.addCredentials(newSecretTexts(row.secret))

		got := r.redact("it is "+row.quoted+" .", nil)

		if shows := strings.Contains(got, row.quoted[:4]); shows != row.shows || !strings.HasPrefix(got, "it is ") {
			t.Errorf("%s: got %q, want %s in it: %t", name, got, row.quoted[:4], row.shows)
		}
	}
}

func TestDescribe_namesTheCauseAndWhatToCheck(t *testing.T) {
	for _, row := range []struct {
		err  error
		want string
	}{
		{&net.DNSError{Err: "no such host"}, "name servers"},
		{syscall.ECONNREFUSED, "refused"},
		{syscall.ENETUNREACH, "no route"},
		{syscall.EHOSTUNREACH, "no route"},
		{syscall.ECONNRESET, "closed"},
		{syscall.EPIPE, "closed"},
		{io.EOF, "closed"},
		{io.ErrUnexpectedEOF, "closed"},
		{errors.New("MARKER"), "handshake failed"},
	} {
		if got := describe(&net.OpError{Op: "dial", Net: "tcp", Err: row.err}); !strings.Contains(got, row.want) || strings.Contains(got, "MARKER") {
			t.Errorf("%v: got %q, want %q in it", row.err, got, row.want)
		}
	}
}

// With TLS 1.3 a reset may overtake the alert with which our certificate is rejected.
func TestWithAlert_findsTheAlertBehindABrokenConnection(t *testing.T) {
	broken := &net.OpError{Op: "write", Net: "tcp", Err: syscall.ECONNRESET}
	for asks, isRejected := range map[tls.ClientAuthType]bool{tls.RequireAnyClientCert: true, tls.RequestClientCert: false} {
		server := httptest.NewUnstartedServer(http.NotFoundHandler())
		server.TLS = &tls.Config{ClientAuth: asks, MinVersion: tls.VersionTLS13}
		server.Config.ErrorLog, server.Config.ReadHeaderTimeout = log.New(io.Discard, "", 0), 20*time.Second
		server.StartTLS()
		defer server.Close()
		authority := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
		client, err := New(Credentials{BaseURL: server.URL, ClientID: "id", ClientSecret: Hide("secret"), CACertificate: authority}, Options{AttemptTimeout: 5 * time.Second, Connections: 1})
		if err != nil {
			t.Fatal(err)
		}
		client.certificateAsked.Store(true)
		request, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, http.NoBody)

		began := time.Now()

		got := client.withAlert(t.Context(), request, broken)

		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("a server that asks in the manner %d: waited %s for an alert", asks, took)
		}
		if (client.rejected(got) != "") != isRejected || !isRejected && !errors.Is(got, broken) {
			t.Errorf("a server that asks in the manner %d: got %v, want the alert: %t", asks, got, isRejected)
		}
	}
}

// With TLS 1.2 a missing certificate is a handshake failure, which has other causes too.
func TestRejected_takesAHandshakeFailureForOursWhereACertificateWasAskedFor(t *testing.T) {
	const certificate, cipher = "it rejected our certificate", "no cipher in common"
	for _, row := range []struct {
		alert string
		asked bool
		want  string // a part of what is said; empty: nothing is
	}{
		{"tls: handshake failure", true, certificate}, {"tls: handshake failure", false, cipher}, {"tls: bad certificate", false, certificate},
		{"tls: unknown certificate authority", true, certificate}, {"tls: access denied", true, certificate}, {"tls: internal error", true, ""},
	} {
		client := &Client{certificateAsked: new(atomic.Bool)}
		client.certificateAsked.Store(row.asked)

		got := client.rejected(&net.OpError{Op: "remote error", Err: errors.New(row.alert)})

		if !strings.Contains(got, row.want) || (got == "") != (row.want == "") {
			t.Errorf("%s, asked for a certificate: %t: got %q, want %q in it", row.alert, row.asked, got, row.want)
		}
	}
}

// Behind a proxy there is no other handshake to be made.
func TestDo_looksForNoAlertPastAProxy(t *testing.T) {
	direct, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = direct.Close() }()
	dialed := make(chan struct{}, 10)
	go func() {
		for {
			conn, err := direct.Accept()
			if err != nil {
				return
			}
			dialed <- struct{}{}
			_ = conn.Close()
		}
	}()
	client, err := New(Credentials{BaseURL: "https://" + direct.Addr().String(), ClientID: "id", ClientSecret: Hide("secret")}, Options{AttemptTimeout: 5 * time.Second, Connections: 1})
	if err != nil {
		t.Fatal(err)
	}
	client.transport.Proxy = func(*http.Request) (*url.URL, error) { return url.Parse("http://127.0.0.1:1") }
	client.certificateAsked.Store(true)

	_, fault := client.Do(t.Context(), apisecret.Enable, 5, newToken("token", 0))

	if fault == nil || fault.Code != apisecret.UpstreamUnreachable || len(dialed) > 0 {
		t.Errorf("got %v and %d connections past the proxy, want none", fault, len(dialed))
	}
}
