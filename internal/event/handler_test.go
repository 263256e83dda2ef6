package event_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/lambda/messages"
	"github.com/aws/aws-lambda-go/lambdacontext"

	"segura-enable/internal/apisecret"
	"segura-enable/internal/event"
	"segura-enable/simulated/seguratest"
	"segura-enable/test/activationtest"
)

func TestInvoke_servesADocumentHoweverItComes(t *testing.T) {
	const enabled5 = `{"outcome":"succeeded","requested":1,"enabled":1,"already_enabled":0,"failed":0,"results":[{"identifier":5,"outcome":"enabled","attempts":1}]}`
	const disabled6 = `{"outcome":"succeeded","requested":1,"disabled":1,"already_disabled":0,"failed":0,"results":[{"identifier":6,"outcome":"disabled","attempts":1}]}`
	for _, row := range []struct{ payload, want, calls string }{
		{`{"identifier":5}`, enabled5, "enable/5"},
		{`{"identifiers":["5"],"reason":"CHG","action":"enable"}`, enabled5, "enable/5"},
		{`{"identifier":6,"action":"disable"}`, disabled6, "disable/6"},
		{envelope("com.example", `{"identifier":5}`), enabled5, "enable/5"},
		{envelope("com.example", `{"identifier":6,"action":"disable","change":{"number":"CHG"}}`), disabled6, "disable/6"},
		{envelope("aws.scheduler", `{"identifier":5}`), enabled5, "enable/5"},
		{envelope("aws.events", `{"identifiers":[5]}`), enabled5, "enable/5"},
		{envelope("aws.events", `{}`), enabled5, "enable/5"},
		{envelope("aws.scheduler", `"{}"`), enabled5, "enable/5"},
		{envelope("aws.scheduler", `" { } "`), enabled5, "enable/5"},
		{`{"detail":{"identifier":5},"source":"com.example","detail-type":""}`, enabled5, "enable/5"},
	} {
		w := newWorld(t, seguratest.Options{})
		w.door.Defaults = []apisecret.Identifier{5}

		got := w.invoke(t, row.payload)

		if got != (answer{"", row.want}) || w.Calls() != row.calls {
			t.Errorf("%s: got %+v after %s, want %s after %s", row.payload, got, w.Calls(), row.want, row.calls)
		}
	}
}

