package seguratest

import (
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// exchange is one request on its way to one answer.
type exchange struct {
	server  *Server
	w       http.ResponseWriter
	r       *http.Request
	request *Request // kept in the server: read only what does not change
	fault   Fault
	cached  *reply
}

// serve handles every request: record it, wait, then play a fault or answer.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	x := &exchange{server: s, w: w, r: r, request: s.describe(r)}
	x.fault = s.arrive(x.request)
	defer s.leave(x.request)
	x.pause(s.latency(x.request.Kind))
	x.fault.run(x)
}

func (s *Server) latency(kind Kind) (d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d = s.delays.Call; kind == KindToken {
		d = s.delays.Token
	}
	if s.delays.Jitter > 0 {
		d += rand.N(s.delays.Jitter)
	}
	return d
}

// abort ends the exchange and its connection without another byte.
func abort() { panic(http.ErrAbortHandler) }

// wait waits for the channel, or ends the exchange where the client goes or the
// server closes.
func wait[T any](x *exchange, ready <-chan T) {
	select {
	case <-ready:
	case <-x.r.Context().Done():
		abort()
	}
}

func (x *exchange) pause(d time.Duration) {
	if d > 0 {
		wait(x, time.After(d))
	}
}

// gone waits for the client to go or the server to close, and ends the exchange.
func (x *exchange) gone() { wait[any](x, nil) }

// answer is the faithful reply, made once: what it changes is changed then.
func (x *exchange) answer() reply {
	if x.cached == nil {
		a := x.route()
		x.cached = &a
	}
	return *x.cached
}

func (x *exchange) route() reply {
	switch x.request.Kind {
	case KindHead: // the start page is there, everything else is not
		if strings.TrimRight(x.request.Path, "/") == x.server.options.BasePath {
			return reply{200, "text/html; charset=UTF-8", ""}
		}
	case KindToken:
		return x.answerToken()
	case KindEnable, KindDisable, KindPasswordEnable, KindPasswordDisable, KindList:
		return x.answerCall()
	case KindOther:
	}
	return x.gateway(404, messageNoRoute)
}

// answerCall is a call to the MySafe API.
func (x *exchange) answerCall() reply {
	s := x.server
	if style, ok := x.honours(); !ok {
		return x.refusal(style)
	}
	if want := s.options.Referer; want != "" && x.r.Referer() != want {
		return x.says(403, messageNotAuthorized)
	}
	if x.request.Kind == KindList {
		return jsonReply(200, s.list())
	}
	message, code := s.turn(x.request)
	status := 200
	if code != 0 {
		status = 400
	}
	return s.speaks().envelope(status, status, message, code, message)
}

// plausible is a success that changes nothing, for faults that cut one short.
func (x *exchange) plausible() reply {
	if x.request.Kind == KindToken {
		return jsonReply(200, `{"token_type":"Bearer","expires_in":3600,"access_token":"`+newToken()+`"}`)
	}
	return x.says(200, x.server.speaks().says(x.request.Kind).done)
}

// head sends the status and the headers, those of the gateway and of the fault
// included; length is the Content-Length, or negative for none.
func (x *exchange) head(a reply, length int) {
	h := x.w.Header()
	h.Set("Server", "kong/3.9.1")
	h["Content-Type"] = nil // keeps net/http from guessing
	if a.contentType != "" {
		h.Set("Content-Type", a.contentType)
	}
	if !x.server.options.OlderGateway {
		h.Set("X-Kong-Request-Id", x.request.ID)
	}
	if length >= 0 {
		h.Set("Content-Length", strconv.Itoa(length))
	}
	maps.Copy(h, x.fault.header)
	x.server.locked(func() { x.request.Status = a.status })
	x.w.WriteHeader(a.status)
}

func (x *exchange) write(body string) { _, _ = io.WriteString(x.w, body) }

func (x *exchange) send(a reply) {
	length := len(a.body)
	if a.status == http.StatusNoContent || a.status == http.StatusNotModified {
		length = -1 // these have none
	}
	x.head(a, length)
	x.write(a.body) // net/http leaves it out after HEAD
}
