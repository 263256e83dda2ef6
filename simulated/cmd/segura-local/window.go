package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"segura-enable/simulated/stage"
)

// windowSteps are what run shows of windows: two that overlap, of which the first is
// extended and ends by itself, and the second is closed.
var windowSteps = []struct {
	about   string
	wait    time.Duration
	event   string         // in which FIRST and SECOND are the windows' ids
	enabled map[int64]bool // afterwards
}{
	{"open a window on what is inactive, for two seconds", 0,
		`{"window": {"identifiers": [5, 100], "for": "PT2S", "reason": "CHG0012345"}}`, map[int64]bool{5: true, 100: true}},
	{"open another one on one of them", 0,
		`{"window": {"identifiers": [5], "for": "PT8H", "reason": "CHG0012346"}}`, map[int64]bool{5: true, 100: true}},
	{"extend the first one by a second", 0,
		`{"extend": {"id": "FIRST", "by": "PT1S"}}`, map[int64]bool{5: true, 100: true}},
	{"reconcile after its end, as every minute: 5 is kept for the other window", 3 * time.Second,
		`{"reconcile": true}`, map[int64]bool{5: true, 100: false}},
	{"close the second one", 0,
		`{"close": {"id": "SECOND", "reason": "done"}}`, map[int64]bool{5: false, 100: false}},
}

// windows shows windows, and is an error if they are not as they should be.
func (r *runner) windows(ctx context.Context) error {
	if err := r.stack.Reset(); err != nil {
		return err
	}
	var ids [2]string
	for i, step := range windowSteps {
		r.page.rule(fmt.Sprintf("windows %d/%d", i+1, len(windowSteps)), step.about)
		select {
		case <-time.After(step.wait):
		case <-ctx.Done():
			return ctx.Err()
		}
		x, err := r.stack.Send(ctx, stage.Window, []byte(strings.NewReplacer("FIRST", ids[0], "SECOND", ids[1]).Replace(step.event)))
		if err != nil {
			return err
		}
		r.show(x)
		if answer, _ := x.Answer(); i < len(ids) && answer.Window != nil {
			ids[i] = answer.Window.ID
		}
		wrong := x.Invocation.FunctionError
		for identifier, enabled := range step.enabled {
			wrong = wrong || r.stack.Segura.Active(identifier) != enabled
		}
		if wrong {
			return fmt.Errorf("windows: %s: the API secrets are not as they should be", step.about)
		}
		r.page.field("took", took(x)+"   "+r.page.good("✓ as it should be"))
	}
	return nil
}