func TestInvoke_refusesWhatItCannotUnderstand(t *testing.T) {
	w := newWorld(t, seguratest.Options{})
	w.door.Defaults = []apisecret.Identifier{5}
	for _, row := range []struct{ payload, says string }{
		{``, "not valid JSON"},
		{`null`, "not a JSON object"},
		{`[]`, "not a JSON object"},
		{`"{\"identifier\":5}"`, "not a JSON object"},
		{"{\"identifier\":5,\"reason\":\"\xff\"}", "UTF-8"},
		{`{}`, "required"},
		{`{"identifier":5,"identifier":5}`, "identifier"},
		{`{"Identifier":5}`, "unknown field"},
		{`{"identifier":5,"force":true}`, "unknown field"},
		{`{"identifier":5,"action":"delete"}`, "action"},
		{`{"check":true,"identifier":5}`, "check"},
		{strings.Replace(envelope("com.example", `{"identifier":5}`), `"version"`, `"replay-name":"r","version"`, 1), "replayed"},
		{`{"check":true,"action":"disable","identifier":5}`, "check"},
		{`{"check":"true"}`, "check"},
		{`{"check":null}`, "check"},
		{`{"identifier":5,"reason":5}`, "reason"},
		{envelope("com.example", `{"identifier":5,"reason":{"text":"x"}}`), "reason"},
		{envelope("com.example", `{"identifier":5,"action":"Disable"}`), "action"},
		{envelope("com.example", `{"identifiers":["05"]}`), "identifiers[0]"},
		{envelope("com.example", `{"identifiers":[`+strings.Repeat("5,", 10_000)+`5]}`), "more than 10000"},
		{`{"check":false}`, "check"},
		{envelope("com.example", `{}`), "required"},
		{envelope("com.example", `"{}"`), "detail"},
		{envelope("com.example", `"{\"identifier\":5}"`), "detail"},
		{envelope("com.example", `null`), "detail"},
		{envelope("com.example", `[5]`), "detail"},
		{envelope("com.example", `{"Identifier":5}`), "unknown field"},
		{envelope("com.example", `{"identifier":5,"REASON":"x"}`), "unknown field"},
		{envelope("com.example", `{"identifier":5,"x":1,"x":2}`), `"x"`},
		{envelope("aws.scheduler", `"{\"identifier\":5}"`), "detail"},
		{envelope("aws.scheduler", `null`), "detail"},
		{envelope("aws.scheduler", `""`), "detail"},
		{envelope("aws.scheduler", `[]`), "detail"},
		{envelope("aws.scheduler", `{"reason":"x"}`), "required"},
		{strings.Replace(envelope("com.example", `{"identifier":5}`), `"com.example"`, `5`, 1), "source"},
		{strings.Replace(envelope("com.example", `{"identifier":5}`), `"version"`, `"detail":{},"version"`, 1), `"detail"`},
		{replayed("com.example", `{"identifier":5}`), "replay"},
		{replayed("aws.events", `{}`), "replay"},
		{replayed("aws.scheduler", `{"check":true}`), "replay"},
		{strings.Replace(replayed("com.example", `{"identifier":5}`), `"r"`, `null`, 1), "replay"},
		{`{"replay-name":"r","identifier":5}`, "unknown field"},
		{envelope(event.OwnSource, `{"id":"w","state":"closed","identifiers":["5"]}`), "asks for nothing"},
		{envelope(event.OwnSource, `{"check":true}`), "asks for nothing"},
		{destination("Success", `{"requestPayload":{"identifier":5},"responsePayload":{"outcome":"succeeded"},"identifier":5}`), "asks for nothing"},
		{destination("Failure", `{"requestPayload":{"identifier":5},"responsePayload":{"errorType":"Segura.TransientError"},"identifier":5}`), "asks for nothing"},
		{`{"source":"com.example","detail":{"identifier":5}}`, "unknown field"},
		{`{"detail-type":"x","source":"aws.events"}`, "unknown field"},
		{`{"Records":[{"EventSource":"aws:sns","Sns":{"Message":"{\"identifier\":5}"}}]}`, "unknown field"},
		{`{"Records":[{"eventSource":"aws:s3"}]}`, "unknown field"},
		{`{"Records":[{"eventSource":"aws:dynamodb"}]}`, "unknown field"},
		{`{"Records":[{"eventSource":"aws:sqs","body":"{\"identifier\":5}"}]}`, "unknown field"},
		{`{"identifiers":[` + strings.Repeat("5,", 10_000) + `5]}`, "more than 10000"},
		{sample(t, "rest-one"), "unknown field"},
		{sample(t, "function-url"), "unknown field"},
	} {
		w.Log.Reset()

		got := w.invoke(t, row.payload)

		if got.kind != event.InvalidRequest || !strings.Contains(got.text, row.says) {
			t.Errorf("%.100s: got %+v, want Segura.InvalidRequest with %q", row.payload, got, row.says)
		}
		if log := w.Log.String(); strings.Count(log, "\n") != 1 || !strings.Contains(log, event.InvalidRequest) {
			t.Errorf("%.100s: got the log %s", row.payload, log)
		}
	}
	if got := w.Count(""); got != 0 {
		t.Errorf("got %d requests", got)
	}
}

func TestInvoke_takesNoForeignEventForARequest(t *testing.T) {
	w := newWorld(t, seguratest.Options{})
	w.door.Defaults = []apisecret.Identifier{6}
	for _, events := range []map[string]string{activationtest.Foreign, activationtest.ForeignHTTP} {
		for name, payload := range events {
			if got := w.invoke(t, payload); got.kind != event.InvalidRequest {
				t.Errorf("%s: got %+v, want Segura.InvalidRequest", name, got)
			}
		}
	}
	for _, name := range []string{"rest-batch", "http-api-one", "http-api-batch"} {
		if got := w.invoke(t, sample(t, name)); got.kind != event.InvalidRequest {
			t.Errorf("%s: got %+v, want Segura.InvalidRequest", name, got)
		}
	}
	if got := w.Count(""); got != 0 {
		t.Errorf("got %d requests", got)
	}
}

