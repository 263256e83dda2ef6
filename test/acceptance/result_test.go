package acceptance

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"segura-enable/simulated/seguratest"
	"segura-enable/simulated/stage"
)

// How much may be posted, in bytes.
const (
	mostReturned = 200 << 10
	mostInError  = 30 << 10
)

func TestResult_ofEnablingHasTheDocumentedShape(t *testing.T) {
	t.Parallel()
	w := start(t, setup{segura: anyIdentifier})
	got := w.invoke(`{"identifiers":[6,5]}`).text
	want := `{"outcome":"succeeded","requested":2,"enabled":1,"already_enabled":1,"failed":0,"results":[` +
		`{"identifier":6,"outcome":"already_enabled","attempts":1},{"identifier":5,"outcome":"enabled","attempts":1}]}`
	if !sameJSON(t, got, want) {
		t.Errorf("got\n%s, want\n%s", got, want)
	}
}

func TestResult_ofDisablingHasDisabledInItsPlace(t *testing.T) {
	t.Parallel()
	w := start(t, setup{segura: anyIdentifier})
	got := w.invoke(`{"identifiers":[6,5],"action":"disable"}`).text
	want := `{"outcome":"succeeded","requested":2,"disabled":1,"already_disabled":1,"failed":0,"results":[` +
		`{"identifier":6,"outcome":"disabled","attempts":1},{"identifier":5,"outcome":"already_disabled","attempts":1}]}`
	if !sameJSON(t, got, want) {
		t.Errorf("got\n%s, want\n%s", got, want)
	}
	failed := w.invoke(`{"identifiers":[7,8,5],"action":"disable"}`)
	r := failed.result
	if failed.ErrorType != "Segura.PermanentError" || r.Enabled != nil || r.AlreadyEnabled != nil || r.Disabled == nil || r.AlreadyDisabled == nil ||
		*r.AlreadyDisabled != 1 || r.Failed != 2 || r.Results[0].Error.Code != "not_found" || r.Results[1].Error.Code != "access_denied" {
		t.Errorf("got %s %s, want two failures and one that was disabled already", failed.ErrorType, failed.text)
	}
}

func TestResult_outcomeSaysWhetherAllSomeOrNoneSucceeded(t *testing.T) {
	t.Parallel()
	w := start(t, setup{segura: anyIdentifier})
	for _, row := range []struct {
		identifiers []int64
		want        string
	}{
		{[]int64{5}, "succeeded"}, {[]int64{5, 6, 9}, "succeeded"}, {[]int64{7}, "failed"}, {[]int64{7, 8}, "failed"},
		{[]int64{7, 6}, "partially_succeeded"}, {[]int64{5, 9, 10, 8}, "partially_succeeded"},
	} {
		inv := w.enable(row.identifiers...)
		if inv.result.Outcome != row.want {
			t.Errorf("%v: got outcome %s, want %s", row.identifiers, inv.result.Outcome, row.want)
		}
		if has := strings.Contains(inv.text, `"failed_by_code"`); has != (row.want != "succeeded") {
			t.Errorf("%v: failed_by_code belongs into a failed document, and only there: %s", row.identifiers, inv.text)
		}
		if strings.Contains(inv.text, `"omitted"`) {
			t.Errorf("%v: omitted is there though nothing is: %s", row.identifiers, inv.text)
		}
	}
}

func TestResult_keepsTheOrderOfTheRequest(t *testing.T) {
	t.Parallel()
	w := start(t, setup{segura: seguratest.Options{AnyIdentifier: true, Latency: seguratest.Latency{Jitter: 4e6}}, env: map[string]string{"SEGURA_MAX_CONCURRENCY": "32"}})
	asked := upTo(1, 300)
	random := rand.New(rand.NewPCG(5, 6))
	random.Shuffle(len(asked), func(i, j int) { asked[i], asked[j] = asked[j], asked[i] })
	if got := identifiers(w.enable(asked...).result.Results); !slices.Equal(got, asked) {
		t.Errorf("got the order %v, want %v", got, asked)
	}
}

