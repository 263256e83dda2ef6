// Package apisecret is the vocabulary of enabling API secrets: identifiers and
// sets of them, a request, its result, and the codes of what can go wrong. It
// does nothing over a network and knows neither Segura's replies nor AWS's
// events.
//
// The words are those of Segura's page "POST | Enable API secret": its interface
// says enable and disable where its API says activate and deactivate, or active
// and inactive; here it is enable and disable throughout.
package apisecret

import (
	"encoding/json"
	"errors"
	"math"
	"strconv"

	"segura-enable/internal/strictjson"
)

// Identifier is the number that Segura assigns to an API secret when it is
// created. It is positive; the zero value names none. It is not the
// identifier_code, which the user chooses.
type Identifier int64

// MaxIdentifier is the largest identifier.
const MaxIdentifier Identifier = math.MaxInt64

// ErrIdentifier is the error of a text or a JSON value that is no identifier. It
// never repeats the value.
var ErrIdentifier = errors.New("not a positive integer in plain digits, at most " + strconv.FormatInt(int64(MaxIdentifier), 10))

// ParseIdentifier reads ASCII digits without leading zeros. The error is
// ErrIdentifier.
func ParseIdentifier(text string) (Identifier, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if i := Identifier(n); err == nil && i > 0 && i.String() == text {
		return i, nil
	}
	return 0, ErrIdentifier
}

// String returns the identifier in plain digits.
func (i Identifier) String() string { return strconv.FormatInt(int64(i), 10) }

// ReadIdentifier reads a JSON number in plain digits or a JSON string of them.
func ReadIdentifier(value json.RawMessage) (Identifier, error) {
	if text, ok := strictjson.String(value); ok {
		return ParseIdentifier(text)
	}
	return ParseIdentifier(string(value))
}
