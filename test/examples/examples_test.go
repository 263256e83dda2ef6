// Package examples runs what stands in the folder examples and needs nothing but Go,
// a shell and curl, and what needs Python where that is to be had.
package examples

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"segura-enable/internal/apisecret"
	"segura-enable/internal/window"
)

const (
	root   = "../.."
	region = "eu-west-1"
	body   = `{"identifiers": [5, 7], "reason": "CHG0012345"}`
)

var credentials = aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", SessionToken: "IQoJb3JpZ2luX2VjEXAMPLE=="}

// gateway answers as API Gateway does, but that it always has the same answer.
type gateway struct {
	*httptest.Server
	status int
	answer string

	requests []string // what it understood of each request, or what was wrong with it
	commands []string // the command lines of this machine, while it answered
}

func newGateway(t *testing.T, status int, answer string) *gateway {
	g := &gateway{status: status, answer: answer}
	g.Server = httptest.NewServer(g)
	t.Cleanup(g.Close)
	return g
}

func (g *gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	content, _ := io.ReadAll(r.Body)
	if err := verify(r, content); err != nil {
		g.requests = append(g.requests, err.Error())
		w.WriteHeader(http.StatusForbidden)
		return
	}
	g.requests = append(g.requests, fmt.Sprintf("%s %s %s %s", r.Method, r.URL.Path, r.Header.Get("Content-Type"), content))
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range files {
		if line, err := os.ReadFile(file); err == nil {
			g.commands = append(g.commands, string(bytes.ReplaceAll(line, []byte{0}, []byte(" "))))
		}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(g.status)
	_, _ = io.WriteString(w, g.answer)
}

var authorization = regexp.MustCompile(`^AWS4-HMAC-SHA256 Credential=\S+, ?SignedHeaders=([a-z0-9;-]+), ?Signature=([0-9a-f]{64})$`)

// verify signs the request again, with the AWS SDK, and compares.
func verify(r *http.Request, content []byte) error {
	found := authorization.FindStringSubmatch(r.Header.Get("Authorization"))
	if found == nil {
		return fmt.Errorf("it has no signature: %q", r.Header.Get("Authorization"))
	}
	signed := strings.Split(found[1], ";")
	again, err := http.NewRequestWithContext(r.Context(), r.Method, "http://"+r.Host+r.RequestURI, http.NoBody)
	if err != nil {
		return err
	}
	for _, name := range signed {
		if values := r.Header.Values(name); len(values) > 0 {
			again.Header[http.CanonicalHeaderKey(name)] = values
		}
	}
	if slices.Contains(signed, "content-length") {
		again.ContentLength = r.ContentLength
	}
	at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	if err != nil {
		return err
	}
	sum := sha256.Sum256(content)
	if err := v4.NewSigner().SignHTTP(r.Context(), credentials, again, hex.EncodeToString(sum[:]), "execute-api", region, at); err != nil {
		return err
	}
	if want := authorization.FindStringSubmatch(again.Header.Get("Authorization")); found[1] != want[1] || found[2] != want[2] {
		return fmt.Errorf("it signs %s with %s, want %s with %s", found[1], found[2], want[1], want[2])
	}
	return nil
}

// call runs a caller and returns the exit code and what it wrote.
func call(t *testing.T, g *gateway, program ...string) (code int, out string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), program[0], append(program[1:], "/prod/api-secrets/enable", body)...)
	command.Dir = root
	command.Env = append(os.Environ(), "API_URL="+g.URL, "AWS_REGION="+region, "AWS_DEFAULT_REGION="+region, "NO_PROXY=127.0.0.1",
		"AWS_ACCESS_KEY_ID="+credentials.AccessKeyID, "AWS_SECRET_ACCESS_KEY="+credentials.SecretAccessKey, "AWS_SESSION_TOKEN="+credentials.SessionToken)
	text, err := command.CombinedOutput()
	if command.ProcessState == nil {
		t.Fatal(err)
	}
	return command.ProcessState.ExitCode(), string(text)
}

// requireSigned expects one request that is signed, with nothing of it in the list of processes.
func requireSigned(t *testing.T, g *gateway) {
	t.Helper()
	if want := "POST /prod/api-secrets/enable application/json " + body; len(g.requests) != 1 || g.requests[0] != want {
		t.Errorf("got the requests %q, want %q", g.requests, want)
	}
	if runtime.GOOS == "linux" && !slices.ContainsFunc(g.commands, func(line string) bool { return strings.Contains(line, "/prod/api-secrets/enable") }) {
		t.Error("the caller is not in the list of processes: nothing was looked at")
	}
	for _, line := range g.commands {
		if strings.Contains(line, credentials.SecretAccessKey) || strings.Contains(line, credentials.SessionToken) {
			t.Errorf("a credential is in the list of processes: %s", line)
		}
	}
}

const partly = `{"outcome": "partially_succeeded", "results": [{"identifier": 5, "outcome": "enabled"},
	{"identifier": 7, "outcome": "failed", "error": {"code": "rate_limited", "retryable": true}}]}`

const problem = `{"code": "not_found", "retryable": false, "detail": "…"}`

