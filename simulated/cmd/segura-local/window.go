package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"segura-enable/simulated/stage"
	"segura-enable/simulated/statemachine"
)

// sampleWindow opens what is inactive in the simulated Segura, for eight hours that
// its clock skips.
const sampleWindow = `{"identifiers": [5, 100], "for": "PT8H", "reason": "CHG0012345"}`

// window shows one window of the window machine, from open to closed.
func (r *runner) window(ctx context.Context) error {
	if err := r.stack.Reset(); err != nil {
		return err
	}
	root, err := stage.Root()
	if err != nil {
		return err
	}
	machine, err := statemachine.Load(root, "window", statemachine.WindowValues())
	if err != nil {
		return err
	}
	r.page.rule("statemachines/window.asl.json", "a window of eight hours, whose waiting is skipped")
	r.page.field("in", "WindowStateMachine ← "+sampleWindow)
	windows := &statemachine.Windows{Run: machine.Run, Services: statemachine.Services{
		Invoke: statemachine.InvokerOf(r.stack.Function(stage.Event)),
		Clock:  &statemachine.SkippingClock{},
		Watch:  r.windowEvent,
	}}
	window, _, err := windows.Open(ctx, "window-1", []byte(sampleWindow))
	if err != nil {
		return interrupted(ctx, err)
	}
	r.page.field("out", string(window.Status)+"\n"+layOut(window.Output))
	if window.Status != statemachine.Succeeded || r.stack.Segura.Active(5) || r.stack.Segura.Active(100) {
		return errors.New("the window did not close")
	}
	r.page.field("", r.page.good("✓ as it should be"))
	return nil
}

// windowEvent shows what a reader wants to see of an execution: its calls and its
// waiting, and what the API secrets are meanwhile.
func (r *runner) windowEvent(e statemachine.Event) {
	text := e.Text
	switch {
	case e.What == statemachine.Waited:
		text = "until " + text
	case e.What != statemachine.Called && e.What != statemachine.Erred:
		return
	}
	var states []string
	for _, identifier := range []int64{5, 100} {
		state := stage.StateName(r.stack.Segura.States()[identifier])
		states = append(states, fmt.Sprintf("%d %s", identifier, state))
	}
	r.page.field(e.At.UTC().Format("15:04:05"), fmt.Sprintf("%s: %s\n%s", e.State, printable(text), strings.Join(states, ", ")))
}
