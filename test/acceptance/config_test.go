package acceptance

import (
	"debug/elf"
	"maps"
	"runtime"
	"slices"
	"strings"
	"testing"
)

func TestBootstraps_needNothingOfTheirSurroundings(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("the functions are compiled for this machine, which is no Linux")
	}
	for name, path := range bootstraps {
		file, err := elf.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, segment := range file.Progs {
			if segment.Type == elf.PT_INTERP {
				t.Errorf("%s is linked dynamically", name)
			}
		}
		_ = file.Close()
	}
}

// The variables that this project defines, those of windows left out.
var variables = []string{
	"SEGURA_SECRET_ID", "SEGURA_CREDENTIALS_TTL", "SEGURA_ATTEMPT_TIMEOUT", "SEGURA_MAX_ATTEMPTS", "SEGURA_MAX_CONCURRENCY",
	"SEGURA_ALLOWED_IDENTIFIERS", "SEGURA_DEFAULT_IDENTIFIERS", "SEGURA_ALLOWED_EVENT_SOURCES", "SEGURA_MAX_CALLS_PER_SECOND",
}

// initLine checks that a failed init left one line, which names these variables
// and no others.
func (w *world) initLine(about string, names ...string) {
	w.t.Helper()
	if w.initError.ExitCode == 0 {
		w.t.Errorf("%s: the process ended with exit code 0", about)
	}
	lines := w.logs()
	if len(lines) != 1 || lines[0].Text("level") != "ERROR" {
		w.t.Errorf("%s: got the lines\n%s\nwant one, of level ERROR", about, strings.Join(w.function.Logs(), "\n"))
		return
	}
	text := w.function.Logs()[0]
	for _, name := range variables {
		if mentioned := strings.Contains(text, name); mentioned != slices.Contains(names, name) {
			w.t.Errorf("%s: the line mentions %s: %v; it is\n%s", about, name, mentioned, text)
		}
	}
}

func TestConfiguration_allFaultsAreToldAtOnce(t *testing.T) {
	t.Parallel()
	env := map[string]string{
		"SEGURA_SECRET_ID": unset, "SEGURA_CREDENTIALS_TTL": "soon", "SEGURA_ATTEMPT_TIMEOUT": "-1s", "SEGURA_MAX_ATTEMPTS": "0",
		"SEGURA_MAX_CONCURRENCY": "many", "SEGURA_ALLOWED_IDENTIFIERS": "7-5", "SEGURA_DEFAULT_IDENTIFIERS": "x", "SEGURA_ALLOWED_EVENT_SOURCES": "a,,b",
		"SEGURA_MAX_CALLS_PER_SECOND": "0",
	}
	for _, function := range []string{api, event} {
		w := start(t, setup{function: function, env: env, initFails: true})
		w.initLine(function, variables...)
	}
	delete(env, "SEGURA_SECRET_ID")
	delete(env, "SEGURA_ALLOWED_IDENTIFIERS")
	w := start(t, setup{env: env, initFails: true})
	w.initLine("seven of nine", slices.Sorted(maps.Keys(env))...)
}

func TestConfiguration_ofTheAWSSDKThatCannotBeUsedFailsInitToo(t *testing.T) {
	t.Parallel()
	w := start(t, setup{env: map[string]string{"AWS_MAX_ATTEMPTS": "many"}, initFails: true})
	if all := strings.Join(w.function.Logs(), "\n"); len(w.function.Logs()) != 1 || !strings.Contains(all, "AWS_MAX_ATTEMPTS") {
		t.Errorf("got\n%s\nwant one line that names it", all)
	}
}

func TestConfiguration_textLogsNameTheVariableToo(t *testing.T) {
	t.Parallel()
	w := start(t, setup{env: map[string]string{"SEGURA_MAX_ATTEMPTS": "0"}, textLogs: true, initFails: true})
	if all := strings.Join(w.function.Logs(), "\n"); !strings.Contains(all, "SEGURA_MAX_ATTEMPTS") {
		t.Errorf("got\n%s", all)
	}
}

const bareSchedule = `{"version":"0","id":"53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa","detail-type":"Scheduled Event","source":"aws.events",
"account":"123456789012","time":"2026-11-21T08:00:00Z","region":"eu-west-1","resources":["arn:aws:events:eu-west-1:123456789012:rule/nightly"],"detail":{}}`

func TestDefaultIdentifiers_areWhatABareScheduledEventEnables(t *testing.T) {
	t.Parallel()
	w := start(t, setup{segura: anyIdentifier, env: map[string]string{
		"SEGURA_DEFAULT_IDENTIFIERS": "107,101-103,102,9223372036854775807", "SEGURA_ALLOWED_IDENTIFIERS": "101-107",
	}})
	got := w.invoke(bareSchedule).result
	if want := []int64{107, 101, 102, 103, 9223372036854775807}; !slices.Equal(identifiers(got.Results), want) || *got.Enabled != 4 || got.FailedByCode["not_allowed"] != 1 {
		t.Errorf("got %+v, want %v, of which the last is not allowed", got, want)
	}
}

func TestAllowedEventSources_areTheOnlyOnesHeard(t *testing.T) {
	t.Parallel()
	w := start(t, setup{env: map[string]string{"SEGURA_ALLOWED_EVENT_SOURCES": "com.example.a, com.example.b", "SEGURA_DEFAULT_IDENTIFIERS": "5"}})
	for payload, want := range map[string]string{
		eventBridge("com.example.c", `{"identifier":5}`): "Segura.InvalidRequest", bareSchedule: "Segura.InvalidRequest",
		eventBridge("com.example.a", `{"identifier":5}`): "", eventBridge("com.example.b", `{"identifier":5}`): "", `{"identifier":5}`: "",
	} {
		w.segura.Reset()
		if inv := w.invoke(payload); inv.ErrorType != want || (want == "") != (len(w.sent()) == 1) {
			t.Errorf("%s: got %q %s after %v, want %q", payload, inv.ErrorType, inv.text, w.sent(), want)
		}
	}
}
