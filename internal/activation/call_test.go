package activation_test

import (
	"strings"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"segura-enable/internal/activation"
	"segura-enable/internal/apisecret"
	"segura-enable/internal/segura"
	"segura-enable/internal/telemetry"
	"segura-enable/simulated/seguratest"
)

func TestRun_beginsNoMoreCallsASecondThanThePaceAllows(t *testing.T) {
	t.Parallel()
	w := newWorld(t, seguratest.Options{AnyIdentifier: true})
	w.runner.Pace = rate.NewLimiter(20, 1)
	began := time.Now()

	w.enable(t.Context(), span(1000, 1004)...)
	w.enable(t.Context(), span(1005, 1010)...)

	if took := time.Since(began); took < 500*time.Millisecond {
		t.Errorf("got 11 calls in %s, want half a second or more", took)
	}
}

// Calls that waited for one token do not begin together.
func TestRun_keepsThePaceWhereTheTokenIsLate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, seguratest.Options{AnyIdentifier: true})
	w.runner.Pace = rate.NewLimiter(20, 1)
	w.Fail(tokenCalls, seguratest.Normally().After(500*time.Millisecond), 1)
	asked := make(chan time.Time, 8)
	w.Fail(seguratest.Match{Kind: seguratest.KindEnable, When: func(seguratest.Request) bool { asked <- time.Now(); return false }}, seguratest.Normally(), -1)

	w.enable(t.Context(), span(1000, 1007)...)

	if took := time.Since(<-asked); len(asked) != 7 || took < 250*time.Millisecond {
		t.Errorf("got %d calls more within %s of the first, want 7 in 250 ms or more", len(asked), took)
	}
}

// A token that is late does not have a call begun past its limit.
func TestCall_beginsNothingPastItsLimitWhereTheTokenIsLate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, seguratest.Options{AnyIdentifier: true})
	w.Fail(tokenCalls, seguratest.Normally().After(300*time.Millisecond), 1)

	done := w.runner.Call(t.Context(), []activation.Call{{Action: apisecret.Enable, Identifier: 1000, Before: time.Now().Add(150 * time.Millisecond)}})

	if e := done[0].Item.Error; e == nil || e.Code != apisecret.DeadlineExceeded || done[0].Item.Attempts != 0 || w.Count(seguratest.KindEnable) != 0 {
		t.Errorf("got %+v after %d calls, want none", done[0], w.Count(seguratest.KindEnable))
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
		w.runner.Retry = segura.Retry{MaxAttempts: 2}
		w.Fail(enableCalls, row.fault, 1)

		done := w.runner.Call(t.Context(), []activation.Call{{Action: apisecret.Enable, Identifier: 1000, Origin: telemetry.Origin{Source: "window"}}})

		if done[0].Open != row.want {
			t.Errorf("%s: got %+v, want open: %t", name, done[0], row.want)
		}
	}
}

func TestCall_beginsNothingAtItsLimitAndIsSilentThen(t *testing.T) {
	t.Parallel()
	w := newWorld(t, seguratest.Options{AnyIdentifier: true})
	w.runner.Allowed = apisecret.Set{}
	origin := telemetry.Origin{Source: "window", Window: "w1", Caller: "alice"}

	done := w.runner.Call(t.Context(), []activation.Call{
		{Action: apisecret.Enable, Identifier: 1000, Origin: origin, Before: time.Now().Add(-time.Millisecond)},
		{Action: apisecret.Enable, Identifier: 1001, Origin: origin, Before: time.Now().Add(time.Minute), Reason: "CHG1"},
		{Action: apisecret.Enable, Identifier: 1002, Origin: origin, Loud: func(apisecret.Item) bool { return false }},
	})

	if e := done[0].Item.Error; e == nil || e.Code != apisecret.DeadlineExceeded || done[0].Item.Attempts != 0 || done[0].Open {
		t.Errorf("got %+v", done[0])
	}
	if done[1].Item.Outcome != apisecret.Enabled || done[2].Item.Outcome != apisecret.Enabled {
		t.Errorf("got %+v", done[1:])
	}
	if got := w.audit.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "1001") || !strings.Contains(got, "w1") || !strings.Contains(got, "alice") {
		t.Errorf("got the audit lines %s", got)
	}
}

func TestCall_disablesWhatTheAllowListLacksWhereItIsToldTo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, seguratest.Options{AnyIdentifier: true})
	w.runner.Allowed, _ = apisecret.ParseSet("1-9")

	done := w.runner.Call(t.Context(), []activation.Call{
		{Action: apisecret.Disable, Identifier: 1000, Unrestricted: true}, {Action: apisecret.Enable, Identifier: 1000},
	})

	if done[0].Item.Error != nil || done[1].Item.Error == nil || done[1].Item.Error.Code != apisecret.NotAllowed {
		t.Errorf("got %+v", done)
	}
}
