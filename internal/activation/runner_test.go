package activation_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"segura-enable/internal/activation"
	"segura-enable/internal/apisecret"
	"segura-enable/internal/telemetry"
	"segura-enable/simulated/seguratest"
	"segura-enable/simulated/stage"
)

func TestRun_servesEachAndKeepsTheOrder(t *testing.T) {
	t.Parallel()
	for action, want := range map[apisecret.Action][]summary{
		apisecret.Enable: {
			done(100, apisecret.Enabled, 1), failed(7, 1, apisecret.NotFound, false), done(6, apisecret.AlreadyEnabled, 1),
			done(5, apisecret.Enabled, 1), failed(8, 1, apisecret.AccessDenied, false), done(101, apisecret.Enabled, 1),
		},
		apisecret.Disable: {done(5, apisecret.AlreadyDisabled, 1), done(6, apisecret.Disabled, 1), failed(7, 1, apisecret.NotFound, false)},
	} {
		w := newWorld(t, seguratest.Options{})
		request := apisecret.Request{Action: action}
		for _, one := range want {
			request.Identifiers = append(request.Identifiers, one.identifier)
		}

		result := w.Runner.Run(t.Context(), request, telemetry.Origin{Source: "api"})

		w.requireItems(t, result, want...)
		if isOn := action == apisecret.Enable; w.Active(5) != isOn || w.Active(6) != isOn || len(w.PasswordsEnabled()) > 0 {
			t.Errorf("%s: got the states %v and the passwords %v", action, w.States(), w.PasswordsEnabled())
		}
	}
}

func TestRun_hasNoMoreCallsInFlightThanAllowed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, seguratest.Options{AnyIdentifier: true, Latency: seguratest.Latency{Call: 5 * time.Millisecond}})
	w.Runner.Concurrency = 3
	all := make(chan struct{})
	w.Fail(enableCalls, seguratest.Normally().Until(all), 3) // the first ones, each until all of them are there
	w.Fail(enableCalls, seguratest.Gateway502(), 20)         // calls that are repeated count too
	go func() {
		defer close(all)
		_ = w.Await(t.Context(), seguratest.KindEnable, 3)
	}()

	w.enable(t.Context(), span(1000, 1029)...)

	if got := w.Peak(seguratest.KindEnable); got != 3 {
		t.Errorf("got %d calls at once, want 3", got)
	}
}

func TestRun_sendsNothingForAnIdentifierThatIsNotAllowed(t *testing.T) {
	t.Parallel()
	for _, action := range []apisecret.Action{apisecret.Enable, apisecret.Disable} {
		w := newWorld(t, seguratest.Options{AnyIdentifier: true})
		w.Runner.Allowed, _ = apisecret.ParseSet("5,100-104")
		run := func(identifiers ...apisecret.Identifier) apisecret.Result {
			return w.Runner.Run(t.Context(), apisecret.Request{Action: action, Identifiers: identifiers}, telemetry.Origin{Source: "api"})
		}

		none := run(105, 6)
		asked, _ := w.Source.Counts()
		requests := w.Count("")
		some := run(99, 5, 1, 100)
		unrestricted := w.Runner.Call(t.Context(), []activation.Call{{Action: action, Identifier: 9, Unrestricted: true}})

		w.requireItems(t, none, failed(105, 0, apisecret.NotAllowed, false), failed(6, 0, apisecret.NotAllowed, false))
		if asked > 0 || requests > 0 {
			t.Errorf("%s: got the AWS secret asked for %d times and %d requests, where nothing is allowed", action, asked, requests)
		}
		if some.Count(apisecret.Failed) != 2 || unrestricted[0].Item.Error != nil || w.Count("") != 4 {
			t.Errorf("%s: got %+v, %+v and the calls %s; want 5, 100 and 9", action, some, unrestricted, w.Calls())
		}
	}
}

