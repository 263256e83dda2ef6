package apisecret

import (
	"encoding/json"

	"segura-enable/internal/strictjson"
)

// Outcome is how it ended, for one identifier or for a request.
type Outcome string

// The outcomes of one identifier. Failed is also one of a request.
const (
	Enabled         Outcome = "enabled"
	AlreadyEnabled  Outcome = "already_enabled"
	Disabled        Outcome = "disabled"
	AlreadyDisabled Outcome = "already_disabled"
	Failed          Outcome = "failed"
)

// The other outcomes of a request.
const (
	Succeeded          Outcome = "succeeded"
	PartiallySucceeded Outcome = "partially_succeeded"
)

// Changed returns the outcome of an API secret that the action changed.
func (a Action) Changed() Outcome {
	if a == Disable {
		return Disabled
	}
	return Enabled
}

// Unchanged returns the outcome of an API secret that was already in the state
// that the action asks for.
func (a Action) Unchanged() Outcome {
	if a == Disable {
		return AlreadyDisabled
	}
	return AlreadyEnabled
}

// Item is how one identifier fared. Attempts counts the calls begun to Segura
// for it.
type Item struct {
	Identifier Identifier `json:"identifier"`
	Outcome    Outcome    `json:"outcome"`
	Attempts   int        `json:"attempts"`
	Error      *Error     `json:"error,omitempty"` // nil unless Outcome is Failed
}

// Result is how a request fared: one item for each identifier, in the order of
// the request.
type Result struct {
	Action Action
	Items  []Item
}

// Count returns how many items have the outcome.
func (r Result) Count(outcome Outcome) int {
	n := 0
	for i := range r.Items {
		if r.Items[i].Outcome == outcome {
			n++
		}
	}
	return n
}

// Outcome returns the outcome of the request.
func (r Result) Outcome() Outcome {
	switch r.Count(Failed) {
	case 0:
		return Succeeded
	case len(r.Items):
		return Failed
	default:
		return PartiallySucceeded
	}
}

// Retryable reports whether any failure is worth another try.
func (r Result) Retryable() bool {
	for i := range r.Items {
		if e := r.Items[i].Error; e != nil && e.Retryable {
			return true
		}
	}
	return false
}

// FailedByCode counts the failures of each code.
func (r Result) FailedByCode() map[Code]int {
	counts := map[Code]int{}
	for i := range r.Items {
		if e := r.Items[i].Error; e != nil {
			counts[e.Code]++
		}
	}
	return counts
}

// document is a result on the wire.
type document struct {
	Outcome         Outcome           `json:"outcome"`
	Requested       int               `json:"requested"`
	Enabled         *int              `json:"enabled,omitempty"`
	AlreadyEnabled  *int              `json:"already_enabled,omitempty"`
	Disabled        *int              `json:"disabled,omitempty"`
	AlreadyDisabled *int              `json:"already_disabled,omitempty"`
	Failed          int               `json:"failed"`
	FailedByCode    map[Code]int      `json:"failed_by_code,omitempty"`
	Omitted         *omitted          `json:"omitted,omitempty"`
	Results         []json.RawMessage `json:"results"`
}

type omitted struct {
	Succeeded int `json:"succeeded"`
	Failed    int `json:"failed"`
}

// Document returns the result as JSON text whose size, as measure finds it, is
// at most limit. Where all items would not fit, those that succeeded are left
// out first, all of them, then failed ones from the end; the document says how
// many. measure must be additive but for a constant, as the length of a text
// escaped into a JSON string is.
func (r Result) Document(limit int, measure func([]byte) int) []byte {
	all, failures := r.encodeItems()
	whole := r.head()
	whole.Results = all
	text := strictjson.Encode(whole)
	if measure(text) <= limit {
		return text
	}
	head := r.head()
	head.Omitted = &omitted{Succeeded: len(r.Items) - len(failures), Failed: len(failures)}
	head.Results = []json.RawMessage{}
	room := limit - measure(strictjson.Encode(head))
	kept := 0
	for kept < len(failures) {
		// The comma is counted for the first item too, and the count of the
		// omitted only gets shorter.
		if room -= measure(failures[kept]) + 1; room < 0 {
			break
		}
		kept++
	}
	head.Omitted.Failed -= kept
	head.Results = failures[:kept]
	return strictjson.Encode(head)
}

// head returns the document without its items.
func (r Result) head() document {
	changed, unchanged := r.Count(r.Action.Changed()), r.Count(r.Action.Unchanged())
	d := document{
		Outcome:      r.Outcome(),
		Requested:    len(r.Items),
		Failed:       r.Count(Failed),
		FailedByCode: r.FailedByCode(),
	}
	if r.Action == Disable {
		d.Disabled, d.AlreadyDisabled = &changed, &unchanged
	} else {
		d.Enabled, d.AlreadyEnabled = &changed, &unchanged
	}
	return d
}

func (r Result) encodeItems() (all, failures []json.RawMessage) {
	all, failures = make([]json.RawMessage, 0, len(r.Items)), []json.RawMessage{}
	for i := range r.Items {
		text := strictjson.Encode(r.Items[i])
		all = append(all, text)
		if r.Items[i].Outcome == Failed {
			failures = append(failures, text)
		}
	}
	return all, failures
}
