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

// environment is a getenv of these variables, the required one added.
func environment(variables map[string]string) func(string) string {
	return func(name string) string {
		if value, ok := variables[name]; ok {
			return value
		}
		if name == "SEGURA_SECRET_ID" {
			return "segura/mysafe-key"
		}
		return ""
	}
}

func set(t *testing.T, text string) apisecret.Set {
	t.Helper()
	s, err := apisecret.ParseSet(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestLoad_hasTheDocumentedDefaults(t *testing.T) {
	got, err := config.Load(environment(nil))

	want := config.Config{
		SecretID:       "segura/mysafe-key",
		CredentialsTTL: 5 * time.Minute,
		AttemptTimeout: 10 * time.Second,
		MaxAttempts:    4,
		MaxConcurrency: 8,
	}
	got.DefaultIdentifiers = append([]apisecret.Identifier(nil), got.DefaultIdentifiers...) // nil or empty are the same
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v and %v, want %+v", got, err, want)
	}
}

func TestLoad_readsEachVariable(t *testing.T) {
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
		AllowedIdentifiers:  set(t, "5,7,100-199"),
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
		"SEGURA_MAX_CALLS_PER_SECOND":  "10|0.5|1000000|.5|10.|",
		"SEGURA_ALLOWED_IDENTIFIERS":   "5|5-5|1-9223372036854775807|100-199,1-10,5-7,5|9223372036854775807,5|",
		"SEGURA_DEFAULT_IDENTIFIERS":   "1-5000,2000-10000|9223372036854775807|",
		"SEGURA_ALLOWED_EVENT_SOURCES": "aws.events,com.example.app|",
	} {
		for value := range strings.SplitSeq(values, "|") {
			if _, err := config.Load(environment(map[string]string{name: value})); err != nil {
				t.Errorf("%s=%q: got %v", name, value, err)
			}
		}
	}
}

func TestLoad_takesAsManyDefaultIdentifiersAsAnEvent(t *testing.T) {
	got, err := config.Load(environment(map[string]string{"SEGURA_DEFAULT_IDENTIFIERS": "1-10000"}))

	if err != nil || len(got.DefaultIdentifiers) != 10_000 {
		t.Errorf("got %d identifiers and %v, want 10,000", len(got.DefaultIdentifiers), err)
	}
}

func TestLoad_namesTheVariableThatCannotBeUsed(t *testing.T) {
	for _, row := range []struct{ name, values string }{ // values are separated by |
		{"SEGURA_SECRET_ID", "| |\t\n"},
		{"SEGURA_CREDENTIALS_TTL", "0|0s|-5m|5|five minutes|5 m|m|1e9h|1d|5m | 5m|1e3s|5M|NaN|9999999999h|-0.5h"},
		{"SEGURA_ATTEMPT_TIMEOUT", "0|0s|-1ns|10|soon|10S| "},
		{"SEGURA_MAX_ATTEMPTS", "0|-1|1.5|four|101|99999999999999999999| 4|0x4|4 |1e3|1_000|٤"},
		{"SEGURA_MAX_CONCURRENCY", "0|-8|8.0|many|901|1e2"},
		{"SEGURA_MAX_CALLS_PER_SECOND", "0|0.0|-1|many|1e3|NaN|Inf|1000001| 5|5 |1,5|0x1|1_0|."},
		{"SEGURA_ALLOWED_IDENTIFIERS", " |,|0|5,|5-|7-5|a|*|5;6|05|9223372036854775808|,5|5,,6|-5|5-6-7|1.5|5-9223372036854775808|0-5|5 6|5,x|٥|5–7|+5|0x5|1e3"},
		{"SEGURA_DEFAULT_IDENTIFIERS", " |,|0|5,|5-|7-5|a|*|1-10001|1-9223372036854775807|1-6000,7000-11000"},
		{"SEGURA_ALLOWED_EVENT_SOURCES", ",|a,|,a|a,,b| |a, ,b"},
	} {
		for value := range strings.SplitSeq(row.values, "|") {
			_, err := config.Load(environment(map[string]string{row.name: value}))

			if err == nil {
				t.Errorf("%s=%q: got no error", row.name, value)
				continue
			}
			if got := err.Error(); !strings.HasPrefix(got, row.name+": ") || strings.Count(got, "SEGURA_") != 1 || strings.Contains(got, "%!") {
				t.Errorf("%s=%q: got the error %q, want one that begins with the variable", row.name, value, got)
			}
		}
	}
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
	good := map[string][]string{
		"HTTPS_PROXY": {
			"", "http://proxy.example.com:8080", "https://proxy", "socks5://10.0.0.1:1080", "socks5h://proxy:1080", "proxy.example.com:8080", "proxy",
			"http://svc:100%25safe@proxy:8080", "svc:pass@proxy:8080", "http://[2001:db8::1]:3128", "HTTP://proxy:8080/",
		},
		"NO_PROXY": {
			"", " ", "*", "localhost,127.0.0.1, .example.com ,*.example.org,10.0.0.0/8", "example.com:443", "[2001:db8::1]:443,::1,2001:db8::/32,[::1]", "a.com,", "<local>",
		},
	}
	bad := map[string][]string{
		"HTTPS_PROXY": {
			"http://svc:100%safe@proxy:8080", "http://svc:p/w@proxy:8080", "http://svc:p#w@proxy:8080", "http://proxy:port", "http://pro xy:8080", " ",
			"http://", "http:///path", "ftp://proxy:21", "://proxy", "http://proxy:99999999", "http://proxy:0", "http://proxy:", "http://[::1:8080",
			"“http://proxy:8080”", `"http://proxy:8080"`, "http://proxy:8080\n", "http=proxy:80;https=proxy:80", "http://http://proxy:8080",
		},
		"NO_PROXY": {
			"10.0.0.0/33", "a.com b.com", "a.com;b.com", "https://a.com", "a.com/path", "a.com:port", "a.com:0", "a.com:99999", ":443", ".", "1:2:3", `"a.com"`, "http://svc:safe@proxy:8080",
		},
	}
	for name, values := range good {
		for _, variable := range []string{name, strings.ToLower(name), strings.Replace(name, "HTTPS", "HTTP", 1)} {
			for _, value := range values {
				if _, err := config.Load(environment(map[string]string{variable: value})); err != nil {
					t.Errorf("%s=%q: got %v", variable, value, err)
				}
			}
		}
	}
	for name, values := range bad {
		for _, variable := range []string{name, strings.ToLower(name), strings.Replace(name, "HTTPS", "HTTP", 1)} {
			for _, value := range values {
				_, err := config.Load(environment(map[string]string{variable: value}))

				if err == nil || !strings.HasPrefix(err.Error(), variable+": ") || strings.Contains(err.Error(), "\n") {
					t.Errorf("%s=%q: got %v, want one line that names it", variable, value, err)
				} else if strings.Contains(err.Error(), "safe") {
					t.Errorf("%s=%q: got a password in %q", variable, value, err)
				}
			}
		}
	}
}