func TestRun_repeatsACallAgainstTransientFaultsOnly(t *testing.T) {
	t.Parallel()
	type faults = []seguratest.Fault
	bad, silent, missing := seguratest.Gateway503(), seguratest.Gateway504(), seguratest.NotFound1005()
	for name, row := range map[string]struct {
		faults faults
		want   summary
	}{
		"three times":           {faults{bad, bad, bad}, done(5, apisecret.Enabled, 4)},
		"four times":            {faults{bad, bad, bad, bad}, failed(5, 4, apisecret.UpstreamError, true)},
		"one after another":     {faults{silent, seguratest.CutShort(), seguratest.CloseConnection()}, done(5, apisecret.Enabled, 4)},
		"the last one tells":    {faults{bad, bad, bad, silent}, failed(5, 4, apisecret.UpstreamTimeout, true)},
		"one that lasts":        {faults{missing}, failed(5, 1, apisecret.NotFound, false)},
		"and then one lasts":    {faults{bad, missing}, failed(5, 2, apisecret.NotFound, false)},
		"the reply alone fails": {faults{silent.AfterApplying()}, done(5, apisecret.AlreadyEnabled, 2)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, seguratest.Options{})
			for _, fault := range row.faults {
				w.Fail(enableCalls, fault, 1)
			}

			result := w.enable(t.Context(), 5)

			w.requireItems(t, result, row.want)
			if got := w.Count(seguratest.KindEnable); got != row.want.attempts || w.FaultsLeft() > 0 {
				t.Errorf("got %d calls with %d faults left", got, w.FaultsLeft())
			}
		})
	}
}

func TestRun_waitsWithAllWhenTheGatewayAsksOneToWait(t *testing.T) {
	t.Parallel()
	w := newWorld(t, seguratest.Options{AnyIdentifier: true})
	w.Runner.Concurrency = 2
	w.Fail(callsFor(1000), seguratest.Gateway429().WithHeader("Retry-After", "2"), 1)
	w.Fail(callsFor(1001), seguratest.Normally().After(500*time.Millisecond), 1) // so that the other worker is busy meanwhile

	result := w.enable(t.Context(), span(1000, 1039)...)

	if got := result.Count(apisecret.Enabled); got != 40 || result.Items[0].Attempts != 2 {
		t.Fatalf("got %d enabled: %+v", got, result.Items[0])
	}
	calls := w.Requests(seguratest.KindEnable)
	limited := calls[slices.IndexFunc(calls, func(r seguratest.Request) bool { return r.Status == 429 })].Time
	for _, call := range calls {
		if since := call.Time.Sub(limited); since > 0 && since < 2*time.Second && call.Identifier != 1001 { // which was on its way
			t.Errorf("got a call for %d only %s after the gateway asked for two seconds", call.Identifier, since)
		}
	}
}

func TestRun_triesEachAllTheSameWhereTheWaitWouldOutlastTheDeadline(t *testing.T) {
	t.Parallel()
	w := newWorld(t, seguratest.Options{AnyIdentifier: true})
	w.Fail(callsFor(1000), seguratest.Gateway429().WithHeader("Retry-After", "60"), 1)
	ctx := withDeadlineOf(t, 30*time.Second)

	result := w.enable(ctx, span(1000, 1019)...)

	w.requireItems(t, result, append([]summary{failed(1000, 1, apisecret.RateLimited, true)}, each(span(1001, 1019), done(0, apisecret.Enabled, 1))...)...)
	if got := result.Items[0].Error.RetryAfter; got != time.Minute {
		t.Errorf("got a wait of %s to tell the caller, want a minute", got)
	}
}

func TestRun_endsBeforeItsDeadline(t *testing.T) {
	t.Parallel()
	w := newWorld(t, seguratest.Options{AnyIdentifier: true})
	w.Fail(enableCalls, seguratest.Hang(), -1)
	ctx := withDeadlineOf(t, 4*time.Second)

	result := w.enable(ctx, span(1000, 1029)...)

	tried, untried := failed(0, 1, apisecret.DeadlineExceeded, true), failed(0, 0, apisecret.DeadlineExceeded, true)
	w.requireItems(t, result, append(each(span(1000, 1007), tried), each(span(1008, 1029), untried)...)...)
	if ctx.Err() != nil {
		t.Errorf("it did not end by itself")
	}
}

