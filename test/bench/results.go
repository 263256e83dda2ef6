package bench

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// Markdown writes the report as the tables that docs/performance.md quotes, each between
// comments that name it.
func (r *Report) Markdown(out io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# What `make bench` measured\n\nMade by `make bench`; do not edit. %s. Medians; contenders take turns run by run.\n", r.Machine)
	for _, skipped := range r.Skipped {
		fmt.Fprintf(&b, "\nSKIPPED: %s.\n", skipped)
	}
	for _, section := range []struct {
		name  string
		write func(*strings.Builder)
	}{
		{"peers", r.peers},
		{"targets", r.targets},
		{"causes", r.causes},
		{"scale", r.scaleTable},
	} {
		fmt.Fprintf(&b, "\n<!-- %s: begin -->\n", section.name)
		section.write(&b)
		fmt.Fprintf(&b, "<!-- %s: end -->\n", section.name)
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// peers is a row for each thing measured and a column for each contender.
func (r *Report) peers(b *strings.Builder) {
	b.WriteString("| |")
	for _, c := range r.Contenders {
		fmt.Fprintf(b, " %s |", c.title)
	}
	fmt.Fprintf(b, "\n|---|%s\n", strings.Repeat("---:|", len(r.Contenders)))
	row := func(name string, value func(contender) string) {
		fmt.Fprintf(b, "| %s |", name)
		for _, c := range r.Contenders {
			fmt.Fprintf(b, " %s |", value(c))
		}
		b.WriteString("\n")
	}
	runs, init, first, both := r.coldRows(r.Cold)
	row(fmt.Sprintf("init (%d runs)", runs), init)
	row("first invocation", first)
	row("**both**", both)
	row("CPU time of both", func(c contender) string {
		return ms(medianOf(r.Cold[c.name], func(o cold) time.Duration { return o.cpu }))
	})
	row("peak memory", func(c contender) string { return mib(medianOf(r.Cold[c.name], func(o cold) int64 { return o.rss })) })
	runs, init, first, both = r.coldRows(r.ColdSlow)
	row(fmt.Sprintf("init, upstreams at %s (%d runs)", slow, runs), init)
	row("first invocation then", first)
	row("**both**", both)
	row("warm invocation", func(c contender) string { return ms(median(r.Warm[c.name])) })
	row(fmt.Sprintf("%d identifiers, Segura at %s", batchSize, slowCalls.call), func(c contender) string { return ms(took(r.Batch[c.name])) })
	row("10,000 identifiers, no latency", func(c contender) string { return ms(took(r.Many[c.name])) })
	row("peak memory then", func(c contender) string { return mib(rss(r.Many[c.name])) })
	row("binary", func(c contender) string { return mib(c.size) })
	row("zip", func(c contender) string { return mib(c.zipped) })
}

// String is how the tables write latencies: Secrets Manager, token, call.
func (l latencies) String() string {
	return fmt.Sprintf("%d/%d/%d ms", l.secret.Milliseconds(), l.token.Milliseconds(), l.call.Milliseconds())
}

func (r *Report) coldRows(all map[string][]cold) (runs int, init, first, both func(contender) string) {
	rowOf := func(pick func(cold) time.Duration) func(contender) string {
		return func(c contender) string { return ms(medianOf(all[c.name], pick)) }
	}
	return len(all[ours]), rowOf(func(o cold) time.Duration { return o.init }),
		rowOf(func(o cold) time.Duration { return o.first }), rowOf(cold.both)
}

func took(list []many) time.Duration {
	return medianOf(list, func(m many) time.Duration { return m.took })
}

func rss(list []many) int64 { return medianOf(list, func(m many) int64 { return m.rss }) }

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

// idealBatch is how long batchSize identifiers take, 8 at once, if nothing but Segura
// takes any time, in nanoseconds.
var idealBatch = batchSize / 8 * float64(slowCalls.call)

// target is a figure that is to stay below a bound.
type target struct {
	what   string
	figure float64
	bound  float64
	format string
}

func (t target) verdict() string {
	if t.figure <= t.bound {
		return "met"
	}
	return "**missed**"
}

func (r *Report) targets(b *strings.Builder) { writeTargets(b, r.measuredTargets()) }

func writeTargets(b *strings.Builder, targets []target) {
	b.WriteString("| target | bound | measured | |\n|---|---:|---:|---|\n")
	for _, t := range targets {
		fmt.Fprintf(b, "| %s | "+t.format+" | "+t.format+" | %s |\n", t.what, t.bound, t.figure, t.verdict())
	}
}

func (r *Report) measuredTargets() []target {
	mine, other, snake := r.contender(ours), r.contender(afternoon), r.contender(python)
	both := func(all map[string][]cold, c contender) float64 { return float64(medianOf(all[c.name], cold.both)) }
	memory := func(c contender) float64 {
		return float64(medianOf(r.Cold[c.name], func(o cold) int64 { return o.rss }))
	}
	warm := func(c contender) float64 { return float64(median(r.Warm[c.name])) }
	first := float64(medianOf(r.Cold[ours], func(o cold) time.Duration { return o.first }))
	all := []target{
		{"cold start in all, of the afternoon's Go", both(r.Cold, mine) / both(r.Cold, other), 1.00, "%.2f"},
		{fmt.Sprintf("the same at %s", slow), both(r.ColdSlow, mine) / both(r.ColdSlow, other), 1.00, "%.2f"},
		{"cold start in all, of the afternoon's Python", both(r.Cold, mine) / both(r.Cold, snake), 0.05, "%.3f"},
		{"first invocation, of a warm one", first / warm(mine), 2, "%.2f"},
		{"warm invocation, of the afternoon's Go", warm(mine) / warm(other), 1.15, "%.2f"},
		{fmt.Sprintf("batch of %d, of the ideal", batchSize), float64(took(r.Batch[ours])) / idealBatch, 1.10, "%.3f"},
		{"10,000 identifiers, MiB", float64(rss(r.Many[ours])) / (1 << 20), 40, "%.1f"},
		{"peak memory, of the afternoon's Go", memory(mine) / memory(other), 1.10, "%.3f"},
		{"binary, of the afternoon's Go", float64(mine.size) / float64(other.size), 1.10, "%.3f"},
		{"zip, of the afternoon's Go", float64(mine.zipped) / float64(other.zipped), 1.10, "%.3f"},
	}
	var measured []target
	for _, t := range all {
		if t.figure > 0 && t.figure < 1e12 { // not of a contender that was skipped
			measured = append(measured, t)
		}
	}
	return measured
}

func (r *Report) contender(name string) contender {
	for _, c := range r.Contenders {
		if c.name == name {
			return c
		}
	}
	return contender{}
}

func (r *Report) causes(b *strings.Builder) {
	b.WriteString("| init and first invocation | time | CPU time |\n|---|---:|---:|\n")
	for _, c := range r.Causes {
		fmt.Fprintf(b, "| %s | %s | %s |\n", c.name, ms(c.both), ms(c.cpu))
	}
	fmt.Fprintf(b, "| of these, the initialization of packages | %s | |\n", ms(r.PackageInit))
}

func (r *Report) scaleTable(b *strings.Builder) {
	b.WriteString("| at once |")
	for _, n := range scaleSizes {
		fmt.Fprintf(b, " %s |", thousands(n))
	}
	fmt.Fprintf(b, "\n|---:|%s\n", strings.Repeat("---:|", len(scaleSizes)))
	for _, concurrency := range scaleConcurrency {
		fmt.Fprintf(b, "| %d |", concurrency)
		for _, n := range scaleSizes {
			c := r.at(n, concurrency)
			fmt.Fprintf(b, " %s, %s |", ms(c.took), mib(c.rss))
		}
		b.WriteString("\n")
	}
}
