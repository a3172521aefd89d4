package grafana_test

import (
	"encoding/json"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/openai-exporter/openai_exporter/internal/metrics"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/openai-exporter/openai_exporter/deploy/grafana"
)

var update = flag.Bool("update", false, "write the dashboards again")

func TestDashboardsAreCurrent(t *testing.T) {
	for dir, spell := range map[string]func(*grafana.Dashboard) *grafana.Dashboard{
		"dashboards": (*grafana.Dashboard).Portable,
		"anchored":   func(d *grafana.Dashboard) *grafana.Dashboard { return d },
	} {
		var want []string
		for name, d := range grafana.All() {
			path := filepath.Join(dir, name+".json")
			want = append(want, path)
			current(t, path, spell(d))
		}
		got, err := filepath.Glob(dir + "/*")
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(want)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("files (-want +got):\n%s", diff)
		}
	}
}

// It shows what the rules beside it record, and is no use without them.
func TestTheDashboardOfReconciliationIsCurrent(t *testing.T) {
	current(t, "../prometheus/reconcile/dashboard.json", grafana.Reconcile())
	rules := read(t, "../prometheus/reconcile/openai-reconcile.yml")
	for _, p := range grafana.Reconcile().Panels {
		for _, q := range p.Targets {
			for _, name := range regexp.MustCompile(`[a-z_]*:?openai_[a-z_]+:[a-z0-9_]+`).FindAllString(q.Expr, -1) {
				if !strings.Contains(rules, "record: "+name+"\n") {
					t.Errorf("%q shows %s, which no rule records", p.Title, name)
				}
			}
		}
	}
}

