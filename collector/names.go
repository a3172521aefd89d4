package collector

import "github.com/openai-exporter/openai_exporter/internal/api"

// Name returns the name of the metric that a measure's values are exposed under: its counter, or the gauge of a level.
func Name(e *api.Endpoint, m *api.Measure) string {
	if e.Stock {
		return stockName(m)
	}
	return counterName(e, m)
}
