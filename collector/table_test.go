package collector_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/openai-exporter/openai_exporter/internal/metrics"

	"github.com/openai-exporter/openai_exporter/internal/api"
)

// fromLibraries are the prefixes of metrics that are not ours to name.
var fromLibraries = []string{"go_", "process_", "promhttp_"}

func TestTheTableHasEveryMetricThatIsExposed(t *testing.T) {
	_, c := pollingOrganization(t)
	c.Handler() // It registers metrics of its own.
	table := make(map[string]metrics.Metric)
	for _, m := range metrics.Table() {
		if _, ok := table[m.Name]; ok {
			t.Errorf("%s stands in the table twice", m.Name)
		}
		table[m.Name] = m
	}
	seen := make(map[string]bool)
	for _, f := range gather(t, c) {
		if slices.ContainsFunc(fromLibraries, func(p string) bool { return strings.HasPrefix(f.GetName(), p) }) {
			continue
		}
		m, ok := table[f.GetName()]
		if !ok {
			t.Errorf("%s is exposed, but the table does not have it", f.GetName())
			continue
		}
		seen[m.Name] = true
		if f.GetHelp() != m.Help || !strings.EqualFold(f.GetType().String(), string(m.Type)) {
			t.Errorf("%s is exposed as %s %q, the table has %s %q", m.Name, f.GetType(), f.GetHelp(), m.Type, m.Help)
		}
		for _, s := range f.Metric {
			for _, l := range s.Label {
				if !slices.Contains(m.Labels, l.GetName()) {
					t.Errorf("%s has a label %s that the table does not have", m.Name, l.GetName())
				}
			}
		}
	}
	for _, m := range metrics.Table() {
		// The small organization has four endpoints of twelve.
		if !seen[m.Name] && (m.Endpoints == nil || slices.Contains(m.Endpoints, "completions") || slices.Contains(m.Endpoints, api.Costs)) {
			t.Errorf("%s stands in the table but is not exposed", m.Name)
		}
	}
}
