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
type Sensitive struct{ reveal func() string }

// Hide returns text as a Sensitive.
func Hide(text string) Sensitive { return Sensitive{func() string { return text }} }

// Reveal returns the text. Only what goes to Segura may call it.
func (s Sensitive) Reveal() string {
	if s.reveal == nil {
		return ""
	}
	return s.reveal()
}

// Format implements fmt.Formatter, for every verb.
func (Sensitive) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue implements slog.LogValuer.
func (Sensitive) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON implements json.Marshaler.
func (Sensitive) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }
