package statemachine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// Status is that of an execution, as Step Functions calls it.
type Status string

// The statuses of an execution that has ended.
const (
	Succeeded Status = "SUCCEEDED"
	Failed    Status = "FAILED"
	Aborted   Status = "ABORTED"
)

// maxTransitions ends a machine that runs in circles; Step Functions ends one at
// 25,000 events of its history.
const maxTransitions = 25_000

// errStopped is the cause of the end of an execution that was stopped.
var errStopped = errors.New("the execution was stopped")

// Services are what state machines reach.
type Services struct {
	// Invoke sends a payload to the function and returns its result. A function
	// error, and one of Lambda itself, is an [*Error].
	Invoke func(ctx context.Context, payload []byte) ([]byte, error)

	// Call makes a call of the AWS SDK, e.g. "cloudwatch:putMetricData". Nil
	// means that every call succeeds and does nothing.
	Call func(ctx context.Context, action string, arguments any) (any, error)

	// Watch is told each event as it happens. Nil means nobody.
	Watch func(Event)

	// Clock is the time. Nil means [RealClock].
	Clock Clock
}

// Event is one thing that happened in an execution.
type Event struct {
	At    time.Time
	State string
	Type  string // of the state
	What  EventKind
	Text  string // error, reply or time, as the kind says
}

// EventKind says what happened.
type EventKind string

// The kinds of events.
const (
	Entered EventKind = "entered" // a state
	Called  EventKind = "called"  // a task answered; Text is its answer
	Erred   EventKind = "erred"   // a task failed; Text is the error's name
	Retried EventKind = "retried" // Text is the delay before
	Waited  EventKind = "waited"  // Text is until when
	Ended   EventKind = "ended"   // the execution; Text is its status
)

// Execution is one run of a machine.
type Execution struct {
	// Name and ARN are those that $states.context.Execution shows.
	Name, ARN string
	// Started and Stopped are when it began and ended, by its clock.
	Started, Stopped time.Time

	Status       Status
	Error, Cause string // of a failed one
	Output       json.RawMessage
	Input        json.RawMessage

	machine  *Machine
	services Services
	state    string // the one that it is in

	mu      sync.Mutex
	history []Event
	scope   scope
	cancel  context.CancelCauseFunc
}

// Run executes the machine with an input, and returns when the execution has
// ended or was stopped, which ctx's end does as well. begun, if there is one,
// gets the execution at its start, to stop it with.
func (m *Machine) Run(ctx context.Context, name string, input []byte, services Services, begun ...func(*Execution)) (*Execution, error) {
	if services.Clock == nil {
		services.Clock = RealClock{}
	}
	var document any
	if err := json.Unmarshal(input, &document); err != nil {
		return nil, fmt.Errorf("execution %s: its input is no JSON: %w", name, err)
	}
	x := &Execution{
		Name: name, ARN: executionARN(name),
		Input: slices.Clone(input), Started: services.Clock.Now(),
		machine: m, services: services, state: m.StartAt,
	}
	ctx, x.cancel = context.WithCancelCause(ctx)
	defer x.cancel(nil)
	for _, tell := range begun {
		tell(x)
	}
	x.scope = scope{
		variables: map[string]any{}, now: services.Clock.Now,
		states: map[string]any{"context": map[string]any{"StateMachine": map[string]any{"Id": machineARN}, "Execution": map[string]any{
			"Id": x.ARN, "Name": x.Name, "Input": document, "StartTime": x.Started.UTC().Format(time.RFC3339Nano),
		}}},
	}
	output, err := x.run(ctx, document)
	x.Stopped = services.Clock.Now()
	x.end(ctx, output, err)
	return x, nil
}

const machineARN = "arn:aws:states:eu-west-1:123456789012:stateMachine:machine"

func executionARN(name string) string {
	return "arn:aws:states:eu-west-1:123456789012:execution:machine:" + name
}

// end notes how the execution ended.
func (x *Execution) end(ctx context.Context, output any, err error) {
	var named *Error
	switch {
	case ctx.Err() != nil:
		x.Status = Aborted
	case errors.As(err, &named):
		x.Status, x.Error, x.Cause = Failed, named.Name, named.Cause
	case err != nil:
		x.Status, x.Error, x.Cause = Failed, "States.Runtime", err.Error()
	default:
		x.Status = Succeeded
		if x.Output, err = json.Marshal(output); err != nil {
			x.Status, x.Error, x.Cause = Failed, "States.Runtime", err.Error()
		}
	}
	x.note(Ended, string(x.Status))
}

