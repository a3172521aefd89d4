//go:build e2e

// Package dashboards_test asks every query of every dashboard of a real Prometheus that has scraped the real exporter,
// while a simulated API was late, corrected itself and failed, so that there is something to show in every panel.
package dashboards_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/test/process"
)

const root = "../.."

// The parts of a dashboard that ask.
type dashboard struct {
	Title  string
	Panels []struct {
		Title   string
		Targets []struct {
			RefID, Expr string
			Instant     bool
		}
	}
	Annotations struct{ List []struct{ Name, Expr string } }
	Templating  struct {
		List []struct{ Name, Type, Definition, Regex, AllValue string }
	}
}

func dashboards(t *testing.T) []dashboard {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, "deploy/grafana/*/*.json")) // both editions
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatal("there are no dashboards")
	}
	var all []dashboard
	for _, file := range files {
		d := read(t, file)
		d.Title += ", " + filepath.Base(filepath.Dir(file))
		all = append(all, d)
	}
	return all
}

func read(t *testing.T, file string) (d dashboard) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &d); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return d
}

func TestEveryQueryOfEveryPanelIsValidAndNotEmpty(t *testing.T) {
	t.Parallel()
	p := startAll(t, "")
	p.trouble(t)
	for _, d := range dashboards(t) {
		t.Run(d.Title, func(t *testing.T) { p.ask(t, d, mustAnswer) })
	}
}

// What nobody polls leaves its panels empty, and must not break them; nor must kinds of tokens that nobody uses, whose
// series are absent. This Prometheus reads text, and evaluates the rules.
func TestDashboardsAndRulesWorkWithTextTrafficOnly(t *testing.T) {
	t.Parallel()
	var off strings.Builder
	fmt.Fprint(&off, "    completions: {filters: {models: [gpt-5.6-luna, gpt-5-mini-2025-08-07, gpt-4o-mini-2024-07-18]}}\n")
	for i := range api.Endpoints {
		if name := api.Endpoints[i].Name; name != "completions" && name != "costs" {
			fmt.Fprintf(&off, "    %s: {enabled: false}\n", name)
		}
	}
	p := startAll(t, off.String())
	for _, absent := range []string{"input_audio_tokens", "output_image_tokens", "input_cached_image_tokens"} {
		if n, err := p.points(t, "openai_usage_"+absent+"_total", true); err != nil || n > 0 {
			t.Errorf("%s has %d series, %v", absent, n, err)
		}
	}
	for _, d := range dashboards(t) {
		t.Run(d.Title, func(t *testing.T) { p.ask(t, d, mayBeEmpty) })
	}
	t.Run("documents", func(t *testing.T) { p.askDocuments(t, "cookbook", "migration") })
	process.Eventually(t, 3*time.Minute, "every rule was evaluated", func() error {
		evaluated, wrong := p.unhealthy(t)
		if len(wrong) > 0 {
			t.Fatalf("rules fail: %q", wrong)
		}
		if evaluated < 50 {
			return fmt.Errorf("%d rules were evaluated", evaluated)
		}
		return nil
	})
	// Durations have a sum and a count here.
	means := 0
	for _, d := range dashboards(t) {
		for _, panel := range d.Panels {
			for _, q := range panel.Targets {
				if !strings.Contains(q.Expr, "histogram_avg") {
					continue
				}
				n, err := p.points(t, interpolate(q.Expr, map[string]string{"job": "openai", "organization": ".+"}), q.Instant)
				if err != nil || n == 0 {
					t.Errorf("%s has no mean: %v", panel.Title, err)
				}
				means++
			}
		}
	}
	if means == 0 {
		t.Error("no panel shows the mean of a duration")
	}
}

// What is expected of the answers, beside that there is no error and no warning.
const (
	mustAnswer = true
	mayBeEmpty = false
)

