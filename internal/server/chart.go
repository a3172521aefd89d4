package server

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// The chart's measures, in units of its own: it is stretched to the width of the page.
const (
	slot       = 12 // a day
	barWidth   = 9
	tall       = 160
	distinct   = 6 // colours; the last is for all others together
	othersName = "others"
)

// A Chart is the spend per day as bars, drawn on the server.
type Chart struct {
	Width, Height int
	// Most is the amount at the top.
	Most   string
	Groups []Group
	Bars   []Bar
	// Estimated and Expected say whether there is any of either.
	Estimated, Expected bool
}

// A Group is a team or a project in the chart.
type Group struct {
	Name  string
	Color int
}

// A Bar is a day.
type Bar struct {
	Day string
	// Week is the label of a Monday, empty for other days.
	Week  string
	Odd   bool // every second week, which a phone has no room for
	Title string
	Rects []Rect
	// What the numbers say of the day, and of each group.
	Billed, Unbilled, Expected string
	Groups                     []string
}

// A Rect is a piece of a bar.
type Rect struct {
	Class      string
	X, Y, W, H string
}

// parts are those of a day. Where nobody can tell them apart, the day has one.
func parts(d *Day) []Part {
	if len(d.Parts) > 0 {
		return d.Parts
	}
	return []Part{{Name: "not told apart", BilledUSD: d.BilledUSD, UnbilledUSD: d.UnbilledUSD}}
}

// chartName is what a part is called in the chart.
func chartName(p *Part) string {
	return cmp.Or(p.Team, p.Name, p.Project, "no project")
}

func float(n json.Number) float64 {
	f, _ := n.Float64() // It is ours, so it is a number.
	return f
}

// Chart draws an organization's days, nothing where nothing is known.
func (v view) Chart(o Organization) *Chart {
	if len(o.Days) == 0 {
		return nil
	}
	c := &Chart{Width: slot * len(o.Days), Height: tall}
	colors := c.group(o.Days)
	most := 0.0
	for i := range o.Days {
		most = max(most, height(&o.Days[i]))
	}
	c.Most = v.Dollars(most)
	weeks := 0
	for i := range o.Days {
		d := &o.Days[i]
		bar := v.bar(d, colors, len(c.Groups))
		// There is no room for a label under the last two.
		if at, err := time.Parse(time.DateOnly, d.Date); err == nil && at.Weekday() == time.Monday && i < len(o.Days)-2 {
			bar.Week, bar.Odd = at.Format("2 Jan"), weeks%2 == 1
			weeks++
		}
		if most > 0 {
			bar.Rects = c.stack(d, colors, float64(i*slot)+(slot-barWidth)/2.0, tall/most)
		}
		c.Bars = append(c.Bars, bar)
	}
	return c
}

// height is how much there is of a day above zero: a credit lowers what its part has, not what the others have.
func height(d *Day) float64 {
	sum := max(float(d.ExpectedUSD), 0)
	for _, p := range parts(d) {
		sum += max(float(p.BilledUSD), 0) + max(float(p.UnbilledUSD), 0)
	}
	return sum
}

// group gives the largest teams or projects colours of their own, and returns the colour of each.
func (c *Chart) group(days []Day) map[string]int {
	sums := make(map[string]float64)
	for i := range days {
		for _, p := range parts(&days[i]) {
			if usd := max(float(p.BilledUSD), 0) + max(float(p.UnbilledUSD), 0); usd > 0 {
				sums[chartName(&p)] += usd
			}
		}
	}
	order := slices.SortedFunc(maps.Keys(sums), func(a, b string) int { return cmp.Or(cmp.Compare(sums[b], sums[a]), cmp.Compare(a, b)) })
	colors := make(map[string]int)
	for i, name := range order {
		colors[name] = i
		if len(order) > distinct && i >= distinct-1 {
			colors[name] = distinct - 1
			continue
		}
		c.Groups = append(c.Groups, Group{name, i})
	}
	if len(order) > distinct {
		c.Groups = append(c.Groups, Group{othersName, distinct - 1})
	}
	return colors
}

// stack puts a day's pieces on top of each other: per group the bill and above it the estimate, and the forecast on top.
func (c *Chart) stack(d *Day, colors map[string]int, x, scale float64) []Rect {
	var billed, unbilled [distinct]float64
	for _, p := range parts(d) {
		color := colors[chartName(&p)]
		billed[color] += max(float(p.BilledUSD), 0)
		unbilled[color] += max(float(p.UnbilledUSD), 0)
	}
	var out []Rect
	y := float64(tall)
	put := func(class string, usd float64) (seen bool) {
		h := usd * scale
		if h < 0.05 { // It would be written as 0.
			return false
		}
		y -= h
		out = append(out, Rect{Class: class, X: short(x), Y: short(y), W: short(barWidth), H: short(h)})
		return true
	}
	for color := range distinct {
		put(fmt.Sprintf("c%d", color), billed[color])
		if put(fmt.Sprintf("c%d estimate", color), unbilled[color]) {
			c.Estimated = true
		}
	}
	if put("expected", float(d.ExpectedUSD)) {
		c.Expected = true
	}
	return out
}

func short(f float64) string {
	return strings.TrimSuffix(fmt.Sprintf("%.1f", f), ".0")
}

// bar says what a day's bar says, in words and numbers.
func (v view) bar(d *Day, colors map[string]int, groups int) Bar {
	b := Bar{Day: d.Date, Billed: v.USD(d.BilledUSD), Unbilled: v.USD(d.UnbilledUSD), Expected: v.USD(d.ExpectedUSD), Groups: make([]string, groups)}
	says := []string{b.Billed + " billed"}
	if float(d.UnbilledUSD) > 0 {
		says = append(says, b.Unbilled+" estimated, not billed yet")
	}
	if float(d.ExpectedUSD) > 0 {
		says = append(says, b.Expected+" expected")
	}
	b.Title = d.Date + ": " + strings.Join(says, ", ")
	sums := make([]float64, groups)
	for _, p := range parts(d) {
		if color, shown := colors[chartName(&p)]; shown {
			sums[color] += float(p.BilledUSD) + float(p.UnbilledUSD)
		}
	}
	for i, sum := range sums {
		b.Groups[i] = v.Dollars(sum)
	}
	return b
}
