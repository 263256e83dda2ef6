// Package strictjson reads a JSON object without the leniency of encoding/json:
// names are exact, a repeated name is an error, and so is anything behind the
// object. What the members mean is left to the caller.
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
)

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
// order. The values share data's memory no longer than the call: they are
// copies. Errors never repeat a value.
func Object(data []byte) ([]Member, error) {
	if !utf8.Valid(data) {
		return nil, ErrNotUTF8
	}
	if !json.Valid(data) {
		return nil, ErrNotJSON
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	if token, err := decoder.Token(); err != nil || token != json.Delim('{') {
		return nil, ErrNotObject
	}
	var members []Member
	seen := map[string]bool{}
	for decoder.More() {
		member, err := next(decoder)
		if err != nil {
			return nil, err
		}
		if seen[member.Name] {
			return nil, &RepeatedError{member.Name}
		}
		seen[member.Name] = true
		members = append(members, member)
	}
	return members, nil
}

func next(decoder *json.Decoder) (Member, error) {
	token, err := decoder.Token()
	if err != nil {
		return Member{}, ErrNotJSON
	}
	name, ok := token.(string)
	if !ok {
		return Member{}, ErrNotJSON
	}
	var value json.RawMessage
	if err := decoder.Decode(&value); err != nil {
		return Member{}, ErrNotJSON
	}
	return Member{Name: name, Value: value}, nil
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

// Array decodes a JSON array into its undecoded elements; ok is false for any
// other value. It stops behind the first element that is one too many, which is
// the last one then.
func Array(value json.RawMessage, most int) (elements []json.RawMessage, ok bool) {
	decoder := json.NewDecoder(bytes.NewReader(value))
	if token, err := decoder.Token(); err != nil || token != json.Delim('[') {
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
