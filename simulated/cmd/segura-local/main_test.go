package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"segura-enable/simulated/seguratest"
	"segura-enable/simulated/stage"
)

var bootstraps map[string]string

// What this test program is told where it is another program.
const (
	commandLine = "SEGURA_LOCAL" // it is the command, with these words for arguments
	fakeSAMMode = "FAKE_SAM"     // it is a SAM CLI: see fakeSAM
	compiled    = "COMPILED"     // the bootstraps, as JSON
)

func TestMain(m *testing.M) {
	args, isCommand := os.LookupEnv(commandLine)
	_ = json.Unmarshal([]byte(os.Getenv(compiled)), &bootstraps)
	switch {
	case isCommand:
		os.Exit(start(strings.Fields(args), bootstraps))
	case os.Getenv(fakeSAMMode) != "":
		if err := fakeSAM(os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	dir, err := os.MkdirTemp("", "segura-local-test")
	if err == nil {
		bootstraps, err = stage.Build(context.Background(), dir, stage.BuildOptions{}, stage.API, stage.Event, stage.Window)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

func self(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func encoded(t *testing.T) string {
	t.Helper()
	text, err := json.Marshal(bootstraps)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// call runs a command and returns what it wrote.
func call(t *testing.T, stdin string, args ...string) (code int, out, err string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code = command(t.Context(), args, terminal{in: strings.NewReader(stdin), out: &stdout, err: &stderr, bootstraps: bootstraps})
	return code, stdout.String(), stderr.String()
}

// background runs a command until somebody calls end, and returns as soon as it has
// written what the pattern finds.
func background(t *testing.T, pattern string, args ...string) (found string, out *stage.Buffer, end func()) {
	t.Helper()
	ctx, interrupt := context.WithCancel(t.Context())
	out = &stage.Buffer{}
	var stderr stage.Buffer
	ended := make(chan int)
	go func() { ended <- command(ctx, args, terminal{out: out, err: &stderr, bootstraps: bootstraps}) }()
	wanted := regexp.MustCompile(pattern)
	for deadline := time.Now().Add(20 * time.Second); !wanted.MatchString(out.String()); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not up:\n%s%s", out.String(), stderr.String())
		}
	}
	return wanted.FindStringSubmatch(out.String())[1], out, func() {
		interrupt()
		if code := <-ended; code != exitOK || stderr.String() != "" {
			t.Errorf("got exit code %d, errors %q", code, stderr.String())
		}
	}
}

// shows holds what was written against what has to be in it, and what never may.
func shows(t *testing.T, out string, want ...string) {
	t.Helper()
	for _, text := range want {
		if !strings.Contains(out, text) {
			t.Errorf("%q is missing in\n%s", text, out)
		}
	}
	for _, never := range []string{seguratest.DefaultClientSecret, "Bearer ", "IQoJb3JpZ2luX2Vj", "\x1b"} {
		if strings.Contains(out, never) {
			t.Errorf("%q is shown", never)
		}
	}
}

func TestRun_showsEachSampleAndWhatComesOfIt(t *testing.T) {
	file := filepath.Join(t.TempDir(), "answers.json")

	code, out, stderr := call(t, "", "run", "-answers", file)

	if code != exitOK || stderr != "" {
		t.Errorf("got exit code %d, errors %q", code, stderr)
	}
	written, err := os.ReadFile(file)
	var answers map[string]answer
	if err != nil || json.Unmarshal(written, &answers) != nil {
		t.Errorf("answers: got %s, %v", written, err)
	}
	for _, sample := range stage.Samples {
		shows(t, out, " "+sample.File+" ──", "\n  "+sample.About+"\n")
		if a := answers[sample.File]; a.Function != stage.FunctionName(sample.Function) || len(a.Document) == 0 {
			t.Errorf("%s: got the answer %+v", sample.File, a)
		}
	}
	shows(t, out,
		`EventFunction ← {"identifier": 5, "reason": "CHG0012345"}`,
		"POST /pam/api/mysafe/secretapi/active/5 → 200   inactive → active",
		"POST /pam/api/mysafe/secretapi/active/6 → 200   active, as before",
		"function error Segura.PermanentError",
		"ApiFunction ← POST /segura/api-secrets/enable\n           by arn:aws:sts::123456789012:assumed-role/operations/alice\n",
		"404 Not Found  application/problem+json",
		"took     ",
		fmt.Sprintf("%d samples as they should be, 0 not", len(stage.Samples)),
		"windows 4/5 ──", "reconcile after its end", "windows 5/5 ──", "close the second one",
	)
	if n := strings.Count(out, `"message": "audit"`); n != 1 {
		t.Errorf("got %d audit lines, want one", n)
	}
	for line := range strings.Lines(out) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > width {
			t.Errorf("a line has %d columns: %s", n, line)
		}
	}
}

func TestRun_sendsOneEventWhoseFunctionErrorIsAnAnswer(t *testing.T) {
	const file = "../../../events/http-api-one.json"
	if code, out, _ := call(t, "", "run", file); code != exitOK || !strings.Contains(out, "http-api-one.json ──") || !strings.Contains(out, "already_enabled") {
		t.Errorf("a file: got %d and\n%s", code, out)
	}
	code, out, _ := call(t, `{"identifiers": [5, 7]}`, "run", "-logs", "-")
	if code != exitOK {
		t.Errorf("standard input: got exit code %d", code)
	}
	shows(t, out, "standard input", "function error Segura.PermanentError", "not_found", `"level":`)
}

func TestCommand_tellsWhatIsWrong(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, port, _ := net.SplitHostPort(taken.Addr().String())
	for _, row := range []struct {
		args string
		code int
		want string // on standard error
	}{
		{"", exitUsage, "Usage:"},
		{"fly", exitUsage, `no command "fly"`},
		{"run -fly", exitUsage, "-fly"},
		{"run one two", exitUsage, "too many arguments"},
		{"serve now", exitUsage, "too many arguments"},
		{"run -h", exitOK, "-answers"},
		{"run no/such/file.json", exitFailed, "no/such/file.json"},
		{"serve -port " + port, exitFailed, "another port"},
		{"sam -event events/unknown.json", exitFailed, "none of the samples"},
	} {
		code, _, stderr := call(t, "{}", strings.Fields(row.args)...)
		if code != row.code || !strings.Contains(stderr, row.want) {
			t.Errorf("%q: got %d and %q, want %d and %q", row.args, code, stderr, row.code, row.want)
		}
	}
	if code, out, _ := call(t, "", "help"); code != exitOK || !strings.Contains(out, "Usage:") {
		t.Errorf("help: got %d and %q", code, out)
	}
}

func TestServe_answersOverHTTPAndEndsCleanly(t *testing.T) {
	url, out, end := background(t, `(http://127\.0\.0\.1:\d+) `, "serve", "-port", "0")
	for _, row := range []struct {
		method, path, body string
		status             int
		want               string // in the body
	}{
		{"GET", "/_local/api-secrets", "", 200, `{"identifier":5,"state":"inactive"}`},
		{"POST", "/api-secrets/5/enable", "", 200, `{"identifier":5,"outcome":"enabled","attempts":1}`},
		{"POST", "/api-secrets/5/enable", `{"reason": "again"}`, 200, `"already_enabled"`},
		{"GET", "/_local/api-secrets", "", 200, `{"identifier":5,"state":"active"}`},
		{"POST", "/api-secrets/enable", `{"identifiers": [5, 7]}`, 207, `"partially_succeeded"`},
		{"POST", "/api-secrets/7/enable", "", 404, `"not_found"`},
		{"POST", "/windows", `{"identifiers": [100], "for": "PT1H"}`, 201, `"state":"open"`},
		{"GET", "/windows?state=open", "", 200, `{"identifier":100,"state":"enabled"`},
		{"GET", "/windows/none", "", 404, `"window_not_found"`},
		{"POST", "/_local/reset", "", 200, `{"identifier":5,"state":"inactive"}`},
		{"GET", "/_local/reset", "", 405, "Method Not Allowed"},
		{"GET", "/", "", 404, `"invalid_request"`},
	} {
		status, body := request(t, row.method, url+row.path, row.body)
		if status != row.status || !strings.Contains(body, row.want) {
			t.Errorf("%s %s %s: got %d %s, want %d with %s", row.method, row.path, row.body, status, body, row.status, row.want)
		}
	}

	end()

	shows(t, strings.ReplaceAll(out.String(), url, "URL"),
		"           WindowFunction, ready in ", "5        inactive\n", "100-109  inactive\n", "curl -X POST URL/api-secrets/5/enable\n", "/_local/reset",
		"POST /windows  201", "GET /windows/none  404  window_not_found",
		"POST /api-secrets/5/enable  200  5 enabled", "POST /api-secrets/7/enable  404  7 failed not_found", "no process is left",
	)
}

func request(t *testing.T, method, url, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(response.Body)
	return response.StatusCode, string(text)
}

func TestPage_paintsOnlyOnATerminal(t *testing.T) {
	var out bytes.Buffer
	p := &page{out: &out}
	p.field("out", p.bad("black")+"\nlines")
	p.color = true
	p.print(p.bad("red"))

	if got, want := out.String(), "  out      black\n           lines\n\x1b[31mred\x1b[0m"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestLayOut_changesNothingButTheSpace(t *testing.T) {
	long := strings.Repeat(`{"a": [1, 2, {"b": "x, y: z \" \\"}], "c\n": null, "d": {}, "e": [], "f": true},`, 6)
	for _, document := range []string{`{"a":1,"b":[1,2]}`, `[]`, `"text"`, `[` + strings.Repeat("123456,", 60) + `7]`, `[` + strings.TrimSuffix(long, ",") + `]`} {
		var want, got bytes.Buffer
		if err := errors.Join(json.Compact(&want, []byte(document)), json.Compact(&got, []byte(layOut([]byte(document))))); err != nil {
			t.Errorf("%s: %v", document, err)
		}
		if want.String() != got.String() {
			t.Errorf("got %s, want %s", got.String(), want.String())
		}
	}
}

func TestLayOut_shortensWhatIsTooLongAndCannotSteerTheTerminal(t *testing.T) {
	items := strings.Repeat(`{"identifier": 12345, "outcome": "already_enabled", "attempts": 1},`, 1000)
	got := layOut([]byte(`[` + items + `1]`))
	if lines := strings.Count(got, "\n"); lines > maxLines+1 || !strings.Contains(got, "more lines") {
		t.Errorf("got %d lines", lines)
	}
	if got := layOut([]byte("no JSON \x1b[2J")); got != "no JSON �[2J" {
		t.Errorf("got %q", got)
	}
}

func TestGist_leavesHeadersOut(t *testing.T) {
	for event, want := range map[string]string{
		`{"requestContext":{"identity":{"userArn":"arn:1"}},"httpMethod":"POST","path":"/a","headers":{"Authorization":"hush"},"body":"eyJhIjoxfQ==","isBase64Encoded":true}`:            "POST /a\nby arn:1\n{\"a\": 1}",
		`{"requestContext":{"http":{"method":"POST"},"authorizer":{"iam":{"userArn":"arn:2"}}},"rawPath":"/b","headers":{"authorization":"hush"},"body":"text","isBase64Encoded":false}`: "POST /b\nby arn:2\ntext",
		`{"requestContext":{"authorizer":"of another form","identity":{"userArn":"arn:4"}},"httpMethod":"POST","path":"/c"}`:                                                             "POST /c\nby arn:4",
		`{"detail-type":"Scheduled Event","source":"aws.scheduler","resources":["arn:3"],"detail":"{}"}`:                                                                                 `Scheduled Event from aws.scheduler, arn:3` + "\n" + `detail "{}"`,
		`{"detail-type":"Bare","source":"x"}`: "Bare from x\ndetail ",
		`{"identifier":5}`:                    `{"identifier": 5}`,
		`no JSON`:                             `no JSON`,
	} {
		if got := gist([]byte(event)); got != want {
			t.Errorf("%s: got %q, want %q", event, got, want)
		}
	}
}
