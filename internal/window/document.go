package window

import "segura-enable/internal/apisecret"

// Shown is a window as callers see it.
type Shown struct {
	ID          string            `json:"id"`
	State       State             `json:"state"`
	From        string            `json:"from"`
	Until       string            `json:"until"`
	Reason      string            `json:"reason,omitempty"`
	OpenedBy    string            `json:"opened_by,omitempty"`
	CreatedAt   string            `json:"created_at"`
	ClosedAt    string            `json:"closed_at,omitempty"`
	ClosedBy    string            `json:"closed_by,omitempty"`
	Identifiers []ShownIdentifier `json:"identifiers"`
	Extensions  []ShownExtension  `json:"extensions,omitempty"`
}

// ShownIdentifier is an identifier in a window.
type ShownIdentifier struct {
	Identifier apisecret.Identifier `json:"identifier"`
	State      LeaseState           `json:"state"`
	At         string               `json:"at,omitempty"`
	Error      *Fault               `json:"error,omitempty"`
}

// ShownExtension is an extension of a window.
type ShownExtension struct {
	At     string `json:"at"`
	By     string `json:"by,omitempty"`
	Until  string `json:"until"`
	Reason string `json:"reason,omitempty"`
}

// Show returns the window as callers see it at a time.
func (w *Window) Show(now Instant) Shown {
	s := Shown{
		ID: w.ID, State: w.StateAt(now), From: w.From.String(), Until: w.Until.String(), Reason: w.Reason, OpenedBy: w.OpenedBy,
		CreatedAt: w.CreatedAt.String(), ClosedBy: w.ClosedBy(now), Identifiers: make([]ShownIdentifier, len(w.Leases)),
	}
	for at, l := range w.Leases {
		one := ShownIdentifier{Identifier: l.Identifier, State: l.State, Error: l.Fault}
		if l.Off && l.holds() {
			one.State = Disabled // though it may have to be once more
		}
		if l.At != 0 {
			one.At = l.At.String()
		}
		s.Identifiers[at] = one
	}
	for _, e := range w.Extensions {
		s.Extensions = append(s.Extensions, ShownExtension{At: e.At.String(), By: e.By, Until: e.Until.String(), Reason: e.Reason})
	}
	if w.Ended != nil || w.Closed || w.over(now) {
		s.ClosedAt = w.endedAt().String()
	}
	return s
}
