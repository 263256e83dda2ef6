package segura_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"testing"

	"segura-enable/internal/apisecret"
	"segura-enable/internal/segura"
	"segura-enable/simulated/seguratest"
)

// Markers, of which no print may show a part.
const (
	markedID     = "id-KJ2f8Qw/+ x7"
	markedSecret = "secret-Zr9&Vb=3Lp%41 öTq"
	markedTenant = "tenant-Hx4Ncd6"
	markedHost   = "host-pw5e8s.example.com"
)

// marked are credentials with a marker in each value that can hold one.
func marked() segura.Credentials {
	return segura.Credentials{
		BaseURL:      "https://" + markedHost + "/pam",
		TokenURL:     "https://" + markedHost + "/token-Ra8v2",
		ClientID:     markedID,
		ClientSecret: segura.Hide(markedSecret),
		Tenant:       markedTenant,
		Referer:      "https://referer-Uj6k3.example.com/",
		EnablePath:   "/enable-Gm4t7/{identifier}",
		DisablePath:  "/disable-Gm4t7/{identifier}",
	}
}

// shown are the markers, as they must not be seen in a print.
var shown = []string{
	"KJ2f8Qw", "Zr9&Vb", "Zr9\\u0026Vb", "Zr9%26Vb", "3Lp%41", "Hx4Ncd6", "pw5e8s", "Ra8v2", "Uj6k3", "Gm4t7", "marked-private-key",
	fmt.Sprintf("%x", "KJ2f8Qw"), fmt.Sprintf("%X", "KJ2f8Qw"), fmt.Sprintf("%x", "Zr9&Vb"), fmt.Sprintf("%X", "Zr9&Vb"), fmt.Sprintf("%x", "Hx4Ncd6"),
	"90 114 57 38", base64.StdEncoding.EncodeToString([]byte("secret-Zr9&V")),
}

// requireNoMarker prints a value in every way and searches the prints for the
// markers, or for the given ones instead.
func requireNoMarker(t *testing.T, what string, value any, markers ...string) {
	t.Helper()
	if markers == nil {
		markers = shown
	}
	for how, text := range everyPrint(value) {
		for _, marker := range markers {
			if strings.Contains(text, marker) {
				t.Errorf("%s: %s shows %q: %s", what, how, marker, text)
				return // one is enough to read
			}
		}
	}
}

// holder is a struct of somebody else's that keeps values in fields of every kind.
type holder struct {
	Exported any
	hidden   any
	inside   struct{ deeper []any }
	Map      map[string]any
}

func hold(value any) holder {
	h := holder{Exported: value, hidden: value, Map: map[string]any{"value": value}}
	h.inside.deeper = []any{value}
	return h
}

// everyPrint returns all that prints, logs and encodings make of a value. The
// verb %p is left out: fmt asks no method for it.
func everyPrint(value any) map[string]string {
	prints := map[string]string{}
	for _, one := range []struct {
		name  string
		value any
	}{{"itself", value}, {"held", hold(value)}, {"a pointer to its holder", new(hold(value))}, {"in a slice", []any{value}}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%d", "%s", "%q", "%x", "%X", "% x", "%T", "%t", "%10.3s", "%c", "%U", "%e", "%b", "%o"} {
			prints[one.name+" by "+verb] = fmt.Sprintf(verb, one.value)
		}
		prints[one.name+" by Sprint"] = fmt.Sprint(one.value)
		prints[one.name+" by Errorf"] = fmt.Errorf("wrapped: %v", one.value).Error()
		encoded, err := json.Marshal(one.value)
		prints[one.name+" by json.Marshal"] = fmt.Sprintf("%s %v", encoded, err)
		for format, handler := range map[string]func(*bytes.Buffer) slog.Handler{
			"JSON": func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) },
			"text": func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) },
		} {
			var b bytes.Buffer
			log := slog.New(handler(&b))
			log.Info("message", "value", one.value, slog.Group("group", "value", one.value))
			log.With("value", one.value).Info("message")
			prints[one.name+" by slog in "+format] = b.String()
		}
	}
	return prints
}

