//go:build !race

package simulation_test

import (
	"maps"
	"math"
	"slices"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/decimal"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
	"github.com/openai-exporter/openai_exporter/internal/simulator"
)

// worth is what the usage of a time within a day is estimated to cost, and what of it has no price, by project, as the
// API tells it at a moment.
func (o *oracle) worth(b *book, from, to, asOf int64) map[string][]decimal.Fixed {
	if from >= to {
		return map[string][]decimal.Fixed{}
	}
	start, end := time.Unix(from, 0), time.Unix(to, 0)
	if asOf == forever {
		return o.priceOf(b, start, b.organization.sim.Final(b.endpoint.Name, b.asked(), start, end))
	}
	return o.priceOf(b, start, b.organization.sim.Truth(b.endpoint.Name, b.asked(), start, end, time.Unix(asOf, 0)))
}

// mostWorth is worth of the most that the API has said about a day so far.
func (o *oracle) mostWorth(b *book, day, asOf int64) map[string][]decimal.Fixed {
	start := time.Unix(day, 0)
	return o.priceOf(b, start, b.organization.sim.Highest(b.endpoint.Name, b.asked(), start, start.AddDate(0, 0, 1), time.Unix(asOf, 0)))
}

// priceOf is what rows of a day are estimated to cost, and what of them has no price, by project.
func (o *oracle) priceOf(b *book, start time.Time, rows []simulator.Row) map[string][]decimal.Fixed {
	out := map[string][]decimal.Fixed{}
	price := o.w.running.Pricer(b.organization.name, b.endpoint)
	groupBy := b.asked()
	for _, r := range rows {
		var labels []ledger.Label
		for _, name := range slices.Sorted(maps.Keys(r.Labels)) {
			d, _ := b.endpoint.Dimension(name)
			labels = append(labels, ledger.Label{Name: d.Label, Value: r.Labels[name]})
		}
		values := make([]decimal.Fixed, len(b.endpoint.Measures))
		for i, m := range b.endpoint.Measures {
			values[i] = r.Values[m.Name]
		}
		usd, unpriced := price(groupBy, labels)(start.UTC(), values)
		of := out[r.Labels["project_id"]]
		if of == nil {
			of = make([]decimal.Fixed, len(b.endpoint.Derived))
			out[r.Labels["project_id"]] = of
		}
		of[api.DerivedCost] = of[api.DerivedCost].Add(usd)
		of[api.DerivedUnpriced] = of[api.DerivedUnpriced].Add(unpriced)
	}
	return out
}

// A seam is where the grouping has changed. What lies before it was read by the former shape alone, and last when that one
// ended: the newer reads back to the seam. Where the former ended before the seam, nobody has read what is between.
type seam struct {
	former *epoch
	to     int64
}

// seams are where the grouping has changed so far, in order. A window that grows later reads more, but days of which all
// windows had been read by then stay in the books as they were.
func (b *book) seams() []seam {
	to := b.epoch.lo
	if b.epoch.audited {
		to = b.epoch.back
	}
	if b.former == nil || to == math.MaxInt64 {
		return b.before
	}
	return append(slices.Clip(b.before), seam{b.former, to})
}

// atLeast is what the usage of a time within a day is worth that was read in some shape.
func (o *oracle) atLeast(b *book, from, to, asOf int64) map[string][]decimal.Fixed {
	var parts []map[string][]decimal.Fixed
	for _, s := range b.seams() {
		if !o.w.falls { // Else it may have been less when it was read last.
			parts = append(parts, o.worth(b, from, min(to, s.to, s.former.lowTo, s.former.low), s.former.low))
		}
		from = max(from, s.to)
	}
	out := map[string][]decimal.Fixed{}
	for _, part := range append(parts, o.worth(b, from, to, asOf)) {
		for project, values := range part {
			if out[project] == nil {
				out[project] = make([]decimal.Fixed, len(values))
			}
			for i, v := range values {
				out[project][i] = out[project][i].Add(v)
			}
		}
	}
	return out
}

