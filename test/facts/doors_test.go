package facts

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"

	"segura-enable/internal/apisecret"
	"segura-enable/internal/event"
	"segura-enable/internal/httpapi"
	"segura-enable/internal/telemetry"
	"segura-enable/simulated/seguratest"
	"segura-enable/test/activationtest"
)

// doors are both doors of one world, and what they show of themselves.
type doors struct {
	*activationtest.World
	*testing.T
	facts

	http  *httpapi.Handler
	event *event.Handler
}

// observe returns what the doors show of themselves.
func observe(t *testing.T) facts {
	w := activationtest.Start(t, seguratest.Options{AnyIdentifier: true}, "Function")
	d := &doors{World: w, T: t, http: &httpapi.Handler{Runner: w.Runner, Telemetry: w.Telemetry, Log: w.Logger}, event: &event.Handler{
		Runner: w.Runner, Telemetry: w.Telemetry, Log: w.Logger, Defaults: []apisecret.Identifier{5},
	}}
	d.Routes = d.routes()
	d.Successes = d.successes()
	d.ScheduledSources = d.scheduledSources()
	d.OwnSource = event.OwnSource
	d.ResultMembers = resultMembers(t)
	d.sendBatch()
	d.readProblems()
	d.gather()
	d.readLines()
	d.windows()
	return d.facts
}

// response is what API Gateway gets, with its body read.
type response struct {
	status int
	body   map[string]any
}

// ask sends an HTTP request of a known caller; change may spoil it first.
func (d *doors) ask(ctx context.Context, path, body string, change func(map[string]any)) response {
	request := map[string]any{
		"httpMethod": http.MethodPost, "path": path, "body": body,
		"requestContext": map[string]any{"identity": map[string]any{"userArn": "arn:aws:iam::123456789012:role/operations"}},
	}
	if change != nil {
		change(request)
	}
	return serve(ctx, d.T, d.http, request)
}

func serve(ctx context.Context, t *testing.T, door lambda.Handler, request map[string]any) response {
	payload, err := json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	reply, err := door.Invoke(ctx, payload)
	if err != nil {
		t.Fatal(err)
	}
	var answer struct {
		StatusCode int
		Body       string
	}
	decode(t, reply, &answer)
	r := response{status: answer.StatusCode}
	decode(t, []byte(answer.Body), &r.body)
	return r
}

// invoked is a context as Lambda's.
func invoked(t *testing.T) context.Context {
	return lambdacontext.NewContext(t.Context(), &lambdacontext.LambdaContext{AwsRequestID: "8f5d3b1c-0000-4000-8000-000000000001"})
}

func (d *doors) routes() []string {
	var served []string
	for _, action := range constants(d.T, "apisecret", "Action") {
		for written, path := range map[string]string{"/api-secrets/{identifier}/": "/api-secrets/5/", "/api-secrets/": "/api-secrets/"} {
			if d.ask(invoked(d.T), path+action, `{"reason":"x"}`, nil).status != http.StatusNotFound {
				served = append(served, written+action)
			}
		}
	}
	return unique(served)
}

func (d *doors) successes() []int {
	well := d.ask(invoked(d.T), "/api-secrets/enable", `{"identifiers":[5],"reason":"x"}`, nil)
	d.Runner.Allowed, _ = apisecret.ParseSet("5")
	partly := d.ask(invoked(d.T), "/api-secrets/enable", `{"identifiers":[5,6]}`, nil)
	d.Runner.Allowed = apisecret.Set{}
	return unique([]int{well.status, partly.status})
}

// readProblems reads what each code and each refusal looks like over HTTP.
func (d *doors) readProblems() {
	d.Codes = map[string]answer{}
	var all []map[string]any
	for _, code := range slices.DeleteFunc(constants(d.T, "apisecret", "Code"), func(code string) bool { return !isIdentifiers(code) }) {
		d.Source.Gives, d.Source.Fault = nil, filled(apisecret.Code(code))
		body := d.ask(invoked(d.T), "/api-secrets/5/enable", "", nil).body
		if body["code"] != code {
			d.Fatalf("a failure of the code %s is answered with %v", code, body)
		}
		d.Codes[code] = answer{apisecret.NewError(apisecret.Code(code), "").Retryable, int(body["status"].(float64)), body["title"].(string)}
		prefix := strings.TrimSuffix(body["type"].(string), code)
		if d.Problem.TypePrefix = cmp.Or(d.Problem.TypePrefix, prefix); d.Problem.TypePrefix != prefix {
			d.Errorf("the code %s has the type %s", code, body["type"])
		}
		all = append(all, body)
	}
	for _, refused := range d.refused() {
		d.Refusals = append(d.Refusals, refused.status)
		all = append(all, refused.body)
	}
	d.Refusals = unique(d.Refusals)
	d.Problem.Members = keys(all...)
	d.Problem.Required = slices.DeleteFunc(keys(all...), func(name string) bool {
		return slices.ContainsFunc(all, func(body map[string]any) bool { return body[name] == nil })
	})
}

// filled returns a failure of the code that has all that a failure can have.
func filled(code apisecret.Code) *apisecret.Error {
	failure := &apisecret.Error{}
	for _, field := range reflect.VisibleFields(reflect.TypeFor[apisecret.Error]()) {
		switch value := reflect.ValueOf(failure).Elem().FieldByIndex(field.Index); {
		case value.Kind() == reflect.String:
			value.SetString("x")
		case value.CanInt():
			value.SetInt(1)
		case value.Kind() == reflect.Bool:
			value.SetBool(true)
		}
	}
	failure.Code = code
	return failure
}

