package seguratest

import (
	"context"
	"crypto/tls"
	"net/http"
	"net/url"
	"slices"
	"sync"
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

	RemoteAddr string
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
	Protocol   string // by ALPN; empty: none was agreed on, which is HTTP/1.1
	ServerName string
	Resumed    bool
	// ClientCertificate is the subject's common name of the one presented.
	ClientCertificate string
}

func tlsInfo(state *tls.ConnectionState) TLSInfo {
	if state == nil {
		return TLSInfo{}
	}
	info := TLSInfo{
		Version:    state.Version,
		Protocol:   state.NegotiatedProtocol,
		ServerName: state.ServerName,
		Resumed:    state.DidResume,
	}
	if len(state.PeerCertificates) > 0 {
		info.ClientCertificate = state.PeerCertificates[0].Subject.CommonName
	}
	return info
}

type target struct {
	kind       Kind
	identifier int64
}

// journal keeps the requests in the order of arrival.
type journal struct {
	mu      sync.Mutex
	entries []*Request
	counts  map[target]int // identifier 0: all of the kind; kind "": of all kinds
	flying  map[Kind]int
	peaks   map[Kind]int
}

func newJournal() *journal {
	j := &journal{flying: map[Kind]int{}}
	j.reset()
	return j
}

func (j *journal) reset() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.entries = nil
	j.counts = map[target]int{}
	j.peaks = map[Kind]int{}
	for kind, n := range j.flying {
		j.peaks[kind] = n
	}
}

// arrive numbers and keeps the request, which belongs to the journal from now
// on, and returns a copy.
func (j *journal) arrive(r *Request) Request {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.entries = append(j.entries, r)
	r.Number = len(j.entries)
	for _, kind := range []Kind{"", r.Kind} {
		j.counts[target{kind, 0}]++
		if r.Identifier != 0 {
			j.counts[target{kind, r.Identifier}]++
		}
		j.flying[kind]++
		j.peaks[kind] = max(j.peaks[kind], j.flying[kind])
	}
	return *r
}

func (j *journal) leave(r *Request) {
	j.mu.Lock()
	defer j.mu.Unlock()
	r.Done, r.Ended = true, time.Now()
	j.flying[""]--
	j.flying[r.Kind]--
}

func (j *journal) answered(r *Request, status int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	r.Status = status
}

func (j *journal) faulted(r *Request, name string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	r.Fault = name
}

func (j *journal) count(kind Kind, identifier int64) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.counts[target{kind, identifier}]
}

// Requests are the requests so far in the order of arrival, of the given kinds
// or of all. One is listed from its arrival on; Status and Done come later.
func (s *Server) Requests(kinds ...Kind) []Request {
	s.journal.mu.Lock()
	defer s.journal.mu.Unlock()
	var list []Request
	for _, r := range s.journal.entries {
		if len(kinds) == 0 || slices.Contains(kinds, r.Kind) {
			list = append(list, *r)
		}
	}
	return list
}

// Count is the number of requests of a kind so far; of all for "". Its cost
// does not depend on the number.
func (s *Server) Count(kind Kind) int { return s.journal.count(kind, 0) }

// CountFor is Count for one identifier.
func (s *Server) CountFor(kind Kind, identifier int64) int {
	if identifier == 0 {
		return 0
	}
	return s.journal.count(kind, identifier)
}

// Peak is the largest number of requests of a kind, or of all for "", that were
// in the server at once. A request that its client has given up counts until
// the server has seen that.
func (s *Server) Peak(kind Kind) int {
	s.journal.mu.Lock()
	defer s.journal.mu.Unlock()
	return s.journal.peaks[kind]
}

// Await waits until n requests of a kind, or of all for "", have arrived, or
// returns the cause of ctx's end.
func (s *Server) Await(ctx context.Context, kind Kind, n int) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for s.Count(kind) < n {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
	return nil
}
