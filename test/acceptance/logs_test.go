package acceptance

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"segura-enable/simulated/runtimeapi"
	"segura-enable/simulated/seguratest"
	"segura-enable/simulated/stage"
)

func TestLogLevel_auditAndMetricLinesPassAnyOfThem(t *testing.T) {
	t.Parallel()
	levels := []string{"TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"} // Lambda's, from the lowest to the highest
	for _, configured := range append([]string{"", "unheard of"}, levels...) {
		t.Run(configured, func(t *testing.T) {
			t.Parallel()
			for _, function := range []string{event, api} {
				w := start(t, setup{function: function, segura: anyIdentifier, env: map[string]string{"AWS_LAMBDA_LOG_LEVEL": configured}})
				if function == event {
					w.enable(5, 7)
				} else {
					w.http(stage.HTTPEvent, "/api-secrets/enable", list(5, 7))
				}
				kinds := map[string]int{}
				for _, l := range lines(t, w.function.Logs(), func(stage.Line) bool { return true }) {
					kind := fmt.Sprint("audit ", l.IsAudit(), ", metrics ", l.IsMetric())
					kinds[kind]++
					dropped := slices.Index(levels, l.Text("level")) < slices.Index(levels, configured)
					if dropped && (configured != "FATAL" || l.IsAudit() || l.IsMetric()) {
						t.Errorf("%s: Lambda drops the line %v at level %s", function, l, configured)
					}
				}
				if kinds["audit true, metrics false"] != 2 || kinds["audit false, metrics true"] != 2 {
					t.Errorf("%s: got %v, want 2 audit and 2 metric lines", function, kinds)
				}
			}
		})
	}
}

// forgeries are texts that would forge a line or a field if they were written as
// they are.
var forgeries = []string{
	"x\n{\"timestamp\":\"2026-11-21T00:00:00Z\",\"level\":\"INFO\",\"message\":\"audit\",\"identifier\":1,\"outcome\":\"enabled\",\"attempts\":1}",
	"x\r\nEND RequestId: 00000000-0000-4000-8000-000000000000", `","outcome":"enabled","identifier":1,"x":"`, `\",\"outcome\":\"enabled\"`, `"}` + "\n" + `{"_aws":{}}`,
	" outcome=enabled identifier=1 ", "=", `"`, `\`, "\x1b[2J\x1b[31mred", "\x00\x01\x08\x0b\x0c\x0e\x1f", "\x7f", "\u0085\u2028\u2029", "\u202e\ufeff\ufffd", "😀\U0010ffff",
	"${jndi:ldap://example.com}", "%s%d%n%!v(MISSING)", "</script><!--",
}

// A caller writes the reason, and an upstream its message and its number of the request.
func TestLogs_nothingFromOutsideForgesALineOrAField(t *testing.T) {
	t.Parallel()
	for _, textLogs := range []bool{false, true} {
		w := start(t, setup{segura: anyIdentifier, textLogs: textLogs, env: map[string]string{"SEGURA_MAX_ATTEMPTS": "1"}})
		logged := func(text string) []string {
			reply := fmt.Sprintf(`{"message":%[1]s,"request_id":%[1]s}`, encoded(t, "x "+text))
			w.segura.Fail(seguratest.Match{Kind: seguratest.KindEnable}, seguratest.ReplyJSON(500, reply).WithHeader("X-Kong-Request-Id", ""), 1)
			return w.invoke(`{"identifier":5,"reason":` + encoded(t, "x "+text) + `}`).Logs
		}
		plain := logged("x")
		for _, text := range forgeries {
			got := logged(text)
			if len(got) != 4 || fields(got[:2]) != fields(plain[:2]) {
				t.Errorf("%q: got %.2000q, want an audit line, one about the error and two of metrics, the former with the fields of %.1000q", text, got, plain)
			}
			for _, one := range got {
				if !utf8.ValidString(one) || strings.ContainsFunc(one, func(r rune) bool { return r < ' ' || r == 0x7f || r == 0x2028 || r == 0x2029 }) {
					t.Errorf("%q: log line %q has characters that a viewer could take for the end of a line or for a command", text, one)
				}
			}
			if !textLogs {
				if audit := lines(t, got, stage.Line.IsAudit); len(audit) != 1 || audit[0].Text("reason") != "x "+text || audit[0]["identifier"] != 5.0 {
					t.Errorf("%q: got the audit lines %v", text, audit)
				}
			}
		}
	}
}

var quotedText = regexp.MustCompile(`"(\\.|[^"\\])*"(:?)`)

// fields are the names of the fields of lines, in order; of JSON and of text.
func fields(lines []string) string {
	var names []string
	for _, text := range lines {
		text = quotedText.ReplaceAllStringFunc(text, func(quoted string) string {
			if strings.HasSuffix(quoted, ":") {
				return " " + strings.Trim(quoted, `":`) + "="
			}
			return "q"
		})
		for _, field := range strings.Fields(text) {
			name, _, is := strings.Cut(field, "=")
			if is && name != "request_id" && name != "upstream_request_id" { // which has what is left of it, if anything
				names = append(names, name)
			}
		}
	}
	return strings.Join(names, " ")
}

// The runtime library prints the error that a function returns, as a line that
// is no JSON and holds the whole document.
func TestLogs_aFunctionErrorLeavesOneLineWithoutTheDocument(t *testing.T) {
	t.Parallel()
	w := start(t, setup{segura: anyIdentifier})
	for payload, kind := range map[string]string{list(5, 7, 8): "Segura.PermanentError", `{`: "Segura.InvalidRequest", `{"identifier":0}`: "Segura.InvalidRequest"} {
		a := w.invoke(payload)
		about := lines(t, a.Logs, func(l stage.Line) bool { return !l.IsAudit() && !l.IsMetric() })
		if len(about) != 1 || about[0].Text("level") != "ERROR" || !strings.Contains(fmt.Sprint(about), kind) || strings.Contains(fmt.Sprint(about), "requested") {
			t.Errorf("%s: got %v, want one line about the %s, without its document", payload, about, kind)
		}
	}
}

// A client context that cannot be read fails an invocation before the function
// sees it. What the library logs then cannot know the request's id.
func TestLogs_theLibrarysOwnErrorsAreJSONToo(t *testing.T) {
	t.Parallel()
	w := start(t, setup{segura: anyIdentifier})
	for _, clientContext := range []string{`x`, `{"client":5}`, `{"custom":"","client":{"app_title":5}}`, "\"},{\"level\":\"INFO\"}", "\"" + strings.Repeat("x", 500)} {
		inv, err := w.function.Invoke(context.Background(), []byte(`{"identifier":5}`), runtimeapi.WithClientContext(clientContext))
		if err != nil || !inv.FunctionError || strings.HasPrefix(inv.ErrorType, "Runtime.") {
			t.Errorf("client context %q: got %+v, %v; want an error of the library's", clientContext, inv, err)
		}
		if got := lines(t, inv.Logs, func(stage.Line) bool { return true }); len(got) != 1 || got[0].Text("level") != "ERROR" || strings.Contains(inv.Logs[0], "app_title") {
			t.Errorf("client context %q: got the lines %q, want one", clientContext, inv.Logs)
		}
	}
	w.enables("afterwards", 5, "enabled, attempts 1")
}
