package acceptance

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"segura-enable/simulated/seguratest"
	"segura-enable/simulated/stage"
)

// metricUnits are the metrics and their units.
var metricUnits = map[string]string{
	"Enabled": "Count", "AlreadyEnabled": "Count", "Disabled": "Count", "AlreadyDisabled": "Count", "Failed": "Count",
	"CallLatency": "Milliseconds", "TokenLatency": "Milliseconds", "Attempts": "Count", "CredentialRefresh": "Count", "SecretUnusable": "Count",
	"AccessKeyDaysLeft": "None",
}

// directive is the part of a metric line that tells CloudWatch what to read.
type directive struct {
	Namespace  string
	Dimensions [][]string
	Metrics    []struct {
		Name              string
		Unit              string
		StorageResolution int
	}
}

// checkMetricLine checks a line against CloudWatch's specification of the
// embedded metric format, and returns its directives.
func checkMetricLine(t *testing.T, l stage.Line, function string) []directive {
	t.Helper()
	var aws struct {
		Timestamp         json.Number
		CloudWatchMetrics []directive
	}
	decode(t, encoded(t, l["_aws"]), &aws)
	if ms, err := aws.Timestamp.Int64(); err != nil || math.Abs(float64(time.Now().UnixMilli()-ms)) > 600_000 {
		t.Errorf("Timestamp %s is not the present in milliseconds", aws.Timestamp)
	}
	if len(aws.CloudWatchMetrics) == 0 {
		t.Errorf("%v: no directive", l)
	}
	for _, d := range aws.CloudWatchMetrics {
		if d.Namespace != "Segura" || len(d.Dimensions) == 0 || len(d.Metrics) == 0 || len(d.Metrics) > 100 {
			t.Errorf("%v: the directive has no namespace, dimensions or metrics, or too many: %+v", l, d)
		}
		for _, set := range d.Dimensions {
			if !slices.Equal(set, []string{"Function"}) && !slices.Equal(set, []string{"Function", "Code"}) {
				t.Errorf("got dimensions %v, want Function, or Function and Code", set)
			}
			for _, name := range set {
				if value := l.Text(name); value == "" || len(value) > 1024 || strings.HasPrefix(value, ":") {
					t.Errorf("the dimension %s is %q", name, value)
				}
			}
		}
		for _, m := range d.Metrics {
			checkMetric(t, l, m.Name, m.Unit)
		}
	}
	if got := l.Text("Function"); got != function {
		t.Errorf("got Function %q, want %q", got, function)
	}
	return aws.CloudWatchMetrics
}

func checkMetric(t *testing.T, l stage.Line, name, unit string) {
	t.Helper()
	if want, known := metricUnits[name]; !known || unit != want {
		t.Errorf("metric %s has the unit %q, want %q", name, unit, want)
	}
	switch value := l[name].(type) {
	case float64:
	case []any:
		if len(value) == 0 || len(value) > 100 {
			t.Errorf("metric %s has %d values, want 1 to 100", name, len(value))
		}
		for _, one := range value {
			if _, ok := one.(float64); !ok {
				t.Errorf("metric %s has the value %v", name, one)
			}
		}
	default:
		t.Errorf("metric %s is %T, want a number or several", name, value)
	}
}

// tally adds up metric lines as CloudWatch would, as "Failed Function" and
// "Failed Function+not_found"; latencies are counted.
func tally(t *testing.T, lines []stage.Line, function string) map[string]float64 {
	t.Helper()
	sums := map[string]float64{}
	for _, l := range lines {
		for _, d := range checkMetricLine(t, l, function) {
			for _, set := range d.Dimensions {
				key := "Function"
				if slices.Contains(set, "Code") {
					key += "+" + l.Text("Code")
				}
				for _, m := range d.Metrics {
					sums[m.Name+" "+key] += amount(m.Unit, l[m.Name])
				}
			}
		}
	}
	for key, sum := range sums {
		if sum == 0 {
			delete(sums, key)
		}
	}
	return sums
}

func amount(unit string, value any) float64 {
	values, several := value.([]any)
	if !several {
		values = []any{value}
	}
	sum := 0.0
	for _, one := range values {
		n, _ := one.(float64)
		if unit == "Milliseconds" {
			n = 1
		}
		sum += n
	}
	return sum
}

func (w *world) tallies(t *testing.T, about string, inv []stage.Line, want map[string]float64) {
	t.Helper()
	got := tally(t, inv, stage.FunctionName(w.setup.function))
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s: got %v, want %v", about, got, want)
	}
}

