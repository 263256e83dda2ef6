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
	data = bytes.TrimSpace(bytes.Clone(data))
	if data[0] != '{' {
		return nil, ErrNotObject
	}
	var members []Member
	seen := map[string]bool{}
	for rest := inside(data); len(rest) > 0; {
		var name, value []byte
		name, rest = cut(rest)
		value, rest = cut(rest)
		member := Member{Value: value}
		member.Name, _ = String(name)
		if seen[member.Name] {
			return nil, &RepeatedError{member.Name}
		}
		seen[member.Name] = true
		members = append(members, member)
	}
	return members, nil
}

// inside returns what stands between the brackets of a valid object or array.
func inside(text []byte) []byte { return bytes.TrimSpace(text[1 : len(text)-1]) }

// cut splits the inside of a valid object or array at its first colon or comma
// that is not in a string or in brackets of its own. Where JSON is known to be
// valid, that finds its parts in a fraction of a decoder's time.
func cut(text []byte) (part, rest []byte) {
	depth := 0
	for at := 0; at < len(text); at++ {
		switch text[at] {
		case '"':
			at = closingQuote(text, at)
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		case ':', ',':
			if depth == 0 {
				return bytes.TrimSpace(text[:at]), bytes.TrimSpace(text[at+1:])
			}
		}
	}
	return text, nil
}

// closingQuote returns where the string ends that begins at a quote.
func closingQuote(text []byte, at int) int {
	for at++; text[at] != '"'; at++ {
		if text[at] == '\\' {
			at++
		}
	}
	return at
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
	if len(value) < 2 || value[0] != '"' {
		return "", false
	}
	if inner := value[1 : len(value)-1]; isPlain(inner) && value[len(value)-1] == '"' {
		return string(inner), true
	}
	return text, json.Unmarshal(value, &text) == nil
}

// isPlain tells whether a string's inside stands for itself: almost every one does.
func isPlain(inner []byte) bool {
	for _, b := range inner {
		if b < ' ' || b > '~' || b == '"' || b == '\\' {
			return false
		}
	}
	return true
}

// Array returns the undecoded elements of a JSON array; ok is false for any other
// value. It stops behind the first element that is one too many, which is the last
// one then. The elements share the value's memory.
func Array(value json.RawMessage, most int) (elements []json.RawMessage, ok bool) {
	if len(value) == 0 || value[0] != '[' || !json.Valid(value) {
		return nil, false
	}
	elements = []json.RawMessage{}
	for rest := inside(bytes.TrimRight(value, " \t\r\n")); len(rest) > 0 && len(elements) <= most; {
		var element []byte
		element, rest = cut(rest)
		elements = append(elements, element)
	}
	return elements, true
}
