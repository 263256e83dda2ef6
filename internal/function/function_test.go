package function_test

import (
	"bytes"
	"context"
	"log"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambdacontext"

	"segura-enable/internal/apisecret"
	"segura-enable/internal/function"
	"segura-enable/internal/telemetry"
	"segura-enable/simulated/secretsmanager"
	"segura-enable/simulated/seguratest"
)

// world is the environment of a function.
type world struct {
	*seguratest.Server
	manager   *secretsmanager.Server
	variables map[string]string
	out       bytes.Buffer
	stdout    string // the file that standard output goes to
}

func newWorld(t *testing.T) *world {
	t.Helper()
	manager, err := secretsmanager.Start(t.Context(), secretsmanager.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = manager.Close() })
	w := &world{Server: seguratest.Start(t, seguratest.Options{}), manager: manager}
	manager.Put("segura/mysafe-key", w.SecretJSON(nil))
	for name, value := range map[string]string{
		"AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "ASIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "x", "AWS_SESSION_TOKEN": "y",
		"AWS_ENDPOINT_URL_SECRETS_MANAGER": manager.URL(), "AWS_MAX_ATTEMPTS": "1",
	} {
		t.Setenv(name, value)
	}
	w.variables = map[string]string{
		"SEGURA_SECRET_ID": "segura/mysafe-key", "AWS_LAMBDA_LOG_FORMAT": "JSON", "AWS_LAMBDA_FUNCTION_NAME": "TestFunction", "SEGURA_ATTEMPT_TIMEOUT": "10s",
	}
	w.redirect(t)
	return w
}

// redirect has standard output and the standard log end up in a file.
func (w *world) redirect(t *testing.T) {
	t.Helper()
	w.stdout = filepath.Join(t.TempDir(), "stdout")
	file, err := os.Create(w.stdout)
	if err != nil {
		t.Fatal(err)
	}
	stdout, flags := os.Stdout, log.Flags()
	os.Stdout = file
	t.Cleanup(func() {
		os.Stdout = stdout
		log.SetFlags(flags)
		log.SetOutput(os.Stderr)
		_ = file.Close()
	})
}

