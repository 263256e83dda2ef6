package bench

import (
	"fmt"
	"math"
	"strings"
	"time"

	"segura-enable/simulated/stage"
)

// Files are the tables that docs/performance.md quotes, each between comments that name
// it, and the plots. What was not measured has no file.
func (r *Report) Files() map[string]string {
	files := map[string]string{}
	if len(r.samples[figure{batch, ours, 0}]) > 0 {
		files["RESULTS.md"] = r.page("make bench", " Medians; contenders take turns run by run.", [][2]string{
			{"peers", r.peers()}, {"targets", targets(r.wholeTargets())}, {"scale", r.scaleTable()},
		})
		files["scale.svg"] = r.scalePlot()
	}
	if len(r.samples[figure{batch, ours, smallest}]) > 0 {
		files["SHARES.md"] = r.page("make bench BENCH=shares", "", [][2]string{
			{"shares", r.shareTable()}, {"reconciles", r.reconcileTable()}, {"share targets", targets(r.shareTargets())},
		})
		files["shares.svg"] = r.sharesPlot()
	}
	return files
}

func (r *Report) page(command, how string, tables [][2]string) string {
	text := fmt.Sprintf("# What `%s` measured\n\nMade by `make bench`; do not edit. %s.%s\n", command, r.Machine, how)
	for _, skipped := range r.Skipped {
		text += fmt.Sprintf("\nSKIPPED: %s.\n", skipped)
	}
	for _, t := range tables {
		text += fmt.Sprintf("\n<!-- %s: begin -->\n%s<!-- %[1]s: end -->\n", t[0], t[1])
	}
	return text
}

// row is one of a table.
func row(cells ...string) string { return "| " + strings.Join(cells, " | ") + " |\n" }

// head is a table's first row and the line below it: all columns but the first are figures.
func head(cells ...string) string {
	return row(cells...) + "|---" + strings.Repeat("|---:", len(cells)-1) + "|\n"
}

// peers is a row for each thing measured and a column for each contender.
func (r *Report) peers() string {
	took := func(what string) func(contender) string {
		return func(c contender) string { return ms(r.median(figure{what, c.name, 0}).took) }
	}
	rss := func(what string) func(contender) string {
		return func(c contender) string { return mib(r.median(figure{what, c.name, 0}).rss) }
	}
	runs := len(r.samples[figure{initial, ours, 0}])
	rows := []struct {
		title string
		show  func(contender) string
	}{
		{fmt.Sprintf("init (%d runs)", runs), took(initial)},
		{"first invocation", took(first)},
		{"**both**", took(both)},
		{"CPU time of both", func(c contender) string { return ms(r.median(figure{both, c.name, 0}).cpu) }},
		{"peak memory", rss(both)},
		{fmt.Sprintf("init, upstreams at %s (%d runs)", slow, runs), took(slowly + initial)},
		{"first invocation then", took(slowly + first)},
		{"**both**", took(slowly + both)},
		{"warm invocation", took(warm)},
		{fmt.Sprintf("%d identifiers, Segura at %s", batchSize, slowCalls.call), took(batch)},
		{"10,000 identifiers, no latency", took(many)},
		{"peak memory then", rss(many)},
		{"binary", func(c contender) string { return mib(c.size) }},
		{"zip", func(c contender) string { return mib(c.zipped) }},
	}
	titles := []string{""}
	for _, c := range r.Contenders {
		titles = append(titles, c.title)
	}
	table := head(titles...)
	for _, one := range rows {
		cells := []string{one.title}
		for _, c := range r.Contenders {
			cells = append(cells, one.show(c))
		}
		table += row(cells...)
	}
	return table
}

// String is how the tables write latencies: Secrets Manager, token, call.
func (l latencies) String() string {
	return fmt.Sprintf("%d/%d/%d ms", l.secret.Milliseconds(), l.token.Milliseconds(), l.call.Milliseconds())
}

func (r *Report) scaleTable() string {
	titles := []string{"at once"}
	for _, n := range scaleSizes {
		titles = append(titles, thousands(n))
	}
	table := head(titles...)
	for _, concurrency := range scaleConcurrency {
		cells := []string{fmt.Sprint(concurrency)}
		for _, n := range scaleSizes {
			s := r.median(scaled(n, concurrency))
			cells = append(cells, ms(s.took)+", "+mib(s.rss))
		}
		table += row(cells...)
	}
	return table
}

// String is how the tables write what a sample took: the duration, and the CPU time of it.
func (s sample) String() string { return fmt.Sprintf("%s (%s)", ms(s.took), ms(s.cpu)) }

func (r *Report) shareTable() string {
	table := fmt.Sprintf("| memory | | first invocation | warm, one after another | warm, Segura at %s | %d identifiers then | 10,000, no latency | a million calls of these, $ | a million identifiers, %[2]d a call, $ |\n|---:|---|%s\n",
		slowCalls.call, batchSize, strings.Repeat("---:|", 7))
	for _, memory := range memories {
		for _, c := range r.callers() {
			call, some := r.mean(figure{warmCall, c.name, memory}), r.median(figure{batch, c.name, memory})
			table += row(thousands(memory)+" MB", c.title, r.median(figure{first, c.name, memory}).String(), r.mean(figure{warm, c.name, memory}).String(),
				call.String(), some.String(), r.median(figure{many, c.name, memory}).String(),
				fmt.Sprintf("%.2f", cost(memory, call.took)), fmt.Sprintf("%.4f", cost(memory, some.took)/batchSize))
		}
	}
	return table
}

