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

// commandLine has this test program be the command, with these words for arguments.
const commandLine = "SEGURA_LOCAL"

func TestMain(m *testing.M) {
	if args, ok := os.LookupEnv(commandLine); ok {
		var compiled map[string]string
		if err := json.Unmarshal([]byte(os.Getenv(fakeSAMBootstraps)), &compiled); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(start(strings.Fields(args), compiled))
	}
	if os.Getenv(fakeSAMMode) != "" {
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

// call runs a command and returns what it wrote.
func call(t *testing.T, stdin string, args ...string) (code int, out, err string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code = command(t.Context(), args, terminal{in: strings.NewReader(stdin), out: &stdout, err: &stderr, bootstraps: bootstraps})
	return code, stdout.String(), stderr.String()
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
		if !strings.Contains(out, " "+sample.File+" ──") || !strings.Contains(out, "\n  "+sample.About+"\n") {
			t.Errorf("%s is missing", sample.File)
		}
		if a := answers[sample.File]; a.Function != stage.FunctionName(sample.Function) || len(a.Document) == 0 {
			t.Errorf("%s: got the answer %+v", sample.File, a)
		}
	}
	for _, want := range []string{
		`EventFunction ← {"identifier": 5, "reason": "CHG0012345"}`,
		"POST /pam/api/mysafe/secretapi/active/5 → 200   inactive → active",
		"POST /pam/api/mysafe/secretapi/active/6 → 200   active, as before",
		"function error Segura.PermanentError",
		"ApiFunction ← POST /segura/api-secrets/enable\n           by arn:aws:sts::123456789012:assumed-role/operations/alice\n",
		"404 Not Found  application/problem+json",
		"took     ",
		fmt.Sprintf("%d samples as they should be, 0 not", len(stage.Samples)),
		"windows 4/5 ──", "reconcile after its end", "windows 5/5 ──", "close the second one",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
	if n := strings.Count(out, `"message": "audit"`); n != 1 {
		t.Errorf("got %d audit lines, want one", n)
	}
	for line := range strings.Lines(out) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > width {
			t.Errorf("a line has %d columns: %s", n, line)
		}
	}
	if strings.Contains(out, "\x1b") {
		t.Error("there is color without a terminal")
	}
	for _, never := range []string{seguratest.DefaultClientSecret, "Bearer ", "IQoJb3JpZ2luX2Vj"} {
		if strings.Contains(out, never) {
			t.Errorf("%q is shown", never)
		}
	}
}

func TestRun_failsWhereASampleIsNotWhatItIsAbout(t *testing.T) {
	wrong, _ := stage.SampleOf("direct-one.json")
	wrong.Want.Results = []string{"5 already_enabled"}
	var out bytes.Buffer
	r := newRunner(terminal{out: &out, bootstraps: bootstraps}, false)

	err := r.samples(t.Context(), []stage.Sample{wrong})

	if err == nil || !strings.Contains(out.String(), "✗ results: got [5 enabled], want [5 already_enabled]") {
		t.Errorf("got %v and\n%s", err, out.String())
	}
}

func TestRun_sendsOneFile(t *testing.T) {
	root, err := stage.Root()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(root, "events", "http-api-one.json")
	for _, args := range [][]string{{"run", file}, {"run", "-event", file}} {
		code, out, _ := call(t, "", args...)
		if code != exitOK || !strings.Contains(out, "http-api-one.json ──") || !strings.Contains(out, "already_enabled") {
			t.Errorf("%q: got %d and\n%s", args, code, out)
		}
	}
}

func TestRun_sendsStandardInputAndShowsAFunctionError(t *testing.T) {
	code, out, _ := call(t, `{"identifiers": [5, 7]}`, "run", "-logs", "-")

	if code != exitOK {
		t.Errorf("got exit code %d: a function error is an answer", code)
	}
	for _, want := range []string{"standard input", "function error Segura.PermanentError", "not_found", `"level":`} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
}

func TestCommand_tellsWhatIsWrong(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, port, _ := net.SplitHostPort(taken.Addr().String())
	table := []struct {
		args []string
		code int
		want string // on standard error
	}{
		{nil, exitUsage, "Usage:"},
		{[]string{"fly"}, exitUsage, `no command "fly"`},
		{[]string{"run", "-fly"}, exitUsage, "-fly"},
		{[]string{"run", "one", "two"}, exitUsage, "too many arguments"},
		{[]string{"serve", "now"}, exitUsage, "too many arguments"},
		{[]string{"run", "-h"}, exitOK, "-event"},
		{[]string{"run", "no/such/file.json"}, exitFailed, "no/such/file.json"},
		{[]string{"run", "-function", "web", "-"}, exitFailed, `"web"`},
		{[]string{"serve", "-port", port}, exitFailed, "another port"},
	}
	for _, row := range table {
		code, _, stderr := call(t, "{}", row.args...)
		if code != row.code || !strings.Contains(stderr, row.want) {
			t.Errorf("%q: got %d and %q, want %d and %q", row.args, code, stderr, row.code, row.want)
		}
	}
	if code, out, _ := call(t, "", "help"); code != exitOK || !strings.Contains(out, "Usage:") {
		t.Errorf("help: got %d and %q", code, out)
	}
}

func TestServe_answersOverHTTPAndEndsCleanly(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	var out, stderr stage.Buffer
	ended := make(chan int)
	go func() {
		ended <- command(ctx, []string{"serve", "-port", "0", "-logs"},
			terminal{in: strings.NewReader(""), out: &out, err: &stderr, bootstraps: bootstraps})
	}()
	address := regexp.MustCompile(`http://127\.0\.0\.1:\d+ `)
	for deadline := time.Now().Add(20 * time.Second); !address.MatchString(out.String()); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not up:\n%s%s", out.String(), stderr.String())
		}
	}
	url := strings.TrimSpace(address.FindString(out.String()))
	table := []struct {
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
		{"GET", "/api-secrets/5/enable", "", 405, `"invalid_request"`},
		{"GET", "/", "", 404, `"invalid_request"`},
	}
	for _, row := range table {
		status, body := request(t, row.method, url+row.path, row.body)
		if status != row.status || !strings.Contains(body, row.want) {
			t.Errorf("%s %s %s: got %d %s, want %d with %s", row.method, row.path, row.body, status, body, row.status, row.want)
		}
	}

	interrupt()

	if code := <-ended; code != exitOK || stderr.String() != "" {
		t.Errorf("got exit code %d, errors %q", code, stderr.String())
	}
	for _, want := range []string{
		"5        inactive\n", "100-109  inactive\n", "curl -X POST " + url + "/api-secrets/5/enable\n", "/_local/reset",
		"POST /windows  201", "GET /windows/none  404  window_not_found",
		"POST /api-secrets/5/enable  200  5 enabled", "POST /api-secrets/7/enable  404  7 failed not_found", "no process is left",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), seguratest.DefaultClientSecret) {
		t.Error("the client secret is shown")
	}
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

func TestPage_hidesConfidentialValuesAndPaintsOnlyOnATerminal(t *testing.T) {
	var out bytes.Buffer
	p := &page{out: &out, confidential: func() map[string]string { return map[string]string{"hush": "the client secret"} }}
	p.field("out", p.bad("a hush b"))
	p.color = true
	p.print(p.bad("red"))

	if got, want := out.String(), "  out      a [the client secret] b\n\x1b[31mred\x1b[0m"; got != want {
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
		for line := range strings.SplitSeq(layOut([]byte(document)), "\n") {
			if len(line) > lineWidth+30 {
				t.Errorf("line of %d: %s", len(line), line)
			}
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
		`{"detail-type":"Scheduled Event","source":"aws.scheduler","resources":["arn:3"],"detail":"{}"}`:                                                                                 `Scheduled Event from aws.scheduler, arn:3` + "\n" + `detail "{}"`,
		`{"detail-type":"Bare","source":"x"}`: "Bare from x\ndetail ",
		`{"identifier":5}`:                    `{"identifier": 5}`,
	} {
		if got := gist([]byte(event)); got != want {
			t.Errorf("%s: got %q, want %q", event, got, want)
		}
	}
}
