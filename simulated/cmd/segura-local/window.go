package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"segura-enable/simulated/stage"
)

// windowShow is what run shows of windows: two that overlap, of which the first is
// extended and ends by itself, and the second is closed.
type windowShow struct {
	*runner
	first, second string // ids
}

// windowStep is one event of the show, and what has to be true after it.
type windowStep struct {
	about   string
	wait    time.Duration
	event   func(*windowShow) string
	id      func(*windowShow, string) // takes the window's id
	enabled map[int64]bool
}

var windowSteps = []windowStep{
	{
		about: "open a window on what is inactive, for two seconds",
		event: func(*windowShow) string {
			return `{"window": {"identifiers": [5, 100], "for": "PT2S", "reason": "CHG0012345"}}`
		},
		id:      func(s *windowShow, id string) { s.first = id },
		enabled: map[int64]bool{5: true, 100: true},
	},
	{
		about: "open another one on one of them",
		event: func(*windowShow) string {
			return `{"window": {"identifiers": [5], "for": "PT8H", "reason": "CHG0012346"}}`
		},
		id:      func(s *windowShow, id string) { s.second = id },
		enabled: map[int64]bool{5: true, 100: true},
	},
	{
		about:   "extend the first one by a second",
		event:   func(s *windowShow) string { return fmt.Sprintf(`{"extend": {"id": %q, "by": "PT1S"}}`, s.first) },
		enabled: map[int64]bool{5: true, 100: true},
	},
	{
		about: "reconcile after its end, as every minute: 5 is kept for the other window",
		wait:  3 * time.Second,
		event: func(*windowShow) string { return `{"reconcile": true}` }, enabled: map[int64]bool{5: true, 100: false},
	},
	{
		about:   "close the second one",
		event:   func(s *windowShow) string { return fmt.Sprintf(`{"close": {"id": %q, "reason": "done"}}`, s.second) },
		enabled: map[int64]bool{5: false, 100: false},
	},
}

// windows shows windows, and is an error if they are not as they should be.
func (r *runner) windows(ctx context.Context) error {
	if err := r.stack.Reset(); err != nil {
		return err
	}
	s := &windowShow{runner: r}
	for i, step := range windowSteps {
		r.page.rule(fmt.Sprintf("windows %d/%d", i+1, len(windowSteps)), step.about)
		if err := s.do(ctx, step); err != nil {
			return interrupted(ctx, err)
		}
	}
	return nil
}

func (s *windowShow) do(ctx context.Context, step windowStep) error {
	select {
	case <-time.After(step.wait):
	case <-ctx.Done():
		return ctx.Err()
	}
	x, err := s.stack.Send(ctx, stage.Window, []byte(step.event(s)))
	if err != nil {
		return err
	}
	s.show(x)
	var window struct{ ID string }
	if step.id != nil && json.Unmarshal(x.Invocation.Payload, &window) == nil {
		step.id(s, window.ID)
	}
	wrong := x.Invocation.FunctionError
	for identifier, enabled := range step.enabled {
		wrong = wrong || s.stack.Segura.Active(identifier) != enabled
	}
	if wrong {
		return fmt.Errorf("windows: %s: the API secrets are not as they should be", step.about)
	}
	s.page.field("took", took(x)+"   "+s.page.good("✓ as it should be"))
	return nil
}
