package bench

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"
)

func TestMedian_isTheMiddle(t *testing.T) {
	for _, row := range []struct {
		values []time.Duration
		want   time.Duration
	}{
		{nil, 0},
		{[]time.Duration{7}, 7},
		{[]time.Duration{9, 1, 5}, 5},
		{[]time.Duration{10, 1, 4, 2}, 3},
	} {
		if got := median(row.values); got != row.want {
			t.Errorf("%v: got %d, want %d", row.values, got, row.want)
		}
	}
}

func TestContender_isBuiltWithTheFlagsOfTheMakefile(t *testing.T) {
	makefile, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}

	if want := "-ldflags '" + deployedFlags + "$("; !strings.Contains(string(makefile), want) {
		t.Errorf("the Makefile has no %q", want)
	}
}

// sample is a report without a Python.
func sample() *Report {
	run := func(init, first time.Duration) []cold {
		return []cold{{init * time.Millisecond, first * time.Millisecond, 9 * time.Millisecond, 12 << 20}}
	}
	r := &Report{
		Machine:    "this machine",
		Contenders: []contender{{name: hello, title: "hello", size: 6 << 20}, {name: afternoon, title: "afternoon", size: 9 << 20}, {name: ours, title: "ours", size: 10 << 20}},
		Skipped:    []string{"Python: not here"},
		Cold:       map[string][]cold{afternoon: run(6, 14), ours: run(16, 2)},
		ColdSlow:   map[string][]cold{afternoon: run(6, 240), ours: run(140, 101)},
		Warm:       map[string][]time.Duration{afternoon: {time.Millisecond}, ours: {1100 * time.Microsecond}},
		Batch:      map[string][]many{ours: {{took: 600 * time.Millisecond}}},
		Many:       map[string][]many{ours: {{took: time.Second, rss: 20 << 20}}},
		Causes:     []cause{{"hello", 5 * time.Millisecond, 4 * time.Millisecond}},
	}
	for _, memory := range memories {
		one := func(took, cpu time.Duration) []spent {
			return []spent{{took * time.Millisecond, cpu * time.Millisecond}}
		}
		r.Shares = map[string][]*atShare{
			afternoon: append(r.Shares[afternoon], &atShare{memory, one(90, 8), one(10, 1), one(30, 1), one(5000, 100), one(50_000, 4000)}),
			ours:      append(r.Shares[ours], &atShare{memory, one(9, 1), one(12, 1), one(28, 1), one(520, 30), one(40_000, 3000)}),
		}
		r.Reconciled = append(r.Reconciled, reconciled{memory, spent{5 * time.Millisecond, time.Millisecond}, spent{100 * time.Second, 9 * time.Second}})
	}
	r.Deadlines = 200
	for _, n := range scaleSizes {
		for _, concurrency := range scaleConcurrency {
			c := cell{identifiers: n, concurrency: concurrency}
			c.took, c.rss = c.ideal(), 16<<20
			r.Scale = append(r.Scale, c)
		}
	}
	return r
}

func TestMarkdown_hasTheTablesAndTheVerdicts(t *testing.T) {
	var out strings.Builder

	err := sample().Markdown(&out)

	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"SKIPPED: Python: not here.",
		"<!-- peers: begin -->\n| | hello | afternoon | ours |\n",
		"| **both** | – | 20.00 ms | 18.00 ms |",
		"| cold start in all, of the afternoon's Go | 1.00 | 0.90 | met |",
		"| batch of 200, of the ideal | 1.100 | 1.200 | **missed** |",
		"| 8 | 10.00 ms, 16.0 MiB |",
		"<!-- scale: end -->\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("got no %q in\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "of the afternoon's Python |") {
		t.Errorf("got a target for a peer that was skipped:\n%s", out.String())
	}
}

func TestSharesMarkdown_hasTheTablesAndTheVerdicts(t *testing.T) {
	var out strings.Builder

	err := sample().SharesMarkdown(&out)

	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"SKIPPED: Python: not here.",
		// 0.20 and 28 ms of an eighth of a GB; 0.20 and 520 ms of it, by 200.
		"| 128 MB | ours | 9.00 ms (1.00 ms) | 12.00 ms (1.00 ms) | 28.00 ms (1.00 ms) | 520 ms (30.00 ms) | 40.0 s (3000 ms) | 0.25 | 0.0053 |",
		"| 1,769 MB | 5.00 ms (1.00 ms) | 100.0 s (9000 ms) |",
		"| warm invocation at 128 MB, of the afternoon's Go | 1.15 | 1.20 | **missed** |",
		"| batch of 200 at 128 MB, of the ideal | 1.100 | 1.040 | met |",
		"seconds | 120 | 100 | met |",
		"| of 200 invocations at 128 MB that ran out of time, killed | 0 | 0 | met |",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("got no %q in\n%s", want, out.String())
		}
	}
}

func TestPlots_areWellFormedAndHaveALineForEachRow(t *testing.T) {
	for name, row := range map[string]struct {
		plot func(io.Writer) error
		want int
	}{
		"scale":  {sample().Plot, 2 * len(scaleConcurrency)},
		"shares": {sample().SharesPlot, 2 * 4}, // contenders; three durations and a cost
	} {
		var out strings.Builder
		if err := row.plot(&out); err != nil {
			t.Fatal(err)
		}
		if got := linesIn(t, out.String()); got != row.want {
			t.Errorf("%s: got %d lines, want %d", name, got, row.want)
		}
	}
}

// linesIn counts the lines of a plot, which has to be well-formed.
func linesIn(t *testing.T, plot string) (lines int) {
	t.Helper()
	for decoder := xml.NewDecoder(strings.NewReader(plot)); ; {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return lines
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, plot)
		}
		if element, ok := token.(xml.StartElement); ok && element.Name.Local == "polyline" {
			lines++
		}
	}
}
