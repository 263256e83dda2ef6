package apisecret_test

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
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
		result apisecret.Result
		want   string
	}{
		{
			apisecret.Result{Action: apisecret.Enable, Items: []apisecret.Item{item(5, apisecret.Enabled), item(6, apisecret.AlreadyEnabled), notFound}},
			`{"outcome":"partially_succeeded","requested":3,"enabled":1,"already_enabled":1,"failed":1,"failed_by_code":{"not_found":1},"results":[` +
				`{"identifier":5,"outcome":"enabled","attempts":1},{"identifier":6,"outcome":"already_enabled","attempts":1},` +
				`{"identifier":7,"outcome":"failed","attempts":2,"error":{"code":"not_found","message":"No such <API secret>.","retryable":false,"segura_code":1005,"http_status":400,"upstream_request_id":"abc"}}]}`,
		},
		{
			apisecret.Result{Action: apisecret.Disable, Items: []apisecret.Item{item(9, apisecret.AlreadyDisabled), item(8, apisecret.Disabled)}},
			`{"outcome":"succeeded","requested":2,"disabled":1,"already_disabled":1,"failed":0,"results":[` +
				`{"identifier":9,"outcome":"already_disabled","attempts":1},{"identifier":8,"outcome":"disabled","attempts":1}]}`,
		},
		{
			apisecret.Result{Action: apisecret.Enable, Items: []apisecret.Item{failed(apisecret.MaxIdentifier, apisecret.UpstreamTimeout, "Late.")}},
			`{"outcome":"failed","requested":1,"enabled":0,"already_enabled":0,"failed":1,"failed_by_code":{"upstream_timeout":1},"results":[` +
				`{"identifier":9223372036854775807,"outcome":"failed","attempts":2,"error":{"code":"upstream_timeout","message":"Late.","retryable":true}}]}`,
		},
	} {
		if got := string(row.result.Document(1<<20, plain)); got != row.want {
			t.Errorf("got:\n%s\nwant:\n%s", got, row.want)
		}
	}
}

func TestResult_countsAndJudges(t *testing.T) {
	for _, row := range []struct {
		name      string
		items     []apisecret.Item
		outcome   apisecret.Outcome
		retryable bool
		codes     string
	}{
		{"all succeeded", []apisecret.Item{item(1, apisecret.Enabled), item(2, apisecret.AlreadyEnabled)}, apisecret.Succeeded, false, "null"},
		{"some failed for good", []apisecret.Item{item(1, apisecret.Enabled), failed(2, apisecret.NotFound, "")}, apisecret.PartiallySucceeded, false, `{"not_found":1}`},
		{"one failure is transient", []apisecret.Item{failed(1, apisecret.NotFound, ""), failed(2, apisecret.RateLimited, ""), item(3, apisecret.Enabled)}, apisecret.PartiallySucceeded, true, `{"not_found":1,"rate_limited":1}`},
		{"all failed", []apisecret.Item{failed(1, apisecret.NotFound, ""), failed(2, apisecret.NotFound, "")}, apisecret.Failed, false, `{"not_found":2}`},
	} {
		result := apisecret.Result{Action: apisecret.Enable, Items: row.items}
		codes, _ := json.Marshal(result.FailedByCode())
		if result.Outcome() != row.outcome || result.Retryable() != row.retryable || string(codes) != row.codes {
			t.Errorf("%s: got %s, retryable %t, %s; want %s, %t, %s", row.name, result.Outcome(), result.Retryable(), codes, row.outcome, row.retryable, row.codes)
		}
	}
}

