// Package strictjson reads a JSON object without the leniency of encoding/json:
// names are exact, a repeated name is an error, and so is anything behind the
// object. What the members mean is left to the caller. It also writes JSON text.
package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"unicode/utf8"
)

// Errors of Object, besides *RepeatedError.
var (
	ErrNotUTF8   = errors.New("it is not valid UTF-8")
	ErrNotJSON   = errors.New("it is not valid JSON")
	ErrNotObject = errors.New("it is not a JSON object")
	ErrTooMany   = errors.New("it has more fields than any event can have")
)

// maxMembers bounds the memory that an object takes: more than fit into the 256 KiB of
// an event, and far fewer than into the 6 MB of an invocation.
const maxMembers = 50_000

// RepeatedError is the error of an object that has a name twice.
type RepeatedError struct{ Name string }

// Error quotes the name, which is a text from outside.
func (e *RepeatedError) Error() string { return "it repeats the field " + Quote(e.Name) }

// Member is one member of an object, its value still undecoded.
type Member struct {
	Name  string
	Value json.RawMessage
}

// Object returns the members of the one JSON object that data holds, in their
// order. The values are copies. Errors never repeat a value.
func Object(data []byte) ([]Member, error) {
	if !utf8.Valid(data) {
		return nil, ErrNotUTF8
	}
	if !json.Valid(data) {
		return nil, ErrNotJSON
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	if opening, err := decoder.Token(); err != nil || opening != json.Delim('{') {
		return nil, ErrNotObject
	}
	var members []Member
	seen := map[string]bool{}
	for decoder.More() {
		var member Member
		name, err := decoder.Token()
		if err != nil {
			return nil, ErrNotJSON
		}
		member.Name, _ = name.(string) // the name of a member is one
		if err := decoder.Decode(&member.Value); err != nil {
			return nil, ErrNotJSON
		}
		if seen[member.Name] {
			return nil, &RepeatedError{member.Name}
		}
		if len(members) == maxMembers {
			return nil, ErrTooMany
		}
		seen[member.Name] = true
		members = append(members, member)
	}
	return members, nil
}

// Map is Object for those who do not care for the order.
func Map(data []byte) (map[string]json.RawMessage, error) {
	members, err := Object(data)
	if err != nil {
		return nil, err
	}
	byName := make(map[string]json.RawMessage, len(members))
	for _, member := range members {
		byName[member.Name] = member.Value
	}
	return byName, nil
}

// Encode returns v as JSON text without escapes for HTML. It is for types that
// always encode; of any other it makes null.
func Encode(v any) []byte {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return []byte("null")
	}
	return bytes.TrimRight(b.Bytes(), "\n")
}

// maxQuoted bounds what Quote repeats of a text from outside, in bytes.
const maxQuoted = 64

// Quote returns a text from outside in a form that is safe in an error: quoted,
// ASCII and cut.
func Quote(text string) string {
	if len(text) > maxQuoted {
		text = text[:maxQuoted] + "…"
	}
	return strconv.QuoteToASCII(text)
}

// String decodes a JSON string; ok is false for any other value.
func String(value json.RawMessage) (text string, ok bool) {
	if len(value) == 0 || value[0] != '"' {
		return "", false
	}
	return text, json.Unmarshal(value, &text) == nil
}

// Array returns the undecoded elements of a JSON array; ok is false for any other
// value. It stops behind the first element that is one too many, which is the last
// one then.
func Array(value json.RawMessage, most int) (elements []json.RawMessage, ok bool) {
	decoder := json.NewDecoder(bytes.NewReader(value))
	if opening, err := decoder.Token(); err != nil || opening != json.Delim('[') {
		return nil, false
	}
	elements = []json.RawMessage{}
	for decoder.More() && len(elements) <= most {
		var element json.RawMessage
		if err := decoder.Decode(&element); err != nil {
			return nil, false
		}
		elements = append(elements, element)
	}
	return elements, true
}
