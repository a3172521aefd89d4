package deploy_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

var update = flag.Bool("update", false, "rewrite golden files and generated documents")

const chart = "deploy/helm/openai-exporter"

// golden compares with a file, or writes it.
func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(filepath.Join(root, path), []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(read(t, path), got); diff != "" {
		t.Errorf("%s is not current (-want +got):\n%s", path, diff)
	}
}

// A value of the chart with its comment. Defaults are as JSON, which is YAML too.
type value struct{ path, standard, comment string }

// values walks values.yaml. A key with a comment of its own is a row; one without leads to further keys.
func values(t *testing.T, node *yaml.Node, prefix string) []value {
	t.Helper()
	var all []value
	for i := 0; i < len(node.Content); i += 2 {
		key, val := node.Content[i], node.Content[i+1]
		path := prefix + key.Value
		// A section's comment hangs together with the one above it, so only the last paragraph is about this key.
		paragraphs := strings.Split(key.HeadComment, "\n\n")
		comment, ok := strings.CutPrefix(paragraphs[len(paragraphs)-1], "# -- ")
		switch {
		case ok:
			var standard any
			if err := val.Decode(&standard); err != nil {
				t.Fatal(err)
			}
			b, err := json.Marshal(standard)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, value{path, string(b), comment})
		case val.Kind == yaml.MappingNode && len(val.Content) > 0:
			all = append(all, values(t, val, path+".")...)
		default:
			t.Errorf("values.yaml: %s says nothing about itself", path)
		}
	}
	return all
}

func chartValues(t *testing.T) []value {
	t.Helper()
	var doc yaml.Node
	unmarshal(t, read(t, chart, "values.yaml"), &doc)
	return values(t, doc.Content[0], "")
}

func TestChartReadmeIsMadeFromItsValues(t *testing.T) {
	const begin, end = "<!-- Generated from values.yaml. -->\n\n", "\n<!-- The end of what is generated. -->"
	readme := read(t, chart, "README.md")
	before, rest, ok := strings.Cut(readme, begin)
	_, after, also := strings.Cut(rest, end)
	if !ok || !also {
		t.Fatal("README.md of the chart has lost its marks")
	}
	var table strings.Builder
	table.WriteString("| value | default | meaning |\n|---|---|---|\n")
	for _, v := range chartValues(t) {
		fmt.Fprintf(&table, "| `%s` | `%s` | %s |\n", v.path, v.standard, strings.ReplaceAll(v.comment, "|", `\|`))
	}
	golden(t, filepath.Join(chart, "README.md"), before+begin+table.String()+end+after)
}

// A value that the schema does not know can't be set, and one that values.yaml does not have is found by nobody.
func TestChartSchemaAndValuesKnowTheSame(t *testing.T) {
	type object struct {
		Properties map[string]json.RawMessage
	}
	keys := func(prefix string, raw []byte) []string {
		var o object
		if err := json.Unmarshal(raw, &o); err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, k := range slices.Sorted(maps.Keys(o.Properties)) {
			names = append(names, prefix+k)
		}
		return names
	}
	schema := []byte(read(t, chart, "values.schema.json"))
	var top object
	if err := json.Unmarshal(schema, &top); err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	unmarshal(t, read(t, chart, "values.yaml"), &doc)
	want := []string{"global"} // Helm's own, for charts that use this one.
	var got []string
	for name, v := range doc {
		want = append(want, name)
		// What has properties in the schema has the same keys among the values; what has none is free.
		below := keys(name+".", top.Properties[name])
		if nested, is := v.(map[string]any); is && name != "config" && len(below) > 0 {
			got = append(got, below...)
			for k := range nested {
				want = append(want, name+"."+k)
			}
		}
	}
	got = append(got, keys("", schema)...)
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("values.yaml has, values.schema.json has (-want +got):\n%s", diff)
	}
}

// The chart reads no file outside its folder, so links lead there. Packaging it puts the files themselves in their place.
func TestChartHasTheRulesAndDashboardsThemselves(t *testing.T) {
	for link, want := range map[string]string{"rules": "../../../prometheus/rules", "dashboards": "../../../grafana/dashboards"} {
		got, err := os.Readlink(filepath.Join(root, chart, "files", link))
		if err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("files/%s leads to %s, want %s", link, got, want)
		}
	}
	glob(t, chart+"/files/rules/*.yml", chart+"/files/dashboards/*.json")
}

func TestChartAndManifestsHaveTheVersionOfTheExporter(t *testing.T) {
	var about struct {
		Version    string `yaml:"version"`
		AppVersion string `yaml:"appVersion"`
	}
	unmarshal(t, read(t, chart, "Chart.yaml"), &about)
	if want := strings.TrimSpace(read(t, "VERSION")); about.Version != want || about.AppVersion != want {
		t.Errorf("Chart.yaml has version %s and appVersion %s, VERSION has %s", about.Version, about.AppVersion, want)
	} else if !strings.Contains(read(t, "deploy/kubernetes/kustomization.yaml"), "newTag: "+want+"\n") {
		t.Errorf("kustomization.yaml does not take the image of version %s", want)
	}
}
