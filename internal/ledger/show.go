package ledger

import (
	"bytes"
	"maps"
	"slices"
	"time"

	"github.com/go-kit/log/level"

	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/decimal"
)

// show makes the feed's view.
func (f *Feed) show() {
	v := &FeedView{
		Organization: f.options.Organization,
		Endpoint:     f.options.Endpoint,
		GroupBy:      f.groupBy,
		Filters:      f.filters,
		Dropped:      f.meta.Dropped,
		ReadThrough:  unixOrZero(f.meta.ReadThrough),
		ReadAt:       unixOrZero(f.meta.ReadAt),
		Audited:      unixOrZero(f.meta.Audited),
		BegunAt:      unixOrZero(f.meta.BegunAt),
		CountsFrom:   unixOrZero(f.meta.CountsFrom),
		Stock:        f.stock,
		ByMeasure:    slices.Clone(f.stats),
		HoursGivenUp: f.refused.gaveUp,
		Estimates:    f.options.estimates(),
		Books:        f.books.days,
	}
	f.showSeries(v)
	switch {
	case f.options.Endpoint.Stock:
	case f.options.Endpoint.IsCosts():
		v.Days = f.days()
	default:
		// The width may have grown since the newest bucket was read.
		width := int64(f.options.Width.Duration / time.Second)
		start := f.meta.ReadThrough - mod(f.meta.ReadThrough, width) - width
		v.LastBucket = f.rows(f.spans[f.spanOf(start)].at(start), every)
	}
	f.shown, f.shownAs = v, f.shape
}

// days shows the bill. Most of its days are those of the former view.
func (f *Feed) days() []Day {
	before := make(map[int64]Day)
	if f.shown != nil && f.shownAs == f.shape {
		for _, d := range f.shown.Days {
			before[d.Start.Unix()] = d
		}
	}
	out := make([]Day, 0, len(f.spans))
	for _, at := range slices.Sorted(maps.Keys(f.spans)) {
		bucket := f.spans[at].at(at)
		d, found := before[at]
		if !found || !bytes.Equal(d.bucket, bucket) {
			d = Day{Start: time.Unix(at, 0).UTC(), Rows: f.rows(bucket, f.charges), bucket: bucket}
		}
		out = append(out, d)
	}
	return out
}

// showSeries shows the series, which are those of the former view unless one of them has changed.
func (f *Feed) showSeries(v *FeedView) {
	if before := f.shown; before != nil && !f.moved {
		v.Series, v.Derived, v.DerivedWithheld = before.Series, before.Derived, before.DerivedWithheld
		for m := range v.ByMeasure {
			v.ByMeasure[m].Withheld = before.ByMeasure[m].Withheld
		}
		return
	}
	f.moved = false
	v.Series, v.DerivedWithheld = make([]*Series, 0, len(f.list)), make([]decimal.Fixed, len(f.derivedGroups))
	for _, s := range f.list {
		if s.ended {
			continue
		}
		if s.isDerived() {
			v.Derived = append(v.Derived, s.shown)
			m := s.group - firstDerivedGroup
			v.DerivedWithheld[m] = v.DerivedWithheld[m].Add(s.withheld(0))
			continue
		}
		v.Series = append(v.Series, s.shown)
		for i, m := range f.groups[s.group].measures {
			v.ByMeasure[m].Withheld = v.ByMeasure[m].Withheld.Add(s.withheld(i))
		}
	}
}

func every(*group) bool { return true }

// charges says whether a group of the bill has its amounts.
func (f *Feed) charges(g *group) bool {
	return slices.ContainsFunc(g.measures, func(m int) bool { return f.options.Endpoint.Measures[m].Name == api.MeasureCost })
}

// rows decodes the series of a bucket that are in wanted groups for the view.
func (f *Feed) rows(bucket []byte, wanted func(*group) bool) []Row {
	if bucket == nil {
		return nil
	}
	cells, _, _, err := f.layouts.decodeCells(bucket)
	series := func(c *cell) (*series, *group) {
		if position, ok := f.position[c.id]; ok {
			s := f.list[position]
			if g := f.group(s.group); wanted(g) {
				return s, g
			}
		}
		return nil, nil
	}
	n, m := 0, 0
	for i := range cells {
		if s, g := series(&cells[i]); s != nil {
			n, m = n+1, m+len(g.measures)
		}
	}
	// Views show them for as long as the bucket stands, so they take no more room than they need.
	rows, values := make([]Row, 0, n), make([]decimal.Fixed, 0, m)
	for i := range cells {
		s, g := series(&cells[i])
		if s == nil {
			continue
		}
		from := len(values)
		for _, m := range g.measures {
			values = append(values, cells[i].values[m])
		}
		rows = append(rows, Row{Labels: s.labels, Measures: g.measures, Values: values[from:len(values):len(values)]})
	}
	if err != nil {
		// The bytes were made by this process or checked when they were loaded.
		level.Error(f.ledger.logger).Log("msg", "Failed to decode a recorded bucket; please report this as a bug", "endpoint", f.options.Endpoint.Name, "err", err)
	}
	return rows
}

// overflow is how many label sets are folded at present.
func (f *Feed) overflow() int { return len(f.folded) + f.stockOther }

// ReadAt is when the API answered the newest poll that was booked, before the last restart perhaps; zero before the
// first.
func (f *Feed) ReadAt() time.Time {
	f.ledger.mu.Lock()
	defer f.ledger.mu.Unlock()
	return unixOrZero(f.meta.ReadAt)
}

func unixOrZero(t int64) time.Time {
	if t == 0 {
		return time.Time{}
	}
	return time.Unix(t, 0).UTC()
}
