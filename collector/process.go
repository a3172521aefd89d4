package collector

import (
	"bytes"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
)

// A moment is what is only true of the moment, and read for every scrape: what libraries say of the Go runtime, of the
// process and of the scrapes.
type moment struct{ registry *prometheus.Registry }

func newMoment(now func() time.Time) *moment {
	m := &moment{prometheus.NewRegistry()}
	m.registry.MustRegister(
		collectors.NewGoCollector(),
		&readings{Collector: collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), now: now},
	)
	return m
}

// gather returns the families with one of the names, all without any.
func (m *moment) gather(names []string) ([]*dto.MetricFamily, error) {
	all, err := m.registry.Gather()
	return slices.DeleteFunc(all, func(f *dto.MetricFamily) bool {
		// In OpenMetrics this gauge and the counter go_memstats_alloc_bytes_total have one name, and strict parsers refuse
		// the whole answer. The same number is in go_memstats_heap_alloc_bytes.
		return f.GetName() == "go_memstats_alloc_bytes" || len(names) > 0 && !slices.Contains(names, f.GetName())
	}), err
}

// encode writes the families with one of the names as what ends an answer.
func (m *moment) encode(names []string, f form, with *coder) (end part, warning, err error) {
	families, warning := m.gather(names)
	var plain bytes.Buffer
	e := expfmt.NewEncoder(&plain, f.format)
	for _, f := range families {
		if err := e.Encode(f); err != nil {
			return part{}, warning, err
		}
	}
	end, err = with.last(f.coding, encoderOf(f.format).end(plain.Bytes()))
	return end, warning, err
}

// readingsHold is how long readings are shared: shorter than any interval of scrapes.
const readingsHold = time.Second

// readings shares what another collector reads between scrapes that come at the same time, as those of several Prometheus
// servers do. To read a dozen files of /proc takes longer than to serve a megabyte.
type readings struct {
	prometheus.Collector
	now func() time.Time

	mu      sync.Mutex
	at      time.Time
	metrics []prometheus.Metric
}

func (r *readings) Collect(out chan<- prometheus.Metric) {
	for _, m := range r.read() {
		out <- m
	}
}

func (r *readings) read() []prometheus.Metric {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	// The distance is taken both ways because the clock may have been set back.
	if r.metrics != nil && now.Sub(r.at).Abs() < readingsHold {
		return r.metrics
	}
	anew := make(chan prometheus.Metric)
	go func() {
		defer close(anew)
		r.Collector.Collect(anew)
	}()
	var metrics []prometheus.Metric
	for m := range anew {
		metrics = append(metrics, m)
	}
	r.metrics, r.at = metrics, now
	return metrics
}
