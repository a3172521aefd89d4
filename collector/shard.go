package collector

import "github.com/prometheus/client_golang/prometheus"

// registerShard says which of how many replicas this is. Both are there without sharding too, so that a query that holds
// the replicas against each other needs no second case.
func registerShard(r prometheus.Registerer, table map[string]*Metric, index, count int) {
	for name, value := range map[string]int{shardIndex: index, shardCount: max(count, 1)} {
		g := prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: table[name].Help})
		g.Set(float64(value))
		r.MustRegister(g)
	}
}
