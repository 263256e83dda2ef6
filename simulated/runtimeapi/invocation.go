package runtimeapi

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
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

// errorDocument is the body of a function error.
type errorDocument struct {
	ErrorType    string `json:"errorType"`
	ErrorMessage string `json:"errorMessage"`
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
	inv := newInvocation(payload, f.options)
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
			return inv.wait(ctx)
		case <-s.exited:
			if s.initDuration() == 0 {
				return s.initFailure(inv), nil
			}
		}
	}
}

// invocation is one event on its way through a process.
type invocation struct {
	id      string
	payload []byte
	header  http.Header
	timeout time.Duration
	grace   time.Duration
	ahead   time.Duration

	mu       sync.Mutex
	begun    time.Time
	from     int // position in the logbook
	answered bool
	result   Invocation
	timer    *time.Timer
	once     sync.Once
	done     chan struct{}
}

func newInvocation(payload []byte, o Options) *invocation {
	inv := &invocation{id: newUUID(), payload: payload, timeout: o.Timeout,
		header: http.Header{}, done: make(chan struct{})}
	random := strings.ReplaceAll(newUUID(), "-", "")
	inv.header.Set("Lambda-Runtime-Trace-Id", fmt.Sprintf("Root=1-%08x-%s;Parent=%s;Sampled=0",
		time.Now().Unix(), random[:24], newUUID()[19:23]+random[20:32]))
	inv.header.Set("Lambda-Runtime-Invoked-Function-Arn", fmt.Sprintf(
		"arn:aws:lambda:%s:123456789012:function:%s", region(o), o.FunctionName))
	return inv
}

// begin notes the start and arms the deadline; onTimeout ends the process.
func (inv *invocation) begin(from int, onTimeout func()) http.Header {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	inv.begun, inv.from = time.Now(), from
	inv.timer = time.AfterFunc(inv.timeout+inv.grace, func() {
		inv.answer(Invocation{
			FunctionError: true, TimedOut: true, ErrorType: "Sandbox.Timedout",
			ErrorMessage: fmt.Sprintf("RequestId: %s Error: Task timed out after %.2f seconds", inv.id, inv.timeout.Seconds()),
		})
		onTimeout()
	})
	header := inv.header.Clone()
	header.Set("Lambda-Runtime-Aws-Request-Id", inv.id)
	header.Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(inv.begun.Add(inv.timeout+inv.ahead).UnixMilli(), 10))
	header.Set("Content-Type", "application/json")
	return header
}

// answer keeps the first answer and reports whether this was it.
func (inv *invocation) answer(result Invocation) bool {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	if inv.answered {
		return false
	}
	inv.answered = true
	result.RequestID = inv.id
	if !inv.begun.IsZero() {
		result.Duration = time.Since(inv.begun)
	}
	if result.FunctionError && result.Payload == nil {
		result.Payload, _ = json.Marshal(errorDocument{result.ErrorType, result.ErrorMessage})
	}
	inv.result = result
	return true
}

// finish ends the invocation, with the lines that belong to it.
func (inv *invocation) finish(logs func(from int) []string) {
	inv.once.Do(func() {
		inv.mu.Lock()
		inv.result.Logs = logs(inv.from)
		if inv.timer != nil {
			inv.timer.Stop()
		}
		inv.mu.Unlock()
		close(inv.done)
	})
}

func (inv *invocation) isAnswered() bool {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	return inv.answered
}

func (inv *invocation) wait(ctx context.Context) (Invocation, error) {
	select {
	case <-inv.done:
		return inv.result, nil
	case <-ctx.Done():
		return Invocation{}, context.Cause(ctx)
	}
}

// newUUID returns a random UUID, version 4.
func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:])
}
