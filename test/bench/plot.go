package bench

import (
	"fmt"
	"math"
	"strings"
)

// scalePlot is time and peak memory over the number of identifiers, a line for each
// concurrency.
func (r *Report) scalePlot() string {
	took := panel{
		title: fmt.Sprintf("time, Segura at %d ms a call", scaleLatency.Milliseconds()), highest: 200,
		ticks:  []tick{{0.01, "10 ms"}, {0.1, "100 ms"}, {1, "1 s"}, {10, "10 s"}, {100, "100 s"}},
		across: scaleSizes, unit: "identifiers",
	}
	rss := panel{
		title: "peak memory", highest: 64, ticks: []tick{{8, "8 MiB"}, {16, "16 MiB"}, {32, "32 MiB"}, {64, "64 MiB"}},
		across: scaleSizes, unit: "identifiers",
	}
	var legend []string
	for at, concurrency := range scaleConcurrency {
		colour := colourOf(at, len(scaleConcurrency))
		legend = append(legend, fmt.Sprint(concurrency, " at once"))
		took.line(colour, func(n int) float64 { return r.median(scaled(n, concurrency)).took.Seconds() })
		rss.line(colour, func(n int) float64 { return float64(r.median(scaled(n, concurrency)).rss) / (1 << 20) })
	}
	return plot(legend, took, rss)
}

// sharesPlot is the duration of some calls, and the cost of a million, over memory, a
// colour for each contender.
func (r *Report) sharesPlot() string {
	duration := panel{
		title: fmt.Sprintf("duration, from below: warm, %d and 10,000 identifiers", batchSize), highest: 200,
		ticks:  []tick{{0.0001, "0.1 ms"}, {0.001, "1 ms"}, {0.01, "10 ms"}, {0.1, "100 ms"}, {1, "1 s"}, {10, "10 s"}, {100, "100 s"}},
		across: memories, unit: "MB",
	}
	price := panel{
		title: fmt.Sprintf("a million calls, Segura at %d ms, US dollars", slowCalls.call.Milliseconds()), highest: 2,
		ticks:  []tick{{0.1, "0.1"}, {0.2, "0.2"}, {0.5, "0.5"}, {1, "1.0"}, {2, "2.0"}},
		across: memories, unit: "MB",
	}
	var legend []string
	callers := r.callers()
	for at, c := range callers {
		colour := colourOf(at, len(callers))
		legend = append(legend, c.title)
		duration.line(colour, func(memory int) float64 { return r.mean(figure{warm, c.name, memory}).took.Seconds() })
		for _, what := range []string{batch, many} {
			duration.line(colour, func(memory int) float64 { return r.median(figure{what, c.name, memory}).took.Seconds() })
		}
		price.line(colour, func(memory int) float64 { return cost(memory, r.mean(figure{warmCall, c.name, memory}).took) })
	}
	return plot(legend, duration, price)
}

// colours can be told apart by those who see red and green as one, too.
var colours = []string{"#440154", "#46327e", "#365c8d", "#277f8e", "#1fa187", "#4ac16d", "#d8a800"}

// colourOf is that of one of so many lines.
func colourOf(at, of int) string { return colours[at*len(colours)/of] }

// Where a panel's lines are drawn, in the units of the SVG, and where the next one's.
const (
	plotTop    = 40
	plotLeft   = 60
	plotHeight = 280
	plotWidth  = 360
	nextPanel  = 450
)

// panel is one diagram, with a logarithmic scale on both axes.
type panel struct {
	title   string
	ticks   []tick // of the axis upwards, from its lowest value
	highest float64
	across  []int // what is on the other axis, in its order
	unit    string
	lines   string
}

// tick is a value of an axis, and what is written beside it.
type tick struct {
	value float64
	label string
}

func (p *panel) x(at int) float64 {
	least, most := float64(p.across[0]), float64(p.across[len(p.across)-1])
	return plotLeft + plotWidth*math.Log(float64(at)/least)/math.Log(most/least)
}

func (p *panel) y(value float64) float64 {
	share := math.Log(value/p.ticks[0].value) / math.Log(p.highest/p.ticks[0].value)
	return plotTop + plotHeight*(1-share)
}

// line draws a line, but for values of zero, which were not measured.
func (p *panel) line(colour string, value func(at int) float64) {
	var points []string
	for _, at := range p.across {
		if v := value(at); v > 0 {
			points = append(points, fmt.Sprintf("%.1f,%.1f", p.x(at), p.y(v)))
		}
	}
	p.lines += fmt.Sprintf(`<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n", strings.Join(points, " "), colour)
}

// plot is an SVG of the panels side by side, with what the colours of the lines stand for
// below.
func plot(legend []string, panels ...panel) string {
	var b strings.Builder
	b.WriteString(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 900 380" font-family="sans-serif" font-size="12">
<rect width="900" height="380" fill="#ffffff"/>
`)
	for at, p := range panels {
		fmt.Fprintf(&b, `<g transform="translate(%d)"><text x="%d" y="20" font-weight="bold">%s</text>`+"\n", at*nextPanel, plotLeft, p.title)
		for _, t := range p.ticks {
			y := p.y(t.value)
			fmt.Fprintf(&b, `<line x1="%d" y1="%.1f" x2="%d" y2="%.1f" stroke="#dddddd"/><text x="%d" y="%.1f" text-anchor="end">%s</text>`+"\n",
				plotLeft, y, plotLeft+plotWidth, y, plotLeft-6, y+4, t.label)
		}
		for _, n := range p.across {
			fmt.Fprintf(&b, `<text x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n", p.x(n), plotTop+plotHeight+18, thousands(n))
		}
		fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">%s</text>`+"\n%s</g>\n", plotLeft+plotWidth, plotTop+plotHeight+34, p.unit, p.lines)
	}
	for at, title := range legend {
		x := plotLeft + at*2*plotWidth/len(legend)
		fmt.Fprintf(&b, `<line x1="%d" y1="366" x2="%d" y2="366" stroke="%s" stroke-width="2"/><text x="%d" y="370">%s</text>`+"\n",
			x, x+20, colourOf(at, len(legend)), x+25, title)
	}
	b.WriteString("</svg>\n")
	return b.String()
}
