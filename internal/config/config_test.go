package config_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"segura-enable/internal/apisecret"
	"segura-enable/internal/config"
)

// environment is a getenv of these variables, the required ones added.
func environment(variables map[string]string) func(string) string {
	required := map[string]string{"SEGURA_SECRET_ID": "segura/mysafe-key", "SEGURA_WINDOWS_TABLE": "windows"}
	return func(name string) string {
		if value, ok := variables[name]; ok {
			return value
		}
		return required[name]
	}
}

// requireFault has each value, separated by |, refused in one line that names its
// variable and no other, and has no password in it.
func requireFault[Config any](t *testing.T, load func(func(string) string) (Config, error), values map[string]string) {
	t.Helper()
	for name, all := range values {
		for value := range strings.SplitSeq(all, "|") {
			_, err := load(environment(map[string]string{name: value}))

			if err == nil || !strings.HasPrefix(err.Error(), name+": ") || strings.Count(err.Error(), "SEGURA_") > 1 || strings.ContainsAny(err.Error(), "\n!") || strings.Contains(err.Error(), "safe") {
				t.Errorf("%s=%q: got %v, want one line that begins with the variable", name, value, err)
			}
		}
	}
}

func TestLoad_hasTheDocumentedDefaults(t *testing.T) {
	got, err := config.Load(environment(nil))

	want := config.Config{SecretID: "segura/mysafe-key", CredentialsTTL: 5 * time.Minute, AttemptTimeout: 10 * time.Second, MaxAttempts: 4, MaxConcurrency: 8}
	got.DefaultIdentifiers = append([]apisecret.Identifier(nil), got.DefaultIdentifiers...) // nil or empty are the same
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v and %v, want %+v", got, err, want)
	}
}

func TestLoad_readsEachVariable(t *testing.T) {
	allowed, err := apisecret.ParseSet("5,7,100-199")
	if err != nil {
		t.Fatal(err)
	}
	got, err := config.Load(environment(map[string]string{
		"SEGURA_SECRET_ID":             "arn:aws:secretsmanager:eu-west-1:123456789012:secret:segura-AbCdEf",
		"SEGURA_CREDENTIALS_TTL":       "90s",
		"SEGURA_ATTEMPT_TIMEOUT":       "1.5s",
		"SEGURA_MAX_ATTEMPTS":          "1",
		"SEGURA_MAX_CONCURRENCY":       "900",
		"SEGURA_MAX_CALLS_PER_SECOND":  "0.5",
		"SEGURA_ALLOWED_IDENTIFIERS":   "5,7,100-199",
		"SEGURA_DEFAULT_IDENTIFIERS":   "100-102, 7",
		"SEGURA_ALLOWED_EVENT_SOURCES": "aws.scheduler, com.example.change-management",
	}))

	want := config.Config{
		SecretID:            "arn:aws:secretsmanager:eu-west-1:123456789012:secret:segura-AbCdEf",
		CredentialsTTL:      90 * time.Second,
		AttemptTimeout:      1500 * time.Millisecond,
		MaxAttempts:         1,
		MaxConcurrency:      900,
		CallsPerSecond:      0.5,
		AllowedIdentifiers:  allowed,
		DefaultIdentifiers:  []apisecret.Identifier{100, 101, 102, 7},
		AllowedEventSources: []string{"aws.scheduler", "com.example.change-management"},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v and %v, want %+v", got, err, want)
	}
}

func TestLoad_takesWhatCanBeUsed(t *testing.T) {
	for name, values := range map[string]string{ // separated by |
		"SEGURA_CREDENTIALS_TTL": "1ns|1h30m|0.5h|", "SEGURA_ATTEMPT_TIMEOUT": "1m|2s500ms|", "SEGURA_MAX_ATTEMPTS": "1|10|100|", "SEGURA_MAX_CONCURRENCY": "1|100|900|",
		"SEGURA_MAX_CALLS_PER_SECOND": "10|0.5|1000000|.5|10.|", "SEGURA_ALLOWED_IDENTIFIERS": "5|1-9223372036854775807|100-199,1-10,5-7,5|",
		"SEGURA_DEFAULT_IDENTIFIERS": "1-5000,2000-10000|1-10000|", "SEGURA_ALLOWED_EVENT_SOURCES": "aws.events,com.example.app|",
		"HTTPS_PROXY": "http://proxy.example.com:8080|https://proxy|socks5://10.0.0.1:1080|socks5h://proxy:1080|proxy.example.com:8080|proxy|" +
			"http://svc:100%25safe@proxy:8080|svc:pass@proxy:8080|http://[2001:db8::1]:3128|HTTP://proxy:8080/|",
		"NO_PROXY": " |*|localhost,127.0.0.1, .example.com ,*.example.org,10.0.0.0/8|example.com:443|[2001:db8::1]:443,::1,2001:db8::/32,[::1]|a.com,|<local>|",
	} {
		for value := range strings.SplitSeq(values, "|") {
			if _, err := config.Load(environment(map[string]string{name: value})); err != nil {
				t.Errorf("%s=%q: got %v", name, value, err)
			}
		}
	}
}

