package statemachine

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"

	"segura-enable/simulated/runtimeapi"
)

// The alarms of the template that windows raise.
const (
	AlarmFailed  = "WindowsFailedAlarm"  // an execution of either machine failed
	AlarmStopped = "WindowsStoppedAlarm" // one was stopped
	AlarmOverdue = "WindowsOverdueAlarm" // disabling does not work, and goes on being tried
)

// Limits that the tests and make run give the window machine: how long a window may
// be, and how long disabling is tried. The template has others.
const (
	MaximumSeconds = 24 * 60 * 60
	RetrySeconds   = 4 * 60 * 60
)

// functionARN stands for EventFunction in the definitions.
const functionARN = "arn:aws:lambda:eu-west-1:123456789012:function:EventFunction"

// WindowValues fill in the placeholders of the window machine's definition.
func WindowValues() map[string]string {
	return map[string]string{
		"EventFunctionArn":  functionARN,
		"EventFunctionName": "EventFunction",
		"Partition":         "aws",
		"MaximumSeconds":    fmt.Sprint(MaximumSeconds),
		"RetrySeconds":      fmt.Sprint(RetrySeconds),
	}
}

// Windows is the window machine with what the template puts around it: the rule
// that starts a closing when a window is stopped or fails, and the alarms.
type Windows struct {
	// Run executes the machine; it is [Machine.Run], or another interpreter.
	Run func(ctx context.Context, name string, input []byte, services Services, begun ...func(*Execution)) (*Execution, error)

	// Services are those of every execution.
	Services Services

	mu     sync.Mutex
	alarms []string
}

// Open runs a window from its beginning to its end. Where it was stopped or
// failed, closing is the execution that the rule has started then, at its end.
func (w *Windows) Open(ctx context.Context, name string, input []byte, begun ...func(*Execution)) (window, closing *Execution, err error) {
	services := w.Services
	services.Call = w.call
	window, err = w.Run(ctx, name, input, services, begun...)
	if err != nil || window.Status == Succeeded {
		return window, nil, err
	}
	w.raise(window)
	event, err := statusChange(window)
	if err != nil {
		return window, nil, err
	}
	closing, err = w.Run(ctx, "closing-"+name, event, services)
	if err == nil && closing.Status != Succeeded {
		w.raise(closing)
	}
	return window, closing, err
}

// Alarms are those raised so far, each once.
func (w *Windows) Alarms() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	slices.Sort(w.alarms)
	w.alarms = slices.Compact(w.alarms)
	return slices.Clone(w.alarms)
}

func (w *Windows) raise(x *Execution) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if x.Status == Aborted {
		w.alarms = append(w.alarms, AlarmStopped)
		return
	}
	w.alarms = append(w.alarms, AlarmFailed)
}

// call is CloudWatch, as far as the machine needs it.
func (w *Windows) call(ctx context.Context, action string, arguments any) (any, error) {
	if w.Services.Call != nil {
		if _, err := w.Services.Call(ctx, action, arguments); err != nil {
			return nil, err
		}
	}
	if action == "cloudwatch:putMetricData" {
		w.mu.Lock()
		w.alarms = append(w.alarms, AlarmOverdue)
		w.mu.Unlock()
	}
	return map[string]any{}, nil
}

// statusChange is the event that EventBridge gets of an execution that has ended.
//
// Source: the page "Automating Step Functions event delivery with EventBridge" of
// the Step Functions guide.
func statusChange(x *Execution) ([]byte, error) {
	detail := map[string]any{
		"executionArn": x.ARN, "stateMachineArn": machineARN,
		"name": x.Name, "status": x.Status, "startDate": x.Started.UnixMilli(), "stopDate": x.Stopped.UnixMilli(),
		"input": string(x.Input), "inputDetails": map[string]any{"included": true},
		"output": nil, "outputDetails": nil, "error": nil, "cause": nil,
	}
	if x.Error != "" {
		detail["error"], detail["cause"] = x.Error, x.Cause
	}
	event, err := json.Marshal(map[string]any{
		"version": "0", "id": "315c1398-40ff-a850-213b-158f73e60175", "account": "123456789012", "region": "eu-west-1",
		"source": "aws.states", "detail-type": "Step Functions Execution Status Change", "time": x.Stopped.UTC(),
		"resources": []string{x.ARN}, "detail": detail,
	})
	if err != nil {
		return nil, fmt.Errorf("write the event of %s: %w", x.Name, err)
	}
	return event, nil
}

// InvokerOf makes [Services].Invoke of a function that runs here: its errors are
// named as Step Functions names them.
func InvokerOf(f *runtimeapi.Function) func(context.Context, []byte) ([]byte, error) {
	return func(ctx context.Context, payload []byte) ([]byte, error) {
		invocation, err := f.Invoke(ctx, payload)
		switch {
		case err != nil:
			return nil, fmt.Errorf("invoke the function: %w", err)
		case invocation.FunctionError:
			return nil, &Error{invocation.ErrorType, string(invocation.Payload)}
		}
		return invocation.Payload, nil
	}
}
