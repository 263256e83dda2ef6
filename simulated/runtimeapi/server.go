package runtimeapi

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// routes are the calls of the Runtime API, but the one that reports a failed init:
// Go's runtime ends the process instead, and others do both.
// https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
func (s *sandbox) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /2018-06-01/runtime/invocation/next", s.next)
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/response", s.accept(func(_ http.Header, body []byte) Invocation {
		return Invocation{Payload: body}
	}))
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/error", s.accept(functionError))
	return mux
}

// next hands out an event. Asking for work also ends what came before it.
func (s *sandbox) next(w http.ResponseWriter, r *http.Request) {
	s.becomeReady()
	if s.options.MaxConcurrency == 1 {
		s.settle()
	}
	select {
	case <-r.Context().Done():
	case <-s.exited:
	case inv := <-s.queue:
		if !s.takeOn(inv) {
			s.lose(inv)
			return
		}
		maps.Copy(w.Header(), inv.header)
		for name, value := range map[string]string{
			"Lambda-Runtime-Aws-Request-Id":       inv.id,
			"Lambda-Runtime-Deadline-Ms":          strconv.FormatInt(inv.begun.Add(inv.timeout+inv.ahead).UnixMilli(), 10),
			"Lambda-Runtime-Trace-Id":             fmt.Sprintf("Root=1-%08x-%s;Parent=%s;Sampled=0", inv.begun.Unix(), randomHex(12), randomHex(8)),
			"Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:" + cmp.Or(s.options.Env["AWS_REGION"], defaultRegion) + ":123456789012:function:" + s.options.FunctionName,
			"Content-Type":                        "application/json",
		} {
			w.Header().Set(name, value)
		}
		_, _ = w.Write(inv.payload)
	}
}

// takeOn begins an invocation, whose deadline ends the process. It reports false
// where the process has just ended.
func (s *sandbox) takeOn(inv *invocation) bool {
	from := s.logs.position()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.inFlight == nil {
		return false
	}
	s.inFlight[inv.id] = inv
	inv.begun, inv.from = time.Now(), from
	inv.timer = time.AfterFunc(inv.timeout+inv.grace, func() {
		late := failure(inv.id, "Sandbox.Timedout", fmt.Sprintf("Task timed out after %.2f seconds", inv.timeout.Seconds()))
		late.TimedOut = true
		s.answer(inv, late)
		s.kill()
	})
	return true
}

func (s *sandbox) becomeReady() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.init == 0 {
		s.init = max(time.Since(s.started), 1)
		close(s.ready)
	}
}

// settle ends the answered invocation of a process that takes one at a time.
func (s *sandbox) settle() {
	s.pipe.flush() // what init wrote does not belong to the first invocation
	s.mu.Lock()
	var answered []*invocation
	for _, inv := range s.inFlight {
		if inv.answered {
			answered = append(answered, inv)
		}
	}
	s.mu.Unlock()
	for _, inv := range answered {
		s.finish(inv)
	}
}

// accept takes the answer of the function to an invocation. A process that takes one
// at a time ends it by asking for the next; one that takes several has no such sign.
func (s *sandbox) accept(read func(http.Header, []byte) Invocation) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		s.mu.Lock()
		inv := s.inFlight[r.PathValue("id")]
		s.mu.Unlock()
		if err != nil || inv == nil {
			http.Error(w, "cut short, or of no invocation", http.StatusBadRequest)
			return
		}
		s.answer(inv, read(r.Header, body))
		if s.options.MaxConcurrency > 1 {
			s.finish(inv)
		}
		w.WriteHeader(http.StatusAccepted)
	}
}

// functionError reads the error document; the type is in a header too.
func functionError(header http.Header, body []byte) Invocation {
	var document struct{ ErrorType, ErrorMessage string }
	_ = json.Unmarshal(body, &document)
	return Invocation{
		Payload: body, FunctionError: true, ErrorMessage: document.ErrorMessage,
		ErrorType: cmp.Or(document.ErrorType, header.Get("Lambda-Runtime-Function-Error-Type")),
		XRayCause: header.Get("Lambda-Runtime-Function-Xray-Error-Cause"),
	}
}

// answer keeps the first answer to an invocation.
func (s *sandbox) answer(inv *invocation, result Invocation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if inv.answered {
		return
	}
	result.RequestID = inv.id
	if !inv.begun.IsZero() {
		result.Duration = time.Since(inv.begun)
	}
	inv.answered, inv.result = true, result
}

// lose ends an invocation whose process has ended without an answer.
func (s *sandbox) lose(inv *invocation) {
	s.answer(inv, failure(inv.id, "Runtime.ExitError", exitMessage(s.state)))
	s.finish(inv)
}

// finish ends an invocation, once, when its lines are in the logbook.
func (s *sandbox) finish(inv *invocation) {
	s.pipe.flush()
	lines := s.logs.between(inv.from, s.logs.position())
	if s.options.MaxConcurrency > 1 {
		lines = slices.DeleteFunc(lines, func(line string) bool { return !strings.Contains(line, inv.id) })
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-inv.done:
		return
	default:
	}
	if inv.timer != nil {
		inv.timer.Stop()
	}
	delete(s.inFlight, inv.id)
	inv.result.Logs = lines
	close(inv.done)
}
