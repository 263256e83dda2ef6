package acceptance

import (
	"bytes"
	"encoding/json"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"segura-enable/simulated/seguratest"
	"segura-enable/simulated/stage"
)

// How much may be posted, in bytes.
const (
	mostReturned = 200 << 10
	mostInError  = 30 << 10
)

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