func current(t *testing.T, path string, d *grafana.Dashboard) {
	t.Helper()
	b, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	// Signs that HTML would not survive are common in queries, and hard to read when they are escaped.
	text := strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(string(b)) + "\n"
	if *update {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(text, read(t, path)); diff != "" {
		t.Errorf("%s is not current, run go test ./deploy/grafana -update (-want +got):\n%s", path, diff)
	}
}

// What follows reads the files as Grafana does, and knows nothing of how they are made.
type (
	dashboard struct {
		UID           string
		Title         string
		Description   string
		Tags          []string
		SchemaVersion int
		Panels        []panel
		Links         []struct{ Type string }
		Annotations   struct {
			List []struct {
				Name, Expr string
				Datasource datasource
			}
		}
		Templating struct {
			List []struct {
				Name, Type, Definition string
				Datasource             datasource
			}
		}
	}
	panel struct {
		ID          int
		Type        string
		Title       string
		Description string
		GridPos     struct{ X, Y, W, H int }
		Datasource  datasource
		Targets     []struct {
			RefID, Expr string
			Datasource  datasource
		}
		FieldConfig struct {
			Defaults  struct{ Unit string }
			Overrides []struct {
				Matcher struct {
					ID      string
					Options any
				}
			}
		}
		Transformations []struct {
			ID      string
			Options struct{ RenameByName map[string]string }
		}
	}
	datasource struct{ Type, UID string }
)

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func dashboards(t *testing.T) map[string]dashboard {
	t.Helper()
	files, err := filepath.Glob("dashboards/*.json")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 3 {
		t.Fatalf("only %d dashboards: %v", len(files), files)
	}
	all := map[string]dashboard{}
	for _, f := range files {
		var d dashboard
		if err := json.Unmarshal([]byte(read(t, f)), &d); err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		all[f] = d
	}
	return all
}

func TestEveryPanelSaysWhatItShows(t *testing.T) {
	for file, d := range dashboards(t) {
		if d.Title == "" || d.Description == "" || d.SchemaVersion == 0 {
			t.Errorf("%s lacks a title, a description or its schema's version", file)
		}
		for _, p := range d.Panels {
			if p.Title == "" {
				t.Errorf("%s: panel %d has no title", file, p.ID)
			}
			if p.Type == "row" {
				continue
			}
			if p.FieldConfig.Defaults.Unit == "" {
				t.Errorf("%s: %q has no unit", file, p.Title)
			}
			if p.Description == "" || !strings.HasSuffix(p.Description, ".") {
				t.Errorf("%s: the description of %q is no sentence: %q", file, p.Title, p.Description)
			}
			if len(p.Targets) == 0 {
				t.Errorf("%s: %q asks nothing", file, p.Title)
			}
		}
	}
}

func TestPanelsHaveTheirOwnIDsTitlesAndPlaces(t *testing.T) {
	uids := map[string]string{}
	for file, d := range dashboards(t) {
		if other, taken := uids[d.UID]; taken || d.UID == "" || len(d.UID) > 40 {
			t.Errorf("%s has the uid %q, %s too", file, d.UID, other)
		}
		uids[d.UID] = file
		ids, titles, cells := map[int]bool{}, map[string]bool{}, map[[2]int]string{}
		for _, p := range d.Panels {
			if ids[p.ID] || p.ID == 0 {
				t.Errorf("%s: %q has the id %d, and is not alone", file, p.Title, p.ID)
			}
			if titles[p.Title] {
				t.Errorf("%s: two panels are called %q", file, p.Title)
			}
			ids[p.ID], titles[p.Title] = true, true
			g := p.GridPos
			if g.W < 3 || g.H < 1 || g.X < 0 || g.X+g.W > 24 {
				t.Errorf("%s: %q stands at %+v", file, p.Title, g)
			}
			for x := g.X; x < g.X+g.W; x++ {
				for y := g.Y; y < g.Y+g.H; y++ {
					if other, taken := cells[[2]int{x, y}]; taken {
						t.Fatalf("%s: %q covers %q", file, p.Title, other)
					}
					cells[[2]int{x, y}] = p.Title
				}
			}
		}
	}
}

func TestTheDatasourceIsAVariableEverywhere(t *testing.T) {
	want := datasource{"prometheus", "${datasource}"}
	for file, d := range dashboards(t) {
		if v := d.Templating.List[0]; v.Name != "datasource" || v.Type != "datasource" {
			t.Errorf("%s: the first variable is %+v, want the data source, which the others ask", file, v)
		}
		for _, v := range d.Templating.List[1:] {
			if v.Datasource != want {
				t.Errorf("%s: the variable %s asks %+v", file, v.Name, v.Datasource)
			}
		}
		for _, a := range d.Annotations.List {
			if a.Datasource != want {
				t.Errorf("%s: the annotation %s asks %+v", file, a.Name, a.Datasource)
			}
		}
		for _, p := range d.Panels {
			if p.Type != "row" && p.Datasource != want {
				t.Errorf("%s: %q asks %+v", file, p.Title, p.Datasource)
			}
			for _, q := range p.Targets {
				if q.Datasource != want {
					t.Errorf("%s: query %s of %q asks %+v", file, q.RefID, p.Title, q.Datasource)
				}
			}
		}
	}
}

// foreign are metrics that Prometheus and its client library make.
var foreign = []string{
	"up", "scrape_duration_seconds", "go_memstats_heap_inuse_bytes", "process_cpu_seconds_total", "process_resident_memory_bytes",
}

var (
	selected   = regexp.MustCompile(`([a-zA-Z_:][a-zA-Z0-9_:]*)\{`)
	ours       = regexp.MustCompile(`\bopenai_[a-z0-9_]+`)
	labelInUse = regexp.MustCompile(`([a-z_]+)(?:=~|!~|!=|=)"`)
	variable   = regexp.MustCompile(`\$\{?([a-z_]+)`)
)

func expressions(d dashboard) map[string]string {
	all := map[string]string{}
	for _, v := range d.Templating.List {
		if v.Definition != "" {
			all["the variable "+v.Name] = v.Definition
		}
	}
	for _, a := range d.Annotations.List {
		all["the annotation "+a.Name] = a.Expr
	}
	for _, p := range d.Panels {
		for _, q := range p.Targets {
			all[p.Title+" "+q.RefID] = q.Expr
		}
	}
	return all
}

func TestQueriesNameOnlyMetricsAndLabelsThatExist(t *testing.T) {
	labels := map[string][]string{}
	for _, m := range metrics.Table() {
		labels[m.Name] = m.Labels
		if m.Type == metrics.Histogram {
			labels[m.Name+"_sum"], labels[m.Name+"_count"] = m.Labels, m.Labels // in the text formats
		}
	}
	metric := regexp.MustCompile(`([a-zA-Z_:][a-zA-Z0-9_:]*)\{([^}]*)\}`)
	for file, d := range dashboards(t) {
		for what, expr := range expressions(d) {
			for _, m := range selected.FindAllStringSubmatch(expr, -1) {
				if _, known := labels[m[1]]; !known && !slices.Contains(foreign, m[1]) {
					t.Errorf("%s: %s uses %s, which does not exist", file, what, m[1])
				}
			}
			for _, name := range ours.FindAllString(expr, -1) {
				if _, known := labels[name]; !known && name != "openai_usage_" {
					t.Errorf("%s: %s uses %s, which does not exist", file, what, name)
				}
			}
			for _, m := range metric.FindAllStringSubmatch(expr, -1) {
				for _, l := range labelInUse.FindAllStringSubmatch(m[2], -1) {
					if of, known := labels[m[1]]; known && l[1] != "job" && !slices.Contains(of, l[1]) {
						t.Errorf("%s: %s selects %s by %s, which it does not have", file, what, m[1], l[1])
					}
				}
			}
		}
	}
}

// Grafana's own names begin with two underscores, so that they are not mistaken for ours.
func TestQueriesUseEveryVariableAndNoOther(t *testing.T) {
	for file, d := range dashboards(t) {
		known, used := map[string]bool{}, map[string]bool{"datasource": true}
		for _, v := range d.Templating.List {
			known[v.Name] = true
		}
		for what, expr := range expressions(d) {
			for _, m := range variable.FindAllStringSubmatch(expr, -1) {
				if strings.HasPrefix(m[1], "__") {
					continue
				}
				if used[m[1]] = true; !known[m[1]] {
					t.Errorf("%s: %s uses $%s, which is no variable", file, what, m[1])
				}
			}
		}
		if diff := cmp.Diff(slices.Sorted(maps.Keys(known)), slices.Sorted(maps.Keys(used))); diff != "" {
			t.Errorf("%s: variables (-have +used):\n%s", file, diff)
		}
	}
}

func TestColumnsThatAreFormattedExist(t *testing.T) {
	for file, d := range dashboards(t) {
		for _, p := range d.Panels {
			if p.Type != "table" {
				continue
			}
			var names []string
			for _, tr := range p.Transformations {
				names = append(names, slices.Collect(maps.Values(tr.Options.RenameByName))...)
			}
			for _, o := range p.FieldConfig.Overrides {
				if name, _ := o.Matcher.Options.(string); !slices.Contains(names, name) {
					t.Errorf("%s: %q formats the column %q, which it does not have: %v", file, p.Title, name, names)
				}
			}
		}
	}
}

func TestDashboardsLinkToEachOther(t *testing.T) {
	for file, d := range dashboards(t) {
		if !slices.Contains(d.Tags, "openai-exporter") || len(d.Links) != 1 || d.Links[0].Type != "dashboards" {
			t.Errorf("%s has the tags %v and the links %v", file, d.Tags, d.Links)
		}
	}
}

func TestProvisioningNamesThingsThatExist(t *testing.T) {
	var sources struct {
		Datasources []struct {
			Type, Access, URL string
			JSONData          struct {
				TimeInterval string `yaml:"timeInterval"`
			} `yaml:"jsonData"`
		}
	}
	if err := yaml.Unmarshal([]byte(read(t, "provisioning/datasources/openai.yml")), &sources); err != nil {
		t.Fatal(err)
	}
	if len(sources.Datasources) != 1 || sources.Datasources[0].Type != "prometheus" || sources.Datasources[0].URL == "" {
		t.Fatalf("data sources: %+v, want one Prometheus", sources)
	}
	// $__rate_interval grows out of it: a wrong one makes holes in graphs.
	if want := "scrape_interval: " + sources.Datasources[0].JSONData.TimeInterval + "\n"; !strings.Contains(read(t, "../../prometheus.yml.example"), want) {
		t.Errorf("timeInterval is not the scrape interval of prometheus.yml.example, which lacks %q", want)
	}
	var providers struct {
		Providers []struct {
			Type    string
			Options struct{ Path string }
		}
	}
	if err := yaml.Unmarshal([]byte(read(t, "provisioning/dashboards/openai.yml")), &providers); err != nil {
		t.Fatal(err)
	}
	if len(providers.Providers) != 1 || providers.Providers[0].Type != "file" {
		t.Fatalf("providers: %+v, want one of files", providers)
	}
	if path := providers.Providers[0].Options.Path; !strings.Contains(read(t, "../../docs/dashboards.md"), path) {
		t.Errorf("docs/dashboards.md does not say to put the dashboards into %s", path)
	}
}
