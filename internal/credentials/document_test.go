package credentials_test

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"segura-enable/internal/credentials"
	"segura-enable/internal/segura"
	"segura-enable/simulated/seguratest"
)

func TestParse_putsEachFieldInItsPlace(t *testing.T) {
	got, _, err := credentials.Parse([]byte(`{
		"base_url":"https://a", "token_url":"https://b", "client_id":"c", "client_secret":"d", "tenant":"e", "ca_certificate":"f\nf",
		"client_certificate":"g", "client_key":"h", "referer":"i", "enable_path":"j", "disable_path":"k", "auth_style":"basic",
		"Base_URL":"x", "password":{"x":[1]}, "":null }`))

	want := segura.Credentials{
		BaseURL: "https://a", TokenURL: "https://b", ClientID: "c", ClientSecret: segura.Hide("d"), Tenant: "e", CACertificate: "f\nf",
		ClientCertificate: "g", ClientKey: segura.Hide("h"), Referer: "i", EnablePath: "j", DisablePath: "k", AuthStyle: segura.AuthBasic,
	}
	if err != nil || got.Digest() != want.Digest() {
		t.Errorf("got %v; %s", err, "the fields differ")
	}
}

func TestParse_takesNullAndEmptyForAbsent(t *testing.T) {
	got, _, err := credentials.Parse([]byte(`{"base_url":"https://a","client_id":"c","client_secret":"d","tenant":null,"token_url":"","client_key":null,"auth_style":""}`))

	if err != nil || got.Digest() != (segura.Credentials{BaseURL: "https://a", ClientID: "c", ClientSecret: segura.Hide("d")}).Digest() {
		t.Errorf("got %v or other fields", err)
	}
}

func TestParse_refusesWhatItCannotRead(t *testing.T) {
	for document, want := range map[string]string{
		``:                 "not valid JSON",
		`MARKER`:           "not valid JSON",
		`"MARKER"`:         "the document is a JSON string",
		`null`:             "not a JSON object",
		"{\"a\":\"\xff\"}": "UTF-8",
		`{"base_url":"https://a","client_id":"MARKER","client_secret":["MARKER"]}`:              "client_secret is not a string",
		`{"base_url":"https://a","client_id":1,"client_secret":"MARKER"}`:                       "client_id is not a string",
		`{"base_url":"https://a","client_id":"b","client_secret":"MARKER","tenant":false}`:      "tenant is not a string",
		`{"base_url":"https://a","client_id":"b","client_secret":"MARKER","ca_certificate":{}}`: "ca_certificate is not a string",
		`{"client_secret":"MARKER","client_secret":"MARKER"}`:                                   "repeats",
		`{"MARK":"MARKER","MARK":"MARKER"}`:                                                     "repeats",
	} {
		_, _, err := credentials.Parse([]byte(document))

		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "MARKER") {
			t.Errorf("%s: got %v, want %q and no value", document, err, want)
		}
	}
}

const (
	certificatePEM = "-----BEGIN CERTIFICATE-----\nTUFSS0VSTUFSS0VS\nTUFSS0VS\n-----END CERTIFICATE-----"
	keyPEM         = "-----BEGIN PRIVATE KEY-----\nTUFSS0VS\nTUFSS0VS\n-----END PRIVATE KEY-----"
)

// inBase64 is what is in the blocks of a PEM text.
func inBase64(text string) (all string) {
	for block, rest := pem.Decode([]byte(text)); block != nil; block, rest = pem.Decode(rest) {
		all += fmt.Sprintf("%s %x\n", block.Type, block.Bytes)
	}
	return all
}

// What a copy does is mended, and each field that was is named.
func TestParse_mendsWhatACopyDamagedWithoutLoss(t *testing.T) {
	whole := map[string]string{
		"base_url": "https://segura.example.com", "token_url": "https://segura.example.com/t", "client_id": "id", "client_secret": "s3 cret", "tenant": "acme",
		"referer": "https://referer.example.com/", "enable_path": "/e/{identifier}", "disable_path": "/d/{identifier}", "auth_style": "basic",
		"ca_certificate": certificatePEM + "\n" + certificatePEM, "client_certificate": certificatePEM, "client_key": keyPEM,
	}
	parse := func(fields map[string]string) (string, []string, error) {
		text, err := json.Marshal(fields)
		if err != nil {
			t.Fatal(err)
		}
		c, mended, err := credentials.Parse(text)
		c.CACertificate, c.ClientCertificate, c.ClientKey = inBase64(c.CACertificate), inBase64(c.ClientCertificate), segura.Hide(inBase64(c.ClientKey.Reveal()))
		return fmt.Sprintf("%x", c.Digest()), mended, err
	}
	want, none, err := parse(whole)
	if err != nil || len(none) > 0 {
		t.Fatalf("undamaged: got %v mended, %v", none, err)
	}
	for name, value := range whole {
		damaged := map[string]string{}
		for what, around := range map[string][2]string{
			"a line break behind": {"", "\n"}, "CRLF behind": {"", "\r\n"}, "a space before": {" ", ""}, "spaces around": {"\t ", "  "},
			"a no-break space": {"\u00a0", "\u00a0"}, "line separators": {"\u2028", "\u0085"}, "an ideographic space": {"\u3000", ""},
		} {
			damaged[what] = around[0] + value + around[1]
		}
		if strings.Contains(value, "-----BEGIN") {
			damaged["flattened with spaces"] = strings.ReplaceAll(value, "\n", " ")
			damaged["flattened with nothing"] = strings.ReplaceAll(value, "\n", "")
			damaged[`flattened with \n`] = strings.ReplaceAll(value, "\n", `\n`)
			damaged[`flattened with \r\n`] = strings.ReplaceAll(value, "\n", `\r\n`)
			damaged["CRLF"] = strings.ReplaceAll(value, "\n", "\r\n")
			damaged["indented"] = strings.ReplaceAll(value, "\n", "\n  ")
		}
		for what, damage := range damaged {
			fields := maps.Clone(whole)
			fields[name] = damage
			got, mended, err := parse(fields)
			harmless := what == "CRLF" || strings.Contains(what, "behind") && strings.Contains(value, "-----BEGIN")
			if err != nil || got != want || !harmless && !slices.Equal(mended, []string{name}) {
				t.Errorf("%s, %s: got the values: %t, mended %q, %v", name, what, got == want, mended, err)
			}
		}
	}
	c, mended, err := credentials.Parse([]byte("\ufeff" + `{"base_url":"https://a","client_id":"b","client_secret":"c"}`))
	if err != nil || c.ClientID != "b" || !slices.Equal(mended, []string{"document"}) {
		t.Errorf("a byte order mark: got mended %q, %v", mended, err)
	}
	if c, _, err := credentials.Parse([]byte(`{"base_url":"https://a","client_id":" \n","client_secret":"c","tenant":"\u00a0"}`)); err != nil || c.ClientID != "" || c.Tenant != "" {
		t.Errorf("nothing but white space: got %q, %q, %v; want it to be missing", c.ClientID, c.Tenant, err)
	}
}

