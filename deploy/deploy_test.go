// Package deploy_test holds what is handed to users beside the binary against what the binary really has: rules and
// documents name only metrics that exist, alerts are tested, links lead somewhere, and pinned versions agree.
package deploy_test

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

const root = ".."

type rule struct {
	Record      string            `yaml:"record"`
	Alert       string            `yaml:"alert"`
	Expr        string            `yaml:"expr"`
	For         string            `yaml:"for"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
}

func read(t *testing.T, path ...string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(append([]string{root}, path...)...))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func unmarshal(t *testing.T, text string, into any) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(text), into); err != nil {
		t.Fatal(err)
	}
}

// unmarshalStrict refuses a field that the type does not have.
func unmarshalStrict(t *testing.T, text string, into any) {
	t.Helper()
	d := yaml.NewDecoder(strings.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(into); err != nil {
		t.Fatal(err)
	}
}

// glob fails when nothing matches, because a test over no files proves nothing.
func glob(t *testing.T, patterns ...string) []string {
	t.Helper()
	var files []string
	for _, p := range patterns {
		found, err := filepath.Glob(filepath.Join(root, p))
		if err != nil {
			t.Fatal(err)
		}
		if len(found) == 0 {
			t.Fatalf("no file matches %s", p)
		}
		for _, f := range found {
			rel, err := filepath.Rel(root, f)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, rel)
		}
	}
	return files
}

func rules(t *testing.T) []rule {
	t.Helper()
	var all []rule
	for _, f := range glob(t, "deploy/prometheus/rules/*.yml", "deploy/prometheus/reconcile/*.yml") {
		var doc struct {
			Groups []struct {
				Rules []rule `yaml:"rules"`
			} `yaml:"groups"`
		}
		unmarshal(t, read(t, f), &doc)
		for _, g := range doc.Groups {
			all = append(all, g.Rules...)
		}
	}
	return all
}

func alerts(t *testing.T) map[string]rule {
	t.Helper()
	named := map[string]rule{}
	for _, r := range rules(t) {
		if r.Alert == "" {
			continue
		}
		if _, twice := named[r.Alert]; twice {
			t.Errorf("alert %s is there twice", r.Alert)
		}
		named[r.Alert] = r
	}
	return named
}

var (
	metricName    = regexp.MustCompile(`\bopenai_[a-z0-9_]+\b`)
	documented    = regexp.MustCompile("(?m)^\\| `(openai_[a-z0-9_]+)`")
	quotedMetric  = regexp.MustCompile("`(openai_[a-z0-9_]+)[`{]")
	queriedMetric = regexp.MustCompile("(?s)```promql\n(.*?)```")
)

// notMetrics are names that look like one, and those of the exporter that docs/migration.md is about.
var notMetrics = []string{"openai_exporter", "openai_admin_key", "openai_api_tokens_total", "openai_api_daily_cost"}

func documentedMetrics(t *testing.T) []string {
	t.Helper()
	var names []string
	for _, m := range documented.FindAllStringSubmatch(read(t, "docs/metrics.md"), -1) {
		names = append(names, m[1])
	}
	if len(names) < 20 {
		t.Fatalf("docs/metrics.md lists %d metrics", len(names))
	}
	return names
}

// exists knows the series that a histogram is made of.
func exists(known []string, name string) bool {
	for _, suffix := range []string{"", "_bucket", "_sum", "_count"} {
		if base, ok := strings.CutSuffix(name, suffix); ok && slices.Contains(known, base) {
			return true
		}
	}
	return false
}

func TestRulesNameOnlyMetricsThatExist(t *testing.T) {
	known := documentedMetrics(t)
	records := records(t)
	for _, r := range rules(t) {
		name := r.Record + r.Alert
		// What a message asks for is a query, too.
		text := r.Expr + strings.Join(slices.Sorted(maps.Values(r.Annotations)), " ")
		for _, m := range recorded.FindAllString(text, -1) {
			if !slices.Contains(records, m) {
				t.Errorf("%s uses %s, which no rule records", name, m)
			}
		}
		for _, m := range metricName.FindAllString(recorded.ReplaceAllString(r.Expr, ""), -1) {
			if !exists(known, m) {
				t.Errorf("%s uses %s, which docs/metrics.md does not know", name, m)
			}
		}
	}
}

// recorded matches the names of recording rules.
var recorded = regexp.MustCompile(`\b[a-z_]+:[a-z0-9_]+:[a-z0-9_]+\b`)

func records(t *testing.T) []string {
	t.Helper()
	var names []string
	for _, r := range rules(t) {
		if r.Record != "" {
			names = append(names, r.Record)
		}
	}
	return names
}

func TestDocumentsNameOnlyRecordsThatExist(t *testing.T) {
	known := records(t)
	for _, f := range glob(t, "*.md", "docs/*.md", "docs/runbooks/*.md") {
		for _, name := range recorded.FindAllString(read(t, f), -1) {
			if !slices.Contains(known, name) {
				t.Errorf("%s names %s, which no rule records", f, name)
			}
		}
	}
}

// Thresholds stand in one file, each is used, and no alert has a number of its own but 0, 1 and how long windows are.
func TestThresholdsStandInOnePlace(t *testing.T) {
	text := read(t, "deploy/prometheus/rules/openai-thresholds.yml")
	// What is loaded apart has its thresholds at its head.
	head, _, _ := strings.Cut(read(t, "deploy/prometheus/reconcile/openai-reconcile.yml"), "  - name: openai-reconcile-seen\n")
	text += head
	used := map[string]bool{}
	literal := regexp.MustCompile(`(?:[<>]=?|==)\s*[0-9]`)
	for name, r := range alerts(t) {
		for _, m := range recorded.FindAllString(r.Expr, -1) {
			used[m] = true
			if strings.HasSuffix(m, ":threshold") && !strings.Contains(text, "record: "+m+"\n") {
				t.Errorf("%s has its threshold %s elsewhere", name, m)
			}
		}
		for _, m := range literal.FindAllString(r.Expr, -1) {
			if !strings.HasSuffix(m, " 0") {
				t.Errorf("%s compares with a number of its own: %s", name, m)
			}
		}
	}
	for _, name := range recorded.FindAllString(text, -1) {
		if !used[name] {
			t.Errorf("no alert uses %s", name)
		}
	}
	for name := range alerts(t) {
		if uses := strings.Contains(alerts(t)[name].Expr, ":threshold"); uses && name != "OpenAIThresholdsMissing" && !strings.Contains(text, name) {
			t.Errorf("openai-thresholds.yml does not say which threshold is that of %s", name)
		}
	}
}

func TestEveryAlertHasARunbookAndEveryRunbookAnAlert(t *testing.T) {
	const at = "https://github.com/openai-exporter/openai_exporter/blob/main/docs/runbooks/"
	all := alerts(t)
	for name, r := range all {
		if got := r.Annotations["runbook_url"]; got != at+name+".md" {
			t.Errorf("%s has the runbook %q", name, got)
		}
	}
	pages := glob(t, "docs/runbooks/*.md")
	if len(pages) != len(all) {
		t.Errorf("there are %d runbooks and %d alerts", len(pages), len(all))
	}
	for _, f := range pages {
		name := strings.TrimSuffix(filepath.Base(f), ".md")
		if _, ok := all[name]; !ok {
			t.Errorf("%s is the runbook of no alert", f)
		}
		rest, ok := strings.CutPrefix(read(t, f), "# "+name+"\n\n")
		if !ok {
			t.Errorf("%s does not begin with its name", f)
		}
		for _, section := range append(slices.Clone(runbookSections), "The rule") {
			before, after, ok := strings.Cut(rest, "## "+section+"\n\n")
			if !ok {
				t.Errorf("%s lacks %q, or has it too early", f, section)
			}
			if strings.TrimSpace(before) == "" && section != runbookSections[0] {
				t.Errorf("%s says nothing before %q", f, section)
			}
			rest = after
		}
	}
}

func TestDocumentsNameOnlyMetricsThatExist(t *testing.T) {
	known := documentedMetrics(t)
	for _, f := range glob(t, "*.md", "docs/*.md", "docs/runbooks/*.md") {
		text := read(t, f)
		var names []string
		for _, m := range quotedMetric.FindAllStringSubmatch(text, -1) {
			names = append(names, m[1])
		}
		for _, q := range queriedMetric.FindAllStringSubmatch(text, -1) {
			names = append(names, metricName.FindAllString(recorded.ReplaceAllString(q[1], ""), -1)...)
		}
		for _, n := range names {
			if strings.HasSuffix(n, "_") {
				continue // The prefix of a family, not a name.
			}
			if !slices.Contains(notMetrics, n) && !exists(known, n) {
				t.Errorf("%s names %s, which docs/metrics.md does not know", f, n)
			}
		}
	}
}

func TestAlertsSayWhatIsWrongAndHowBadItIs(t *testing.T) {
	for name, r := range alerts(t) {
		if !slices.Contains([]string{"info", "warning", "critical"}, r.Labels["severity"]) {
			t.Errorf("%s: severity %q", name, r.Labels["severity"])
		}
		for _, a := range []string{"summary", "description"} {
			if r.Annotations[a] == "" {
				t.Errorf("%s has no %s", name, a)
			}
		}
		// Who it is stands in what people read first.
		if s := r.Annotations["summary"]; !strings.Contains(s, "$labels.") && name != "OpenAIThresholdsMissing" {
			t.Errorf("%s does not say whom it is about: %s", name, s)
		}
	}
}

// A message that names a project, a budget or a key is somebody's, and Alertmanager routes by whose.
func TestEveryAlertOnWhatATeamOwnsComesWithItsTeam(t *testing.T) {
	owned := 0
	for name, r := range alerts(t) {
		if !regexp.MustCompile(`\$labels\.(project_id|budget|api_key_id)\b`).MatchString(r.Annotations["summary"]) {
			continue
		}
		owned++
		if !strings.Contains(r.Labels["team"], `label "team"`) {
			t.Errorf("%s has no team: %q", name, r.Labels["team"])
		}
	}
	if owned < 15 {
		t.Errorf("only %d alerts are on what a team owns", owned)
	}
}

func TestEveryAlertIsTestedFiringAndNotFiring(t *testing.T) {
	fires, rests := map[string]bool{}, map[string]bool{}
	for _, f := range glob(t, "deploy/prometheus/tests/*.yml") {
		var doc struct {
			Tests []struct {
				Alerts []struct {
					Name string `yaml:"alertname"`
					Want []any  `yaml:"exp_alerts"`
				} `yaml:"alert_rule_test"`
			} `yaml:"tests"`
		}
		unmarshal(t, read(t, f), &doc)
		for _, test := range doc.Tests {
			for _, a := range test.Alerts {
				if len(a.Want) > 0 {
					fires[a.Name] = true
				} else {
					rests[a.Name] = true
				}
			}
		}
	}
	all := alerts(t)
	for name := range all {
		if !fires[name] {
			t.Errorf("no test makes %s fire", name)
		}
		if !rests[name] {
			t.Errorf("no test sees %s not fire", name)
		}
	}
	for _, tested := range []map[string]bool{fires, rests} {
		for name := range tested {
			if _, ok := all[name]; !ok {
				t.Errorf("%s is tested, but there is no such alert", name)
			}
		}
	}
}

func TestInhibitionsAndDocumentsNameOnlyAlertsThatExist(t *testing.T) {
	all := alerts(t)
	name := regexp.MustCompile(`\bOpenAI[A-Z][A-Za-z]+\b`)
	for _, f := range append(glob(t, "*.md", "docs/*.md", "docs/runbooks/*.md"), "deploy/alertmanager/alertmanager.yml", "deploy/prometheus/rules/openai-thresholds.yml") {
		for _, m := range name.FindAllString(read(t, f), -1) {
			if _, ok := all[m]; !ok {
				t.Errorf("%s names the alert %s, which no rule has", f, m)
			}
		}
	}
}

func TestTheIndexOfTheDocumentsHasEveryPage(t *testing.T) {
	index := read(t, "docs/README.md")
	for _, f := range glob(t, "docs/*.md") {
		if page := filepath.Base(f); page != "README.md" && !strings.Contains(index, "]("+page+")") {
			t.Errorf("docs/README.md does not lead to %s", page)
		}
	}
}
