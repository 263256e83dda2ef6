package window

import (
	"testing"

	"segura-enable/internal/apisecret"
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
