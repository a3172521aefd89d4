package collector_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/openai-exporter/openai_exporter/collector"
	"github.com/openai-exporter/openai_exporter/internal/api"
)

func TestMetricsReferenceIsCurrent(t *testing.T) {
	var b bytes.Buffer
	if err := collector.WriteMarkdown(&b); err != nil {
		t.Fatal(err)
	}
	golden(t, "../docs/metrics.md", b.Bytes())
}

// fromLibraries are the prefixes of metrics that are not ours to name.
var fromLibraries = []string{"go_", "process_", "promhttp_"}

func TestTheTableHasEveryMetricThatIsExposed(t *testing.T) {
	_, c := pollingOrganization(t)
	c.Handler() // It registers metrics of its own.
	table := make(map[string]collector.Metric)
	for _, m := range collector.Table() {
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
	for _, m := range collector.Table() {
		// The small organization has four endpoints of twelve.
		if !seen[m.Name] && (m.Endpoints == nil || slices.Contains(m.Endpoints, "completions") || slices.Contains(m.Endpoints, api.Costs)) {
			t.Errorf("%s stands in the table but is not exposed", m.Name)
		}
	}
}

func TestMeasuresThatShareAMetricShareItsHelp(t *testing.T) {
	help := make(map[string]string)
	for _, e := range api.Endpoints {
		for _, m := range e.Measures {
			if h, ok := help[m.Name]; ok && h != m.Help {
				t.Errorf("%s of %s: help %q, elsewhere %q", m.Name, e.Name, m.Help, h)
			}
			help[m.Name] = m.Help
		}
	}
}

func TestHelpOfPolledDataSaysHowOldItMayBe(t *testing.T) {
	for _, m := range collector.Table() {
		// A budget is configured, not polled.
		data := strings.HasPrefix(m.Name, "openai_") && !strings.HasPrefix(m.Name, "openai_exporter_") && m.Name != "openai_budget_usd"
		if data && (!strings.Contains(m.Help, "Polled") || !strings.Contains(m.Help, "interval")) {
			t.Errorf("%s: help %q", m.Name, m.Help)
		}
	}
}
