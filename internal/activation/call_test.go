package activation_test

import (
	"strings"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"segura-enable/internal/activation"
	"segura-enable/internal/apisecret"
	"segura-enable/internal/telemetry"
	"segura-enable/simulated/seguratest"
)

// Calls that waited for one token do not begin together either.
func TestRun_beginsNoMoreCallsASecondThanThePaceAllows(t *testing.T) {
	t.Parallel()
	w := newWorld(t, seguratest.Options{AnyIdentifier: true})
	w.Runner.Pace = rate.NewLimiter(20, 1)
	w.Fail(tokenCalls, seguratest.Normally().After(500*time.Millisecond), 1)
	asked := make(chan time.Time, 12)
	w.Fail(seguratest.Match{Kind: seguratest.KindEnable, When: func(seguratest.Request) bool { asked <- time.Now(); return false }}, seguratest.Normally(), -1)

	w.enable(t.Context(), span(1000, 1007)...)
	w.enable(t.Context(), span(1008, 1011)...)

	if took := time.Since(<-asked); len(asked) != 11 || took < 450*time.Millisecond {
		t.Errorf("got %d calls more within %s of the first, want 11 in half a second or more", len(asked), took)
	}
}

func TestCall_saysWhichCallsMayStillHaveAnEffect(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		fault seguratest.Fault
		want  bool
	}{
		"enabled": {seguratest.Normally(), false}, "not found": {seguratest.NotFound1005(), false}, "denied": {seguratest.AccessDenied1006(), false},
		"too many": {seguratest.Gateway429(), false}, "token refused": {seguratest.TokenRefused(seguratest.RefusedByGateway), false},
		"gateway timeout": {seguratest.Gateway504(), true}, "gateway error": {seguratest.Gateway502(), true}, "error": {seguratest.Unexpected500(), true},
		"reset": {seguratest.ResetMidBody(), true}, "garbage": {seguratest.Binary(), true}, "cut short": {seguratest.CutShort(), true},
	} {
		w := newWorld(t, seguratest.Options{AnyIdentifier: true})
		w.Runner.Retry.MaxAttempts = 2
		w.Fail(enableCalls, row.fault, 1)

		done := w.Runner.Call(t.Context(), []activation.Call{{Action: apisecret.Enable, Identifier: 1000, Origin: telemetry.Origin{Source: "window"}}})

		if done[0].Open != row.want {
			t.Errorf("%s: got %+v, want open: %t", name, done[0], row.want)
		}
	}
}

func TestCall_beginsNothingAtItsLimitAndIsSilentThen(t *testing.T) {
	t.Parallel()
	w := newWorld(t, seguratest.Options{AnyIdentifier: true})
	w.Fail(tokenCalls, seguratest.Normally().After(300*time.Millisecond), 1)
	origin := telemetry.Origin{Source: "window", Window: "w1", Caller: "alice"}

	got := w.Runner.Call(t.Context(), []activation.Call{
		{Action: apisecret.Enable, Identifier: 1000, Origin: origin, Before: time.Now().Add(-time.Millisecond)},
		{Action: apisecret.Enable, Identifier: 1001, Origin: origin, Before: time.Now().Add(150 * time.Millisecond)}, // when there is no token yet
		{Action: apisecret.Enable, Identifier: 1002, Origin: origin, Before: time.Now().Add(time.Minute), Reason: "CHG1"},
		{Action: apisecret.Enable, Identifier: 1003, Origin: origin, Audited: func(apisecret.Item) bool { return false }},
	})

	late := apisecret.DeadlineExceeded
	for at, want := range []summary{failed(1000, 0, late, true), failed(1001, 0, late, true), done(1002, apisecret.Enabled, 1), done(1003, apisecret.Enabled, 1)} {
		if summarize(got[at].Item) != want || got[at].Open {
			t.Errorf("got %+v, want %+v", got[at], want)
		}
	}
	if w.Count(seguratest.KindEnable) != 2 {
		t.Errorf("got the calls %s", w.Calls())
	}
	if got := w.Audit.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "1002") || !strings.Contains(got, "w1") || !strings.Contains(got, "alice") {
		t.Errorf("got the audit lines %s", got)
	}
}

func TestCall_survivesAPanicInTellingOfACall(t *testing.T) {
	t.Parallel()
	w := newWorld(t, seguratest.Options{AnyIdentifier: true})

	got := w.Runner.Call(t.Context(), []activation.Call{
		{Action: apisecret.Enable, Identifier: 1000, Audited: func(apisecret.Item) bool { panic("MARKER") }},
		{Action: apisecret.Enable, Identifier: 1001},
	})

	for at, want := range []summary{failed(1000, 1, apisecret.InternalError, false), done(1001, apisecret.Enabled, 1)} {
		if summarize(got[at].Item) != want || got[at].Open {
			t.Errorf("got %+v, want %+v", got[at], want)
		}
	}
}
