package segura

import (
	"fmt"
	"io"
	"log/slog"
)

const redacted = "[redacted]"

// Sensitive is a text that no print, log or encoding shows. It is kept behind a
// function, because fmt reads the strings in unexported fields without asking
// their methods. The zero value is the empty text.
type Sensitive struct {
	masked

	reveal func() string
}

// Hide returns text as a Sensitive.
func Hide(text string) Sensitive { return Sensitive{reveal: func() string { return text }} }

// Reveal returns the text. Only what goes to Segura may call it.
func (s Sensitive) Reveal() string {
	if s.reveal == nil {
		return ""
	}
	return s.reveal()
}

// masked, embedded, has every print, log and encoding of a struct say that it is redacted.
type masked struct{}

// Format implements fmt.Formatter, for every verb.
func (masked) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue implements slog.LogValuer.
func (masked) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON implements json.Marshaler.
func (masked) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }
