package collector

import (
	"slices"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/metrics"

	"github.com/openai-exporter/openai_exporter/fetcher"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
)

// A feed is what is known of an endpoint's view from when it was last translated.
type feed struct {
	view *ledger.FeedView
	// stale: what has happened to its numbers is not shown yet.
	stale  bool
	labels map[*ledger.Label]*labelSet
	// order is the order of the series by their labels, which are sets; from are the addresses of the series' own part.
	sets  []*labelSet
	from  []*ledger.Label
	order []int
	// series is how many of usage, costs and estimates there are.
	series int
	births births
}

// expose adds the data of one endpoint. Nothing of the state is needed to translate it, but labels that are known need
// not be spelled and sorted again.
func (fs *families) expose(f *ledger.FeedView, day time.Time, state *feed) {
	fs.former, fs.used = state.labels, make(map[*ledger.Label]*labelSet)
	base := []ledger.Label{{Name: metrics.LabelOrganization, Value: f.Organization}, {Name: metrics.LabelEndpoint, Value: f.Endpoint.Name}}
	if !f.Endpoint.IsCosts() && !f.ReadThrough.IsZero() {
		fs.gauge(fs.family(metrics.ReadThrough), fs.labels(base, nil), seconds(f.ReadThrough))
	}
	if f.Endpoint.IsCosts() {
		base = base[:1]
	}
	n := 0
	if !f.Endpoint.Stock {
		n += fs.counters(base, f, state)
	}
	n += fs.derived(base, f, state)
	n += fs.rows(base, f.Stock, true, fs.byMeasure(f, func(i int) string { return metrics.StockName(&f.Endpoint.Measures[i]) }))
	// Most label sets never use most kinds of tokens, so half of what a bucket says is zeros.
	n += fs.rows(base, f.LastBucket, false, fs.byMeasure(f, func(i int) string { return metrics.LastBucketName(&f.Endpoint.Measures[i]) }))
	if f.Endpoint.IsCosts() {
		today, month := Spend(f, day)
		for name, amounts := range map[string][]Amount{metrics.CostToday: today, metrics.CostMonth: month} {
			for _, a := range amounts {
				fs.gauge(fs.family(name), fs.labels(base, a.Labels), a.USD.Float64())
			}
			n += len(amounts)
		}
	}
	state.labels, state.series = fs.used, n
}

// counters adds the series of a feed and returns how many there are. Most polls change none of them.
func (fs *families) counters(base []ledger.Label, f *ledger.FeedView, state *feed) int {
	name := func(i int) string { return metrics.CounterName(f.Endpoint, &f.Endpoint.Measures[i]) }
	if state.view != nil && slices.Equal(f.Series, state.view.Series) {
		fs.used = fs.former
		return fs.stay(len(f.Endpoint.Measures), name)
	}
	if state.sets != nil && slices.EqualFunc(f.Series, state.from, func(s *ledger.Series, from *ledger.Label) bool { return address(s) == from }) {
		fs.used = fs.former
	} else {
		state.sets, state.from, state.order = make([]*labelSet, len(f.Series)), make([]*ledger.Label, len(f.Series)), make([]int, len(f.Series))
		for i, s := range f.Series {
			state.sets[i], state.from[i], state.order[i] = fs.labels(base, s.Labels), address(s), i
		}
		slices.SortStableFunc(state.order, func(a, b int) int { return compareLabels(state.sets[a], state.sets[b]) })
	}
	n := 0
	counters, sizes := fs.byMeasure(f, name), make([]int, len(f.Endpoint.Measures))
	for _, s := range f.Series {
		for i, m := range s.Measures {
			if !s.Absent.Has(i) {
				sizes[m]++
			}
		}
	}
	for m, b := range counters {
		if b != nil {
			b.sorted = len(b.samples) == 0
			// What grows is copied, and keeps up to a quarter more than it needs.
			b.samples = slices.Grow(b.samples, sizes[m])
		}
	}
	for _, at := range state.order {
		s := f.Series[at]
		born := timestamp(s.Born)
		for i, m := range s.Measures {
			if !s.Absent.Has(i) {
				fs.counter(counters[m], state.sets[at], s.Values[i].Float64(), born)
				n++
			}
		}
	}
	return n
}

// derived adds the series that are made of others, and returns how many there are.
func (fs *families) derived(base []ledger.Label, f *ledger.FeedView, state *feed) (n int) {
	name := func(i int) string { return metrics.DerivedName(&f.Endpoint.Derived[i]) }
	if state.view != nil && slices.Equal(f.Derived, state.view.Derived) {
		return fs.stay(len(f.Endpoint.Derived), name)
	}
	for _, s := range f.Derived {
		labels := fs.labels(base, s.Labels)
		for i, m := range s.Measures {
			fs.counter(fs.family(name(m)), labels, s.Values[i].Float64(), timestamp(s.Born))
			n++
		}
	}
	return n
}

