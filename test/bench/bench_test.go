package bench

import (
	"encoding/xml"
	"errors"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"segura-enable/simulated/stage"
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

// report is one without a Python.
func report() *Report {
	r := &Report{
		Machine: "this machine", Skipped: []string{"Python: not here"}, deadlines: 200,
		Contenders: []contender{{name: hello, title: "hello", size: 6 << 20}, {name: afternoon, title: "afternoon", size: 9 << 20}, {name: ours, title: "ours", size: 10 << 20}},
	}
	add := func(what, who string, memory int, took, cpu float64) {
		ms := float64(time.Millisecond)
		r.add(figure{what, who, memory}, sample{time.Duration(took * ms), time.Duration(cpu * ms), 16 << 20})
	}
	for _, row := range []struct {
		what         string
		theirs, mine float64
	}{
		{initial, 6, 16}, {first, 14, 2}, {both, 20, 18}, {slowly + both, 246, 241}, {warm, 1, 1.1}, {batch, 4000, 600}, {many, 3000, 1000},
	} {
		add(row.what, afternoon, 0, row.theirs, 9)
		add(row.what, ours, 0, row.mine, 9)
	}
	for _, memory := range memories {
		add(first, ours, memory, 9, 1)
		add(warm, ours, memory, 12, 1)
		add(warm, afternoon, memory, 10, 1)
		add(warmCall, ours, memory, 28, 1)
		add(batch, ours, memory, 520, 30)
		add(many, ours, memory, 40_000, 3000)
		add(nothing, stage.Window, memory, 5, 1)
		add(windowEnd, stage.Window, memory, 100_000, 9000)
	}
	for _, n := range scaleSizes {
		for _, concurrency := range scaleConcurrency {
			add(scaled(n, concurrency).what, ours, 0, 10*float64((n+concurrency-1)/concurrency), 1)
		}
	}
	return r
}

func TestFiles_haveTheTablesAndTheVerdicts(t *testing.T) {
	files := report().Files()

	for file, all := range map[string][]string{
		"RESULTS.md": {
			"SKIPPED: Python: not here.",
			"<!-- peers: begin -->\n|  | hello | afternoon | ours |\n",
			"| **both** | – | 20.00 ms | 18.00 ms |",
			"| cold start in all, of the afternoon's Go | 1.00 | 0.90 | met |",
			"| batch of 200, of the ideal | 1.100 | 1.200 | **missed** |",
			"| 8 | 10.00 ms, 16.0 MiB |",
			"<!-- scale: end -->\n",
		},
		"SHARES.md": {
			"SKIPPED: Python: not here.",
			// 0.20 and 28 ms of an eighth of a GB; 0.20 and 520 ms of it, by 200.
			"| 128 MB | ours | 9.00 ms (1.00 ms) | 12.00 ms (1.00 ms) | 28.00 ms (1.00 ms) | 520 ms (30.00 ms) | 40.0 s (3000 ms) | 0.25 | 0.0053 |",
			"| 1,769 MB | 5.00 ms (1.00 ms) | 100.0 s (9000 ms) |",
			"| warm invocation at 128 MB, of the afternoon's Go | 1.15 | 1.20 | **missed** |",
			"| batch of 200 at 128 MB, of the ideal | 1.100 | 1.040 | met |",
			"seconds | 120 | 100 | met |",
			"| of 200 invocations at 128 MB that ran out of time, killed | 0 | 0 | met |",
		},
	} {
		for _, want := range all {
			if !strings.Contains(files[file], want) {
				t.Errorf("got no %q in\n%s", want, files[file])
			}
		}
		if strings.Contains(files[file], "of the afternoon's Python |") {
			t.Errorf("got a target for a peer that was skipped:\n%s", files[file])
		}
	}
}

func TestFiles_areThoseOfWhatWasMeasured(t *testing.T) {
	r := report()
	delete(r.samples, figure{batch, ours, smallest})

	got := slices.Sorted(maps.Keys(r.Files()))

	if want := []string{"RESULTS.md", "scale.svg"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestPlots_areWellFormedAndHaveALineForEachRow(t *testing.T) {
	for name, want := range map[string]int{
		"scale.svg":  2 * len(scaleConcurrency),
		"shares.svg": 2 * 4, // contenders; three durations and a cost
	} {
		plot, got := report().Files()[name], 0
		decoder := xml.NewDecoder(strings.NewReader(plot))
		for token, err := decoder.Token(); !errors.Is(err, io.EOF); token, err = decoder.Token() {
			if err != nil {
				t.Fatalf("%s: %v in\n%s", name, err, plot)
			}
			if element, ok := token.(xml.StartElement); ok && element.Name.Local == "polyline" {
				got++
			}
		}
		if got != want {
			t.Errorf("%s: got %d lines, want %d", name, got, want)
		}
	}
}

func TestPanel_showsWhatIsBeyondItsAxisAsBeyondIt(t *testing.T) {
	p := panel{ticks: []tick{{1, "1"}}, highest: 100}

	for _, v := range [][2]float64{{0.5, 1}, {1, 100}, {100, 200}} {
		if below, above := p.y(v[0]), p.y(v[1]); below <= above {
			t.Errorf("%v is drawn at %v, and %v at %v, which is no higher", v[0], below, v[1], above)
		}
	}
}
