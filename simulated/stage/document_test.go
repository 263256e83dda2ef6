package stage_test

import (
	"fmt"
	"strings"
	"testing"

	"segura-enable/simulated/runtimeapi"
	"segura-enable/simulated/stage"
)

func TestReadAnswer_readsEachDocument(t *testing.T) {
	for payload, want := range map[string]string{
		`{"outcome":"failed","requested":1,"failed":1,"results":[{"identifier":7,"outcome":"failed","attempts":1,"error":{"code":"not_found"}}]}`: "[7 failed not_found]",
		`{"outcome":"succeeded","requested":0,"failed":0,"results":[]}`:                                                                           "[]",
		`{"identifier":5,"outcome":"enabled","attempts":1}`:                                                                                       "[5 enabled]",
		`{"type":"urn:x","status":404,"code":"not_found","identifier":7}`:                                                                         "[7 failed not_found]",
		`{"type":"urn:x","status":400,"code":"invalid_request"}`:                                                                                  "[]",
		`{"check":"passed","steps":[{"name":"token","outcome":"passed"}]}`:                                                                        "[]",
	} {
		answer, err := stage.ReadAnswer(stage.Event, runtimeapi.Invocation{Payload: []byte(payload)})

		if got := fmt.Sprint(answer.Items()); err != nil || got != want {
			t.Errorf("%s: got %s, %v; want %s", payload, got, err, want)
		}
		if answer.Result == nil && answer.Item == nil && answer.Problem == nil && answer.SelfCheck == nil {
			t.Errorf("%s: no document was read", payload)
		}
	}
}

func TestReadAnswer_refusesWhatNoDocumentHas(t *testing.T) {
	for payload, want := range map[string]string{
		`{"outcome":"succeeded","results":[],"extra":1}`:       `unknown field "extra"`,
		`{"identifier":5,"outcome":"enabled","tries":1}`:       `unknown field "tries"`,
		`{"check":"passed","steps":[{"name":"token","at":1}]}`: `unknown field "at"`,
		`{"code":"not_found","identifier":"7"}`:                "cannot unmarshal string",
	} {
		_, err := stage.ReadAnswer(stage.Event, runtimeapi.Invocation{Payload: []byte(payload)})

		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", payload, err, want)
		}
	}
}

func TestDecode_refusesASecondDocument(t *testing.T) {
	for _, text := range []string{`{} {}`, `{}]`, `{}x`} {
		if err := stage.Decode([]byte(text), &stage.Item{}); err == nil {
			t.Errorf("%s: got no error", text)
		}
	}
}

func TestReadLine_saysWhatIsWrongWithTheForm(t *testing.T) {
	const good = `{"timestamp":"2026-11-21T08:15:30.123Z","level":"INFO","message":"token fetched","attempts":2}`
	if line, err := stage.ReadLine(good); err != nil || line.Text("message") != "token fetched" || line["attempts"] != 2.0 {
		t.Fatalf("got %v, %v", line, err)
	}
	for text, want := range map[string]string{
		"panic: oh":                            "not one JSON object",
		"[]":                                   "not one JSON object",
		good + good:                            "something follows it",
		good[:len(good)-1]:                     "not one JSON object",
		`{"level":"x",` + good[1:]:             `the key "level" is there twice`,
		strings.Replace(good, "T08", " 08", 1): "timestamp",
		strings.Replace(good, "INFO", "NOTICE", 1):    `level "NOTICE"`,
		strings.Replace(good, "token fetched", "", 1): "no message",
	} {
		if _, err := stage.ReadLine(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", text, err, want)
		}
	}
}