func TestSensitive_showsItselfNowhere(t *testing.T) {
	hidden := segura.Hide(markedSecret)
	requireNoMarker(t, "a sensitive text", hidden)
	requireNoMarker(t, "a pointer to a sensitive text", &hidden)
	if got := fmt.Sprintf("%v %+v %#v %d %s %q %x", hidden, hidden, hidden, hidden, hidden, hidden, hidden); got != strings.TrimSpace(strings.Repeat("[redacted] ", 7)) {
		t.Errorf("got %s, want [redacted] for each verb", got)
	}
	if got := hidden.Reveal(); got != markedSecret {
		t.Errorf("revealed: got %q, want %q", got, markedSecret)
	}
	if got := (segura.Sensitive{}).Reveal(); got != "" {
		t.Errorf("the zero value: got %q, want nothing", got)
	}
}

func TestCredentials_showThemselvesNowhere(t *testing.T) {
	c := marked()
	c.ClientKey = segura.Hide("marked-private-key")

	if got := fmt.Sprintf("%v %+v %#v %d %s %q %x", c, c, c, c, c, c, c); got != strings.TrimSpace(strings.Repeat("[redacted] ", 7)) {
		t.Errorf("got %s, want [redacted] for each verb", got)
	}
	if got := fmt.Sprintf("%v %+v %#v %d %s %q %x", &c, &c, &c, &c, &c, &c, &c); got != strings.TrimSpace(strings.Repeat("[redacted] ", 7)) {
		t.Errorf("a pointer: got %s, want [redacted] for each verb", got)
	}
	for how, text := range everyPrint(c) {
		if strings.HasPrefix(how, "itself") || strings.HasPrefix(how, "in a slice") || strings.HasSuffix(how, "json.Marshal") {
			for _, marker := range shown {
				if strings.Contains(text, marker) {
					t.Errorf("%s shows %q: %s", how, marker, text)
				}
			}
		}
	}
}

// In an unexported field fmt asks no method of a value; what is secret is behind
// a function there.
func TestCredentials_hideTheSecretAndTheKeyEvenInAnUnexportedField(t *testing.T) {
	c := marked()
	c.ClientKey = segura.Hide("marked-private-key")

	requireNoMarker(t, "credentials", c, "Zr9&Vb", "Zr9\\u0026Vb", fmt.Sprintf("%x", "Zr9&Vb"), fmt.Sprintf("%X", "Zr9&Vb"), "marked-private-key")
}

func TestClient_showsNothingOfItsCredentials(t *testing.T) {
	requireNoMarker(t, "a client", newClient(t, marked()))
}

