package window

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"segura-enable/internal/apisecret"
	"segura-enable/internal/strictjson"
)

// Request asks for a window. How long it lasts is given by its end or by its length,
// never both.
type Request struct {
	Identifiers []apisecret.Identifier
	From        *Instant // nil: now
	Until       *Instant
	For         Instant // seconds; 0: Until is given
	Reason      string
}

// Extending asks for a later end.
type Extending struct {
	ID     string // in an event only
	Until  *Instant
	By     Instant // seconds; 0: Until is given
	Reason string
}

// Ender asks to close a window.
type Ender struct {
	ID     string // in an event only
	Reason string
}

// members reads a document whose members are the ones that read knows. Errors are
// sentences for the caller and repeat no value.
func members(data []byte, read func(name string, value json.RawMessage) (known bool, err error)) error {
	list, err := strictjson.Object(data)
	if err != nil {
		return err
	}
	for _, member := range list {
		known, err := read(member.Name, member.Value)
		if err != nil {
			return err
		}
		if !known {
			return fmt.Errorf("unknown field %s", strictjson.Quote(member.Name))
		}
	}
	return nil
}

// ReadRequest reads the document that opens a window.
func ReadRequest(data []byte, most int) (r Request, err error) {
	err = members(data, func(name string, value json.RawMessage) (known bool, err error) {
		switch name {
		case "identifiers":
			r.Identifiers, err = apisecret.ReadIdentifiers(value, most)
		case "from":
			r.From, err = readTime(name, value)
		case "until":
			r.Until, err = readTime(name, value)
		case "for":
			r.For, err = readText(name, value, ParseDuration)
		case "reason":
			r.Reason, err = apisecret.ReadReason(value)
		default:
			return false, nil
		}
		return true, err
	})
	switch {
	case err != nil:
		return Request{}, err
	case r.Identifiers == nil:
		return Request{}, errors.New("identifiers is required")
	case (r.Until == nil) == (r.For == 0):
		return Request{}, errors.New("exactly one of until and for is required")
	}
	return r, nil
}

// ReadExtending reads the document that extends a window; withID says that the window
// is named in it.
func ReadExtending(data []byte, withID bool) (e Extending, err error) {
	err = members(data, func(name string, value json.RawMessage) (known bool, err error) {
		switch {
		case name == "id" && withID:
			e.ID, err = readID(value)
		case name == "until":
			e.Until, err = readTime(name, value)
		case name == "by":
			e.By, err = readText(name, value, ParseDuration)
		case name == "reason":
			e.Reason, err = apisecret.ReadReason(value)
		default:
			return false, nil
		}
		return true, err
	})
	switch {
	case err != nil:
		return Extending{}, err
	case withID && e.ID == "":
		return Extending{}, errors.New("id is required")
	case (e.Until == nil) == (e.By == 0):
		return Extending{}, errors.New("exactly one of until and by is required")
	}
	return e, nil
}

// ReadEnder reads the document that closes a window; withID says that the window is
// named in it.
func ReadEnder(data []byte, withID bool) (e Ender, err error) {
	err = members(data, func(name string, value json.RawMessage) (known bool, err error) {
		switch {
		case name == "id" && withID:
			e.ID, err = readID(value)
		case name == "reason":
			e.Reason, err = apisecret.ReadReason(value)
		default:
			return false, nil
		}
		return true, err
	})
	if err == nil && withID && e.ID == "" {
		err = errors.New("id is required")
	}
	return e, err
}

// readText reads a value whose text is parsed. What is no text is parsed as an empty one,
// which is neither a time nor a duration.
func readText[T any](name string, value json.RawMessage, parse func(string) (T, error)) (T, error) {
	text, _ := strictjson.String(value)
	parsed, err := parse(text)
	if err != nil {
		return parsed, fmt.Errorf("%s is %w", name, err)
	}
	return parsed, nil
}

func readTime(name string, value json.RawMessage) (*Instant, error) {
	i, err := readText(name, value, ParseTime)
	return &i, err
}

func readID(value json.RawMessage) (string, error) {
	text, ok := strictjson.String(value)
	if !ok || text == "" {
		return "", errors.New("id is not the id of a window")
	}
	return text, nil
}

var keyForm = regexp.MustCompile(`^[!-~]+$`)

// CheckKey says what is wrong with an idempotency key.
func CheckKey(key string) error {
	if len(key) > 128 || !keyForm.MatchString(key) {
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
	until = from + r.For
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

// until returns the window's later end, or why there can be none.
func (e Extending) until(w *Window, now, longest Instant) (Instant, error) {
	until := w.Until + e.By
	if e.Until != nil {
		until = *e.Until
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

// content returns what the request asks for as text, equal for requests that mean the
// same; it is compared where an idempotency key is used again.
func (r Request) content() string {
	list := slices.Clone(r.Identifiers)
	slices.Sort(list)
	if r.From != nil && r.For != 0 {
		until := *r.From + r.For
		r.Until, r.For = &until, 0
	}
	return asText("window", list, r.From, r.Until, r.For, r.Reason)
}

func (e Extending) content(id string) string {
	return asText("extend", id, e.Until, e.By, e.Reason)
}

// asText returns the values as JSON, which keeps them apart.
func asText(values ...any) string {
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	for _, v := range values {
		_ = encoder.Encode(v) // numbers, texts and lists of them always encode
	}
	return b.String()
}
