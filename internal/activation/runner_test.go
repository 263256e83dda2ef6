package activation_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"segura-enable/internal/activation"
	"segura-enable/internal/apisecret"
	"segura-enable/internal/segura"
	"segura-enable/internal/telemetry"
	"segura-enable/simulated/seguratest"
)

func TestRun_enablesEachAndKeepsTheOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t, seguratest.Options{})

	result := w.enable(t.Context(), 100, 7, 6, 5, 8, 101)

	w.requireItems(t, result,
		done(100, apisecret.Enabled, 1), failed(7, 1, apisecret.NotFound, false), done(6, apisecret.AlreadyEnabled, 1),
		done(5, apisecret.Enabled, 1), failed(8, 1, apisecret.AccessDenied, false), done(101, apisecret.Enabled, 1))
	if !w.Active(5) || !w.Active(100) || !w.Active(101) || w.Active(8) || len(w.PasswordsEnabled()) > 0 {
		t.Errorf("got the states %v and the passwords %v", w.States(), w.PasswordsEnabled())
	}
}

func TestRun_disables(t *testing.T) {
	t.Parallel()
	w := newWorld(t, seguratest.Options{})

	result := w.runner.Run(t.Context(), apisecret.Request{Action: apisecret.Disable, Identifiers: []apisecret.Identifier{5, 6, 7}}, telemetry.Origin{Source: "api"})

	w.requireItems(t, result, done(5, apisecret.AlreadyDisabled, 1), done(6, apisecret.Disabled, 1), failed(7, 1, apisecret.NotFound, false))
	if w.Active(6) || w.Count(seguratest.KindEnable) > 0 {
		t.Errorf("6 is active: %t, after %d calls that enable", w.Active(6), w.Count(seguratest.KindEnable))
	}
}

func TestRun_keepsTheOrderOfMany(t *testing.T) {
	t.Parallel()
	w := newWorld(t, seguratest.Options{AnyIdentifier: true, Latency: seguratest.Latency{Jitter: 3 * time.Millisecond}})
	identifiers := span(1000, 1399)
	rand.New(rand.NewPCG(5, 6)).Shuffle(len(identifiers), func(a, b int) { identifiers[a], identifiers[b] = identifiers[b], identifiers[a] })

	result := w.enable(t.Context(), identifiers...)

	for at, item := range result.Items {
		if item.Identifier != identifiers[at] || item.Outcome != apisecret.Enabled {
			t.Fatalf("item %d: got %+v, want %d enabled", at, item, identifiers[at])
		}
	}
	w.requireAudit(t, result)
	if got := w.Count(seguratest.KindToken); got != 1 {
		t.Errorf("got %d token calls, want 1", got)
	}
}

func TestRun_hasNoMoreCallsInFlightThanAllowed(t *testing.T) {
	t.Parallel()
	for _, concurrency := range []int{1, 3} {
		w := newWorld(t, seguratest.Options{AnyIdentifier: true, Latency: seguratest.Latency{Call: 5 * time.Millisecond}})
		w.runner.Concurrency = concurrency
		all := make(chan struct{})
		w.Fail(enableCalls, seguratest.Normally().Until(all), concurrency) // the first ones, each until all of them are there
		for i := range int64(30) {                                         // calls that are repeated count too
			w.Fail(callsFor(1000+i), seguratest.Gateway502(), 1)
		}
		go func() {
			defer close(all)
			_ = w.Await(t.Context(), seguratest.KindEnable, concurrency)
		}()

		w.enable(t.Context(), span(1000, 1029)...)

		if got := w.Peak(seguratest.KindEnable); got != concurrency {
			t.Errorf("got %d calls at once, want %d", got, concurrency)
		}
	}
}

func TestRun_sendsNothingForAnIdentifierThatIsNotAllowed(t *testing.T) {
	t.Parallel()
	for _, action := range []apisecret.Action{apisecret.Enable, apisecret.Disable} {
		w := newWorld(t, seguratest.Options{})
		w.runner.Allowed, _ = apisecret.ParseSet("5,100-104")

		result := w.runner.Run(t.Context(), apisecret.Request{Action: action, Identifiers: []apisecret.Identifier{105, 5, 6, 100}}, telemetry.Origin{Source: "api"})

		got := []summary{summarize(result.Items[0]), summarize(result.Items[2])}
		if want := []summary{failed(105, 0, apisecret.NotAllowed, false), failed(6, 0, apisecret.NotAllowed, false)}; !slices.Equal(got, want) {
			t.Errorf("%s: got %+v, want %+v", action, got, want)
		}
		if result.Count(apisecret.Failed) != 2 || w.CountFor(seguratest.KindEnable, 105)+w.CountFor(seguratest.KindEnable, 6)+w.CountFor(seguratest.KindDisable, 6) > 0 {
			t.Errorf("%s: got %+v", action, result)
		}
		w.requireAudit(t, result)
	}
}

