package bench

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"segura-enable/simulated/runtimeapi"
	"segura-enable/simulated/secretsmanager"
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
	got := map[string]float64{}
	for _, name := range []string{"api", "event"} {
		maps.Copy(got, countLinked(t, name))
	}
	maps.Copy(got, countInvocations(t))
	if *record {
		writeCounts(t, got)
	}

	want := readCounts(t)

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

func readCounts(t *testing.T) map[string]float64 {
	t.Helper()
	text, err := os.ReadFile(recorded)
	if err != nil {
		t.Fatal(err)
	}
	var counts map[string]float64
	if err := json.Unmarshal(text, &counts); err != nil {
		t.Fatalf("%s: %v", recorded, err)
	}
	return counts
}

func writeCounts(t *testing.T, counts map[string]float64) {
	t.Helper()
	text, err := json.MarshalIndent(counts, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(recorded, append(text, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}

// countLinked counts what goes into a function, built as it is deployed.
func countLinked(t *testing.T, name string) map[string]float64 {
	t.Helper()
	platform := []string{"GOOS=linux", "GOARCH=amd64"}
	size, err := fileSize(build(t, name, stage.BuildOptions{Env: platform, Flags: []string{"-buildvcs=false", "-ldflags", deployedFlags}}))
	if err != nil {
		t.Fatal(err)
	}
	packages := dependencies(t, name, platform)
	ofModules := slices.DeleteFunc(slices.Clone(packages), func(path string) bool {
		first, _, _ := strings.Cut(path, "/")
		return !strings.Contains(first, ".") && first != "segura-enable"
	})
	return map[string]float64{
		"bytes of the binary, " + name: float64(size),
		"packages, " + name:            float64(len(packages)),
		"packages of modules, " + name: float64(len(ofModules)),
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

// dependencies are the packages that are linked into a function.
func dependencies(t *testing.T, name string, env []string) []string {
	t.Helper()
	command := exec.Command("go", "list", "-deps", "-tags", "lambda.norpc", "./functions/"+name)
	command.Dir = filepath.Join("..", "..")
	command.Env = append(append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS="), env...)
	output, err := command.Output()
	if err != nil {
		t.Fatalf("%v: %v", command, err)
	}
	return strings.Fields(string(output))
}

// sizes are those of the invocations that are counted. The first is the cold one;
// the second and the fourth are for what is done once.
var sizes = []int{1, 1, 100, 100, 1_000, 10_000}

// countInvocations counts what a process does for its invocations.
func countInvocations(t *testing.T) map[string]float64 {
	t.Helper()
	stack, err := stage.Start(t.Context(), stage.Options{Functions: []string{}, Segura: seguratest.Options{
		AnyIdentifier: true, APISecrets: map[int64]seguratest.APISecret{},
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stack.Close() })
	function, err := stack.StartFunction(t.Context(), stage.Event, runtimeapi.Options{
		Bootstrap: build(t, "./test/bench/testdata/counter", stage.BuildOptions{Flags: []string{"-buildvcs=false"}}), Timeout: 5 * time.Minute,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := function.WaitReady(context.Background()); err != nil {
		t.Fatal(err)
	}
	w := &watched{t: t, function: function, segura: stack.Segura, vault: stack.Secrets}
	var seen []counted
	for _, size := range sizes {
		seen = append(seen, w.invoke(size))
	}
	cold, warm, hundred, thousand, tenThousand := seen[0], seen[1], seen[3], seen[4], seen[5]
	return map[string]float64{
		"requests cold: reads of the AWS secret": cold.reads,
		"requests cold: for a token":             cold.tokens,
		"requests cold: to enable":               cold.calls,
		"requests cold: connections to Segura":   cold.connections,
		"requests warm: reads of the AWS secret": warm.reads,
		"requests warm: for a token":             warm.tokens,
		"requests warm: to enable":               warm.calls,
		"requests warm: connections to Segura":   warm.connections,

		"allocations per identifier, of 1,000":  round(thousand.per(hundred, func(c counted) float64 { return c.allocations })),
		"allocations per identifier, of 10,000": round(tenThousand.per(thousand, func(c counted) float64 { return c.allocations })),
		"bytes logged per identifier":           round(thousand.per(hundred, func(c counted) float64 { return c.logged })),
		"bytes logged per invocation of one":    warm.logged,
	}
}

func round(x float64) float64 { return math.Round(x*10) / 10 }

// watched is a running function and what it calls.
type watched struct {
	t        *testing.T
	function *runtimeapi.Function
	segura   *seguratest.Server
	vault    *secretsmanager.Server
	before   counted // all so far
}

// counted is what was counted of one invocation. That of start-up goes to the
// first one.
type counted struct {
	size, allocations, logged         float64
	reads, tokens, calls, connections float64
}

// per returns what each identifier adds, given an invocation with fewer of them.
func (c counted) per(fewer counted, pick func(counted) float64) float64 {
	return (pick(c) - pick(fewer)) / (c.size - fewer.size)
}

func (w *watched) invoke(size int) counted {
	w.t.Helper()
	inv, err := w.function.Invoke(context.Background(), payload(size))
	if err != nil || inv.FunctionError {
		w.t.Fatalf("%d identifiers: %v %.300s", size, err, inv.Payload)
	}
	connections := map[int]bool{}
	for _, r := range w.segura.Requests() {
		connections[r.Connection] = true
	}
	now := counted{
		reads:       float64(w.vault.Reads()),
		tokens:      float64(w.segura.Count(seguratest.KindToken)),
		calls:       float64(w.segura.Count(seguratest.KindEnable)),
		connections: float64(len(connections)),
	}
	one := counted{
		size: float64(size), reads: now.reads - w.before.reads, tokens: now.tokens - w.before.tokens,
		calls: now.calls - w.before.calls, connections: now.connections - w.before.connections,
	}
	w.before = now
	for _, line := range inv.Logs {
		if _, err := fmt.Sscanf(line, "allocations %f", &one.allocations); err != nil {
			one.logged += float64(len(line) + 1)
		}
	}
	return one
}
