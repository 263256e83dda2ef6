package acceptance

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"segura-enable/simulated/seguratest"
)

func TestEventFunction_answersWithTheResultWhereAllSucceeded(t *testing.T) {
	t.Parallel()
	w := start(t, setup{segura: anyIdentifier})
	for _, payload := range []string{
		`{"identifiers":[5,"6"],"reason":"CHG0012345"}`, eventBridge("com.example", `{"identifiers":[5,6]}`),
		string(sample(t, "eventbridge-custom.json")),
	} {
		inv := w.invoke(payload)
		if inv.FunctionError || inv.result.Outcome != "succeeded" || inv.result.Requested != 2 || inv.result.Failed != 0 {
			t.Errorf("%s: got %s %s, want the result document with both", payload, inv.ErrorType, inv.text)
		}
	}
	inv := w.invoke(string(sample(t, "step-functions.json")))
	if got := identifiers(inv.result.Results); inv.FunctionError || !slices.Equal(got, []int64{100, 6}) {
		t.Errorf("Step Functions: got %s %s, want 100 and 6", inv.ErrorType, inv.text)
	}
}

// Where any identifier failed, a function error tells the machinery around the
// function, with the type that says whether trying again may help.
func TestEventFunction_endsInAFunctionErrorIfAnyIdentifierFailed(t *testing.T) {
	t.Parallel()
	w := start(t, setup{segura: anyIdentifier, env: map[string]string{
		"SEGURA_MAX_ATTEMPTS": "1", "SEGURA_ATTEMPT_TIMEOUT": "4s", "SEGURA_ALLOWED_IDENTIFIERS": "1-999", "SEGURA_MAX_CONCURRENCY": "1",
	}})
	for _, row := range failures {
		want := "Segura.PermanentError"
		if row.retryable {
			want = "Segura.TransientError"
		}
		for _, others := range [][]int64{nil, {9, 10}} {
			if row.name == "429 with a hint" && others != nil {
				continue // it holds back the others for a while
			}
			w.segura.Reset()
			if row.fault != nil {
				w.segura.Fail(seguratest.Match{Identifier: row.identifier}, *row.fault, 1)
			}
			inv := w.enable(append([]int64{row.identifier}, others...)...)
			if inv.ErrorType != want || !inv.FunctionError {
				t.Errorf("%s beside %v: got errorType %q, want %s", row.name, others, inv.ErrorType, want)
			}
			first := inv.result.Results[0]
			if first.Error == nil || first.Error.Code != row.code || first.Error.Retryable != row.retryable || first.Error.SeguraCode != row.seguraCode {
				t.Errorf("%s beside %v: got %+v, want %s", row.name, others, first.Error, row.code)
			}
			if inv.result.Failed != 1 || inv.result.Requested != len(others)+1 {
				t.Errorf("%s beside %v: got %s; want the others tried and enabled all the same", row.name, others, inv.text)
			}
		}
	}
}

func TestEventFunction_aSingleRetryableFailureMakesTheErrorTransient(t *testing.T) {
	t.Parallel()
	w := start(t, setup{segura: anyIdentifier, env: map[string]string{"SEGURA_MAX_ATTEMPTS": "1", "SEGURA_ALLOWED_IDENTIFIERS": "1-999"}})
	for _, row := range []struct {
		identifiers []int64
		want        string
	}{
		{[]int64{7, 8, 1000}, "Segura.PermanentError"}, {[]int64{7, 8, 1000, 9}, "Segura.PermanentError"}, {[]int64{100}, "Segura.TransientError"},
		{[]int64{7, 8, 1000, 100}, "Segura.TransientError"}, {[]int64{100, 7, 9}, "Segura.TransientError"},
	} {
		w.segura.Reset()
		w.segura.Fail(seguratest.Match{Identifier: 100}, seguratest.Unexpected500(), -1)
		if inv := w.enable(row.identifiers...); inv.ErrorType != row.want {
			t.Errorf("%v: got errorType %q, want %s", row.identifiers, inv.ErrorType, row.want)
		}
	}
}