// A configuration that is accepted is usable: no limit is zero or out of its
// bounds, and its lists are within theirs.
func FuzzLoad(f *testing.F) {
	f.Add("segura", "5m", "10s", "4", "8", "5,7,100-199", "5", "aws.scheduler")
	f.Add("", "", "", "", "", "", "", "")
	f.Add("x", "-1s", "1h", "0", "901", "7-5", "1-10001", ",")
	f.Add("%s", "%d", "%v", "%!", "+4", "1-9223372036854775807", "1-2,2-3", "a, b")
	f.Fuzz(func(t *testing.T, id, ttl, timeout, attempts, concurrency, allowed, defaults, sources string) {
		variables := map[string]string{
			"SEGURA_SECRET_ID": id, "SEGURA_CREDENTIALS_TTL": ttl, "SEGURA_ATTEMPT_TIMEOUT": timeout, "SEGURA_MAX_ATTEMPTS": attempts,
			"SEGURA_MAX_CONCURRENCY": concurrency, "SEGURA_ALLOWED_IDENTIFIERS": allowed, "SEGURA_DEFAULT_IDENTIFIERS": defaults,
			"SEGURA_ALLOWED_EVENT_SOURCES": sources,
		}
		c, err := config.Load(func(name string) string { return variables[name] })
		if err != nil {
			for line := range strings.Lines(err.Error()) {
				if name, _, _ := strings.Cut(line, ":"); variables[name] == "" && name != "SEGURA_SECRET_ID" {
					t.Fatalf("%q: the fault %q names no variable that is set", variables, line)
				}
			}
			return
		}
		if strings.TrimSpace(c.SecretID) == "" || c.CredentialsTTL <= 0 || c.AttemptTimeout <= 0 || c.MaxAttempts < 1 || c.MaxConcurrency < 1 ||
			c.MaxAttempts > 100 || c.MaxConcurrency > 900 || len(c.DefaultIdentifiers) > 10_000 {
			t.Fatalf("%q: got %+v", variables, c)
		}
		if c.AllowedIdentifiers.IsEmpty() != (allowed == "") || (len(c.DefaultIdentifiers) == 0) != (defaults == "") || (c.AllowedEventSources == nil) != (sources == "") {
			t.Fatalf("%q: a list that is set was dropped, or one came from nowhere: %+v", variables, c)
		}
		if slices.Contains(c.AllowedEventSources, "") {
			t.Fatalf("%q: got an empty source", variables)
		}
	})
}

func TestLoadWindows_readsEachVariableAndNamesTheOneAtFault(t *testing.T) {
	all := map[string]string{
		"SEGURA_WINDOWS_TABLE": "windows", "SEGURA_WINDOW_MAX_DURATION": "72h", "SEGURA_WINDOW_RETENTION_DAYS": "1", "SEGURA_GUARDED_IDENTIFIERS": "5,7-8",
	}
	load := func(name, value string) (config.Windows, error) {
		return config.LoadWindows(func(asked string) string {
			if asked == name {
				return value
			}
			return all[asked]
		})
	}

	got, err := load("", "")
	defaults, err2 := config.LoadWindows(environment(map[string]string{"SEGURA_WINDOWS_TABLE": "windows"}))

	want := config.Windows{Table: "windows", Longest: 72 * time.Hour, RetentionDays: 1, Guarded: []apisecret.Identifier{5, 7, 8}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v and %v, want %+v", got, err, want)
	}
	if err2 != nil || defaults.Longest != 24*time.Hour || defaults.RetentionDays != 400 || len(defaults.Guarded) != 0 {
		t.Errorf("defaults: got %+v and %v", defaults, err2)
	}
	if none, err := load("SEGURA_WINDOW_MAX_DURATION", "0s"); err != nil || none.Longest != 0 {
		t.Errorf("no windows: got %+v and %v", none, err)
	}
	for name, values := range map[string]string{
		"SEGURA_WINDOWS_TABLE": "| |ab|my table", "SEGURA_WINDOW_MAX_DURATION": "0d|1d|-1h|100ms", "SEGURA_WINDOW_RETENTION_DAYS": "0|24h|3651", "SEGURA_GUARDED_IDENTIFIERS": "x|1-10001",
	} {
		for value := range strings.SplitSeq(values, "|") {
			if _, err := load(name, value); err == nil || !strings.HasPrefix(err.Error(), name+": ") {
				t.Errorf("%s=%q: got %v", name, value, err)
			}
		}
	}
}