func TestShell_signs(t *testing.T) {
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Skip("curl is not here")
	}
	// curl soon blanks some of its arguments in the list of processes, but not at once.
	folder := t.TempDir()
	script := fmt.Sprintf("#!/bin/sh\nprintf '%%s\\n' \"$@\" >'%s/arguments'\nexec '%s' \"$@\"\n", folder, curl)
	if err := os.WriteFile(filepath.Join(folder, "curl"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", folder+string(filepath.ListSeparator)+os.Getenv("PATH"))
	g := newGateway(t, http.StatusOK, `{"outcome": "succeeded"}`)

	code, out := call(t, g, "sh", "examples/call.sh")

	arguments, err := os.ReadFile(filepath.Join(folder, "arguments"))
	if err != nil {
		t.Fatal(err)
	}
	g.commands = append(g.commands, string(arguments))
	requireSigned(t, g)
	if code != 0 || out != `{"outcome": "succeeded"}` {
		t.Errorf("got %d and %s", code, out)
	}
}

func TestGo_signsAndTellsWhatMayBeRepeated(t *testing.T) {
	program := filepath.Join(t.TempDir(), "call")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, "./examples/call")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	requireCodes(t, program)
}

// The virtual environment is make check-template's.
func TestPython_signsAndTellsWhatMayBeRepeated(t *testing.T) {
	python, err := filepath.Abs(filepath.Join(root, ".venv", "bin", "python"))
	if err == nil {
		_, err = os.Stat(python)
	}
	if err != nil {
		t.Skip("there is no virtual environment with boto3 here: make check-template makes it, and runs this")
	}
	requireCodes(t, python, "examples/call.py")
}

func requireCodes(t *testing.T, program ...string) {
	t.Helper()
	for _, row := range []struct {
		status int
		answer string
		code   int
	}{
		{http.StatusOK, `{"outcome": "succeeded", "results": []}`, 0},
		{http.StatusMultiStatus, partly, 75},
		{http.StatusNotFound, problem, 1},
	} {
		g := newGateway(t, row.status, row.answer)

		code, out := call(t, g, program...)

		requireSigned(t, g)
		if code != row.code {
			t.Errorf("%d %s: got exit code %d, want %d: %s", row.status, row.answer, code, row.code, out)
		}
	}
}

func TestVerify_refusesWhatIsNotWhatWasSigned(t *testing.T) {
	g := newGateway(t, http.StatusOK, `{}`)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.URL+"/other", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte("another body"))
	if err := v4.NewSigner().SignHTTP(t.Context(), credentials, request, hex.EncodeToString(sum[:]), "execute-api", region, time.Now()); err != nil {
		t.Fatal(err)
	}

	reply, err := g.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Body.Close()

	if reply.StatusCode != http.StatusForbidden {
		t.Errorf("got %d, want that another body is refused", reply.StatusCode)
	}
}

type state struct {
	Arguments    struct{ Payload map[string]any }
	Retry, Catch []struct{ ErrorEquals []string }
}

func TestStepFunctions_asksAndCatchesWhatThereIs(t *testing.T) {
	var machine struct{ States map[string]state }
	readJSON(t, "examples/step-functions.asl.json", &machine)
	var facts struct {
		ErrorTypes []string `json:"error_types"`
	}
	readJSON(t, "tools/sam/facts.json", &facts)
	task := machine.States["EnableApiSecrets"]

	payload, err := json.Marshal(task.Arguments.Payload)
	if err != nil {
		t.Fatal(err)
	}
	form := apisecret.Form{Fields: []apisecret.Field{apisecret.FieldIdentifiers, apisecret.FieldReason}, MaxIdentifiers: apisecret.MaxIdentifiers}
	if _, err := form.Read(payload); err != nil {
		t.Errorf("%s: %v", payload, err)
	}
	caught := map[string]bool{}
	for _, one := range slices.Concat(task.Retry, task.Catch) {
		for _, name := range one.ErrorEquals {
			if caught[name] = true; strings.HasPrefix(name, "Segura.") && !slices.Contains(facts.ErrorTypes, name) {
				t.Errorf("there is no error type %s", name)
			}
		}
	}
	if len(task.Retry) == 0 || !caught["Segura.TransientError"] || !caught["Segura.PermanentError"] {
		t.Errorf("got %v, want both kinds of failures", caught)
	}
}

func TestPipelineWindow_asksForAWindow(t *testing.T) {
	content, err := os.ReadFile(filepath.Join(root, "examples", "pipeline-window.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`InputTemplate: !Sub '(.+)'`).FindSubmatch(content)
	if found == nil {
		t.Fatal("there is no InputTemplate")
	}
	event := regexp.MustCompile(`<\w+>`).ReplaceAll(bytes.ReplaceAll(found[1], []byte("${Identifiers}"), []byte("5,7")), []byte("deploy-1"))

	var command struct {
		Window json.RawMessage
		Key    string `json:"idempotency_key"`
	}
	err = json.Unmarshal(event, &command)
	if err == nil {
		_, err = window.ReadRequest(window.ToOpen, command.Window, "", 1000)
	}
	if err == nil {
		err = window.CheckKey(command.Key)
	}
	if err != nil {
		t.Errorf("%s: %v", event, err)
	}
}

func readJSON(t *testing.T, file string, to any) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(root, file))
	if err == nil {
		err = json.Unmarshal(content, to)
	}
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}