func TestEventFunction_theErrorMessageIsTheResultDocument(t *testing.T) {
	t.Parallel()
	w := start(t, setup{segura: anyIdentifier})
	inv := w.invoke(`{"identifiers":[5,6,7]}`)
	var document struct{ ErrorType, ErrorMessage *string }
	if err := json.Unmarshal(inv.Payload, &document); err != nil || document.ErrorType == nil || document.ErrorMessage == nil {
		t.Fatalf("the error %s has not errorType and errorMessage: %v", inv.Payload, err)
	}
	message := inv.result.Results[2].Error.Message
	want := `{"outcome":"partially_succeeded","requested":3,"enabled":1,"already_enabled":1,"failed":1,"failed_by_code":{"not_found":1},"results":[` +
		`{"identifier":5,"outcome":"enabled","attempts":1},{"identifier":6,"outcome":"already_enabled","attempts":1},` +
		`{"identifier":7,"outcome":"failed","attempts":1,"error":{"code":"not_found","message":` + quoted(message) +
		`,"retryable":false,"segura_code":1005,"http_status":400,"upstream_request_id":` + quoted(inv.result.Results[2].Error.UpstreamRequestID) + `}}]}`
	if !sameJSON(t, *document.ErrorMessage, want) || inv.result.Results[2].Error.UpstreamRequestID == "" {
		t.Errorf("got errorMessage\n%s, want\n%s", *document.ErrorMessage, want)
	}
}

