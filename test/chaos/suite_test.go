package chaos

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"segura-enable/simulated/seguratest"
)

// The tests of this file are of the suite itself: an invariant that nothing can
// violate proves nothing.

func TestInvariants_noticeWhatIsWrong(t *testing.T) {
	t.Parallel()
	w := plain(t, func(c *config) {
		c.concurrency = 2
		c.isAllowed = func(i int64) bool { return i < 90 }
	})
	table := []struct {
		about  string
		tamper func(*round, *answer)
		want   string // a part of the invariant; empty: all is well
	}{
		{"nothing", func(*round, *answer) {}, ""},
		{"an identifier is not active", func(x *round, _ *answer) { x.after[3] = seguratest.APISecret{} }, "reported enabled or disabled that is not"},
		{"one was active before", func(x *round, _ *answer) { x.before[3] = seguratest.APISecret{Active: true} }, "what was so before"},
		{"Segura refused", func(x *round, _ *answer) { x.entries[0].Status = 500 }, "without Segura's word"},
		{"Segura was not asked", func(x *round, _ *answer) { x.entries = x.entries[1:] }, "without Segura's word"},
		{"another identifier was called", func(x *round, _ *answer) { x.entries[0].Identifier = 77 }, "not asked for"},
		{"one was called that is not allowed", func(x *round, _ *answer) { x.entries[0].Identifier = 99 }, "not asked for"},
		{"another identifier became active", func(x *round, _ *answer) { x.after[77] = seguratest.APISecret{Active: true} }, "not asked for"},
		{"a password was called", func(x *round, _ *answer) { x.entries[0].Path = "/pam/api/mysafe/Password/active/1" }, "route of passwords"},
		{"an audit line is missing", func(_ *round, a *answer) { a.Logs = slices.DeleteFunc(a.Logs, auditOf(3)) }, "one audit line"},
		{"an audit line is there twice", func(_ *round, a *answer) { a.Logs = append(a.Logs, a.Logs[slices.IndexFunc(a.Logs, auditOf(3))]) }, "one audit line"},
		{"a log line is text", func(_ *round, a *answer) { a.Logs = append(a.Logs, "panic: oh") }, "JSON with Lambda's keys"},
		{"a log line is of another invocation", func(_ *round, a *answer) { a.RequestID = "another" }, "JSON with Lambda's keys"},
		{"there was no reply", func(_ *round, a *answer) { a.TimedOut = true }, "before the deadline"},
		{"the reply was late", func(_ *round, a *answer) { a.Duration = a.request.timeout + time.Millisecond }, "before the deadline"},
		{"the process died", func(_ *round, a *answer) { a.FunctionError, a.ErrorType = true, "Runtime.ExitError" }, "errorTypes are"},
		{"the process died, and was killed", func(x *round, a *answer) {
			x.weather.killed = true
			a.FunctionError, a.ErrorType = true, "Runtime.ExitError"
		}, ""},
		{"another errorType", func(_ *round, a *answer) { a.FunctionError, a.ErrorType = true, "errorString" }, "documented form"},
		{"the counts are wrong", replaceIn(`"enabled":5`, `"enabled":4`), "adds up"},
		{"the order is wrong", replaceIn(`{"identifier":1,`, `{"identifier":2,`), "in order"},
		{"the attempts are wrong", replaceIn(`"attempts":1`, `"attempts":2`), "what the audit log says"},
		{"a call more than reported", func(x *round, _ *answer) { x.entries = append(x.entries, x.entries[0]) }, "never exceed the attempts"},
		{"too many token requests", func(x *round, _ *answer) {
			for range 20 {
				x.entries = append(x.entries, seguratest.Request{Kind: seguratest.KindToken})
			}
		}, "within their bounds"},
		{"too many reads", func(x *round, _ *answer) { x.reads = 20 }, "within their bounds"},
		{"too many calls at once", func(x *round, _ *answer) {
			for at := range x.entries {
				x.entries[at].Time, x.entries[at].Ended = x.began, x.ended
			}
		}, "SEGURA_MAX_CONCURRENCY"},
	}
	for _, row := range table {
		for i := range int64(5) {
			w.segura.SetActive(i+1, false)
		}
		x := &round{}
		w.make(x, []request{upTo(5, 20*time.Second)})
		x.lag = 0
		row.tamper(x, x.answers[0])
		w.violations = nil

		w.judge(x)

		got := strings.Join(w.violations, "\n")
		if row.want == "" && got != "" || !strings.Contains(got, row.want) {
			t.Errorf("%s: got %q, want %q", row.about, got[:min(len(got), 2000)], row.want)
		}
	}
}

func auditOf(i int64) func(string) bool {
	return func(text string) bool { return strings.Contains(text, `"identifier":`+joined([]int64{i})+`,"outcome"`) }
}

func replaceIn(before, after string) func(*round, *answer) {
	return func(_ *round, a *answer) { a.Payload = []byte(strings.Replace(string(a.Payload), before, after, 1)) }
}

func TestInvariants_noticeASecretThatShows(t *testing.T) {
	t.Parallel()
	w := plain(t, func(*config) {})
	for value, what := range w.secretValues() {
		w.violations = nil
		w.said.Reset()
		w.said.WriteString("x" + value[len(value)/3:] + "y") // a part will do
		if len(value) <= 2*pieceLength {
			w.said.WriteString(value)
		}

		w.checkLife()

		if len(w.violations) == 0 {
			t.Errorf("%s was not noticed", what)
		}
	}
}

func TestWires_doWhatTheirNameSays(t *testing.T) {
	t.Parallel()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, strings.Repeat("x", 5000))
	}))
	t.Cleanup(server.Close)
	for _, row := range []struct {
		hazard hazard
		fails  bool
		limit  time.Duration
	}{
		{hazard{}, false, time.Minute},
		{hazard{name: "late", delay: 20 * time.Millisecond}, false, time.Minute},
		{hazard{name: "slow", slow: time.Millisecond}, false, time.Minute},
		{hazard{name: "refused", refuse: true}, true, time.Minute},
		{hazard{name: "silent", silent: true}, true, 200 * time.Millisecond},
		{hazard{name: "cut", down: 3000}, true, time.Minute},
		{hazard{name: "stalled", down: 3000, strike: stall}, true, time.Second},
		{hazard{name: "corrupted", down: 3000, strike: corrupt}, true, time.Minute},
		{hazard{name: "corrupted on the way up", up: 100, strike: corrupt}, true, time.Minute},
	} {
		w, err := layWires(server.Listener.Addr().String(), newRandom(1))
		if err != nil {
			t.Fatal(err)
		}
		w.become(roughness{1, []hazard{row.hazard}})
		client := *server.Client()
		client.Timeout = row.limit

		response, err := client.Get("https://" + w.address)
		if err == nil {
			_, err = io.ReadAll(response.Body)
			_ = response.Body.Close()
		}

		if (err != nil) != row.fails {
			t.Errorf("%s: got %v, want an error: %v", row.hazard.name, err, row.fails)
		}
		w.close()
	}
}