func TestRun_asksForNoTokenWhereNothingIsAllowed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, seguratest.Options{})
	w.runner.Allowed, _ = apisecret.ParseSet("1")

	w.enable(t.Context(), 5, 6)

	if asked, _ := w.vault.counts(); asked > 0 || w.Count("") > 0 {
		t.Errorf("got the AWS secret asked for %d times and %d requests", asked, w.Count(""))
	}
}

func TestRun_repeatsACallAgainstTransientFaultsOnly(t *testing.T) {
	t.Parallel()
	again := func(f seguratest.Fault, n int) []seguratest.Fault { return slices.Repeat([]seguratest.Fault{f}, n) }
	for _, row := range []struct {
		name   string
		faults []seguratest.Fault
		want   summary
	}{
		{"no fault", nil, done(5, apisecret.Enabled, 1)},
		{"502", again(seguratest.Gateway502(), 1), done(5, apisecret.Enabled, 2)},
		{"503 three times", again(seguratest.Gateway503(), 3), done(5, apisecret.Enabled, 4)},
		{"503 four times", again(seguratest.Gateway503(), 4), failed(5, 4, apisecret.UpstreamError, true)},
		{"one after another", []seguratest.Fault{seguratest.Gateway504(), seguratest.CutShort(), seguratest.CloseConnection()}, done(5, apisecret.Enabled, 4)},
		{"the last one tells", []seguratest.Fault{seguratest.Gateway503(), seguratest.Gateway503(), seguratest.Gateway503(), seguratest.Gateway504()}, failed(5, 4, apisecret.UpstreamTimeout, true)},
		{"final after transient", []seguratest.Fault{seguratest.Gateway503(), seguratest.NotFound1005()}, failed(5, 2, apisecret.NotFound, false)},
		{"a lost reply", []seguratest.Fault{seguratest.ResetMidBody().AfterApplying()}, done(5, apisecret.AlreadyEnabled, 2)},
		{"a reply cut short", []seguratest.Fault{seguratest.CutShort().AfterApplying()}, done(5, apisecret.AlreadyEnabled, 2)},
		{"a timeout at the gateway", []seguratest.Fault{seguratest.Gateway504().AfterApplying()}, done(5, apisecret.AlreadyEnabled, 2)},
		{"not found", again(seguratest.NotFound1005(), 1), failed(5, 1, apisecret.NotFound, false)},
		{"denied", again(seguratest.NotAuthorized(403), 1), failed(5, 1, apisecret.AccessDenied, false)},
		{"another object", again(seguratest.PasswordActivated(), 1), failed(5, 1, apisecret.UnexpectedResponse, false)},
		{"a web page", again(seguratest.HTML(200), 1), failed(5, 1, apisecret.UnexpectedResponse, false)},
		{"500 once", again(seguratest.Unexpected500(), 1), done(5, apisecret.Enabled, 2)},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, seguratest.Options{})
			for _, fault := range row.faults {
				w.Fail(enableCalls, fault, 1)
			}

			result := w.enable(t.Context(), 5)

			w.requireItems(t, result, row.want)
			if got := w.CountFor(seguratest.KindEnable, 5); got != row.want.attempts || w.FaultsLeft() > 0 {
				t.Errorf("got %d calls with %d faults left", got, w.FaultsLeft())
			}
		})
	}
}

func TestRun_makesOneAttemptWhereOneIsAllowed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, seguratest.Options{})
	w.runner.Retry = segura.Retry{MaxAttempts: 1}
	w.Fail(enableCalls, seguratest.Gateway503(), 1)

	result := w.enable(t.Context(), 5)

	w.requireItems(t, result, failed(5, 1, apisecret.UpstreamError, true))
}

func TestRun_waitsWithAllWhenTheGatewayAsksOneToWait(t *testing.T) {
	t.Parallel()
	w := newWorld(t, seguratest.Options{AnyIdentifier: true})
	w.runner.Concurrency = 2
	w.Fail(callsFor(1000), seguratest.Gateway429().WithHeader("Retry-After", "2"), 1)
	w.Fail(callsFor(1001), seguratest.Normally().After(500*time.Millisecond), 1) // so that the other worker is busy meanwhile

	result := w.enable(t.Context(), span(1000, 1039)...)

	if got := result.Count(apisecret.Enabled); got != 40 || result.Items[0].Attempts != 2 {
		t.Fatalf("got %d enabled: %+v", got, result.Items[0])
	}
	calls := w.Requests(seguratest.KindEnable)
	limited := calls[slices.IndexFunc(calls, func(r seguratest.Request) bool { return r.Status == 429 })].Time
	for _, call := range calls {
		since := call.Time.Sub(limited)
		onItsWay := call.Identifier == 1001
		if since > 0 && since < 2*time.Second && !onItsWay {
			t.Errorf("got a call for %d only %s after the gateway asked for two seconds", call.Identifier, since)
		}
	}
}

