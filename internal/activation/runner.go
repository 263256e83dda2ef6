// Package activation carries out a request: one identifier or ten thousand, with
// bounded concurrency, retries, re-authentication and a deadline, into one
// result, with an audit line for each identifier. Enabling and disabling take
// the same path. How a call looks on the wire is left to package segura, and
// what the caller sent and sees to the doors.
package activation

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"segura-enable/internal/apisecret"
	"segura-enable/internal/segura"
	"segura-enable/internal/telemetry"
)

// ClientSource hands out clients of Segura; credentials.Source is one.
type ClientSource interface {
	// Client returns a client made of the credentials at hand.
	Client(context.Context) (*segura.Client, *apisecret.Error)

	// Reread reads the credentials whatever a cache holds. The client is the same
	// as before if they have not changed.
	Reread(context.Context) (*segura.Client, *apisecret.Error)
}

// Runner carries out requests. It may be used by several goroutines at once.
type Runner struct {
	Clients     ClientSource
	Allowed     apisecret.Set // identifiers that may be enabled or disabled; empty: any
	Concurrency int           // calls in flight at once, in one request; at least 1
	Retry       segura.Retry  // of one call against transient faults
	Patience    time.Duration // how long Segura has to be silent to be given up
	Pace        *rate.Limiter // of calls begun, in all requests together; nil: there is none
	Telemetry   *telemetry.Telemetry
	Log         *slog.Logger
}

// Run carries out a request. It always returns an item for each identifier, in
// their order, and it does so before ctx ends.
func (r *Runner) Run(ctx context.Context, request apisecret.Request, origin telemetry.Origin) apisecret.Result {
	work, cancel := Reserve(ctx, len(request.Identifiers))
	defer cancel()
	calls := make([]Call, len(request.Identifiers))
	for at, i := range request.Identifiers {
		calls[at] = Call{Action: request.Action, Identifier: i, Reason: request.Reason, Origin: origin}
	}
	result := apisecret.Result{Action: request.Action, Items: make([]apisecret.Item, len(calls))}
	for at, done := range r.Call(work, calls) {
		result.Items[at] = done.Item
	}
	return result
}

// Call is what is to be done for one identifier.
type Call struct {
	Action       apisecret.Action
	Identifier   apisecret.Identifier
	Reason       string
	Origin       telemetry.Origin
	Before       time.Time                 // no attempt is begun at this time or later; zero: whenever
	Unrestricted bool                      // it is carried out though Allowed lacks the identifier
	Audited      func(apisecret.Item) bool // whether it leaves an audit line; nil: it does
}

// Done is what came of a Call.
type Done struct {
	Item apisecret.Item
	Open bool // an attempt's effect is not known, or may be yet to come
}

// Call carries out calls, each with an audit line of its own. It returns one element
// for each, in their order, and does so when ctx ends.
func (r *Runner) Call(ctx context.Context, calls []Call) []Done {
	job := &job{Runner: r, session: newSession(r.Clients), breaker: newBreaker(r.Patience)}
	all := make([]Done, len(calls))
	var workers errgroup.Group
	workers.SetLimit(r.Concurrency)
	for at := range calls {
		workers.Go(func() error {
			all[at] = job.one(ctx, &calls[at])
			return nil
		})
	}
	_ = workers.Wait() // none fails
	return all
}

// Warm reads the credentials and obtains a token ahead of the first request. It
// returns what kept it from doing so, which is no reason not to serve.
func (r *Runner) Warm(ctx context.Context) *apisecret.Error {
	_, fault := newSession(r.Clients).grant(ctx)
	return fault
}

// What is kept back of the invocation's time, so that the reply goes out before
// Lambda ends the process: a part for the reply as such and some audit lines, which
// is never more than half of what is left, and one for each further identifier's
// audit line, which is never more than three quarters of the rest: with many
// identifiers and little time, their audit lines and the reply are most of what can
// still be done.
const (
	reserveForReply = 500 * time.Millisecond
	itemsWithReply  = 100
	reserveForItem  = 300 * time.Microsecond // with the CPU share of 128 MB
)

// Reserve returns a context that ends so much before the invocation's, for a reply
// with so many items.
func Reserve(ctx context.Context, items int) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	left := time.Until(deadline)
	kept := min(reserveForReply, left/2)
	kept += min(time.Duration(max(0, items-itemsWithReply))*reserveForItem, (left-kept)*3/4)
	return context.WithDeadline(ctx, deadline.Add(-kept))
}

// job is one request being carried out.
type job struct {
	*Runner
	session  *session
	breaker  *breaker
	cooldown cooldown
}

// one carries out one call and leaves its audit line. A panic in telling of it, too, is a
// failure of this identifier alone.
func (j *job) one(ctx context.Context, c *Call) (done Done) {
	began := time.Now()
	t := &try{job: j, what: c}
	defer func() {
		if p := recover(); p != nil {
			LogPanic(ctx, j.Log, p)
			failure := apisecret.NewError(apisecret.InternalError, "")
			done = Done{apisecret.Item{Identifier: c.Identifier, Outcome: apisecret.Failed, Attempts: t.attempts, Error: failure}, t.open}
		}
	}()
	entry := telemetry.Entry{Origin: c.Origin, Action: c.Action, Reason: c.Reason}
	entry.Item = apisecret.Item{Identifier: c.Identifier, Outcome: apisecret.Failed}
	answer, failure := t.guarded(ctx)
	if failure != nil {
		entry.Item.Error = failure
	} else {
		entry.Item.Outcome = answer.Outcome
		entry.HTTPStatus, entry.UpstreamRequest, entry.UpstreamMessage = answer.HTTPStatus, answer.RequestID, answer.Message
	}
	entry.Item.Attempts = t.attempts
	if !c.Before.IsZero() && t.attempts == 0 && failure != nil && failure.Code == apisecret.DeadlineExceeded {
		return Done{Item: entry.Item} // it is asked for again: nothing has happened yet
	}
	entry.Duration = time.Since(began)
	telemetry.Done(ctx, entry.Item)
	if c.Audited == nil || c.Audited(entry.Item) {
		j.Telemetry.Audit(ctx, entry)
	}
	return Done{entry.Item, t.open}
}

// guarded turns a panic into a failure of this identifier alone.
func (t *try) guarded(ctx context.Context) (answer segura.Answer, failure *apisecret.Error) {
	defer func() {
		if p := recover(); p != nil {
			LogPanic(ctx, t.Log, p)
			failure = apisecret.NewError(apisecret.InternalError, "")
		}
	}()
	if !t.what.Unrestricted && !t.Allowed.IsEmpty() && !t.Allowed.Contains(t.what.Identifier) {
		return answer, apisecret.NewError(apisecret.NotAllowed, "")
	}
	return t.enter(ctx)
}

// LogPanic logs a recovered panic: where it happened, and what it says only if
// the Go runtime said it, since any other value may hold a credential.
func LogPanic(ctx context.Context, log *slog.Logger, p any) {
	cause := fmt.Sprintf("%T", p)
	if err, ok := p.(runtime.Error); ok {
		cause = err.Error()
	}
	log.ErrorContext(ctx, "recovered from a panic", "cause", cause, "stack", string(debug.Stack()))
}
