package runtimeapi

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

// routes are the four calls of the Runtime API.
// https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
func (s *sandbox) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /2018-06-01/runtime/invocation/next", s.next)
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/response", s.response)
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/error", s.failure)
	mux.HandleFunc("POST /2018-06-01/runtime/init/error", s.initFailed)
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
		for name, values := range inv.begin(s.logs.position(), s.kill) {
			w.Header()[name] = values
		}
		_, _ = w.Write(inv.payload)
	}
}

// takeOn reports false where the process has just ended.
func (s *sandbox) takeOn(inv *invocation) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.inFlight == nil {
		return false
	}
	s.inFlight[inv.id] = inv
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
	s.mu.Lock()
	var answered []*invocation
	for id, inv := range s.inFlight {
		if inv.isAnswered() {
			answered = append(answered, inv)
			delete(s.inFlight, id)
		}
	}
	s.mu.Unlock()
	s.pipe.flush() // what init wrote does not belong to the first invocation
	for _, inv := range answered {
		s.finish(inv)
	}
}

// response takes the answer of the function.
func (s *sandbox) response(w http.ResponseWriter, r *http.Request) {
	inv := s.lookUp(w, r)
	if inv == nil {
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, MaxResponseSize+1))
	if err != nil {
		refuse(w, http.StatusBadRequest, "InvalidResponse", "the response was cut short")
		return
	}
	result := Invocation{Payload: body}
	if len(body) > MaxResponseSize {
		const kind = "Function.ResponseSizeTooLarge"
		message := fmt.Sprintf("Response payload size exceeded maximum allowed payload size (%d bytes).", MaxResponseSize)
		s.take(inv, Invocation{FunctionError: true, ErrorType: kind, ErrorMessage: message})
		refuse(w, http.StatusRequestEntityTooLarge, kind, message)
		return
	}
	// A response that broke off while it was streamed says so in trailers.
	if kind := r.Trailer.Get("Lambda-Runtime-Function-Error-Type"); kind != "" {
		document, _ := base64.StdEncoding.DecodeString(r.Trailer.Get("Lambda-Runtime-Function-Error-Body"))
		result = functionError(document, kind)
	}
	s.accept(w, inv, result)
}

// failure takes the error document of the function.
func (s *sandbox) failure(w http.ResponseWriter, r *http.Request) {
	inv := s.lookUp(w, r)
	if inv == nil {
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, MaxResponseSize))
	if err != nil {
		refuse(w, http.StatusBadRequest, "InvalidResponse", "the error was cut short")
		return
	}
	result := functionError(body, r.Header.Get("Lambda-Runtime-Function-Error-Type"))
	result.XRayCause = r.Header.Get("Lambda-Runtime-Function-Xray-Error-Cause")
	s.accept(w, inv, result)
}

func functionError(body []byte, kind string) Invocation {
	var document errorDocument
	_ = json.Unmarshal(body, &document) // the type in the header stands then
	if document.ErrorType == "" {
		document.ErrorType = kind
	}
	return Invocation{Payload: body, FunctionError: true,
		ErrorType: document.ErrorType, ErrorMessage: document.ErrorMessage}
}

// initFailed takes the report of a process that cannot start; it ends itself.
func (s *sandbox) initFailed(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(io.LimitReader(r.Body, MaxResponseSize))
	result := functionError(body, r.Header.Get("Lambda-Runtime-Function-Error-Type"))
	s.failInit(result.ErrorType, result.ErrorMessage)
	accepted(w)
}

// lookUp finds the invocation that a call is about, or refuses the call.
func (s *sandbox) lookUp(w http.ResponseWriter, r *http.Request) *invocation {
	s.mu.Lock()
	inv := s.inFlight[r.PathValue("id")]
	s.mu.Unlock()
	if inv == nil {
		refuse(w, http.StatusBadRequest, "InvalidRequestID", "Invalid request ID")
	} else if inv.isAnswered() {
		refuse(w, http.StatusForbidden, "InvalidStateTransition", "the invocation has been answered")
		return nil
	}
	return inv
}

func (s *sandbox) accept(w http.ResponseWriter, inv *invocation, result Invocation) {
	if !s.take(inv, result) {
		refuse(w, http.StatusForbidden, "InvalidStateTransition", "the invocation has been answered")
		return
	}
	accepted(w)
}

// take keeps an answer. A process that takes one invocation at a time ends it
// by asking for the next; one that takes several has no such sign.
func (s *sandbox) take(inv *invocation, result Invocation) bool {
	if !inv.answer(result) {
		return false
	}
	if s.options.MaxConcurrency > 1 {
		s.mu.Lock()
		delete(s.inFlight, inv.id)
		s.mu.Unlock()
		s.finish(inv)
	}
	return true
}

func accepted(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusAccepted)
	_, _ = io.WriteString(w, `{"status":"OK"}`)
}

func refuse(w http.ResponseWriter, status int, kind, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(errorDocument{kind, message})
}
