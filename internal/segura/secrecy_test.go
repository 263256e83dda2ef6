package segura

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"segura-enable/internal/apisecret"
	"segura-enable/simulated/seguratest"
)

// Markers, of which no print may show a part.
const (
	markedID      = "id-KJ2f8Qw/+ x7"
	markedSecret  = "secret-Zr9&Vb=3Lp%41 öTq"
	markedTenant  = "tenant-Hx4Ncd6"
	markedKey     = "marked-private-key"
	markedReferer = "https://referer-Uj6k3.example.com/"
)

// marked are credentials with a marker in each value that can hold one.
func marked() Credentials {
	return Credentials{
		BaseURL: "https://host-pw5e8s.example.com/pam", TokenURL: "https://host-pw5e8s.example.com/token-Ra8v2", ClientID: markedID,
		ClientSecret: Hide(markedSecret), Tenant: markedTenant, ClientKey: Hide(markedKey), Referer: markedReferer,
		EnablePath: "/enable-Gm4t7/{identifier}", DisablePath: "/disable-Gm4t7/{identifier}",
	}
}

// hidden are the markers that not even an unexported field shows, and public the others,
// as they must not be seen in a print.
var (
	hidden = append(hexed("Zr9&Vb"), "Zr9&Vb", "Zr9\\u0026Vb", "Zr9%26Vb", "3Lp%41", markedKey, "90 114 57 38", base64.StdEncoding.EncodeToString([]byte("secret-Zr9&V")))
	public = append(hexed("KJ2f8Qw", "Hx4Ncd6"), "KJ2f8Qw", "Hx4Ncd6", "pw5e8s", "Ra8v2", "Uj6k3", "Gm4t7")
)

func hexed(texts ...string) (all []string) {
	for _, text := range texts {
		all = append(all, fmt.Sprintf("%x", text), fmt.Sprintf("%X", text))
	}
	return all
}

// requireNoMarker searches all that prints, logs and encodings make of a value for the markers.
func requireNoMarker(t *testing.T, what string, value any, markers ...string) {
	t.Helper()
	for how, text := range everyPrint(value) {
		for _, marker := range markers {
			if strings.Contains(text, marker) {
				t.Errorf("%s: %s shows %q: %s", what, how, marker, text)
				return // one is enough to read
			}
		}
	}
}

// everyPrint prints in every way. The verb %p is left out: fmt asks no method for it.
func everyPrint(value any) map[string]string {
	prints := map[string]string{}
	for _, verb := range []string{"%v", "%+v", "%#v", "%d", "%s", "%q", "%x", "%X", "% x", "%T", "%t", "%10.3s", "%c", "%U", "%e", "%b", "%o"} {
		prints[verb] = fmt.Sprintf(verb, value)
	}
	prints["Sprint"], prints["Errorf"] = fmt.Sprint(value), fmt.Errorf("wrapped: %v", value).Error()
	encoded, err := json.Marshal(value)
	prints["json.Marshal"] = fmt.Sprintf("%s %v", encoded, err)
	var inJSON, inText bytes.Buffer
	for _, log := range []*slog.Logger{slog.New(slog.NewJSONHandler(&inJSON, nil)), slog.New(slog.NewTextHandler(&inText, nil))} {
		log.Info("message", "value", value, slog.Group("group", "value", value))
		log.With("value", value).Info("message")
	}
	prints["slog in JSON"], prints["slog in text"] = inJSON.String(), inText.String()
	return prints
}

// holder is a struct of somebody else's that keeps a value in fields of every kind. In
// an unexported field fmt asks no method of it; what is secret is behind a function there.
type holder struct {
	Exported any
	hidden   any
	inside   struct{ deeper []any }
	Map      map[string]any
}

func hold(value any) *holder {
	return &holder{Exported: value, hidden: value, inside: struct{ deeper []any }{[]any{value}}, Map: map[string]any{"value": value}}
}