// heldUsage holds what the books have of the usage of each day between what it was worth when everything was last read and
// what it is worth now, by project. In the end both are the truth. What the books have depends on no shape.
func (o *oracle) heldUsage(b *book, f *ledger.FeedView, settled bool) {
	ep := b.epoch
	if !o.w.constant || len(b.endpoint.Derived) == 0 || b.coarser || o.w.falls && !settled {
		return
	}
	lossy := f.HoursGivenUp > 0 || b.organization.gaveUp
	stale := int64(0) // What is corrected downwards before is not read again.
	if seams := b.seams(); len(seams) > 0 {
		stale = seams[len(seams)-1].to
	}
	first := o.w.begin.Truncate(24 * time.Hour).Unix()
	for day := first; day < min(ep.newest, o.w.end.Unix()); day += 86400 {
		got := map[string]decimal.Fixed{}
		if d := bookOf(f, day); d != nil {
			d.Projects(func(project string, by ledger.Amounts) { got[project] = got[project].Add(by.Estimated) })
		}
		high := o.worth(b, day, min(day+86400, ep.newest), ep.newest)
		low := map[string][]decimal.Fixed{}
		switch {
		case lossy:
		case settled:
			high = o.worth(b, day, day+86400, forever)
			low = o.atLeast(b, day, day+86400, forever)
		case ep.low > 0:
			low = o.atLeast(b, day, min(day+86400, ep.lowTo, ep.low), ep.low)
		}
		if o.w.falls && day < stale {
			high = o.mostWorth(b, day, ep.newest)
		}
		for _, project := range sorted(got) {
			if high[project] == nil {
				high[project] = make([]decimal.Fixed, len(b.endpoint.Derived))
			}
		}
		for _, project := range sorted(high) {
			usd := got[project].Float64()
			if most := high[project][api.DerivedCost].Float64(); usd > most+near && (!lossy || !o.w.falls) {
				o.w.fault("%s %s: %v are estimated for %q on %s, it is worth %v at most", b.organization.name, b.endpoint.Name, usd, project, time.Unix(day, 0).UTC().Format(time.DateOnly), most)
			}
			if of := low[project]; len(of) > 0 && usd < of[api.DerivedCost].Float64()-near {
				o.w.fault("%s %s: %v are estimated for %q on %s, it was worth %v when all was read", b.organization.name, b.endpoint.Name, usd, project, time.Unix(day, 0).UTC().Format(time.DateOnly), of[api.DerivedCost])
			}
		}
		o.worths++
	}
}

// estimate holds what was estimated against the price of the truth. It can be told where prices are constant and nothing
// has a baseline.
func (o *oracle) estimate(b *book, f *ledger.FeedView) {
	ep := b.epoch
	if !o.w.constant || len(b.endpoint.Derived) == 0 || b.epochs > 1 || b.coarser || ep.limit >= ep.asOf || f.HoursGivenUp > 0 || b.organization.gaveUp {
		return
	}
	want := make([]decimal.Fixed, len(b.endpoint.Derived))
	for day := ep.lo; day < o.w.end.Unix(); day += 86400 {
		for _, of := range o.worth(b, day, day+86400, forever) {
			for i, v := range of {
				want[i] = want[i].Add(v)
			}
		}
	}
	for i := range want {
		got := b.retired[i]
		for _, s := range f.Derived {
			if at := slices.Index(s.Measures, i); at >= 0 {
				got = got.Add(s.Values[at])
			}
		}
		if off := got.Sub(f.DerivedWithheld[i]).Sub(want[i]); math.Abs(off.Float64()) > near {
			o.w.fault("%s %s %s: %s are estimated, of the truth it is %s: %s off", b.organization.name, b.endpoint.Name, b.endpoint.Derived[i].Name, got, want[i], off)
		}
		o.estimates++
	}
}