func TestMetrics_countWhatHappenedInAnInvocation(t *testing.T) {
	t.Parallel()
	w := start(t, setup{segura: anyIdentifier, env: map[string]string{"SEGURA_MAX_ATTEMPTS": "2", "SEGURA_ALLOWED_IDENTIFIERS": "1-999"}})
	w.segura.Fail(seguratest.Match{Identifier: 10}, seguratest.Unexpected500(), 1)
	w.segura.Fail(seguratest.Match{Identifier: 11}, seguratest.Unexpected500(), 2)
	w.enable(5, 6, 9, 10, 11, 7, 8, 1000, 1001)
	// What init did, the secret and the token, is counted once as well.
	w.tallies(t, "enable", w.metrics(), map[string]float64{
		"Enabled Function": 3, "AlreadyEnabled Function": 1, "Failed Function": 5, "Attempts Function": 9, "CallLatency Function": 9,
		"TokenLatency Function": 1, "CredentialRefresh Function": 1, "Failed Function+upstream_error": 1, "Failed Function+not_found": 1,
		"Failed Function+access_denied": 1, "Failed Function+not_allowed": 2,
	})
	if n := len(w.metrics()); n != 5 {
		t.Errorf("got %d metric lines, want one for the invocation and one for each of 4 codes", n)
	}
	inv := w.invoke(`{"identifiers":[5,12,13],"action":"disable"}`)
	w.tallies(t, "disable", pick(parse(t, inv.Logs), stage.Line.IsMetric), map[string]float64{
		"Disabled Function": 1, "AlreadyDisabled Function": 2, "Attempts Function": 3, "CallLatency Function": 3,
	})
	if n := len(pick(parse(t, inv.Logs), stage.Line.IsMetric)); n != 1 {
		t.Errorf("got %d metric lines for one invocation without failures, want 1", n)
	}
}

func TestMetrics_ofTheAPIFunction(t *testing.T) {
	t.Parallel()
	w := start(t, setup{function: api, segura: anyIdentifier})
	w.http("POST", "/api-secrets/5/enable", "", nil)
	w.tallies(t, "one", w.metrics(), map[string]float64{
		"Enabled Function": 1, "Attempts Function": 1, "CallLatency Function": 1, "TokenLatency Function": 1, "CredentialRefresh Function": 1,
	})
	a := w.rest("POST", "/api-secrets/enable", `{"identifiers":[7,8,5]}`, nil)
	w.tallies(t, "three", pick(parse(t, a.Logs), stage.Line.IsMetric), map[string]float64{
		"AlreadyEnabled Function": 1, "Failed Function": 2, "Attempts Function": 3, "CallLatency Function": 3,
		"Failed Function+not_found": 1, "Failed Function+access_denied": 1,
	})
	a = w.http("POST", "/api-secrets/5/disable", "", nil)
	w.tallies(t, "disable", pick(parse(t, a.Logs), stage.Line.IsMetric), map[string]float64{
		"Disabled Function": 1, "Attempts Function": 1, "CallLatency Function": 1,
	})
}

func TestMetrics_countTokensAndReadsOfTheSecret(t *testing.T) {
	t.Parallel()
	w := start(t, setup{segura: anyIdentifier, env: map[string]string{"SEGURA_CREDENTIALS_TTL": alwaysExpired, "SEGURA_MAX_ATTEMPTS": "3"}})
	w.one(5)
	before := w.segura.Count(seguratest.KindToken)
	w.segura.RevokeTokens()
	w.segura.Fail(seguratest.Match{Kind: seguratest.KindToken}, seguratest.Unexpected500(), 1)
	inv := w.enable(5)
	tokens := w.segura.Count(seguratest.KindToken) - before
	w.tallies(t, "revoked", pick(parse(t, inv.Logs), stage.Line.IsMetric), map[string]float64{
		"AlreadyEnabled Function": 1, "Attempts Function": 2, "CallLatency Function": 2, "TokenLatency Function": float64(tokens), "CredentialRefresh Function": 1,
	})
	if tokens != 2 {
		t.Errorf("got %d token requests, want 2", tokens)
	}
	total := tally(t, w.metrics(), stage.FunctionName(w.setup.function))
	if got, want := total["CredentialRefresh Function"], float64(w.secrets.Reads()); got != want {
		t.Errorf("got CredentialRefresh %v over the whole life, want the %v reads that there were", got, want)
	}
	if got, want := total["TokenLatency Function"], float64(w.segura.Count(seguratest.KindToken)); got != want {
		t.Errorf("got %v values of TokenLatency over the whole life, want %v", got, want)
	}
}

func TestMetrics_haveTheDaysThatTheAccessKeyHasLeft(t *testing.T) {
	t.Parallel()
	expires := time.Now().Add(20*24*time.Hour + time.Hour).Format(time.RFC3339)
	w := start(t, setup{secret: map[string]any{"expires_at": expires}})
	w.one(5)
	w.one(5)
	lines := w.metrics()
	for _, l := range lines {
		if days, _ := l["AccessKeyDaysLeft"].(float64); days < 20 || days > 20.1 {
			t.Errorf("got AccessKeyDaysLeft %v, want 20.04", l["AccessKeyDaysLeft"])
		}
	}
	if len(lines) != 2 {
		t.Errorf("got %d metric lines, want one an invocation", len(lines))
	}
}

func TestMetrics_latenciesAreOfTheCalls(t *testing.T) {
	t.Parallel()
	w := start(t, setup{segura: seguratest.Options{AnyIdentifier: true, Latency: seguratest.Latency{Call: 120 * time.Millisecond, Token: 60 * time.Millisecond}}})
	w.one(5)
	for _, l := range w.metrics() {
		call, _ := l["CallLatency"].([]any)
		token, _ := l["TokenLatency"].([]any)
		if len(call) != 1 || len(token) != 1 {
			t.Fatalf("got CallLatency %v and TokenLatency %v, want one each", l["CallLatency"], l["TokenLatency"])
		}
		if ms, _ := call[0].(float64); ms < 120 || ms > 3000 {
			t.Errorf("got CallLatency %v ms for a call of 120 ms", ms)
		}
		if ms, _ := token[0].(float64); ms < 60 || ms > 3000 {
			t.Errorf("got TokenLatency %v ms for a token of 60 ms", ms)
		}
	}
}
