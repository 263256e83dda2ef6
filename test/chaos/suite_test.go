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
	"segura-enable/test/leaktest"
)

// The tests of this file are of the suite itself: an invariant that nothing can
// violate proves nothing.

func TestInvariants_noticeWhatIsWrong(t *testing.T) {
	t.Parallel()
	w, err := newWorld(1, newRandom(1), config{ // without weather, and with a Segura that has every identifier
		door: event, attemptTimeout: 10 * time.Second, maxAttempts: 4, concurrency: 2, ttl: 5 * time.Minute, lifetime: time.Hour, atOnce: 1,
		isAllowed: func(i int64) bool { return i < 90 },
		segura: seguratest.Options{AnyIdentifier: true, BasePath: "/pam", ClientID: "chaos-client-of-a-plain-world", ClientSecret: "chaos-secret-of-a-plain-world",
			APISecrets: map[int64]seguratest.APISecret{}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.close)
	if err := w.start(); err != nil {
		t.Fatal(err)
	}
	q := request{action: "enable", identifiers: []int64{1, 2, 3, 4, 5}, payload: []byte(`{"identifiers":[1,2,3,4,5]}`), timeout: 20 * time.Second}
	of3 := func(text string) bool { return strings.Contains(text, `"identifier":3,"outcome"`) }
	replace := func(before, after string) func(*round, *answer) {
		return func(_ *round, a *answer) { a.Payload = []byte(strings.Replace(string(a.Payload), before, after, 1)) }
	}
	for _, row := range []struct {
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
		{"a HEAD was sent", func(x *round, _ *answer) { x.entries[0].Kind = seguratest.KindHead }, "not asked for"},
		{"a password was called", func(x *round, _ *answer) { x.entries[0].Path = "/pam/api/mysafe/Password/active/1" }, "route of passwords"},
		{"an audit line is missing", func(_ *round, a *answer) { a.Logs = slices.DeleteFunc(a.Logs, of3) }, "one audit line"},
		{"an audit line is there twice", func(_ *round, a *answer) { a.Logs = append(a.Logs, a.Logs[slices.IndexFunc(a.Logs, of3)]) }, "one audit line"},
		{"a log line is text", func(_ *round, a *answer) { a.Logs = append(a.Logs, "panic: oh") }, "JSON with Lambda's keys"},
		{"a log line is of another invocation", func(_ *round, a *answer) { a.RequestID = "another" }, "JSON with Lambda's keys"},
		{"there was no reply", func(_ *round, a *answer) { a.TimedOut = true }, "before the deadline"},
		{"the reply was late", func(_ *round, a *answer) { a.Duration = a.request.timeout + time.Millisecond }, "before the deadline"},
		{"the process died", func(_ *round, a *answer) { a.FunctionError, a.ErrorType = true, "Runtime.ExitError" }, "documented form"},
		{"another errorType", func(_ *round, a *answer) { a.FunctionError, a.ErrorType = true, "errorString" }, "documented form"},
		{"a failure without a cause", func(_ *round, a *answer) {
			at := slices.IndexFunc(a.Logs, of3)
			a.Logs[at] = strings.Replace(a.Logs[at], `"outcome":"enabled"`, `"outcome":"failed","code":"internal_error"`, 1)
		}, "has a cause"},
		{"the counts are wrong", replace(`"enabled":5`, `"enabled":4`), "adds up"},
		{"the order is wrong", replace(`{"identifier":1,`, `{"identifier":2,`), "in order"},
		{"the attempts are wrong", replace(`"attempts":1`, `"attempts":2`), "what the audit log says"},
		{"a call more than reported", func(x *round, _ *answer) { x.entries = append(x.entries, x.entries[0]) }, "never exceed the attempts"},
		{"too many token requests", func(x *round, _ *answer) {
			for range 20 {
				x.entries = append(x.entries, seguratest.Request{Kind: seguratest.KindToken})
			}
		}, "within their bounds"},
		{"too many reads", func(x *round, _ *answer) { x.reads = 20 }, "within their bounds"},
	} {
		for _, i := range q.identifiers {
			w.segura.SetActive(i, false)
		}
		x := &round{}
		w.invoke(x, q)
		x.lag = 0
		row.tamper(x, x.answers[0])
		w.violations = nil

		w.judge(x)

		got := strings.Join(w.violations, "\n")
		if row.want == "" && got != "" || !strings.Contains(got, row.want) {
			t.Errorf("%s: got %q, want %q", row.about, got[:min(len(got), 2000)], row.want)
		}
	}
	values := w.secretValues()
	delete(values, "") // what this world has not
	for value, what := range values {
		w.violations = nil
		w.said.Reset()
		w.said.WriteString("x" + value[len(value)/3:] + "y") // a part will do
		if len(value) < 2*leaktest.WordPart {
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
		_, _ = io.WriteString(w, strings.Repeat("x", 10_000))
	}))
	t.Cleanup(server.Close)
	w, err := layWires(server.Listener.Addr().String(), newRandom(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.close)
	for _, h := range []hazard{
		{}, {delay: 20 * time.Millisecond}, {strike: cut}, {strike: cut, after: 4000}, {strike: stall}, {strike: stall, after: 4000},
		{strike: corrupt, after: 4000}, {strike: cut, up: true, after: 100}, {strike: stall, up: true, after: 100}, {strike: corrupt, up: true, after: 100},
	} {
		w.become(mix[hazard]{1, []hazard{h}})
		client := *server.Client()
		client.Transport.(*http.Transport).CloseIdleConnections()
		client.Timeout = time.Minute
		if h.strike == stall {
			client.Timeout = time.Second
		}

		response, err := client.Get("https://" + w.address)
		if err == nil {
			_, err = io.ReadAll(response.Body)
			_ = response.Body.Close()
		}

		if (err != nil) != (h.strike != "") {
			t.Errorf("%v: got %v, want an error: %t", h, err, h.strike != "")
		}
	}
}
