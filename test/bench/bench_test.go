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

func TestPlot_isWellFormedAndHasALineForEachConcurrency(t *testing.T) {
	var out strings.Builder
	if err := sample().Plot(&out); err != nil {
		t.Fatal(err)
	}

	lines := 0
	for decoder := xml.NewDecoder(strings.NewReader(out.String())); ; {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, out.String())
		}
		if element, ok := token.(xml.StartElement); ok && element.Name.Local == "polyline" {
			lines++
		}
	}

	if want := 2 * len(scaleConcurrency); lines != want {
		t.Errorf("got %d lines, want one for each of %v in both panels", lines, scaleConcurrency)
	}
}