// What is written otherwise than EventBridge writes it is no envelope, or one that
// cannot be read, and no request either.
func TestInvoke_takesNoEnvelopeForAnother(t *testing.T) {
	w := newWorld(t, seguratest.Options{})
	w.door.Defaults = []apisecret.Identifier{6}
	w.door.AllowedSources = []string{"com.good"}
	payloads := []string{
		`{"detail-type":"x","source":"com.good","source":"com.bad","detail":{"identifier":5}}`,
		`{"detail-type":"x","source":"com.bad","source":"com.good","detail":{"identifier":5}}`,
		`{"detail-type":"x","source":"com.bad","\u0073ource":"com.good","detail":{"identifier":5}}`,
		`{"detail-type":"x","source":"com.good","detail":{"identifier":5},"detail":{"identifier":6}}`,
		`{"detail-type":"x","Source":"com.good","detail":{"identifier":5}}`,
		`{"detail-type":"x","source":"com.bad","Source":"com.good","detail":{"identifier":5}}`,
		`{"detail-type":"x","source":"com.good","Detail":{"identifier":5}}`,
		`{"Detail-Type":"x","source":"com.good","detail":{"identifier":5}}`,
		`{"source":"com.good","detail":{"identifier":5}}`, `{"detail":{"identifier":5}}`, `{"detail-type":"x","detail":{"identifier":5}}`,
		`{"detail-type":"x","source":null,"detail":{"identifier":5}}`, `{"detail-type":"x","source":["com.good"],"detail":{"identifier":5}}`,
		`{"detail-type":"x","source":"com.good","detail":null}`, `{"detail-type":"x","source":"com.good","detail":[5]}`,
		`{"detail-type":"x","source":"com.good","detail":5}`, `{"detail-type":"x","source":"com.good","detail":"5"}`,
		`{"detail-type":"x","source":"com.good","detail":{}}`, `{"detail-type":"x","source":"com.good","detail":"{}"}`,
	}
	w.door.AllowedSources = append(w.door.AllowedSources, "aws.events", "aws.scheduler")
	for _, source := range []string{"aws.ec2", "aws.event", "aws.events.example", "AWS.EVENTS", " aws.events", "aws.scheduler "} {
		payloads = append(payloads, envelope(source, `{}`), envelope(source, `"{}"`))
	}
	for _, detail := range []string{`{"unknown":1}`, `{"identifiers":[]}`, `[]`, `5`, `"x"`, `"[]"`, `"{"`, `"{} {}"`, `["{}"]`, `{"reason":"x"}`, `{"action":"disable"}`} {
		payloads = append(payloads, envelope("aws.events", detail), envelope("aws.scheduler", detail))
	}
	for _, payload := range payloads {
		if got := w.invoke(t, payload); got.kind != event.InvalidRequest {
			t.Errorf("%s: got %+v, want Segura.InvalidRequest", payload, got)
		}
	}
	if got := w.Count(""); got != 0 {
		t.Errorf("got %d requests", got)
	}
}

// Beside the detail, EventBridge may add what it likes, but nothing there, nor
// deeper in the detail, is a request.
func TestInvoke_looksForTheRequestInTheDetailOnly(t *testing.T) {
	w := newWorld(t, seguratest.Options{})
	for _, payload := range []string{
		strings.Replace(envelope("com.example", `{"identifier":5}`), `"version"`, `"identifier":9,"identifiers":[9],"action":"disable","version"`, 1),
		envelope("com.example", `{"identifiers":[5],"change":{"identifier":9,"identifiers":[9],"Identifier":9,"reason":9},"list":[{"identifier":9}]}`),
		envelope("lambda", `{"identifier":5}`), // somebody's own, and no result
	} {
		w.Reset()
		if got := w.invoke(t, payload); got.kind != "" || w.Calls() != "enable/5" {
			t.Errorf("%s: got %+v after %s", payload, got, w.Calls())
		}
	}
}

// What is said of a request that cannot be understood is short, and text.
func TestInvoke_repeatsNoLongOrStrangeName(t *testing.T) {
	w := newWorld(t, seguratest.Options{})
	long := strings.Repeat("x", 100_000)
	for _, payload := range []string{
		`{"identifier":5,"` + long + `":1}`, `{"identifier":5,"reason":"` + long + `"}`, `{"identifier":"` + long + `"}`, `{"` + long + `":1,"` + long + `":2}`,
		envelope(long, `{"identifier":"x"}`), strings.Repeat("{", 100_000),
	} {
		if got := w.invoke(t, payload); got.kind != event.InvalidRequest || len(got.text) > 1000 {
			t.Errorf("%.100s…: got %s with %d bytes", payload, got.kind, len(got.text))
		}
	}
	for _, name := range []string{`x\n`, `x\u001b[31m`, `\"},{\"`, `\u2028`, `\u202e`, `\u0000`, `<script>`, `\\`} {
		w.Log.Reset()
		got := w.invoke(t, `{"identifier":5,"`+name+`":1}`)
		if got.kind != event.InvalidRequest || strings.ContainsFunc(got.text, func(r rune) bool { return r < ' ' || r > '~' }) || strings.Count(w.Log.String(), "\n") != 1 {
			t.Errorf("a field %s: got %+v and the log %s", name, got, w.Log)
		}
	}
}

