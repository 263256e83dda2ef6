package segura

import (
	"encoding/base64"
	"encoding/binary"
	"net/url"
	"strings"
)

// Limits of what is kept of the upstream's text, in bytes.
const (
	maxMessage   = 512
	maxRequestID = 128
	searchRoom   = 4 << 10 // of a text that is looked at at all
	window       = 8       // this much in common with a credential is taken for a part of it
	shortest     = 5       // a credential shorter than this is too common a text to look for
)

// redactor finds credentials, whole or in part, in what an upstream wrote: a
// hostile or chatty one may quote what it was sent. It is never changed once
// made.
type redactor struct {
	texts []string // in each form in which somebody may quote them

	// seen has a bit for a hash of each window of the texts, so that text without
	// any is passed at the cost of a look.
	seen [1 << (hashBits - 6)]uint64
}

const hashBits = 16

func newRedactor(credentials ...string) *redactor {
	r := &redactor{}
	for _, credential := range credentials {
		r.texts = append(r.texts, forms(credential)...)
	}
	for _, text := range r.texts {
		for at := 0; at+window <= len(text); at++ {
			h := hash(text[at:])
			r.seen[h>>6] |= 1 << (h & 63)
		}
	}
	return r
}

// hash is one of the first eight bytes.
func hash(text string) uint64 {
	return binary.LittleEndian.Uint64([]byte(text[:window])) * 0x9E3779B97F4A7C15 >> (64 - hashBits)
}

// forms returns a text as it is, escaped for a URL, and as it looks inside
// base64, which depends on the number of bytes in front of it. Texts that are too
// short to be looked for have no forms.
func forms(text string) []string {
	if len(text) < shortest {
		return nil
	}
	list := []string{text}
	if escaped := url.QueryEscape(text); escaped != text {
		list = append(list, escaped)
	}
	for before := range 3 {
		encoded := base64.RawStdEncoding.EncodeToString([]byte("\x00\x00"[:before] + text))
		// The first characters hold bits of what stands before the text, the last
		// one may hold bits of what follows.
		encoded = encoded[(before*8+5)/6 : len(encoded)-1]
		list = append(list, encoded)
		if strings.ContainsAny(encoded, "+/") {
			list = append(list, forURL.Replace(encoded))
		}
	}
	return list
}

// forURL turns base64 into its form for URLs.
var forURL = strings.NewReplacer("+", "-", "/", "_")

// mark marks what the text has in common with the credentials.
func (r *redactor) mark(masked []bool, text string) {
	for at := 0; at+window <= len(text); at++ {
		if h := hash(text[at:]); r.seen[h>>6]&(1<<(h&63)) != 0 && r.has(text[at:at+window]) {
			set(masked, at, window)
		}
	}
	for _, short := range r.texts {
		if len(short) >= window {
			continue
		}
		for at := 0; at+len(short) <= len(text); at++ {
			if text[at:at+len(short)] == short {
				set(masked, at, len(short))
			}
		}
	}
}

func (r *redactor) has(part string) bool {
	for _, text := range r.texts {
		if strings.Contains(text, part) {
			return true
		}
	}
	return false
}

func set(masked []bool, at, n int) {
	for i := at; i < at+n; i++ {
		masked[i] = true
	}
}

// redact returns text with everything masked that it has in common with one of
// the credentials. Parts shorter than eight bytes are not recognized, unless they
// are the whole of a credential of at least five. A nil redactor knows none.
func redact(text string, redactors ...*redactor) string {
	searched := text[:min(len(text), searchRoom)]
	masked := make([]bool, len(searched))
	for _, r := range redactors {
		if r != nil {
			r.mark(masked, searched)
		}
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
