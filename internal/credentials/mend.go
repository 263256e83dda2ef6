package credentials

import (
	"bytes"
	"encoding/pem"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// What a copy through consoles, shells and editors does to a secret is mended where
// nothing is lost by it, and told where it cannot be. Each mend is told by the name
// of the field, never by a value.

// withoutMark takes a byte order mark from the front of a document.
func withoutMark(document []byte) (_ []byte, mended bool) {
	return bytes.CutPrefix(document, []byte("\ufeff"))
}

// mend returns the value without white space around it, and with the line breaks that
// PEM needs, and whether anything was amiss. A line break at the end of PEM belongs
// there.
func mend(field, value string) (_ string, mended bool) {
	trimmed := strings.TrimSpace(value)
	switch field {
	case "ca_certificate", "client_certificate", "client_key":
		whole := mendPEM(trimmed)
		return whole, whole != trimmed || strings.TrimRight(value, "\r\n") != trimmed
	default:
		return trimmed, trimmed != value
	}
}

// escapes are line breaks that were written as two characters each.
var escapes = strings.NewReplacer(`\r\n`, "\n", `\n`, "\n", `\r`, "\n")

// mendPEM sets every block on lines of its own if that makes more blocks readable. A
// block with headers, an encrypted key, is left as it is.
func mendPEM(text string) string {
	readable := readableBlocks(text)
	if readable == strings.Count(text, "-----BEGIN ") {
		return text
	}
	// A block whose lines may be joined by spaces or by nothing.
	flattened := regexp.MustCompile(`-----BEGIN ([A-Z0-9 ]+)-----([^-]*)-----END [A-Z0-9 ]+-----`)
	whole := flattened.ReplaceAllStringFunc(escapes.Replace(text), func(block string) string {
		parts := flattened.FindStringSubmatch(block)
		if strings.Contains(parts[2], ":") {
			return block
		}
		return fmt.Sprintf("\n-----BEGIN %s-----\n%s\n-----END %s-----\n", parts[1], strings.Join(strings.Fields(parts[2]), "\n"), parts[1])
	})
	if readableBlocks(whole) > readable {
		return strings.TrimSpace(whole)
	}
	return text
}

func readableBlocks(text string) (n int) {
	for block, rest := pem.Decode([]byte(text)); block != nil; block, rest = pem.Decode(rest) {
		n++
	}
	return n
}

// damage returns what is wrong with a mended value that cannot be mended; nil if
// nothing is.
func damage(field, value string) error {
	if inQuotes(value) {
		return fmt.Errorf("%s stands inside quotes; take them away", field)
	}
	switch field {
	case "client_id", "client_secret":
		// RFC 6749, appendix A: VSCHAR.
		if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r > '~' }) {
			return fmt.Errorf("%s has a character that OAuth does not allow in it, perhaps an invisible one; copy it again", field)
		}
	case "base_url", "token_url", "enable_path", "disable_path", "referer": // URLs and parts of them
		if strings.ContainsFunc(value, unicode.IsSpace) {
			return fmt.Errorf("%s has white space in it", field)
		}
		return invisible(field, value)
	case "tenant":
		return invisible(field, value)
	}
	return nil
}

func invisible(field, value string) error {
	if strings.ContainsFunc(value, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return fmt.Errorf("%s has an invisible character in it; copy it again", field)
	}
	return nil
}

// inQuotes reports whether the value stands inside quotes, straight ones or those that
// editors make of them.
func inQuotes(value string) bool {
	const typographic = "“”„‘’‚"
	first, size := utf8.DecodeRuneInString(value)
	last, _ := utf8.DecodeLastRuneInString(value)
	switch {
	case len(value) <= size:
		return false
	case first == '"' || first == '\'':
		return last == first
	default:
		return strings.ContainsRune(typographic, first) && strings.ContainsRune(typographic, last)
	}
}

// errEncodedTwice is the error of a document that is a JSON string.
var errEncodedTwice = errors.New("the document is a JSON string that holds another document; store the inner one, a JSON object")
