package metrics_test

import (
	"bytes"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/metrics"
)

var update = flag.Bool("update", false, "write the reference again")

func TestMetricsReferenceIsCurrent(t *testing.T) {
	const path = "../../docs/metrics.md"
	var b bytes.Buffer
	if err := metrics.WriteMarkdown(&b); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), b.String()); d != "" {
		t.Errorf("%s is not current, -update rewrites it (-file +now):\n%s", path, d)
	}
}

// TestHelpIsOneShortLine: it stands before every metric of every scrape, and has no markup.
func TestHelpIsOneShortLine(t *testing.T) {
	for _, m := range metrics.Table() {
		if m.Name == metrics.BuildInfo {
			continue // A library's words.
		}
		if len(m.Help) > 180 || !strings.HasSuffix(m.Help, ".") || strings.ContainsAny(m.Help, "`\n") {
			t.Errorf("%s: help of %d characters %q", m.Name, len(m.Help), m.Help)
		}
	}
}

func TestEveryLabelIsExplained(t *testing.T) {
	var b strings.Builder
	if err := metrics.WriteMarkdown(&b); err != nil {
		t.Fatal(err)
	}
	_, labels, _ := strings.Cut(b.String(), "\n## Labels\n")
	for _, m := range metrics.Table() {
		if m.Name == metrics.BuildInfo {
			continue // A library's labels.
		}
		for _, name := range m.Labels {
			if !strings.Contains(labels, "\n| `"+name+"` |") {
				t.Errorf("%s has the label %s, which the reference does not explain", m.Name, name)
			}
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
	for _, m := range metrics.Table() {
		// A budget is configured, not polled.
		data := strings.HasPrefix(m.Name, "openai_") && !strings.HasPrefix(m.Name, "openai_exporter_") && m.Name != "openai_budget_usd"
		if data && (!strings.Contains(m.Help, "Polled") || !strings.Contains(m.Help, "interval")) {
			t.Errorf("%s: help %q", m.Name, m.Help)
		}
	}
}
