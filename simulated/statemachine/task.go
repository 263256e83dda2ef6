package statemachine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// The names of errors that Step Functions itself makes.
const (
	errorAll     = "States.ALL"
	errorTimeout = "States.Timeout"
	errorRuntime = "States.Runtime"
)

// defaultAttempts is how often a retrier that says nothing repeats.
const defaultAttempts = 3

// attempt carries out a state that may fail: with its retries, and its catchers
// after them.
func (x *Execution) attempt(ctx context.Context, state State, input any) (any, string, error) {
	tries := make([]int, len(state.Retry))
	for {
		output, err := x.once(ctx, state, input)
		if err == nil {
			return output, state.Next, nil
		}
		var named *Error
		if ctx.Err() != nil || !errors.As(err, &named) {
			return nil, "", err
		}
		x.note(Erred, named.Name)
		i := slices.IndexFunc(state.Retry, func(r Retrier) bool { return matches(r.ErrorEquals, named.Name) })
		if i < 0 || tries[i] >= state.Retry[i].MaxAttempts {
			return x.caught(state, named)
		}
		delay := state.Retry[i].delay(tries[i])
		tries[i]++
		x.note(Retried, delay.String())
		if err := x.services.Clock.Wait(ctx, delay); err != nil {
			return nil, "", err
		}
	}
}

// UnmarshalJSON fills in what the States Language takes for what is left out.
func (r *Retrier) UnmarshalJSON(text []byte) error {
	type plain Retrier
	p := plain{IntervalSeconds: 1, BackoffRate: 2, MaxAttempts: defaultAttempts}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&p); err != nil {
		return fmt.Errorf("retrier: %w", err)
	}
	*r = Retrier(p)
	return nil
}

// delay is that before the n-th retry, counted from 0.
func (r Retrier) delay(n int) time.Duration {
	seconds := float64(r.IntervalSeconds) * math.Pow(r.BackoffRate, float64(n))
	if r.MaxDelaySeconds > 0 {
		seconds = min(seconds, float64(r.MaxDelaySeconds))
	}
	return time.Duration(seconds * float64(time.Second))
}

// matches reports whether an error is among the names; the one for all leaves out
// those that no one can deal with.
func matches(names []string, name string) bool {
	return slices.Contains(names, name) ||
		slices.Contains(names, errorAll) && name != errorRuntime && name != "States.DataLimitExceeded"
}

func (x *Execution) caught(state State, err *Error) (any, string, error) {
	for _, catcher := range state.Catch {
		if matches(catcher.ErrorEquals, err.Name) {
			document := map[string]any{"Error": err.Name, "Cause": err.Cause}
			s := x.scope.with("errorOutput", document)
			output, fault := x.leave(s, catcher.Assign, catcher.Output, document)
			return output, catcher.Next, fault
		}
	}
	return nil, "", err
}

// once carries out a state one time.
func (x *Execution) once(ctx context.Context, state State, input any) (any, error) {
	result, err := x.call(ctx, state, input)
	if err != nil {
		return nil, err
	}
	return x.leave(x.scope.with("result", result), state.Assign, state.Output, result)
}

// call makes the call of a Task state, within its time.
func (x *Execution) call(ctx context.Context, state State, input any) (any, error) {
	arguments := input
	if state.Arguments != nil {
		var err error
		if arguments, err = x.scope.evaluate(state.Arguments); err != nil {
			return nil, err
		}
	}
	seconds, err := x.scope.number(state.TimeoutSeconds)
	if err != nil {
		return nil, err
	}
	limited, cancel := context.WithTimeout(ctx, time.Duration(seconds*float64(time.Second)))
	defer cancel()
	result, err := x.reach(limited, state.Resource, arguments)
	if err != nil && ctx.Err() == nil && limited.Err() != nil {
		return nil, &Error{errorTimeout, ""}
	}
	return result, err
}

// reach calls what a resource stands for: the function by its ARN, or the AWS SDK.
func (x *Execution) reach(ctx context.Context, resource string, arguments any) (any, error) {
	payload, err := json.Marshal(arguments)
	if err != nil {
		return nil, fmt.Errorf("write the arguments: %w", err)
	}
	if strings.Contains(resource, ":lambda:") {
		reply, err := x.services.Invoke(ctx, payload)
		if err != nil {
			return nil, err
		}
		x.note(Called, string(reply))
		var result any
		if err := json.Unmarshal(reply, &result); err != nil {
			return nil, &Error{errorRuntime, "the function's result is no JSON"}
		}
		return result, nil
	}
	_, action, is := strings.Cut(resource, ":states:::aws-sdk:")
	switch {
	case !is:
		return nil, &Error{errorRuntime, resource + " is not interpreted here"}
	case x.services.Call == nil:
		return map[string]any{}, nil
	}
	result, err := x.services.Call(ctx, action, arguments)
	if err != nil {
		return nil, err
	}
	x.note(Called, action)
	return result, nil
}