// Stop stops the execution, as StopExecution does: no further state is entered,
// and a call that is under way is not waited for.
func (x *Execution) Stop() { x.cancel(errStopped) }

// History is what has happened so far.
func (x *Execution) History() []Event {
	x.mu.Lock()
	defer x.mu.Unlock()
	return slices.Clone(x.history)
}

// States are the names of the states entered so far, in their order.
func (x *Execution) States() (names []string) {
	for _, event := range x.History() {
		if event.What == Entered {
			names = append(names, event.State)
		}
	}
	return names
}

func (x *Execution) note(what EventKind, text string) {
	event := Event{At: x.services.Clock.Now(), State: x.state, Type: x.machine.States[x.state].Type, What: what, Text: text}
	x.mu.Lock()
	x.history = append(x.history, event)
	x.mu.Unlock()
	if x.services.Watch != nil {
		x.services.Watch(event)
	}
}

// run goes from the state that it is in to the next, until one is the last.
func (x *Execution) run(ctx context.Context, input any) (any, error) {
	for range maxTransitions {
		state := x.machine.States[x.state]
		x.note(Entered, "")
		x.scope = x.scope.with("input", input)
		output, next, err := x.step(ctx, state, input)
		switch {
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case err != nil:
			return nil, err
		case next == "":
			return output, nil
		}
		x.state, input = next, output
	}
	return nil, &Error{"States.Runtime", fmt.Sprintf("more than %d transitions", maxTransitions)}
}

// step carries out one state: its output, and the state after it, if there is one.
func (x *Execution) step(ctx context.Context, state State, input any) (output any, next string, err error) {
	switch state.Type {
	case typeChoice:
		return x.choose(state, input)
	case typeFail:
		return nil, "", x.fail(state)
	case typeTask:
		return x.attempt(ctx, state, input)
	case typeWait:
		if err := x.wait(ctx, state); err != nil {
			return nil, "", err
		}
	}
	output, err = x.leave(x.scope, state.Assign, state.Output, input)
	return output, state.Next, err
}

// leave evaluates what a state assigns and puts out, both with the variables as
// they were before it.
func (x *Execution) leave(s scope, assign map[string]any, output, otherwise any) (any, error) {
	result := otherwise
	if output != nil {
		var err error
		if result, err = s.evaluate(output); err != nil {
			return nil, err
		}
	}
	assigned, err := s.evaluate(map[string]any(assign))
	if err != nil {
		return nil, err
	}
	values, is := assigned.(map[string]any)
	if !is {
		return nil, errors.New("what is assigned is no object")
	}
	variables := maps.Clone(x.scope.variables)
	maps.Copy(variables, values)
	x.scope.variables = variables
	return result, nil
}

func (x *Execution) choose(state State, input any) (any, string, error) {
	for _, choice := range state.Choices {
		holds, err := x.scope.condition(choice.Condition)
		if err != nil {
			return nil, "", err
		}
		if holds {
			output, err := x.leave(x.scope, choice.Assign, nil, input)
			return output, choice.Next, err
		}
	}
	if state.Default == "" {
		return nil, "", &Error{"States.NoChoiceMatched", x.state}
	}
	output, err := x.leave(x.scope, state.Assign, state.Output, input)
	return output, state.Default, err
}

func (x *Execution) fail(state State) error {
	cause, err := x.scope.text(state.Cause)
	if err != nil {
		return err
	}
	return &Error{state.Error, cause}
}

func (x *Execution) wait(ctx context.Context, state State) error {
	var d time.Duration
	if state.Timestamp != nil {
		text, err := x.scope.text(state.Timestamp)
		if err != nil {
			return err
		}
		until, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return &Error{queryError, fmt.Sprintf("wait until %q: %v", text, err)}
		}
		d = until.Sub(x.services.Clock.Now())
	} else {
		seconds, err := x.scope.number(state.Seconds)
		if err != nil {
			return err
		}
		d = time.Duration(seconds * float64(time.Second))
	}
	x.note(Waited, x.services.Clock.Now().Add(d).UTC().Format(time.RFC3339))
	return x.services.Clock.Wait(ctx, d)
}
