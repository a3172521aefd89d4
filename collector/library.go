package collector

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"

	"github.com/openai-exporter/openai_exporter/internal/ledger"
	"github.com/openai-exporter/openai_exporter/internal/metrics"
)

// A library reads collectors of the client library. A registry starts goroutines for each reading, and checks, sorts and
// describes everything again. That takes longer than all the rest of a scrape that comes once a minute and finds nothing
// in the processor's caches. Here it is done once for each metric.
type library struct {
	registry *prometheus.Registry // only to register, so that no metric comes twice
	said     chan prometheus.Metric

	mu         sync.Mutex
	collectors []prometheus.Collector
	known      map[*prometheus.Desc]*described
	sorted     []*described // by name
	one        dto.Metric   // that was said last
}

// mostSaid is more than a collector may say at once: Go's says fifty metrics.
const mostSaid = 1024

// A described is a metric of the library, with what was said of it last. The room is used again for each reading: after a
// garbage collection every new object is expensive.
type described struct {
	kind  dto.MetricType
	block *block        // of counters and gauges; others have said only
	said  []*dto.Metric // of others
	sets  []*labelSet   // all that were ever said
	heads map[textEncoder][]byte
}

func newLibrary() *library {
	return &library{registry: prometheus.NewRegistry(), said: make(chan prometheus.Metric, mostSaid), known: make(map[*prometheus.Desc]*described)}
}

// Register implements prometheus.Registerer.
func (l *library) Register(c prometheus.Collector) error {
	if err := l.registry.Register(c); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.collectors = append(l.collectors, c)
	return nil
}

// MustRegister implements prometheus.Registerer.
func (l *library) MustRegister(all ...prometheus.Collector) {
	for _, c := range all {
		if err := l.Register(c); err != nil {
			panic(err)
		}
	}
}

// Unregister implements prometheus.Registerer. Nobody takes a collector away.
func (*library) Unregister(prometheus.Collector) bool { return false }

// read takes what the collectors say now. What can't be read is left out, and the error says why.
func (l *library) read() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, d := range l.sorted {
		d.said, d.block.samples = nil, d.block.samples[:0]
	}
	var failed []error
	for _, c := range l.collectors {
		c.Collect(l.said)
		for len(l.said) > 0 {
			if err := l.note(<-l.said); err != nil {
				failed = append(failed, err)
			}
		}
	}
	for _, d := range l.sorted {
		if len(d.block.samples) > 1 {
			slices.SortFunc(d.block.samples, func(a, b sample) int { return compareLabels(a.labels, b.labels) })
		}
	}
	return errors.Join(failed...)
}

// note adds what a collector has said to what is said of the metric.
func (l *library) note(m prometheus.Metric) error {
	l.one.Reset()
	if err := m.Write(&l.one); err != nil {
		return fmt.Errorf("read %s: %w", m.Desc(), err)
	}
	d := l.known[m.Desc()]
	if d == nil {
		var err error
		if d, err = describe(m); err != nil {
			return err
		}
		l.known[m.Desc()] = d
		l.sorted = append(l.sorted, d)
		slices.SortFunc(l.sorted, func(a, b *described) int { return cmp.Compare(a.block.metric.Name, b.block.metric.Name) })
	}
	if d.kind != dto.MetricType_COUNTER && d.kind != dto.MetricType_GAUGE {
		said := new(dto.Metric)
		d.said = append(d.said, said)
		return m.Write(said)
	}
	s := sample{labels: d.labels(l.one.Label), value: l.one.GetCounter().GetValue() + l.one.GetGauge().GetValue()}
	if created := l.one.GetCounter().GetCreatedTimestamp(); created != nil {
		s.created = created.AsTime().UnixMilli()
	}
	d.block.samples = append(d.block.samples, s)
	return nil
}

// labels returns the label set of what is said.
func (d *described) labels(pairs []*dto.LabelPair) *labelSet {
	i := slices.IndexFunc(d.sets, func(s *labelSet) bool {
		return slices.EqualFunc(s.pairs, pairs, func(a ledger.Label, b *dto.LabelPair) bool { return a.Name == b.GetName() && a.Value == b.GetValue() })
	})
	if i >= 0 {
		return d.sets[i]
	}
	own := make([]ledger.Label, len(pairs))
	for i, p := range pairs {
		own[i] = ledger.Label{Name: p.GetName(), Value: p.GetValue()}
	}
	s := newLabelSet(nil, own)
	d.sets = append(d.sets, s)
	return s
}

// describe asks a registry what a metric is called, which the library tells nobody else.
func describe(said prometheus.Metric) (*described, error) {
	r := prometheus.NewRegistry()
	if err := r.Register(alone{said}); err != nil {
		return nil, err
	}
	all, err := r.Gather()
	if err != nil {
		return nil, err
	}
	f := all[0]
	m := &metrics.Metric{Name: f.GetName(), Help: f.GetHelp(), Unit: f.GetUnit(), Type: metrics.Type(strings.ToLower(f.GetType().String()))}
	return &described{kind: f.GetType(), block: &block{metric: m}, heads: make(map[textEncoder][]byte)}, nil
}

// alone is a collector of one metric.
type alone struct{ prometheus.Metric }

func (a alone) Describe(out chan<- *prometheus.Desc) { out <- a.Desc() }

func (a alone) Collect(out chan<- prometheus.Metric) { out <- a.Metric }

// family is what was said as the library has it.
func (d *described) family() *dto.MetricFamily {
	f := d.block.family()
	f.Type = d.kind.Enum()
	f.Metric = append(f.Metric, d.said...)
	return f
}

// append writes what was said in a format, e's.
func (d *described) append(b []byte, f expfmt.Format, e encoder) ([]byte, error) {
	switch {
	case len(d.said) > 0:
		return d.appendSaid(b, f, e)
	case len(d.block.samples) == 0:
		return b, nil
	}
	d.block.sized.Store(0)
	return e.block(d.head(b, e, e.size(d.block)), d.block)
}

// head appends what stands before the samples. In text it is always the same.
func (d *described) head(b []byte, e encoder, size int) []byte {
	text, ok := e.(textEncoder)
	if !ok {
		return e.head(b, d.block.metric, size)
	}
	if d.heads[text] == nil {
		d.heads[text] = e.head(nil, d.block.metric, 0)
	}
	return append(b, d.heads[text]...)
}

// appendSaid writes what is neither a counter nor a gauge. There is one, a summary without labels of how long garbage
// collection has stopped the program.
func (d *described) appendSaid(b []byte, f expfmt.Format, e encoder) ([]byte, error) {
	text, ok := e.(textEncoder)
	if s := d.said[0].Summary; ok && !text.startTimestamps && s != nil && len(d.said) == 1 && len(d.said[0].Label) == 0 {
		name := d.block.metric.Name
		b = d.head(b, e, 0)
		for _, q := range s.Quantile {
			b = append(append(b, name...), "{quantile=\""...)
			b = append(text.float(b, q.GetQuantile()), "\"} "...)
			b = append(text.float(b, q.GetValue()), '\n')
		}
		b = append(text.float(append(append(b, name...), "_sum "...), s.GetSampleSum()), '\n')
		b = strconv.AppendUint(append(append(b, name...), "_count "...), s.GetSampleCount(), 10)
		return append(b, '\n'), nil
	}
	written := bytes.NewBuffer(b)
	err := expfmt.NewEncoder(written, f).Encode(d.family())
	return written.Bytes(), err
}
