package collector

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

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