func TestToken_showsItselfNowhere(t *testing.T) {
	server, client := start(t, seguratest.Options{})
	token := mustToken(t, client)
	value := server.Tokens()[0]
	secrets := []string{value[40:60], fmt.Sprintf("%x", value[40:60]), fmt.Sprintf("%X", value[40:60]), server.ClientSecret()[:12]}

	requireNoMarker(t, "a token", token, secrets...)
	requireNoMarker(t, "a token by value", *token, secrets...)
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

func TestDo_quotesNothingOfWhatItSent(t *testing.T) {
	server := seguratest.Start(t, seguratest.Options{ClientID: markedID, ClientSecret: markedSecret, Tenant: markedTenant, Referer: "https://referer-Uj6k3.example.com/"})
	c := credentialsOf(t, server)
	c.ClientCertificate, _ = server.ClientCertificate()
	_, key := server.ClientCertificate()
	c.ClientKey = segura.Hide(key)
	client := newClient(t, c)
	token := mustToken(t, client)
	value := server.Tokens()[0]
	pair := url.QueryEscape(markedID) + ":" + url.QueryEscape(markedSecret)
	for name, quoted := range map[string]string{
		"the client secret":                markedSecret,
		"the client secret in a URL":       url.QueryEscape(markedSecret),
		"a part of the client secret":      markedSecret[3:14],
		"eight bytes of the client secret": markedSecret[7:15],
		"the end of the client secret":     markedSecret[len(markedSecret)-9:],
		"the client id":                    markedID,
		"the client id in a URL":           url.QueryEscape(markedID),
		"the tenant":                       markedTenant,
		"the referer":                      "https://referer-Uj6k3.example.com/",
		"the private key":                  strings.Split(key, "\n")[1],
		"a Basic header":                   "Basic " + base64.StdEncoding.EncodeToString([]byte(pair)),
		"a part of a Basic header":         base64.StdEncoding.EncodeToString([]byte(pair))[11:30],
		"the form":                         "grant_type=client_credentials&client_id=" + url.QueryEscape(markedID) + "&client_secret=" + url.QueryEscape(markedSecret),
		"the token":                        value,
		"a part of the token":              value[50:70],
		"a Bearer header":                  "Authorization: Bearer " + value,
		"the token without its first part": value[strings.IndexByte(value, '.'):],
		"the secret twice":                 markedSecret + markedSecret,
		"the secret among multibyte text":  "ç" + markedSecret + "ç",
	} {
		message := "before " + quoted + " after"
		encoded, _ := json.Marshal(message)
		for where, reply := range map[string]seguratest.Fault{
			"message":            seguratest.Envelope(400, 400, message),
			"mensagem":           seguratest.ReplyJSON(500, `{"response":{"mensagem":`+string(encoded)+`}}`),
			"exception":          seguratest.ReplyJSON(500, `{"response":{},"exception":{"message":`+string(encoded)+`}}`),
			"gateway":            seguratest.Gateway(503, message),
			"plain text":         seguratest.Reply(400, "text/plain", message),
			"Kong's request id":  seguratest.Envelope(400, 400, "x").WithHeader("X-Kong-Request-Id", strings.ToValidUTF8(quoted, "?")),
			"the other one":      seguratest.Envelope(400, 400, "x").WithHeader("X-Kong-Request-Id", "").WithHeader("X-Request-Id", quoted),
			"the body's":         seguratest.ReplyJSON(400, `{"message":"x","request_id":`+string(encoded)+`}`).WithHeader("X-Kong-Request-Id", ""),
			"plain text's":       seguratest.Reply(400, "text/plain", "x\nrequest_id: "+quoted).WithHeader("X-Kong-Request-Id", ""),
			"a success":          seguratest.ReplyJSON(200, strings.Replace(in("MESSAGE"), `"MESSAGE"`, `"Api secret activated `+string(encoded[1:]), 1)),
			"a malformed header": seguratest.Envelope(400, 400, message).WithHeader("X-Quoted", "Bearer "+value),
		} {
			server.ClearFaults()
			server.Fail(enableCalls, reply, 1)

			answer, fault := client.Do(t.Context(), apisecret.Enable, 5, token)

			text := fmt.Sprintf("%+v %+v", answer, fault)
			if fault != nil {
				text += fmt.Sprintf("%+v %#v %s", *fault, *fault, fault)
			}
			for _, secret := range []string{markedSecret, markedID, markedTenant, value, key, url.QueryEscape(markedSecret), base64.StdEncoding.EncodeToString([]byte(pair))} {
				if got := longestCommon(quoted, text); len(got) >= 8 && strings.Contains(secret, got) {
					t.Errorf("%s in %s: got %q of it: %s", name, where, got, text)
				}
			}
		}
	}
}

// A secret that is taken apart is found before it can be put together again.
func TestDo_quotesNoSecretThatWasTakenApart(t *testing.T) {
	const secret = `Zr9Vb3 "LpTq"\Xw7<Yc>N2mKd`
	server, client := start(t, seguratest.Options{ClientSecret: secret})
	token := mustToken(t, client)
	value := server.Tokens()[0]
	onlyPlain := func(text string) string {
		return strings.Map(func(r rune) rune {
			if r <= ' ' || r > '~' || strings.ContainsRune("\"'`\\<>", r) {
				return -1
			}
			return r
		}, text)
	}
	for _, taken := range []string{secret, onlyPlain(secret), value[20:60]} {
		for _, with := range []string{" ", "\t", `"`, "'", "`", `\`, "<", ">", "ç", "\u200b", " \u00a0"} {
			apart := strings.Join(strings.Split(taken, ""), with)
			encoded, _ := json.Marshal(apart)
			for where, reply := range map[string]seguratest.Fault{
				"Kong's request id": seguratest.Envelope(400, 400, "x").WithHeader("X-Kong-Request-Id", apart),
				"the other one":     seguratest.Envelope(400, 400, "x").WithHeader("X-Kong-Request-Id", "").WithHeader("X-Request-Id", apart),
				"the body's":        seguratest.ReplyJSON(400, `{"message":"x","request_id":`+string(encoded)+`}`).WithHeader("X-Kong-Request-Id", ""),
				"the message":       seguratest.Envelope(400, 400, apart),
				"a success":         seguratest.ReplyJSON(200, in(activated)).WithHeader("X-Kong-Request-Id", apart),
			} {
				server.ClearFaults()
				server.Fail(enableCalls, reply, 1)

				answer, fault := client.Do(t.Context(), apisecret.Enable, 5, token)

				shown := answer.RequestID + " " + answer.Message
				if fault != nil {
					shown += fault.UpstreamRequestID + " " + fault.UpstreamMessage
				}
				if got := longestCommon(onlyPlain(taken), onlyPlain(shown)); len(got) >= 8 {
					t.Errorf("%q taken apart with %q in %s: got %q", taken, with, where, shown)
				}
			}
		}
	}
}

// A call may be made with a token that many others have replaced since.
func TestDo_quotesNothingOfItsTokenHoweverOldItIs(t *testing.T) {
	server, client := start(t, seguratest.Options{})
	token := mustToken(t, client)
	value := server.Tokens()[0]
	for range 20 {
		if _, fault := client.FreshToken(t.Context()); fault != nil {
			t.Fatal(fault)
		}
	}
	server.Fail(enableCalls, seguratest.Envelope(400, 400, "was "+value).WithHeader("X-Kong-Request-Id", value), 1)

	_, fault := client.Do(t.Context(), apisecret.Enable, 5, token)

	if got := longestCommon(value[20:60], fault.UpstreamMessage+" "+fault.UpstreamRequestID); len(got) >= 8 {
		t.Errorf("got %q of the token", got)
	}
}

// Addresses are not for the log either: they lie in the AWS secret.
func TestDo_quotesNothingOfTheAddressesInTheSecret(t *testing.T) {
	server := seguratest.Start(t, seguratest.Options{TokenPath: "/idp-Ra8v2Wq9/token", EnablePath: "/on-Gm4t7Bx3/{identifier}", DisablePath: "/off-Lk5s1Zd6/{identifier}"})
	client := newClient(t, credentialsOf(t, server))
	token := mustToken(t, client)
	for _, secret := range []string{server.URL(), server.TokenURL(), "/on-Gm4t7Bx3/{identifier}", "/off-Lk5s1Zd6/{identifier}"} {
		server.Fail(enableCalls, seguratest.Envelope(400, 400, "called "+secret), 1)

		_, fault := client.Do(t.Context(), apisecret.Enable, 5, token)

		if got := longestCommon(strings.TrimPrefix(secret, "https://"), fault.UpstreamMessage); len(got) >= 8 {
			t.Errorf("%s: got %q of it in %q", secret, got, fault.UpstreamMessage)
		}
	}
}

// An upstream may quote what a predecessor of the client sent.
func TestDo_quotesNothingOfWhatAFormerClientSent(t *testing.T) {
	server := seguratest.Start(t, seguratest.Options{ClientSecret: "former-" + markedSecret})
	o := options()
	o.Redactor = &segura.Redactor{}
	former, err := segura.New(credentialsOf(t, server), o)
	if err != nil {
		t.Fatal(err)
	}
	mustToken(t, former)
	formerToken := server.Tokens()[0]
	server.RotateClientSecret("Next-7hK2pQ9xV4")
	client, err := segura.New(credentialsOf(t, server), o)
	if err != nil {
		t.Fatal(err)
	}
	token := mustToken(t, client)
	for _, secret := range []string{"former-" + markedSecret, formerToken} {
		server.Fail(enableCalls, seguratest.Envelope(400, 400, "was "+secret).WithHeader("X-Kong-Request-Id", secret), 1)

		_, fault := client.Do(t.Context(), apisecret.Enable, 5, token)

		if got := longestCommon(secret, fault.UpstreamMessage+" "+fault.UpstreamRequestID); len(got) >= 8 {
			t.Errorf("got %q of a former secret", got)
		}
	}
}

// An AWS secret that cannot be used is read again and again; what is in use meanwhile
// is not forgotten.
func TestDo_quotesNothingOfItsSecretHoweverOftenAnotherIsUnusable(t *testing.T) {
	redactor := &segura.Redactor{}
	server, client := start(t, seguratest.Options{}, func(o *segura.Options) { o.Redactor = redactor })
	token := mustToken(t, client)
	for range 10 {
		unusable := segura.Credentials{BaseURL: "https://a.example.com", ClientID: "another-id", ClientSecret: segura.Hide("another-secret"), CACertificate: "damaged"}
		if _, err := segura.New(unusable, segura.Options{Redactor: redactor}); err == nil {
			t.Fatal("got a client of a damaged ca_certificate")
		}
	}
	server.Fail(enableCalls, seguratest.Envelope(400, 400, "refused: "+server.ClientSecret()), 1)

	_, fault := client.Do(t.Context(), apisecret.Enable, 5, token)

	if fault == nil || !strings.HasPrefix(fault.UpstreamMessage, "refused") || len(longestCommon(fault.UpstreamMessage, server.ClientSecret())) >= 8 {
		t.Errorf("got %+v with the message %q, want it without the client secret", fault, fault.UpstreamMessage)
	}
}

func TestDo_quotesNoPartOfACredentialWhereAMessageIsCut(t *testing.T) {
	server, client := start(t, seguratest.Options{ClientSecret: "Zr9Vb3LpTqXw7YcN"})
	token := mustToken(t, client)
	for length := 480; length <= 520; length++ {
		server.Fail(enableCalls, seguratest.Envelope(400, 400, strings.Repeat("~", length)+server.ClientSecret()), 1)

		_, fault := client.Do(t.Context(), apisecret.Enable, 5, token)

		if got := longestCommon(server.ClientSecret(), fault.UpstreamMessage); len(got) > 3 {
			t.Errorf("a credential behind %d other bytes: got %q of it in a message of %d bytes", length, got, len(fault.UpstreamMessage))
		}
	}
}

func TestDo_boundsTheUpstreamsText(t *testing.T) {
	server, client := start(t, seguratest.Options{})
	token := mustToken(t, client)
	for _, message := range []string{strings.Repeat("a", 100_000), strings.Repeat("ç", 5000), "a" + strings.Repeat("ç", 5000), strings.Repeat("\U0001F600", 5000), strings.Repeat(server.ClientID(), 1000)} {
		server.Fail(enableCalls, seguratest.Envelope(400, 400, message), 1)

		_, fault := client.Do(t.Context(), apisecret.Enable, 5, token)

		if got := fault.UpstreamMessage; len(got) > 600 || got == "" || strings.ToValidUTF8(got, "") != got {
			t.Errorf("%.10s…: got %d bytes: %q", message, len(got), got)
		}
	}
}

func TestToken_quotesNothingOfWhatItSent(t *testing.T) {
	server := seguratest.Start(t, seguratest.Options{ClientID: markedID, ClientSecret: markedSecret, Tenant: markedTenant})
	client := newClient(t, credentialsOf(t, server))
	encoded, _ := json.Marshal("before " + markedSecret + " after")
	for _, reply := range []seguratest.Fault{
		seguratest.ReplyJSON(401, `{"error":"invalid_client","error_description":`+string(encoded)+`}`),
		seguratest.ReplyJSON(400, `{"error":`+string(encoded)+`,"message":`+string(encoded)+`}`),
		seguratest.ReplyJSON(500, `{"message":`+string(encoded)+`}`),
		seguratest.Reply(502, "text/plain", markedSecret+"\n"+markedSecret),
		seguratest.TokenReply(`{"access_token":"unusable token ` + markedTenant + ` ","message":"unusable token ` + markedTenant + ` "}`),
		seguratest.ReplyJSON(400, `{"error":"x","error_description":"there is a token-that-somebody-else-was-given"}`),
		seguratest.ReplyJSON(400, `{"error":"token-that-somebody-else-was-given"}`),
		seguratest.Reply(500, "text/html", `<html><title>token-that-somebody-else-was-given</title></html>`),
		seguratest.ReplyJSON(202, `{"access_token":"token-of-a-202-reply","message":"token-of-a-202-reply"}`),
	} {
		server.ClearFaults()
		server.Fail(tokenCalls, reply, 1)

		_, fault := client.Token(t.Context(), nil)

		if fault == nil {
			t.Errorf("%s: got a token", reply)
			continue
		}
		text := fmt.Sprintf("%+v %+v %#v %s", fault, *fault, *fault, fault)
		for _, secret := range []string{markedSecret, markedTenant, "token-of-a-202-reply", "unusable token", "token-that-somebody-else-was-given"} {
			if got := longestCommon(secret, text); len(got) >= 8 {
				t.Errorf("%s: got %q of a credential: %s", reply, got, text)
			}
		}
	}
}
