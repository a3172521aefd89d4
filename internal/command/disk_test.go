package command

import (
	"strings"

	dto "github.com/prometheus/client_model/go"
)

const commitErrors = "openai_exporter_state_commit_errors_total"

// counters returns every counter of usage and costs.
func (p *process) counters() map[string]float64 {
	p.t.Helper()
	out := map[string]float64{}
	for name, f := range p.families("openai_") {
		if !strings.HasSuffix(name, "_total") || !strings.HasPrefix(name, "openai_usage_") && !strings.HasPrefix(name, "openai_cost_") {
			continue
		}
		for _, m := range f.GetMetric() {
			out[name+labelText(m)] = m.GetCounter().GetValue()
		}
	}
	return out
}

func labelText(m *dto.Metric) string {
	var b strings.Builder
	for _, l := range m.GetLabel() {
		b.WriteString("," + l.GetName() + "=" + l.GetValue())
	}
	return b.String()
}