func TestResult_identifiersAreJSONNumbersUpToTheLargest(t *testing.T) {
	t.Parallel()
	asked := []int64{math.MaxInt64, math.MaxInt64 - 1, 1 << 53, 1<<53 + 1, 999999999999999999, 1e15, 1e18}
	w := start(t, setup{segura: anyIdentifier, env: map[string]string{"SEGURA_ALLOWED_IDENTIFIERS": "5-9223372036854775806"}})
	inv := w.enable(asked...)
	for _, n := range asked {
		if !strings.Contains(inv.text, fmt.Sprintf(`"identifier":%d,`, n)) {
			t.Errorf("%d is not in the result as a JSON number: %s", n, inv.text)
		}
		if logs := strings.Join(inv.Logs, "\n"); !strings.Contains(logs, fmt.Sprintf(`"identifier":%d,`, n)) {
			t.Errorf("%d is not in an audit line as a JSON number", n)
		}
	}
	if e := inv.result.Results[0].Error; e == nil || e.Code != "not_allowed" {
		t.Errorf("the largest, which is not allowed: got %+v", e)
	}
	overHTTP := start(t, setup{function: api, segura: anyIdentifier, env: map[string]string{"SEGURA_ALLOWED_IDENTIFIERS": "5-9223372036854775806"}})
	if a := overHTTP.http("POST", "/api-secrets/9223372036854775807/enable", "", nil); a.status != 403 || !strings.Contains(a.body, `"identifier":9223372036854775807`) {
		t.Errorf("got %d %s, want 403 with the number as it is", a.status, a.body)
	}
}

func TestResult_attemptsCountsTheCallsBegunForTheIdentifier(t *testing.T) {
	t.Parallel()
	w := start(t, setup{segura: anyIdentifier, env: map[string]string{"SEGURA_MAX_ATTEMPTS": "3", "SEGURA_ALLOWED_IDENTIFIERS": "1-999"}})
	w.segura.Fail(seguratest.Match{Identifier: 11}, seguratest.Unexpected500(), 1)
	w.segura.Fail(seguratest.Match{Identifier: 12}, seguratest.Gateway502(), 2)
	w.segura.Fail(seguratest.Match{Identifier: 13}, seguratest.Gateway503(), -1)
	w.segura.Fail(seguratest.Match{Identifier: 14}, seguratest.TokenRefused(seguratest.RefusedInactive), 1)
	inv := w.enable(10, 11, 12, 13, 14, 7, 1000)
	for at, want := range []int{1, 2, 3, 3, 2, 1, 0} {
		i := inv.result.Results[at]
		if i.Attempts != want || w.segura.CountFor(seguratest.KindEnable, i.Identifier) != want {
			t.Errorf("identifier %d: got attempts %d and %d calls, want %d of both", i.Identifier, i.Attempts, w.segura.CountFor(seguratest.KindEnable, i.Identifier), want)
		}
	}
}

func TestResult_attemptsCountsARefusedConnection(t *testing.T) {
	t.Parallel()
	w := start(t, setup{segura: anyIdentifier, env: map[string]string{"SEGURA_MAX_ATTEMPTS": "2"}})
	w.one(5)
	if err := w.segura.RefuseConnections(seguratest.NotListening); err != nil {
		t.Fatal(err)
	}
	is(t, w.one(5), "nobody listens", "failed", "upstream_unreachable", true, 2)
}

func TestResult_attemptsDoesNotCountTokenCalls(t *testing.T) {
	t.Parallel()
	w := start(t, setup{segura: anyIdentifier, env: map[string]string{"SEGURA_MAX_ATTEMPTS": "2"}, before: func(w *world) {
		w.segura.Fail(seguratest.Match{Kind: seguratest.KindToken}, seguratest.Unexpected500(), -1)
	}})
	is(t, w.one(5), "no token", "failed", "upstream_error", true, 0)
	w.segura.ClearFaults()
	w.segura.Fail(seguratest.Match{Kind: seguratest.KindToken}, seguratest.Unexpected500(), 1)
	is(t, w.one(5), "a token at the second call", "enabled", "", false, 1)
}

