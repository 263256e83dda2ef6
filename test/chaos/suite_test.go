package chaos

import (
	"errors"
	"io"
	"math/rand/v2"
	"net"
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
				x.entries = append(x.entries, entry{Request: seguratest.Request{Kind: seguratest.KindToken, Method: "POST",
					Header: x.entries[0].Header, TLS: x.entries[0].TLS}})
			}
		}, "token requests stay"},
		{"too many reads", func(x *round, _ *answer) { x.reads = 20 }, "reads of the AWS secret"},
		{"too many calls at once", func(x *round, _ *answer) {
			for at := range x.entries {
				x.entries[at].Time, x.entries[at].ended = x.began, x.ended
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
	for name, value := range w.secretValues() {
		w.violations = nil
		w.said.Reset()
		w.said.WriteString("x" + value[len(value)/3:] + "y") // a part will do
		if len(parts(value)) == 1 {
			w.said.WriteString(value)
		}

		w.checkLife()

		if len(w.violations) == 0 {
			t.Errorf("%s was not noticed", name)
		}
	}
}

func TestWires_doWhatTheirNameSays(t *testing.T) {
	t.Parallel()
	sent := strings.Repeat("0123456789", 100)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				// Not before the client has asked: what strikes sooner would end its dialing.
				_, _ = c.Read(make([]byte, 1))
				_, _ = io.WriteString(c, sent)
				_ = c.Close()
			}()
		}
	}()
	smooth := hazard{name: "smooth", afterDown: -1, afterUp: -1, impostor: -1}
	changed := func(change func(*hazard)) hazard {
		h := smooth
		change(&h)
		return h
	}
	for _, row := range []struct {
		about  string
		hazard hazard
		want   string // what arrives
		ends   bool   // before the client loses patience
	}{
		{"smooth", smooth, sent, true},
		{"late", changed(func(h *hazard) { h.delay = 20 * time.Millisecond }), sent, true},
		{"slow", changed(func(h *hazard) { h.slow = time.Millisecond }), sent, true},
		{"refused", changed(func(h *hazard) { h.refuse = true }), "", true},
		{"silent", changed(func(h *hazard) { h.silent = true }), "", false},
		{"cut", changed(func(h *hazard) { h.afterDown = 7 }), sent[:7], true},
		{"stalled", changed(func(h *hazard) { h.afterDown, h.strike = 7, stall }), sent[:7], true}, // the server has closed
		{"corrupted", changed(func(h *hazard) { h.afterDown, h.strike = 7, corrupt }), sent[:7] + "b" + sent[8:], true},
	} {
		w, err := layWires(listener.Addr().String(), rand.New(rand.NewPCG(1, 1)))
		if err != nil {
			t.Fatal(err)
		}
		w.become(roughness{1, []hazard{row.hazard}})
		c, err := net.Dial("tcp", w.address)
		if err != nil && row.hazard.refuse {
			w.close()
			continue // even sooner than that
		} else if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(c, "?")
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		if !row.ends {
			_ = c.SetDeadline(time.Now().Add(200 * time.Millisecond))
		}

		got, err := io.ReadAll(c)

		var timeout net.Error
		_ = errors.As(err, &timeout)
		if string(got) != row.want || row.ends == (timeout != nil && timeout.Timeout()) {
			t.Errorf("%s: got %d bytes %.20q, %v; want %d bytes %.20q, an end: %v", row.about, len(got), got, err, len(row.want), row.want, row.ends)
		}
		_ = c.Close()
		w.close()
	}
}
