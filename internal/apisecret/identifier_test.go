package apisecret_test

import (
	"errors"
	"net/url"
	"path"
	"strings"
	"testing"

	"segura-enable/internal/apisecret"
)

func TestParseIdentifier_takesPlainDigitsOnly(t *testing.T) {
	for _, row := range []struct {
		text string
		want apisecret.Identifier // 0: refused
	}{
		{"1", 1},
		{"5", 5},
		{"10", 10},
		{"2147483648", 2147483648},
		{"9007199254740993", 9007199254740993},
		{"9223372036854775807", apisecret.MaxIdentifier},
		{"9223372036854775808", 0},
		{"18446744073709551617", 0},
		{"99999999999999999999999999999999", 0},
		{"", 0},
		{"0", 0},
		{"00", 0},
		{"05", 0},
		{"-5", 0},
		{"+5", 0},
		{" 5", 0},
		{"5 ", 0},
		{"5\n", 0},
		{"5\x00", 0},
		{"5.0", 0},
		{"5e0", 0},
		{"5e3", 0},
		{"0x5", 0},
		{"5_000", 0},
		{"5,000", 0},
		{"5/6", 0},
		{"5/../6", 0},
		{"..", 0},
		{"5?x=1", 0},
		{"5#", 0},
		{"%35", 0},
		{"５", 0}, // full-width
		{"٥", 0}, // Arabic-Indic
		{"५", 0}, // Devanagari
		{"5\u0301", 0},
		{"five", 0},
		{"null", 0},
		{"Infinity", 0},
	} {
		got, err := apisecret.ParseIdentifier(row.text)

		if got != row.want || (err == nil) != (row.want != 0) {
			t.Errorf("%q: got %d and the error %v, want %d", row.text, got, err, row.want)
		}
		if err != nil && !errors.Is(err, apisecret.ErrIdentifier) {
			t.Errorf("%q: got the error %v, want %v", row.text, err, apisecret.ErrIdentifier)
		}
	}
}

// An accepted identifier is one segment of a path as it is, needs no escaping,
// and is the only spelling of its number.
func FuzzParseIdentifier(f *testing.F) {
	for _, seed := range []string{"5", "05", "0", "-1", "9223372036854775807", "9223372036854775808", "5/6", "..", "%35", "５", "5\n", "1e3", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		i, err := apisecret.ParseIdentifier(text)
		if err != nil {
			if i != 0 {
				t.Fatalf("%q: got %d with the error %v", text, i, err)
			}
			return
		}
		if i < 1 || i.String() != text {
			t.Fatalf("%q: got %d, which is written %q", text, i, i.String())
		}
		if url.PathEscape(text) != text || path.Clean("/a/"+text) != "/a/"+text || strings.Count(path.Join("/a", text, "b"), "/") != 3 {
			t.Fatalf("%q is accepted, but is no single plain segment of a path", text)
		}
		if again, err := apisecret.ParseIdentifier(i.String()); err != nil || again != i {
			t.Fatalf("%q: read again: got %d and %v", text, again, err)
		}
	})
}