func TestResult_errorsTellStatusCodeAndRequestIDWhereTheyAreKnown(t *testing.T) {
	t.Parallel()
	w := start(t, setup{segura: anyIdentifier, env: map[string]string{"SEGURA_MAX_ATTEMPTS": "1", "SEGURA_ALLOWED_IDENTIFIERS": "1-999"}})
	for _, row := range []struct {
		name       string
		identifier int64
		fault      *seguratest.Fault
		want       string
	}{
		{"1005", 7, nil, "400 1005 id"}, {"1006", 8, nil, "400 1006 id"}, {"not allowed", 1000, nil, "0 0 none"},
		{"the status within", 5, fails(seguratest.Envelope(200, 500, "Unexpected error.")), "500 0 id"},
		{"the gateway", 5, fails(seguratest.Gateway504()), "504 0 id"}, {"no reply", 5, fails(seguratest.ResetConnection()), "0 0 none"},
		{"no identifier of the gateway's", 5, fails(seguratest.ReplyJSON(500, `{}`).WithHeader("X-Kong-Request-Id", "")), "500 0 none"},
		{"a code without exception", 5, fails(seguratest.NotFound1005WithoutException()), "400 1005 id"},
		{"a code that is none of Segura's", 5, fails(seguratest.PortugueseException500()), "500 0 id"},
	} {
		if row.fault != nil {
			w.segura.Fail(seguratest.Match{Identifier: row.identifier}, *row.fault, 1)
		}
		inv := w.enable(row.identifier)
		e := inv.result.Results[0].Error
		if e == nil {
			t.Errorf("%s: got %s, want a failure", row.name, inv.text)
			continue
		}
		id := "none"
		if e.UpstreamRequestID != "" {
			id = "id"
		}
		if got := fmt.Sprintf("%d %d %s", e.HTTPStatus, e.SeguraCode, id); got != row.want {
			t.Errorf("%s: got %s (%s), want %s", row.name, got, inv.text, row.want)
		}
		for _, name := range []string{"http_status", "segura_code", "upstream_request_id"} {
			if strings.Contains(inv.text, `"`+name+`":0`) || strings.Contains(inv.text, `"`+name+`":""`) || strings.Contains(inv.text, `"`+name+`":null`) {
				t.Errorf("%s: %s is there without a value: %s", row.name, name, inv.text)
			}
		}
	}
}

func TestResult_theUpstreamRequestIDComesFromTheGatewayOrTheBody(t *testing.T) {
	t.Parallel()
	w := start(t, setup{segura: anyIdentifier, env: map[string]string{"SEGURA_MAX_ATTEMPTS": "1"}})
	for name, row := range map[string]struct {
		fault seguratest.Fault
		want  string
	}{
		"X-Kong-Request-Id": {seguratest.Gateway500().WithHeader("X-Kong-Request-Id", "kong-1"), "kong-1"},
		"X-Request-Id":      {seguratest.ReplyJSON(500, `{}`).WithHeader("X-Kong-Request-Id", "").WithHeader("X-Request-Id", "other-2"), "other-2"},
		"request_id":        {seguratest.ReplyJSON(500, `{"message":"x","request_id":"body-3"}`).WithHeader("X-Kong-Request-Id", ""), "body-3"},
		"plain text":        {seguratest.Reply(500, "text/plain", "An unexpected error occurred\nrequest_id: text-4\n").WithHeader("X-Kong-Request-Id", ""), "text-4"},
	} {
		w.segura.Fail(seguratest.Match{Kind: seguratest.KindEnable}, row.fault, 1)
		inv := w.enable(5)
		if got := inv.result.Results[0].Error.UpstreamRequestID; got != row.want {
			t.Errorf("%s: got %q in the result, want %q", name, got, row.want)
		}
		if got := audited(t, name, inv.Invocation).Text("upstream_request_id"); got != row.want {
			t.Errorf("%s: got %q in the audit line, want %q", name, got, row.want)
		}
	}
}

var auditIdentifier = regexp.MustCompile(`"message":"audit".*"identifier":(\d+),`)

// each checks that each identifier has one audit line; it does so for many
// without decoding every line.
func each(t *testing.T, lines []string, want []int64) {
	t.Helper()
	var got []int64
	for _, text := range lines {
		if found := auditIdentifier.FindStringSubmatch(text); found != nil {
			n, err := strconv.ParseInt(found[1], 10, 64)
			if err != nil {
				t.Errorf("audit line %s: %v", text, err)
			}
			got = append(got, n)
		}
	}
	slices.Sort(got)
	if want = slices.Sorted(slices.Values(want)); !slices.Equal(got, want) {
		t.Errorf("got %d audit lines, want one of each of the %d identifiers", len(got), len(want))
	}
}

// metricLines are the metric lines among others, of which the rest is not decoded.
func metricLines(t *testing.T, lines []string) []stage.Line {
	t.Helper()
	return parse(t, slices.DeleteFunc(slices.Clone(lines), func(text string) bool { return !strings.Contains(text, `"_aws"`) }))
}

