package acceptance

import (
	"debug/elf"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"segura-enable/simulated/secretsmanager"
	"segura-enable/simulated/seguratest"
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

// The variables that this project defines.
var variables = []string{
	"SEGURA_SECRET_ID", "SEGURA_CREDENTIALS_TTL", "SEGURA_ATTEMPT_TIMEOUT", "SEGURA_MAX_ATTEMPTS", "SEGURA_MAX_CONCURRENCY",
	"SEGURA_ALLOWED_IDENTIFIERS", "SEGURA_DEFAULT_IDENTIFIERS", "SEGURA_ALLOWED_EVENT_SOURCES",
}

func TestConfiguration_thatCannotBeUsedFailsInit(t *testing.T) {
	t.Parallel()
	durations := []string{"5", "ten seconds", "-1s", "0", "0s", "1d", "5m ", " 5m", "1e3s", "5M", "NaN", "9999999999h", "-0.5h"}
	counts := []string{"0", "-1", "1.5", "four", " 4", "4 ", "1e3", "0x10", "99999999999999999999", "1_000", "٤"}
	sets := []string{
		"five", "0", "-1", "05", "5,", ",5", "5,,6", "5;6", "7-5", "5-", "-5", "5-6-7", "1.5", "9223372036854775808", "5-9223372036854775808",
		"0-5", "5 6", "5,x", "*", "٥", "5–7", "+5", "0x5", "1e3",
	}
	invalid := map[string][]string{
		"SEGURA_SECRET_ID":             {unset, "", "   "},
		"SEGURA_CREDENTIALS_TTL":       durations,
		"SEGURA_ATTEMPT_TIMEOUT":       durations,
		"SEGURA_MAX_ATTEMPTS":          counts,
		"SEGURA_MAX_CONCURRENCY":       counts,
		"SEGURA_ALLOWED_IDENTIFIERS":   sets,
		"SEGURA_DEFAULT_IDENTIFIERS":   append(slices.Clone(sets), "1-10001", "1-9223372036854775807", "1-5000,6000-11000"),
		"SEGURA_ALLOWED_EVENT_SOURCES": {","},
	}
	for _, name := range variables {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first := start(t, setup{env: map[string]string{name: invalid[name][0]}, initFails: true})
			for i, value := range invalid[name] {
				function := []string{api, event}[i%2]
				w := first.another(setup{function: function, env: map[string]string{name: value}, initFails: true})
				w.initLine(fmt.Sprintf("%s=%q", name, value), name)
			}
			if n := first.segura.Count("") + first.secrets.Reads(); n != 0 {
				t.Errorf("%s: %d requests were made all the same", name, n)
			}
		})
	}
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
	}
	for _, function := range []string{api, event} {
		w := start(t, setup{function: function, env: env, initFails: true})
		w.initLine(function, variables...)
	}
	delete(env, "SEGURA_SECRET_ID")
	delete(env, "SEGURA_ALLOWED_IDENTIFIERS")
	w := start(t, setup{env: env, initFails: true})
	w.initLine("six of eight", slices.Sorted(maps.Keys(env))...)
}

func TestConfiguration_ofTheAWSSDKThatCannotBeUsedFailsInitToo(t *testing.T) {
	t.Parallel()
	for name, value := range map[string]string{"AWS_MAX_ATTEMPTS": "many", "AWS_RETRY_MODE": "never", "AWS_USE_FIPS_ENDPOINT": "maybe", "AWS_CA_BUNDLE": "/nonexistent.pem"} {
		w := start(t, setup{env: map[string]string{name: value}, initFails: true})
		if all := strings.Join(w.function.Logs(), "\n"); len(w.function.Logs()) != 1 || !strings.Contains(all, name) {
			t.Errorf("%s=%s: got\n%s\nwant one line that names it", name, value, all)
		}
	}
}

func TestConfiguration_textLogsNameTheVariableToo(t *testing.T) {
	t.Parallel()
	w := start(t, setup{env: map[string]string{"SEGURA_MAX_ATTEMPTS": "0"}, textLogs: true, initFails: true})
	if all := strings.Join(w.function.Logs(), "\n"); !strings.Contains(all, "SEGURA_MAX_ATTEMPTS") {
		t.Errorf("got\n%s", all)
	}
}