func TestInvoke_enablesNothingForABareScheduleWithoutDefaults(t *testing.T) {
	w := newWorld(t, seguratest.Options{})

	got := w.invoke(t, sample(t, "scheduled-rule"))

	if got.kind != event.InvalidRequest || !strings.Contains(got.text, "SEGURA_DEFAULT_IDENTIFIERS") || w.Count("") > 0 {
		t.Errorf("got %+v after %d requests", got, w.Count(""))
	}
}

func TestInvoke_hearsAllowedSourcesOnly(t *testing.T) {
	w := newWorld(t, seguratest.Options{})
	w.door.Defaults = []apisecret.Identifier{6}
	w.door.AllowedSources = []string{"aws.scheduler", "com.example.change"}
	for payload, want := range map[string]string{
		envelope("com.example.change", `{"identifier":6}`):        "",
		envelope("aws.scheduler", `{}`):                           "",
		`{"identifier":6}`:                                        "", // no EventBridge event
		envelope("com.example", `{"identifier":5}`):               event.InvalidRequest,
		envelope("com.example.change.other", `{"identifier":5}`):  event.InvalidRequest,
		envelope("COM.example.change", `{"identifier":5}`):        event.InvalidRequest,
		envelope("", `{"identifier":5}`):                          event.InvalidRequest,
		envelope("*", `{"identifier":5}`):                         event.InvalidRequest,
		envelope(",", `{"identifier":5,"action":"disable"}`):      event.InvalidRequest,
		envelope("aws.scheduler, com.example.change", `{}`):       event.InvalidRequest,
		envelope("aws.scheduler ", `"{}"`):                        event.InvalidRequest,
		envelope("aws.events", `{}`):                              event.InvalidRequest,
		envelope("com.example", `{"check":true}`):                 event.InvalidRequest,
		envelope(" com.example.change", `{"identifiers":[5,6]}`):  event.InvalidRequest,
		envelope(`com.example.change\u0000`, `{"identifier":5}`):  event.InvalidRequest,
		envelope(`com.example.ch\u0061nge`, `{"identifier":"6"}`): "",
	} {
		got := w.invoke(t, payload)

		if got.kind != want || want != "" && !strings.Contains(got.text, "SEGURA_ALLOWED_EVENT_SOURCES") {
			t.Errorf("%s: got %+v, want the error %q", payload, got, want)
		}
	}
	if calls := w.Calls(); strings.Contains(calls, "/5") || w.Count(seguratest.KindHead) > 0 {
		t.Errorf("got the calls %s", calls)
	}
}

func TestInvoke_endsInAFunctionErrorIfAnyFailed(t *testing.T) {
	for _, row := range []struct {
		payload string
		fault   seguratest.Fault
		want    string
		outcome apisecret.Outcome
	}{
		{`{"identifiers":[5,6]}`, seguratest.Normally(), "", apisecret.Succeeded},
		{`{"identifiers":[5,7]}`, seguratest.Normally(), event.PermanentError, apisecret.PartiallySucceeded},
		{`{"identifier":7}`, seguratest.Normally(), event.PermanentError, apisecret.Failed},
		{`{"identifiers":[100,101]}`, seguratest.Gateway503(), event.TransientError, apisecret.PartiallySucceeded},
		{`{"identifiers":[7,100]}`, seguratest.Gateway503(), event.TransientError, apisecret.Failed},
		{`{"identifier":100}`, seguratest.Gateway429(), event.TransientError, apisecret.Failed},
		{`{"identifier":100}`, seguratest.TokenRefused(seguratest.RefusedInactive), event.PermanentError, apisecret.Failed},
		{`{"identifier":100}`, seguratest.PasswordActivated(), event.PermanentError, apisecret.Failed},
		{`{"identifier":100}`, seguratest.CutShort(), event.TransientError, apisecret.Failed},
	} {
		w := newWorld(t, seguratest.Options{})
		w.Fail(seguratest.Match{Kind: seguratest.KindEnable, Identifier: 100}, row.fault, -1)

		got := w.invoke(t, row.payload)

		d := got.document(t)
		if got.kind != row.want || d.Outcome != row.outcome || d.Requested != len(d.Results) || (d.Failed > 0) != (row.want != "") {
			t.Errorf("%s, %s: got %+v, want %q", row.payload, row.fault, got, row.want)
		}
		if log := w.Log.String(); (row.want != "") != strings.Contains(log, "Segura.") || !strings.Contains(log, row.want) || strings.Contains(log, "requested") {
			t.Errorf("%s, %s: got the log %s, want the type without the document", row.payload, row.fault, log)
		}
	}
}