// failedItems checks a document inside a function error, whose failed items are
// these in order of the request, and that as many of them are kept as fit.
func failedItems(t *testing.T, about string, inv invocation, succeeded int, failed []int64) {
	t.Helper()
	r, kept := inv.result, 0
	if len(inv.Payload) > mostInError {
		t.Errorf("%s: %d bytes are posted, want at most %d", about, len(inv.Payload), mostInError)
	}
	for _, i := range r.Results {
		if i.Outcome == "failed" {
			if i.Identifier != failed[kept] {
				t.Fatalf("%s: failed item %d is %d, want %d: the first ones, in order", about, kept, i.Identifier, failed[kept])
			}
			kept++
		}
	}
	if r.Omitted == nil {
		if len(r.Results) != succeeded+len(failed) {
			t.Errorf("%s: %d results of %d, but nothing is said to be omitted", about, len(r.Results), succeeded+len(failed))
		}
		return
	}
	if kept != len(r.Results) {
		t.Errorf("%s: items that succeeded are kept though some are omitted", about)
	}
	if got, want := *r.Omitted, (stage.Omitted{Succeeded: succeeded, Failed: len(failed) - kept}); got != want {
		t.Errorf("%s: omitted is %+v, want %+v", about, got, want)
	}
	if kept < len(failed) && kept > 0 {
		last, _ := json.Marshal(string(lastItem(inv.text)))
		if room := mostInError - len(inv.Payload); room > len(last)+64 {
			t.Errorf("%s: %d bytes are left, where one more item of about %d would fit", about, room, len(last))
		}
	}
	sum := 0
	for _, n := range r.FailedByCode {
		sum += n
	}
	if sum != len(failed) || r.Failed != len(failed) || r.Requested != succeeded+len(failed) {
		t.Errorf("%s: the counts are not of all: requested %d, failed %d, failed_by_code %v", about, r.Requested, r.Failed, r.FailedByCode)
	}
}

// lastItem is the last of the results as it is written.
func lastItem(document string) []byte {
	var d struct{ Results []json.RawMessage }
	if json.Unmarshal([]byte(document), &d) != nil || len(d.Results) == 0 {
		return nil
	}
	return d.Results[len(d.Results)-1]
}

func TestResult_tenThousandFailuresFitIntoAFunctionError(t *testing.T) {
	t.Parallel()
	// Failures that need no call: the identifiers are not allowed.
	w := start(t, setup{segura: anyIdentifier, env: map[string]string{"SEGURA_ALLOWED_IDENTIFIERS": "1"}})
	all := upTo(10_001, 20_000)
	inv := w.enable(all...)
	failedItems(t, "10,000 failures", inv, 0, all)
	if len(inv.result.Results) == 0 || inv.result.Omitted == nil || inv.result.FailedByCode["not_allowed"] != 10_000 {
		t.Errorf("got %.300s, want as many failures as fit and the rest counted", inv.text)
	}
	each(t, inv.Logs, all)
	if metrics := metricLines(t, inv.Logs); len(metrics) != 2 {
		t.Errorf("got %d metric lines, want one for the invocation and one for the code", len(metrics))
	}
	if w.segura.Count(seguratest.KindEnable) != 0 {
		t.Error("Segura was called for identifiers that are not allowed")
	}
}

func TestResult_successesAreLeftOutOfAFunctionErrorFirst(t *testing.T) {
	t.Parallel()
	w := start(t, setup{segura: anyIdentifier, env: map[string]string{"SEGURA_ALLOWED_IDENTIFIERS": "1-9999"}})
	for _, row := range []struct {
		about             string
		succeeded, failed []int64
		omitted           bool
	}{
		{"all fit", upTo(1001, 1010), upTo(10_001, 10_010), false},
		{"without the successes all failures fit", upTo(2001, 2600), upTo(10_001, 10_020), true},
		{"not even all failures fit", upTo(3001, 3020), upTo(10_001, 10_400), true},
		{"one success too many failures", []int64{4001}, upTo(10_001, 10_400), true},
	} {
		// The request has them mixed, failures at both ends.
		asked := slices.Concat(row.failed[:len(row.failed)/2], row.succeeded, row.failed[len(row.failed)/2:])
		inv := w.enable(asked...)
		failedItems(t, row.about, inv, len(row.succeeded), row.failed)
		if (inv.result.Omitted != nil) != row.omitted {
			t.Errorf("%s: omitted is %+v, want it to be there: %v", row.about, inv.result.Omitted, row.omitted)
		}
		if !row.omitted && !slices.Equal(identifiers(inv.result.Results), asked) {
			t.Errorf("%s: the order of the request is lost", row.about)
		}
		if row.about == "without the successes all failures fit" && len(inv.result.Results) != len(row.failed) {
			t.Errorf("%s: got %d results, want all %d failures", row.about, len(inv.result.Results), len(row.failed))
		}
		if *inv.result.Enabled != len(row.succeeded) {
			t.Errorf("%s: got enabled %d, want %d", row.about, *inv.result.Enabled, len(row.succeeded))
		}
	}
}

