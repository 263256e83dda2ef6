package credentials_test

import (
	"encoding/json"
	"strings"
	"testing"

	"segura-enable/internal/credentials"
	"segura-enable/internal/segura"
	"segura-enable/simulated/seguratest"
)

func TestParse_putsEachFieldInItsPlace(t *testing.T) {
	got, err := credentials.Parse([]byte(`{
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
	got, err := credentials.Parse([]byte(`{"base_url":"https://a","client_id":"c","client_secret":"d","tenant":null,"token_url":"","client_key":null,"auth_style":""}`))

	if err != nil || got.Digest() != (segura.Credentials{BaseURL: "https://a", ClientID: "c", ClientSecret: segura.Hide("d")}).Digest() {
		t.Errorf("got %v or other fields", err)
	}
}

func TestParse_refusesWhatItCannotRead(t *testing.T) {
	for document, want := range map[string]string{
		``:                 "not valid JSON",
		`MARKER`:           "not valid JSON",
		`"MARKER"`:         "not a JSON object",
		`null`:             "not a JSON object",
		"{\"a\":\"\xff\"}": "UTF-8",
		`{"base_url":"https://a","client_id":"MARKER","client_secret":["MARKER"]}`:              "client_secret is not a string",
		`{"base_url":"https://a","client_id":1,"client_secret":"MARKER"}`:                       "client_id is not a string",
		`{"base_url":"https://a","client_id":"b","client_secret":"MARKER","tenant":false}`:      "tenant is not a string",
		`{"base_url":"https://a","client_id":"b","client_secret":"MARKER","ca_certificate":{}}`: "ca_certificate is not a string",
		`{"client_secret":"MARKER","client_secret":"MARKER"}`:                                   "repeats",
		`{"MARK":"MARKER","MARK":"MARKER"}`:                                                     "repeats",
	} {
		_, err := credentials.Parse([]byte(document))

		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "MARKER") {
			t.Errorf("%s: got %v, want %q and no value", document, err, want)
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
		c, err := credentials.Parse(document)
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
