package event_test

import (
	"encoding/json"
	"maps"
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
		// Beside the detail and deeper in it, nothing is a request.
		{strings.Replace(envelope("com.example", `{"identifier":5}`), `"version"`, `"identifier":9,"identifiers":[9],"action":"disable","version"`, 1), enabled5, "enable/5"},
		{envelope("com.example", `{"identifiers":[5],"change":{"identifier":9,"identifiers":[9],"Identifier":9,"reason":9},"list":[{"identifier":9}]}`), enabled5, "enable/5"},
		{envelope("lambda", `{"identifier":5}`), enabled5, "enable/5"}, // somebody's own, and no result
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
	long := strings.Repeat("x", 100_000)
	spoilt := func(old, replacement string) string {
		return strings.Replace(envelope("com.example", `{"identifier":5}`), old, replacement, 1)
	}
	for says, payloads := range map[string][]string{
		"not valid JSON":    {``, strings.Repeat("{", 100_000)},
		"not a JSON object": {`null`, `[]`, `"{\"identifier\":5}"`},
		"UTF-8":             {"{\"identifier\":5,\"reason\":\"\xff\"}"},
		"required":          {`{}`, envelope("com.example", `{}`), envelope("aws.scheduler", `{"reason":"x"}`)},
		"repeats the field": {`{"identifier":5,"identifier":5}`, `{"` + long + `":1,"` + long + `":2}`, spoilt(`"version"`, `"detail":{},"version"`), spoilt(`"version"`, `"\u0073ource":"x","version"`)},
		"unknown field": {
			`{"Identifier":5}`, `{"identifier":5,"force":true}`, `{"identifier":5,"x\n\u202e":true}`, `{"identifier":5,"` + long + `":1}`, `{"replay-name":"r","identifier":5}`,
			envelope("com.example", `{"Identifier":5}`), envelope("com.example", `{"identifier":5,"REASON":"x"}`),
			spoilt("detail-type", "Detail-Type"), spoilt(`"source"`, `"Source"`), spoilt(`"detail"`, `"Detail"`), spoilt(`"detail-type":"Some Event",`, ``), spoilt(`"source":"com.example",`, ``),
			`{"detail-type":"x","source":"aws.events"}`, `{"Records":[{"EventSource":"aws:sns","Sns":{"Message":"{\"identifier\":5}"}}]}`,
		},
		"check":           {`{"check":true,"identifier":5}`, `{"check":"true"}`, `{"check":null}`, `{"check":false}`},
		"action":          {`{"identifier":5,"action":"delete"}`, envelope("com.example", `{"identifier":5,"action":"Disable"}`)},
		"reason":          {`{"identifier":5,"reason":5}`, `{"identifier":5,"reason":"` + long + `"}`, envelope("com.example", `{"identifier":5,"reason":{"text":"x"}}`)},
		"more than 10000": {`{"identifiers":[` + strings.Repeat("5,", 10_000) + `5]}`, envelope("com.example", `{"identifiers":[`+strings.Repeat("5,", 10_000)+`5]}`)},
		"detail: ": slices.Concat(
			envelopes("com.example", `"{}"`, `"{\"identifier\":5}"`, `null`, `[5]`, `{"identifiers":["05"]}`, `{"identifier":5,"x":1,"x":2}`),
			envelopes("aws.scheduler", `"{\"identifier\":5}"`, `null`, `""`, `[]`, `"[]"`, `"{} {}"`, `["{}"]`, `{"action":"disable"}`),
			[]string{envelope("aws.ec2", `{}`), envelope("aws.event", `"{}"`), envelope("aws.events.x", `{}`), envelope(" aws.events", `{}`), envelope("AWS.EVENTS", `{}`)},
		),
		"its source is not a string": {spoilt(`"com.example"`, `5`), spoilt(`"com.example"`, `null`)},
		"is replayed": {
			replayed("com.example", `{"identifier":5}`), replayed("aws.events", `{}`), replayed("aws.scheduler", `{"check":true}`), spoilt(`"version"`, `"replay-name":null,"version"`),
		},
		"asks for nothing": {
			envelope(event.OwnSource, `{"id":"w","state":"closed","identifiers":["5"]}`), envelope(event.OwnSource, `{"check":true}`),
			destination("Success", `{"requestPayload":{"identifier":5},"responsePayload":{"outcome":"succeeded"},"identifier":5}`), destination("Failure", `{"identifier":5}`),
		},
	} {
		for _, payload := range payloads {
			w.Log.Reset()

			got := w.invoke(t, payload)

			if got.kind != event.InvalidRequest || !strings.Contains(got.text, says) || len(got.text) > 1000 || strings.ContainsFunc(got.text, func(r rune) bool { return r < ' ' || r > '~' }) {
				t.Errorf("%.100s: got %+v, want Segura.InvalidRequest with %q, short and in ASCII", payload, got, says)
			}
			if log := w.Log.String(); strings.Count(log, "\n") != 1 || !strings.Contains(log, event.InvalidRequest) {
				t.Errorf("%.100s: got the log %s", payload, log)
			}
		}
	}
	w.door.Defaults = nil
	if got := w.invoke(t, envelope("aws.events", `{}`)); got.kind != event.InvalidRequest || !strings.Contains(got.text, "SEGURA_DEFAULT_IDENTIFIERS") {
		t.Errorf("a bare schedule without defaults: got %+v", got)
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
	for _, name := range []string{"rest-one", "rest-batch", "http-api-one", "http-api-batch", "function-url"} {
		if got := w.invoke(t, sample(t, name)); got.kind != event.InvalidRequest {
			t.Errorf("%s: got %+v, want Segura.InvalidRequest", name, got)
		}
	}
	if got := w.Count(""); got != 0 {
		t.Errorf("got %d requests", got)
	}
}

func TestInvoke_hearsAllowedSourcesOnly(t *testing.T) {
	w := newWorld(t, seguratest.Options{})
	w.door.Defaults = []apisecret.Identifier{6}
	w.door.AllowedSources = []string{"aws.scheduler", "com.example.change"}
	for want, payloads := range map[string][]string{
		"": {`{"identifier":6}`, envelope("com.example.change", `{"identifier":6}`), envelope("aws.scheduler", `{}`), envelope(`com.example.ch\u0061nge`, `{"identifier":"6"}`)},
		event.InvalidRequest: slices.Concat(
			envelopes("com.example", `{"identifier":5}`, `{"check":true}`), envelopes("com.example.change.other", `{"identifier":5}`), envelopes("COM.example.change", `{"identifier":5}`),
			envelopes(" com.example.change", `{"identifiers":[5,6]}`), envelopes(`com.example.change\u0000`, `{"identifier":5}`), envelopes("", `{"identifier":5}`), envelopes("*", `{"identifier":5}`),
			envelopes(",", `{"identifier":5,"action":"disable"}`), envelopes("aws.events", `{}`), envelopes("aws.scheduler ", `"{}"`), envelopes("aws.scheduler, com.example.change", `{}`),
		),
	} {
		for _, payload := range payloads {
			got := w.invoke(t, payload)

			if got.kind != want || want != "" && !strings.Contains(got.text, "SEGURA_ALLOWED_EVENT_SOURCES") {
				t.Errorf("%s: got %+v, want the error %q", payload, got, want)
			}
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
		{`{"identifiers":[7,100]}`, seguratest.CutShort(), event.TransientError, apisecret.Failed},
		{`{"identifier":100}`, seguratest.TokenRefused(seguratest.RefusedInactive), event.PermanentError, apisecret.Failed},
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

// some is a request for so many identifiers, of 19 digits each.
func some(count int) string {
	var list []string
	for i := range count {
		list = append(list, strconv.Itoa(1_000_000_000_000_000_000+i))
	}
	return `{"identifiers":[` + strings.Join(list, ",") + `]}`
}

func TestInvoke_boundsWhatItPosts(t *testing.T) {
	const perItem = len(`{"identifier":1000000000000000000,"outcome":"enabled","attempts":1},`)
	most := 200 << 10 / perItem * 99 / 100 // all but what is around the results
	for count, omitted := range map[int]int{most: 0, 200<<10/perItem + 1: 200<<10/perItem + 1} {
		w := newWorld(t, seguratest.Options{AnyIdentifier: true})
		w.door.Runner.Concurrency = 16

		got := w.invoke(t, some(count))

		d := got.document(t)
		if got.kind != "" || len(got.text) > 200<<10 || d.Requested != count || d.Omitted.Succeeded != omitted || len(d.Results) != count-omitted {
			t.Errorf("%d successes: got %q of %d bytes, %d omitted, %d kept; want %d omitted", count, got.kind, len(got.text), d.Omitted.Succeeded, len(d.Results), omitted)
		}
	}
	w := newWorld(t, seguratest.Options{})
	w.door.Runner.Allowed, _ = apisecret.ParseSet("1")

	failed := w.invoke(t, some(10_000))

	posted, err := json.Marshal(messages.InvokeResponse_Error{Type: failed.kind, Message: failed.text}) // as the runtime library does it
	if err != nil || failed.kind != event.PermanentError || len(posted) > 30<<10 || len(posted) < 29<<10 {
		t.Errorf("all failed: got %s of %d bytes, want 29 to 30 KiB", failed.kind, len(posted))
	}
	if d := failed.document(t); d.Requested != 10_000 || d.Failed != 10_000 || d.Omitted.Failed+len(d.Results) != 10_000 || d.Omitted.Succeeded != 0 {
		t.Errorf("all failed: got %d requested, %d failed, %d omitted, %d kept", d.Requested, d.Failed, d.Omitted.Failed, len(d.Results))
	}
	if got := strings.Count(w.Audit.String(), `"message":"audit"`); got != 10_000 {
		t.Errorf("got %d audit lines, want one for each", got)
	}
}

func TestInvoke_checksItselfAndWhatTheAccessKeyMayDo(t *testing.T) {
	for _, row := range []struct {
		payload, clientSecret string // empty: Segura's
		kind, says            string
	}{
		{`{"check":true}`, "", "", `"check":"passed"`},
		{envelope("com.example", `{"check":true,"more":1}`), "", "", `"check":"passed"`},
		{`{"check":true,"identifiers":[5,7]}`, "", "", `"identifiers":[{"identifier":5,"access":"edit"},{"identifier":7,"access":"not_listed"}]`},
		{`{"check":true,"identifiers":[5,8]}`, "", event.CheckFailed, `"identifiers":[{"identifier":5,"access":"edit"},{"identifier":8,"access":"read_only"}]`},
		{`{"check":true}`, "another", event.CheckFailed, `"code":"authentication_failed"`},
	} {
		w := newWorld(t, seguratest.Options{})
		if row.clientSecret != "" {
			w.RotateClientSecret(row.clientSecret)
		}

		got := w.invoke(t, row.payload)

		if got.kind != row.kind || !strings.Contains(got.text, row.says) || strings.Contains(w.Calls(), "enable/") || w.Count(seguratest.KindHead) != 1 {
			t.Errorf("%+v: got %s %s, the calls %s and %d requests", row, got.kind, got.text, w.Calls(), w.Count(""))
		}
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
	const rule = `["arn:aws:events:eu-west-1:1:rule/x"]` // the resources of an envelope
	scheduled := strings.Replace(sample(t, "scheduler-default-payload"), `"{}"`, `{"identifier":5}`, 1)
	byRule := envelope("aws.events", `{"identifier":5}`)
	for _, row := range []struct {
		payload                               string
		caller, source, id, reason, execution any
	}{
		{scheduled, "arn:aws:scheduler:eu-west-1:123456789012:schedule/default/segura-enable-every-morning", "aws.scheduler", "49672d39-8c3a-4cc6-8de5-c57b0acf718f", nil, nil},
		{byRule, "arn:aws:events:eu-west-1:1:rule/x", "aws.events", "event-id", nil, nil},
		{envelope("com.example", `{"identifier":5}`), nil, "com.example", "event-id", nil, nil}, // whose resources prove nothing
		{strings.Replace(byRule, rule, `null`, 1), nil, "aws.events", "event-id", nil, nil},
		{strings.Replace(byRule, rule, `{"a":1}`, 1), nil, "aws.events", "event-id", nil, nil},
		{strings.Replace(byRule, rule, `["x"]`, 1), nil, "aws.events", "event-id", nil, nil},
		{`{"identifier":5,"reason":"CHG"}`, nil, nil, nil, "CHG", nil},
		{batch(`{"identifier":"5"}`, `{"action":"enable","reason":"CHG","execution":"arn:x"}`), nil, nil, nil, "CHG", "arn:x"},
	} {
		w := newWorld(t, seguratest.Options{})

		w.invoke(t, row.payload)

		line, err := w.Audited()
		for key, want := range map[string]any{
			"source": "event", "requestId": requestID, "identifier": 5.0,
			"caller": row.caller, "event_source": row.source, "event_id": row.id, "reason": row.reason, "execution": row.execution,
		} {
			if got := line[key]; err != nil || got != want {
				t.Errorf("%s: %s: got %v and %v, want %v", row.payload, key, got, err, want)
			}
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
	for _, name := range []string{"eventbridge-custom", "scheduler-default-payload", "direct-many"} {
		if err := activationtest.Misshape(sample(f, name), func(payload string) { f.Add([]byte(payload)) }, nil, 77, []any{nil}, "{}"); err != nil {
			f.Fatal(err)
		}
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		w.Reset()
		w.Audit.Reset()
		w.Log.Reset()
		ctx := lambdacontext.NewContext(t.Context(), &lambdacontext.LambdaContext{AwsRequestID: requestID})

		reply, err := w.door.Invoke(ctx, payload)

		text, succeeded := string(reply), err == nil
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
		d := answer{text: text}.document(t)
		told := map[int64]apisecret.Outcome{}
		for _, one := range d.Results {
			told[one.Identifier] = one.Outcome
		}
		failed := slices.Contains(slices.Collect(maps.Values(told)), apisecret.Failed)
		if err := w.Honest(told); err != nil || succeeded && (failed || d.Requested != len(told) || d.Check != "passed" && len(told) == 0) {
			t.Fatalf("%q: got %s: %v", payload, text, err)
		}
	})
}
