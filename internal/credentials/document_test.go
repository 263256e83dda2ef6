package credentials_test

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"segura-enable/internal/credentials"
	"segura-enable/internal/segura"
	"segura-enable/internal/strictjson"
	"segura-enable/simulated/seguratest"
)

func TestParse_putsEachFieldInItsPlace(t *testing.T) {
	required := segura.Credentials{BaseURL: "https://a", ClientID: "c", ClientSecret: segura.Hide("d")}
	for document, want := range map[string]segura.Credentials{
		`{
			"base_url":"https://a", "token_url":"https://b", "client_id":"c", "client_secret":"d", "tenant":"e", "ca_certificate":"f\nf",
			"client_certificate":"g", "client_key":"h", "referer":"i", "enable_path":"j", "disable_path":"k", "auth_style":"basic",
			"Base_URL":"x", "password":{"x":[1]}, "":null }`: {
			BaseURL: "https://a", TokenURL: "https://b", ClientID: "c", ClientSecret: segura.Hide("d"), Tenant: "e", CACertificate: "f\nf",
			ClientCertificate: "g", ClientKey: segura.Hide("h"), Referer: "i", EnablePath: "j", DisablePath: "k", AuthStyle: segura.AuthBasic,
		},
		`{"base_url":"https://a","client_id":"c","client_secret":"d","tenant":null,"token_url":"","client_key":null,"auth_style":"","referer":" \n\u00a0"}`: required,
	} {
		got, err := credentials.Parse([]byte(document))

		if err != nil || got.Credentials.Digest() != want.Digest() {
			t.Errorf("%s: got %v or other fields", document, err)
		}
	}
}

func TestParse_refusesWhatItCannotRead(t *testing.T) {
	for document, want := range map[string]string{
		``:                 "not valid JSON",
		`MARKER`:           "not valid JSON",
		`"MARKER"`:         "the document is a JSON string",
		`null`:             "not a JSON object",
		"{\"a\":\"\xff\"}": "UTF-8",
		`{"client_id":"MARKER","client_secret":["MARKER"]}`:   "client_secret is not a string",
		`{"client_id":1,"client_secret":"MARKER"}`:            "client_id is not a string",
		`{"client_secret":"MARKER","tenant":false}`:           "tenant is not a string",
		`{"client_secret":"MARKER","client_secret":"MARKER"}`: `repeats the field "client_secret"`,
		`{"MARK":"MARKER","MARK":"MARKER"}`:                   "repeats a field",
	} {
		_, err := credentials.Parse([]byte(document))

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
		"base_url": "https://segura.example.com", "token_url": "https://segura.example.com/t", "client_id": "4b7e-id!~", "client_secret": "s3 cret'\"&=%", "tenant": "acme S.A. «ção»",
		"referer": "https://referer.example.com/", "enable_path": "/e/{identifier}", "disable_path": "/d/{identifier}", "auth_style": "basic",
		"ca_certificate": certificatePEM + "\n" + certificatePEM, "client_certificate": certificatePEM, "client_key": keyPEM,
	}
	parse := func(mark string, fields map[string]string) (string, []string, error) {
		d, err := credentials.Parse(append([]byte(mark), strictjson.Encode(fields)...))
		c := d.Credentials
		c.CACertificate, c.ClientCertificate, c.ClientKey = inBase64(c.CACertificate), inBase64(c.ClientCertificate), segura.Hide(inBase64(c.ClientKey.Reveal()))
		return fmt.Sprintf("%x", c.Digest()), d.Mended, err
	}
	want, none, err := parse("", whole)
	if err != nil || len(none) > 0 {
		t.Fatalf("undamaged: got %v mended, %v", none, err)
	}
	if got, mended, err := parse("\ufeff", whole); err != nil || got != want || !slices.Equal(mended, []string{"document"}) {
		t.Errorf("a byte order mark: got the values: %t, mended %q, %v", got == want, mended, err)
	}
	for name, value := range whole {
		isPEM := strings.Contains(value, "-----BEGIN")
		damaged := map[string]bool{value + "\n": !isPEM, value + "\r\n": !isPEM} // whether it is worth a word
		for _, space := range []string{" ", "\t", "\u00a0", "\u2028", "\u3000", "\u0085"} {
			damaged[space+value], damaged[value+space] = true, true
		}
		if isPEM {
			damaged[strings.ReplaceAll(value, "\n", "\r\n")] = false
			for _, flat := range []string{" ", "", `\n`, `\r\n`, `\r`, "\u00a0", "\n  "} {
				damaged[strings.ReplaceAll(value, "\n", flat)] = true
			}
		}
		for value, told := range damaged {
			fields := maps.Clone(whole)
			fields[name] = value

			got, mended, err := parse("", fields)

			if err != nil || got != want || slices.Contains(mended, name) != told || len(mended) > 1 {
				t.Errorf("%s, %q: got the values: %t, mended %q, %v", name, value, got == want, mended, err)
			}
		}
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
			_, err := credentials.Parse(strictjson.Encode(map[string]string{name: value}))

			if err == nil || !strings.HasPrefix(err.Error(), name+" ") || strings.Contains(err.Error(), "MAR") {
				t.Errorf("%s %q: got %v, want an error that names it and repeats no value", name, value, err)
			}
		}
	}
}

