package window

import "segura-enable/internal/apisecret"

// Opened returns a new window that has done nothing yet.
func Opened(id string, from, until Instant, identifiers []apisecret.Identifier) Window {
	w := Window{ID: id, From: from, Until: until, Leases: make([]Lease, len(identifiers))}
	for at, i := range identifiers {
		w.Leases[at] = Lease{Identifier: i, Standing: Pending}
	}
	return w
}

// begin marks all of a new window for its opener.
func (w *Window) begin(a Actor) {
	list := make([]apisecret.Identifier, len(w.Leases))
	for at := range w.Leases {
		list[at] = w.Leases[at].Identifier
	}
	w.Begun = true
	w.mark(a, apisecret.Enable, list)
}
