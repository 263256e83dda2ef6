// Package window keeps API secrets enabled from a time until a time. Windows are
// leases in a table: an API secret is to be enabled while any window holds it. What
// is to be done is decided by pure functions of the table's content and the time;
// the Keeper reads, decides, writes and calls, in an order that no interleaving
// breaks. How the table is stored and how Segura is called are left to others.
package window

import (
	"slices"

	"segura-enable/internal/apisecret"
)

// Limits of a window, and names.
const (
	MaxExtensions  = 100
	maxAhead       = 366 * day // from now to a window's beginning
	maxMarks       = 5         // unexpired ones, in one window; they keep it below an item's 400 KB
	maxUpstreamID  = 64        // longer ones are in the audit log only
	GuardID        = "guard"   // of the pseudo-window that only carries the guard's marks
	ByTime         = "time"    // who closes a window that nobody closes
	day            = 24 * 60 * 60
	landingSeconds = 60 // after an attempt's limit, a call has landed or never will
)

// State is a window's, as callers see it.
type State string

// The states of a window.
const (
	Scheduled State = "scheduled"
	Open      State = "open"
	Closing   State = "closing"
	Closed    State = "closed"
)

// LeaseState is that of one identifier in a window.
type LeaseState string

// The states of a lease. Pending and Enabled hold an API secret.
const (
	Pending      LeaseState = "pending"
	Enabled      LeaseState = "enabled"
	Failed       LeaseState = "failed"
	Disabled     LeaseState = "disabled"
	Kept         LeaseState = "kept"
	NeverEnabled LeaseState = "never_enabled"
)

// Window is a window as the table has it. It is changed by the functions of this
// package only, which copy it first.
type Window struct {
	ID        string  `json:"id"`
	From      Instant `json:"from"`
	Until     Instant `json:"until"`
	Reason    string  `json:"reason,omitempty"`
	OpenedBy  string  `json:"opened_by,omitempty"`
	CreatedAt Instant `json:"created_at"`
	Begun     bool    `json:"begun,omitempty"`    // somebody has begun to enable for it
	Over      bool    `json:"over,omitempty"`     // it holds nothing any more, whatever the clocks say
	Turn      int     `json:"turn,omitempty"`     // how often Over has changed
	Ended     *Change `json:"ended,omitempty"`    // somebody closed it; nil: nobody did
	Extended  int     `json:"extended,omitempty"` // how often
	Leases    []Lease `json:"leases"`             // in the order asked for
	Marks     []Mark  `json:"marks,omitempty"`    // of calls that may be under way

	Closed     bool     `json:"-"` // it is not among the live ones any more
	Extensions []Change `json:"-"` // read where a window is shown
	Version    int      `json:"-"` // how often it was written; the condition of the next write
	Due        Instant  `json:"-"` // as the table has it, when something is to be done
	Told       string   `json:"-"` // what the readers of the table's stream know of it

	altered bool // since it was cloned
}

// Change is what somebody did to a window's end.
type Change struct {
	At     Instant `json:"at"`
	By     string  `json:"by,omitempty"`
	Until  Instant `json:"until,omitempty"` // the later end; 0: it was closed
	Reason string  `json:"reason,omitempty"`
}

// Lease is an identifier in a window.
type Lease struct {
	Identifier apisecret.Identifier `json:"i"`
	State      LeaseState           `json:"s"`
	At         Instant              `json:"at,omitempty"` // since when; 0: it is the first state
	Fault      *Fault               `json:"e,omitempty"`  // of the last call

	Begun  bool    `json:"b,omitempty"` // a call that enables may have been begun
	Landed bool    `json:"l,omitempty"` // such a call may have had, or may still have, its effect
	Undone bool    `json:"u,omitempty"` // a call of ours that disables may have been begun since it was enabled
	Off    bool    `json:"o,omitempty"` // it was disabled at the end, but an earlier call may still land
	Carry  bool    `json:"c,omitempty"` // it was kept, and is taken over again without a call if that is still true
	Told   Instant `json:"t,omitempty"` // when the audit log last told of it
}