func TestNewError_knowsWhichCodesAnotherTryMayCure(t *testing.T) {
	for code, want := range map[apisecret.Code]bool{
		apisecret.NotAllowed:              false,
		apisecret.NotFound:                false,
		apisecret.AccessDenied:            false,
		apisecret.CredentialsUnavailable:  false,
		apisecret.AuthenticationFailed:    false,
		apisecret.RateLimited:             true,
		apisecret.UpstreamError:           true,
		apisecret.UpstreamInvalidResponse: true,
		apisecret.UpstreamTimeout:         true,
		apisecret.UpstreamUnreachable:     true,
		apisecret.UnexpectedResponse:      false,
		apisecret.DeadlineExceeded:        true,
		apisecret.InternalError:           false,
		"a_code_nobody_listed":            false,
	} {
		got := apisecret.NewError(code, "message")
		if got.Retryable != want || got.Code != code || got.Message != "message" || got.Error() != string(code)+": message" {
			t.Errorf("%s: got %+v, want retryable %t", code, got, want)
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
	FailedByCode    map[apisecret.Code]int           `json:"failed_by_code"`
	Omitted         *struct{ Succeeded, Failed int } `json:"omitted"`
	Results         []json.RawMessage
}

// random makes a result of up to n items, with messages that are hard to escape.
func random(r *rand.Rand, n int) apisecret.Result {
	codes := []apisecret.Code{apisecret.NotFound, apisecret.UpstreamTimeout, apisecret.UpstreamError, apisecret.InternalError}
	texts := []string{"plain", `"quoted" \ and \\ more`, "<html>&</html>", "\u2028 line\n\t\x01\x7f", "ção 😀", ""}
	result := apisecret.Result{Action: apisecret.Enable, Items: make([]apisecret.Item, 0, n)}
	if r.IntN(2) == 0 {
		result.Action = apisecret.Disable
	}
	failures := r.IntN(3)
	for at := range n {
		i := apisecret.Identifier(at + 1)
		switch kind := r.IntN(4); {
		case failures == 0 || failures == 1 && kind < 2:
			result.Items = append(result.Items, item(i, []apisecret.Outcome{result.Action.Changed(), result.Action.Unchanged()}[r.IntN(2)]))
		default:
			result.Items = append(result.Items, failed(i, codes[r.IntN(len(codes))], strings.Repeat(texts[r.IntN(len(texts))], r.IntN(20))))
		}
	}
	return result
}

func TestDocument_neverExceedsTheLimit(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, measure := range []func([]byte) int{plain, inJSONString} {
		for range 60 {
			result := random(r, 1+r.IntN(80))
			limit := 600 + r.IntN(12_000)

			text := result.Document(limit, measure)

			if got := measure(text); got > limit {
				t.Fatalf("%d items: got %d bytes, more than %d", len(result.Items), got, limit)
			}
			requireHonest(t, result, text, limit, measure)
		}
	}
}

// requireHonest checks all but the size of a document.
func requireHonest(t *testing.T, result apisecret.Result, text []byte, limit int, measure func([]byte) int) {
	t.Helper()
	var got posted
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatalf("not JSON: %v\n%s", err, text)
	}
	if got.Outcome != result.Outcome() || got.Requested != len(result.Items) || got.Failed != result.Count(apisecret.Failed) {
		t.Fatalf("the counts are not of all: %s", text)
	}
	changed, unchanged, absent := got.Enabled, got.AlreadyEnabled, []*int{got.Disabled, got.AlreadyDisabled}
	if result.Action == apisecret.Disable {
		changed, unchanged, absent = got.Disabled, got.AlreadyDisabled, []*int{got.Enabled, got.AlreadyEnabled}
	}
	if changed == nil || unchanged == nil || *changed+*unchanged+got.Failed != got.Requested || absent[0] != nil || absent[1] != nil {
		t.Fatalf("the counts do not add up: %s", text)
	}
	total := 0
	for _, n := range got.FailedByCode {
		total += n
	}
	if total != got.Failed {
		t.Fatalf("failed_by_code does not add up: %s", text)
	}
	all, failures := encoded(result)
	if got.Omitted == nil {
		if !slices.Equal(texts(got.Results), all) {
			t.Fatalf("the items are not those of the result, in its order: %s", text)
		}
		return
	}
	kept := texts(got.Results)
	if got.Omitted.Succeeded != len(all)-len(failures) || got.Omitted.Failed+len(kept) != len(failures) || got.Omitted.Succeeded+got.Omitted.Failed == 0 {
		t.Fatalf("omitted does not add up: %s", text)
	}
	if !slices.Equal(kept, failures[:len(kept)]) {
		t.Fatalf("the items kept are not the first failures: %s", text)
	}
	requireFull(t, result, text, limit, measure)
}

// requireFull checks that nothing was left out for nothing.
func requireFull(t *testing.T, result apisecret.Result, text []byte, limit int, measure func([]byte) int) {
	t.Helper()
	if whole := measure(result.Document(1<<30, plain)); whole <= limit {
		t.Fatalf("items are left out although all %d bytes would fit into %d", whole, limit)
	}
	var got posted
	_ = json.Unmarshal(text, &got)
	if got.Omitted.Failed == 0 {
		return
	}
	_, failures := encoded(result)
	next := failures[len(got.Results)]
	const slack = 8 // a comma, and digits of the count of the omitted
	if room := limit - measure(text); room >= measure([]byte(next))+slack {
		t.Fatalf("%d bytes are left, the next failure takes only %d: %s", room, measure([]byte(next)), text)
	}
}

// encoded returns the items as they stand in a document, and the failed ones.
func encoded(result apisecret.Result) (all, failures []string) {
	var whole posted
	_ = json.Unmarshal(result.Document(1<<30, plain), &whole)
	for at, text := range texts(whole.Results) {
		all = append(all, text)
		if result.Items[at].Outcome == apisecret.Failed {
			failures = append(failures, text)
		}
	}
	return all, failures
}

func texts(list []json.RawMessage) []string {
	var all []string
	for _, one := range list {
		all = append(all, string(one))
	}
	return all
}

func TestDocument_leavesOutSucceededItemsBeforeAnyFailedOne(t *testing.T) {
	result := apisecret.Result{Action: apisecret.Enable}
	for i := range apisecret.Identifier(1000) {
		result.Items = append(result.Items, item(i+1, apisecret.Enabled))
	}
	result.Items = append(result.Items, failed(2000, apisecret.NotFound, "first"), failed(2001, apisecret.NotFound, "second"))

	got := string(result.Document(30<<10, plain))

	want := `{"outcome":"partially_succeeded","requested":1002,"enabled":1000,"already_enabled":0,"failed":2,"failed_by_code":{"not_found":2},` +
		`"omitted":{"succeeded":1000,"failed":0},"results":[` +
		`{"identifier":2000,"outcome":"failed","attempts":2,"error":{"code":"not_found","message":"first","retryable":false}},` +
		`{"identifier":2001,"outcome":"failed","attempts":2,"error":{"code":"not_found","message":"second","retryable":false}}]}`
	if got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}
