package function_test

import (
	"bytes"
	"errors"
	"log"
	"maps"
	"os"
	"regexp"
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
	wrong     error // of what the function has read itself
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
	file, err := os.CreateTemp(t.TempDir(), "stdout")
	if err != nil {
		t.Fatal(err)
	}
	stdout, flags := os.Stdout, log.Flags()
	os.Stdout = file // where the standard log ends up too
	t.Cleanup(func() {
		os.Stdout = stdout
		log.SetFlags(flags)
		log.SetOutput(os.Stderr)
		_ = file.Close()
	})
	return w
}

func (w *world) start(t *testing.T) (function.Parts, error) {
	return function.New(t.Context(), "1.2.3", func(name string) string { return w.variables[name] }, &w.out, w.wrong)
}

// logged is what standard output and the standard log got.
func logged(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(os.Stdout.Name())
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestNew_fetchesTheSecretAndATokenAhead(t *testing.T) {
	w := newWorld(t)

	parts, err := w.start(t)
	if err != nil || w.out.Len() > 0 {
		t.Fatalf("got %v and the output %s before any invocation", err, &w.out)
	}
	ahead := w.Count(seguratest.KindToken)
	ctx, end := parts.Telemetry.Begin(t.Context())
	result := parts.Runner.Run(ctx, apisecret.Request{Action: apisecret.Enable, Identifiers: []apisecret.Identifier{5}}, telemetry.Origin{Source: "api"})
	end()

	if ahead != 1 || w.Count(seguratest.KindToken) != 1 || w.manager.Reads() != 1 || result.Outcome() != apisecret.Succeeded {
		t.Errorf("got %d tokens ahead, %d in all, %d reads and %+v", ahead, w.Count(seguratest.KindToken), w.manager.Reads(), result)
	}
	if got := w.Requests()[0].Header.Get("User-Agent"); got != "segura-enable/1.2.3 (AWS Lambda)" {
		t.Errorf("got the User-Agent %q", got)
	}
	if got := w.out.String(); !strings.Contains(got, `"CredentialRefresh":1`) || !strings.Contains(got, `"TokenLatency":[`) || !strings.Contains(got, `"Function":"TestFunction"`) {
		t.Errorf("got %s, want the first invocation to report what start-up took", got)
	}
}

func TestNew_usesOneThreadWhereLambdaGivesNoMoreThanOneCPU(t *testing.T) {
	before := runtime.GOMAXPROCS(3)
	defer runtime.GOMAXPROCS(before)
	for _, test := range []struct {
		memory, processors string
		want               int
	}{{"", "", 3}, {"1770", "", 3}, {"128", "3", 3}, {"1769", "", 1}} {
		w := newWorld(t)
		w.variables["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"], w.variables["GOMAXPROCS"] = test.memory, test.processors
		runtime.GOMAXPROCS(3)

		if _, err := w.start(t); err != nil {
			t.Fatal(err)
		}

		if got := runtime.GOMAXPROCS(0); got != test.want {
			t.Errorf("%s MB, GOMAXPROCS=%q: got %d threads, want %d", test.memory, test.processors, got, test.want)
		}
	}
}

func TestNew_passesEachSettingOn(t *testing.T) {
	w := newWorld(t)
	maps.Copy(w.variables, map[string]string{
		"SEGURA_ALLOWED_IDENTIFIERS": "5-8", "SEGURA_DEFAULT_IDENTIFIERS": "6,5", "SEGURA_ALLOWED_EVENT_SOURCES": "aws.scheduler",
		"SEGURA_MAX_ATTEMPTS": "2", "SEGURA_MAX_CONCURRENCY": "3", "SEGURA_CREDENTIALS_TTL": "1ns",
	})

	parts, err := w.start(t)
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
	for name, arrange := range map[string]func(w *world){
		"SEGURA_SECRET_ID: .+; SEGURA_MAX_ATTEMPTS: .+; wrong besides": func(w *world) {
			w.variables["SEGURA_SECRET_ID"], w.variables["SEGURA_MAX_ATTEMPTS"] = "", "many"
			w.wrong = errors.New("wrong besides")
		},
		"AWS_MAX_ATTEMPTS": func(*world) { t.Setenv("AWS_MAX_ATTEMPTS", "many") },
	} {
		w := newWorld(t)
		arrange(w)

		_, err := w.start(t)

		got := logged(t)
		if err == nil || strings.Count(got, "\n") != 1 || !regexp.MustCompile(name).MatchString(got) {
			t.Errorf("got %v and the log %s, want one line with %s", err, got, name)
		}
		if w.manager.Reads() > 0 || w.Count("") > 0 {
			t.Errorf("%s: got %d reads of the AWS secret and %d requests", name, w.manager.Reads(), w.Count(""))
		}
	}
}

func TestNew_isEndedByNoFaultOfTheOtherSides(t *testing.T) {
	for name, row := range map[string]struct {
		arrange func(*world)
		takes   time.Duration // at least, and a few seconds more at most
	}{
		"a bad secret":    {func(w *world) { w.manager.Put("segura/mysafe-key", "MARKER{") }, 0},
		"a silent Segura": {func(w *world) { w.Fail(seguratest.Match{}, seguratest.Hang(), -1) }, 2 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.variables["SEGURA_ATTEMPT_TIMEOUT"] = "1m"
			row.arrange(w)
			began := time.Now()

			parts, err := w.start(t)

			if took := time.Since(began); took < row.takes || took > row.takes+10*time.Second {
				t.Errorf("got start-up after %s, want it after %s", took, row.takes)
			}
			if got := logged(t); err != nil || parts.Runner == nil || !strings.Contains(got, "the first invocation tries again") || strings.Contains(got, "MARKER") {
				t.Errorf("got %v and the log %s", err, got)
			}
		})
	}
}

func TestNew_turnsTheStandardLogIntoTheFunctions(t *testing.T) {
	w := newWorld(t)
	parts, err := w.start(t)
	if err != nil {
		t.Fatal(err)
	}
	before := len(logged(t))

	_, end := parts.Telemetry.Begin(lambdacontext.NewContext(t.Context(), &lambdacontext.LambdaContext{AwsRequestID: "request-1"}))
	log.Print("a library's line\nwith a break and \"MARKER\"")
	end()

	got := logged(t)[before:]
	if strings.Count(got, "\n") != 1 || strings.Contains(got, "MARKER") || !strings.Contains(got, "a library's line") || !strings.Contains(got, "request-1") {
		t.Errorf("got %q", got)
	}
}
