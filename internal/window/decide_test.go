package window

import (
	"testing"
	"time"

	"segura-enable/internal/activation"
	"segura-enable/internal/apisecret"
	"segura-enable/internal/telemetry"
)

func TestDecide_aCallIsForTheWindowThatEndedLast(t *testing.T) {
	const now, actor = 100, "me"
	list := []apisecret.Identifier{5}
	closed, later := Opened("A", 1, 1000, list), Opened("B", 1, 90, list)
	closed.Ended = &Change{At: 50, By: "bob"}
	for _, w := range []*Window{&closed, &later} {
		w.Over, w.Begun, w.Leases[0].State = true, true, Enabled
		w.mark(Actor{ID: actor, LandBy: 200}, apisecret.Disable, list)
	}

	calls, _ := NewView([]Window{closed, later}).Decide(now, actor)

	if len(calls) != 1 || len(calls[0].Turns) != 2 || calls[0].Window.ID != "B" {
		t.Errorf("got %+v, want one call for both, for the sake of B", calls)
	}
}

func TestCall_isAskedForInTheNameOfWhoeverOpenedOrClosedItsWindow(t *testing.T) {
	w := Opened("A", 1, 1000, []apisecret.Identifier{5})
	w.OpenedBy, w.Reason = "alice", "CHG1"
	closed, quietly := w, w
	closed.Ended, quietly.Ended = &Change{By: "bob", Reason: "done"}, &Change{By: "bob"}
	origin := func(caller string) telemetry.Origin {
		return telemetry.Origin{Source: "window", Window: "A", Caller: caller}
	}
	soon := Instant(50).Time()
	for _, row := range []struct {
		call Call
		want activation.Call
	}{
		{Call{Window: &w, Before: 10}, activation.Call{Action: apisecret.Enable, Origin: origin("alice"), Reason: "CHG1", Before: Instant(10).Time()}},
		{Call{Window: &closed, Before: 1000}, activation.Call{Action: apisecret.Enable, Origin: origin("alice"), Reason: "CHG1", Before: soon}},
		{Call{Window: &w}, activation.Call{Action: apisecret.Disable, Origin: origin("alice"), Reason: "CHG1", Before: soon, Unrestricted: true}},
		{Call{Window: &closed}, activation.Call{Action: apisecret.Disable, Origin: origin("bob"), Reason: "done", Before: soon, Unrestricted: true}},
		{Call{Window: &quietly}, activation.Call{Action: apisecret.Disable, Origin: origin("bob"), Reason: "CHG1", Before: soon, Unrestricted: true}},
		{Call{}, activation.Call{Action: apisecret.Disable, Origin: telemetry.Origin{Source: "guard"}, Before: soon, Unrestricted: true}},
	} {
		row.call.Target = Target{5, row.want.Action}

		got := row.call.asked(1, soon, new(bool))

		if got.Action != row.want.Action || got.Identifier != 5 || got.Origin != row.want.Origin || got.Reason != row.want.Reason ||
			!got.Before.Equal(row.want.Before) || got.Unrestricted != row.want.Unrestricted {
			t.Errorf("%+v: got %+v, want %+v", row.call, got, row.want)
		}
	}
}

func TestCall_isToldOfWhenItsOutcomeChangesAndOnceAnHour(t *testing.T) {
	const told = 1000
	limited := apisecret.Item{Error: apisecret.NewError(apisecret.RateLimited, "")}
	for _, row := range []struct {
		name  string
		lease Lease
		after Instant // when it was last told of
		item  apisecret.Item
		want  bool
	}{
		{"the first fault", Lease{}, 1, limited, true},
		{"the same fault", Lease{Fault: &Fault{Code: apisecret.RateLimited}}, hour - 1, limited, false},
		{"the same fault, an hour later", Lease{Fault: &Fault{Code: apisecret.RateLimited}}, hour, limited, true},
		{"another fault", Lease{Fault: &Fault{Code: apisecret.UpstreamError}}, 1, limited, true},
		{"a success", Lease{Fault: &Fault{Code: apisecret.RateLimited}}, 1, apisecret.Item{}, true},
		{"a disabling that is repeated", Lease{Off: true}, 1, apisecret.Item{}, false},
	} {
		row.lease.Identifier, row.lease.Told = 5, told
		noted := false
		call := Call{Target: Target{5, apisecret.Disable}, Window: &Window{Leases: []Lease{row.lease}}}

		got := call.asked(told+row.after, time.Time{}, &noted).Audited(row.item)

		if got != row.want || noted != row.want {
			t.Errorf("%s: got %t and noted %t, want %t", row.name, got, noted, row.want)
		}
	}
}