// refused returns the answers to requests that cannot be understood, one of each
// kind, outside of an invocation, so that they have nothing but what all have.
func (d *doors) refused() []response {
	const path = "/api-secrets/5/enable"
	big := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte(" "), 1<<20))
	return []response{
		d.ask(d.Context(), "/elsewhere", "", nil),
		d.ask(d.Context(), path, "{", nil),
		d.ask(d.Context(), path, "", func(r map[string]any) { r["httpMethod"] = http.MethodGet }),
		d.ask(d.Context(), path, big, func(r map[string]any) { r["isBase64Encoded"] = true }),
		d.ask(d.Context(), path, "<x/>", func(r map[string]any) { r["headers"] = map[string]string{"Content-Type": "text/xml"} }),
	}
}

// resultMembers returns the members that any result has.
func resultMembers(t *testing.T) []string {
	var all []map[string]any
	for _, action := range constants(t, "apisecret", "Action") {
		result := apisecret.Result{Action: apisecret.Action(action), Items: []apisecret.Item{{Identifier: 5, Outcome: apisecret.Failed, Error: filled(apisecret.NotFound)}}}
		for _, room := range []int{0, 1 << 20} {
			var document map[string]any
			decode(t, result.Document(room, func(text []byte) int { return len(text) }), &document)
			all = append(all, document)
		}
	}
	return keys(all...)
}

// scheduledSources returns those of the samples' sources whose events may come
// without a detail: a scheduler's.
func (d *doors) scheduledSources() []string {
	samples, err := filepath.Glob("../../events/*.json")
	if err != nil {
		d.Fatal(err)
	}
	var scheduled []string
	for _, sample := range samples {
		text, err := os.ReadFile(sample)
		if err != nil {
			d.Fatal(err)
		}
		var envelope map[string]any
		decode(d.T, text, &envelope)
		source, ok := envelope["source"].(string)
		if !ok {
			continue
		}
		delete(envelope, "replay-name") // a replay is refused whatever its source
		envelope["detail"] = map[string]any{}
		bare, _ := json.Marshal(envelope)
		if _, err := d.event.Invoke(invoked(d.T), bare); err == nil {
			scheduled = append(scheduled, source)
		}
		envelope["detail"] = map[string]any{"identifier": 5, "reason": "x"}
		full, _ := json.Marshal(envelope)
		if _, err := d.event.Invoke(invoked(d.T), full); err != nil {
			d.Errorf("%s: %v", sample, err)
		}
	}
	return unique(scheduled)
}

// sendBatch sends what a Distributed Map does, for the audit line that comes of it.
func (d *doors) sendBatch() {
	if _, err := d.event.Invoke(invoked(d.T), []byte(`{"Items":[{"identifier":"5"}],"BatchInput":{"execution":"x"}}`)); err != nil {
		d.Error(err)
	}
}

// gather gathers every metric that there is, in one invocation.
func (d *doors) gather() {
	ways := map[string]func(context.Context){
		"Count":             func(context.Context) {}, // of names that are their callers'
		"Call":              func(ctx context.Context) { telemetry.Call(ctx, time.Millisecond) },
		"TokenCall":         func(ctx context.Context) { telemetry.TokenCall(ctx, time.Millisecond) },
		"CredentialRefresh": telemetry.CredentialRefresh,
		"SecretUnusable":    telemetry.SecretUnusable,
		"AccessKeyExpires":  func(ctx context.Context) { telemetry.AccessKeyExpires(ctx, time.Now()) },
		"Done": func(ctx context.Context) {
			telemetry.Done(ctx, apisecret.Item{Identifier: 5, Outcome: apisecret.Failed, Error: filled(apisecret.NotFound)})
		},
	}
	if got, want := slices.Sorted(maps.Keys(ways)), takingContext(d.T, "telemetry"); !slices.Equal(got, want) {
		d.Errorf("metrics are gathered by %v, but here by %v", want, got)
	}
	ctx, end := d.Telemetry.Begin(invoked(d.T))
	for _, way := range ways {
		way(ctx)
	}
	end()
}

// readLines reads the audit and the metric lines of all that was done before.
func (d *doors) readLines() {
	d.Metrics = map[string][]string{}
	var audits []map[string]any
	for text := range strings.Lines(d.Audit.String()) {
		var line map[string]any
		decode(d.T, []byte(text), &line)
		if line["_aws"] == nil {
			audits = append(audits, line)
			continue
		}
		var embedded struct {
			AWS struct {
				CloudWatchMetrics []struct {
					Namespace  string
					Dimensions [][]string
					Metrics    []struct{ Name string }
				}
			} `json:"_aws"`
		}
		decode(d.T, []byte(text), &embedded)
		for _, directive := range embedded.AWS.CloudWatchMetrics {
			if directive.Namespace != telemetry.Namespace {
				d.Errorf("a metric line of the namespace %s", directive.Namespace)
			}
			for _, metric := range directive.Metrics {
				for _, dimensions := range directive.Dimensions {
					d.Metrics[metric.Name] = unique(append(d.Metrics[metric.Name], strings.Join(dimensions, ",")))
				}
			}
		}
	}
	d.AuditKeys = keys(audits...)
}

func decode(t *testing.T, text []byte, into any) {
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
}

// keys returns the members that any of the objects has.
func keys(objects ...map[string]any) []string {
	all := map[string]any{}
	for _, one := range objects {
		maps.Copy(all, one)
	}
	return slices.Sorted(maps.Keys(all))
}

func unique[T cmp.Ordered](values []T) []T {
	slices.Sort(values)
	return slices.Compact(values)
}
