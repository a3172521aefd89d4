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

// A moment is what is only true of the moment, and read for the scrapes of a second: what libraries say of the Go runtime,
// of the process and of the scrapes.
type moment struct {
	registry *prometheus.Registry
	now      func() time.Time

	mu       sync.Mutex
	at       time.Time // when the families were read
	families []*dto.MetricFamily
	warning  error
	ends     map[form]part // what ends an answer with them
}

// momentHold is how long readings are shared: shorter than any interval of scrapes. Those of several Prometheus servers
// come at the same time, and to read a dozen files of /proc takes longer than to serve a megabyte.
const momentHold = time.Second

func newMoment(now func() time.Time) *moment {
	m := &moment{registry: prometheus.NewRegistry(), now: now}
	m.registry.MustRegister(collectors.NewGoCollector(), newSelf())
	return m
}

// gather returns the families with one of the names, all without any.
func (m *moment) gather(metricNames []string) ([]*dto.MetricFamily, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.read()
	chosen := slices.Clone(m.families)
	return slices.DeleteFunc(chosen, func(f *dto.MetricFamily) bool {
		return len(metricNames) > 0 && !slices.Contains(metricNames, f.GetName())
	}), m.warning
}

// read reads the families again where they are too old. The caller holds mu.
func (m *moment) read() {
	now := m.now()
	// The distance is taken both ways because the clock may have been set back.
	if m.families != nil && now.Sub(m.at).Abs() < momentHold {
		return
	}
	all, warning := m.registry.Gather()
	m.families = slices.DeleteFunc(all, func(f *dto.MetricFamily) bool {
		// In OpenMetrics this gauge and the counter go_memstats_alloc_bytes_total have one name, and strict parsers refuse
		// the whole answer. The same number is in go_memstats_heap_alloc_bytes.
		return f.GetName() == "go_memstats_alloc_bytes"
	})
	m.at, m.warning, m.ends = now, warning, make(map[form]part)
}

// encode writes the families with one of the names as what ends an answer.
func (m *moment) encode(metricNames []string, f form, with *coder) (end part, warning, err error) {
	if len(metricNames) > 0 {
		families, warning := m.gather(metricNames)
		end, err = encodeEnd(families, f, with)
		return end, warning, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.read()
	end, made := m.ends[f]
	if !made {
		if end, err = encodeEnd(m.families, f, with); err == nil {
			m.ends[f] = end
		}
	}
	return end, m.warning, err
}

func encodeEnd(families []*dto.MetricFamily, f form, with *coder) (part, error) {
	var plain bytes.Buffer
	e := expfmt.NewEncoder(&plain, f.format)
	for _, f := range families {
		if err := e.Encode(f); err != nil {
			return part{}, err
		}
	}
	return with.last(f.coding, encoderOf(f.format).end(plain.Bytes()))
}
