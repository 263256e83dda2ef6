package event_test

import (
	"strings"
	"testing"

	"segura-enable/internal/event"
	"segura-enable/simulated/seguratest"
)

// batch is what a Distributed Map sends.
func batch(rows, input string) string { return `{"Items":[` + rows + `],"BatchInput":` + input + `}` }

func TestInvoke_servesABatchOfADistributedMap(t *testing.T) {
	for _, row := range []struct{ payload, calls string }{
		{batch(`{"identifier":"5"}`, `{"action":"enable","reason":"CHG","execution":"arn"}`), "enable/5"},
		{batch(`{"identifier":"5"},{"identifier":5},{"identifier":"5","owner":"x"}`, `{}`), "enable/5"},
		{batch(`{"identifier":6}`, `{"action":"disable"}`), "disable/6"},
		{batch(`{"owner":[1,{"identifier":7}],"identifier":"5","":null,"Identifier":"8"}`, `{}`), "enable/5"},
		{`{"BatchInput":{"action":"disable"},"Items":[{"identifier":"6"}]}`, "disable/6"},
		{`{"Items":[{"identifier":"5"}]}`, "enable/5"},
		{batch(`{"identifier":9007199254740991}`, `{}`), "enable/9007199254740991"},
		{batch(`{"identifier":"9007199254740993"}`, `{}`), "enable/9007199254740993"},
		{batch(strings.Repeat(`{"identifier":"5"},`, 9_999)+`{"identifier":"5"}`, `{}`), "enable/5"},
	} {
		w := newWorld(t, seguratest.Options{AnyIdentifier: true})

		got := w.invoke(t, row.payload)

		if got.kind != "" || w.Calls() != row.calls || got.document(t).Requested != 1 {
			t.Errorf("%.150s: got %+v after %s, want %s", row.payload, got, w.Calls(), row.calls)
		}
	}
}

func TestInvoke_refusesABatchAsAWhole(t *testing.T) {
	const inRow2 = "row 2 of the batch, Items[1]: "
	w := newWorld(t, seguratest.Options{AnyIdentifier: true})
	for _, row := range []struct{ payload, says string }{
		{second(`{}`), inRow2 + "it has no column identifier"},
		{second(`{"Identifier":"6"}`), inRow2 + "it has no column identifier"},
		{second("{\"\ufeffidentifier\":\"6\"}"), inRow2 + "it has no column identifier"},
		{second(`{"identifier":"6","identifier":"7"}`), inRow2 + `it repeats the field "identifier"`},
		{second(`{"identifier":"6","x":1,"x":2}`), inRow2 + `it repeats the field "x"`},
		{second(`{"identifier":9007199254740992}`), inRow2 + "identifier is a number above 9007199254740991"},
		{second(`{"identifier":9.007199254740993E15}`), inRow2 + "identifier is not a positive integer"},
		{second(`{"identifier":[6,7]}`), inRow2 + "identifier is not a positive integer"},
		{second(`{"identifier":" 6"}`), inRow2 + "identifier is not a positive integer"},
		{second(`{"identifier":null}`), inRow2 + "identifier is not a positive integer"},
		{second(`"6"`), inRow2 + "it is not a JSON object"},
		{second(`[{"identifier":"6"}]`), inRow2 + "it is not a JSON object"},
		{batch(``, `{}`), "field Items is empty"},
		{`{"Items":null}`, "field Items is not an array"},
		{`{"Items":{"identifier":"5"}}`, "field Items is not an array"},
		{`{"Items":[{"identifier":"5"}],"Items":[{"identifier":"6"}]}`, `"Items"`},
		{batch(strings.Repeat(`{"identifier":"5"},`, 10_000)+`{"identifier":"5"}`, `{}`), "more than 10000 rows"},
		{`{"Items":[{"identifier":"5"}],"batchInput":{}}`, `unknown field "batchInput"`},
		{`{"Items":[{"identifier":"5"}],"identifiers":[5]}`, `unknown field "identifiers"`},
		{`{"Items":[{"identifier":"5"}],"action":"disable"}`, `unknown field "action"`},
		{`{"items":[{"identifier":"5"}]}`, `unknown field "items"`},
		{`{"BatchInput":{"action":"enable"}}`, `unknown field "BatchInput"`},
		{batch(`{"identifier":"5"}`, `null`), "BatchInput: it is not a JSON object"},
		{batch(`{"identifier":"5"}`, `{"identifiers":[6]}`), `BatchInput: unknown field "identifiers"`},
		{batch(`{"identifier":"5"}`, `{"check":true}`), `BatchInput: unknown field "check"`},
		{batch(`{"identifier":"5"}`, `{"Action":"disable"}`), `BatchInput: unknown field "Action"`},
		{batch(`{"identifier":"5"}`, `{"action":"disable","action":"enable"}`), `BatchInput: it repeats the field "action"`},
		{batch(`{"identifier":"5"}`, `{"action":"delete"}`), "BatchInput: action is neither"},
		{batch(`{"identifier":"5"}`, `{"execution":"`+strings.Repeat("x", 257)+`"}`), "BatchInput: execution has 257 characters"},
		{envelope("com.example", batch(`{"identifier":"5"}`, `{}`)), "detail: one of identifier and identifiers is required"},
		{`{"identifier":5,"execution":"arn"}`, `unknown field "execution"`},
	} {
		got := w.invoke(t, row.payload)

		if got.kind != event.InvalidRequest || !strings.Contains(got.text, row.says) {
			t.Errorf("%.150s: got %+v, want Segura.InvalidRequest with %q", row.payload, got, row.says)
		}
	}
	if got := w.Count(""); got != 0 {
		t.Errorf("got %d requests, want none", got)
	}
}

// second is a batch whose second row is this one.
func second(row string) string { return batch(`{"identifier":"5"},`+row+`,{"identifier":"8"}`, `{}`) }