func TestClient_showsNothingOfItsCredentials(t *testing.T) {
	text, c := Hide(markedSecret), marked()
	for _, value := range []any{text, &text, hold(text), *hold(text), hold(&text), hold(c), *hold(c)} {
		requireNoMarker(t, "a sensitive text, or credentials in a field", value, hidden...)
	}
	if revealed, nothing := text.Reveal(), (Sensitive{}).Reveal(); revealed != markedSecret || nothing != "" {
		t.Errorf("revealed: got %q, want %q; of the zero value: got %q, want nothing", revealed, markedSecret, nothing)
	}
	for _, value := range []any{text, &text, c, &c} {
		if got := fmt.Sprintf("%v %+v %#v %d %s %q %x", value, value, value, value, value, value, value); got != strings.TrimSpace(strings.Repeat("[redacted] ", 7)) {
			t.Errorf("got %s, want [redacted] for each verb", got)
		}
	}
	c.ClientKey = Sensitive{}
	client, token := newClient(t, c), newToken("token-Wt6y9Lm3", 0)
	client.keep(token)
	all := append(append(hexed("Wt6y9Lm3"), "Wt6y9Lm3"), append(hidden, public...)...)
	for _, value := range []any{marked(), []any{c, &c}, map[string]any{"c": c}, client, hold(client), token, *token, hold(token), hold(*token)} {
		requireNoMarker(t, "credentials, a client or its token", value, all...)
	}
}

// longestCommon returns the longest text that both have in common.
func longestCommon(a, b string) string {
	longest := ""
	for at := range len(a) {
		for end := at + len(longest) + 1; end <= len(a) && strings.Contains(b, a[at:end]); end++ {
			longest = a[at:end]
		}
	}
	return longest
}

// shown is all that a call shows of its reply.
func shown(answer Answer, fault *apisecret.Error) string {
	if fault == nil {
		return fmt.Sprintf("%+v", answer)
	}
	return fmt.Sprintf("%+v %#v %s", *fault, *fault, fault)
}

// quoting are replies that quote a text wherever one is passed on.
func quoting(text string) map[string]seguratest.Fault {
	encoded, _ := json.Marshal(text)
	quote := string(encoded)
	plain := seguratest.Envelope(400, 400, "x").WithHeader("X-Kong-Request-Id", "")
	return map[string]seguratest.Fault{
		"message":           seguratest.Envelope(400, 400, text),
		"mensagem":          seguratest.ReplyJSON(500, `{"response":{"mensagem":`+quote+`}}`),
		"exception":         seguratest.ReplyJSON(500, `{"response":{},"exception":{"message":`+quote+`}}`),
		"error":             seguratest.ReplyJSON(400, `{"error":`+quote+`}`),
		"gateway":           seguratest.Gateway(503, text),
		"plain text":        seguratest.Reply(400, "text/plain", text),
		"title":             seguratest.Reply(400, "text/html", "<title>"+text+"</title>"),
		"Kong's request id": plain.WithHeader("X-Kong-Request-Id", strings.ToValidUTF8(text, "?")),
		"the other one":     plain.WithHeader("X-Request-Id", text),
		"the body's":        seguratest.ReplyJSON(400, `{"message":"x","request_id":`+quote+`}`).WithHeader("X-Kong-Request-Id", ""),
		"plain text's":      seguratest.Reply(400, "text/plain", "x\nrequest_id: "+text).WithHeader("X-Kong-Request-Id", ""),
		"a success":         seguratest.ReplyJSON(200, strings.Replace(in("MESSAGE"), `"MESSAGE"`, `"Api secret activated `+quote[1:], 1)),
		"a success's id":    seguratest.ReplyJSON(200, in(activated)).WithHeader("X-Kong-Request-Id", text),
	}
}

func TestDo_quotesNothingOfWhatItSent(t *testing.T) {
	server := seguratest.Start(t, seguratest.Options{
		ClientID: markedID, ClientSecret: markedSecret, Tenant: markedTenant, Referer: markedReferer,
		TokenPath: "/idp-Ra8v2Wq9/token", EnablePath: "/on-Gm4t7Bx3/{identifier}", DisablePath: "/off-Lk5s1Zd6/{identifier}",
	})
	c := credentialsOf(t, server)
	cert, key := server.ClientCertificate()
	c.ClientCertificate, c.ClientKey = cert, Hide(key)
	client := newClient(t, c)
	s := session{server, client, mustToken(t, client)}
	token := s.Tokens()[0]
	basic := base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(markedID) + ":" + url.QueryEscape(markedSecret)))
	for _, quoted := range []string{
		markedSecret, markedID, url.QueryEscape(markedSecret), url.QueryEscape(markedID), markedTenant, "referer-Uj6k3.example.com/", strings.Split(key, "\n")[1],
		"Basic " + basic, basic[11:30], "Bearer " + token, token[50:70], strings.TrimPrefix(s.URL(), "https://"), strings.TrimPrefix(s.TokenURL(), "https://"),
		"/on-Gm4t7Bx3/{identifier}", "/off-Lk5s1Zd6/{identifier}",
	} {
		for where, reply := range quoting("before " + quoted + " after") {
			text := shown(s.hears(t, reply))

			if got := longestCommon(quoted, text); len(got) >= 8 {
				t.Errorf("%s in %s: got %q of it: %s", quoted, where, got, text)
			}
		}
	}
}