func TestRun_triesEachAllTheSameWhereTheWaitWouldOutlastTheDeadline(t *testing.T) {
	t.Parallel()
	w := newWorld(t, seguratest.Options{AnyIdentifier: true})
	w.Fail(callsFor(1000), seguratest.Gateway429().WithHeader("Retry-After", "60"), 1)
	const left = 30 * time.Second
	ctx := withDeadlineOf(t, left)
	began := time.Now()

	result := w.enable(ctx, span(1000, 1019)...)

	if got, want := summarize(result.Items[0]), failed(1000, 1, apisecret.RateLimited, true); got != want || result.Count(apisecret.Enabled) != 19 {
		t.Errorf("got %+v and %d enabled, want %+v and 19", got, result.Count(apisecret.Enabled), want)
	}
	if took := time.Since(began); took > left/2 {
		t.Errorf("took %s of %s", took, left)
	}
	if got := result.Items[0].Error.RetryAfter; got != 60*time.Second {
		t.Errorf("got a wait of %s to tell the caller, want a minute", got)
	}
}

func TestRun_endsBeforeItsDeadline(t *testing.T) {
	t.Parallel()
	w := newWorld(t, seguratest.Options{AnyIdentifier: true})
	w.Fail(enableCalls, seguratest.Hang(), -1)
	ctx := withDeadlineOf(t, 4*time.Second)

	result := w.enable(ctx, span(1000, 1029)...)

	if ctx.Err() != nil {
		t.Errorf("it did not end by itself")
	}
	for at, item := range result.Items {
		if item.Error == nil || item.Error.Code != apisecret.DeadlineExceeded || !item.Error.Retryable || item.Attempts > 1 || (item.Attempts == 1) != (at < 8) {
			t.Errorf("got %+v (%v), want deadline_exceeded, the first 8 with an attempt", item, item.Error)
		}
	}
	w.requireAudit(t, result)
}

func TestRun_tellsAnIdentifiersOwnFaultWhereTimeRunsOutOverIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, seguratest.Options{})
	w.Fail(enableCalls, seguratest.Gateway503(), 1)
	w.Fail(enableCalls, seguratest.Hang(), -1)
	ctx := withDeadlineOf(t, 4*time.Second)

	result := w.enable(ctx, 5)

	w.requireItems(t, result, failed(5, 2, apisecret.UpstreamError, true))
}

func TestRun_doesNothingInAContextThatHasEnded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, seguratest.Options{})
	ended, cancel := context.WithCancel(t.Context())
	cancel()

	result := w.enable(ended, 5, 6)

	for _, item := range result.Items {
		if item.Error == nil || item.Error.Code != apisecret.DeadlineExceeded || item.Attempts != 0 {
			t.Errorf("got %+v (%v), want deadline_exceeded without an attempt", item, item.Error)
		}
	}
	w.requireAudit(t, result)
	if got := w.Count(seguratest.KindEnable); got > 0 {
		t.Errorf("got %d calls", got)
	}
}

func TestRun_turnsAPanicIntoAFailureOfEachIdentifier(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		value any
		says  string // in the log
	}{
		"a text":           {"MARKER text", "string"},
		"an error":         {errors.New("MARKER error"), "*errors.errorString"},
		"a struct":         {struct{ Secret string }{"MARKER"}, "struct"},
		"the Go runtime's": {runtimeError(), "index out of range"},
	} {
		w := newWorld(t, seguratest.Options{})
		w.vault.panics = row.value

		result := w.enable(t.Context(), 5, 6, 7)

		w.requireItems(t, result, failed(5, 0, apisecret.InternalError, false), failed(6, 0, apisecret.InternalError, false), failed(7, 0, apisecret.InternalError, false))
		if log := w.log.String(); strings.Contains(log, "MARKER") || !strings.Contains(log, row.says) || !strings.Contains(log, "helpers_test.go") {
			t.Errorf("%s: got the log %.300s, want where it happened, %q and no value", name, log, row.says)
		}
		if got := fmt.Sprint(result.Items[0].Error); strings.Contains(got, "MARKER") {
			t.Errorf("%s: got %s", name, got)
		}
	}
}