func TestParse_takesATimeOfRFC3339ForTheExpiryAndNothingElse(t *testing.T) {
	at := time.Date(2027, 3, 31, 22, 0, 0, 0, time.UTC)
	for value, want := range map[string]credentials.Document{
		`"2027-03-31T22:00:00Z"`: {Expires: at}, `"2027-04-01T00:00:00+02:00"`: {Expires: at}, `"2027-03-31T22:00:00.000Z"`: {Expires: at},
		`" 2027-03-31T22:00:00Z\n"`: {Expires: at, Mended: []string{"expires_at"}}, `null`: {}, `""`: {}, `"\u00a0"`: {Mended: []string{"expires_at"}},
	} {
		got, err := credentials.Parse([]byte(`{"expires_at":` + value + `}`))

		if err != nil || !got.Expires.Equal(want.Expires) || !slices.Equal(got.Mended, want.Mended) || got.NoExpiry != nil {
			t.Errorf("%s: got %v, mended %q, %v and %v; want %v, mended %q", value, got.Expires, got.Mended, got.NoExpiry, err, want.Expires, want.Mended)
		}
	}
	for _, value := range []string{
		`"2027-03-31"`, `"31/03/2027 22:00"`, `"2027-02-30T00:00:00Z"`, `"\"2027-03-31T22:00:00Z\""`, `"MARKER"`, `1806530400`, `{"at":"2027-03-31T22:00:00Z"}`,
	} {
		got, err := credentials.Parse([]byte(`{"expires_at":` + value + `}`))

		if err != nil || !got.Expires.IsZero() || got.NoExpiry == nil || !strings.HasPrefix(got.NoExpiry.Error(), "expires_at ") || strings.Contains(got.NoExpiry.Error(), "MARKER") {
			t.Errorf("%s: got %+v and %v, want no expiry, and why, without the value", value, got, err)
		}
	}
}

// A document that is accepted has what is required, and makes a client or an
// error; no error repeats a value.
func FuzzParse(f *testing.F) {
	server := seguratest.Start(f, seguratest.Options{Tenant: "acme", RequireClientCertificate: true})
	for _, seed := range []string{
		server.SecretJSON(nil), server.SecretJSON(map[string]any{"auth_style": "basic", "enable_path": "/mysafe/password/{identifier}"}), `[]`, ``,
		`{"base_url":"https://a","client_id":"b","client_secret":"c","client_secret":"d"}`, `{"base_url":"https://[::1","client_id":"b","client_secret":"c"}`,
		`{"base_url":"https://a","client_id":"b","client_secret":"c","ca_certificate":"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"}`,
		`{"base_url":"https://a","client_id":"b","client_secret":"c","client_certificate":"-----BEGIN","client_key":"x"}`,
	} {
		f.Add([]byte(seed))
	}
	server.Close() // it has given its certificates
	f.Fuzz(func(t *testing.T, document []byte) {
		d, err := credentials.Parse(document)
		if err == nil {
			_, err = segura.New(d.Credentials, segura.Options{Connections: 1})
		}
		if err == nil {
			if c := d.Credentials; c.BaseURL == "" || c.ClientID == "" || c.ClientSecret.Reveal() == "" {
				t.Fatalf("%q is accepted without a required field", document)
			}
			return
		}
		var values map[string]any
		_ = json.Unmarshal(document, &values)
		for name, value := range values {
			if text, ok := value.(string); ok && len(text) > 24 && strings.Contains(err.Error(), text) || len(err.Error()) > 600 {
				t.Fatalf("%q: the error %q repeats %s, or is long", document, err, name)
			}
		}
	})
}
