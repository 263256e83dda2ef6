package window

import (
	"context"
	"errors"
	"slices"
	"time"

	"segura-enable/internal/apisecret"
)

// Problem is why a request was not carried out.
type Problem struct {
	Failure    *apisecret.Error
	Window     string               // of a new window of which everything failed
	Identifier apisecret.Identifier // whose failure it is; 0: it is the request's
}

func problem(code apisecret.Code, message string) *Problem {
	return &Problem{Failure: apisecret.NewError(code, message)}
}

func invalid(err error) *Problem {
	return problem(apisecret.InvalidRequest, "The request cannot be understood: "+err.Error()+".")
}

// unavailable returns the problem of a table that could not be used, and logs its cause.
func (k *Keeper) unavailable(ctx context.Context, err error) *Problem {
	k.Log.ErrorContext(ctx, "the table of windows could not be used", "cause", err.Error())
	return problem(apisecret.WindowsUnavailable, "The table of windows could not be read or written. Nothing was enabled, but a window may still appear: repeat with the same Idempotency-Key.")
}

// keyLife is how long an idempotency key lives on after its window, in seconds.
const keyLife = day

// earlierUse looks a request's idempotency key up. It returns the window of an earlier
// use or, where there was none, the key as it is to be written; neither: there is no key.
func (k *Keeper) earlierUse(ctx context.Context, r Request, now Instant) (earlier *Window, _ *Key, _ *Problem) {
	if r.Key == "" {
		return nil, nil, nil
	}
	key := &Key{Name: r.Key, Content: r.digest(), Expires: now + maxAhead + k.longest() + 30*day}
	use, err := k.Table.Key(ctx, r.Key)
	if err == nil && use == nil {
		return nil, key, nil
	}
	var w Window
	if err == nil {
		key.Replaces = use.Window
		w, err = k.Table.Find(ctx, use.Window)
	}
	switch {
	case errors.Is(err, ErrNotFound), err == nil && w.Closed && now >= w.endedAt()+keyLife:
		return nil, key, nil
	case err != nil:
		return nil, nil, k.unavailable(ctx, err)
	case use.Content != key.Content:
		return nil, nil, problem(apisecret.IdempotencyConflict, "The Idempotency-Key was used with other content. Use another one for another request.")
	}
	return &w, nil, nil
}

// longest is how long a window may be, in seconds.
func (k *Keeper) longest() Instant { return Instant(k.Longest / time.Second) }

// Do carries out a request, and returns its window as it is then; created says that it is
// a new one.
func (k *Keeper) Do(ctx context.Context, r Request) (w Window, created bool, _ *Problem) {
	for {
		now := time.Now()
		earlier, key, fault := k.earlierUse(ctx, r, At(now))
		if earlier != nil {
			return *earlier, false, nil
		}
		again := false
		switch {
		case fault != nil:
		case r.Kind == ToOpen:
			w, again, fault = k.open(ctx, r, key, now)
		case r.Kind == ToExtend:
			w, again, fault = k.extend(ctx, r, key, At(now))
		default:
			w, fault = k.close(ctx, r)
		}
		if !again {
			return w, r.Kind == ToOpen, fault
		}
	}
}

// open opens a window. again says that somebody has used the key meanwhile.
func (k *Keeper) open(ctx context.Context, request Request, key *Key, now time.Time) (w Window, again bool, _ *Problem) {
	w, fault := k.newWindow(request, now)
	if fault != nil {
		return w, false, fault
	}
	r := k.newRun(w.ID)
	r.Limit = max(r.Limit, len(w.Leases))
	starts := r.newRound(ctx, now) && w.begun(At(now))
	if starts {
		w.begin(r.Actor, request.Identifiers)
	}
	switch err := k.Table.Write(ctx, w, nil, key); {
	case errors.Is(err, ErrChanged):
		return w, true, nil
	case err != nil:
		return w, false, k.unavailable(ctx, err)
	}
	w, fault = r.started(ctx, w, starts)
	return w, false, fault
}

