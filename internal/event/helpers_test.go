package event_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/lambda/messages"
	"github.com/aws/aws-lambda-go/lambdacontext"

	"segura-enable/internal/apisecret"
	"segura-enable/internal/event"
	"segura-enable/simulated/seguratest"
	"segura-enable/test/activationtest"
)

const requestID = "8f5d3b1c-0000-4000-8000-000000000001"

// world is a door with all that is behind it.
type world struct {
	*activationtest.World
	door *event.Handler
}

func newWorld(t testing.TB, o seguratest.Options) *world {
	t.Helper()
	w := activationtest.Start(t, o, "EventFunction")
	return &world{w, &event.Handler{Runner: w.Runner, Telemetry: w.Telemetry, Log: w.Logger}}
}

// answer is what became of an invocation: a document, or a function error whose
// message may be one.
type answer struct {
	kind string // errorType; empty: no error
	text string
}

// document is the result in an answer.
type document struct {
	Outcome   apisecret.Outcome
	Requested int
	Failed    int
	Omitted   struct{ Succeeded, Failed int }
	Results   []struct {
		Identifier int64
		Outcome    apisecret.Outcome
	}
	Check string
}

func (a answer) document(t testing.TB) document {
	t.Helper()
	var d document
	if err := json.Unmarshal([]byte(a.text), &d); err != nil {
		t.Fatalf("got no document: %v: %s", err, a.text)
	}
	return d
}

func (w *world) invoke(t testing.TB, payload string) answer {
	t.Helper()
	ctx := lambdacontext.NewContext(t.Context(), &lambdacontext.LambdaContext{AwsRequestID: requestID})
	reply, err := w.door.Invoke(ctx, []byte(payload))
	if err == nil {
		return answer{"", string(reply)}
	}
	unwrapped, ok := err.(messages.InvokeResponse_Error) //nolint:errorlint // the runtime library looks at the outermost type only.
	if !ok || reply != nil {
		t.Fatalf("%.200s: got %T and the reply %s, want an InvokeResponse_Error by value", payload, err, reply)
	}
	return answer{unwrapped.Type, unwrapped.Message}
}

// envelope is an EventBridge event.
func envelope(source, detail string) string {
	return `{"version":"0","id":"event-id","detail-type":"Some Event","source":"` + source + `","account":"1","time":"2026-11-21T06:00:00Z","region":"eu-west-1",` +
		`"resources":["arn:aws:events:eu-west-1:1:rule/x"],"detail":` + detail + `}`
}

// envelopes are such events of one source.
func envelopes(source string, details ...string) (all []string) {
	for _, detail := range details {
		all = append(all, envelope(source, detail))
	}
	return all
}

// destination is an event that Lambda makes of an invocation's result.
func destination(result, detail string) string {
	return strings.Replace(envelope("lambda", detail), "Some Event", "Lambda Function Invocation Result - "+result, 1)
}

// replayed is such an event, sent again from an archive.
func replayed(source, detail string) string {
	return strings.Replace(envelope(source, detail), `"version"`, `"replay-name":"r","version"`, 1)
}

func sample(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile("../../events/" + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