// wire is a function error as the runtime library posts it.
func wire(t *testing.T, a answer) []byte {
	t.Helper()
	text, err := json.Marshal(messages.InvokeResponse_Error{Type: a.kind, Message: a.text})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestInvoke_boundsWhatItPosts(t *testing.T) {
	w := newWorld(t, seguratest.Options{AnyIdentifier: true})
	w.door.Runner.Concurrency = 16
	var list []string
	for i := range 10_000 {
		list = append(list, strconv.Itoa(1_000_000_000_000_000_000+i))
	}
	many := `{"identifiers":[` + strings.Join(list, ",") + `]}`
	w.door.Runner.Allowed, _ = apisecret.ParseSet("1")

	failed := w.invoke(t, many)

	d := failed.document(t)
	if got := len(wire(t, failed)); failed.kind != event.PermanentError || got > 30<<10 || got < 29<<10 {
		t.Errorf("all failed: got %s of %d bytes, want 29 to 30 KiB", failed.kind, got)
	}
	if d.Requested != 10_000 || d.Failed != 10_000 || d.Omitted.Failed+len(d.Results) != 10_000 || d.Omitted.Succeeded != 0 {
		t.Errorf("all failed: got %d requested, %d failed, %d omitted, %d kept", d.Requested, d.Failed, d.Omitted.Failed, len(d.Results))
	}
	if got := strings.Count(w.Audit.String(), `"message":"audit"`); got != 10_000 {
		t.Errorf("got %d audit lines, want one for each", got)
	}
}

func TestInvoke_boundsWhatItReturns(t *testing.T) {
	const perItem = len(`{"identifier":9000000000000000000,"outcome":"enabled","attempts":1},`)
	for count, omitted := range map[int]int{200 << 10 / perItem * 99 / 100: 0, 200<<10/perItem + 1: 200<<10/perItem + 1} {
		w := newWorld(t, seguratest.Options{AnyIdentifier: true})
		w.door.Runner.Concurrency = 16
		var list []string
		for i := range count {
			list = append(list, strconv.Itoa(9_000_000_000_000_000_000+i))
		}

		got := w.invoke(t, `{"identifiers":[`+strings.Join(list, ",")+`]}`)

		d := got.document(t)
		if got.kind != "" || len(got.text) > 200<<10 || d.Requested != count || d.Omitted.Succeeded != omitted || len(d.Results) != count-omitted {
			t.Errorf("%d successes: got %q of %d bytes, %d omitted, %d kept; want %d omitted", count, got.kind, len(got.text), d.Omitted.Succeeded, len(d.Results), omitted)
		}
	}
}

func TestInvoke_leavesOutWhatSucceededBeforeAnyFailure(t *testing.T) {
	w := newWorld(t, seguratest.Options{AnyIdentifier: true})
	w.door.Runner.Concurrency = 16
	var list []string
	for i := range 500 {
		list = append(list, strconv.Itoa(1000+i))
	}
	w.SetState(1250, seguratest.APISecret{Missing: true})

	got := w.invoke(t, `{"identifiers":[`+strings.Join(list, ",")+`]}`)

	d := got.document(t)
	if got.kind != event.PermanentError || d.Omitted.Succeeded != 499 || d.Omitted.Failed != 0 || len(d.Results) != 1 || d.Results[0].Identifier != 1250 {
		t.Errorf("got %s, %+v", got.kind, d)
	}
}

func TestInvoke_checksWhatTheAccessKeyMayDo(t *testing.T) {
	for payload, want := range map[string]string{
		`{"check":true,"identifiers":[5,7]}`: `"identifiers":[{"identifier":5,"access":"edit"},{"identifier":7,"access":"not_listed"}]`,
		`{"check":true,"identifiers":[5,8]}`: `"identifiers":[{"identifier":5,"access":"edit"},{"identifier":8,"access":"read_only"}]`,
	} {
		w := newWorld(t, seguratest.Options{})

		got := w.invoke(t, payload)

		if (got.kind == event.CheckFailed) != strings.Contains(want, "read_only") || !strings.Contains(got.text, want) || strings.Contains(w.Calls(), "enable/") {
			t.Errorf("%s: got %s %s and the calls %s, want %s in it", payload, got.kind, got.text, w.Calls(), want)
		}
	}
}

func TestInvoke_checksItself(t *testing.T) {
	for name, payload := range map[string]string{"direct": sample(t, "self-check"), "in a detail": envelope("com.example", `{"check":true,"more":1}`)} {
		w := newWorld(t, seguratest.Options{})

		got := w.invoke(t, payload)

		if d := got.document(t); got.kind != "" || d.Check != "passed" || w.Calls() != "" || w.Count(seguratest.KindHead) != 1 || w.Count(seguratest.KindToken) != 1 {
			t.Errorf("%s: got %+v after %d requests", name, got, w.Count(""))
		}
	}
}

func TestInvoke_failsACheckWithItsDocument(t *testing.T) {
	w := newWorld(t, seguratest.Options{})
	w.RotateClientSecret("another")

	got := w.invoke(t, `{"check":true}`)

	if d := got.document(t); got.kind != event.CheckFailed || d.Check != "failed" || !strings.Contains(got.text, `"code":"authentication_failed"`) {
		t.Errorf("got %+v", got)
	}
}

func TestInvoke_turnsAPanicIntoAFunctionError(t *testing.T) {
	w := newWorld(t, seguratest.Options{})
	w.Source.Before = func() { panic("MARKER") }

	inside := w.invoke(t, `{"identifier":5}`)
	check := w.invoke(t, `{"check":true}`)
	w.door.Runner = nil
	outside := w.invoke(t, `{"identifier":5}`)

	if d := inside.document(t); inside.kind != event.PermanentError || d.Failed != 1 || !strings.Contains(inside.text, "internal_error") {
		t.Errorf("inside the runner: got %+v", inside)
	}
	for name, got := range map[string]answer{"in a check": check, "outside of the runner": outside} {
		if got.kind != event.InternalError || strings.Contains(got.text, "MARKER") {
			t.Errorf("%s: got %+v, want Segura.InternalError", name, got)
		}
	}
	if log := w.Log.String(); strings.Contains(log, "MARKER") || strings.Count(log, "recovered from a panic") != 3 {
		t.Errorf("got the log %s", log)
	}
}

func TestInvoke_auditsWhereTheEventCameFrom(t *testing.T) {
	scheduled := strings.Replace(sample(t, "scheduler-default-payload"), `"{}"`, `{"identifier":5}`, 1)
	for name, row := range map[string]struct {
		payload string
		want    map[string]any
	}{
		"a schedule":              {scheduled, map[string]any{"caller": "arn:aws:scheduler:eu-west-1:123456789012:schedule/default/segura-enable-every-morning", "event_source": "aws.scheduler", "event_id": "49672d39-8c3a-4cc6-8de5-c57b0acf718f"}},
		"a rule":                  {envelope("aws.events", `{"identifier":5}`), map[string]any{"caller": "arn:aws:events:eu-west-1:1:rule/x", "event_source": "aws.events", "event_id": "event-id"}},
		"anybody's event":         {envelope("com.example", `{"identifier":5}`), map[string]any{"caller": nil, "event_source": "com.example", "event_id": "event-id"}},
		"no resources":            {strings.Replace(envelope("aws.events", `{"identifier":5}`), `["arn:aws:events:eu-west-1:1:rule/x"]`, `null`, 1), map[string]any{"caller": nil, "event_source": "aws.events"}},
		"resources of other form": {strings.Replace(envelope("aws.events", `{"identifier":5}`), `["arn:aws:events:eu-west-1:1:rule/x"]`, `{"a":1}`, 1), map[string]any{"caller": nil}},
		"resources without ARN":   {strings.Replace(envelope("aws.events", `{"identifier":5}`), `["arn:aws:events:eu-west-1:1:rule/x"]`, `["x"]`, 1), map[string]any{"caller": nil}},
		"sent directly":           {`{"identifier":5,"reason":"CHG"}`, map[string]any{"caller": nil, "event_source": nil, "event_id": nil, "reason": "CHG"}},
	} {
		w := newWorld(t, seguratest.Options{})

		w.invoke(t, row.payload)

		var line map[string]any
		first, _, _ := strings.Cut(w.Audit.String(), "\n")
		if err := json.Unmarshal([]byte(first), &line); err != nil {
			t.Fatalf("%s: %v: %s", name, err, first)
		}
		row.want["source"], row.want["requestId"], row.want["identifier"] = "event", requestID, 5.0
		for key, want := range row.want {
			if got := line[key]; got != want {
				t.Errorf("%s: %s: got %v, want %v", name, key, got, want)
			}
		}
	}
}

func TestInvoke_answersTheSamples(t *testing.T) {
	for name, want := range map[string]struct {
		kind  string
		calls []string
	}{
		"direct-one": {"", []string{"enable/5"}}, "direct-many": {event.PermanentError, []string{"enable/5", "enable/6", "enable/7", "enable/8"}},
		"direct-disable": {"", []string{"disable/5", "disable/6"}}, "direct-not-allowed": {event.PermanentError, nil},
		"eventbridge-custom": {"", []string{"enable/5", "enable/6"}}, "scheduled-rule": {"", []string{"enable/100"}}, "scheduler-default-payload": {"", []string{"enable/100"}},
		"scheduler-custom-input": {"", []string{"enable/100", "enable/101", "enable/102"}}, "step-functions": {"", []string{"enable/100", "enable/6"}}, "self-check": {"", nil},
		"bulk-batch": {event.PermanentError, []string{"enable/100", "enable/6", "enable/7"}}, "eventbridge-replay": {event.InvalidRequest, nil},
	} {
		w := newWorld(t, seguratest.Options{})
		w.door.Runner.Allowed, _ = apisecret.ParseSet("1-999")
		w.door.Defaults = []apisecret.Identifier{100}

		got := w.invoke(t, sample(t, name))

		calls := strings.Fields(w.Calls())
		slices.Sort(calls)
		slices.Sort(want.calls)
		if got.kind != want.kind || !slices.Equal(calls, want.calls) {
			t.Errorf("%s: got %+v after %v, want %q after %v", name, got, calls, want.kind, want.calls)
		}
	}
}

func TestInvoke_writesItsMetricsWhateverHappens(t *testing.T) {
	w := newWorld(t, seguratest.Options{})
	for payload, want := range map[string]int{`{"identifier":5}`: 1, `garbage`: 1, `{"check":true}`: 1, `{"identifiers":[7,8]}`: 3} {
		w.Audit.Reset()

		w.invoke(t, payload)

		if got := strings.Count(w.Audit.String(), `"_aws"`); got != want {
			t.Errorf("%s: got %d metric lines, want %d: one, and one for each code", payload, got, want)
		}
	}
}

// The runtime library repeats a function error in a header of its own.
func TestInvoke_putsNothingIntoAnErrorThatAHeaderCannotCarry(t *testing.T) {
	w := newWorld(t, seguratest.Options{})
	w.Fail(seguratest.Match{Kind: seguratest.KindEnable}, seguratest.ReplyJSON(400, `{"message":"x","request_id":"a\u007fb\u0085c\nd\u2028e"}`).WithHeader("X-Kong-Request-Id", ""), 1)

	got := w.invoke(t, `{"identifier":5}`)

	encoded := string(wire(t, got))
	if got.kind != event.PermanentError || strings.ContainsFunc(encoded, func(r rune) bool { return r < ' ' || r == 0x7f }) || !json.Valid([]byte(got.text)) {
		t.Errorf("got %q", encoded)
	}
}

func TestInvoke_isHonestWhateverShapeAnEventHas(t *testing.T) {
	w := newWorld(t, seguratest.Options{})
	w.door.Runner.Allowed, _ = apisecret.ParseSet("5-8,100")
	w.door.Defaults = []apisecret.Identifier{100}
	for _, name := range []string{"eventbridge-custom", "scheduler-default-payload", "direct-many"} {
		err := activationtest.Misshape(sample(t, name), func(payload string) {
			w.Reset()
			w.Audit.Reset()

			got := w.invoke(t, payload)

			text := got.text
			if got.kind == event.InvalidRequest {
				text = "{}" // no document
			}
			requireHonest(t, w, []byte(payload), text, got.kind == "")
		}, nil, 77, []any{nil}, "{}")
		if err != nil {
			t.Fatal(err)
		}
	}
}

// A payload never makes the door panic, never has Segura called for an identifier
// that was not accepted, and is never answered with a success that Segura did not
// have.
func FuzzInvoke(f *testing.F) {
	w := newWorld(f, seguratest.Options{})
	w.door.Runner.Allowed, _ = apisecret.ParseSet("5-8,100-105")
	w.door.Defaults = []apisecret.Identifier{100, 6}
	w.door.AllowedSources = []string{"aws.events", "aws.scheduler", "com.example"}
	for _, seed := range []string{
		`{"identifier":5}`, `{"identifiers":[5,"6",7,200],"reason":"x","action":"disable"}`, `{"check":true}`, envelope("aws.events", `{}`), envelope("aws.scheduler", `"{}"`),
		envelope("com.example", `{"identifier":5,"x":{}}`), envelope("com.other", `{"identifier":5}`), `{"Records":[]}`, `[]`, `null`, ``, `{"identifier":5,"identifier":6}`,
		`{"detail-type":1,"source":"com.example","detail":{"identifiers":[5]}}`, `{"identifiers":[9223372036854775807,5]}`, `{"identifier":5,"Identifier":6}`,
		batch(`{"identifier":"5"},{"identifier":6,"x":[]}`, `{"action":"disable","execution":"x"}`), batch(`{"identifier":9007199254740993}`, `{}`), replayed("com.example", `{"identifier":5}`),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		w.Reset()
		w.Audit.Reset()
		w.Log.Reset()
		ctx := lambdacontext.NewContext(t.Context(), &lambdacontext.LambdaContext{AwsRequestID: requestID})

		reply, err := w.door.Invoke(ctx, payload)

		text := string(reply)
		if err != nil {
			failure, ok := err.(messages.InvokeResponse_Error) //nolint:errorlint // by value, as the runtime library wants it.
			if !ok || !slices.Contains([]string{event.InvalidRequest, event.PermanentError, event.TransientError}, failure.Type) || len(failure.Message) > 30<<10 {
				t.Fatalf("%q: got %T: %v", payload, err, err)
			}
			text = failure.Message
			if failure.Type == event.InvalidRequest {
				text = "{}" // no document
			}
		}
		requireHonest(t, w, payload, text, err == nil)
	})
}