// List prices of Lambda on arm64 in eu-west-1, in US dollars.
const (
	perGBSecond        = 0.0000133334
	perMillionRequests = 0.20
)

// cost is what a million invocations cost: their number, and their duration, of which
// each millisecond begun counts.
func cost(memory int, took time.Duration) float64 {
	billed := math.Ceil(took.Seconds()*1000) / 1000
	return perMillionRequests + 1e6*billed*float64(memory)/1024*perGBSecond
}

func (r *Report) reconcileTable() string {
	table := head("memory", "nothing due", fmt.Sprintf("%s of %s windows end, with 10,000 API secrets", thousands(windowsOver), thousands(liveWindows)))
	for _, memory := range memories {
		table += row(thousands(memory)+" MB", r.median(figure{nothing, stage.Window, memory}).String(), r.median(figure{windowEnd, stage.Window, memory}).String())
	}
	return table
}

// target is a figure that is to stay below a bound.
type target struct {
	what   string
	figure float64
	bound  float64
	format string
}

func targets(all []target) string {
	table := "| target | bound | measured | |\n|---|---:|---:|---|\n"
	for _, t := range all {
		if math.IsNaN(t.figure) || math.IsInf(t.figure, 0) {
			continue // of a contender that was skipped
		}
		verdict := "met"
		if t.figure > t.bound {
			verdict = "**missed**"
		}
		table += row(t.what, fmt.Sprintf(t.format, t.bound), fmt.Sprintf(t.format, t.figure), verdict)
	}
	return table
}

// idealBatch is how long batchSize identifiers take, 8 at once, if nothing but Segura
// takes any time.
var idealBatch = batchSize / 8 * slowCalls.call

func (r *Report) wholeTargets() []target {
	took := func(what, who string) float64 { return float64(r.median(figure{what, who, 0}).took) }
	rss := func(what, who string) float64 { return float64(r.median(figure{what, who, 0}).rss) }
	mine, other := r.contender(ours), r.contender(afternoon)
	return []target{
		{"cold start in all, of the afternoon's Go", took(both, ours) / took(both, afternoon), 1.00, "%.2f"},
		{fmt.Sprintf("the same at %s", slow), took(slowly+both, ours) / took(slowly+both, afternoon), 1.00, "%.2f"},
		{"cold start in all, of the afternoon's Python", took(both, ours) / took(both, python), 0.05, "%.3f"},
		{"first invocation, of a warm one", took(first, ours) / took(warm, ours), 2, "%.2f"},
		{"warm invocation, of the afternoon's Go", took(warm, ours) / took(warm, afternoon), 1.15, "%.2f"},
		{fmt.Sprintf("batch of %d, of the ideal", batchSize), took(batch, ours) / float64(idealBatch), 1.10, "%.3f"},
		{"10,000 identifiers, MiB", rss(many, ours) / (1 << 20), 40, "%.1f"},
		{"peak memory, of the afternoon's Go", rss(both, ours) / rss(both, afternoon), 1.10, "%.3f"},
		{"binary, of the afternoon's Go", float64(mine.size) / float64(other.size), 1.10, "%.3f"},
		{"zip, of the afternoon's Go", float64(mine.zipped) / float64(other.zipped), 1.10, "%.3f"},
	}
}

func (r *Report) shareTargets() []target {
	seconds := func(what, who string, memory int) float64 { return r.median(figure{what, who, memory}).took.Seconds() }
	mine, other := r.mean(figure{warm, ours, smallest}), r.mean(figure{warm, afternoon, smallest})
	return []target{
		{"warm invocation at 128 MB, of the afternoon's Go", float64(mine.took) / float64(other.took), 1.15, "%.2f"},
		{fmt.Sprintf("batch of %d at 128 MB, of the ideal", batchSize), seconds(batch, ours, smallest) / idealBatch.Seconds(), 1.10, "%.3f"},
		{"10,000 identifiers at 128 MB, seconds", seconds(many, ours, smallest), 60, "%.1f"},
		{fmt.Sprintf("reconcile at %d MB, 10,000 API secrets to disable, seconds", windowMemory), seconds(windowEnd, stage.Window, windowMemory), 120, "%.0f"},
		{fmt.Sprintf("reconcile at %d MB, nothing due, seconds", windowMemory), seconds(nothing, stage.Window, windowMemory), 1, "%.3f"},
		{fmt.Sprintf("of %d invocations at 128 MB that ran out of time, killed", r.deadlines), float64(r.killed), 0, "%.0f"},
	}
}

func ms(d time.Duration) string {
	switch {
	case d == 0:
		return "–"
	case d < 100*time.Millisecond:
		return fmt.Sprintf("%.2f ms", float64(d)/float64(time.Millisecond))
	case d < 10*time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	default:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
}

func mib(n int64) string {
	switch {
	case n == 0:
		return "–"
	case n < 100<<10:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	default:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
}

// thousands writes 10000 as 10,000.
func thousands(n int) string {
	if n < 1_000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%d,%03d", n/1_000, n%1_000)
}
