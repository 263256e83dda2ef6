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

// fakeSAMNotes is a folder for the fake SAM CLI to write down in what it was given.
const fakeSAMNotes = "FAKE_SAM_NOTES"

// fakeSAM runs the compiled functions as sam local would, without containers.
func fakeSAM(args []string) error {
	flags := map[string]string{}
	for i, arg := range args[:len(args)-1] {
		if strings.HasPrefix(arg, "--") {
			flags[arg] = args[i+1]
		}
	}
	variables, err := os.ReadFile(flags["--env-vars"])
	if err != nil {
		return err
	}
	note := strings.Join(args, " ") + "\n" + string(variables) + "\n" + strings.Join(os.Environ(), "\n")
	if err := os.WriteFile(filepath.Join(os.Getenv(fakeSAMNotes), strconv.Itoa(os.Getpid())), []byte(note), 0o600); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	run := func(ctx context.Context, name string, event []byte) (inv runtimeapi.Invocation, err error) {
		var document struct{ Parameters map[string]string }
		if err := json.Unmarshal(variables, &document); err != nil {
			return inv, err
		}
		bootstrap := bootstraps[stage.API]
		if name == stage.FunctionName(stage.Event) {
			bootstrap = bootstraps[stage.Event]
		}
		f, err := runtimeapi.Start(ctx, runtimeapi.Options{Bootstrap: bootstrap, FunctionName: name, Env: document.Parameters, Timeout: time.Minute, Output: os.Stderr})
		if err != nil {
			return inv, err
		}
		defer func() { _ = f.Close() }()
		return f.Invoke(ctx, event)
	}
	switch mode := os.Getenv(fakeSAMMode); {
	case mode == "broken":
		return errors.New("there is no engine")
	case mode == "silent":
		return nil
	case mode == "wrong":
		_, err := os.Stdout.WriteString(`{"outcome": "succeeded", "results": []}`)
		return err
	case mode == "hanging":
		<-ctx.Done()
		return ctx.Err()
	case args[1] == "invoke":
		event, err := os.ReadFile(flags["--event"])
		if err != nil {
			return err
		}
		inv, err := run(ctx, args[2], event)
		if err == nil && mode != "forgetful" {
			_, err = os.Stdout.Write(append(inv.Payload, '\n'))
		}
		return err
	}
	server := &http.Server{Addr: net.JoinHostPort(flags["--host"], flags["--port"]), Handler: &stage.Gateway{Invoke: func(r *http.Request, event []byte) (stage.Exchange, error) {
		inv, err := run(r.Context(), stage.FunctionName(stage.API), event)
		return stage.Exchange{Invocation: inv}, err
	}}}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	_ = server.ListenAndServe()
	return ctx.Err()
}

// callSAM runs the subcommand with the fake, and returns what that noted too.
func callSAM(ctx context.Context, t *testing.T, mode string, more ...string) (code int, out, stderr string, notes []string) {
	t.Helper()
	folder := t.TempDir()
	t.Setenv(fakeSAMMode, mode)
	t.Setenv(compiled, encoded(t))
	t.Setenv(fakeSAMNotes, folder)
	t.Setenv("GORACE", "atexit_sleep_ms=0") // the fake need not wait a second at its end for others' races
	var stdout, errors bytes.Buffer
	args := append([]string{"sam", "-sam", self(t), "-name", "localhost", "-gateway", "127.0.0.1", "-about", "an image"}, more...)
	args = append(args, "--", "--template-file", "template.yaml", "--skip-pull-image")
	code = command(ctx, args, terminal{out: &stdout, err: &errors})
	files, err := filepath.Glob(filepath.Join(folder, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		notes = append(notes, string(text))
		pid, err := strconv.Atoi(filepath.Base(file))
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
	shows(t, out,
		fmt.Sprintf("%d samples as they should be, 0 not", len(samples)),
		fmt.Sprintf("%d samples as they should be, 0 not", len(apiRequests)),
		"function error Segura.PermanentError", "image    an image",
		"POST /api-secrets/5/enable ──", "as rest-one.json", "207 Multi-Status",
	)
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
			`"SEGURA_SECRET_ID":"` + stage.SecretName + `"`, `"AWS_ENDPOINT_URL_SECRETS_MANAGER":"http://localhost:`,
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

func TestSAM_tellsInWhichWayItFails(t *testing.T) {
	for mode, row := range map[string]struct {
		calls     int // zero: of every sample
		out, said string
	}{
		"broken":    {1, "", "there is no engine"},
		"silent":    {2, "again    invoke EventFunction: sam local invoke: it gave no answer of the\n", "it gave no answer of the function"},
		"forgetful": {1, "1 read of the AWS secret", "it gave no answer of the function"}, // it had started the function
		"wrong":     {20, "✗ results: got none, want [5 enabled]", "nothing reached http://localhost:"},
	} {
		code, out, stderr, notes := callSAM(t.Context(), t, mode)

		if code != exitFailed || len(notes) != row.calls || !strings.Contains(out, row.out) || !strings.Contains(stderr, row.said) {
			t.Errorf("%s: got exit code %d, errors %q, %d calls and\n%s", mode, code, stderr, len(notes), out)
		}
		if mode == "wrong" {
			shows(t, stderr, "20 samples not as they should be")
			shows(t, out, "✗ calls to Segura: got none, want [enable 5]", `unknown field "outcome"`)
		}
	}
}

func TestSAM_sendsOneSample(t *testing.T) {
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
	text, err := os.ReadFile("../../../tools/sam/local-env.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Parameters map[string]string }
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	stack, err := stage.Start(t.Context(), stage.Options{AdvertiseHost: containersName})
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
	address, out, end := background(t, `(?s)(http://localhost:\d+).*start-api`, "services", "-port", "0", "-name", "localhost", "-gateway", "127.0.0.1")
	if status, _ := request(t, http.MethodPost, address, "{}"); status != http.StatusBadRequest {
		t.Errorf("Secrets Manager answers %d to what is not signed", status)
	}

	end()

	shows(t, out.String(), "sam build", "sam local invoke EventFunction --event events/direct-one.json --add-host localhost:127.0.0.1")
}
