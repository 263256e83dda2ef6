package apisecret_test

import (
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"segura-enable/internal/apisecret"
)

func plain(text []byte) int { return len(text) }

// inJSONString measures a text escaped into a JSON string, as a function error
// carries it.
func inJSONString(text []byte) int {
	quoted, _ := json.Marshal(string(text))
	return len(quoted) - len(`""`)
}

func item(i apisecret.Identifier, outcome apisecret.Outcome) apisecret.Item {
	return apisecret.Item{Identifier: i, Outcome: outcome, Attempts: 1}
}

func failed(i apisecret.Identifier, code apisecret.Code, message string) apisecret.Item {
	return apisecret.Item{Identifier: i, Outcome: apisecret.Failed, Attempts: 2, Error: apisecret.NewError(code, message)}
}

func TestDocument_isWordedAsPromised(t *testing.T) {
	notFound := failed(7, apisecret.NotFound, "No such <API secret>.")
	notFound.Error.SeguraCode, notFound.Error.HTTPStatus, notFound.Error.UpstreamRequestID = 1005, 400, "abc"
	notFound.Error.UpstreamMessage, notFound.Error.RetryAfter = "not for the caller", 1
	for _, row := range []struct {
		action apisecret.Action
		items  []apisecret.Item
		want   string
	}{
		{
			apisecret.Enable, []apisecret.Item{item(5, apisecret.Enabled), item(6, apisecret.AlreadyEnabled), notFound},
			`{"outcome":"partially_succeeded","requested":3,"enabled":1,"already_enabled":1,"failed":1,"failed_by_code":{"not_found":1},"results":[` +
				`{"identifier":5,"outcome":"enabled","attempts":1},{"identifier":6,"outcome":"already_enabled","attempts":1},` +
				`{"identifier":7,"outcome":"failed","attempts":2,"error":{"code":"not_found","message":"No such <API secret>.","retryable":false,"segura_code":1005,"http_status":400,"upstream_request_id":"abc"}}]}`,
		},
		{
			apisecret.Disable, []apisecret.Item{item(9, apisecret.AlreadyDisabled), item(8, apisecret.Disabled), item(7, apisecret.Disabled)},
			`{"outcome":"succeeded","requested":3,"disabled":2,"already_disabled":1,"failed":0,"results":[` +
				`{"identifier":9,"outcome":"already_disabled","attempts":1},{"identifier":8,"outcome":"disabled","attempts":1},{"identifier":7,"outcome":"disabled","attempts":1}]}`,
		},
		{
			apisecret.Enable, []apisecret.Item{failed(apisecret.MaxIdentifier, apisecret.UpstreamTimeout, "Late.")},
			`{"outcome":"failed","requested":1,"enabled":0,"already_enabled":0,"failed":1,"failed_by_code":{"upstream_timeout":1},"results":[` +
				`{"identifier":9223372036854775807,"outcome":"failed","attempts":2,"error":{"code":"upstream_timeout","message":"Late.","retryable":true}}]}`,
		},
	} {
		if got := string(apisecret.Result{Action: row.action, Items: row.items}.Document(1<<20, plain)); got != row.want {
			t.Errorf("got:\n%s\nwant:\n%s", got, row.want)
		}
	}
}

func TestRetryable_ifAnyFailureIs(t *testing.T) {
	lasting, passing, none := failed(1, apisecret.NotFound, ""), failed(2, apisecret.RateLimited, ""), item(3, apisecret.Enabled)
	for want, items := range map[bool][]apisecret.Item{false: {none, lasting}, true: {lasting, passing, none}} {
		if got := (apisecret.Result{Items: items}).Retryable(); got != want {
			t.Errorf("%v: got %t, want %t", items, got, want)
		}
	}
}

// posted is a document as its reader sees it.
type posted struct {
	Outcome         apisecret.Outcome
	Requested       int
	Enabled         *int
	AlreadyEnabled  *int `json:"already_enabled"`
	Disabled        *int
	AlreadyDisabled *int `json:"already_disabled"`
	Failed          int
	FailedByCode    map[apisecret.Code]int `json:"failed_by_code"`
	Omitted         *struct{ Succeeded, Failed int }
	Results         []json.RawMessage
}