func (w *world) logged(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(w.stdout)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func (w *world) start(ctx context.Context) (function.Parts, error) {
	return function.New(ctx, "1.2.3", func(name string) string { return w.variables[name] }, &w.out)
}

func enable5() apisecret.Request {
	return apisecret.Request{Action: apisecret.Enable, Identifiers: []apisecret.Identifier{5}, Single: true}
}

func TestNew_fetchesTheSecretAndATokenAhead(t *testing.T) {
	w := newWorld(t)

	parts, err := w.start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ahead := w.Count(seguratest.KindToken)
	result := parts.Runner.Run(t.Context(), enable5(), telemetry.Origin{Source: "api"})

	if ahead != 1 || w.Count(seguratest.KindToken) != 1 || w.manager.Reads() != 1 || result.Outcome() != apisecret.Succeeded {
		t.Errorf("got %d tokens ahead, %d in all, %d reads and %+v", ahead, w.Count(seguratest.KindToken), w.manager.Reads(), result)
	}
	if got := w.Requests()[0].Header.Get("User-Agent"); got != "segura-enable/1.2.3 (AWS Lambda)" {
		t.Errorf("got the User-Agent %q", got)
	}
}

func TestNew_hasTheFirstInvocationReportWhatStartUpTook(t *testing.T) {
	w := newWorld(t)
	parts, err := w.start(t.Context())
	if err != nil || w.out.Len() > 0 {
		t.Fatalf("got %v and the output %s before any invocation", err, &w.out)
	}

	_, end := parts.Telemetry.Begin(t.Context())
	end()

	if got := w.out.String(); !strings.Contains(got, `"CredentialRefresh":1`) || !strings.Contains(got, `"TokenLatency":[`) || !strings.Contains(got, `"Function":"TestFunction"`) {
		t.Errorf("got %s", got)
	}
}

// Where there is no more than one CPU, there is one thread to run Go code, once init is
// over.
func TestNew_runsOnAsManyThreadsAsItsMemoryBringsCPUs(t *testing.T) {
	before := runtime.GOMAXPROCS(4)
	t.Cleanup(func() { runtime.GOMAXPROCS(before) })
	for _, row := range []struct {
		memory string
		want   int
	}{{"", 4}, {"1770", 4}, {"1769", 1}, {"128", 1}} {
		w := newWorld(t)
		w.variables["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] = row.memory

		if _, err := w.start(t.Context()); err != nil {
			t.Fatal(err)
		}

		if got := runtime.GOMAXPROCS(4); got != row.want {
			t.Errorf("%s MB: got %d threads, want %d", row.memory, got, row.want)
		}
	}
}

func TestNew_passesEachSettingOn(t *testing.T) {
	w := newWorld(t)
	w.variables["SEGURA_ALLOWED_IDENTIFIERS"] = "5-8"
	w.variables["SEGURA_DEFAULT_IDENTIFIERS"] = "6,5"
	w.variables["SEGURA_ALLOWED_EVENT_SOURCES"] = "aws.scheduler"
	w.variables["SEGURA_MAX_ATTEMPTS"] = "2"
	w.variables["SEGURA_MAX_CONCURRENCY"] = "3"
	w.variables["SEGURA_CREDENTIALS_TTL"] = "1ns"

	parts, err := w.start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w.Fail(seguratest.Match{Kind: seguratest.KindEnable}, seguratest.Gateway503(), -1)
	result := parts.Runner.Run(t.Context(), apisecret.Request{Action: apisecret.Enable, Identifiers: []apisecret.Identifier{5, 9}}, telemetry.Origin{})

	if got := result.Items; got[0].Attempts != 2 || got[0].Error.Code != apisecret.UpstreamError || got[1].Error.Code != apisecret.NotAllowed {
		t.Errorf("got %+v", got)
	}
	if parts.Runner.Concurrency != 3 || len(parts.Config.DefaultIdentifiers) != 2 || len(parts.Config.AllowedEventSources) != 1 || w.manager.Reads() < 2 {
		t.Errorf("got %+v, %+v and %d reads", parts.Runner, parts.Config, w.manager.Reads())
	}
}

func TestNew_refusesAConfigurationInOneLine(t *testing.T) {
	w := newWorld(t)
	w.variables["SEGURA_SECRET_ID"] = ""
	w.variables["SEGURA_MAX_ATTEMPTS"] = "many"

	_, err := w.start(t.Context())

	got := w.logged(t)
	if err == nil || strings.Count(got, "\n") != 1 || !strings.Contains(got, "SEGURA_SECRET_ID: ") || !strings.Contains(got, "; SEGURA_MAX_ATTEMPTS: ") {
		t.Errorf("got %v and the log %s", err, got)
	}
	if w.manager.Reads() > 0 || w.Count("") > 0 {
		t.Errorf("got %d reads of the AWS secret and %d requests", w.manager.Reads(), w.Count(""))
	}
}

func TestNew_refusesAnAWSConfigurationThatTheSDKCannotUse(t *testing.T) {
	w := newWorld(t)
	t.Setenv("AWS_MAX_ATTEMPTS", "many")

	_, err := w.start(t.Context())

	if got := w.logged(t); err == nil || strings.Count(got, "\n") != 1 || !strings.Contains(got, "AWS") {
		t.Errorf("got %v and the log %s", err, got)
	}
}

func TestNew_isEndedByNoFaultOfTheOtherSides(t *testing.T) {
	for name, arrange := range map[string]func(*world){
		"no secret":       func(w *world) { w.manager.Delete("segura/mysafe-key") },
		"a bad secret":    func(w *world) { w.manager.Put("segura/mysafe-key", "MARKER{") },
		"no endpoint":     func(w *world) { _ = w.manager.Close() },
		"no Segura":       func(w *world) { _ = w.RefuseConnections(seguratest.NotListening) },
		"bad credentials": func(w *world) { w.RotateClientSecret("another") },
		"a silent Segura": func(w *world) { w.Fail(seguratest.Match{}, seguratest.Hang(), -1) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			arrange(w)
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			defer cancel()

			parts, err := w.start(ctx)

			if got := w.logged(t); err != nil || parts.Runner == nil || !strings.Contains(got, "the first invocation tries again") || strings.Contains(got, "MARKER") {
				t.Errorf("got %v and the log %s", err, got)
			}
		})
	}
}

func TestNew_takesTwoSecondsAtMostToWarmUp(t *testing.T) {
	w := newWorld(t)
	w.variables["SEGURA_ATTEMPT_TIMEOUT"] = "1m"
	w.Fail(seguratest.Match{}, seguratest.Hang(), -1)
	began := time.Now()

	_, err := w.start(t.Context())

	if took := time.Since(began); err != nil || took < 2*time.Second || took > time.Minute/2 {
		t.Errorf("got %v after %s, want no error after two seconds", err, took)
	}
}

func TestNew_turnsTheStandardLogIntoTheFunctions(t *testing.T) {
	w := newWorld(t)
	parts, err := w.start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	before := len(w.logged(t))

	_, end := parts.Telemetry.Begin(lambdacontext.NewContext(t.Context(), &lambdacontext.LambdaContext{AwsRequestID: "request-1"}))
	log.Print("a library's line\nwith a break and \"MARKER\"")
	end()

	got := w.logged(t)[before:]
	if strings.Count(got, "\n") != 1 || strings.Contains(got, "MARKER") || !strings.Contains(got, "a library's line") || !strings.Contains(got, "request-1") {
		t.Errorf("got %q", got)
	}
}
