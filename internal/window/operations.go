package window

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"time"

	"segura-enable/internal/apisecret"
)

// Problem is why a request was not carried out.
type Problem struct {
	*failure
	Window     string               // of a new window of which everything failed
	Identifier apisecret.Identifier // whose failure it is; 0: it is the request's
}

// Failure returns the failure.
func (p *Problem) Failure() *apisecret.Error { return p.failure }

// failure is an alias for a field's sake: embedded under its own name, its method Error
// would be hidden.
type failure = apisecret.Error

func problem(code apisecret.Code, message string) *Problem {
	return &Problem{failure: apisecret.NewError(code, message)}
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

// Result is a window as an operation leaves it.
type Result struct {
	Window Window
	Closed bool
	New    bool // it was created by this request
}

// digest returns what is kept of a request's content.
func digest(content string) string {
	sum := sha256.Sum256([]byte(content))
	return hex.EncodeToString(sum[:])
}

// earlierUse looks an idempotency key up. It returns the window of an earlier use, or, where
// there was none, the key as it is to be written; nil: there is no key.
func (k *Keeper) earlierUse(ctx context.Context, name, content string, now Instant) (earlier Result, used bool, _ *Key, _ *Problem) {
	if name == "" {
		return earlier, false, nil, nil
	}
	key := &Key{Name: name, Content: digest(content)}
	use, err := k.Table.Key(ctx, name)
	if err != nil {
		return earlier, false, nil, k.unavailable(ctx, err)
	}
	if use == nil {
		return earlier, false, key, nil
	}
	key.Replaces = use.Window
	earlier.Window, earlier.Closed, err = k.Table.Find(ctx, use.Window)
	switch {
	case errors.Is(err, ErrNotFound), err == nil && earlier.Closed && now >= earlier.Window.endedAt()+keyLife:
		return Result{}, false, key, nil
	case err != nil:
		return Result{}, false, nil, k.unavailable(ctx, err)
	case use.Content != key.Content:
		return Result{}, false, nil, problem(apisecret.IdempotencyConflict, "The Idempotency-Key was used with other content. Use another one for another request.")
	}
	return earlier, true, nil, nil
}

// endedAt returns when the window ends, or was closed.
func (w *Window) endedAt() Instant {
	if w.Ended != nil {
		return w.Ended.At
	}
	return w.Until
}

// Open opens a window for the caller, who may be unknown. The key may be empty.
func (k *Keeper) Open(ctx context.Context, request Request, key, caller string) (Result, *Problem) {
	for {
		started := time.Now()
		now := At(started)
		earlier, used, use, fault := k.earlierUse(ctx, key, request.content(), now)
		if used || fault != nil {
			return earlier, fault
		}
		from, until, err := request.times(now, Instant(k.Longest/time.Second))
		if err != nil {
			return Result{}, invalid(err)
		}
		for _, i := range request.Identifiers {
			if !k.Allowed.IsEmpty() && !k.Allowed.Contains(i) {
				return Result{}, &Problem{failure: apisecret.NewError(apisecret.NotAllowed, "An identifier is outside SEGURA_ALLOWED_IDENTIFIERS (parameter AllowedIdentifiers); nothing was written or sent."), Identifier: i}
			}
		}
		w := Opened(NewID(started), from, until, request.Identifiers)
		w.Reason, w.OpenedBy, w.CreatedAt = request.Reason, caller, now
		result, fault, again := k.create(ctx, w, use, started)
		if !again {
			return result, fault
		}
	}
}

// create writes a new window and does at once what it can for it. again says that
// somebody has used the key meanwhile.
func (k *Keeper) create(ctx context.Context, w Window, key *Key, now time.Time) (_ Result, _ *Problem, again bool) {
	r := k.newRun(func(other *Window) bool { return other.ID == w.ID })
	r.limit = max(r.limit, len(w.Leases))
	one, ok := r.newRound(ctx, now)
	starts := ok && w.begun(At(now))
	if starts {
		w.begin(one.actor)
	}
	if key != nil {
		key.Window, key.Expires = w.ID, w.From+Instant(k.Longest/time.Second)+30*day
	}
	err := k.Table.Create(ctx, w, key)
	if errors.Is(err, ErrChanged) {
		return Result{}, nil, true
	}
	if err != nil {
		return Result{}, k.unavailable(ctx, err), false
	}
	if starts {
		if err := r.perform(ctx, one); err != nil {
			k.Log.WarnContext(ctx, "the table of windows could not be used; the reconciler goes on", "cause", err.Error())
			return Result{Window: w, New: true}, nil, false
		}
	}
	result, fault := r.finish(ctx, w.ID)
	if fault != nil {
		result = Result{Window: w} // it was written, and that is all that is known
	}
	result.New = true
	if starts && !slices.ContainsFunc(result.Window.Leases, func(l Lease) bool { return l.Standing != Failed }) {
		return k.allFailed(ctx, r, result)
	}
	return result, nil, false
}

// allFailed closes a new window of which everything failed.
func (k *Keeper) allFailed(ctx context.Context, r *run, result Result) (Result, *Problem, bool) {
	w := result.Window
	if _, fault := k.Close(ctx, w.ID, Ender{}, w.OpenedBy); fault != nil {
		return Result{}, fault, false
	}
	first := w.Leases[0]
	failure := r.results[Target{first.Identifier, apisecret.Enable}].Item.Error
	if failure == nil { // another actor found out
		failure = apisecret.NewError(first.Fault.Code, "Segura refuses this API secret; the log has the reply.")
	}
	return Result{}, &Problem{failure: failure, Window: w.ID, Identifier: first.Identifier}, false
}

// finish goes on with what can be done now for the windows in scope, and returns one as
// it is then. What the table refuses after the window was written is left to the
// reconciler.
func (r *run) finish(ctx context.Context, id string) (Result, *Problem) {
	if err := r.settle(ctx); err != nil {
		r.Log.WarnContext(ctx, "the table of windows could not be used; the reconciler goes on", "cause", err.Error())
	} else {
		open := r.view.CountOpen(At(time.Now()))
		if err := r.Table.Note(ctx, Summary{Open: &open}); err != nil {
			r.Log.WarnContext(ctx, "the number of open windows was not noted; the next reconcile counts again", "cause", err.Error())
		}
	}
	return r.Find(ctx, id)
}

// Find returns a window.
func (k *Keeper) Find(ctx context.Context, id string) (Result, *Problem) {
	if !IsID(id) {
		return Result{}, notThere()
	}
	w, closed, err := k.Table.Find(ctx, id)
	switch {
	case errors.Is(err, ErrNotFound):
		return Result{}, notThere()
	case err != nil:
		return Result{}, k.unavailable(ctx, err)
	}
	return Result{Window: w, Closed: closed}, nil
}

func notThere() *Problem {
	return problem(apisecret.WindowNotFound, "There is no window with this id.")
}

// Extend gives a window a later end. The key may be empty.
func (k *Keeper) Extend(ctx context.Context, id string, e Extending, key, caller string) (Result, *Problem) {
	token := rand.Text()
	for {
		now := At(time.Now())
		earlier, used, use, fault := k.earlierUse(ctx, key, e.content(id), now)
		if used || fault != nil {
			return earlier, fault
		}
		found, fault := k.Find(ctx, id)
		if fault != nil {
			return Result{}, fault
		}
		w := found.Window
		if w.Extension != token { // an attempt that was not confirmed had its effect
			if found.Closed || w.Ended != nil {
				return Result{}, problem(apisecret.WindowClosed, "The window is closed. Open another one.")
			}
			err := k.extend(ctx, &w, e, use, now, token, caller)
			if refusal := (*Problem)(nil); errors.As(err, &refusal) {
				return Result{}, refusal
			}
			if errors.Is(err, ErrChanged) {
				continue
			}
			if err != nil {
				return Result{}, k.unavailable(ctx, err)
			}
		}
		return k.newRun(func(other *Window) bool { return other.ID == id }).finish(ctx, id)
	}
}

func (k *Keeper) extend(ctx context.Context, w *Window, e Extending, key *Key, now Instant, token, caller string) error {
	longest := Instant(k.Longest / time.Second)
	until, err := e.until(w, now, longest)
	if err != nil {
		return invalid(err)
	}
	after, err := w.Extend(until)
	if err != nil {
		return err
	}
	after.Extension = token
	if key != nil {
		key.Window, key.Expires = w.ID, w.From+longest+30*day
	}
	return k.Table.Replace(ctx, after, &Extension{At: now, By: caller, Until: until, Reason: e.Reason}, key)
}

// Close closes a window, also one that is over by its time but not closed yet, so that
// nobody extends it; one that is closed already stays as it is.
func (k *Keeper) Close(ctx context.Context, id string, e Ender, caller string) (Result, *Problem) {
	found, fault := k.Find(ctx, id)
	if fault != nil || found.Closed {
		return found, fault
	}
	if err := k.change(ctx, found.Window, e.end(caller)); err != nil {
		return Result{}, k.unavailable(ctx, err)
	}
	return k.newRun(func(other *Window) bool { return other.ID == id }).finish(ctx, id)
}

// end returns what closes a window for the caller now, or at its end if that has passed.
func (e Ender) end(caller string) func(*Window) *Window {
	return func(w *Window) *Window {
		if w.ID == GuardID || w.Ended != nil {
			return nil
		}
		now := At(time.Now())
		after := w.End(now, Ending{At: min(now, w.Until), By: caller, Reason: e.Reason})
		return &after
	}
}

// CloseAll closes every window and does at once what it can. The error is one of the
// table.
func (k *Keeper) CloseAll(ctx context.Context, e Ender, caller string) (Report, error) {
	windows, err := k.Table.Live(ctx)
	if err != nil {
		return Report{}, err
	}
	err = each(ctx, windows, func(ctx context.Context, w Window) error { return k.change(ctx, w, e.end(caller)) })
	if err != nil {
		return Report{}, err
	}
	r := k.newRun(nil)
	return r.report(ctx, true, r.settle(ctx))
}

// betweenLooks is how long CloseAllAndWait waits before it tries again.
const betweenLooks = 5 * time.Second

// CloseAllAndWait closes every window, and goes on until all are closed or its time is
// up. It returns how many are not.
func (k *Keeper) CloseAllAndWait(ctx context.Context, e Ender, caller string) (left int, err error) {
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-2*forWriting))
		defer cancel()
	}
	for {
		report, err := k.CloseAll(ctx, e, caller)
		if err != nil || report.Live == 0 {
			return report.Live, err
		}
		if !pause(ctx, betweenLooks) {
			return report.Live, nil
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
func (k *Keeper) List(ctx context.Context, q Query) (list []Result, more *Query, _ *Problem) {
	if q.State == Closed {
		return k.listClosed(ctx, q)
	}
	windows, err := k.Table.Live(ctx)
	if err != nil {
		return nil, nil, k.unavailable(ctx, err)
	}
	now := At(time.Now())
	windows = slices.DeleteFunc(windows, func(w Window) bool {
		return w.ID == GuardID || q.State != "" && w.StateAt(now, false) != q.State || q.Identifier != 0 && w.lease(q.Identifier) == nil ||
			q.After != "" && cmp.Or(cmp.Compare(w.Until, q.AfterEnd), cmp.Compare(w.ID, q.After)) <= 0
	})
	slices.SortFunc(windows, func(a, b Window) int { return cmp.Or(cmp.Compare(a.Until, b.Until), cmp.Compare(a.ID, b.ID)) })
	for at := range windows {
		if at == q.Limit {
			last := windows[at-1]
			next := q
			next.After, next.AfterEnd = last.ID, last.Until
			return list, &next, nil
		}
		one, fault := k.withExtensions(ctx, windows[at])
		if fault != nil {
			return nil, nil, fault
		}
		list = append(list, one)
	}
	return list, nil, nil
}

// withExtensions returns a live window with its extensions, which are apart from it.
func (k *Keeper) withExtensions(ctx context.Context, w Window) (Result, *Problem) {
	if w.Extended == 0 {
		return Result{Window: w}, nil
	}
	return k.Find(ctx, w.ID)
}

func (k *Keeper) listClosed(ctx context.Context, q Query) (list []Result, more *Query, _ *Problem) {
	for range maxPages {
		windows, next, err := k.Table.Closed(ctx, q.After, q.Limit)
		if err != nil {
			return nil, nil, k.unavailable(ctx, err)
		}
		for at := range windows {
			q.After = windows[at].ID
			if q.Identifier == 0 || windows[at].lease(q.Identifier) != nil {
				list = append(list, Result{Window: windows[at], Closed: true})
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
