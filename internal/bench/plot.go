package main

import (
	"fmt"
	"html"
	"io"
	"math"
	"strings"
)

// chart is a set of curves over one axis, both axes logarithmic: what is flat
// does not grow with x, and a straight slope of one is proportional to it.
type chart struct {
	file, title string
	x, y        string
	curves      []curve
}

type curve struct {
	name   string
	points []point
}

type point struct{ x, y float64 }

// add appends a point to the curve of that name.
func (c *chart) add(name string, x, y float64) {
	for i := range c.curves {
		if c.curves[i].name == name {
			c.curves[i].points = append(c.curves[i].points, point{x, y})
			return
		}
	}
	c.curves = append(c.curves, curve{name, []point{{x, y}}})
}

const (
	width, height            = 760, 420
	left, right, top, bottom = 70, 200, 44, 56
)

// style has colours for a light and for a dark page.
const style = `
text { font: 12px system-ui, sans-serif; fill: #24292f }
.title { font-size: 15px; font-weight: 600 }
.page { fill: #ffffff } .grid { stroke: #d0d7de } .axis { stroke: #57606a }
.c0 { stroke: #0969da; fill: #0969da } .c1 { stroke: #bc4c00; fill: #bc4c00 } .c2 { stroke: #1a7f37; fill: #1a7f37 }
.c3 { stroke: #8250df; fill: #8250df } .c4 { stroke: #bf3989; fill: #bf3989 } .c5 { stroke: #6e7781; fill: #6e7781 }
polyline[class] { fill: none; stroke-width: 2 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .page { fill: #0d1117 } .grid { stroke: #30363d } .axis { stroke: #8b949e }
  .c0 { stroke: #58a6ff; fill: #58a6ff } .c1 { stroke: #ffa657; fill: #ffa657 } .c2 { stroke: #3fb950; fill: #3fb950 }
  .c3 { stroke: #bc8cff; fill: #bc8cff } .c4 { stroke: #f778ba; fill: #f778ba } .c5 { stroke: #8b949e; fill: #8b949e }
}`

// axis maps values to pixels, by their logarithm.
type axis struct{ low, high, from, to float64 }

func newAxis(values []float64, from, to float64) axis {
	low, high := math.Inf(1), math.Inf(-1)
	for _, v := range values {
		low, high = min(low, v), max(high, v)
	}
	low, high = math.Floor(math.Log10(low)+1e-9), math.Ceil(math.Log10(high)-1e-9)
	if low == high {
		high++
	}
	return axis{low, high, from, to}
}

func (a axis) at(v float64) float64 {
	return a.from + (math.Log10(v)-a.low)/(a.high-a.low)*(a.to-a.from)
}

// svg draws the chart by hand: no browser or library is needed to see it.
func (c *chart) svg(w io.Writer) error {
	var xs, ys []float64
	for i := range c.curves {
		for _, p := range c.curves[i].points {
			if p.y > 0 { // else it was too little to measure
				xs, ys = append(xs, p.x), append(ys, p.y)
			}
		}
	}
	if len(xs) == 0 {
		return fmt.Errorf("plot %s has no points", c.file)
	}
	x, y := newAxis(xs, left, width-right), newAxis(ys, height-bottom, top)
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img">`+"\n", width, height)
	fmt.Fprintf(&b, "<title>%s</title>\n<style>%s\n</style>\n", html.EscapeString(c.title), style)
	fmt.Fprintf(&b, `<rect class="page" width="%d" height="%d"/>`+"\n", width, height)
	fmt.Fprintf(&b, `<text class="title" x="%d" y="24">%s</text>`+"\n", left, html.EscapeString(c.title))
	for e := x.low; e <= x.high; e++ {
		at := x.at(math.Pow(10, e))
		fmt.Fprintf(&b, `<line class="grid" x1="%.1f" x2="%.1f" y1="%d" y2="%d"/>`+"\n", at, at, top, height-bottom)
		fmt.Fprintf(&b, `<text text-anchor="middle" x="%.1f" y="%d">%s</text>`+"\n", at, height-bottom+18, power(e))
	}
	for e := y.low; e <= y.high; e++ {
		at := y.at(math.Pow(10, e))
		fmt.Fprintf(&b, `<line class="grid" x1="%d" x2="%d" y1="%.1f" y2="%.1f"/>`+"\n", left, width-right, at, at)
		fmt.Fprintf(&b, `<text text-anchor="end" x="%d" y="%.1f">%s</text>`+"\n", left-8, at+4, power(e))
	}
	fmt.Fprintf(&b, `<path class="axis" fill="none" d="M%d %dV%dH%d"/>`+"\n", left, top, height-bottom, width-right)
	fmt.Fprintf(&b, `<text text-anchor="middle" x="%d" y="%d">%s</text>`+"\n", (left+width-right)/2, height-12, html.EscapeString(c.x))
	fmt.Fprintf(&b, `<text text-anchor="middle" transform="translate(16 %d) rotate(-90)">%s</text>`+"\n",
		(top+height-bottom)/2, html.EscapeString(c.y))
	for i, curve := range c.curves {
		curve.svg(&b, i, x, y)
	}
	b.WriteString("</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func (c curve) svg(b *strings.Builder, i int, x, y axis) {
	var line, dots strings.Builder
	for _, p := range c.points {
		if p.y <= 0 {
			continue
		}
		fmt.Fprintf(&line, "%.1f,%.1f ", x.at(p.x), y.at(p.y))
		fmt.Fprintf(&dots, `<circle class="c%d" r="3" cx="%.1f" cy="%.1f"><title>%s: %s, %s</title></circle>`,
			i%6, x.at(p.x), y.at(p.y), html.EscapeString(c.name), number(p.x), number(p.y))
	}
	dash := ""
	if !strings.HasPrefix(c.name, ours) {
		dash = ` stroke-dasharray="6 4"`
	}
	fmt.Fprintf(b, `<polyline class="c%d"%s points="%s"/>%s`+"\n", i%6, dash, strings.TrimSpace(line.String()), dots.String())
	at := top + 12 + 20*i
	fmt.Fprintf(b, `<line class="c%d"%s stroke-width="2" x1="%d" x2="%d" y1="%d" y2="%d"/><text x="%d" y="%d">%s</text>`+"\n",
		i%6, dash, width-right+14, width-right+38, at, at, width-right+44, at+4, html.EscapeString(c.name))
}

// power writes ten to the e as a number.
func power(e float64) string {
	switch {
	case e >= 6:
		return fmt.Sprintf("%.0fM", math.Pow(10, e-6))
	case e >= 3:
		return fmt.Sprintf("%.0fk", math.Pow(10, e-3))
	case e >= 0:
		return fmt.Sprintf("%.0f", math.Pow(10, e))
	}
	return fmt.Sprintf("%.*f", int(-e), math.Pow(10, e))
}
