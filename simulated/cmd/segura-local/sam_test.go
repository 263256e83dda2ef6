package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"segura-enable/simulated/runtimeapi"
	"segura-enable/simulated/seguratest"
	"segura-enable/simulated/stage"
)

// What the fake SAM CLI, which is this test program again, is told.
const (
	fakeSAMMode       = "FAKE_SAM"            // what it does: see fakeSAM
	fakeSAMBootstraps = "FAKE_SAM_BOOTSTRAPS" // the compiled functions, as JSON
	fakeSAMNotes      = "FAKE_SAM_NOTES"      // a folder to write down in what it was given
)

// fakeSAM runs the compiled functions as sam local would, without containers.
func fakeSAM(args []string) error {
	flags := map[string]string{}
	for i, arg := range args[:len(args)-1] {
		if strings.HasPrefix(arg, "--") {
			flags[arg] = args[i+1]
		}
	}
	if err := note(args, flags["--env-vars"]); err != nil {
		return err
	}
	switch os.Getenv(fakeSAMMode) {
	case "broken":
		return errors.New("there is no engine")
	case "silent":
		return nil
	case "wrong":
		_, err := os.Stdout.WriteString(`{"outcome": "succeeded", "results": []}`)
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if os.Getenv(fakeSAMMode) == "hanging" {
		<-ctx.Done()
		return ctx.Err()
	}
	switch args[1] {
	case "invoke":
		return fakeInvoke(ctx, args[2], flags)
	case "start-api":
		return fakeAPI(ctx, flags)
	default:
		return fmt.Errorf("no command %q", args[1])
	}
}

// note writes down what the fake was given. Without a folder that its caller made
// for it, it would be the working folder.
func note(args []string, variables string) error {
	if !filepath.IsAbs(os.Getenv(fakeSAMNotes)) {
		return errors.New(fakeSAMNotes + " names no folder for the notes")
	}
	document, err := os.ReadFile(variables)
	if err != nil {
		return err
	}
	name := fmt.Sprintf("%d", os.Getpid())
	text := strings.Join(args, " ") + "\n" + string(document) + "\n" + strings.Join(os.Environ(), "\n")
	return os.WriteFile(filepath.Join(os.Getenv(fakeSAMNotes), name), []byte(text), 0o600)
}

// fakeFunction starts a function for one event.
func fakeFunction(ctx context.Context, name string, event []byte, flags map[string]string) (inv runtimeapi.Invocation, err error) {
	var bootstraps map[string]string
	var variables struct{ Parameters map[string]string }
	document, err := os.ReadFile(flags["--env-vars"])
	if err == nil {
		err = json.Unmarshal(document, &variables)
	}
	if err == nil {
		err = json.Unmarshal([]byte(os.Getenv(fakeSAMBootstraps)), &bootstraps)
	}
	if err != nil {
		return inv, err
	}
	bootstrap := bootstraps[stage.API]
	if name == stage.FunctionName(stage.Event) {
		bootstrap = bootstraps[stage.Event]
	}
	f, err := runtimeapi.Start(ctx, runtimeapi.Options{
		Bootstrap: bootstrap, FunctionName: name, Env: variables.Parameters, Timeout: time.Minute, Output: os.Stderr,
	})
	if err != nil {
		return inv, err
	}
	defer func() { _ = f.Close() }()
	return f.Invoke(ctx, event)
}

func fakeInvoke(ctx context.Context, name string, flags map[string]string) error {
	event, err := os.ReadFile(flags["--event"])
	if err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, started+"1 Version: $LATEST")
	inv, err := fakeFunction(ctx, name, event, flags)
	if err == nil && os.Getenv(fakeSAMMode) != "forgetful" {
		_, err = os.Stdout.Write(append(inv.Payload, '\n'))
	}
	return err
}

func fakeAPI(ctx context.Context, flags map[string]string) error {
	gateway := &stage.Gateway{Invoke: func(r *http.Request, event []byte) (stage.Exchange, error) {
		inv, err := fakeFunction(r.Context(), stage.FunctionName(stage.API), event, flags)
		return stage.Exchange{Function: stage.API, Invocation: inv}, err
	}}
	server := &http.Server{Addr: net.JoinHostPort(flags["--host"], flags["--port"]), Handler: gateway}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	_ = server.ListenAndServe()
	return ctx.Err()
}

