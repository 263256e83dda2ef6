package window

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"

	"segura-enable/internal/apisecret"
	"segura-enable/internal/strictjson"
)

// Kind is what a request asks for, in the word of an event's member.
type Kind string

// The kinds of requests.
const (
	ToOpen   Kind = "window"
	ToExtend Kind = "extend"
	ToClose  Kind = "close"
)

// fields are the members of each kind's document.
var fields = map[Kind][]string{
	ToOpen: {"identifiers", "from", "until", "for", "reason"}, ToExtend: {"id", "until", "by", "reason"}, ToClose: {"id", "reason"},
}

// Request asks for a window, for a later end of one, or for its end. How long it lasts is
// given by its end or by a length, never both.
type Request struct {
	Kind        Kind
	ID          string // of the window to extend or to close
	Identifiers []apisecret.Identifier
	From        *Instant // nil: now
	Until       *Instant
	Length      Instant // in seconds, of a new window or of what it is extended by; 0: Until is given
	Reason      string

	Key    string // of idempotency; may be empty
	Caller string // empty: not known
}

// ReadRequest reads the document of a request, with at most so many identifiers. Where the
// id of the window is known already, the document has none. Errors are sentences for the
// caller and repeat no value.
func ReadRequest(kind Kind, data []byte, id string, most int) (Request, error) {
	r := Request{Kind: kind, ID: id}
	members, err := strictjson.Object(data)
	if err != nil {
		return r, err
	}
	for _, m := range members {
		if !slices.Contains(fields[kind], m.Name) || m.Name == "id" && id != "" {
			return r, fmt.Errorf("unknown field %s", strictjson.Quote(m.Name))
		}
		if err := r.readField(m.Name, m.Value, most); err != nil {
			return r, err
		}
	}
	switch {
	case kind == ToOpen && r.Identifiers == nil:
		return r, errors.New("identifiers is required")
	case kind != ToOpen && r.ID == "":
		return r, errors.New("id is required")
	case kind != ToClose && (r.Until == nil) == (r.Length == 0):
		return r, fmt.Errorf("exactly one of until and %s is required", map[Kind]string{ToOpen: "for", ToExtend: "by"}[kind])
	}
	return r, nil
}

func (r *Request) readField(name string, value json.RawMessage, most int) (err error) {
	text, ok := strictjson.String(value) // what is no text is no time and no duration, as an empty one
	switch name {
	case "id":
		if r.ID = text; !ok || text == "" {
			err = errors.New("id is not the id of a window")
		}
	case "identifiers":
		r.Identifiers, err = apisecret.ReadIdentifiers(value, most)
	case "from":
		r.From, err = readTime(name, text)
	case "until":
		r.Until, err = readTime(name, text)
	case "for", "by":
		if r.Length, err = ParseDuration(text); err != nil {
			err = fmt.Errorf("%s is %w", name, err)
		}
	case "reason":
		r.Reason, err = apisecret.ReadReason(value)
	}
	return err
}

func readTime(name, text string) (*Instant, error) {
	i, err := ParseTime(text)
	if err != nil {
		return nil, fmt.Errorf("%s is %w", name, err)
	}
	return &i, nil
}

var keyForm = regexp.MustCompile(`^[!-~]{1,128}$`)

// CheckKey says what is wrong with an idempotency key.
func CheckKey(key string) error {
	if !keyForm.MatchString(key) {
		return errors.New("the idempotency key is not 1 to 128 visible ASCII characters")
	}
	return nil
}

// times returns when the window begins and ends, or why there can be none.
func (r Request) times(now, longest Instant) (from, until Instant, err error) {
	from = now
	if r.From != nil {
		from = *r.From
	}
	until = from + r.Length
	if r.Until != nil {
		until = *r.Until
	}
	from = max(from, now)
	switch {
	case until <= now:
		return 0, 0, errors.New("the window would end in the past")
	case until <= from:
		return 0, 0, errors.New("the window would end before it begins")
	case from > now+maxAhead:
		return 0, 0, errors.New("the window would begin more than 366 days ahead")
	case until-from > longest:
		return 0, 0, tooLong(longest)
	}
	return from, until, nil
}

func tooLong(longest Instant) error {
	if longest == 0 {
		return errors.New("there are no windows here: SEGURA_WINDOW_MAX_DURATION (parameter WindowMaxDuration) is 0, as it is where WindowsEnabled is false")
	}
	return errors.New("the window would last longer than SEGURA_WINDOW_MAX_DURATION (parameter WindowMaxDuration) allows")
}

// laterEnd returns the window's end after an extension, or why there can be none.
func (r Request) laterEnd(w *Window, now, longest Instant) (Instant, error) {
	until := w.Until + r.Length
	if r.Until != nil {
		until = *r.Until
	}
	switch {
	case until <= w.Until:
		return 0, errors.New("the extension does not end later than the window does; shortening is not extending")
	case until <= now:
		return 0, errors.New("the window would still end in the past")
	case until-w.From > longest:
		return 0, tooLong(longest)
	case w.Extended >= MaxExtensions:
		return 0, fmt.Errorf("the window has been extended %d times, which is the most", MaxExtensions)
	}
	return until, nil
}

// digest returns what is compared where an idempotency key is used again: equal for
// requests that mean the same.
func (r Request) digest() string {
	list := slices.Clone(r.Identifiers)
	slices.Sort(list)
	if r.From != nil && r.Length != 0 {
		until := *r.From + r.Length
		r.Until, r.Length = &until, 0
	}
	sum := sha256.Sum256(strictjson.Encode([]any{r.Kind, r.ID, list, r.From, r.Until, r.Length, r.Reason}))
	return hex.EncodeToString(sum[:])
}
