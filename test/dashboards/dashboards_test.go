//go:build e2e

// Package dashboards_test asks every query of every dashboard of a real Prometheus that has scraped the real exporter,
// while a simulated API was late, corrected itself and failed, so that there is something to show in every panel.
package dashboards_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

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
	Templating struct {
		List []struct{ Name, Type, Definition, AllValue string }
	}
}

func TestEveryQueryOfEveryPanelIsValidAndNotEmpty(t *testing.T) {
	p := startAll(t)
	files, err := filepath.Glob(filepath.Join(root, "deploy/grafana/dashboards/*.json"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatal("there are no dashboards")
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var d dashboard
		if err := json.Unmarshal(b, &d); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		t.Run(d.Title, func(t *testing.T) { p.ask(t, d) })
	}
}

// ask asks each query twice over: with everything chosen in every variable, and with a single value in one of them. A
// project need not have every kind of usage, so one of the values must give an answer and the others need only be valid.
func (p *prom) ask(t *testing.T, d dashboard) {
	all, values := map[string]string{}, map[string][]string{}
	for _, v := range d.Templating.List {
		if v.Type != "query" {
			continue
		}
		found, err := p.values(t, interpolate(v.Definition, all))
		if err != nil {
			t.Fatalf("variable %s: %v", v.Name, err)
		}
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
	queries := 0
	for _, panel := range d.Panels {
		for _, q := range panel.Targets {
			queries++
			what := fmt.Sprintf("%q %s", panel.Title, q.RefID)
			eventually(t, 90*time.Second, what+" has an answer", func() error {
				n, err := p.points(t, interpolate(q.Expr, all), q.Instant)
				if err == nil && n == 0 {
					err = errors.New("empty: " + interpolate(q.Expr, all))
				}
				return err
			})
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
				if answers == 0 {
					t.Errorf("%s has no answer for any %s of %q", what, name, values[name])
				}
			}
		}
	}
	t.Logf("%d queries of %d panels", queries, len(d.Panels))
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

// A prom is a running Prometheus.
type prom struct{ url string }

var labelValues = regexp.MustCompile(`^label_values\((.+), ([a-z_]+)\)$`)

// values are what Grafana offers for a variable.
func (p *prom) values(t *testing.T, definition string) ([]string, error) {
	t.Helper()
	m := labelValues.FindStringSubmatch(definition)
	if m == nil {
		return nil, fmt.Errorf("unknown query %q", definition)
	}
	var values []string
	err := p.get(t, "/api/v1/label/"+m[2]+"/values", url.Values{"match[]": {m[1]}}, &values)
	return values, err
}

// points asks a query as a panel does and counts the numbers in the answer.
func (p *prom) points(t *testing.T, expr string, instant bool) (int, error) {
	t.Helper()
	type pair [2]any
	var data struct {
		Result []struct {
			Value  pair
			Values []pair
		}
	}
	var err error
	if now := time.Now(); instant {
		err = p.get(t, "/api/v1/query", url.Values{"query": {expr}}, &data)
	} else {
		err = p.get(t, "/api/v1/query_range", url.Values{
			"query": {expr}, "step": {"5"}, "start": {fmt.Sprint(now.Add(-5 * time.Minute).Unix())}, "end": {fmt.Sprint(now.Unix())},
		}, &data)
	}
	n := 0
	for _, s := range data.Result {
		for _, v := range append(s.Values, s.Value) {
			if text, ok := v[1].(string); ok && text != "NaN" {
				n++
			}
		}
	}
	return n, err
}

// get fails for a warning, too: Prometheus warns of a rate over a gauge, for example.
func (p *prom) get(t *testing.T, path string, q url.Values, data any) error {
	t.Helper()
	body, err := do(t.Context(), http.MethodGet, p.url+path+"?"+q.Encode())
	if err != nil {
		return err
	}
	var answer struct {
		Data            json.RawMessage
		Warnings, Infos []string
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return err
	}
	if notes := append(answer.Warnings, answer.Infos...); len(notes) > 0 {
		return fmt.Errorf("%s: %q", q, notes)
	}
	return json.Unmarshal(answer.Data, data)
}

// startAll starts a simulated API, the exporter and Prometheus, and lets happen what the panels are about.
func startAll(t *testing.T) *prom {
	t.Helper()
	binary := build(t)
	api, target, dir := freeAddress(t), freeAddress(t), t.TempDir()
	start(t, "simulator", binary, "simulate", "--listen-address="+api, "--scale=20")
	control := func(path string) error {
		_, err := do(t.Context(), http.MethodPost, "http://"+api+"/_simulator/"+path)
		return err
	}
	eventually(t, 30*time.Second, "the simulator answers", func() error { return control("conditions?profile=late-minutes") })

	write(t, filepath.Join(dir, "key"), "sk-admin-dashboards\n")
	write(t, filepath.Join(dir, "exporter.yml"), fmt.Sprintf(`
organizations:
  - name: acme
    api_key_file: key
    base_url: http://%s/v1
    requests_per_minute: 6000
usage:
  interval: 1s
  audit: {interval: 5s, window: 12h}
  endpoints:
    vector_stores: {bucket_width: 1h, interval: 5s}
    code_interpreter_sessions: {bucket_width: 1h, interval: 2s}
costs: {interval: 2s}
names: {enabled: false}
limits: {enabled: false}
counters: {start: %q, zero_hold: 0s}
`, api, time.Now().UTC().Add(-10*time.Hour).Format(time.RFC3339)))
	start(t, "exporter", binary, "--config.file="+filepath.Join(dir, "exporter.yml"), "--storage.path="+filepath.Join(dir, "data"), "--web.listen-address="+target)

	p := &prom{url: "http://" + freeAddress(t)}
	write(t, filepath.Join(dir, "prometheus.yml"), fmt.Sprintf(`
global: {scrape_interval: 1s, scrape_timeout: 1s}
scrape_configs:
  - job_name: openai
    static_configs: [{targets: [%q]}]
`, target))
	start(t, "prometheus", prometheus(t), "--config.file="+filepath.Join(dir, "prometheus.yml"), "--storage.tsdb.path="+filepath.Join(dir, "prometheus"), "--web.listen-address="+strings.TrimPrefix(p.url, "http://"))

	seen := func(what, expr string) {
		t.Helper()
		eventually(t, 90*time.Second, what, func() error {
			n, err := p.points(t, expr, true)
			if err == nil && n == 0 {
				err = errors.New("not seen yet")
			}
			return err
		})
	}
	happens := func(what, path, expr string) {
		t.Helper()
		if err := control(path); err != nil {
			t.Fatal(err)
		}
		seen(what, expr)
	}
	seen("all endpoints are read", "count(openai_up == 1) == 12")
	// Counters are measured from what Prometheus saw first, so the first polls must lie behind before things change.
	seen("the first day of the bill is scraped", "openai_cost_usd_total offset 5s")
	happens("the API corrects itself downwards, in the bill too", "conditions?profile=restated",
		`sum(increase(openai_exporter_audit_difference_total{direction="down"}[5m])) > 0 and sum(increase(openai_exporter_restated_total{direction="down",measure="cost_usd"}[5m])) > 0`)
	happens("requests fail", "faults?profile=faulty", `sum(increase(openai_exporter_api_requests_total{code!="200"}[5m])) > 10`)
	happens("what was late arrives at once", "conditions?profile=instant",
		`sum(increase(openai_exporter_audit_difference_total{direction="up"}[5m])) > 0 and sum(increase(openai_exporter_restated_total{direction="up"}[5m])) > 0`)
	return p
}
