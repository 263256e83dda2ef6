package segura

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"html"
	"io"
	"math"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"

	"segura-enable/internal/apisecret"
	"segura-enable/internal/strictjson"
)

// reply is what came back over the wire, not yet judged.
type reply struct {
	status     int
	header     http.Header
	body       []byte
	incomplete *apisecret.Error // why the body could not be read to its end; nil if it was
}

// response returns the reply in the form in which net/http hands it on.
func (r reply) response(request *http.Request) *http.Response {
	body := io.Reader(bytes.NewReader(r.body))
	if r.incomplete != nil {
		body = io.MultiReader(body, failing{r.incomplete})
	}
	return &http.Response{StatusCode: r.status, Header: r.header, Body: io.NopCloser(body), Request: request}
}

// failing is a reader that fails.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// content is what a reply says, whichever generation of Segura or of the gateway
// in front of it wrote it; the zero value says nothing. The pages "POST | Enable API
// secret" of versions 3.32 to 4 show several forms of the same envelope; the gateway
// has its own, in JSON and in plain text.
type content struct {
	enveloped bool     // Segura's envelope with a message in it, rather than the gateway's reply
	cutShort  bool     // JSON that ends before it is complete
	message   string   // the first of message, Message and mensagem that says anything
	texts     []string // every text that may name the cause of a fault
	others    []string // every text besides the message
	statuses  []int    // the statuses inside the envelope
	flagged   bool     // an error or an exception is set, or success is false
	code      int      // Segura's own code, such as 1005; 0: none
	requestID string
	title     string // of an HTML page

	oauthError       string // OAuth's error, and its error_description
	oauthDescription string

	contradicted bool // the message tells of a success, and something else does not

	members map[string]json.RawMessage // of the outermost object
}

// readContent reads a body. A body that is neither JSON nor the gateway's plain
// text is not readable, and says nothing.
func readContent(body []byte) content {
	text := bytes.TrimSpace(bytes.TrimPrefix(bytes.ToValidUTF8(body, []byte("\uFFFD")), []byte("\uFEFF")))
	if len(text) == 0 || text[0] == '[' {
		return content{}
	}
	if outer, ok := object(text); ok {
		return readObject(outer)
	}
	if c, ok := readEmbedded(text); ok {
		return c
	}
	switch text[0] {
	case '{':
		return content{cutShort: isPrefix(text)}
	case '<':
		return content{title: readTitle(text)}
	default:
		return readPlainText(string(text))
	}
}

// readEmbedded reads the one JSON object in other text, such as warnings of PHP around
// it. It may tell of a fault; a success it is not.
func readEmbedded(text []byte) (content, bool) {
	first, last := bytes.IndexByte(text, '{'), bytes.LastIndexByte(text, '}')
	if first < 0 || last < first || bytes.IndexByte(text[last:], '{') >= 0 {
		return content{}, false
	}
	outer, ok := object(text[first : last+1])
	if !ok {
		return content{}, false
	}
	c := readObject(outer)
	c.enveloped, c.members = false, nil
	c.title = readTitle(text) // of a page that has a script's data in it
	return c, true
}

// readTitle returns the title of an HTML page, on one line. Its expression is compiled
// here, as others that faults alone need: a cold start would pay for it.
func readTitle(page []byte) string {
	if found := regexp.MustCompile(`(?is)<title[^>]*>(.*?)</title>`).FindSubmatch(page); found != nil {
		return strings.Join(strings.Fields(html.UnescapeString(string(found[1]))), " ")
	}
	return ""
}

// logged returns what the log quotes of a reply: its message, an error in OAuth's
// form, the title of a page, or where a redirect leads to.
func (c content) logged(r reply) string {
	target := ""
	if to, err := url.Parse(r.header.Get("Location")); err == nil && r.status/100 == 3 && to.Host != "" {
		target = cmp.Or(to.Scheme, "https") + "://" + to.Host
	}
	return cmp.Or(c.message, c.oauthDescription, c.oauthError, c.title, target)
}

// readPlainText reads the gateway's answer to a request without Accept: the
// message on the first line, `request_id: …` on the second.
func readPlainText(text string) content {
	message, rest, _ := strings.Cut(text, "\n")
	message = strings.TrimSpace(message)
	c := content{message: message, texts: []string{message}}
	for line := range strings.Lines(rest) {
		if id, found := strings.CutPrefix(strings.TrimSpace(line), "request_id:"); found {
			c.requestID = strings.TrimSpace(id)
		}
	}
	return c
}

func readObject(outer map[string]json.RawMessage) content {
	c := content{members: outer}
	envelope, ok := object(outer["response"])
	if ok {
		c.addStatus(outer["code"])
	} else {
		envelope = outer
	}
	c.addMessages(envelope)
	c.enveloped = ok && c.message != ""
	c.addStatus(envelope["status"])
	c.addErrors(envelope)
	if ok {
		c.addErrors(outer)
		c.addMessages(outer)
	}
	for _, text := range c.texts {
		if c.code == 0 {
			c.code = leadingCode(text)
		}
	}
	c.requestID, _ = strictjson.String(outer["request_id"])
	c.oauthError, _ = strictjson.String(outer["error"])
	c.oauthDescription, _ = strictjson.String(outer["error_description"])
	return c
}

// addMessages notes what an object says in words. The first text of all is the
// message.
func (c *content) addMessages(o map[string]json.RawMessage) {
	for _, name := range []string{"message", "Message", "mensagem", "detail"} {
		text, ok := strictjson.String(o[name])
		if !ok || strings.TrimSpace(text) == "" {
			continue
		}
		if name != "detail" {
			c.texts = append(c.texts, text)
		}
		if c.message == "" && name != "detail" {
			c.message = text
		} else {
			c.others = append(c.others, text)
		}
	}
}

