package segura

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
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

// Limits of what is kept of the upstream's text.
const (
	maxMessage   = 512     // bytes
	maxRequestID = 128     // bytes
	searchRoom   = 4 << 10 // bytes of a text that are looked at at all
	window       = 8       // this many bytes in common with a credential are taken for a part of it
	shortest     = 5       // a credential shorter than this is too common a text to look for
)

// redact returns text with everything masked that it has in common with one of
// the credentials, since a hostile or chatty upstream may quote what it was
// sent. Parts shorter than eight bytes are not recognized, unless they are the
// whole of a credential of at least five.
func redact(text string, credentials ...string) string {
	searched := text[:min(len(text), searchRoom)]
	masked := make([]bool, len(searched))
	for _, credential := range credentials {
		mark(masked, searched, credential)
	}
	end := len(searched)
	if end < len(text) {
		end -= window // what was cut here may be the beginning of a credential
	}
	var b strings.Builder
	for at := 0; at < end && b.Len() < maxMessage; at++ {
		if !masked[at] {
			b.WriteByte(searched[at])
		} else if at == 0 || !masked[at-1] {
			b.WriteString(redacted)
		}
	}
	return strings.ToValidUTF8(b.String(), "\uFFFD")
}

func mark(masked []bool, text, credential string) {
	if len(credential) < shortest {
		return
	}
	size := min(window, len(credential))
	for at := 0; at+size <= len(text); at++ {
		if strings.Contains(credential, text[at:at+size]) {
			for i := at; i < at+size; i++ {
				masked[i] = true
			}
		}
	}
}