// Quotes are escaped when the result becomes JSON and again when that becomes a
// string; and the runtime library escapes what could be HTML.
func TestResult_theBoundCountsEscapedBytes(t *testing.T) {
	t.Parallel()
	w := start(t, setup{segura: anyIdentifier, env: map[string]string{"SEGURA_MAX_ATTEMPTS": "1"}})
	failed := upTo(101, 250)
	for name, id := range map[string]string{
		"quotes": strings.Repeat(`"`, 100), "backslashes": strings.Repeat(`\`, 100), "angle brackets": strings.Repeat(`<&>`, 40),
		"control characters": strings.Repeat("\x01\x7f", 50), "line separators": strings.Repeat("\u2028", 40), "astral": strings.Repeat("😀", 30),
		"plain": "x",
	} {
		w.segura.Reset()
		reply := seguratest.ReplyJSON(500, `{"message":"x","request_id":`+quoted(id)+`}`).WithHeader("X-Kong-Request-Id", "")
		w.segura.Fail(seguratest.Match{Kind: seguratest.KindEnable}, reply, -1)
		inv := w.enable(failed...)
		failedItems(t, name, inv, 0, failed)
		if inv.result.Omitted == nil || len(inv.result.Results) == 0 {
			t.Errorf("%s: got %d results and omitted %+v, want some of both", name, len(inv.result.Results), inv.result.Omitted)
		}
		if bytes.Contains(inv.Payload, []byte("\x01")) {
			t.Errorf("%s: the payload has control characters", name)
		}
	}
}

func TestResult_returnedIsBoundedTo200KiB(t *testing.T) {
	t.Parallel()
	w := start(t, setup{
		segura: seguratest.Options{AnyIdentifier: true, APISecrets: map[int64]seguratest.APISecret{}},
		env:    map[string]string{"SEGURA_MAX_CONCURRENCY": "16"}, timeout: 60 * time.Second,
	})
	ten := len(w.enable(longIdentifiers(10, 0)...).Payload)
	perItem := len(`{"identifier":9000000000000000000,"outcome":"enabled","attempts":1},`)
	head := ten - 10*perItem + 2*len("00") // the two counts have four digits below
	count := (mostReturned-head)/perItem + 1
	tooLong := head + count*perItem - mostReturned

	w.segura.Reset()
	all := longIdentifiers(count, tooLong)
	inv := w.enable(all...)
	if inv.FunctionError || len(inv.result.Results) != count || inv.result.Omitted != nil || len(inv.Payload) != mostReturned {
		t.Errorf("%d successes that fit exactly: got %d bytes, %d results, omitted %+v", count, len(inv.Payload), len(inv.result.Results), inv.result.Omitted)
	}
	each(t, inv.Logs, all)
	sampled(t, inv.Logs, count)

	w.segura.Reset()
	all = longIdentifiers(count, tooLong-1)
	inv = w.enable(all...)
	want := fmt.Sprintf(`{"outcome":"succeeded","requested":%[1]d,"enabled":%[1]d,"already_enabled":0,"failed":0,"omitted":{"succeeded":%[1]d,"failed":0},"results":[]}`, count)
	if inv.FunctionError || !sameJSON(t, inv.text, want) {
		t.Errorf("a byte more: got %.300s of %d bytes; want all of them left out and counted", inv.text, len(inv.text))
	}
	each(t, inv.Logs, all)
}

// longIdentifiers are identifiers of 19 digits each, but for so many digits
// less altogether.
func longIdentifiers(count, less int) []int64 {
	all := upTo(9_000_000_000_000_000_000, 9_000_000_000_000_000_000+int64(count)-1)
	for i := 0; less > 0; i++ {
		digits := min(less, 10)
		less -= digits
		all[i] = int64(math.Pow10(18-digits)) + int64(i)
	}
	return all
}

// sampled checks that the invocation's only metric line has a sample of the
// latencies, and all of the count.
func sampled(t *testing.T, lines []string, enabled int) {
	t.Helper()
	metrics := metricLines(t, lines)
	if len(metrics) != 1 {
		t.Fatalf("got %d metric lines, want 1", len(metrics))
	}
	checkMetricLine(t, metrics[0], "EventFunction")
	if values, _ := metrics[0]["CallLatency"].([]any); len(values) != 100 {
		t.Errorf("got %d values of CallLatency for %d calls, want a sample of 100", len(values), enabled)
	}
	if n, _ := metrics[0].Number("Enabled"); n != float64(enabled) {
		t.Errorf("got Enabled %v, want %d", n, enabled)
	}
}
