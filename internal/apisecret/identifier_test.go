package apisecret_test

import (
	"errors"
	"net/url"
	"path"
	"slices"
	"strings"
	"testing"

	"segura-enable/internal/apisecret"
)

// notDigits are texts that are no identifier, however close.
var notDigits = []string{
	"", " ", "0", "00", "05", "005", "-0", "-5", "+5", " 5", "5 ", "\t5", "5\n", "5\r\n", "5\x00", "\x005", "5\u00a0", "\ufeff5", "5\u200b", "\u202e5",
	"9223372036854775808", "18446744073709551617", "18446744073709551621", strings.Repeat("9", 400),
	"5.0", "5.", ".5", "5e0", "5E0", "1e3", "0x5", "0b101", "0o5", "1_000", "1,000", "5,6", "5-7", "5;6",
	"5/6", "5/../6", "../5", "..", "5?x=1", "5#", "%35", "5%2F6", `5\6`, "{identifier}",
	"５", "٥", "५", "𝟝", "⁵", "①", "Ⅴ", "5\u0301", "five", "null", "true", "NaN", "Infinity", "\ufffd",
}

func TestParseIdentifier_takesPlainDigitsOnly(t *testing.T) {
	for text, want := range map[string]apisecret.Identifier{
		"1": 1, "10": 10, "2147483648": 2147483648, "9007199254740993": 9007199254740993, "9223372036854775807": apisecret.MaxIdentifier,
	} {
		if got, err := apisecret.ParseIdentifier(text); got != want || err != nil {
			t.Errorf("%q: got %d and %v, want %d", text, got, err, want)
		}
	}
	for _, text := range notDigits {
		if got, err := apisecret.ParseIdentifier(text); got != 0 || !errors.Is(err, apisecret.ErrIdentifier) {
			t.Errorf("%q: got %d and the error %v, want %v", text, got, err, apisecret.ErrIdentifier)
		}
	}
}

// An accepted identifier is one segment of a path as it is, needs no escaping,
// and is the only spelling of its number.
func FuzzParseIdentifier(f *testing.F) {
	for _, seed := range slices.Concat(notDigits, []string{"5", "9223372036854775807"}) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		i, err := apisecret.ParseIdentifier(text)
		switch {
		case err != nil && i != 0:
			t.Fatalf("%q: got %d with the error %v", text, i, err)
		case err != nil:
		case i < 1 || i.String() != text:
			t.Fatalf("%q: got %d, which is written %q", text, i, i.String())
		case url.PathEscape(text) != text || strings.Count(path.Join("/a", text, "b"), "/") != 3:
			t.Fatalf("%q is accepted, but is no single plain segment of a path", text)
		}
	})
}
