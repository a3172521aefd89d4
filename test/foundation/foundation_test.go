package foundation_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

func files(t *testing.T) []string {
	t.Helper()
	found, err := filepath.Glob("../../deploy/grafana/*/*.json")
	if err != nil || len(found) < 10 {
		t.Fatalf("%d dashboards: %v", len(found), err)
	}
	return append(found, "../../deploy/prometheus/reconcile/dashboard.json")
}

// words are those of an error. The generated types return a list of errors, which may be empty.
func words(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// TestGrafanasTypesKnowEveryField: a field that Grafana does not know has no effect, and says nothing.
func TestGrafanasTypesKnowEveryField(t *testing.T) {
	plugins.RegisterDefaultPlugins()
	for _, file := range files(t) {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var d dashboard.Dashboard
		if said := words(d.UnmarshalJSONStrict(b)); said != "" {
			t.Errorf("%s: %s", filepath.Base(file), said)
		}
		if said := words(d.Validate()); said != "" {
			t.Errorf("%s: %s", filepath.Base(file), said)
		}
		if len(d.Panels) == 0 || d.Uid == nil {
			t.Errorf("%s: %d panels were read", filepath.Base(file), len(d.Panels))
		}
	}
}

// The check is worth what it finds.
func TestGrafanasTypesRefuseAMisspeltField(t *testing.T) {
	plugins.RegisterDefaultPlugins()
	b, err := os.ReadFile(files(t)[0])
	if err != nil {
		t.Fatal(err)
	}
	for right, wrong := range map[string]string{`"gridPos"`: `"gridPosition"`, `"refresh"`: `"refreshEvery"`, `"expr"`: `"expression"`} {
		changed := bytes.Replace(b, []byte(right), []byte(wrong), 1)
		var d dashboard.Dashboard
		if said := words(d.UnmarshalJSONStrict(changed)); bytes.Equal(b, changed) || !strings.Contains(said, strings.Trim(wrong, `"`)) {
			t.Errorf("%s in place of %s: %q", wrong, right, said)
		}
	}
}