// A secret that is taken apart is found before it can be put together again.
func TestDo_quotesNoSecretThatWasTakenApart(t *testing.T) {
	const secret = `Zr9Vb3 "LpTq"\Xw7<Yc>N2mKd`
	s := begin(t, seguratest.Options{ClientSecret: secret})
	onlyPlain := func(text string) string {
		return strings.Map(func(r rune) rune {
			if r <= ' ' || r > '~' || strings.ContainsRune("\"'`\\<>", r) {
				return -1
			}
			return r
		}, text)
	}
	for _, taken := range []string{secret, onlyPlain(secret), s.Tokens()[0][20:60]} {
		for _, with := range []string{" ", "\t", `"`, "'", "`", `\`, "<", ">", "ç", "\u200b", " \u00a0"} {
			for where, reply := range quoting(strings.Join(strings.Split(taken, ""), with)) {
				answer, fault := s.hears(t, reply)

				text := answer.RequestID + " " + answer.Message
				if fault != nil {
					text += fault.UpstreamRequestID + " " + fault.UpstreamMessage
				}
				if got := longestCommon(onlyPlain(taken), onlyPlain(text)); len(got) >= 8 {
					t.Errorf("%q taken apart with %q in %s: got %q", taken, with, where, text)
				}
			}
		}
	}
}

// An upstream may quote what a predecessor of the client sent, or a token that many
// others have replaced since. An AWS secret that cannot be used is read again and again;
// what is in use meanwhile is not forgotten.
func TestDo_quotesNothingOfWhatWasReplaced(t *testing.T) {
	redactor := &Redactor{}
	server, former := start(t, seguratest.Options{ClientSecret: "former-" + markedSecret}, func(o *Options) { o.Redactor = redactor })
	mustToken(t, former)
	server.RotateClientSecret("Next-7hK2pQ9xV4")
	client := newClient(t, credentialsOf(t, server), func(o *Options) { o.Redactor = redactor })
	s := session{server, client, mustToken(t, client)}
	for range 10 {
		unusable := good()
		unusable.CACertificate = "damaged"
		_, _ = New(unusable, Options{Redactor: redactor})
	}
	require := func(secret string) {
		t.Helper()
		_, fault := s.hears(t, seguratest.Envelope(400, 400, "was "+secret).WithHeader("X-Kong-Request-Id", secret))

		if got := longestCommon(secret, fault.UpstreamMessage+" "+fault.UpstreamRequestID); len(got) >= 8 || !strings.HasPrefix(fault.UpstreamMessage, "was ") {
			t.Errorf("got %q of %q: %+v", got, secret, fault)
		}
	}
	require("former-" + markedSecret)
	require(s.Tokens()[0])
	require("Next-7hK2pQ9xV4")
	for range 20 {
		_, _ = client.FreshToken(t.Context())
	}
	require(s.Tokens()[1])
}

func TestToken_quotesNothingOfWhatItSent(t *testing.T) {
	server, client := start(t, seguratest.Options{ClientID: markedID, ClientSecret: markedSecret, Tenant: markedTenant})
	encoded, _ := json.Marshal("before " + markedSecret + " after")
	quote := string(encoded)
	const others = "token-that-somebody-else-was-given"
	for _, reply := range []seguratest.Fault{
		seguratest.ReplyJSON(401, `{"error":"invalid_client","error_description":`+quote+`}`),
		seguratest.ReplyJSON(400, `{"error":`+quote+`,"message":`+quote+`}`),
		seguratest.ReplyJSON(500, `{"message":`+quote+`}`),
		seguratest.Reply(502, "text/plain", markedSecret+"\n"+markedSecret),
		seguratest.TokenReply(`{"access_token":"unusable token ` + markedTenant + ` ","message":"unusable token ` + markedTenant + ` "}`),
		seguratest.ReplyJSON(400, `{"error":"x","error_description":"there is a `+others+`"}`),
		seguratest.ReplyJSON(400, `{"error":"`+others+`"}`),
		seguratest.ReplyJSON(400, `{"message":"`+others+`"}`),
		seguratest.Reply(500, "text/html", `<html><title>`+others+`</title></html>`),
		seguratest.ReplyJSON(202, `{"access_token":"token-of-a-202-reply","message":"token-of-a-202-reply"}`),
		seguratest.Reply(200, "text/plain", "a short-tokn in plain text"),
	} {
		server.ClearFaults()
		server.Fail(tokenCalls, reply, 1)

		_, fault := client.Token(t.Context(), nil)

		if fault == nil {
			t.Errorf("%s: got a token", reply)
			continue
		}
		for _, secret := range []string{markedSecret, markedTenant, "token-of-a-202-reply", "unusable token", others, "short-tokn"} {
			if got := longestCommon(secret, shown(Answer{}, fault)); len(got) >= 8 {
				t.Errorf("%s: got %q of a credential: %+v", reply, got, fault)
			}
		}
	}
}

func TestRedact_findsASecretInEveryForm(t *testing.T) {
	for name, row := range map[string]struct {
		secret, quoted string
		shows          bool
	}{
		"as it is":                  {"Zr9Vb3LpTqXw7YcN", "Zr9Vb3LpTqXw7YcN", false},
		"eight bytes of it":         {"Zr9Vb3LpTqXw7YcN", "9Vb3LpTq", false},
		"seven bytes of it":         {"Zr9Vb3LpTqXw7YcN", "9Vb3LpT", true},
		"among multibyte text":      {"Zr9Vb3LpTqXw7YcN", "Zr9Vb3LpTqXw7YcNç", false},
		"of seven bytes":            {"Zr9Vb3L", "Zr9Vb3L", false},
		"of five bytes":             {"Zr9Vb", "Zr9Vb", false},
		"of four bytes, too common": {"Zr9V", "Zr9V", true},
		"in a URL":                  {"Zr9&Vb=3L%pT/Xw", "Zr9%26Vb%3D3L%25pT%2FXw", false},
		"where a long text is cut":  {"Zr9Vb3LpTqXw7YcN2m", strings.Repeat("Zr9Vb3LpTqXw7YcN2m", 300), false},
		"in base64":                 {"Zr9Vb3LpTqXw7YcN", base64.StdEncoding.EncodeToString([]byte("Zr9Vb3LpTqXw7YcN")), false},
		"in base64, behind a byte":  {"Zr9Vb3LpTqXw7YcN", base64.StdEncoding.EncodeToString([]byte("xZr9Vb3LpTqXw7YcN"))[4:], false},
		"in base64, behind two":     {"Zr9Vb3LpTqXw7YcN", base64.StdEncoding.EncodeToString([]byte("xyZr9Vb3LpTqXw7YcN"))[4:], false},
		"in base64 for URLs":        {"~~~???~~~???~~~???", base64.URLEncoding.EncodeToString([]byte("~~~???~~~???~~~???")), false},
	} {
		var r Redactor
		r.addCredentials(newSecretTexts(row.secret))

		got := r.redact("it is "+row.quoted+" .", nil)

		if shows := strings.Contains(got, row.quoted[:4]); shows != row.shows || !strings.HasPrefix(got, "it is ") {
			t.Errorf("%s: got %q, want %s in it: %t", name, got, row.quoted[:4], row.shows)
		}
	}
}

// Wherever the text is cut, no part of a credential is left, and no part of a character.
func TestRedact_boundsAText(t *testing.T) {
	const secret = "Zr9Vb3LpTqXw7YcN"
	var r Redactor
	r.addCredentials(newSecretTexts(secret))
	for _, limit := range []int{maxMessage, searchRoom} {
		for length := limit - 2*len(secret); length <= limit+len(secret); length++ {
			if got := r.redact(strings.Repeat("~", length)+secret, nil); len(longestCommon(secret, got)) > 3 || len(got) > maxMessage+len(redacted) {
				t.Errorf("a credential behind %d other bytes: got %d bytes with %q", length, len(got), longestCommon(secret, got))
			}
		}
	}
	for _, text := range []string{strings.Repeat("ç", 5000), "a" + strings.Repeat("ç", 5000), strings.Repeat("\U0001F600", 5000), strings.Repeat(secret, 1000)} {
		if got := r.redact(text, nil); len(got) > 600 || got == "" || !utf8.ValidString(got) {
			t.Errorf("%.10s…: got %d bytes: %q", text, len(got), got)
		}
	}
}
