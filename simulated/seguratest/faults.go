package seguratest

import (
	"maps"
	"net/http"
	"time"
)

// Match says which requests a fault is for. The zero value is for all.
type Match struct {
	// Kind of request; empty means any, HEAD and unknown routes included.
	Kind Kind
	// Identifier of the path; 0 means any.
	Identifier int64
	// When, if set, must hold too. It is called under a lock and must not call
	// the server.
	When func(Request) bool
}

func (m Match) holds(r Request) bool {
	return (m.Kind == "" || m.Kind == r.Kind) &&
		(m.Identifier == 0 || m.Identifier == r.Identifier) &&
		(m.When == nil || m.When(r))
}

// Fault is something that happens instead of the faithful answer, before the
// token, the caller or the route are looked at. The functions of this package
// make them; a Fault is a value, and its methods return changed copies. The zero
// value is [Normally].
type Fault struct {
	name   string
	play   func(*exchange) // nil: the faithful answer
	apply  bool
	delay  time.Duration
	ready  <-chan struct{}
	header http.Header
}

// String is the fault's name, as in Request.Fault.
func (f Fault) String() string { return f.name }

// AfterApplying does all that the request asks for, as if there was no fault,
// and then plays the fault in place of the answer: the change is made, or the
// token issued, and its reply is lost.
func (f Fault) AfterApplying() Fault {
	f.apply = true
	f.name += ", after applying"
	return f
}

// After waits before the fault is played; with AfterApplying, also before the
// change is made.
func (f Fault) After(d time.Duration) Fault {
	f.delay = d
	return f
}

// Until waits for the channel to be closed before the fault is played. With
// [Normally], a test holds calls and lets them go.
func (f Fault) Until(ready <-chan struct{}) Fault {
	f.ready = ready
	return f
}

// WithHeader sets a header of the reply, where the fault sends one; an empty
// value removes it, the gateway's X-Kong-Request-Id included.
func (f Fault) WithHeader(name, value string) Fault {
	header := http.Header{}
	maps.Copy(header, f.header)
	header.Set(name, value)
	if value == "" {
		header[http.CanonicalHeaderKey(name)] = nil // removes what net/http would add, too
	}
	f.header = header
	return f
}

func (f Fault) run(x *exchange) {
	x.pause(f.delay)
	if f.ready != nil {
		wait(x, f.ready)
	}
	if f.apply {
		x.answer()
	}
	if f.play == nil {
		f.play = func(x *exchange) { x.send(x.answer()) }
	}
	f.play(x)
}

type rule struct {
	match Match
	fault Fault
	left  int // negative: no limit
}

// Fail plays the fault for the next times requests that match; for all of them,
// until Reset or ClearFaults, where times is negative. Of several calls the
// earlier one is used up first, so that they make a sequence: two of
// [Normally], then one of [Hang].
func (s *Server) Fail(m Match, f Fault, times int) {
	s.locked(func() { s.rules = append(s.rules, &rule{match: m, fault: f, left: times}) })
}

// ClearFaults forgets all faults; those that are being played go on.
func (s *Server) ClearFaults() { s.locked(func() { s.rules = nil }) }

// FaultsLeft is the number of faults that Fail asked for and that have not been
// played, those without a limit left out: 0 says that a script was played to
// its end.
func (s *Server) FaultsLeft() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	left := 0
	for _, rule := range s.rules {
		left += max(rule.left, 0)
	}
	return left
}
