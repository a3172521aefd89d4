package simulator

import (
	"slices"
	"strings"

	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/decimal"
)

// A row is one result of a bucket, as it is served.
type row struct {
	*group
	style uint64 // decides what may be spelled one way or another
	cell  cell   // usage

	// Costs.
	amount, quantity number
	byLine           bool
}

// A scratch is space that rows are made in. It holds them until the next ones are made in it.
type scratch struct {
	cells []cell
	rows  []row
}

// usageRows are the rows of [from,to) as seen.
func (v *view) usageRows(r *reading, src *source, g *grouping, grouped bool, from, to int64, room *scratch) []row {
	if len(room.cells) != len(g.groups) {
		room.cells = make([]cell, len(g.groups))
	}
	cells := room.cells
	clear(cells)
	v.sum(r, src, g.rows, cells, from, to)
	rows := room.rows[:0]
	for i := range cells {
		if cells[i].zero() {
			continue
		}
		out := row{group: &g.groups[i], cell: cells[i], style: mix2(v.s.org.seed^saltStyle, uint64(from)^uint64(i)<<40)}
		// Now and then a row comes in two halves.
		if half := halved(&out.cell); grouped && !src.endpoint.Stock && out.style>>32%16 == 0 && !half.zero() {
			second := out
			for l := range half {
				second.cell[l] -= half[l]
			}
			out.cell = half
			second.style = mix(second.style)
			rows = append(rows, second)
		}
		rows = append(rows, out)
	}
	room.rows = rows
	return rows
}

func halved(c *cell) cell {
	var out cell
	for i, x := range c {
		out[i] = x / 2
	}
	return out
}

// A costsOf is a day of the bill that is final, grouped and spelled in some way.
type costsOf struct {
	g       *grouping
	day     int64
	strings bool
}

// costRows are the rows of a day of the bill as it stands at asOf. They are not to be changed.
func (v *view) costRows(g *grouping, groupBy []string, filtered bool, day, asOf int64) []row {
	if v.o.Kept == 0 || asOf < (day+1)*86400+v.billSettles() {
		return v.drawCosts(g, groupBy, filtered, day, asOf)
	}
	return cached(v.cache, v.cache.costs, cachedCosts, costsOf{g, day, v.o.StringAmounts}, func() []row {
		return v.drawCosts(g, groupBy, filtered, day, asOf)
	})
}

func (v *view) drawCosts(g *grouping, groupBy []string, filtered bool, day, asOf int64) []row {
	byLine := slices.Contains(groupBy, "line_item")
	sums := make([]billed, len(g.groups))
	seen := make([]bool, len(g.groups))
	for _, b := range v.billOf(day, asOf) {
		at := b.item * 2
		if b.free {
			at++
		}
		if i := g.rows[at]; i >= 0 {
			sums[i].micro += b.micro
			sums[i].amount += b.amount
			seen[i] = true
		}
	}
	rows := make([]row, 0, len(sums))
	for i := range sums {
		if !seen[i] {
			continue
		}
		style := mix2(v.s.org.seed^saltStyle, uint64(day)^uint64(i)<<40)
		out := row{group: &g.groups[i], style: style, byLine: byLine, amount: amount(sums[i].amount, v.o.StringAmounts, mix2(style, saltDigits))}
		if byLine {
			out.quantity = quantity(sums[i].micro, v.o.StringAmounts)
		}
		rows = append(rows, out)
	}
	if v.o.Credits && !filtered && len(rows) > 0 {
		none := &group{labels: make([]string, len(groupBy))}
		rows = append(rows, row{group: none, amount: amount(-1_250_000_000_000, v.o.StringAmounts, 1)})
	}
	return rows
}

// value is what a reader of the row makes of a measure.
func (r *row) value(e *api.Endpoint, m *api.Measure) decimal.Fixed {
	if !e.IsCosts() {
		return decimal.FromInt(r.cell.measure(m.Name))
	}
	switch m.Name {
	case api.MeasureCost:
		return r.amount.value
	case api.MeasureCostQuantity:
		return r.quantity.value
	}
	return decimal.Fixed{}
}

// attribute is what the row says on its own, ungrouped.
func (r *row) attribute(name string) string {
	if name == "quantity_unit" {
		return r.unit
	}
	return ""
}

func labelKey(labels []string) string { return strings.Join(labels, "\x00") }