// ask asks each query twice over: with everything chosen in every variable, and with a single value in one of them. A
// project need not have every kind of usage, so one of the values must give an answer and the others need only be valid.
func (p *prom) ask(t *testing.T, d dashboard, expect bool) {
	all, values := map[string]string{}, map[string][]string{}
	for _, v := range d.Templating.List {
		if v.Type != "query" {
			continue
		}
		var found []string
		process.Eventually(t, 3*time.Minute, "variable "+v.Name+" has values", func() (err error) { // Names come after usage.
			found, err = p.values(t, interpolate(v.Definition, all), v.Regex, expect == mustAnswer)
			return err
		})
		if len(found) == 0 {
			t.Fatalf("variable %s has no values: %s", v.Name, v.Definition)
		}
		values[v.Name] = found
		// This is how Grafana spells a choice of everything.
		if all[v.Name] = v.AllValue; v.AllValue == "" {
			quoted := make([]string, len(found))
			for i, s := range found {
				quoted[i] = quote(s)
			}
			all[v.Name] = "(" + strings.Join(quoted, "|") + ")"
		}
	}
	for _, a := range d.Annotations.List { // What they mark may not have happened.
		if _, err := p.points(t, interpolate(a.Expr, all), false); err != nil {
			t.Errorf("annotation %s: %v", a.Name, err)
		}
	}
	queries, answered := 0, 0
	for _, panel := range d.Panels {
		for _, q := range panel.Targets {
			queries++
			what := fmt.Sprintf("%q %s", panel.Title, q.RefID)
			expr := interpolate(q.Expr, all)
			expect := expect && !ofDays.MatchString(expr)
			n, err := p.points(t, expr, q.Instant)
			if expect == mustAnswer && err == nil && n == 0 {
				process.Eventually(t, 3*time.Minute, what+" has an answer", func() error {
					if n, err = p.points(t, expr, q.Instant); err == nil && n == 0 {
						return errors.New("empty: " + expr)
					}
					return err
				})
			}
			if err != nil {
				t.Errorf("%s: %v", what, err)
			}
			if n > 0 {
				answered++
			}
			for _, name := range slices.Sorted(maps.Keys(values)) {
				if !strings.Contains(q.Expr, "$"+name) {
					continue
				}
				answers := 0
				for _, value := range values[name] {
					chosen := maps.Clone(all)
					chosen[name] = quote(value)
					n, err := p.points(t, interpolate(q.Expr, chosen), q.Instant)
					if err != nil {
						t.Errorf("%s with %s %q: %v", what, name, value, err)
					}
					if answers += n; answers > 0 {
						break
					}
				}
				if answers == 0 && expect == mustAnswer {
					t.Errorf("%s has no answer for any %s of %q", what, name, values[name])
				}
			}
		}
	}
	if answered == 0 {
		t.Error("not one panel shows anything")
	}
	t.Logf("%d of %d queries have an answer", answered, queries)
}

// ofDays is what has no answer before a midnight has passed.
var ofDays = regexp.MustCompile(`billed_share7d`)

var (
	blocks = regexp.MustCompile("(?s)```promql\n(.*?)```")
	// What is looked up is not there without look-ups.
	unknown = regexp.MustCompile(`_info\b|openai_spend_limit_usd|openai_api_key_`)
)

// askDocuments asks the queries of documents. Those of what is not known here may have no answer.
func (p *prom) askDocuments(t *testing.T, names ...string) {
	for _, name := range names {
		b, err := os.ReadFile(filepath.Join(root, "docs", name+".md"))
		if err != nil {
			t.Fatal(err)
		}
		queries, answered := blocks.FindAllStringSubmatch(string(b), -1), 0
		for _, q := range queries {
			n, err := p.points(t, q[1], true)
			switch {
			case err != nil:
				t.Errorf("%s: %v", name, err)
			case n > 0:
				answered++
			case !unknown.MatchString(q[1]):
				t.Errorf("%s: no answer: %s", name, q[1])
			}
		}
		if len(queries) == 0 {
			t.Errorf("%s has no queries", name)
		}
		t.Logf("%s: %d of %d queries have an answer", name, answered, len(queries))
	}
}

// quote makes a value fit for a regular expression in a PromQL string, as Grafana does.
func quote(value string) string { return strings.ReplaceAll(regexp.QuoteMeta(value), `\`, `\\`) }

var variable = regexp.MustCompile(`\$\{?[a-zA-Z_]+\}?`)

// interpolate puts values in place of variables. The test is shorter than a time range in Grafana.
func interpolate(expr string, values map[string]string) string {
	return variable.ReplaceAllStringFunc(expr, func(v string) string {
		switch name := strings.Trim(v, "${}"); name {
		case "__rate_interval":
			return "20s"
		case "__range":
			return "10m"
		default:
			if value, ok := values[name]; ok {
				return value
			}
			return v // Prometheus will refuse it.
		}
	})
}
