package bench

import (
	"fmt"
	"io"
	"math"
	"strings"
	"time"
)

// Plot writes the measurement of scale as an SVG: time and peak memory over the
// number of identifiers, a line for each concurrency.
func (r *Report) Plot(out io.Writer) error {
	var b strings.Builder
	b.WriteString(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 900 380" font-family="sans-serif" font-size="12">
<rect width="900" height="380" fill="#ffffff"/>
`)
	time := panel{
		left: 60, title: fmt.Sprintf("time, Segura at %d ms a call", scaleLatency.Milliseconds()),
		lowest: 0.01, highest: 200, label: seconds,
		ticks:  []float64{0.01, 0.1, 1, 10, 100},
		across: scaleSizes, unit: "identifiers",
	}
	memory := panel{
		left: 510, title: "peak memory", lowest: 8, highest: 64, label: mebibytes,
		ticks:  []float64{8, 16, 32, 64},
		across: scaleSizes, unit: "identifiers",
	}
	time.frame(&b)
	memory.frame(&b)
	for at, concurrency := range scaleConcurrency {
		var took, rss []point
		for _, n := range scaleSizes {
			c := r.at(n, concurrency)
			took = append(took, point{n, c.took.Seconds()})
			rss = append(rss, point{n, float64(c.rss) / (1 << 20)})
		}
		time.line(&b, took, colours[at%len(colours)])
		memory.line(&b, rss, colours[at%len(colours)])
	}
	for at, concurrency := range scaleConcurrency {
		x := 60 + at*70
		fmt.Fprintf(&b, `<line x1="%d" y1="366" x2="%d" y2="366" stroke="%s" stroke-width="2"/><text x="%d" y="370">%d</text>`+"\n",
			x+90, x+110, colours[at], x+115, concurrency)
	}
	b.WriteString(`<text x="60" y="370">calls at once:</text>` + "\n</svg>\n")
	_, err := io.WriteString(out, b.String())
	return err
}

// colours can be told apart by those who see red and green as one, too.
var colours = []string{"#440154", "#46327e", "#365c8d", "#277f8e", "#1fa187", "#4ac16d", "#d8a800"}

// Where a panel's lines are drawn, in the units of the SVG.
const (
	plotTop    = 40
	plotHeight = 280
	plotWidth  = 360
)

// panel is one diagram, with a logarithmic scale on both axes.
type panel struct {
	left            float64
	title           string
	lowest, highest float64
	ticks           []float64
	label           func(float64) string
	across          []int // what is on the other axis, in its order
	unit            string
}

// point is one of a line.
type point struct {
	at    int
	value float64
}

func (p panel) x(at int) float64 {
	first, last := float64(p.across[0]), float64(p.across[len(p.across)-1])
	return p.left + plotWidth*math.Log(float64(at)/first)/math.Log(last/first)
}

func (p panel) y(value float64) float64 {
	share := math.Log(value/p.lowest) / math.Log(p.highest/p.lowest)
	return plotTop + plotHeight*(1-min(max(share, 0), 1))
}

func (p panel) frame(b *strings.Builder) {
	fmt.Fprintf(b, `<text x="%.0f" y="20" font-weight="bold">%s</text>`+"\n", p.left, p.title)
	for _, tick := range p.ticks {
		fmt.Fprintf(b, `<line x1="%.0f" y1="%.1f" x2="%.0f" y2="%.1f" stroke="#dddddd"/><text x="%.0f" y="%.1f" text-anchor="end">%s</text>`+"\n",
			p.left, p.y(tick), p.left+plotWidth, p.y(tick), p.left-6, p.y(tick)+4, p.label(tick))
	}
	for _, n := range p.across {
		fmt.Fprintf(b, `<text x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n", p.x(n), plotTop+plotHeight+18, thousands(n))
	}
	fmt.Fprintf(b, `<text x="%.0f" y="%d" text-anchor="end">%s</text>`+"\n", p.left+plotWidth, plotTop+plotHeight+34, p.unit)
}

func (p panel) line(b *strings.Builder, list []point, colour string) {
	var points []string
	for _, one := range list {
		if one.value > 0 {
			points = append(points, fmt.Sprintf("%.1f,%.1f", p.x(one.at), p.y(one.value)))
		}
	}
	fmt.Fprintf(b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n", strings.Join(points, " "), colour)
}

func seconds(value float64) string {
	if value < 1 {
		return fmt.Sprintf("%.0f ms", value*float64(time.Second/time.Millisecond))
	}
	return fmt.Sprintf("%.0f s", value)
}

func mebibytes(value float64) string { return fmt.Sprintf("%.0f MiB", value) }

// thousands writes 10000 as 10,000.
func thousands(n int) string {
	if n < 1_000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%d,%03d", n/1_000, n%1_000)
}
