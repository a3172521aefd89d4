//go:build !race

package simulation_test

import (
	"maps"
	"slices"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/decimal"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
	"github.com/openai-exporter/openai_exporter/internal/simulator"
)

func (o *oracle) baseline(b *book, from, to, asOf int64) {
	for m, sums := range o.truth(b, b.epoch.groupBy, from, to, asOf) {
		for k, v := range sums {
			b.epoch.base[m][k] = b.epoch.base[m][k].Add(v)
		}
	}
}

// truth is what the API says, by measure and label set. Money is told as fine as it is asked for: the sum of amounts that
// are cut to eighteen decimals is another one where they are cut in other parts.
func (o *oracle) truth(b *book, groupBy []string, from, to, asOf int64) []map[string]decimal.Fixed {
	var rows []simulator.Row
	asked := b.asked()
	switch {
	case from >= to:
	case asOf == forever:
		rows = b.organization.sim.Final(b.endpoint.Name, asked, time.Unix(from, 0), time.Unix(to, 0))
	default:
		rows = b.organization.sim.Truth(b.endpoint.Name, asked, time.Unix(from, 0), time.Unix(to, 0), time.Unix(asOf, 0))
	}
	return o.sums(b, groupBy, rows)
}

// mostSaid is the most that the API has said about usage so far.
func (o *oracle) mostSaid(b *book, groupBy []string, from, to, asOf int64) []map[string]decimal.Fixed {
	var rows []simulator.Row
	if from < to {
		rows = b.organization.sim.Highest(b.endpoint.Name, b.asked(), time.Unix(from, 0), time.Unix(to, 0), time.Unix(asOf, 0))
	}
	return o.sums(b, groupBy, rows)
}

// sums adds up rows by measure and label set.
func (o *oracle) sums(b *book, groupBy []string, rows []simulator.Row) []map[string]decimal.Fixed {
	out := make([]map[string]decimal.Fixed, len(b.endpoint.Measures))
	var labels []ledger.Label
	for i := range b.endpoint.Measures {
		m := &b.endpoint.Measures[i]
		out[i] = make(map[string]decimal.Fixed, len(rows))
		if !b.tells(m, groupBy) {
			continue
		}
		for _, r := range rows {
			labels = labels[:0]
			for name, value := range r.Labels {
				if m.By != nil && !slices.Contains(m.By, name) || m.By == nil && !slices.Contains(groupBy, name) {
					continue
				}
				d, _ := b.endpoint.Dimension(name)
				labels = append(labels, ledger.Label{Name: d.Label, Value: value})
			}
			k := labelsKey(labels)
			out[i][k] = out[i][k].Add(r.Values[m.Name])
		}
	}
	return out
}

// tells says whether a measure is shown: not where the API tells it by a dimension that is not.
func (b *book) tells(m *api.Measure, groupBy []string) bool {
	for _, name := range m.By {
		grouped := slices.ContainsFunc(b.endpoint.Dimensions, func(d api.Dimension) bool { return d.Name == name })
		if grouped && !slices.Contains(groupBy, name) {
			return false
		}
	}
	return true
}

// meet takes note of hours that the first read has not whole, and of those that a later one has.
func (ep *epoch) meet(r *ledger.Read, pages []page, to int64, first bool) {
	holes := map[int64]bool{}
	for _, p := range pages {
		if p.hole > 0 {
			holes[p.hole-p.hole%3600] = true
		}
	}
	if first && r.Window.Width.Duration < time.Hour {
		ep.unmet = holes
		return
	}
	maps.DeleteFunc(ep.unmet, func(hour int64, _ bool) bool {
		return !holes[hour] && pages[0].start <= hour && hour+3600 <= to
	})
}

// readBill takes note of when days of the bill were read. It says whether they are older days, for the books alone.
func (b *book) readBill(r *ledger.Read, pages []page) bool {
	for i, p := range pages {
		end := p.at
		switch {
		case i+1 < len(pages):
			end = pages[i+1].start
		case r.Window.Audit:
			end = r.Window.To.Unix()
		}
		for day := p.start - p.start%86400; day < end; day += 86400 {
			if day != p.hole {
				b.days[day] = p.at
			}
		}
	}
	return r.Window.Audit
}

// known is all that the API says from a time on and that can have been read: of a bill that is corrected ever later, what it
// said of each day when that was read last.
func (o *oracle) known(b *book, groupBy []string, from, to int64) []map[string]decimal.Fixed {
	if !b.organization.corrected || !b.endpoint.IsCosts() {
		return o.truth(b, groupBy, from, to, forever)
	}
	var sum []map[string]decimal.Fixed
	for day := from - from%86400; day < to; day += 86400 {
		asOf, read := b.days[day]
		if !read {
			asOf = forever // It has to be nothing.
		}
		for m, sums := range o.truth(b, groupBy, max(day, from), day+86400, asOf) {
			if sum == nil {
				sum = make([]map[string]decimal.Fixed, len(b.endpoint.Measures))
			}
			if sum[m] == nil {
				sum[m] = map[string]decimal.Fixed{}
			}
			for l, v := range sums {
				sum[m][l] = sum[m][l].Add(v)
			}
		}
	}
	return sum
}

func total(sums map[string]decimal.Fixed) (n decimal.Fixed) {
	for _, v := range sums {
		n = n.Add(v)
	}
	return n
}

// keep returns what is known of every book now.
func (o *oracle) keep() map[[2]string]book {
	o.mu.Lock()
	defer o.mu.Unlock()
	known := map[[2]string]book{}
	for k, b := range o.books {
		c := *b
		c.totals, c.born, c.withheld, c.days, c.dropped = cloned(b.totals), cloned(b.born), slices.Clone(b.withheld), maps.Clone(b.days), slices.Clone(b.dropped)
		c.retired = slices.Clone(b.retired)
		if b.epoch != nil {
			ep := *b.epoch
			ep.start, ep.base, ep.covered, ep.vague = cloned(ep.start), cloned(ep.base), maps.Clone(ep.covered), slices.Clone(ep.vague)
			ep.unmet = maps.Clone(ep.unmet)
			ep.retired = cloned(ep.retired)
			c.epoch = &ep
		}
		known[k] = c
	}
	return known
}

// forget goes back to what was known before a commit that was lost.
func (o *oracle) forget(known map[[2]string]book) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for k, b := range o.books {
		if before, ok := known[k]; ok {
			*b = before
		}
	}
}

func cloned[V any](all []map[string]V) []map[string]V {
	out := make([]map[string]V, len(all))
	for i, m := range all {
		out[i] = maps.Clone(m)
	}
	return out
}