// Fault is what the table keeps of an error.
type Fault struct {
	Code              apisecret.Code `json:"code"`
	Retryable         bool           `json:"retryable"`
	SeguraCode        int            `json:"segura_code,omitempty"`
	HTTPStatus        int            `json:"http_status,omitempty"`
	UpstreamRequestID string         `json:"upstream_request_id,omitempty"`
}

func faultOf(e *apisecret.Error) *Fault {
	if e == nil {
		return nil
	}
	f := &Fault{Code: e.Code, Retryable: e.Retryable, SeguraCode: e.SeguraCode, HTTPStatus: e.HTTPStatus}
	if len(e.UpstreamRequestID) <= maxUpstreamID {
		f.UpstreamRequestID = e.UpstreamRequestID
	}
	return f
}

// Mark says that an actor may be calling Segura. It is written before the first of
// the calls and taken away when their effect is known; after LandBy, each has landed
// or never will.
type Mark struct {
	Actor       string                 `json:"actor"`
	Kind        apisecret.Action       `json:"kind"`
	LandBy      Instant                `json:"land_by"`
	Identifiers []apisecret.Identifier `json:"identifiers"`
}

// holds reports whether the lease keeps its API secret enabled while its window does.
func (l *Lease) holds() bool { return l.State == Pending || l.State == Enabled }

// StateAt returns the state at a time.
func (w *Window) StateAt(now Instant) State {
	switch {
	case w.Closed:
		return Closed
	case w.over(now):
		return Closing
	case now < w.From:
		return Scheduled
	default:
		return Open
	}
}

// over reports whether the window is over, by the table or by the clock.
func (w *Window) over(now Instant) bool { return w.Over || now >= w.Until }

// begun reports whether the window has begun, by the table or by the clock.
func (w *Window) begun(now Instant) bool { return w.Begun || now >= w.From }

// endedAt returns when the window ends, or was closed.
func (w *Window) endedAt() Instant {
	if w.Ended != nil {
		return w.Ended.At
	}
	return w.Until
}

// ClosedBy returns who has closed the window, or ByTime; empty: nobody knows, or it goes on.
func (w *Window) ClosedBy(now Instant) string {
	switch {
	case w.Ended != nil:
		return w.Ended.By
	case w.Closed || w.over(now):
		return ByTime
	default:
		return ""
	}
}

// lease returns the identifier's lease; nil: the window does not have it.
func (w *Window) lease(i apisecret.Identifier) *Lease {
	at := slices.IndexFunc(w.Leases, func(l Lease) bool { return l.Identifier == i })
	if at < 0 {
		return nil
	}
	return &w.Leases[at]
}

// enabling reports whether anybody but the actor may be enabling the API secret for this
// window; expired marks count until they are taken away.
func (w *Window) enabling(i apisecret.Identifier, but string) bool {
	return slices.ContainsFunc(w.Marks, func(m Mark) bool {
		return m.Kind == apisecret.Enable && m.Actor != but && slices.Contains(m.Identifiers, i)
	})
}

// Finished reports whether the window may leave the live ones: over, with nothing to
// be disabled and no call that may still land.
func (w *Window) Finished() bool {
	return w.Over && w.ID != GuardID && len(w.Marks) == 0 && !slices.ContainsFunc(w.Leases, func(l Lease) bool { return l.holds() })
}

// DueAt returns when something is to be done for the window; 0 means at once. An end that
// its time has brought leaves that as it was, so that nothing else is to be written.
func (w *Window) DueAt() Instant {
	switch {
	case w.Over:
		return w.endedAt()
	case !w.Begun:
		return w.From
	case slices.ContainsFunc(w.Leases, func(l Lease) bool { return l.State == Pending }):
		return 0
	default:
		return w.Until
	}
}

// clone copies the window, so that it can be changed.
func (w *Window) clone() Window {
	c := *w
	c.altered = false
	c.Leases = slices.Clone(w.Leases)
	c.Marks = slices.Clone(w.Marks)
	for at := range c.Marks {
		c.Marks[at].Identifiers = slices.Clone(c.Marks[at].Identifiers)
	}
	return c
}
