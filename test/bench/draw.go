package main

import (
	"bytes"
	"fmt"
	"math"
)

// What of the picture is where, in pixels.
const (
	panelWidth  = 250
	panelHeight = 200
	left        = 52 // of a panel, for its numbers
	top         = 34
	gap         = 26
)

// head has colours that can be read on a light page and on a dark one.
const head = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%[1]d" height="%[2]d" role="img" aria-label="How cost grows">
<style>
text { font: 11px sans-serif; fill: #57606a }
.title { font-weight: 600; fill: #24292f }
.axis { stroke: #8c959f; fill: none }
.grid { stroke: #d0d7de; fill: none }
.linear { stroke: #8c959f; stroke-dasharray: 4 4; fill: none }
.cost { stroke: #0969da; stroke-width: 2; fill: none }
.point { fill: #0969da }
@media (prefers-color-scheme: dark) {
text { fill: #9198a1 }
.title { fill: #e6edf3 }
.axis { stroke: #656c76 }
.grid { stroke: #3d444d }
.linear { stroke: #9198a1 }
.cost { stroke: #4493f8 }
.point { fill: #4493f8 }
}
</style>
`

// draw draws curves beside each other, on logarithmic scales, each with the line that it would be if it were linear.
func draw(curves []*curve) []byte {
	var b bytes.Buffer
	width := len(curves)*(left+panelWidth+gap) + gap/2
	fmt.Fprintf(&b, head, width, top+panelHeight+46)
	for i, c := range curves {
		drawPanel(&b, c, float64(i*(left+panelWidth+gap)+left), top)
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

// A scale is powers of ten.
type scale struct{ low, high float64 }

func scaleOf(low, high float64) scale {
	s := scale{math.Floor(math.Log10(low) + 1e-9), math.Ceil(math.Log10(high) - 1e-9)}
	if s.high <= s.low {
		s.high = s.low + 1
	}
	return s
}

// at is where a value is, from 0 to 1.
func (s scale) at(v float64) float64 { return (math.Log10(v) - s.low) / (s.high - s.low) }

func drawPanel(b *bytes.Buffer, c *curve, x0, y0 float64) {
	first, last := c.Points[0], c.Points[len(c.Points)-1]
	low, high := first.Cost, first.Cost
	for _, p := range c.Points {
		low, high = math.Min(low, p.Cost), math.Max(high, p.Cost)
	}
	// The linear line meets the curve at its end.
	linear := last.Cost * first.Size / last.Size
	xs, ys := scaleOf(first.Size, last.Size), scaleOf(math.Min(low, linear), high)
	x := func(v float64) float64 { return x0 + panelWidth*xs.at(v) }
	y := func(v float64) float64 { return y0 + panelHeight*(1-ys.at(v)) }
	slope, _ := c.slope()
	fmt.Fprintf(b, `<text class="title" x="%.0f" y="%.0f">%s by %s</text>`+"\n", x0-left+8, y0-16, c.Unit, c.Name)
	for e := ys.low; e <= ys.high; e++ {
		v := math.Pow(10, e)
		fmt.Fprintf(b, `<path class="grid" d="M%.1f %.1fh%d"/><text x="%.1f" y="%.1f" text-anchor="end">%s</text>`+"\n", x0, y(v), panelWidth, x0-6, y(v)+4, spell(v))
	}
	for e := xs.low; e <= xs.high; e++ {
		v := math.Pow(10, e)
		fmt.Fprintf(b, `<path class="grid" d="M%.1f %.1fv%d"/><text x="%.1f" y="%.1f" text-anchor="middle">%s</text>`+"\n", x(v), y0, panelHeight, x(v), y0+panelHeight+16, spell(v))
	}
	fmt.Fprintf(b, `<path class="axis" d="M%.1f %.1fv%dh%d"/>`+"\n", x0, y0, panelHeight, panelWidth)
	fmt.Fprintf(b, `<path class="linear" d="M%.1f %.1fL%.1f %.1f"/>`+"\n", x(first.Size), y(linear), x(last.Size), y(last.Cost))
	path := ""
	for i, p := range c.Points {
		step := "L"
		if i == 0 {
			step = "M"
		}
		path += fmt.Sprintf("%s%.1f %.1f", step, x(p.Size), y(p.Cost))
		fmt.Fprintf(b, `<circle class="point" cx="%.1f" cy="%.1f" r="3.5"><title>%s: %.3g</title></circle>`+"\n", x(p.Size), y(p.Cost), spell(p.Size), p.Cost)
	}
	fmt.Fprintf(b, `<path class="cost" d="%s"/>`+"\n", path)
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f">slope at the end %.2f; dashed: 1, linear</text>`+"\n", x0, y0+panelHeight+36, slope)
}

// spell spells a power of ten.
func spell(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%gM", v/1e6)
	case v >= 1e3:
		return fmt.Sprintf("%gk", v/1e3)
	}
	return fmt.Sprintf("%g", v)
}