func parse(t *testing.T, text []byte) (p posted) {
	t.Helper()
	if err := json.Unmarshal(text, &p); err != nil {
		t.Fatalf("not JSON: %v\n%s", err, text)
	}
	return p
}

// random makes a result of n items, with messages that are hard to escape.
func random(r *rand.Rand, n int) apisecret.Result {
	codes := []apisecret.Code{apisecret.NotFound, apisecret.UpstreamTimeout, apisecret.UpstreamError, apisecret.InternalError}
	texts := []string{"plain", `"quoted" \ and \\ more`, "<html>&</html>", "\u2028 line\n\t\x01\x7f", "ção 😀", ""}
	result := apisecret.Result{Action: []apisecret.Action{apisecret.Enable, apisecret.Disable}[r.IntN(2)]}
	failures := r.IntN(5) // of four
	for at := range n {
		next := item(apisecret.Identifier(at+1), []apisecret.Outcome{result.Action.Changed(), result.Action.Unchanged()}[r.IntN(2)])
		if r.IntN(4) < failures {
			next = failed(next.Identifier, codes[r.IntN(len(codes))], strings.Repeat(texts[r.IntN(len(texts))], r.IntN(20)))
		}
		result.Items = append(result.Items, next)
	}
	return result
}

// Where not all items fit, a document has as many of the first failures as do, says
// how many items it lacks, and counts all the same.
func TestDocument_fillsItsLimitAndNoMore(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for n := range 240 {
		measure := []func([]byte) int{plain, inJSONString}[n%2]
		result := random(r, 1+r.IntN(80))
		whole := result.Document(1<<30, plain)
		limit := []int{600 + r.IntN(12_000), measure(whole), measure(whole) - 1}[n%3]
		want := parse(t, whole)
		var failures []json.RawMessage
		for at, text := range want.Results {
			if result.Items[at].Outcome == apisecret.Failed {
				failures = append(failures, text)
			}
		}

		text := result.Document(limit, measure)

		got := parse(t, text)
		if measure(whole) > limit {
			kept := min(len(got.Results), len(failures))
			want.Results = append([]json.RawMessage{}, failures[:kept]...)
			want.Omitted = &struct{ Succeeded, Failed int }{len(result.Items) - len(failures), len(failures) - kept}
			const slack = 8 // a comma, and digits of the count of the omitted
			if kept < len(failures) && measure(text)+measure(failures[kept])+slack <= limit {
				t.Errorf("%d bytes of %d, and one more failure would have fitted: %s", measure(text), limit, text)
			}
		}
		if !reflect.DeepEqual(got, want) || measure(text) > limit {
			t.Errorf("got %d bytes of %d: %s, want %+v", measure(text), limit, text, want)
		}
	}
}

func TestNewError_knowsEachCode(t *testing.T) {
	type known struct{ retryable, hasSentence bool } // a code without one has several causes
	for code, want := range map[apisecret.Code]known{
		apisecret.NotAllowed:              {false, true},
		apisecret.NotFound:                {false, true},
		apisecret.AccessDenied:            {false, true},
		apisecret.CredentialsUnavailable:  {false, false},
		apisecret.AuthenticationFailed:    {false, true},
		apisecret.RateLimited:             {true, true},
		apisecret.UpstreamError:           {true, true},
		apisecret.UpstreamInvalidResponse: {true, true},
		apisecret.UpstreamTimeout:         {true, true},
		apisecret.UpstreamUnreachable:     {true, false},
		apisecret.UnexpectedResponse:      {false, true},
		apisecret.DeadlineExceeded:        {true, true},
		apisecret.InternalError:           {false, true},
		apisecret.WindowsUnavailable:      {true, false},
		"a_code_nobody_listed":            {false, false},
	} {
		e := apisecret.NewError(code, "message")
		if got := (known{e.Retryable, apisecret.NewError(code, "").Message != ""}); got != want || e.Code != code || e.Error() != string(code)+": message" {
			t.Errorf("%s: got %+v of %+v, want %+v", code, got, e, want)
		}
	}
}
