//go:build manifests

package deploy_test

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

type ruleFile struct {
	Groups []struct {
		Name  string
		Rules []map[string]any
	}
}

func TestChartCarriesEveryRule(t *testing.T) {
	var want ruleFile
	for _, f := range glob(t, "deploy/prometheus/rules/*.yml") {
		var doc ruleFile
		unmarshal(t, read(t, f), &doc)
		want.Groups = append(want.Groups, doc.Groups...)
	}
	rendered := func(args ...string) (ruleFile, string) {
		var got ruleFile
		m := only(t, render(t, append([]string{"--set=existingSecret=a,prometheusRule.enabled=true"}, args...)...), "PrometheusRule")[0]
		if err := m.Spec.Decode(&got); err != nil {
			t.Fatal(err)
		}
		b, err := yaml.Marshal(&m.Spec)
		if err != nil {
			t.Fatal(err)
		}
		return got, string(b)
	}
	got, text := rendered()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rules (-want +got):\n%s", diff)
	}
	if out, err := tool(t, "PROMTOOL", text, "check", "rules"); err != nil {
		t.Errorf("%v\n%s", err, out)
	}

	changed, text := rendered("--set=prometheusRule.disabled[0]=OpenAIExporterDown,prometheusRule.overrides.OpenAIKeyRejected.for=7h")
	if strings.Contains(text, "OpenAIExporterDown") {
		t.Error("a rule that is not wanted is there")
	}
	for _, g := range changed.Groups {
		for _, r := range g.Rules {
			if (r["alert"] == "OpenAIKeyRejected") != (r["for"] == "7h") {
				t.Errorf("rule %v waits for %v", r["alert"], r["for"])
			}
		}
	}
}

func TestChartCarriesEveryDashboard(t *testing.T) {
	got := map[string]string{}
	for _, m := range only(t, render(t, "--set=existingSecret=a,dashboards.enabled=true"), "ConfigMap") {
		for name, content := range m.Data {
			if dashboard, ok := strings.CutPrefix(name, "openai-"); ok {
				if m.Metadata.Labels["grafana_dashboard"] != "1" {
					t.Errorf("%s is not labelled for the sidecar", m.Metadata.Name)
				}
				got[dashboard] = content
			}
		}
	}
	files := glob(t, "deploy/grafana/dashboards/*.json")
	for _, f := range files {
		var want, have any
		if err := json.Unmarshal([]byte(read(t, f)), &want); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(got[filepath.Base(f)]), &have); err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		if diff := cmp.Diff(want, have); diff != "" {
			t.Errorf("%s (-want +got):\n%s", f, diff)
		}
	}
	if len(got) != len(files) {
		t.Errorf("%d dashboards, want %d", len(got), len(files))
	}
}