func TestEventFunction_allIdentifiersAreTriedWhateverFailsFirst(t *testing.T) {
	t.Parallel()
	w := start(t, setup{segura: anyIdentifier, env: map[string]string{
		"SEGURA_MAX_ATTEMPTS": "1", "SEGURA_ALLOWED_IDENTIFIERS": "1-999",
	}})
	asked := []int64{1000, 7, 8, 100, 101, 102, 103, 104, 9, 10, 1001, 11}
	w.segura.Fail(seguratest.Match{Identifier: 100}, seguratest.Unexpected500(), -1)
	w.segura.Fail(seguratest.Match{Identifier: 101}, seguratest.Gateway429(), -1)
	w.segura.Fail(seguratest.Match{Identifier: 102}, seguratest.HTML(200), -1)
	w.segura.Fail(seguratest.Match{Identifier: 103}, seguratest.CutShort(), -1)
	w.segura.Fail(seguratest.Match{Identifier: 104}, seguratest.Gateway504(), -1)
	inv := w.enable(asked...)
	var got []string
	for _, i := range inv.result.Results {
		code := ""
		if i.Error != nil {
			code = " " + i.Error.Code
		}
		got = append(got, fmt.Sprintf("%d %s%s", i.Identifier, i.Outcome, code))
	}
	want := []string{
		"1000 failed not_allowed", "7 failed not_found", "8 failed access_denied", "100 failed upstream_error", "101 failed rate_limited",
		"102 failed unexpected_response", "103 failed upstream_invalid_response", "104 failed upstream_timeout",
		"9 enabled", "10 enabled", "1001 failed not_allowed", "11 enabled",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if want := "partially_succeeded"; inv.result.Outcome != want {
		t.Errorf("got outcome %s, want %s", inv.result.Outcome, want)
	}
}

func TestEventFunction_aRequestThatCannotBeUnderstoodIsInvalidRequest(t *testing.T) {
	t.Parallel()
	w := start(t, setup{segura: anyIdentifier})
	inv := w.refuses(t, "an unknown field", `{"identifier":5,"dry_run":true}`)
	if !strings.Contains(inv.ErrorMessage, "dry_run") {
		t.Errorf("got the message %q, want one that names the field", inv.ErrorMessage)
	}
	long := strings.Repeat("x", 100_000)
	for _, payload := range []string{`{"identifier":5,"` + long + `":1}`, `{"identifier":5,"reason":"` + long + `"}`, `{"identifier":"` + long + `"}`,
		`{"` + long + `":1,"` + long + `":2}`, eventBridge(long, `{"identifier":"x"}`), strings.Repeat("{", 100_000)} {
		if inv := w.refuses(t, "something long", payload); len(inv.Payload) > 30<<10 {
			t.Errorf("%.100s…: the function error has %d bytes", payload, len(inv.Payload))
		}
	}
	for _, name := range []string{"x\n", "x\x1b[31m", "\"},{\"", "\u2028", "\u202e", "<script>", `\`} {
		inv := w.refuses(t, "a strange field name", `{"identifier":5,`+quoted(name)+`:1}`)
		if strings.ContainsFunc(inv.ErrorMessage, func(r rune) bool { return r < ' ' || r == 0x2028 || r == 0x202e }) {
			t.Errorf("field %q: the message %q has it as it is", name, inv.ErrorMessage)
		}
	}
}

// A self-check is not a request, and a request is no self-check.
func TestEventFunction_checkStandsAlone(t *testing.T) {
	t.Parallel()
	w := start(t, setup{segura: anyIdentifier})
	for _, payload := range []string{
		`{"check":true,"identifier":5}`, `{"check":true,"identifiers":[5]}`, `{"check":true,"action":"disable","identifier":5}`,
		`{"check":false,"identifier":5}`, `{"check":"true"}`, `{"check":1}`, `{"check":null}`, `{"check":{}}`,
	} {
		w.segura.Reset()
		if inv := w.raw([]byte(payload)); inv.ErrorType != "Segura.InvalidRequest" {
			t.Errorf("%s: got %q %s, want Segura.InvalidRequest", payload, inv.ErrorType, inv.Payload)
		}
		if calls := w.sent(); len(calls) != 0 {
			t.Errorf("%s: Segura got %v, want nothing", payload, calls)
		}
	}
}

func TestEventFunction_endsInOneOfItsErrorsWhateverBytesAreSent(t *testing.T) {
	t.Parallel()
	w := start(t, setup{segura: anyIdentifier, env: map[string]string{"SEGURA_DEFAULT_IDENTIFIERS": "9"}})
	everything := [][]byte{
		[]byte(strings.Repeat("[", 100_000)), []byte(strings.Repeat(`{"a":`, 100_000)), []byte(strings.Repeat(" ", 6_000_000)),
		[]byte(`{"identifiers":[` + strings.Repeat("5,", 2_000_000) + `5]}`), []byte(`{"reason":"` + strings.Repeat("x", 6_000_000) + `"}`),
		[]byte(`{"detail-type":"x","source":"aws.events","detail":` + strings.Repeat("[", 9000) + strings.Repeat("]", 9000) + `}`),
	}
	random := rand.New(rand.NewPCG(3, 4))
	for range 60 {
		garbage := make([]byte, random.IntN(300))
		for i := range garbage {
			garbage[i] = byte(random.UintN(256))
		}
		everything = append(everything, garbage)
	}
	whole := sample(t, "scheduler-default-payload.json")
	for at := 0; at < len(whole)-1; at += 29 {
		everything = append(everything, whole[:at])
	}
	for _, payload := range everything {
		w.refuses(t, "garbage", string(payload))
	}
}

func TestEventFunction_neverEnablesWhatAnEventOfAnotherShapeDoesNotAskFor(t *testing.T) {
	t.Parallel()
	w := start(t, setup{segura: anyIdentifier, env: map[string]string{"SEGURA_DEFAULT_IDENTIFIERS": "9"}})
	replacements := []any{nil, 77, []any{nil}, "{}"}
	for _, name := range []string{"eventbridge-custom.json", "scheduler-default-payload.json", "direct-many.json"} {
		e := sampleEvent(t, name)
		mutate(e, replacements, func() {
			inv := w.raw([]byte(encoded(t, e)))
			if inv.FunctionError && !strings.HasPrefix(inv.ErrorType, "Segura.") {
				t.Errorf("%s: got %s", encoded(t, e), inv.Payload)
			}
		})
	}
	for _, call := range w.sent() {
		if !slices.Contains([]string{"enable 5", "enable 6", "enable 7", "enable 8", "enable 9"}, call) {
			t.Errorf("Segura got %s, which no sample asks for", call)
		}
	}
}
