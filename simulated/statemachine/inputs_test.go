package statemachine_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"segura-enable/simulated/seguratest"
	"segura-enable/simulated/stage"
	"segura-enable/simulated/statemachine"
)

func TestWindow_refusesWhatItDoesNotUnderstandBeforeAnythingIsSent(t *testing.T) {
	stack := start(t, stage.Options{})
	many := strings.TrimSuffix(strings.Repeat("5,", 1001), ",")
	table := []struct{ input, want string }{
		{`[]`, "not an object"},
		{`"5"`, "not an object"},
		{`null`, "not an object"},
		{`{}`, "identifiers is not an array"},
		{`{"identifiers":5,"for":"PT1H"}`, "identifiers is not an array"},
		{`{"identifiers":[],"for":"PT1H"}`, "identifiers "},
		{`{"identifiers":[` + many + `],"for":"PT1H"}`, "none, or more than 1000"},
		{`{"identifiers":[0],"for":"PT1H"}`, "not a positive integer"},
		{`{"identifiers":[5.5],"for":"PT1H"}`, "not a positive integer"},
		{`{"identifiers":["05"],"for":"PT1H"}`, "not a positive integer"},
		{`{"identifiers":[5,null],"for":"PT1H"}`, "not a positive integer"},
		{`{"identifiers":[[5]],"for":"PT1H"}`, "not a positive integer"},
		{`{"identifiers":[9007199254740993],"for":"PT1H"}`, "not a positive integer"},
		{`{"identifiers":[5]}`, "One of until and for"},
		{`{"identifiers":[5],"for":"PT1H","until":"2099-01-01T00:00:00Z"}`, "One of until and for"},
		{`{"identifiers":[5],"until":"tomorrow"}`, "until is not a time"},
		{`{"identifiers":[5],"until":1796148000}`, "until is not a time"},
		{`{"identifiers":[5],"until":"2099-13-01T00:00:00Z"}`, "until is not a time"},
		{`{"identifiers":[5],"until":"2099-02-30T00:00:00Z"}`, "until is not a time"},
		{`{"identifiers":[5],"until":"2099-01-01T00:00:00+02:00"}`, "until is not a time"},
		{`{"identifiers":[5],"until":"2020-01-01T00:00:00Z"}`, "in the past"},
		{`{"identifiers":[5],"until":"2099-01-01T00:00:00Z"}`, "longer than"},
		{`{"identifiers":[5],"for":"8h"}`, "for is not a duration"},
		{`{"identifiers":[5],"for":"P"}`, "for is not a duration"},
		{`{"identifiers":[5],"for":"P1M"}`, "for is not a duration"},
		{`{"identifiers":[5],"for":"P1DT"}`, "for is not a duration"},
		{`{"identifiers":[5],"for":3600}`, "for is not a duration"},
		{`{"identifiers":[5],"for":"PT0S"}`, "in the past"},
		{`{"identifiers":[5],"for":"P1DT1S"}`, "longer than"},
		{`{"identifiers":[5],"for":"PT1H","reason":5}`, "reason is not a string"},
		{`{"identifiers":[5],"for":"PT1H","reason":"` + strings.Repeat("x", 257) + `"}`, "reason is not a string"},
		{`{"identifiers":[5],"for":"PT1H","caller":["x"]}`, "caller is not a string"},
		{`{"identifiers":[5],"for":"PT1H","action":"disable"}`, "fields other than"},
	}
	for _, row := range table {
		w := windows(t, stack)
		stack.Segura.SetActive(5, true) // by someone else: it stays so

		window, closing, err := w.Open(t.Context(), "w", []byte(row.input))
		if err != nil {
			t.Fatal(err)
		}

		got := fmt.Sprintf("%s %s: %s", window.Status, window.Error, window.Cause)
		if !strings.HasPrefix(got, "FAILED Segura.InvalidRequest: ") || !strings.Contains(got, row.want) {
			t.Errorf("%.80s: got %s, want it refused with %q", row.input, got, row.want)
		}
		if closing.Status != statemachine.Succeeded || string(closing.Output) != `{"outcome":"nothing_to_close"}` {
			t.Errorf("%.80s: closing: got %s %s, want nothing to close", row.input, closing.Status, closing.Output)
		}
	}
	if calls := stack.Segura.Requests(seguratest.KindEnable, seguratest.KindDisable); len(calls) > 0 || !stack.Segura.Active(5) {
		t.Errorf("calls to Segura: got %d, want none, and API secret 5 left alone", len(calls))
	}
}

