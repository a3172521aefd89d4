package collector

import (
	"time"

	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/openai-exporter/openai_exporter/fetcher"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
)

// An exposition is a view made into metric families. It holds until the view is another one or the UTC day turns, and
// is shared by all scrapes until then.
type exposition struct {
	view *ledger.View
	day  time.Time
	// feeds are the families of each feed, which outlive the view as long as the feed stays the same.
	feeds map[*ledger.FeedView]*exposedFeed
	// families are all of them, sorted by name. A name comes once for every feed that has it.
	families []*dto.MetricFamily
}

// An exposedFeed is one endpoint of one organization made into metric families, and how many series of it count.
type exposedFeed struct {
	families []*dto.MetricFamily
	series   int
}

// expose translates a view. What did not change since before is taken from there. Counters of what happened to the
// numbers count from started, the start of the process.
func expose(table map[string]*Metric, before *exposition, v *ledger.View, day, started time.Time) *exposition {
	e := &exposition{view: v, day: day, feeds: make(map[*ledger.FeedView]*exposedFeed, len(v.Feeds))}
	series := make(map[string]int)
	for _, f := range v.Feeds {
		var made *exposedFeed
		if before != nil && before.day.Equal(day) {
			made = before.feeds[f]
		}
		if made == nil {
			fs := newFamilies(table)
			made = &exposedFeed{series: fs.feed(f, day)}
			fs.changes(f, timestamp(started))
			made.families = fs.finish()
		}
		e.feeds[f] = made
		e.families = append(e.families, made.families...)
		series[f.Organization] += made.series
	}
	fs := newFamilies(table)
	for i := range v.Organizations {
		o := &v.Organizations[i]
		labels := fs.labels([]ledger.Label{{Name: organization, Value: o.Name}}, nil)
		fs.gauge(fs.family(labelSets), labels, float64(o.LabelSets))
		fs.gauge(fs.family(labelSetsLimit), labels, float64(o.Limit))
		fs.gauge(fs.family(overflow), labels, float64(o.Overflow))
		fs.gauge(fs.family(seriesExposed), labels, float64(series[o.Name]))
	}
	e.families = append(e.families, fs.finish()...)
	sortByName(e.families)
	return e
}

// feed adds the data of one endpoint and returns how many series it has.
func (fs *families) feed(f *ledger.FeedView, day time.Time) int {
	base := []ledger.Label{{Name: organization, Value: f.Organization}, {Name: endpoint, Value: f.Endpoint.Name}}
	if !f.Endpoint.IsCosts() && !f.ReadThrough.IsZero() {
		fs.gauge(fs.family(readThrough), fs.labels(base, nil), seconds(f.ReadThrough))
	}
	if f.Endpoint.IsCosts() {
		base = base[:1]
	}
	n := 0
	if !f.Endpoint.Stock {
		counters := fs.byMeasure(f, func(i int) string { return counterName(f.Endpoint, &f.Endpoint.Measures[i]) })
		for _, s := range f.Series {
			labels := fs.labels(base, s.Labels)
			born := timestamp(s.Born)
			for i, m := range s.Measures {
				if !s.Absent.Has(i) {
					fs.counter(counters[m], labels, s.Values[i].Float64(), born)
					n++
				}
			}
		}
	}
	for _, s := range f.Derived {
		labels := fs.labels(base, s.Labels)
		for i, m := range s.Measures {
			fs.counter(fs.family(derivedName(&f.Endpoint.Derived[m])), labels, s.Values[i].Float64(), timestamp(s.Born))
			n++
		}
	}
	n += fs.rows(base, f.Stock, true, fs.byMeasure(f, func(i int) string { return stockName(&f.Endpoint.Measures[i]) }))
	// Most label sets never use most kinds of tokens, so half of what a bucket says is zeros.
	n += fs.rows(base, f.LastBucket, false, fs.byMeasure(f, func(i int) string { return lastBucketName(&f.Endpoint.Measures[i]) }))
	if f.Endpoint.IsCosts() {
		today, month := Spend(f, day)
		for name, amounts := range map[string][]Amount{costToday: today, costMonth: month} {
			for _, a := range amounts {
				fs.gauge(fs.family(name), fs.labels(base, a.Labels), a.USD.Float64())
			}
			n += len(amounts)
		}
	}
	return n
}

