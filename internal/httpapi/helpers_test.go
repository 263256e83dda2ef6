package httpapi_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/lambdacontext"

	"segura-enable/internal/apisecret"
	"segura-enable/internal/httpapi"
	"segura-enable/simulated/seguratest"
	"segura-enable/test/activationtest"
)

const requestID = "8f5d3b1c-0000-4000-8000-000000000001"

// world is a door with all that is behind it.
type world struct {
	*activationtest.World
	door *httpapi.Handler
}

func newWorld(t testing.TB, o seguratest.Options) *world {
	t.Helper()
	w := activationtest.Start(t, o, "ApiFunction")
	return &world{w, &httpapi.Handler{Runner: w.Runner, Telemetry: w.Telemetry, Log: w.Logger}}
}

// response is what API Gateway and function URLs read of a reply.
type response struct {
	StatusCode      int
	Headers         map[string]string
	Body            string
	IsBase64Encoded bool
}

// problem is a body of application/problem+json.
type problem struct {
	Type, Title, Detail, Instance string
	Status                        int
	Code                          apisecret.Code
	Retryable                     bool
	Identifier                    apisecret.Identifier
	SeguraCode                    int `json:"segura_code"`
}

func (r response) problem(t testing.TB) problem {
	t.Helper()
	var p problem
	if err := json.Unmarshal([]byte(r.Body), &p); err != nil {
		t.Fatalf("the body is no problem: %v: %s", err, r.Body)
	}
	return p
}

// invoke has the door answer a payload, and checks what every answer has.
func (w *world) invoke(t testing.TB, payload string) response {
	t.Helper()
	ctx := lambdacontext.NewContext(t.Context(), &lambdacontext.LambdaContext{AwsRequestID: requestID})
	reply, err := w.door.Invoke(ctx, []byte(payload))
	if err != nil {
		t.Fatalf("%.200s: got the function error %v", payload, err)
	}
	var r response
	decoder := json.NewDecoder(bytes.NewReader(reply))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&r); err != nil {
		t.Fatalf("%.200s: got a reply that API Gateway does not understand: %v: %s", payload, err, reply)
	}
	if r.IsBase64Encoded || r.Headers["Cache-Control"] != "no-store" || r.Headers["X-Request-Id"] != requestID || !json.Valid([]byte(r.Body)) {
		t.Errorf("%.200s: got %+v", payload, r)
	}
	want := "application/json"
	if r.StatusCode >= 400 {
		want = "application/problem+json"
		p := r.problem(t)
		if p.Status != r.StatusCode || p.Type != "urn:segura-enable:problem:"+string(p.Code) || p.Code == "" || p.Title == "" || p.Detail == "" || p.Instance != "urn:uuid:"+requestID {
			t.Errorf("%.200s: got the problem %+v with status %d", payload, p, r.StatusCode)
		}
		if _, after := r.Headers["Retry-After"]; after != p.Retryable {
			t.Errorf("%.200s: got Retry-After %q for %+v", payload, r.Headers["Retry-After"], p)
		}
	}
	if r.Headers["Content-Type"] != want {
		t.Errorf("%.200s: got %s, want %s", payload, r.Headers["Content-Type"], want)
	}
	return r
}

func quote(text string) string {
	quoted, _ := json.Marshal(text)
	return string(quoted)
}

// rest is the event of an API Gateway REST API.
func rest(method, path, body string) string {
	return `{"resource":"/{proxy+}","path":` + quote(path) + `,"httpMethod":` + quote(method) + `,"headers":null,"multiValueHeaders":null,"requestContext":{"stage":"prod"},"body":` + quote(body) + `,"isBase64Encoded":false}`
}

// httpAPI is the event of an API Gateway HTTP API or a function URL.
func httpAPI(method, path, body string) string {
	return `{"version":"2.0","routeKey":"$default","rawPath":` + quote(path) + `,"headers":{},"requestContext":{"http":{"method":` + quote(method) + `,"path":"/other"}},"body":` + quote(body) + `,"isBase64Encoded":false}`
}

// with sets members of an event, given as JSON, in the place of those it has.
func with(event string, members ...string) string {
	var all map[string]json.RawMessage
	if err := json.Unmarshal([]byte(event), &all); err != nil {
		panic(err)
	}
	for _, member := range members {
		name, value, _ := strings.Cut(member, ":")
		all[name] = json.RawMessage(value)
	}
	text, err := json.Marshal(all)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// fronts make the events of the two payload formats.
var fronts = map[string]func(method, path, body string) string{"payload format 1.0": rest, "payload format 2.0": httpAPI}
