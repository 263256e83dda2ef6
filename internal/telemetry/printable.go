package telemetry

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf16"
)

// printable is a writer for lines of JSON that escapes what encoding leaves as it
// is and no terminal should see: DEL, the C1 controls, and characters that are
// invisible or turn the direction of writing.
type printable struct{ out io.Writer }

// Write implements io.Writer; a line is written whole.
func (p printable) Write(line []byte) (int, error) {
	if bytes.IndexFunc(line, isHidden) < 0 {
		return p.out.Write(line)
	}
	var b strings.Builder
	for _, r := range string(line) {
		switch high, low := utf16.EncodeRune(r); {
		case !isHidden(r):
			b.WriteRune(r)
		case high == unicode.ReplacementChar: // it takes no surrogates
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		}
	}
	if _, err := io.WriteString(p.out, b.String()); err != nil {
		return 0, err
	}
	return len(line), nil
}

func isHidden(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }
