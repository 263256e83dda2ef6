package window

import (
	"context"
	"errors"
)

// Errors of a Table. Any other says that it could not be read or written, or that it
// is not known whether it was written.
var (
	// ErrChanged is the error of a write whose window, or whose idempotency key, is not
	// any more as it was read. The write itself may be why, where it was repeated.
	ErrChanged = errors.New("changed since it was read")

	// ErrNotFound is the error of a window that does not exist.
	ErrNotFound = errors.New("no such window")
)

// Table is where windows are kept. Every read is consistent: it sees each write that
// was confirmed before it began. A write is confirmed by a nil error.
type Table interface {
	// Due reports whether anything is due by now, with what was noted last. Its cost
	// does not grow with windows that are not due.
	Due(ctx context.Context, now Instant) (due bool, last Summary, err error)

	// Live returns all windows that are not closed, and the guard's pseudo-window.
	Live(ctx context.Context) ([]Window, error)

	// Find returns a window with its extensions.
	Find(ctx context.Context, id string) (Window, error)

	// ListClosed returns closed windows, the newest first, that are older than an id; empty:
	// all are. There may be fewer than limit, and more is where to go on; empty: nowhere.
	ListClosed(ctx context.Context, before string, limit int) (list []Window, more string, err error)

	// Write writes a window of the version that was read, or a new one of version 0, with
	// an extension and a key, if any. For a new one, and with an extension, ErrChanged says
	// that nothing was written. A window that is finished becomes a closed one.
	Write(ctx context.Context, w Window, e *Change, key *Key) error

	// Key returns what an idempotency key was used for; nil: nothing.
	Key(ctx context.Context, name string) (*Key, error)

	// Lock takes the lock for the actor until a time, keeps it, or gives it back with a
	// time that is past. It reports whether nobody else has it.
	Lock(ctx context.Context, actor string, now, until Instant) (bool, error)

	// NoteOpen and NoteGuarded note a part of the summary for later runs; nothing is
	// decided by it but when the guard goes on.
	NoteOpen(ctx context.Context, windows int) error
	NoteGuarded(ctx context.Context, until Instant) error
}

// Summary is what runs leave for those that find nothing due.
type Summary struct {
	Open    int     // windows
	Guarded Instant // until when the guard has looked; 0: it never has
}

// Key is an idempotency key that was used.
type Key struct {
	Name     string
	Content  string // a digest of what was asked for
	Window   string // that was written with it
	Replaces string // the window of an earlier use that has expired; empty: there was none
	Expires  Instant
}
