package bench

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"math"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"segura-enable/simulated/runtimeapi"
	"segura-enable/simulated/seguratest"
	"segura-enable/simulated/stage"
)

const recorded = "testdata/counts.json"

var record = flag.Bool("record", false, "write what is counted to "+recorded+" instead of holding it against that")

// tolerance is how far a count may be from the recorded one. Those that it is for
// depend a little on the version of Go, or on which goroutine comes first.
const tolerance = 0.05

// A change that makes the functions larger, chattier or more wasteful is to be
// noticed, and one that makes them less so to be kept. What is counted does not
// depend on the machine or on how busy it is.
func TestCounts_areThoseRecorded(t *testing.T) {
	got := countInvocations(t)
	for _, name := range []string{"api", "event"} {
		maps.Copy(got, countLinked(t, name))
	}
	if *record {
		text, err := json.MarshalIndent(got, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(recorded, append(text, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}

	text, err := os.ReadFile(recorded)
	if err != nil {
		t.Fatal(err)
	}
	var want map[string]float64
	if err := json.Unmarshal(text, &want); err != nil {
		t.Fatalf("%s: %v", recorded, err)
	}

	for _, name := range slices.Sorted(maps.Keys(got)) {
		t.Logf("%s: %g", name, got[name])
		if wanted, ok := want[name]; !ok || math.Abs(got[name]-wanted) > wanted*toleranceOf(name) {
			t.Errorf("%s: got %g, want %g. If that is as it should be, say why in the commit, and run go test ./test/bench -run Counts -record", name, got[name], wanted)
		}
	}
}

// toleranceOf is zero for what is exact: requests, and which packages are linked.
func toleranceOf(name string) float64 {
	if strings.HasPrefix(name, "requests") || strings.HasPrefix(name, "packages of modules") {
		return 0
	}
	return tolerance
}

// countLinked counts what goes into a function, built as it is deployed.
func countLinked(t *testing.T, name string) map[string]float64 {
	t.Helper()
	platform := []string{"GOOS=linux", "GOARCH=amd64"}
	size, _, err := sizes(build(t, name, stage.BuildOptions{Env: platform, Flags: []string{"-buildvcs=false", "-ldflags", deployedFlags}}))
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), "go", "list", "-deps", "-tags", "lambda.norpc", "./functions/"+name)
	command.Dir = "../.."
	command.Env = append(append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS="), platform...)
	output, err := command.Output()
	if err != nil {
		t.Fatalf("%v: %v", command, err)
	}
	packages := strings.Fields(string(output))
	ofModules := 0
	for _, path := range packages {
		if first, _, _ := strings.Cut(path, "/"); strings.Contains(first, ".") || first == "segura-enable" {
			ofModules++
		}
	}
	return map[string]float64{
		"bytes of the binary, " + name: float64(size), "packages, " + name: float64(len(packages)), "packages of modules, " + name: float64(ofModules),
	}
}

func build(t *testing.T, program string, o stage.BuildOptions) string {
	t.Helper()
	built, err := stage.Build(t.Context(), t.TempDir(), o, program)
	if err != nil {
		t.Fatal(err)
	}
	return built[program]
}

// counted is a running function, and what it calls.
type counted struct {
	*stage.Stack
	function *runtimeapi.Function
}

// countInvocations counts what a process does for its invocations. That of init goes to
// the first one, which is the cold one.
func countInvocations(t *testing.T) map[string]float64 {
	t.Helper()
	stack, err := stage.Start(t.Context(), stage.Options{Functions: []string{}, Segura: seguratest.Options{
		AnyIdentifier: true, APISecrets: map[int64]seguratest.APISecret{},
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stack.Close() })
	counter := build(t, "./test/bench/testdata/counter", stage.BuildOptions{Flags: []string{"-buildvcs=false"}})
	function, err := stack.StartFunction(t.Context(), stage.Event, runtimeapi.Options{Bootstrap: counter, Timeout: 5 * time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	c := counted{stack, function}

	c.invoke(t, 1)
	cold := c.requests()
	_, loggedForOne := c.invoke(t, 1)
	got := map[string]float64{"bytes logged per invocation of one": loggedForOne}
	for name, all := range c.requests() {
		got["requests cold: "+name], got["requests warm: "+name] = cold[name], all-cold[name]
	}
	c.invoke(t, 100) // for what is done once
	hundred, loggedForHundred := c.invoke(t, 100)
	thousand, loggedForThousand := c.invoke(t, 1_000)
	tenThousand, _ := c.invoke(t, 10_000)
	got["allocations per identifier, of 1,000"] = round((thousand - hundred) / 900)
	got["allocations per identifier, of 10,000"] = round((tenThousand - thousand) / 9_000)
	got["bytes logged per identifier"] = round((loggedForThousand - loggedForHundred) / 900)
	return got
}

func round(x float64) float64 { return math.Round(x*10) / 10 }

// invoke has n identifiers enabled, and counts the objects that were allocated for it
// and the bytes that were logged.
func (c counted) invoke(t *testing.T, n int) (allocations, logged float64) {
	t.Helper()
	inv, err := c.function.Invoke(t.Context(), payload(n))
	if err != nil || inv.FunctionError {
		t.Fatalf("%d identifiers: %v %.300s", n, err, inv.Payload)
	}
	for _, line := range inv.Logs {
		if _, err := fmt.Sscanf(line, "allocations %f", &allocations); err != nil {
			logged += float64(len(line) + 1)
		}
	}
	return allocations, logged
}

// requests counts what the function asked for so far.
func (c counted) requests() map[string]float64 {
	connections := map[int]bool{}
	for _, r := range c.Segura.Requests() {
		connections[r.Connection] = true
	}
	return map[string]float64{
		"reads of the AWS secret": float64(c.Secrets.Reads()),
		"for a token":             float64(c.Segura.Count(seguratest.KindToken)),
		"to enable":               float64(c.Segura.Count(seguratest.KindEnable)),
		"connections to Segura":   float64(len(connections)),
	}
}
