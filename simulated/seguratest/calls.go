package seguratest

import (
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const maxRecordedBody = 64 << 10

// exchange is one request on its way to one answer.
type exchange struct {
	server  *Server
	w       http.ResponseWriter
	r       *http.Request
	request *Request // the journal's: read only what arrive did not change
	id      string   // the gateway's request id
	fault   *Fault   // nil where none is played
	cached  *reply
}

// serve handles every request: record it, wait, then play a fault or answer.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	if !s.enter() {
		abort()
	}
	defer s.handlers.Done()
	x := &exchange{server: s, w: w, r: r, id: requestID()}
	x.request = s.describe(r, x.id)
	fault := s.script.next(s.journal.arrive(x.request))
	defer s.journal.leave(x.request)
	if fault != nil {
		x.fault = fault
		s.journal.faulted(x.request, fault.name)
	}
	x.pause(s.latency(x.request.Kind))
	if fault != nil {
		fault.run(x)
		return
	}
	x.send(x.answer())
}

// describe is the record of a request before it is kept. It reads the body, of
// which it keeps a part.
func (s *Server) describe(r *http.Request, id string) *Request {
	body, _ := io.ReadAll(io.LimitReader(r.Body, maxRecordedBody))
	_, _ = io.Copy(io.Discard, io.LimitReader(r.Body, 16<<20))
	request := &Request{
		Time: time.Now(), Method: r.Method, Path: r.URL.EscapedPath(), Query: r.URL.RawQuery,
		Proto: r.Proto, Host: r.Host, Header: r.Header.Clone(), Body: string(body),
		RemoteAddr: r.RemoteAddr, TLS: tlsInfo(r.TLS), ID: id,
	}
	if c := connection(r); c != nil {
		if tracked, ok := c.NetConn().(*conn); ok {
			request.Connection = tracked.number
		}
	}
	request.Kind, request.Identifier = s.classify(r)
	mediaType, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	if strings.EqualFold(strings.TrimSpace(mediaType), "application/x-www-form-urlencoded") {
		request.Form, _ = url.ParseQuery(request.Body)
	}
	return request
}

// classify finds the route; what is not exactly one of ours is KindOther.
func (s *Server) classify(r *http.Request) (Kind, int64) {
	if r.Method == http.MethodHead {
		return KindHead, 0
	}
	path, ok := strings.CutPrefix(r.URL.EscapedPath(), s.options.BasePath)
	if ok && r.Method == http.MethodGet && path == listPath {
		return KindList, 0
	}
	if !ok || r.Method != http.MethodPost {
		return KindOther, 0
	}
	if path == s.options.TokenPath {
		return KindToken, 0
	}
	for _, route := range []struct {
		kind Kind
		path string
	}{
		{KindEnable, s.options.EnablePath},
		{KindDisable, s.options.DisablePath},
		{KindPasswordEnable, "/api/mysafe/password/active/{identifier}"},
		{KindPasswordDisable, "/api/mysafe/password/inactive/{identifier}"},
	} {
		if identifier, ok := matchPath(route.path, path); ok {
			return route.kind, identifier
		}
	}
	return KindOther, 0
}

// listPath is that of the page "GET | List all API secrets".
const listPath = "/api/mysafe/secretapi"

// matchPath takes plain digits without leading zeros only: Segura is more
// lenient, but a client that relies on it is to be seen.
func matchPath(template, path string) (int64, bool) {
	before, after, _ := strings.Cut(template, "{identifier}")
	digits, ok := strings.CutPrefix(path, before)
	if !ok {
		return 0, false
	}
	digits, ok = strings.CutSuffix(digits, after)
	if !ok {
		return 0, false
	}
	identifier, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || identifier < 1 || strconv.FormatInt(identifier, 10) != digits {
		return 0, false
	}
	return identifier, true
}

func (s *Server) latency(kind Kind) time.Duration {
	s.mu.Lock()
	l := s.delays
	s.mu.Unlock()
	d := l.Call
	if kind == KindToken {
		d = l.Token
	}
	if l.Jitter > 0 {
		d += rand.N(l.Jitter)
	}
	return d
}