// requireHonest holds a document against what Segura was asked.
func requireHonest(t *testing.T, w *world, payload []byte, text string, succeeded bool) {
	t.Helper()
	var d document
	if err := json.Unmarshal([]byte(text), &d); err != nil {
		t.Fatalf("%q: got %s", payload, text)
	}
	told := map[int64]apisecret.Outcome{}
	for _, one := range d.Results {
		told[one.Identifier] = one.Outcome
	}
	said := map[int64]bool{}
	for _, call := range w.Requests() {
		switch call.Kind {
		case seguratest.KindToken, seguratest.KindHead:
		case seguratest.KindEnable, seguratest.KindDisable:
			if _, ok := told[call.Identifier]; !ok || !w.door.Runner.Allowed.Contains(apisecret.Identifier(call.Identifier)) {
				t.Fatalf("%q: Segura was called for %d: %s", payload, call.Identifier, text)
			}
			said[call.Identifier] = call.Status == 200
		default:
			t.Fatalf("%q: Segura was called: %s %s", payload, call.Method, call.Path)
		}
	}
	for i, outcome := range told {
		if outcome != apisecret.Failed && !said[i] {
			t.Fatalf("%q: got %s for %d, which Segura did not say: %s", payload, outcome, i, text)
		}
		if outcome == apisecret.Failed && succeeded {
			t.Fatalf("%q: got a success with a failure in it: %s", payload, text)
		}
	}
	if succeeded && d.Check != "passed" && (len(told) == 0 || d.Requested != len(told)) {
		t.Fatalf("%q: got a success of nothing: %s", payload, text)
	}
	if audits := strings.Count(w.Audit.String(), `"message":"audit"`); audits != len(told) {
		t.Fatalf("%q: got %d audit lines for %s", payload, audits, fmt.Sprint(told))
	}
}
