package runtimeapi

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// Invocation is what came of one invocation.
type Invocation struct {
	// RequestID is the id that the function saw, a UUID.
	RequestID string

	// Payload is the response, or the error document of a function error.
	Payload []byte

	// FunctionError tells that the invocation failed; ErrorType and
	// ErrorMessage say how. Lambda's own types, for a function that could not
	// answer, start with "Runtime." or "Sandbox.".
	FunctionError bool
	ErrorType     string
	ErrorMessage  string

	// XRayCause is the error once more, as sent for X-Ray in a header.
	XRayCause string

	// TimedOut tells that the process was ended at the deadline.
	TimedOut bool

	// Duration is the time from handing out the event to the answer.
	Duration time.Duration

	// Logs are the lines written during the invocation; where several run at
	// once, those of them that contain the request id.
	Logs []string
}

// Emulated is an invocation of an emulator of the Runtime API that is not ours, which
// tells a function error by its document alone.
func Emulated(payload []byte) Invocation {
	inv := Invocation{Payload: payload}
	var fault struct{ ErrorType, ErrorMessage *string }
	if json.Unmarshal(payload, &fault) == nil && fault.ErrorType != nil && fault.ErrorMessage != nil {
		inv.FunctionError, inv.ErrorType, inv.ErrorMessage = true, *fault.ErrorType, *fault.ErrorMessage
	}
	return inv
}

// failure is a function error that Lambda makes up for a function that could not answer.
func failure(id, kind, message string) Invocation {
	message = fmt.Sprintf("RequestId: %s Error: %s", id, message)
	payload, _ := json.Marshal(map[string]string{"errorType": kind, "errorMessage": message}) // text only
	return Invocation{RequestID: id, Payload: payload, FunctionError: true, ErrorType: kind, ErrorMessage: message}
}

// InvokeOption changes one invocation.
type InvokeOption func(*invocation)

// WithTimeout gives this invocation another time limit than the function's.
func WithTimeout(timeout time.Duration) InvokeOption {
	return func(inv *invocation) { inv.timeout = timeout }
}

// WithGrace lets this invocation go on for so long after the deadline that the
// function is told before its process is ended. Lambda gives no grace; with one, a
// test can measure by how much an answer is late.
func WithGrace(grace time.Duration) InvokeOption {
	return func(inv *invocation) { inv.grace = grace }
}

// WithClockAhead announces the deadline by a clock that is ahead of this machine's,
// for a process that was given such a clock.
func WithClockAhead(ahead time.Duration) InvokeOption {
	return func(inv *invocation) { inv.ahead = ahead }
}

// WithClientContext sets the client context, a JSON object.
func WithClientContext(document string) InvokeOption {
	return func(inv *invocation) { inv.header.Set("Lambda-Runtime-Client-Context", document) }
}

// Invoke hands an event to the function and waits for what comes of it. A
// function error is no error here; an error means that the function could not
// be asked, or that ctx ended first, in which case the invocation goes on.
//
// Where the process has ended, a new one is started first, as Lambda does.
func (f *Function) Invoke(ctx context.Context, payload []byte, options ...InvokeOption) (Invocation, error) {
	inv := &invocation{id: newUUID(), payload: payload, header: http.Header{}, timeout: f.options.Timeout, done: make(chan struct{})}
	for _, option := range options {
		option(inv)
	}
	for {
		s, err := f.running()
		if err != nil {
			return Invocation{}, err
		}
		select {
		case <-ctx.Done():
			return Invocation{}, context.Cause(ctx)
		case s.queue <- inv:
		case <-s.exited:
			if s.initDuration() > 0 {
				continue
			}
			result := failure(inv.id, s.initError.Type, s.initError.Message)
			result.Logs = s.initError.Logs
			return result, nil
		}
		select {
		case <-inv.done:
			return inv.result, nil
		case <-ctx.Done():
			return Invocation{}, context.Cause(ctx)
		}
	}
}

// invocation is one event on its way through a process, under whose lock it changes.
type invocation struct {
	id      string
	payload []byte
	header  http.Header // of the event, besides what each one has
	timeout time.Duration
	grace   time.Duration
	ahead   time.Duration

	begun    time.Time
	from     int // position in the logbook
	timer    *time.Timer
	answered bool
	result   Invocation
	done     chan struct{} // closed when the result is complete
}

func randomHex(bytes int) string {
	b := make([]byte, bytes)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

// newUUID returns a random UUID, version 4.
func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:])
}