func TestWindow_isAsLongAsItsDurationSays(t *testing.T) {
	stack := start(t, stage.Options{})
	for text, want := range map[string]time.Duration{
		"PT90S": 90 * time.Second, "PT1H30M": 90 * time.Minute, "PT8H": 8 * time.Hour, "P1D": 24 * time.Hour,
		"PT23H59M60S": 24 * time.Hour, "P0DT2H0M5S": 2*time.Hour + 5*time.Second,
	} {
		window, _, err := windows(t, stack).Open(t.Context(), "w", []byte(`{"identifiers":[5],"for":"`+text+`"}`))
		if err != nil {
			t.Fatal(err)
		}

		got := window.Stopped.Sub(window.Started)

		if window.Status != statemachine.Succeeded || got < want || got > want+20*time.Second {
			t.Errorf("%s: got %s after %s (%s), want %s", text, window.Status, got, window.Cause, want)
		}
	}
}

func TestWindow_theEarlierEndClosesWhatTwoHaveOpened(t *testing.T) {
	stack := start(t, stage.Options{})
	long := windows(t, stack)
	var states []bool
	long.Services.Watch = func(e statemachine.Event) {
		if e.State != "WaitForEnd" || e.What != statemachine.Entered {
			return
		}
		states = append(states, stack.Segura.Active(5))
		if _, _, err := windows(t, stack).Open(t.Context(), "short", []byte(`{"identifiers":[5],"for":"PT1H"}`)); err != nil {
			t.Error(err)
		}
		states = append(states, stack.Segura.Active(5))
	}

	window, _, err := long.Open(t.Context(), "long", []byte(`{"identifiers":[5],"for":"PT8H"}`))
	if err != nil {
		t.Fatal(err)
	}

	if got := fmt.Sprintf("%v %s %t", states, window.Status, stack.Segura.Active(5)); got != "[true false] SUCCEEDED false" {
		t.Errorf("enabled before and after the end of the shorter one, the longer one's status, enabled: got %s", got)
	}
}

func TestWindow_namesItselfAndTheReasonInTheAuditLog(t *testing.T) {
	stack := start(t, stage.Options{})
	input := `{"identifiers":[5],"for":"PT1H","reason":"` + strings.Repeat("ü", 256) + `"}`
	if _, _, err := windows(t, stack).Open(t.Context(), "5d2a8f0e", []byte(input)); err != nil {
		t.Fatal(err)
	}

	log := strings.Join(stack.Function(stage.Event).Logs(), "\n")

	if got := strings.Count(log, `"reason":"window 5d2a8f0e: üüü`); got != 2 {
		t.Errorf("audit lines with the window's name and reason: got %d, want 2", got)
	}
}

func TestWindow_aStoppedOneWhoseInputIsNotToldAsksForAHand(t *testing.T) {
	stack := start(t, stage.Options{})
	event := `{"source":"aws.states","detail":{"name":"w","status":"ABORTED","startDate":1,"stopDate":2,"inputDetails":{"included":false}}}`
	x, err := windows(t, stack).Run(t.Context(), "closing", []byte(event), statemachine.Services{Clock: &statemachine.SkippingClock{}})
	if err != nil {
		t.Fatal(err)
	}
	if x.Status != statemachine.Failed || x.Error != "Segura.WindowNotClosed" || !strings.Contains(x.Cause, "by hand") {
		t.Errorf("got %s %s %s, want it to fail and to ask for a hand", x.Status, x.Error, x.Cause)
	}
}
