package stage

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"segura-enable/simulated/runtimeapi"
	"segura-enable/simulated/seguratest"
)

// settling is how long a request to Segura may take to end after the function
// that made it has answered.
const settling = time.Second

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

	// ColdStart tells that the function was started for this event: the first of
	// the Requests may be for the token that it fetches ahead.
	ColdStart bool

	// Before and After are the states of the API secrets.
	Before, After map[int64]seguratest.APISecret

	// Leaks are the confidential values that the answer or the log lines hold,
	// by what they are.
	Leaks []string
}

// Send sends an event to a function and waits for what comes of it.
func (s *Stack) Send(ctx context.Context, function string, event []byte, options ...runtimeapi.InvokeOption) (Exchange, error) {
	f := s.functions[function]
	if f == nil {
		return Exchange{}, fmt.Errorf("function %q is not started", function)
	}
	return s.Observe(ctx, function, event, func() (runtimeapi.Invocation, error) {
		return f.Invoke(ctx, event, options...)
	})
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
// function URLs carry the context of an HTTP request.
func FunctionFor(event []byte) string {
	var shape struct {
		RequestContext json.RawMessage `json:"requestContext"`
	}
	if json.Unmarshal(event, &shape) == nil && shape.RequestContext != nil {
		return API
	}
	return Event
}

// Answer is what a function said, read alike for both functions.
type Answer struct {
	// Status and Header are those of the HTTP response; zero for [Event].
	Status int
	Header http.Header

	// ErrorType is that of a function error; empty for a success.
	ErrorType string

	// Document is the result, the item, the problem or the check as JSON; where
	// there is none, the text that there is.
	Document []byte

	// Outcome and Items are read from the document. Outcome is empty for a
	// single item and for a problem.
	Outcome string
	Items   []Item

	// Check and Steps are the outcome of a self-check.
	Check string
	Steps []string // "credentials passed" and so on
}

// Item is what came of one identifier.
type Item struct {
	Identifier int64  `json:"identifier"`
	Outcome    string `json:"outcome"`
	Error      *struct {
		Code string `json:"code"`
	} `json:"error"`
}

// String is "5 enabled" or "7 failed not_found".
func (i Item) String() string {
	text := fmt.Sprintf("%d %s", i.Identifier, i.Outcome)
	if i.Error != nil {
		text += " " + i.Error.Code
	}
	return text
}

// document has the fields of all documents that the functions answer with.
type document struct {
	Item
	Outcome *string `json:"outcome"`
	Results []Item  `json:"results"`
	Code    string  `json:"code"` // of a problem
	Check   string  `json:"check"`
	Steps   []struct{ Name, Outcome string }
}

// Answer reads what the function said. An error means that it is not in the
// form that Lambda or API Gateway needs, or that the function did not answer.
func (x Exchange) Answer() (Answer, error) {
	inv := x.Invocation
	answer := Answer{ErrorType: inv.ErrorType, Document: inv.Payload}
	switch {
	case inv.FunctionError && !strings.HasPrefix(inv.ErrorType, "Segura."):
		return answer, fmt.Errorf("the function did not answer: %s: %s", inv.ErrorType, inv.ErrorMessage)
	case inv.FunctionError:
		answer.Document = []byte(inv.ErrorMessage)
	case x.Function == API:
		if err := answer.readResponse(inv.Payload); err != nil {
			return answer, err
		}
	}
	answer.readDocument()
	return answer, nil
}

// readResponse opens the HTTP response of a payload.
func (a *Answer) readResponse(payload []byte) error {
	response, err := readHTTPResponse(payload)
	if err != nil {
		return err
	}
	a.Status, a.Header, a.Document = response.status, response.header, response.body
	return nil
}

// readDocument takes what it knows from the document; an error in words has
// nothing of it.
func (a *Answer) readDocument() {
	var d document
	if json.Unmarshal(a.Document, &d) != nil {
		return
	}
	a.Check = d.Check
	for _, step := range d.Steps {
		a.Steps = append(a.Steps, step.Name+" "+step.Outcome)
	}
	switch {
	case d.Identifier == 0 && d.Outcome != nil:
		a.Outcome, a.Items = *d.Outcome, d.Results
	case d.Identifier != 0 && d.Outcome != nil:
		a.Items = []Item{{Identifier: d.Identifier, Outcome: *d.Outcome}}
	case d.Identifier != 0 && d.Code != "":
		failed := Item{Identifier: d.Identifier, Outcome: "failed"}
		failed.Error = &struct {
			Code string `json:"code"`
		}{d.Code}
		a.Items = []Item{failed}
	}
}

// httpResponse is a response as API Gateway reads it.
type httpResponse struct {
	status int
	header http.Header
	body   []byte
}

// readHTTPResponse reads the response formats of payload 1.0 and 2.0, which
// agree but for the cookies and headers with several values.
func readHTTPResponse(payload []byte) (httpResponse, error) {
	var raw struct {
		StatusCode        int
		Headers           map[string]string
		MultiValueHeaders map[string][]string
		Cookies           []string
		Body              string
		IsBase64Encoded   bool
	}
	if err := json.Unmarshal(payload, &raw); err != nil {
		return httpResponse{}, fmt.Errorf("read the HTTP response of the function: %w", err)
	}
	if raw.StatusCode < 100 || raw.StatusCode > 599 {
		return httpResponse{}, errors.New("read the HTTP response of the function: it has no status code")
	}
	response := httpResponse{status: raw.StatusCode, header: http.Header{}, body: []byte(raw.Body)}
	for name, value := range raw.Headers {
		response.header.Set(name, value)
	}
	for name, values := range raw.MultiValueHeaders {
		response.header.Del(name)
		for _, value := range values {
			response.header.Add(name, value)
		}
	}
	for _, cookie := range raw.Cookies {
		response.header.Add("Set-Cookie", cookie)
	}
	if raw.IsBase64Encoded {
		body, err := base64.StdEncoding.DecodeString(raw.Body)
		if err != nil {
			return httpResponse{}, fmt.Errorf("read the HTTP response of the function: %w", err)
		}
		response.body = body
	}
	return response, nil
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
