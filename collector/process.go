package collector

import (
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus/collectors"
	dto "github.com/prometheus/client_model/go"
)

// A moment is what is only true of the moment, and read for the scrapes of a second: what libraries say of the Go runtime,
// of the process and of the scrapes.
type moment struct {
	library *library
	now     func() time.Time

	mu      sync.Mutex
	at      time.Time // when the metrics were read
	warning error
	ends    map[form]part // what ends an answer with them
	plain   []byte        // room for an end before it is coded
}

// momentHold is how long readings are shared: shorter than any interval of scrapes. Those of several Prometheus servers
// come at the same time, and to read files of /proc takes as long as to serve hundreds of kilobytes.
const momentHold = time.Second

func newMoment(now func() time.Time) *moment {
	m := &moment{library: newLibrary(), now: now}
	m.library.MustRegister(collectors.NewGoCollector(), newSelf())
	return m
}

// gather returns all families.
func (m *moment) gather() ([]*dto.MetricFamily, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.renew()
	var out []*dto.MetricFamily
	for _, d := range m.shown(nil) {
		out = append(out, d.family())
	}
	return out, m.warning
}

// renew reads the metrics again where what was read is too old. The caller holds mu.
func (m *moment) renew() {
	now := m.now()
	// The distance is taken both ways because the clock may have been set back.
	if m.ends != nil && now.Sub(m.at).Abs() < momentHold {
		return
	}
	m.warning = m.library.read()
	m.at, m.ends = now, make(map[form]part)
}

// shown are the metrics with one of the names, all without any.
func (m *moment) shown(metricNames []string) []*described {
	var out []*described
	for _, d := range m.library.sorted {
		// In OpenMetrics this gauge and the counter go_memstats_alloc_bytes_total have one name, and strict parsers refuse
		// the whole answer. The same number is in go_memstats_heap_alloc_bytes.
		if name := d.block.metric.Name; name != "go_memstats_alloc_bytes" && (len(metricNames) == 0 || slices.Contains(metricNames, name)) {
			out = append(out, d)
		}
	}
	return out
}

// encode writes the metrics with one of the names as what ends an answer with so many coded bytes before it.
func (m *moment) encode(metricNames []string, f form, before int, with *coder) (end part, warning, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.renew()
	if end, made := m.ends[f]; made && len(metricNames) == 0 {
		return end, m.warning, nil
	}
	e := encoderOf(f.format)
	m.plain = m.plain[:0]
	for _, d := range m.shown(metricNames) {
		if m.plain, err = d.append(m.plain, f.format, e); err != nil {
			return end, m.warning, err
		}
	}
	m.plain = e.end(m.plain)
	if end, err = with.last(f.coding, m.plain, before); err == nil && len(metricNames) == 0 {
		m.ends[f] = end
	}
	return end, m.warning, err
}
