package window

import "errors"

// ErrClosed is the error of extending a window that is closed, or that somebody has
// closed.
var ErrClosed = errors.New("the window is closed")

// Extend returns the window with a later end. What a disabling of ours may have undone
// is enabled again; what is enabled stays as it is, without a call.
func (w *Window) Extend(until Instant) (Window, error) {
	if w.Ended != nil {
		return Window{}, ErrClosed
	}
	after := w.clone()
	after.Until = until
	after.Extended++
	if !after.Over {
		return after, nil
	}
	after.Over = false
	after.turn()
	for at := range after.Leases {
		l := &after.Leases[at]
		switch {
		case l.Standing == Kept:
			l.Standing, l.At, l.Carry = Pending, 0, true
		case l.Standing == Disabled, l.Standing == NeverEnabled, l.holds() && (l.Undone || l.Off):
			l.Standing, l.At, l.Fault = Pending, 0, nil
		}
		l.Undone, l.Off = false, false
	}
	return after, nil
}

// End returns the window closed by somebody before its time, or as it is if it is
// over already. What never began is never enabled.
func (w *Window) End(now Instant, by Ending) Window {
	after := w.clone()
	after.dropExpired(now)
	if after.Ended == nil {
		after.Ended = &by
	}
	after.finish()
	for at := range after.Leases {
		if l := &after.Leases[at]; l.Standing == Pending && !l.Begun && !after.enabling(l.Identifier, "") {
			l.settle(NeverEnabled, now)
		}
	}
	return after
}