// What cannot be mended is told by the field, and never sent as it is.
func TestParse_tellsDamageThatCannotBeMended(t *testing.T) {
	for name, values := range map[string][]string{
		"client_id":      {"MAR\u200bKER", "MARKER\u200b", "\ufeffMARKER", "“MARKER”", "MAR\nKER", "MARKÉR", `"MARKER"`, "'MARKER'", "MAR\u00a0KER", "MARKER\x00"},
		"client_secret":  {"MAR\u200bKER", "‘MARKER’", `"MARKER"`, "MAR\tKER", "MARKER\x7f", "\u2060MARKER", ` "MARKER" `},
		"base_url":       {"https://MARKER example.com", "https://MARKER\nexample.com", `"https://MARKER"`, "https://MARKER\u200b.example.com", "https://MARKER\u00a0.example.com"},
		"token_url":      {"https://MARKER.example.com/a b", "'https://MARKER'"},
		"tenant":         {`"MARKER"`, "'MARKER'", "“MARKER”", "‘MARKER’", "„MARKER“", "MAR\u200bKER", "\ufeffMARKER", "MAR\u00a0KER", "MARKER\x7f"},
		"ca_certificate": {`"MARKER"`, "“MARKER”"},
		"referer":        {`"https://MARKER"`, "https://MARKER .example.com"},
		"enable_path":    {`"/MARKER/{identifier}"`, "/MAR KER/{identifier}", "/MARKER\u200b/{identifier}"},
		"disable_path":   {"/MARKER/{identifier}\n/x"},
	} {
		for _, value := range values {
			fields := map[string]string{"base_url": "https://a", "client_id": "b", "client_secret": "c"}
			fields[name] = value
			text, err := json.Marshal(fields)
			if err != nil {
				t.Fatal(err)
			}

			_, _, err = credentials.Parse(text)

			if err == nil || !strings.HasPrefix(err.Error(), name+" ") || strings.Contains(err.Error(), "MAR") {
				t.Errorf("%s %q: got %v, want an error that names it and repeats no value", name, value, err)
			}
		}
	}
}

// A document that is accepted has what is required, and makes a client or an
// error; no error repeats a value.
func FuzzParse(f *testing.F) {
	server := seguratest.Start(f, seguratest.Options{Tenant: "acme", RequireClientCertificate: true})
	for _, seed := range []string{
		server.SecretJSON(nil), server.SecretJSON(map[string]any{"auth_style": "basic", "enable_path": "/mysafe/password/{identifier}"}),
		`{"base_url":"https://a","client_id":"b","client_secret":"c"}`, `{"base_url":"https://a","client_id":"b","client_secret":"c","client_secret":"d"}`,
		`{"base_url":null,"client_id":"","client_secret":5}`, `[]`, ``, `{"base_url":"https://[::1","client_id":"b","client_secret":"c"}`,
		`{"base_url":"https://a","client_id":"b","client_secret":"c","ca_certificate":"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"}`,
		`{"base_url":"https://a","client_id":"b","client_secret":"c","client_certificate":"-----BEGIN","client_key":"x"}`,
	} {
		f.Add([]byte(seed))
	}
	server.Close() // it has given its certificates
	f.Fuzz(func(t *testing.T, document []byte) {
		c, _, err := credentials.Parse(document)
		if err == nil {
			_, err = segura.New(c, segura.Options{Connections: 1})
			if err == nil && (c.BaseURL == "" || c.ClientID == "" || c.ClientSecret.Reveal() == "") {
				t.Fatalf("%q is accepted without a required field", document)
			}
		}
		if err == nil {
			return
		}
		var values map[string]any
		_ = json.Unmarshal(document, &values)
		for _, name := range []string{"base_url", "token_url", "client_id", "client_secret", "tenant", "ca_certificate", "client_key", "referer", "enable_path"} {
			if text, ok := values[name].(string); ok && len(text) > 24 && strings.Contains(err.Error(), text) {
				t.Fatalf("%q: the error %q repeats %s", document, err, name)
			}
		}
		if len(err.Error()) > 600 {
			t.Fatalf("%q: the error has %d bytes", document, len(err.Error()))
		}
	})
}
