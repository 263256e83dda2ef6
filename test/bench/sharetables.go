package bench

import (
	"fmt"
	"io"
	"math"
	"strings"
	"time"
)

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

// SharesMarkdown writes what was measured at CPU shares, as Markdown does the rest.
func (r *Report) SharesMarkdown(out io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# What `make bench BENCH=shares` measured\n\nMade by `make bench`; do not edit. %s.\n", r.Machine)
	for _, skipped := range r.Skipped {
		fmt.Fprintf(&b, "\nSKIPPED: %s.\n", skipped)
	}
	for _, section := range []struct {
		name  string
		write func(*strings.Builder)
	}{
		{"shares", r.shareTable},
		{"reconciles", r.reconcileTable},
		{"share targets", func(b *strings.Builder) { writeTargets(b, r.shareTargets()) }},
	} {
		fmt.Fprintf(&b, "\n<!-- %s: begin -->\n", section.name)
		section.write(&b)
		fmt.Fprintf(&b, "<!-- %s: end -->\n", section.name)
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// String is how the tables write it: the duration, and the CPU time of it.
func (s spent) String() string { return fmt.Sprintf("%s (%s)", ms(s.took), ms(s.cpu)) }

func (r *Report) shareTable(b *strings.Builder) {
	fmt.Fprintf(b, "| memory | | first invocation | warm, one after another | warm, Segura at %s | %d identifiers then | 10,000, no latency | a million calls of these, $ | a million identifiers, %d a call, $ |\n|---:|---|%s\n",
		slowCalls.call, batchSize, batchSize, strings.Repeat("---:|", 7))
	for at, memory := range memories {
		for _, c := range r.Contenders {
			if at >= len(r.Shares[c.name]) {
				continue
			}
			s := r.Shares[c.name][at]
			call, batch := mean(s.call), of(s.batch)
			fmt.Fprintf(b, "| %s MB | %s | %s | %s | %s | %s | %s | %.2f | %.4f |\n", thousands(memory), c.title,
				of(s.first), mean(s.warm), call, batch, of(s.many), cost(memory, call.took), cost(memory, batch.took)/batchSize)
		}
	}
}

func (r *Report) reconcileTable(b *strings.Builder) {
	fmt.Fprintf(b, "| memory | nothing due | %s of %s windows end, with 10,000 API secrets |\n|---:|---:|---:|\n", thousands(windowsOver), thousands(liveWindows))
	for _, one := range r.Reconciled {
		fmt.Fprintf(b, "| %s MB | %s | %s |\n", thousands(one.memory), one.idle, one.all)
	}
}

func (r *Report) shareTargets() []target {
	var all []target
	if len(r.Shares[ours]) == 0 || len(r.Shares[afternoon]) == 0 {
		return all
	}
	mine, other := r.Shares[ours][0], r.Shares[afternoon][0]
	all = append(all,
		target{"warm invocation at 128 MB, of the afternoon's Go", float64(mean(mine.warm).took) / float64(mean(other.warm).took), 1.15, "%.2f"},
		target{fmt.Sprintf("batch of %d at 128 MB, of the ideal", batchSize), float64(of(mine.batch).took) / idealBatch, 1.10, "%.3f"},
		target{"10,000 identifiers at 128 MB, seconds", of(mine.many).took.Seconds(), 60, "%.1f"},
	)
	for _, one := range r.Reconciled {
		if one.memory == windowMemory {
			all = append(all,
				target{fmt.Sprintf("reconcile at %d MB, 10,000 API secrets to disable, seconds", windowMemory), one.all.took.Seconds(), 120, "%.0f"},
				target{fmt.Sprintf("reconcile at %d MB, nothing due, seconds", windowMemory), one.idle.took.Seconds(), 1, "%.3f"})
		}
	}
	if r.Deadlines > 0 {
		all = append(all, target{fmt.Sprintf("of %d invocations at 128 MB that ran out of time, killed", r.Deadlines), float64(r.Killed), 0, "%.0f"})
	}
	return all
}

// SharesPlot writes the cost of a million calls and the duration of some over memory, as
// an SVG.
func (r *Report) SharesPlot(out io.Writer) error {
	var b strings.Builder
	b.WriteString(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 900 380" font-family="sans-serif" font-size="12">
<rect width="900" height="380" fill="#ffffff"/>
`)
	duration := panel{
		left: 60, title: "duration", lowest: 0.001, highest: 200, label: seconds, ticks: []float64{0.001, 0.01, 0.1, 1, 10, 100},
		across: memories, unit: "MB",
	}
	price := panel{
		left: 510, title: "a million calls, Segura at 20 ms, US dollars", lowest: 0.1, highest: 2, label: dollars, ticks: []float64{0.1, 0.2, 0.5, 1, 2},
		across: memories, unit: "MB",
	}
	duration.frame(&b)
	price.frame(&b)
	at := 0
	for _, c := range r.Contenders {
		list := r.Shares[c.name]
		if len(list) == 0 {
			continue
		}
		colour := colours[at*2]
		duration.line(&b, pointsOf(list, func(s *atShare) float64 { return mean(s.warm).took.Seconds() }), colour)
		duration.line(&b, pointsOf(list, func(s *atShare) float64 { return of(s.batch).took.Seconds() }), colour)
		duration.line(&b, pointsOf(list, func(s *atShare) float64 { return of(s.many).took.Seconds() }), colour)
		price.line(&b, pointsOf(list, func(s *atShare) float64 { return cost(s.memory, mean(s.call).took) }), colour)
		x := 60 + at*170
		fmt.Fprintf(&b, `<line x1="%d" y1="366" x2="%d" y2="366" stroke="%s" stroke-width="2"/><text x="%d" y="370">%s</text>`+"\n", x, x+20, colour, x+25, c.title)
		at++
	}
	b.WriteString(`<text x="890" y="370" text-anchor="end">from below: warm, ` + fmt.Sprint(batchSize) + ` and 10,000 identifiers</text>` + "\n</svg>\n")
	_, err := io.WriteString(out, b.String())
	return err
}

func pointsOf(list []*atShare, value func(*atShare) float64) (points []point) {
	for _, s := range list {
		points = append(points, point{s.memory, value(s)})
	}
	return points
}

func dollars(value float64) string { return fmt.Sprintf("%.1f", value) }