func TestLoad_namesTheVariableThatCannotBeUsed(t *testing.T) {
	requireFault(t, config.Load, map[string]string{
		"SEGURA_SECRET_ID":             "| |\t\n",
		"SEGURA_CREDENTIALS_TTL":       "0|0s|-5m|5|five minutes|5 m|m|1e9h|1d|5m | 5m|NaN|9999999999h",
		"SEGURA_ATTEMPT_TIMEOUT":       "0|-1ns|soon| ",
		"SEGURA_MAX_ATTEMPTS":          "0|-1|1.5|four|101|99999999999999999999| 4|0x4|4 |1e3|1_000|٤",
		"SEGURA_MAX_CONCURRENCY":       "0|many|901",
		"SEGURA_MAX_CALLS_PER_SECOND":  "0|0.0|-1|many|1e3|NaN|Inf|1000001| 5|5 |1,5|0x1|1_0|.",
		"SEGURA_ALLOWED_IDENTIFIERS":   " |,|0|5,|7-5|a|*|05|9223372036854775808",
		"SEGURA_DEFAULT_IDENTIFIERS":   " |5,|a|1-10001|1-9223372036854775807|1-6000,7000-11000",
		"SEGURA_ALLOWED_EVENT_SOURCES": ",|a,|,a|a,,b| |a, ,b",
	})
}

func TestLoad_namesTheParameterToo(t *testing.T) {
	for variable, want := range map[string]string{
		"SEGURA_MAX_ATTEMPTS": `SEGURA_MAX_ATTEMPTS: "a;b" is not a whole number from 1 to 100 (parameter MaxAttempts)`,
		"NO_PROXY":            "NO_PROXY: element 1 is neither a host, a domain, an address nor a range of addresses such as 10.0.0.0/8; commas stand in between (parameter NoProxy)",
		"no_proxy":            "no_proxy: element 1 is neither a host, a domain, an address nor a range of addresses such as 10.0.0.0/8; commas stand in between",
	} {
		_, err := config.Load(environment(map[string]string{variable: "a;b"}))

		if err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", variable, err, want)
		}
	}
}

func TestLoad_tellsAllFaultsAtOnce(t *testing.T) {
	_, err := config.Load(func(string) string { return " " })

	if err == nil {
		t.Fatal("got no error")
	}
	var named []string
	for line := range strings.Lines(err.Error()) {
		name, _, _ := strings.Cut(line, ":")
		named = append(named, name)
	}
	want := []string{
		"SEGURA_SECRET_ID", "SEGURA_CREDENTIALS_TTL", "SEGURA_ATTEMPT_TIMEOUT", "SEGURA_MAX_ATTEMPTS", "SEGURA_MAX_CONCURRENCY",
		"SEGURA_MAX_CALLS_PER_SECOND", "SEGURA_ALLOWED_IDENTIFIERS", "SEGURA_DEFAULT_IDENTIFIERS", "SEGURA_ALLOWED_EVENT_SOURCES",
		"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy",
	}
	if !slices.Equal(named, want) {
		t.Errorf("got faults of %v, want of %v", named, want)
	}
}

// net/http goes out directly, without a word, where it can make nothing of one.
func TestLoad_refusesAProxyThatNetHTTPWouldPassBy(t *testing.T) {
	const (
		proxies = "http://svc:100%safe@proxy:8080|http://svc:p/w@proxy:8080|http://svc:p#w@proxy:8080|http://proxy:port|http://pro xy:8080| |" +
			"http://|http:///path|ftp://proxy:21|://proxy|http://proxy:99999999|http://proxy:0|http://proxy:|http://[::1:8080|" +
			`“http://proxy:8080”|"http://proxy:8080"|http=proxy:80;https=proxy:80|http://http://proxy:8080|` + "http://proxy:8080\n"
		exceptions = `10.0.0.0/33|a.com b.com|a.com;b.com|https://a.com|a.com/path|a.com:port|a.com:0|a.com:99999|:443|.|1:2:3|"a.com"|http://svc:safe@proxy:8080`
	)
	requireFault(t, config.Load, map[string]string{
		"HTTPS_PROXY": proxies, "https_proxy": proxies, "HTTP_PROXY": proxies, "http_proxy": proxies, "NO_PROXY": exceptions, "no_proxy": exceptions,
	})
}

func TestLoadWindows_readsEachVariableAndNamesTheOneAtFault(t *testing.T) {
	for _, row := range []struct {
		env  map[string]string
		want config.Windows
	}{
		{nil, config.Windows{Table: "windows", Longest: 24 * time.Hour, RetentionDays: 400}},
		{map[string]string{"SEGURA_WINDOW_MAX_DURATION": "0s"}, config.Windows{Table: "windows", RetentionDays: 400}},
		{map[string]string{
			"SEGURA_WINDOWS_TABLE": "arn:aws:dynamodb:eu-west-1:1:table/w", "SEGURA_WINDOW_MAX_DURATION": "72h", "SEGURA_WINDOW_RETENTION_DAYS": "1", "SEGURA_GUARDED_IDENTIFIERS": "5,7-8",
		}, config.Windows{Table: "arn:aws:dynamodb:eu-west-1:1:table/w", Longest: 72 * time.Hour, RetentionDays: 1, Guarded: []apisecret.Identifier{5, 7, 8}}},
	} {
		got, err := config.LoadWindows(environment(row.env))

		got.Guarded = append([]apisecret.Identifier(nil), got.Guarded...) // nil or empty are the same
		if err != nil || !reflect.DeepEqual(got, row.want) {
			t.Errorf("%v: got %+v and %v, want %+v", row.env, got, err, row.want)
		}
	}
	requireFault(t, config.LoadWindows, map[string]string{
		"SEGURA_WINDOWS_TABLE": "| |ab|my table|a:b", "SEGURA_WINDOW_MAX_DURATION": "0d|1d|-1h|100ms", "SEGURA_WINDOW_RETENTION_DAYS": "0|24h|3651", "SEGURA_GUARDED_IDENTIFIERS": "x|1-10001",
	})
}
