package event_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambda/messages"
	"github.com/aws/aws-lambda-go/lambdacontext"

	"segura-enable/internal/activation"
	"segura-enable/internal/apisecret"
	"segura-enable/internal/event"
	"segura-enable/internal/segura"
	"segura-enable/internal/segura/seguratest"
	"segura-enable/internal/telemetry"
)

const requestID = "8f5d3b1c-0000-4000-8000-000000000001"

type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *lines) Reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.b.Reset()
}

// vault hands out one client, or panics.
type vault struct {
	client *segura.Client
	fault  *apisecret.Error
	panics bool
}

func (v *vault) Client(context.Context) (*segura.Client, *apisecret.Error) {
	if v.panics {
		panic("MARKER")
	}
	return v.client, v.fault
}

func (v *vault) Reread(ctx context.Context) (*segura.Client, *apisecret.Error) { return v.Client(ctx) }

// world is a door with all that is behind it.
type world struct {
	*seguratest.Server
	door  *event.Door
	vault *vault
	audit *lines
	log   *lines
}

func newWorld(t testing.TB, o seguratest.Options) *world {
	t.Helper()
	server := seguratest.Start(t, o)
	client, err := segura.New(segura.Credentials{
		BaseURL: server.URL(), ClientID: server.ClientID(), ClientSecret: segura.Hide(server.ClientSecret()), CACertificate: server.CACertificate(),
	}, segura.Options{UserAgent: "test", AttemptTimeout: 5 * time.Second, Retry: segura.Retry{MaxAttempts: 1}, Connections: 10})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	w := &world{Server: server, vault: &vault{client: client}, audit: &lines{}, log: &lines{}}
	tm := telemetry.New(telemetry.Options{Out: w.audit, Format: "JSON", Function: "EventFunction"})
	log := slog.New(slog.NewJSONHandler(w.log, nil))
	w.door = &event.Door{
		Runner:    &activation.Runner{Clients: w.vault, Concurrency: 4, Retry: segura.Retry{MaxAttempts: 1}, Telemetry: tm, Log: log},
		Telemetry: tm,
		Log:       log,
	}
	return w
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
		Attempts   int
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

// calls are the calls that enable and disable, in their order, as kind/identifier.
func (w *world) calls() string {
	var all []string
	for _, request := range w.Requests() {
		if request.Kind != seguratest.KindToken && request.Kind != seguratest.KindHead {
			all = append(all, string(request.Kind)+"/"+apisecret.Identifier(request.Identifier).String())
		}
	}
	return strings.Join(all, " ")
}

// envelope is an EventBridge event.
func envelope(source, detail string) string {
	return `{"version":"0","id":"event-id","detail-type":"Some Event","source":"` + source + `","account":"1","time":"2026-11-21T06:00:00Z","region":"eu-west-1",` +
		`"resources":["arn:aws:events:eu-west-1:1:rule/x"],"detail":` + detail + `}`
}

func sample(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("../../events/" + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
