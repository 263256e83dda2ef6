package acceptance

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"segura-enable/simulated/runtimeapi"
	"segura-enable/simulated/seguratest"
	"segura-enable/simulated/stage"
)

// anyIdentifier is a Segura that has every API secret but a few.
var anyIdentifier = seguratest.Options{AnyIdentifier: true, APISecrets: map[int64]seguratest.APISecret{
	6: {Active: true}, 7: {Missing: true}, 8: {Forbidden: true},
}}

// sent are the calls that Segura got since the last reset, as "enable 5", in
// the order of their arrival; token requests and HEADs are left out.
func (w *world) sent() []string {
	var calls []string
	for _, r := range w.segura.Requests() {
		if r.Kind != seguratest.KindToken && r.Kind != seguratest.KindHead {
			calls = append(calls, fmt.Sprintf("%s %d", r.Kind, r.Identifier))
		}
	}
	return calls
}

// refuses checks that the event function takes the payload for a request that
// cannot be understood, and sends nothing to Segura because of it.
func (w *world) refuses(t *testing.T, about, payload string) runtimeapi.Invocation {
	t.Helper()
	before := w.segura.Count("")
	inv := w.raw([]byte(payload))
	if inv.ErrorType != "Segura.InvalidRequest" || inv.ErrorMessage == "" {
		t.Errorf("%s: %.300s: got error %q %.300q, payload %.300s; want Segura.InvalidRequest and a message",
			about, payload, inv.ErrorType, inv.ErrorMessage, inv.Payload)
	}
	if n := w.segura.Count("") - before; n != 0 {
		t.Errorf("%s: %.300s: Segura got %d requests, want none", about, payload, n)
	}
	return inv
}

func identifiers(items []stage.Item) []int64 {
	var all []int64
	for _, i := range items {
		all = append(all, i.Identifier)
	}
	return all
}

// quoted is the text as a JSON string.
func quoted(text string) string {
	b, err := json.Marshal(text)
	if err != nil {
		return `""`
	}
	return string(b)
}

// encoded is v as JSON.
func encoded(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// eventBridge is an event of a source, with the detail as it is written.
func eventBridge(source, detail string) string {
	return `{"version":"0","id":"7bf73129-1428-4cd3-a780-95db273d1602","detail-type":"Change Approved","source":` + quoted(source) +
		`,"account":"123456789012","time":"2026-11-21T08:15:30Z","region":"eu-west-1","resources":[],"detail":` + detail + `}`
}

// sample reads a file of the folder events.
func sample(t *testing.T, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("..", "..", "events", name))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// sampleEvent is a sample decoded, to be changed.
func sampleEvent(t *testing.T, name string) map[string]any {
	t.Helper()
	var e map[string]any
	if err := json.Unmarshal(sample(t, name), &e); err != nil {
		t.Fatal(err)
	}
	return e
}

// within goes down through objects.
func within(e map[string]any, path ...string) map[string]any {
	for _, name := range path {
		inner, ok := e[name].(map[string]any)
		if !ok {
			inner = map[string]any{}
			e[name] = inner
		}
		e = inner
	}
	return e
}

// functionURL is the event of a function URL without authentication.
func functionURL(method, path, body string, header map[string]string) map[string]any {
	e := stage.HTTPEvent(method, path, body, header)
	context := within(e, "requestContext")
	context["accountId"] = "anonymous"
	context["domainName"] = "abcdefghijklmnopqrstuvwxyz012345.lambda-url.eu-west-1.on.aws"
	context["domainPrefix"] = "abcdefghijklmnopqrstuvwxyz012345"
	return e
}

// httpFronts are the three ways to the API function.
var httpFronts = map[string]func(method, path, body string, header map[string]string) map[string]any{
	"REST API": stage.RESTEvent, "HTTP API": stage.HTTPEvent, "function URL": functionURL,
}

// auditOf are the audit lines of one invocation, by identifier; one that is
// there twice is an error.
func auditOf(t *testing.T, inv runtimeapi.Invocation) map[int64]stage.Line {
	t.Helper()
	lines := map[int64]stage.Line{}
	for _, l := range pick(parse(t, inv.Logs), stage.Line.IsAudit) {
		n, ok := l.Number("identifier")
		if !ok {
			t.Errorf("identifier of the audit line %v is no JSON number", l)
		}
		if _, twice := lines[int64(n)]; twice {
			t.Errorf("identifier %v has two audit lines", n)
		}
		lines[int64(n)] = l
	}
	return lines
}

// audited is the only audit line of one invocation.
func audited(t *testing.T, about string, inv runtimeapi.Invocation) stage.Line {
	t.Helper()
	lines := auditOf(t, inv)
	if len(lines) != 1 {
		t.Errorf("%s: got %d audit lines, want 1:\n%s", about, len(lines), strings.Join(inv.Logs, "\n"))
	}
	for _, l := range lines {
		return l
	}
	return stage.Line{}
}

// said is all that came out of the function.
func (w *world) said() string {
	var b strings.Builder
	for _, text := range w.function.Logs() {
		b.WriteString(text + "\n")
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, inv := range w.invocations {
		fmt.Fprintf(&b, "%s\n%s\n%s\n%s\n", inv.Payload, inv.ErrorType, inv.ErrorMessage, inv.XRayCause)
	}
	if w.initError != nil {
		b.WriteString(w.initError.Message)
	}
	return b.String()
}

// shows returns the first part of the value, of n bytes, that the text has.
func shows(text, value string, n int) (string, bool) {
	if len(value) <= n {
		return value, value != "" && strings.Contains(text, value)
	}
	for at := 0; at+n <= len(value); at++ {
		if strings.Contains(text, value[at:at+n]) {
			return value[at : at+n], true
		}
	}
	return "", false
}

// clean checks that log lines are whole lines of valid text, without anything
// that a viewer could take for the end of a line or for a command.
func clean(t *testing.T, lines []string) {
	t.Helper()
	for _, text := range lines {
		if !utf8.ValidString(text) {
			t.Errorf("log line %.500q is not valid UTF-8", text)
		}
		if at := strings.IndexFunc(text, func(r rune) bool { return r < ' ' || r == 0x2028 || r == 0x2029 }); at >= 0 {
			t.Errorf("log line %.500q has the control character %q", text, text[at])
		}
	}
}

// merged is a copy of a with b's members.
func merged(a, b map[string]string) map[string]string {
	c := map[string]string{}
	maps.Copy(c, a)
	maps.Copy(c, b)
	return c
}

// header of one member.
func header(name, value string) map[string]string { return map[string]string{name: value} }

// isSuccess reports whether an HTTP status is one.
func isSuccess(status int) bool { return status/100 == http.StatusOK/100 }