// pause waits, or ends the exchange where the client goes or the server closes.
func (x *exchange) pause(d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-x.r.Context().Done():
		abort()
	}
}

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
	case KindHead:
		return x.answerHead()
	case KindToken:
		return x.answerToken()
	case KindEnable, KindDisable, KindPasswordEnable, KindPasswordDisable, KindList:
		return x.answerCall()
	case KindOther:
	}
	return x.gateway(http.StatusNotFound, messageNoRoute)
}

// answerHead: the start page is there, everything else is not.
func (x *exchange) answerHead() reply {
	if strings.TrimRight(x.r.URL.EscapedPath(), "/") == x.server.options.BasePath {
		return textReply(http.StatusOK, "text/html; charset=UTF-8", "")
	}
	return x.gateway(http.StatusNotFound, messageNoRoute)
}

// answerCall is a call to the MySafe API.
func (x *exchange) answerCall() reply {
	s := x.server
	if !s.authority.honours(bearer(x.r)) {
		return x.refusedToken(s.authority.refusal())
	}
	g := s.speaks()
	if want := s.options.Referer; want != "" && x.r.Referer() != want {
		return g.envelope(403, 403, messageNotAuthorized, exception{})
	}
	if x.request.Kind == KindList {
		return jsonReply(http.StatusOK, s.vault.list())
	}
	identifier := x.request.Identifier
	w := g.shape().words
	var became turned
	var done, before string
	switch x.request.Kind {
	case KindDisable:
		became, done, before = s.vault.turnAPISecret(identifier, false), w.disabled, w.alreadyDisabled
	case KindPasswordEnable:
		became, done, before = s.vault.turnPassword(identifier, true), messagePasswordEnabled, messagePasswordAlreadyEnabled
	case KindPasswordDisable:
		became, done, before = s.vault.turnPassword(identifier, false), messagePasswordDisabled, messagePasswordAlreadyDisabled
	default:
		became, done, before = s.vault.turnAPISecret(identifier, true), w.enabled, w.alreadyEnabled
	}
	switch became {
	case missing:
		return g.envelope(400, 400, messageNotFound, exception{1005, messageNotFound})
	case forbidden:
		return g.envelope(400, 400, messageNoAccess, exception{1006, messageNoAccess})
	case already:
		return g.envelope(200, 200, before, exception{})
	case changed:
	}
	return g.envelope(200, 200, done, exception{})
}

// plausible is a success that changes nothing, for faults that cut one short.
func (x *exchange) plausible() reply {
	g := x.server.speaks()
	switch x.request.Kind {
	case KindToken:
		return tokenReply(`{"token_type":"Bearer","expires_in":3600,"access_token":"` + strangeToken() + `"}`)
	case KindDisable:
		return g.envelope(200, 200, g.shape().words.disabled, exception{})
	default:
		return g.envelope(200, 200, g.shape().words.enabled, exception{})
	}
}

// head sends the status and the headers, those of the gateway and of the fault
// included; length is the Content-Length, or negative for none.
func (x *exchange) head(a reply, length int) {
	h := x.w.Header()
	maps.Copy(h, a.header)
	if !x.server.options.OlderGateway {
		h.Set("X-Kong-Request-Id", x.id)
	}
	if h.Get("Server") == "" {
		h.Set("Server", "nginx")
		h.Set("Via", "1.1 kong/3.9.1")
	}
	if length >= 0 {
		h.Set("Content-Length", strconv.Itoa(length))
	}
	if x.fault != nil {
		for name, values := range x.fault.header {
			if len(values) == 1 && values[0] == "" {
				h[name] = nil // removes what net/http would add, too
			} else {
				h[name] = values
			}
		}
	}
	x.server.journal.answered(x.request, a.status)
	x.w.WriteHeader(a.status)
}

func (x *exchange) send(a reply) {
	length := len(a.body)
	if a.status == http.StatusNoContent || a.status == http.StatusNotModified {
		length = -1 // these have none
	}
	x.head(a, length)
	if x.r.Method != http.MethodHead {
		_, _ = io.WriteString(x.w, a.body)
	}
}

// gone waits for the client to go or the server to close, and ends the exchange.
func (x *exchange) gone() {
	<-x.r.Context().Done()
	abort()
}

// waitFor waits for the channel, or ends the exchange as pause does.
func (x *exchange) waitFor(ready <-chan struct{}) {
	select {
	case <-ready:
	case <-x.r.Context().Done():
		abort()
	}
}