// callSAM runs the subcommand with the fake, and returns what that noted too.
func callSAM(ctx context.Context, t *testing.T, mode string, more ...string) (code int, out, stderr string, notes []string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	paths, err := json.Marshal(bootstraps)
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	t.Setenv(fakeSAMMode, mode)
	t.Setenv(fakeSAMBootstraps, string(paths))
	t.Setenv(fakeSAMNotes, folder)
	t.Setenv("GORACE", "atexit_sleep_ms=0") // the fake need not wait a second at its end for others' races
	var stdout, errors bytes.Buffer
	args := append([]string{"sam", "-sam", self, "-name", "localhost", "-gateway", "127.0.0.1", "-about", "an image"}, more...)
	args = append(args, "--", "--template-file", "template.yaml", "--skip-pull-image")
	code = command(ctx, args, terminal{out: &stdout, err: &errors})
	files, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(filepath.Join(folder, file.Name()))
		if err != nil {
			t.Fatal(err)
		}
		notes = append(notes, string(text))
		pid, err := strconv.Atoi(file.Name())
		if err == nil && syscall.Kill(pid, 0) == nil {
			t.Errorf("process %d is left: %s", pid, text)
		}
	}
	return code, stdout.String(), errors.String(), notes
}

func TestSAM_sendsEverySampleAndRequestsToo(t *testing.T) {
	t.Setenv("AWS_PROFILE", "mine")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "mine/own")
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:9")
	t.Setenv("SSL_CERT_DIR", "/etc/ssl/certs")

	samples, _ := samplesOf("")
	code, out, stderr, notes := callSAM(t.Context(), t, "fine")

	if code != exitOK || stderr != "" {
		t.Fatalf("got exit code %d, errors %q and\n%s", code, stderr, out)
	}
	for _, want := range []string{
		fmt.Sprintf("%d samples as they should be, 0 not", len(samples)),
		fmt.Sprintf("%d samples as they should be, 0 not", len(apiRequests)),
		"function error Segura.PermanentError", "image    an image",
		"POST /api-secrets/5/enable ──", "as rest-one.json", "207 Multi-Status",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
	for _, sample := range samples {
		called := func(text string) bool {
			return strings.HasPrefix(text, "local invoke "+stage.FunctionName(sample.Function)+" --event ") &&
				strings.Contains(text, "/events/"+sample.File+" --template-file template.yaml --skip-pull-image --env-vars ") &&
				strings.Contains(text, " --add-host localhost:127.0.0.1\n")
		}
		if !slices.ContainsFunc(notes, called) {
			t.Errorf("%s was not sent as it has to be", sample.File)
		}
	}
	for _, text := range notes {
		for _, want := range []string{
			`"SEGURA_SECRET_ID": "` + stage.SecretName + `"`, `"AWS_ENDPOINT_URL_SECRETS_MANAGER": "http://localhost:`,
			"AWS_SECRET_ACCESS_KEY=" + runtimeapi.SecretAccessKey, "SAM_CLI_TELEMETRY=0",
		} {
			if !strings.Contains(text, want) {
				t.Fatalf("%q is missing in\n%s", want, text)
			}
		}
		file, _, _ := strings.Cut(text, "}\n")
		for _, never := range []string{seguratest.DefaultClientSecret, runtimeapi.SecretAccessKey, "PRIVATE KEY"} {
			if strings.Contains(file, never) {
				t.Fatalf("%q is in the file of variables:\n%s", never, file)
			}
		}
		for _, never := range []string{"mine/own", "AWS_PROFILE", "HTTPS_PROXY", "SSL_CERT_DIR"} {
			if strings.Contains(text, never) {
				t.Fatalf("sam was given %q", never)
			}
		}
	}
}

func TestSAM_failsWhereAFunctionAnswersOtherwise(t *testing.T) {
	code, out, stderr, _ := callSAM(t.Context(), t, "wrong")

	if code != exitFailed || !strings.Contains(stderr, "20 samples not as they should be") {
		t.Errorf("got exit code %d, errors %q", code, stderr)
	}
	for _, want := range []string{"✗ results: got none, want [5 enabled]", "✗ calls to Segura: got none, want [enable 5]", `unknown field "outcome"`} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
	if !strings.Contains(stderr, "nothing reached http://localhost:") {
		t.Errorf("got errors %q", stderr)
	}
}

func TestSAM_failsAtOnceWhereSAMDoes(t *testing.T) {
	code, _, stderr, notes := callSAM(t.Context(), t, "broken")

	if code != exitFailed || !strings.Contains(stderr, "there is no engine") || len(notes) != 1 {
		t.Errorf("got exit code %d, errors %q, %d calls", code, stderr, len(notes))
	}
}