func TestDecide_takesOverWithoutACallOnlyWhatIsSurelyEnabled(t *testing.T) {
	list := []apisecret.Identifier{5}
	kept := Window{ID: "A", From: 1, Until: 50, Begun: true, Over: true, Leases: []Lease{{Identifier: 5, State: Kept, Begun: true, Landed: true}}}
	for _, row := range []struct {
		name  string
		w     Window
		other func(*Window)
		want  bool
	}{
		{"what was kept, after an extension", kept.Extend(500), func(*Window) {}, true},
		{"a window that follows", Opened("A", 90, 500, list), func(b *Window) { b.Until = 90 }, true},
		{"a window that follows one that was closed", Opened("A", 90, 500, list), func(b *Window) { b.Until, b.Ended = 90, &Change{At: 90} }, false},
		{"a window beside another", Opened("A", 90, 500, list), func(*Window) {}, false},
		{"what may be undone", kept.Extend(500), func(b *Window) { b.Leases[0].Undone = true }, false},
		{"what is off", kept.Extend(500), func(b *Window) { b.Leases[0].Off = true }, false},
	} {
		b := Opened("B", 1, 1000, list)
		b.Leases[0].State = Enabled
		row.other(&b)
		row.w.mark(Actor{ID: "me", LandBy: 200}, apisecret.Enable, list)

		calls, outcomes := NewView([]Window{row.w, b}).Decide(100, "me")

		if got := len(calls) == 0 && outcomes["A"][0].Taken; got != row.want {
			t.Errorf("%s: got %d calls and %+v, want it taken over: %t", row.name, len(calls), outcomes, row.want)
		}
	}
}

func TestDecide_endsComeBeforeBeginningsAndThoseBeforeTheGuard(t *testing.T) {
	begins, ends := Opened("A", 1, 110, []apisecret.Identifier{1}), Opened("B", 1, 120, []apisecret.Identifier{2})
	ends.Over, ends.Leases[0].State = true, Enabled
	guard := Window{ID: GuardID}
	me := Actor{ID: "me", LandBy: 200}
	begins.mark(me, apisecret.Enable, []apisecret.Identifier{1})
	ends.mark(me, apisecret.Disable, []apisecret.Identifier{2})
	guard.mark(me, apisecret.Disable, []apisecret.Identifier{3})

	calls, _ := NewView([]Window{begins, guard, ends}).Decide(100, "me")

	if len(calls) != 3 || calls[0].Identifier != 2 || calls[1].Identifier != 1 || calls[2].Identifier != 3 {
		t.Errorf("got %+v", calls)
	}
}

func TestApply_whatIsNotThereAtTheEndIsDisabled(t *testing.T) {
	w := Opened("A", 1, 50, []apisecret.Identifier{5})
	w.Over, w.Leases[0].State = true, Enabled
	for code, want := range map[apisecret.Code]LeaseState{apisecret.NotFound: Disabled, apisecret.AccessDenied: Enabled} {
		after := w.Apply(100, "me", []Outcome{{Target: Target{5, apisecret.Disable}, Settles: true, Item: failed(code, 1)}})

		if l := after.Leases[0]; l.State != want || l.Fault == nil || l.Fault.Code != code {
			t.Errorf("%s: got %+v, want it %s, and its error", code, l, want)
		}
	}
}