// stay takes over what the origin has shown of some metrics, and returns how many series that is.
func (fs *families) stay(measures int, name func(int) string) (n int) {
	for i := range measures {
		m := fs.table[name(i)]
		if i := slices.IndexFunc(fs.room, func(r *run) bool { return r.metric == m }); i >= 0 {
			fs.stays = append(fs.stays, fs.room[i])
			n += fs.room[i].size()
		}
	}
	return n
}

// address tells the labels of a series from those of every other, nil where there are none.
func address(s *ledger.Series) *ledger.Label {
	if len(s.Labels) == 0 {
		return nil
	}
	return &s.Labels[0]
}

// byMeasure finds the family of each measure once for all of a feed's series. A measure without such a metric has none,
// and no sample either.
func (fs *families) byMeasure(f *ledger.FeedView, name func(int) string) []*block {
	out := make([]*block, len(f.Endpoint.Measures))
	for i := range out {
		if n := name(i); fs.table[n] != nil {
			out[i] = fs.family(n)
		}
	}
	return out
}

// rows adds gauges, with or without those that are zero.
func (fs *families) rows(base []ledger.Label, rows []ledger.Row, zeros bool, gauges []*block) int {
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

// A change is what happened to the numbers of a measure after they were first read.
type change struct {
	name      string
	measure   string
	direction string // empty where there is none
	value     float64
}

// changes adds what happened to the numbers of a feed after they were first read, from when it first happened. A level is
// no counter, so nothing of it is ever restated.
func (fs *families) changes(f *ledger.FeedView, started int64, shown func(name string, value float64) (float64, bool)) {
	if f.Endpoint.Stock {
		return
	}
	base := []ledger.Label{{Name: metrics.LabelOrganization, Value: f.Organization}, {Name: metrics.LabelEndpoint, Value: f.Endpoint.Name}}
	all := []change{{name: metrics.HoursGivenUp, value: float64(f.HoursGivenUp)}}
	for i := range f.ByMeasure {
		m, measure := &f.ByMeasure[i], f.Endpoint.Measures[i].Name
		all = append(all, change{metrics.Withheld, measure, "", m.Withheld.Float64()},
			change{metrics.Restated, measure, "up", m.RestatedUp.Float64()}, change{metrics.Restated, measure, "down", m.RestatedDown.Float64()},
			change{metrics.AuditDifference, measure, "up", m.AuditUp.Float64()}, change{metrics.AuditDifference, measure, "down", m.AuditDown.Float64()})
	}
	for i, amount := range f.DerivedWithheld {
		all = append(all, change{metrics.Withheld, f.Endpoint.Derived[i].Name, "", amount.Float64()})
	}
	for _, c := range all {
		value, ok := shown(c.name+" "+c.measure+" "+c.direction, c.value)
		if !ok {
			continue
		}
		labels := fs.labels(base, filled(metrics.LabelMeasure, c.measure, metrics.LabelDirection, c.direction))
		if b := fs.family(c.name); b.metric.Type == metrics.Counter {
			fs.counter(b, labels, value, started)
		} else {
			fs.gauge(b, labels, c.value) // There is no step to miss in a gauge.
		}
	}
}

// fullness adds how full the exporter is of an organization.
func (fs *families) fullness(o *ledger.OrganizationView, series int) {
	labels := fs.labels([]ledger.Label{{Name: metrics.LabelOrganization, Value: o.Name}}, nil)
	fs.gauge(fs.family(metrics.LabelSets), labels, float64(o.LabelSets))
	fs.gauge(fs.family(metrics.LabelSetsLimit), labels, float64(o.Limit))
	fs.gauge(fs.family(metrics.Overflow), labels, float64(o.Overflow))
	fs.gauge(fs.family(metrics.SeriesExposed), labels, float64(series))
}

// status adds where an endpoint stands. It changes without the view, with every failed poll.
func (fs *families) status(s *fetcher.Status) {
	labels := fs.labels([]ledger.Label{{Name: metrics.LabelOrganization, Value: s.Organization}, {Name: metrics.LabelEndpoint, Value: s.Endpoint}}, nil)
	switch s.State {
	case fetcher.StateOK:
		fs.gauge(fs.family(metrics.Up), labels, 1)
		fs.gauge(fs.family(metrics.Available), labels, 1)
	case fetcher.StateFailing:
		fs.gauge(fs.family(metrics.Up), labels, 0)
		fs.gauge(fs.family(metrics.Available), labels, 1)
	case fetcher.StateUnavailable:
		fs.gauge(fs.family(metrics.Available), labels, 0)
	case fetcher.StateStarting:
	}
	if !s.LastSuccess.IsZero() {
		fs.gauge(fs.family(metrics.LastSuccess), labels, seconds(s.LastSuccess))
	}
}