func TestConfiguration_thatCanBeUsedIs(t *testing.T) {
	t.Parallel()
	table := []struct{ name, value string }{
		{"SEGURA_CREDENTIALS_TTL", "1ns"}, {"SEGURA_CREDENTIALS_TTL", "1h30m"}, {"SEGURA_CREDENTIALS_TTL", "0.5h"}, {"SEGURA_CREDENTIALS_TTL", ""},
		{"SEGURA_ATTEMPT_TIMEOUT", "1m"}, {"SEGURA_ATTEMPT_TIMEOUT", "2s500ms"}, {"SEGURA_ATTEMPT_TIMEOUT", ""},
		{"SEGURA_MAX_ATTEMPTS", "1"}, {"SEGURA_MAX_ATTEMPTS", "10"}, {"SEGURA_MAX_ATTEMPTS", ""},
		{"SEGURA_MAX_CONCURRENCY", "1"}, {"SEGURA_MAX_CONCURRENCY", "100"}, {"SEGURA_MAX_CONCURRENCY", ""},
		{"SEGURA_ALLOWED_IDENTIFIERS", ""}, {"SEGURA_ALLOWED_IDENTIFIERS", "5"}, {"SEGURA_ALLOWED_IDENTIFIERS", "5-5"},
		{"SEGURA_ALLOWED_IDENTIFIERS", "5,7,100-199"}, {"SEGURA_ALLOWED_IDENTIFIERS", "1-9223372036854775807"},
		{"SEGURA_ALLOWED_IDENTIFIERS", "100-199,1-10,5-7,5"}, {"SEGURA_ALLOWED_IDENTIFIERS", "9223372036854775807,5"},
		{"SEGURA_DEFAULT_IDENTIFIERS", ""}, {"SEGURA_DEFAULT_IDENTIFIERS", "1-10000"}, {"SEGURA_DEFAULT_IDENTIFIERS", "9223372036854775807"},
		{"SEGURA_ALLOWED_EVENT_SOURCES", ""}, {"SEGURA_ALLOWED_EVENT_SOURCES", "aws.events,com.example.app"},
	}
	first := start(t, setup{})
	for _, row := range table {
		w := first.another(setup{env: map[string]string{row.name: row.value}})
		first.segura.SetActive(5, false)
		is(t, w.one(5), row.name+"="+row.value, "enabled", "", false, 1)
	}
}

const bareSchedule = `{"version":"0","id":"53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa","detail-type":"Scheduled Event","source":"aws.events",
"account":"123456789012","time":"2026-11-21T08:00:00Z","region":"eu-west-1","resources":["arn:aws:events:eu-west-1:123456789012:rule/nightly"],"detail":{}}`