// runtimeError is a panic's value of the Go runtime's own.
func runtimeError() (value any) {
	defer func() { value = recover() }()
	list := []int{}
	return list[len(list)]
}

func TestRun_goesOnAfterAPanic(t *testing.T) {
	t.Parallel()
	w := newWorld(t, seguratest.Options{})
	w.vault.panics = "once"
	w.enable(t.Context(), 100)
	w.vault.panics = nil

	result := w.enable(t.Context(), 5)

	w.requireItems(t, result, done(5, apisecret.Enabled, 1))
}

func TestLogPanic_tellsTheRuntimesWordsOnly(t *testing.T) {
	var b bytes.Buffer
	log := slog.New(slog.NewJSONHandler(&b, nil))

	activation.LogPanic(t.Context(), log, fmt.Errorf("wrapped: %w", errors.New("MARKER")))
	activation.LogPanic(t.Context(), log, runtimeError())

	if got := b.String(); strings.Contains(got, "MARKER") || !strings.Contains(got, "index out of range") || !strings.Contains(got, "*fmt.wrapError") || strings.Count(got, `"stack"`) != 2 {
		t.Errorf("got %s", got)
	}
}

func TestRun_auditsWhatItKnowsOfEachIdentifier(t *testing.T) {
	t.Parallel()
	w := newWorld(t, seguratest.Options{})
	origin := telemetry.Origin{Source: "event", Caller: "arn:aws:events:eu-west-1:123456789012:rule/x", EventSource: "aws.events", EventID: "id-1"}

	w.runner.Run(t.Context(), apisecret.Request{Action: apisecret.Enable, Identifiers: []apisecret.Identifier{7, 6}, Reason: "CHG0012345"}, origin)

	lines := w.auditLines(t)
	slices.SortFunc(lines, func(a, b map[string]any) int { return int(a["identifier"].(float64) - b["identifier"].(float64)) })
	calls := w.Requests(seguratest.KindEnable)
	slices.SortFunc(calls, func(a, b seguratest.Request) int { return int(a.Identifier - b.Identifier) })
	for at, want := range []map[string]any{
		{"identifier": 6.0, "outcome": "already_enabled", "attempts": 1.0, "http_status": 200.0, "upstream_message": "Api secret has already been activated", "upstream_request_id": calls[0].ID},
		{
			"identifier": 7.0, "outcome": "failed", "attempts": 1.0, "http_status": 400.0, "code": "not_found", "segura_code": 1005.0,
			"upstream_message": "1005: Api secret not found", "upstream_request_id": calls[1].ID,
		},
	} {
		for key, value := range map[string]any{
			"source": "event", "action": "enable", "reason": "CHG0012345", "caller": origin.Caller, "event_source": "aws.events", "event_id": "id-1", "level": "INFO", "message": "audit",
		} {
			want[key] = value
		}
		for key, value := range want {
			if got := lines[at][key]; got != value {
				t.Errorf("line %d, %s: got %v, want %v", at, key, got, value)
			}
		}
		if _, ok := lines[at]["duration_ms"].(float64); !ok {
			t.Errorf("line %d: got %v, want duration_ms", at, lines[at])
		}
	}
}

func TestRun_auditsHowLongEachIdentifierTook(t *testing.T) {
	t.Parallel()
	w := newWorld(t, seguratest.Options{AnyIdentifier: true})
	w.Fail(callsFor(1000), seguratest.Normally().After(2*time.Second), 1)

	w.enable(t.Context(), 1000, 1001)

	took := map[any]float64{}
	for _, line := range w.auditLines(t) {
		took[line["identifier"]], _ = line["duration_ms"].(float64)
	}
	if slow, fast := took[1000.0], took[1001.0]; slow < 2000 || fast >= slow {
		t.Errorf("got %v ms and %v ms, want 2000 or more, and less", slow, fast)
	}
}

// Not in parallel with others, whose goroutines would be counted.
func TestRun_leavesNoGoroutineBehind(t *testing.T) {
	w := newWorld(t, seguratest.Options{AnyIdentifier: true})
	w.enable(t.Context(), span(1, 20)...)
	before := runtime.NumGoroutine()

	for range 50 {
		w.enable(t.Context(), span(1, 20)...)
	}

	const few = 20 // of connections that come and go
	after := runtime.NumGoroutine()
	for range 500 {
		if after <= before+few {
			return
		}
		time.Sleep(10 * time.Millisecond)
		after = runtime.NumGoroutine()
	}
	t.Errorf("got %d goroutines after 50 requests, and %d before", after, before)
}
