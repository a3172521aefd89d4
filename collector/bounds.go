package collector

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/openai-exporter/openai_exporter/fetcher"
)

func newReadBounds(table map[string]*Metric) *prometheus.GaugeVec {
	return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: readBound, Help: table[readBound].Help}, table[readBound].Labels)
}

// Bound notes how near to a bound a read came.
func (c *Collector) Bound(organization, endpoint string, b fetcher.Bound, share float64) {
	c.observed.know(key{organization, endpoint})
	c.observed.readBounds.WithLabelValues(organization, endpoint, string(b)).Set(share)
}
