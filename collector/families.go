package collector

import (
	"cmp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/openai-exporter/openai_exporter/internal/ledger"
)

// families collects samples into ready metric families. What it returns may be read by any number of scrapes at once
// and must not be changed any more.
type families struct {
	table  map[string]*Metric
	byName map[string]*dto.MetricFamily
	names  map[string]*string // label names, one copy each
}

func newFamilies(table map[string]*Metric) *families {
	return &families{table: table, byName: make(map[string]*dto.MetricFamily), names: make(map[string]*string)}
}

// family returns the family of a metric of the table.
func (fs *families) family(name string) *dto.MetricFamily {
	if f := fs.byName[name]; f != nil {
		return f
	}
	m := fs.table[name]
	f := &dto.MetricFamily{Name: proto.String(name), Help: proto.String(m.Help), Type: dto.MetricType_GAUGE.Enum()}
	if m.Type == Counter {
		f.Type = dto.MetricType_COUNTER.Enum()
	}
	fs.byName[name] = f
	return f
}

// labels makes the label pairs of a series, sorted by name. The values are those of the arguments, not copies.
func (fs *families) labels(base, own []ledger.Label) []*dto.LabelPair {
	pairs := make([]dto.LabelPair, len(base)+len(own))
	out := make([]*dto.LabelPair, len(pairs))
	for i := range pairs {
		l := &base[min(i, len(base)-1)]
		if i >= len(base) {
			l = &own[i-len(base)]
		}
		name := fs.names[l.Name]
		if name == nil {
			name = proto.String(l.Name)
			fs.names[l.Name] = name
		}
		value := &l.Value
		if !utf8.ValidString(l.Value) {
			// Every exposition format demands valid UTF-8, and Prometheus drops the whole scrape otherwise.
			value = proto.String(strings.ToValidUTF8(l.Value, string(utf8.RuneError)))
		}
		pairs[i].Name, pairs[i].Value = name, value
		out[i] = &pairs[i]
	}
	slices.SortFunc(out, func(a, b *dto.LabelPair) int { return cmp.Compare(*a.Name, *b.Name) })
	return out
}

// counter adds a sample of a counter that counts from zero since created.
func (fs *families) counter(f *dto.MetricFamily, labels []*dto.LabelPair, value float64, created *timestamppb.Timestamp) {
	s := &struct {
		metric  dto.Metric
		counter dto.Counter
		value   float64
	}{value: value}
	s.counter.Value, s.counter.CreatedTimestamp = &s.value, created
	s.metric.Label, s.metric.Counter = labels, &s.counter
	f.Metric = append(f.Metric, &s.metric)
}

// gauge adds a sample of a gauge.
func (fs *families) gauge(f *dto.MetricFamily, labels []*dto.LabelPair, value float64) {
	s := &struct {
		metric dto.Metric
		gauge  dto.Gauge
		value  float64
	}{value: value}
	s.gauge.Value = &s.value
	s.metric.Label, s.metric.Gauge = labels, &s.gauge
	f.Metric = append(f.Metric, &s.metric)
}

// finish returns the families that have samples, sorted by name, their samples sorted by labels.
func (fs *families) finish() []*dto.MetricFamily {
	var out []*dto.MetricFamily
	for _, f := range fs.byName {
		if len(f.Metric) == 0 {
			continue
		}
		slices.SortStableFunc(f.Metric, compareMetrics)
		f.Metric = sumEqual(f.Metric)
		out = append(out, f)
	}
	sortByName(out)
	return out
}

// sortByName leaves those of the same name in their order.
func sortByName(fs []*dto.MetricFamily) {
	slices.SortStableFunc(fs, func(a, b *dto.MetricFamily) int { return cmp.Compare(a.GetName(), b.GetName()) })
}

func compareMetrics(a, b *dto.Metric) int {
	return slices.CompareFunc(a.Label, b.Label, func(x, y *dto.LabelPair) int {
		if c := cmp.Compare(*x.Name, *y.Name); c != 0 {
			return c
		}
		return cmp.Compare(*x.Value, *y.Value)
	})
}

// sumEqual adds up neighbours with equal labels, which two label sets become when both are made valid UTF-8: a repeated
// series would void the scrape, and a dropped one the sum.
func sumEqual(ms []*dto.Metric) []*dto.Metric {
	out := ms[:1]
	for _, m := range ms[1:] {
		last := out[len(out)-1]
		if compareMetrics(last, m) != 0 {
			out = append(out, m)
			continue
		}
		if m.Gauge != nil {
			*last.Gauge.Value += *m.Gauge.Value
			continue
		}
		*last.Counter.Value += *m.Counter.Value
		if a, b := last.Counter.CreatedTimestamp, m.Counter.CreatedTimestamp; a != nil && b != nil && b.AsTime().Before(a.AsTime()) {
			last.Counter.CreatedTimestamp = b
		}
	}
	return out
}

// timestamp is the protobuf form of a time, nil for the zero time.
func timestamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

// seconds is a time as Prometheus wants it.
func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }
