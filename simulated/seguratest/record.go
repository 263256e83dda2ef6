package seguratest

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Kind is what a request asks for.
type Kind string

// The kinds of request. The empty Kind stands for all of them.
const (
	KindToken           Kind = "token"
	KindEnable          Kind = "enable"
	KindDisable         Kind = "disable"
	KindPasswordEnable  Kind = "password_enable"  // the wrong route: another object
	KindPasswordDisable Kind = "password_disable" // likewise
	KindHead            Kind = "head"             // HEAD of any path
	KindList            Kind = "list"             // of all API secrets
	KindOther           Kind = "other"            // no route of Segura's
)

// Request is the record of one request. Its Header and Form are copies.
type Request struct {
	// Number counts from 1 in the order of arrival, since the start or Reset.
	Number int
	Time   time.Time
	Kind   Kind
	// Identifier is that of the path; 0 where it has none.
	Identifier int64

	Method string
	Path   string // escaped as it came, with the base path
	Query  string // raw
	Proto  string // "HTTP/2.0" or "HTTP/1.1"
	Host   string
	Header http.Header
	Body   string     // at most 64 KiB of it
	Form   url.Values // of a form-encoded token request

	// Connection tells connections apart: the first one is 1.
	Connection int
	TLS        TLSInfo

	// ID is the gateway's request id, as in X-Kong-Request-Id.
	ID string
	// Status is the HTTP status answered; 0 while or where there is none.
	Status int
	// Fault names the fault that was played; empty where none was.
	Fault string
	// Done says that the exchange is over, and Ended when that was.
	Done  bool
	Ended time.Time
}

// TLSInfo is what the client and the server agreed on.
type TLSInfo struct {
	Version    uint16
	ServerName string
	Resumed    bool
	// ClientCertificate is the subject's common name of the one presented.
	ClientCertificate string
}

// describe is the record of a request before it is kept. It reads the body.
func (s *Server) describe(r *http.Request) *Request {
	body, _ := io.ReadAll(io.LimitReader(r.Body, 64<<10))
	_, tracked := connection(r)
	request := &Request{
		Time: time.Now(), Method: r.Method, Path: r.URL.EscapedPath(), Query: r.URL.RawQuery,
		Proto: r.Proto, Host: r.Host, Header: r.Header.Clone(), Body: string(body), Connection: tracked.number, ID: requestID(),
		TLS: TLSInfo{Version: r.TLS.Version, ServerName: r.TLS.ServerName, Resumed: r.TLS.DidResume},
	}
	if len(r.TLS.PeerCertificates) > 0 {
		request.TLS.ClientCertificate = r.TLS.PeerCertificates[0].Subject.CommonName
	}
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		request.Form, _ = url.ParseQuery(request.Body)
	}
	request.Kind, request.Identifier = s.classify(r)
	return request
}

// route is a kind of request with its method and path.
type route struct {
	kind Kind
	is   *regexp.Regexp
}

// newRoutes takes identifiers in plain digits without leading zeros only: Segura is
// more lenient, but a client that relies on it is to be seen.
func newRoutes(o Options) []route {
	at := func(kind Kind, method, path string) route {
		pattern := strings.Replace(regexp.QuoteMeta(o.BasePath+path), `\{identifier\}`, `([1-9]\d*)`, 1)
		return route{kind, regexp.MustCompile("^" + method + " " + pattern + "$")}
	}
	return []route{
		{KindHead, regexp.MustCompile("^HEAD ")},
		at(KindList, "GET", "/api/mysafe/secretapi"), // the page "GET | List all API secrets"
		at(KindToken, "POST", o.TokenPath),
		at(KindEnable, "POST", o.EnablePath),
		at(KindDisable, "POST", o.DisablePath),
		at(KindPasswordEnable, "POST", "/api/mysafe/password/active/{identifier}"),
		at(KindPasswordDisable, "POST", "/api/mysafe/password/inactive/{identifier}"),
	}
}

// classify finds the route; what is not exactly one of ours is KindOther.
func (s *Server) classify(r *http.Request) (Kind, int64) {
	for _, route := range s.routes {
		switch found := route.is.FindStringSubmatch(r.Method + " " + r.URL.EscapedPath()); len(found) {
		case 1:
			return route.kind, 0
		case 2:
			if identifier, err := strconv.ParseInt(found[1], 10, 64); err == nil {
				return route.kind, identifier
			}
		}
	}
	return KindOther, 0
}

// arrive numbers and keeps the record, and returns the fault that is due for it,
// which is used up; the zero Fault where there is none.
func (s *Server) arrive(r *Request) Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, r)
	r.Number = len(s.requests)
	s.flying[r.Kind]++
	s.peaks[r.Kind] = max(s.peaks[r.Kind], s.flying[r.Kind])
	for _, rule := range s.rules {
		if rule.left != 0 && rule.match.holds(*r) {
			rule.left--
			r.Fault = rule.fault.name
			return rule.fault
		}
	}
	return Fault{}
}

func (s *Server) leave(r *Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r.Done, r.Ended = true, time.Now()
	s.flying[r.Kind]--
}

// Requests are the requests so far in the order of arrival, of the given kinds
// or of all. One is listed from its arrival on; Status and Done come later.
func (s *Server) Requests(kinds ...Kind) []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []Request
	for _, r := range s.requests {
		if len(kinds) == 0 || slices.Contains(kinds, r.Kind) {
			list = append(list, *r)
		}
	}
	return list
}

// Count is the number of requests of a kind so far; of all for "".
func (s *Server) Count(kind Kind) int { return s.CountFor(kind, 0) }

// CountFor is Count for one identifier; for any where that is 0.
func (s *Server) CountFor(kind Kind, identifier int64) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, r := range s.requests {
		if (Match{Kind: kind, Identifier: identifier}).holds(*r) {
			n++
		}
	}
	return n
}

// Peak is the largest number of requests of a kind that were in the server at
// once. A request that its client has given up counts until the server has seen
// that.
func (s *Server) Peak(kind Kind) (n int) {
	s.locked(func() { n = s.peaks[kind] })
	return n
}

// Await waits until n requests of a kind, or of all for "", have arrived, or
// returns the cause of ctx's end.
func (s *Server) Await(ctx context.Context, kind Kind, n int) error {
	for s.Count(kind) < n {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(time.Millisecond):
		}
	}
	return nil
}