// newWindow returns the window that is asked for, or why there can be none.
func (k *Keeper) newWindow(r Request, now time.Time) (w Window, _ *Problem) {
	from, until, err := r.times(At(now), k.longest())
	if err != nil {
		return w, invalid(err)
	}
	for _, i := range r.Identifiers {
		if !k.Allowed.IsEmpty() && !k.Allowed.Contains(i) {
			p := problem(apisecret.NotAllowed, "An identifier is outside SEGURA_ALLOWED_IDENTIFIERS (parameter AllowedIdentifiers); nothing was written or sent.")
			p.Identifier = i
			return w, p
		}
	}
	w = Opened(NewID(now), from, until, r.Identifiers)
	w.Reason, w.OpenedBy, w.CreatedAt = r.Reason, r.Caller, At(now)
	return w, nil
}

// started does at once what can be done for a new window that is in the table, marked
// for its first calls or not. One of which everything fails is closed.
func (r *run) started(ctx context.Context, written Window, marked bool) (Window, *Problem) {
	w, fault := r.finish(ctx, written.ID, marked)
	if fault != nil {
		return written, nil // that is all that is known
	}
	if !marked || slices.ContainsFunc(w.Leases, func(l Lease) bool { return l.State != Failed }) {
		return w, nil
	}
	if _, fault := r.close(ctx, Request{ID: w.ID, Caller: w.OpenedBy}); fault != nil {
		return w, fault
	}
	first := w.Leases[0]
	failure := r.results[Target{first.Identifier, apisecret.Enable}].Item.Error
	if failure == nil { // another actor found out
		failure = apisecret.NewError(first.Fault.Code, "Segura refuses this API secret; the log has the reply.")
	}
	return w, &Problem{failure, w.ID, first.Identifier}
}

// finish goes on with what can be done now, from the calls of a mark that is in the table
// already, and returns a window as it is then. What the table refuses is left to the
// reconciler: what was asked for has been written.
func (r *run) finish(ctx context.Context, id string, marked bool) (Window, *Problem) {
	var err error
	if marked {
		err = r.perform(ctx)
	}
	if err == nil {
		err = r.settle(ctx)
	}
	if err == nil {
		err = r.Table.NoteOpen(ctx, r.view.countOpen(Now()))
	}
	if err != nil {
		r.Log.WarnContext(ctx, "the table of windows could not be used; the reconciler goes on", "cause", err.Error())
	}
	return r.Find(ctx, id)
}

// Find returns a window.
func (k *Keeper) Find(ctx context.Context, id string) (Window, *Problem) {
	w, err := Window{}, ErrNotFound
	if IsID(id) {
		w, err = k.Table.Find(ctx, id)
	}
	switch {
	case errors.Is(err, ErrNotFound):
		return w, problem(apisecret.WindowNotFound, "There is no window with this id.")
	case err != nil:
		return w, k.unavailable(ctx, err)
	default:
		return w, nil
	}
}

// extend gives a window a later end. again says that it, or the key, has changed meanwhile.
func (k *Keeper) extend(ctx context.Context, r Request, key *Key, now Instant) (w Window, again bool, _ *Problem) {
	w, fault := k.Find(ctx, r.ID)
	if fault != nil {
		return w, false, fault
	}
	if w.Closed || w.Ended != nil {
		return w, false, problem(apisecret.WindowClosed, "The window is closed. Open another one.")
	}
	until, err := r.laterEnd(&w, now, k.longest())
	if err != nil {
		return w, false, invalid(err)
	}
	switch err := k.Table.Write(ctx, w.Extend(until), &Change{At: now, By: r.Caller, Until: until, Reason: r.Reason}, key); {
	case errors.Is(err, ErrChanged):
		return w, true, nil
	case err != nil:
		return w, false, k.unavailable(ctx, err)
	}
	w, fault = k.newRun(w.ID).finish(ctx, w.ID, false)
	return w, false, fault
}

