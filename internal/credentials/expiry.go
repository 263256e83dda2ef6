package credentials

import (
	"errors"
	"strings"
	"time"

	"segura-enable/internal/strictjson"
)

// expiresAt is the field of the AWS secret that says when the access key expires.
const expiresAt = "expires_at"

// errExpiry is the error of an expires_at that cannot be read. It is the only field
// whose damage leaves the AWS secret usable: nothing is done by it but to remind.
var errExpiry = errors.New(expiresAt + ` is not a time of RFC 3339 such as "2027-03-31T00:00:00Z"`)

// ReadExpiry reads when the access key expires, which Segura tells nobody, from the
// document in the AWS secret, one that Parse accepts; zero: it does not say. mended
// reports whether anything stood around the value.
func ReadExpiry(document []byte) (_ time.Time, mended bool, _ error) {
	document, _ = withoutMark(document)
	members, err := strictjson.Map(document)
	value, found := members[expiresAt]
	if err != nil || !found || string(value) == "null" {
		return time.Time{}, false, err
	}
	text, ok := strictjson.String(value)
	if !ok {
		return time.Time{}, false, errExpiry
	}
	trimmed := strings.TrimSpace(text)
	if trimmed == "" {
		return time.Time{}, trimmed != text, nil
	}
	at, err := time.Parse(time.RFC3339, trimmed)
	if err != nil {
		return time.Time{}, false, errExpiry // time.Parse's error repeats the value
	}
	return at, trimmed != text, nil
}
