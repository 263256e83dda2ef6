package apisecret

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"segura-enable/internal/strictjson"
)

// Action is what is asked for: Segura's "activate" or "deactivate".
type Action string

// The actions, as a document spells them.
const (
	Enable  Action = "enable"
	Disable Action = "disable"
)

// Opposite returns the action that undoes this one.
func (a Action) Opposite() Action {
	if a == Disable {
		return Enable
	}
	return Disable
}

// MaxIdentifiers is how many identifiers a request may have; a door may take fewer.
const MaxIdentifiers = 10_000

// MaxReason is how long a reason, and the name of an execution, may be, in code points.
const MaxReason = 256

// Request asks for API secrets to be enabled or disabled.
type Request struct {
	Action      Action
	Identifiers []Identifier // in the order asked for, each once; at least one
	Single      bool         // asked for as `identifier`, not as `identifiers`
	Reason      string       // for the audit log; may be empty
}

// Document is what a caller sent: a request, or the wish for a self-check.
type Document struct {
	Request
	Check     bool
	Execution string // of a state machine, for the audit log; may be empty
}

// Field is the name of a member of a document.
type Field string

// The fields that a document may have, where the door lets it.
const (
	FieldIdentifier  Field = "identifier"
	FieldIdentifiers Field = "identifiers"
	FieldReason      Field = "reason"
	FieldAction      Field = "action"
	FieldCheck       Field = "check"
	FieldExecution   Field = "execution"
)

// Form says what a door accepts.
type Form struct {
	Fields         []Field
	MaxIdentifiers int  // as sent, repeats included
	IgnoreUnknown  bool // unknown fields and nulls are skipped; a known one in other letter case is an error all the same
}

// Read reads a document of this form. Its error is a sentence for the caller and
// repeats no value. Without identifier fields in the form, the request has no
// identifiers either.
func (f Form) Read(data []byte) (Document, error) {
	members, err := strictjson.Object(data)
	if err != nil {
		return Document{}, err
	}
	d := Document{Request: Request{Action: Enable}}
	present := map[Field]bool{}
	for _, member := range members {
		name := Field(member.Name)
		switch known := slices.Contains(f.Fields, name); {
		case known && f.IgnoreUnknown && string(member.Value) == "null":
		case known:
			present[name] = true
			if err := f.readField(&d, name, member.Value); err != nil {
				return Document{}, err
			}
		case !f.IgnoreUnknown || f.otherCase(member.Name):
			return Document{}, fmt.Errorf("unknown field %s", strictjson.Quote(member.Name))
		}
	}
	return d, f.complete(present)
}

// otherCase reports whether the name is one of the form's in other letter case.
func (f Form) otherCase(name string) bool {
	return slices.ContainsFunc(f.Fields, func(known Field) bool { return strings.EqualFold(string(known), name) })
}

func (f Form) readField(d *Document, name Field, value json.RawMessage) (err error) {
	switch name {
	case FieldIdentifier:
		d.Single = true
		d.Identifiers = make([]Identifier, 1)
		if d.Identifiers[0], err = ReadIdentifier(value); err != nil {
			return fmt.Errorf("identifier is %w", err)
		}
	case FieldIdentifiers:
		d.Identifiers, err = f.decodeIdentifiers(value)
	case FieldReason:
		d.Reason, err = decodeText(name, value)
	case FieldExecution:
		d.Execution, err = decodeText(name, value)
	case FieldAction:
		d.Action, err = decodeAction(value)
	case FieldCheck:
		d.Check = string(value) == "true"
		if !d.Check {
			err = errors.New("check can only be true")
		}
	}
	return err
}

func (f Form) decodeIdentifiers(value json.RawMessage) ([]Identifier, error) {
	elements, ok := strictjson.Array(value, f.MaxIdentifiers)
	if !ok {
		return nil, errors.New("identifiers is not an array")
	}
	if len(elements) == 0 {
		return nil, errors.New("identifiers is empty")
	}
	if len(elements) > f.MaxIdentifiers {
		return nil, fmt.Errorf("identifiers has more than %d elements", f.MaxIdentifiers)
	}
	list := make([]Identifier, 0, len(elements))
	seen := make(map[Identifier]bool, len(elements))
	for at, element := range elements {
		i, err := ReadIdentifier(element)
		if err != nil {
			return nil, fmt.Errorf("identifiers[%d] is %w", at, err)
		}
		if !seen[i] {
			seen[i] = true
			list = append(list, i)
		}
	}
	return list, nil
}

func decodeText(name Field, value json.RawMessage) (string, error) {
	text, ok := strictjson.String(value)
	if !ok {
		return "", fmt.Errorf("%s is not a string", name)
	}
	if n := utf8.RuneCountInString(text); n > MaxReason {
		return "", fmt.Errorf("%s has %d characters, at most %d are allowed", name, n, MaxReason)
	}
	return text, nil
}

func decodeAction(value json.RawMessage) (Action, error) {
	text, ok := strictjson.String(value)
	if action := Action(text); ok && (action == Enable || action == Disable) {
		return action, nil
	}
	return "", errors.New(`action is neither "enable" nor "disable"`)
}

// complete checks what no field can tell alone.
func (f Form) complete(present map[Field]bool) error {
	one, several := present[FieldIdentifier], present[FieldIdentifiers]
	switch {
	case present[FieldCheck] && (len(present) > 2 || len(present) == 2 && !several):
		return errors.New("check enables nothing and takes no other field than identifiers")
	case present[FieldCheck] || !slices.Contains(f.Fields, FieldIdentifiers):
		return nil
	case one && several:
		return errors.New("identifier and identifiers exclude each other")
	case !one && !several:
		return errors.New("one of identifier and identifiers is required")
	}
	return nil
}

// ReadIdentifiers reads the value of a member identifiers, of at most so many, as
// a Form does.
func ReadIdentifiers(value json.RawMessage, most int) ([]Identifier, error) {
	return Form{MaxIdentifiers: most}.decodeIdentifiers(value)
}

// ReadReason reads the value of a member reason, as a Form does.
func ReadReason(value json.RawMessage) (string, error) { return decodeText(FieldReason, value) }
