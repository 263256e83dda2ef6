package segura

import (
	"encoding/base64"
	"encoding/binary"
	"net/url"
	"slices"
	"strings"
	"sync"
)

// Limits of what is kept of the upstream's text, in bytes.
const (
	maxMessage   = 512
	maxRequestID = 128
	searchRoom   = 4 << 10 // of a text that is looked at at all
	window       = 8       // this much in common with a credential is taken for a part of it
	shortest     = 5       // a credential shorter than this is too common a text to look for
)

// Redactor masks credentials and tokens, whole or in part, in what an upstream
// wrote: a hostile or chatty one may quote what it was sent. It knows those of the
// clients that share it, the last few of each kind: an upstream may quote one that
// was replaced long ago. It may be used by several goroutines at once; the zero
// value knows none. Its texts stand behind pointers, where no print follows.
type Redactor struct {
	mu          sync.Mutex
	credentials []*secretTexts // the newest first
	tokens      []*secretTexts
}

// How many sets of credentials and how many tokens are remembered.
const (
	maxCredentials = 4
	maxTokens      = 8
)

func (r *Redactor) addCredentials(t *secretTexts) { r.add(&r.credentials, t, maxCredentials) }
func (r *Redactor) addToken(t *secretTexts)       { r.add(&r.tokens, t, maxTokens) }

func (r *Redactor) add(list *[]*secretTexts, t *secretTexts, most int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	*list = append([]*secretTexts{t}, (*list)[:min(len(*list), most-1)]...)
}

// secretTexts are the texts of one set of credentials, or of one token, in each form
// in which somebody may quote them. They are never changed.
type secretTexts struct {
	windows map[uint64]struct{} // every eight bytes in a row
	shorts  []string            // whole, where they are shorter than that
}

func newSecretTexts(secrets ...string) *secretTexts {
	var all []string
	size := 0
	for _, secret := range secrets {
		for _, form := range forms(secret) {
			bare, _ := bareText(form)
			all = append(all, form, bare)
			size += len(form)
		}
	}
	t := &secretTexts{windows: make(map[uint64]struct{}, size)}
	for _, text := range slices.Compact(all) {
		t.add(text)
	}
	return t
}

func (t *secretTexts) add(text string) {
	for at := 0; at+window <= len(text); at++ {
		t.windows[windowAt(text, at)] = struct{}{}
	}
	if len(text) >= shortest && len(text) < window {
		t.shorts = append(t.shorts, text)
	}
}

func windowAt(text string, at int) uint64 {
	return binary.LittleEndian.Uint64([]byte(text[at : at+window]))
}

// bareText returns what is left of a text without what isPlain drops, and where
// each of its bytes stood. Texts are compared bare too, so that a secret is found
// whatever it was taken apart with.
func bareText(text string) (bare string, at []int) {
	b := make([]byte, 0, len(text))
	at = make([]int, 0, len(text))
	for i := range len(text) {
		if isPlain(text[i]) {
			b = append(b, text[i])
			at = append(at, i)
		}
	}
	return string(b), at
}

// isPlain reports whether the byte may be in a gateway's request id, which is
// the only text of the upstream's that callers see.
func isPlain(b byte) bool {
	return b > ' ' && b <= '~' && strings.IndexByte("\"'`\\<>", b) < 0
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

// mark marks what the text has in common with the secrets. The positions say where
// in masked each byte of the text belongs; nil: in its own place.
func (t *secretTexts) mark(masked []bool, text string, positions []int) {
	found := func(at, n int) {
		first, last := at, at+n-1
		if positions != nil {
			first, last = positions[first], positions[last]
		}
		for i := first; i <= last; i++ {
			masked[i] = true
		}
	}
	for at := 0; at+window <= len(text); at++ {
		if _, secret := t.windows[windowAt(text, at)]; secret {
			found(at, window)
		}
	}
	for _, short := range t.shorts {
		for at := 0; at+len(short) <= len(text); at++ {
			if text[at:at+len(short)] == short {
				found(at, len(short))
			}
		}
	}
}

// redact returns text with everything masked that it has in common with a secret
// that r knows, or with one of more, which may be nil. Parts shorter than eight
// bytes are not recognized, unless they are the whole of a secret of at least five.
func (r *Redactor) redact(text string, more *secretTexts) string {
	searched := text[:min(len(text), searchRoom)]
	masked := make([]bool, len(searched))
	bare, positions := bareText(searched)
	for _, t := range r.all(more) {
		t.mark(masked, searched, nil)
		if bare != searched {
			t.mark(masked, bare, positions)
		}
	}
	end := len(searched)
	if end < len(text) {
		end -= window // what was cut here may be the beginning of a secret
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

func (r *Redactor) all(more *secretTexts) []*secretTexts {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := slices.Concat(r.credentials, r.tokens)
	if more != nil {
		all = append(all, more)
	}
	return all
}
