package window

import (
	"slices"
	"testing"

	"segura-enable/internal/apisecret"
)

func TestGuardDue_spreadsEverythingOverAnHour(t *testing.T) {
	k := &Keeper{Guarded: make([]apisecret.Identifier, 150)}
	for at := range k.Guarded {
		k.Guarded[at] = apisecret.Identifier(at + 1)
	}
	start := Instant(1_790_000_017)
	seen := map[apisecret.Identifier]int{}
	last, most := start, 0
	for now := start + 60; now <= start+2*hour; now += 60 {
		due := k.guardDue(&last, now)
		most = max(most, len(due))
		for _, i := range due {
			seen[i]++
		}
		last = now
	}
	for _, i := range k.Guarded {
		if seen[i] != 2 {
			t.Errorf("%d: looked at %d times in two hours", i, seen[i])
		}
	}
	if most > 3 {
		t.Errorf("got %d at once", most)
	}
	if got := k.guardDue(&start, start+10*hour); len(got) != len(k.Guarded) {
		t.Errorf("after ten hours: got %d of %d", len(got), len(k.Guarded))
	}
}

func TestPlanGuard_leavesAloneWhatAWindowHoldsOrHasToLetGo(t *testing.T) {
	now := Instant(100)
	holding := Opened("A", 0, 200, []apisecret.Identifier{1})
	ending := Opened("B", 0, 50, []apisecret.Identifier{2})
	ending.Leases[0].Standing = Enabled
	coming := Opened("C", 150, 200, []apisecret.Identifier{3})
	failed := Opened("D", 0, 200, []apisecret.Identifier{4})
	failed.Leases[0].Standing = Failed

	w := NewView([]Window{holding, ending, coming, failed}).PlanGuard(now, Actor{ID: "g", LandBy: 180}, []apisecret.Identifier{1, 2, 3, 4, 5})

	if want := []apisecret.Identifier{3, 4, 5}; w == nil || len(w.Marks) != 1 || !slices.Equal(w.Marks[0].Identifiers, want) {
		t.Errorf("got %+v, want a mark of %v", w, want)
	}
}
