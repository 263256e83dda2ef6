package stage_test

import (
	"strings"
	"testing"

	"segura-enable/simulated/runtimeapi"
	"segura-enable/simulated/stage"
)

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

func TestReadLine_saysWhatIsWrongWithTheForm(t *testing.T) {
	const good = `{"timestamp":"2026-11-21T08:15:30.123Z","level":"INFO","message":"token fetched","attempts":2}`
	if line, err := stage.ReadLine(good); err != nil || line.Text("message") != "token fetched" || line["attempts"] != 2.0 {
		t.Fatalf("got %v, %v", line, err)
	}
	for text, want := range map[string]string{
		"panic: oh":                            "not one JSON object",
		"[]":                                   "not one JSON object",
		good + good:                            "not one JSON object",
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
