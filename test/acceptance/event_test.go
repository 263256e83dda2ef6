package acceptance

import (
	"encoding/json"
	"strings"
	"testing"

	"segura-enable/simulated/stage"
)

// Where any identifier failed, a function error tells the machinery around the
// function, with the type that says whether trying again may help; an audit line and
// a metric name the code.
func TestEventFunction_endsInAFunctionErrorIfAnyIdentifierFailed(t *testing.T) {
	t.Parallel()
	w := start(t, setup{segura: anyIdentifier, env: map[string]string{
		"SEGURA_MAX_ATTEMPTS": "1", "SEGURA_ATTEMPT_TIMEOUT": "4s", "SEGURA_ALLOWED_IDENTIFIERS": "1-999",
		"SEGURA_MAX_CONCURRENCY": "1", // a reset takes with it what else is on its connection
	}})
	for _, row := range failures {
		row.inject(w)

		inv := w.enable(9, row.identifier)

		want := "Segura.PermanentError"
		if row.retryable {
			want = "Segura.TransientError"
		}
		if inv.ErrorType != want || inv.result.Outcome != "partially_succeeded" || inv.result.Failed != 1 {
			t.Errorf("%s: got errorType %q, want %s: %s", row.name, inv.ErrorType, want, inv.text)
		}
		one := inv.result.Results[1]
		if one.Error == nil || one.Error.Code != row.code || one.Error.Retryable != row.retryable || one.Error.SeguraCode != row.seguraCode {
			t.Errorf("%s: got %+v, want %s", row.name, one.Error, row.code)
		}
		lines := auditOf(t, inv.Invocation)
		if l := lines[row.identifier]; len(lines) != 2 || l.Text("code") != row.code || l.Text("outcome") != "failed" {
			t.Errorf("%s: got the audit lines %v, want one for each, with the code", row.name, lines)
		}
		metrics := pick(parse(t, inv.Logs), stage.Line.IsMetric)
		if got := tally(t, metrics, "EventFunction"); len(metrics) != 2 || got["Failed Function"] != 1 || got["Failed Function+"+row.code] != 1 {
			t.Errorf("%s: got %d metric lines, %v; want one failure, and one of %s", row.name, len(metrics), got, row.code)
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