// byMeasure finds the family of each measure once for all of a feed's series. A measure without such a metric has none,
// and no sample either.
func (fs *families) byMeasure(f *ledger.FeedView, name func(int) string) []*dto.MetricFamily {
	out := make([]*dto.MetricFamily, len(f.Endpoint.Measures))
	for i := range out {
		if n := name(i); fs.table[n] != nil {
			out[i] = fs.family(n)
		}
	}
	return out
}

// rows adds gauges, with or without those that are zero.
func (fs *families) rows(base []ledger.Label, rows []ledger.Row, zeros bool, gauges []*dto.MetricFamily) int {
	n := 0
	for _, r := range rows {
		labels := fs.labels(base, r.Labels)
		for i, m := range r.Measures {
			if gauges[m] != nil && (zeros || !r.Values[i].IsZero()) {
				fs.gauge(gauges[m], labels, r.Values[i].Float64())
				n++
			}
		}
	}
	return n
}

// changes adds what happened to the numbers of a feed after they were first read. Every direction is there from the
// start, at zero, so that increase() sees the first one. A level is no counter, so nothing of it is ever restated.
func (fs *families) changes(f *ledger.FeedView, created *timestamppb.Timestamp) {
	if f.Endpoint.Stock {
		return
	}
	base := []ledger.Label{{Name: organization, Value: f.Organization}, {Name: endpoint, Value: f.Endpoint.Name}}
	if !f.Endpoint.IsCosts() {
		fs.counter(fs.family(hoursGivenUp), fs.labels(base, nil), float64(f.HoursGivenUp), created)
	}
	for i := range f.ByMeasure {
		m := &f.ByMeasure[i]
		of := ledger.Label{Name: measure, Value: f.Endpoint.Measures[i].Name}
		upwards := fs.labels(base, []ledger.Label{of, {Name: direction, Value: "up"}})
		downwards := fs.labels(base, []ledger.Label{of, {Name: direction, Value: "down"}})
		fs.gauge(fs.family(withheld), fs.labels(base, []ledger.Label{of}), m.Withheld.Float64())
		fs.counter(fs.family(restated), upwards, m.RestatedUp.Float64(), created)
		fs.counter(fs.family(restated), downwards, m.RestatedDown.Float64(), created)
		fs.counter(fs.family(auditDifference), upwards, m.AuditUp.Float64(), created)
		fs.counter(fs.family(auditDifference), downwards, m.AuditDown.Float64(), created)
	}
	for i, amount := range f.DerivedWithheld {
		of := ledger.Label{Name: measure, Value: f.Endpoint.Derived[i].Name}
		fs.gauge(fs.family(withheld), fs.labels(base, []ledger.Label{of}), amount.Float64())
	}
}

// exposeStatus translates where the endpoints stand. It changes without the view, with every failed poll, and is small.
func exposeStatus(table map[string]*Metric, statuses []fetcher.Status) []*dto.MetricFamily {
	fs := newFamilies(table)
	for i := range statuses {
		s := &statuses[i]
		labels := fs.labels([]ledger.Label{{Name: organization, Value: s.Organization}, {Name: endpoint, Value: s.Endpoint}}, nil)
		switch s.State {
		case fetcher.StateOK:
			fs.gauge(fs.family(up), labels, 1)
			fs.gauge(fs.family(available), labels, 1)
		case fetcher.StateFailing:
			fs.gauge(fs.family(up), labels, 0)
			fs.gauge(fs.family(available), labels, 1)
		case fetcher.StateUnavailable:
			fs.gauge(fs.family(available), labels, 0)
		case fetcher.StateStarting:
		}
		if !s.LastSuccess.IsZero() {
			fs.gauge(fs.family(lastSuccess), labels, seconds(s.LastSuccess))
		}
	}
	return fs.finish()
}