func TestDefaultIdentifiers_areWhatABareScheduledEventEnables(t *testing.T) {
	t.Parallel()
	w := start(t, setup{
		segura: seguratest.Options{AnyIdentifier: true},
		env:    map[string]string{"SEGURA_DEFAULT_IDENTIFIERS": "1007,1001-1003,1002,9223372036854775807"},
	})
	var got []int64
	for _, one := range w.invoke(bareSchedule).result.Results {
		got = append(got, one.Identifier)
	}
	if want := []int64{1007, 1001, 1002, 1003, 9223372036854775807}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestDefaultIdentifiers_mayBeTenThousand(t *testing.T) {
	t.Parallel()
	w := start(t, setup{env: map[string]string{
		"SEGURA_DEFAULT_IDENTIFIERS": "1-5000,2000-10000", "SEGURA_ALLOWED_IDENTIFIERS": "20000", // so that nothing is sent
	}})
	if got := w.invoke(bareSchedule).result; got.Requested != 10_000 || got.FailedByCode["not_allowed"] != 10_000 {
		t.Errorf("got %d requested, %v; want 10000, all not_allowed", got.Requested, got.FailedByCode)
	}
}

func TestDefaultIdentifiers_areSubjectToTheAllowedOnes(t *testing.T) {
	t.Parallel()
	w := start(t, setup{
		segura: seguratest.Options{AnyIdentifier: true},
		env:    map[string]string{"SEGURA_DEFAULT_IDENTIFIERS": "1001-1003", "SEGURA_ALLOWED_IDENTIFIERS": "1002"},
	})
	got := w.invoke(bareSchedule).result
	if *got.Enabled != 1 || got.FailedByCode["not_allowed"] != 2 {
		t.Errorf("got %+v", got)
	}
}

func TestSecretID_isANameOrAnARN(t *testing.T) {
	t.Parallel()
	w := start(t, setup{})
	arn := w.secrets.Put(secretName, w.segura.SecretJSON(nil))
	for _, id := range []string{secretName, arn} {
		v := start(t, setup{
			env:    map[string]string{"SEGURA_SECRET_ID": id},
			before: func(v *world) { v.secrets.Put(secretName, v.segura.SecretJSON(nil)) },
		})
		is(t, v.one(5), id, "enabled", "", false, 1)
		if got := v.secrets.Requests()[0].SecretID; got != id {
			t.Errorf("asked for %q, want %q", got, id)
		}
	}
}

func TestRegion_isTheAWSSDKs(t *testing.T) {
	t.Parallel()
	w := start(t, setup{env: map[string]string{"AWS_REGION": "sa-east-1"}})
	w.one(5)
	requests := w.secrets.Requests()
	if got := requests[0].Header.Get("Authorization"); !strings.Contains(got, "/sa-east-1/secretsmanager/aws4_request") {
		t.Errorf("the request is signed as %.80q, want for sa-east-1", got)
	}
	if got := requests[0].Target; got != "secretsmanager.GetSecretValue" {
		t.Errorf("got X-Amz-Target %q", got)
	}
}

func TestEndpoint_ofSecretsManagerIsTheAWSSDKs(t *testing.T) {
	t.Parallel()
	t.Run("of the service, before that of all", func(t *testing.T) {
		t.Parallel()
		w := start(t, setup{env: map[string]string{"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}})
		is(t, w.one(5), "both", "enabled", "", false, 1)
	})
	t.Run("of all services", func(t *testing.T) {
		t.Parallel()
		var url string
		w := start(t, setup{before: func(w *world) {
			url = w.secrets.URL()
			w.setup.env = map[string]string{"AWS_ENDPOINT_URL_SECRETS_MANAGER": unset, "AWS_ENDPOINT_URL": url}
		}})
		is(t, w.one(5), "AWS_ENDPOINT_URL", "enabled", "", false, 1)
	})
	t.Run("where nobody listens", func(t *testing.T) {
		t.Parallel()
		w := start(t, setup{env: map[string]string{"AWS_ENDPOINT_URL_SECRETS_MANAGER": "http://127.0.0.1:1", "AWS_MAX_ATTEMPTS": "1"}})
		is(t, w.one(5), "nobody listens", "failed", "credentials_unavailable", true, 0)
	})
}

func TestAllowedEventSources_areTheOnlyOnesHeard(t *testing.T) {
	t.Parallel()
	custom := func(source string) string {
		return fmt.Sprintf(`{"version":"0","id":"1","detail-type":"x","source":%q,"account":"123456789012","time":"2026-11-21T08:00:00Z","region":"eu-west-1","resources":[],"detail":{"identifier":5}}`, source)
	}
	w := start(t, setup{env: map[string]string{"SEGURA_ALLOWED_EVENT_SOURCES": "com.example.a,com.example.b", "SEGURA_DEFAULT_IDENTIFIERS": "5"}})
	for _, source := range []string{"com.example.c", "com.example", "COM.EXAMPLE.A", "com.example.a,com.example.b", "", "com.example.a ", "aws.events"} {
		inv := w.invoke(custom(source))
		if inv.ErrorType != "Segura.InvalidRequest" {
			t.Errorf("source %q: got %s %s, want Segura.InvalidRequest", source, inv.ErrorType, inv.text)
		}
	}
	if inv := w.invoke(bareSchedule); inv.ErrorType != "Segura.InvalidRequest" {
		t.Errorf("a scheduled event of another source: got %s %s, want Segura.InvalidRequest", inv.ErrorType, inv.text)
	}
	if n := w.segura.Count(seguratest.KindEnable); n != 0 {
		t.Errorf("Segura got %d calls, want none", n)
	}
	for _, source := range []string{"com.example.a", "com.example.b"} {
		if inv := w.invoke(custom(source)); inv.FunctionError {
			t.Errorf("source %q: got %s %s", source, inv.ErrorType, inv.text)
		}
	}
}

func TestCredentialsTTL_isFiveMinutesUnlessConfigured(t *testing.T) {
	t.Parallel()
	w := start(t, setup{segura: seguratest.Options{AnyIdentifier: true}})
	w.one(1001)
	time.Sleep(3 * time.Second)
	w.secrets.Fail(secretsmanager.AccessDenied, -1) // a read would show
	is(t, w.one(1002), "three seconds later", "enabled", "", false, 1)
	w.counts("three seconds later", 1, 2, 1)
}
