package metrics

import "github.com/openai-exporter/openai_exporter/internal/api"

// Name returns the name of the metric that a measure's values are exposed under: its counter, or the gauge of a level.
func Name(e *api.Endpoint, m *api.Measure) string {
	if e.Stock {
		return StockName(m)
	}
	return CounterName(e, m)
}

// CounterName is the name of the counter of a measure, "" for a level, which has none.
func CounterName(e *api.Endpoint, m *api.Measure) string {
	switch {
	case e.Stock:
		return ""
	case e.IsCosts():
		return "openai_" + m.Name + "_total"
	}
	return "openai_usage_" + m.Name + "_total"
}

// DerivedName is the name of the counter of a derived measure.
func DerivedName(m *api.Measure) string {
	if m.Name == api.MeasureEstimate {
		return "openai_" + m.Name + "_total"
	}
	return "openai_exporter_" + m.Name + "_total"
}

// StockName is the name of the gauge of a level.
func StockName(m *api.Measure) string { return "openai_usage_" + m.Name }

// LastBucketName is the name of the gauge that shows the newest closed bucket alone.
func LastBucketName(m *api.Measure) string { return "openai_usage_last_bucket_" + m.Name }