// close closes a window, also one that is over by its time but not closed yet, so that
// nobody extends it; one that is closed already stays as it is.
func (k *Keeper) close(ctx context.Context, r Request) (Window, *Problem) {
	w, fault := k.Find(ctx, r.ID)
	if fault != nil || w.Closed {
		return w, fault
	}
	if err := k.change(ctx, w, r.end); err != nil {
		return Window{}, k.unavailable(ctx, err)
	}
	return k.newRun(w.ID).finish(ctx, w.ID, false)
}

// end closes a window now, or at its end if that has passed.
func (r Request) end(w *Window) *Window {
	if w.ID == GuardID || w.Ended != nil {
		return nil
	}
	now := Now()
	after := w.End(now, Change{At: min(now, w.Until), By: r.Caller, Reason: r.Reason})
	return &after
}

// betweenTries is how long CloseAll waits before it tries again.
const betweenTries = 5 * time.Second

// CloseAll closes every window for the request's caller and reason, and does at once what
// it can or, if it waits, goes on until all are closed or its time is up. The error is one
// of the table.
func (k *Keeper) CloseAll(ctx context.Context, r Request, wait bool) (Report, error) {
	for {
		windows, err := k.Table.Live(ctx)
		if err == nil {
			err = each(ctx, windows, func(ctx context.Context, w Window) error { return k.change(ctx, w, r.end) })
		}
		all := k.newRun("")
		if err == nil {
			err = all.settle(ctx)
		}
		report, err := all.report(ctx, err)
		if err != nil || report.Live == 0 || !wait || !pause(ctx, betweenTries) {
			return report, err
		}
	}
}

// Query asks for a list of windows.
type Query struct {
	State      State                // empty: any that is not closed
	Identifier apisecret.Identifier // 0: any
	Limit      int
	After      string // the id of the last one seen; empty: from the beginning
	AfterEnd   Instant
}

// maxPages bounds how much of the closed windows one list looks through.
const maxPages = 10

// List returns windows: live ones by their ends, closed ones the newest first. more says
// where the list goes on; nil: nowhere.
func (k *Keeper) List(ctx context.Context, q Query) (list []Window, more *Query, _ *Problem) {
	if q.State == Closed {
		return k.listClosed(ctx, q)
	}
	windows, err := k.Table.Live(ctx)
	if err != nil {
		return nil, nil, k.unavailable(ctx, err)
	}
	now := Now()
	last := Window{ID: q.After, Until: q.AfterEnd}
	windows = slices.DeleteFunc(windows, func(w Window) bool {
		return w.ID == GuardID || q.State != "" && w.StateAt(now) != q.State || q.Identifier != 0 && w.lease(q.Identifier) == nil ||
			q.After != "" && byEnd(&w, &last) <= 0
	})
	slices.SortFunc(windows, func(a, b Window) int { return byEnd(&a, &b) })
	if len(windows) > q.Limit {
		windows = windows[:q.Limit]
		q.After, q.AfterEnd = windows[q.Limit-1].ID, windows[q.Limit-1].Until
		more = &q
	}
	for at := range windows {
		if windows[at].Extended == 0 {
			continue
		}
		var fault *Problem // extensions are apart from their window
		if windows[at], fault = k.Find(ctx, windows[at].ID); fault != nil {
			return nil, nil, fault
		}
	}
	return windows, more, nil
}

func (k *Keeper) listClosed(ctx context.Context, q Query) (list []Window, more *Query, _ *Problem) {
	for range maxPages {
		windows, next, err := k.Table.ListClosed(ctx, q.After, q.Limit)
		if err != nil {
			return nil, nil, k.unavailable(ctx, err)
		}
		for at := range windows {
			q.After = windows[at].ID
			if q.Identifier == 0 || windows[at].lease(q.Identifier) != nil {
				list = append(list, windows[at])
			}
			if len(list) == q.Limit {
				return list, &q, nil
			}
		}
		if next == "" {
			return list, nil, nil
		}
		q.After = next
	}
	return list, &q, nil
}