func TestRun_tellsAnIdentifiersOwnFaultWhereTimeRunsOutOverIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, seguratest.Options{})
	w.Fail(enableCalls, seguratest.Gateway503(), 1)
	w.Fail(enableCalls, seguratest.Hang(), -1)

	result := w.enable(withDeadlineOf(t, 4*time.Second), 5)

	w.requireItems(t, result, failed(5, 2, apisecret.UpstreamError, true))
}

func TestRun_doesNothingInAContextThatHasEnded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, seguratest.Options{})
	ended, cancel := context.WithCancel(t.Context())
	cancel()

	result := w.enable(ended, 5, 6)

	w.requireItems(t, result, failed(5, 0, apisecret.DeadlineExceeded, true), failed(6, 0, apisecret.DeadlineExceeded, true))
	if got := w.Count(""); got > 0 {
		t.Errorf("got %d requests", got)
	}
}

func TestRun_turnsAPanicIntoAFailureOfEachIdentifier(t *testing.T) {
	t.Parallel()
	w := newWorld(t, seguratest.Options{})
	w.Source.Before = func() { panic("MARKER") }

	result := w.enable(t.Context(), 5, 6, 7)
	w.Source.Before = nil
	next := w.enable(t.Context(), 100)

	w.requireItems(t, result, each(span(5, 7), failed(0, 0, apisecret.InternalError, false))...)
	w.requireItems(t, next, done(100, apisecret.Enabled, 1))
	if log := w.Log.String() + w.Audit.String(); strings.Contains(log, "MARKER") || strings.Count(log, "runner_test.go") != 3 {
		t.Errorf("got the log %.300s, want where it happened and no value", log)
	}
}

func TestLogPanic_tellsTheRuntimesWordsOnly(t *testing.T) {
	for name, row := range map[string]struct {
		panics func()
		want   string
	}{
		"an error":         {func() { panic(errors.New("MARKER error")) }, "*errors.errorString"},
		"a struct":         {func() { panic(struct{ Secret string }{"MARKER"}) }, "struct { Secret string }"},
		"the Go runtime's": {func() { _ = t.Name()[1000] }, "runtime error: index out of range"},
	} {
		var b stage.Buffer
		func() {
			defer func() { activation.LogPanic(t.Context(), slog.New(slog.NewJSONHandler(&b, nil)), recover()) }()
			row.panics()
		}()

		if got := b.String(); strings.Contains(got, "MARKER") || !strings.Contains(got, `"cause":"`+row.want) || !strings.Contains(got, "runner_test.go") {
			t.Errorf("%s: got %s, want %q, where it happened and no value", name, got, row.want)
		}
	}
}

func TestRun_auditsWhatItKnowsOfEachIdentifier(t *testing.T) {
	t.Parallel()
	w := newWorld(t, seguratest.Options{})
	w.Fail(callsFor(6), seguratest.Normally().After(time.Second), 1)
	request := apisecret.Request{Action: apisecret.Enable, Identifiers: []apisecret.Identifier{6}, Reason: "CHG0012345"}

	w.Runner.Run(t.Context(), request, telemetry.Origin{Source: "event", Caller: "alice", EventSource: "aws.events", EventID: "id-1"})

	got := w.auditLines(t)[6.0][0]
	for key, want := range map[string]any{
		"source": "event", "action": "enable", "reason": "CHG0012345", "caller": "alice", "event_source": "aws.events", "event_id": "id-1",
		"http_status": 200.0, "upstream_message": "Api secret has already been activated", "upstream_request_id": w.Requests(seguratest.KindEnable)[0].ID,
	} {
		if got[key] != want {
			t.Errorf("%s: got %v, want %v", key, got[key], want)
		}
	}
	if took, _ := got["duration_ms"].(float64); took < 1000 {
		t.Errorf("got %v ms, want 1000 or more", took)
	}
}
