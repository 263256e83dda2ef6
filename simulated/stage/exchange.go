package stage

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"segura-enable/simulated/runtimeapi"
	"segura-enable/simulated/seguratest"
)

// settling is how long a request to Segura may take to end after the function
// that made it has answered.
const settling = 10 * time.Second

// Exchange is one event, what came of it, and what happened behind the function
// meanwhile.
type Exchange struct {
	Function   string
	Event      []byte
	Invocation runtimeapi.Invocation

	// Requests are those that Segura got, in the order of their arrival, and
	// SecretReads the calls to Secrets Manager.
	Requests    []seguratest.Request
	SecretReads int

	// Before and After are the states of the API secrets.
	Before, After map[int64]seguratest.APISecret

	// Leaks are the confidential values that the answer or the log lines hold,
	// by what they are.
	Leaks []string
}

// Send sends an event to a function and waits for what comes of it.
func (s *Stack) Send(ctx context.Context, function string, event []byte) (Exchange, error) {
	f := s.functions[function]
	if f == nil {
		return Exchange{}, fmt.Errorf("function %q is not started", function)
	}
	return s.Observe(ctx, function, event, func() (runtimeapi.Invocation, error) { return f.Invoke(ctx, event) })
}

// Observe lets invoke send an event to a function that runs wherever it may, in
// a container for example, and tells what happened behind it meanwhile.
func (s *Stack) Observe(ctx context.Context, function string, event []byte,
	invoke func() (runtimeapi.Invocation, error),
) (Exchange, error) {
	x := Exchange{Function: function, Event: event, Before: s.Segura.States()}
	requests, reads := len(s.Segura.Requests()), s.Secrets.Reads()
	var err error
	if x.Invocation, err = invoke(); err != nil {
		err = fmt.Errorf("invoke %s: %w", FunctionName(function), err)
	}
	x.Requests = s.requestsFrom(ctx, requests)
	x.SecretReads = s.Secrets.Reads() - reads
	x.After = s.Segura.States()
	x.Leaks = s.leaks(x.Invocation)
	return x, err
}

func (s *Stack) leaks(inv runtimeapi.Invocation) []string {
	shown := string(inv.Payload) + inv.XRayCause + strings.Join(inv.Logs, "\n")
	var leaks []string
	for value, what := range s.Confidential() {
		if strings.Contains(shown, value) && !slices.Contains(leaks, what) {
			leaks = append(leaks, what)
		}
	}
	slices.Sort(leaks)
	return leaks
}

// requestsFrom waits until the records are complete: a client may have read its
// reply before the server has noted that it was sent.
func (s *Stack) requestsFrom(ctx context.Context, first int) []seguratest.Request {
	deadline := time.Now().Add(settling)
	for {
		requests := s.Segura.Requests()
		requests = requests[min(first, len(requests)):]
		open := slices.ContainsFunc(requests, func(r seguratest.Request) bool { return !r.Done })
		if !open || time.Now().After(deadline) || ctx.Err() != nil {
			return requests
		}
		time.Sleep(time.Millisecond)
	}
}

// FunctionFor tells which function an event is for: those of API Gateway and of
// function URLs carry the context of an HTTP request, and windows have paths and
// documents of their own.
func FunctionFor(event []byte) string {
	var members, detail map[string]json.RawMessage
	_ = json.Unmarshal(event, &members) // what is no such event has none of it
	_ = json.Unmarshal(members["detail"], &detail)
	forWindow := slices.ContainsFunc([]string{"window", "extend", "close", "close_all", "reconcile"}, func(name string) bool {
		return members[name] != nil || detail[name] != nil
	})
	overHTTP := members["requestContext"] != nil
	switch {
	case forWindow, overHTTP && strings.Contains(string(members["path"])+string(members["rawPath"]), "/windows"):
		return Window
	case overHTTP:
		return API
	default:
		return Event
	}
}

// Answer reads what the function said: see [ReadAnswer].
func (x Exchange) Answer() (Answer, error) {
	var event struct{ RequestContext json.RawMessage }
	if _ = json.Unmarshal(x.Event, &event); x.Function == Window && event.RequestContext != nil {
		return ReadAnswer(API, x.Invocation) // it answers as that one does
	}
	return ReadAnswer(x.Function, x.Invocation)
}

// Changes are the states that differ between Before and After, in order of the
// identifiers, as "5 active".
func (x Exchange) Changes() []string {
	var changes []string
	for _, identifier := range slices.Sorted(maps.Keys(x.After)) {
		if after := x.After[identifier]; after != x.Before[identifier] {
			changes = append(changes, fmt.Sprintf("%d %s", identifier, StateName(after)))
		}
	}
	return changes
}

// StateName says what a state means to a caller.
func StateName(state seguratest.APISecret) string {
	switch {
	case state.Missing:
		return "missing"
	case state.Forbidden:
		return "forbidden"
	case state.Active:
		return "active"
	default:
		return "inactive"
	}
}

// Calls are the enable and disable calls that Segura got, sorted, as "enable 5".
func (x Exchange) Calls() []string {
	var calls []string
	for _, r := range x.Requests {
		if r.Kind != seguratest.KindToken && r.Kind != seguratest.KindHead {
			calls = append(calls, fmt.Sprintf("%s %d", r.Kind, r.Identifier))
		}
	}
	slices.Sort(calls)
	return calls
}