func TestSAM_asksOnceMoreWhereTheFunctionWasNotStarted(t *testing.T) {
	code, out, stderr, notes := callSAM(t.Context(), t, "silent")

	if code != exitFailed || !strings.Contains(stderr, "it did not start the function") || len(notes) != 2 {
		t.Errorf("got exit code %d, errors %q, %d calls", code, stderr, len(notes))
	}
	if !strings.Contains(out, "again    invoke EventFunction: sam local invoke: it did not start the\n") {
		t.Errorf("the second try is not shown in\n%s", out)
	}
}

func TestSAM_asksOnlyOnceWhereTheFunctionWasStarted(t *testing.T) {
	code, out, stderr, notes := callSAM(t.Context(), t, "forgetful")

	if code != exitFailed || !strings.Contains(stderr, "it gave no answer of the function") || len(notes) != 1 {
		t.Errorf("got exit code %d, errors %q, %d calls", code, stderr, len(notes))
	}
	if !strings.Contains(out, "1 read of the AWS secret") {
		t.Errorf("what Segura was asked is not shown in\n%s", out)
	}
}

func TestSAM_sendsOneSample(t *testing.T) {
	if code, _, stderr, _ := callSAM(t.Context(), t, "fine", "-event", "events/unknown.json"); code != exitFailed || !strings.Contains(stderr, "none of the samples") {
		t.Errorf("got exit code %d, errors %q", code, stderr)
	}

	code, out, stderr, notes := callSAM(t.Context(), t, "fine", "-event", "events/rest-one.json")

	if code != exitOK || len(notes) != 1 || !strings.Contains(out, "1 sample as they should be") {
		t.Errorf("got exit code %d, errors %q, %d calls and\n%s", code, stderr, len(notes), out)
	}
}

func TestSAM_interruptsSAMWhenInterrupted(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	time.AfterFunc(300*time.Millisecond, interrupt)
	begin := time.Now()

	code, _, stderr, notes := callSAM(ctx, t, "hanging")

	if code != exitFailed || !strings.Contains(stderr, "interrupted") || len(notes) > 1 || time.Since(begin) > samGrace/2 {
		t.Errorf("got exit code %d, errors %q, %d calls after %v", code, stderr, len(notes), time.Since(begin))
	}
}

func TestOurAddress_isTheFirstOfThisMachine(t *testing.T) {
	for candidates, want := range map[string]string{
		"":                         "",
		"192.0.2.1":                "",
		"192.0.2.0/24":             "",
		" 192.0.2.0/24  127.0.0.1": "127.0.0.1",
		"127.0.0.0/8":              "127.0.0.1",
		"nonsense fe80::/64 192.0.2.1 127.0.0.2/31": "127.0.0.3",
	} {
		if got := ourAddress(t.Context(), candidates); got != want {
			t.Errorf("%q: got %q, want %q", candidates, got, want)
		}
	}
}

func TestServices_areThoseOfTheFileForSAM(t *testing.T) {
	root, err := stage.Root()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "tools", "sam", "local-env.json"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Parameters map[string]string }
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	stack, err := stage.Start(t.Context(), stage.Options{Functions: []string{}, AdvertiseHost: containersName})
	if err != nil {
		t.Fatal(err)
	}
	defer stack.Close()
	want := stack.Env()
	want["AWS_ENDPOINT_URL_SECRETS_MANAGER"] = fmt.Sprintf("http://%s:%d", containersName, servicesPort)
	for name, value := range file.Parameters {
		if want[name] != value {
			t.Errorf("%s is %q, want %q", name, value, want[name])
		}
	}
}

func TestServices_runUntilInterruptedAndSayWhatToTry(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	var out, stderr stage.Buffer
	ended := make(chan int)
	go func() {
		ended <- command(ctx, []string{"services", "-port", "0", "-name", "localhost", "-gateway", "127.0.0.1"}, terminal{out: &out, err: &stderr})
	}()
	address := regexp.MustCompile(`http://localhost:\d+`)
	for deadline := time.Now().Add(20 * time.Second); !strings.Contains(out.String(), "start-api"); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not up:\n%s%s", out.String(), stderr.String())
		}
	}
	if status, _ := request(t, http.MethodPost, address.FindString(out.String()), "{}"); status != http.StatusBadRequest {
		t.Errorf("Secrets Manager answers %d to what is not signed", status)
	}

	interrupt()

	if code := <-ended; code != exitOK || stderr.String() != "" {
		t.Errorf("got exit code %d, errors %q", code, stderr.String())
	}
	for _, want := range []string{"sam build", "sam local invoke EventFunction --event events/direct-one.json --add-host localhost:127.0.0.1"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, out.String())
		}
	}
}