// addErrors notes what an object says of errors.
func (c *content) addErrors(o map[string]json.RawMessage) {
	for _, name := range []string{"error", "erro", "errors", "exception"} {
		c.flagged = c.flagged || isSet(o[name])
	}
	if success, ok := o["success"]; ok && string(success) != "null" && !isSet(success) {
		c.flagged = true
	}
	c.addText(o["error"])
	c.addText(o["error_description"])
	if text, ok := strictjson.String(o["error_description"]); ok {
		c.others = append(c.others, text)
	}
	c.addException(o["exception"])
}

// addException notes the cause where Segura knows it. Its code may be no Segura
// code at all (400, with a text in Portuguese, in a 500): it is ignored then.
func (c *content) addException(value json.RawMessage) {
	exception, ok := object(value)
	if !ok {
		return
	}
	if code, ok := number(exception["code"]); ok && isSeguraCode(code) && c.code == 0 {
		c.code = code
	}
	c.addText(exception["message"])
	if c.message == "" {
		c.message, _ = strictjson.String(exception["message"])
	}
}

func (c *content) addText(value json.RawMessage) {
	if text, ok := strictjson.String(value); ok && text != "" {
		c.texts = append(c.texts, text)
	}
}

func (c *content) addStatus(value json.RawMessage) {
	if value == nil || string(value) == "null" {
		return
	}
	status, _ := number(value) // what is no number is a status that nobody knows
	c.statuses = append(c.statuses, status)
}

// isWholeSuccess reports whether the reply is a success by all but its words: whole,
// in Segura's envelope, and 200 by every status in it.
func isWholeSuccess(r reply, c content) bool {
	for _, status := range c.statuses {
		if status != http.StatusOK {
			return false
		}
	}
	return r.status == http.StatusOK && r.incomplete == nil && c.enveloped
}

// says reports whether any text of the reply holds the phrase, which is in lower
// case; letter case and white space do not matter.
func (c content) says(phrase string) bool {
	for _, text := range c.texts {
		if strings.Contains(fold(text), phrase) {
			return true
		}
	}
	return false
}

// fold returns text in lower case with every run of white space made one space.
func fold(text string) string { return strings.Join(strings.Fields(strings.ToLower(text)), " ") }

// object decodes a JSON object; a repeated name makes it unreadable, since what
// it says would depend on the order.
func object(value json.RawMessage) (map[string]json.RawMessage, bool) {
	members, err := strictjson.Map(value)
	return members, err == nil
}

// isPrefix reports whether text is the beginning of JSON rather than no JSON.
func isPrefix(text []byte) bool {
	decoder := json.NewDecoder(bytes.NewReader(text))
	var value json.RawMessage
	err := decoder.Decode(&value)
	return errors.Is(err, io.ErrUnexpectedEOF)
}

// number decodes a whole number, as a JSON number or a string.
func number(value json.RawMessage) (int, bool) {
	text, ok := strictjson.String(value)
	if !ok {
		text = string(value)
	}
	f, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil || f != math.Trunc(f) || math.Abs(f) > 1<<53 {
		return 0, false
	}
	return int(f), true
}

// isSet reports whether a value is anything but null, false, 0, empty, or a text of
// one of these. A string may be an error's name, as OAuth 2.0 has it.
func isSet(value json.RawMessage) bool {
	switch string(value) {
	case "", "null", "false":
		return false
	}
	text, ok := strictjson.String(value)
	if !ok {
		text = string(value)
	}
	text = strings.Join(strings.Fields(strings.ToLower(text)), "")
	switch text {
	case "", "null", "false", `""`, "[]", "{}":
		return false
	}
	n, err := strconv.ParseFloat(text, 64)
	return err != nil || n != 0
}

// isSeguraCode tells Segura's own codes, such as 1005, from HTTP statuses.
func isSeguraCode(n int) bool { return n >= 1000 && n <= 9999 }

// leadingCode returns the code in front of a message such as "1005: Api secret
// not found", or 0.
func leadingCode(message string) int {
	message = strings.TrimSpace(message)
	end := strings.IndexFunc(message, func(r rune) bool { return r < '0' || r > '9' })
	if end != 4 || message[end] != ':' && !unicode.IsSpace(rune(message[end])) {
		return 0
	}
	code, err := strconv.Atoi(message[:end])
	if err != nil || !isSeguraCode(code) {
		return 0
	}
	return code
}

// maxRetryAfter bounds what an upstream may ask for; more is as good as never.
const maxRetryAfter = 24 * time.Hour

// retryAfter returns how long the upstream asks to wait: Retry-After in seconds
// or as a date, RateLimit-Reset in seconds, or X-RateLimit-Reset as a Unix time.
func retryAfter(h http.Header, now time.Time) time.Duration {
	if text := h.Get("Retry-After"); text != "" {
		if seconds, err := strconv.ParseFloat(text, 64); err == nil {
			return wait(seconds)
		}
		if at, err := http.ParseTime(text); err == nil {
			return wait(at.Sub(now).Seconds())
		}
	}
	if seconds, err := strconv.ParseFloat(h.Get("RateLimit-Reset"), 64); err == nil {
		return wait(seconds)
	}
	if at, err := strconv.ParseFloat(h.Get("X-RateLimit-Reset"), 64); err == nil {
		return wait(at - float64(now.UnixMilli())/1000)
	}
	return 0
}

func wait(seconds float64) time.Duration {
	switch {
	case math.IsNaN(seconds) || seconds <= 0:
		return 0
	case seconds > maxRetryAfter.Seconds():
		return maxRetryAfter
	default:
		return time.Duration(seconds * float64(time.Second))
	}
}
