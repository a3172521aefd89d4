//go:build e2e

package dashboards_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/test/process"
)

// A prom is a running Prometheus or what takes its place, and the simulated API at the other end.
type prom struct {
	url, api string
	words    func(string) string // how it is asked, if not as Prometheus is
	differs  *regexp.Regexp      // what it gives another answer to than Prometheus does
}

// afternoon is a Wednesday at which everything is used and billed that day: how much is goes with the hour and the day of the
// week, and a bill follows some hours after a midnight.
var afternoon = time.Date(2026, 11, 18, 14, 0, 0, 0, time.UTC)

// startAll starts a simulated API, an exporter of two organizations and Prometheus. The settings are lines of
// usage.endpoints.
func startAll(t *testing.T, settings string) *prom {
	t.Helper()
	binary := process.Build(t)
	api, target, dir := process.FreeAddress(t), process.FreeAddress(t), t.TempDir()
	p := &prom{url: "http://" + process.FreeAddress(t), api: "http://" + api}
	process.Start(t, binary, "simulate", "--listen-address="+api, "--start="+afternoon.Format(time.RFC3339), "--scale=20", "--lateness=minutes")
	process.Eventually(t, 3*time.Minute, "the simulator answers", func() error { return p.control(t, "faults?profile=none") })

	names := settings == "" // A test of some endpoints does without the look-ups, too.
	if names {
		settings = "    vector_stores: {bucket_width: 1h, interval: 5s}\n    code_interpreter_sessions: {bucket_width: 1h, interval: 2s}\n" +
			"    decisions: {group_by: [project_id, user_id, api_key_id, model]}\n"
	}
	// Estimate and bill are compared on a day that both know as a whole, a day after its end.
	begin := afternoon.Truncate(24 * time.Hour).Add(-48 * time.Hour)
	organization := fmt.Sprintf("{api_key_file: key, base_url: %q, requests_per_minute: 6000, name: ", p.api+"/v1")
	process.WriteFile(t, filepath.Join(dir, "key"), "sk-admin-dashboards\n")
	process.WriteFile(t, filepath.Join(dir, "exporter.yml"), fmt.Sprintf(`
organizations:
  - %sacme}
  - %sbeta}
usage:
  interval: 1s
  audit: {interval: 5s, window: 12h}
  endpoints:
%s
costs: {interval: 2s}
names: {enabled: %[4]t}
limits: {enabled: %[4]t}
counters: {start: %[5]q, zero_hold: 3s}
# The bill names all that the simulator serves; the list that is built in does not.
pricing: {learn_from_costs: false}
budgets:
  - {name: everything, organization: acme, monthly_usd: 100000}
  - {name: everything, organization: beta, monthly_usd: 1000}
`, organization, organization, settings, names, begin.Format(time.RFC3339)))
	process.Start(t, binary, "--config.file="+filepath.Join(dir, "exporter.yml"), "--storage.path="+filepath.Join(dir, "data"), "--web.listen-address="+target)

	// A Prometheus that reads text knows no native histograms.
	how := "scrape_native_histograms: true"
	if !names {
		how = "scrape_protocols: [PrometheusText0.0.4]"
	}
	rules, err := filepath.Abs(filepath.Join(root, "deploy/prometheus/rules"))
	if err != nil {
		t.Fatal(err)
	}
	process.WriteFile(t, filepath.Join(dir, "prometheus.yml"), fmt.Sprintf(`
global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 2s}
rule_files: [%q]
scrape_configs:
  - job_name: openai
    %s
    static_configs: [{targets: [%q]}]
`, filepath.Join(rules, "*.yml"), how, target))
	process.Start(t, process.Tool(t, "PROMETHEUS", "prometheus"), "--config.file="+filepath.Join(dir, "prometheus.yml"), "--storage.tsdb.path="+filepath.Join(dir, "prometheus"), "--web.listen-address="+strings.TrimPrefix(p.url, "http://"))

	p.seen(t, "Prometheus scrapes the exporter", `up{job="openai"} == 1`)
	p.seen(t, "every endpoint is read", "count(openai_up) == sum(openai_up) and count(openai_up) == count(openai_endpoint_available)")
	// Increases are counted from what Prometheus saw first, so that has to lie behind before things change.
	p.seen(t, "costs are scraped for a while", "openai_cost_usd_total offset 5s")
	return p
}

// trouble lets happen what panels on corrections and errors are about.
func (p *prom) trouble(t *testing.T) {
	t.Helper()
	for _, step := range []struct{ what, control, seen string }{
		{
			"the API corrects itself downwards, in the bill too", "conditions?profile=restated",
			`sum(increase(openai_exporter_audit_difference_total{direction="down"}[5m])) > 0 and sum(increase(openai_exporter_restated_total{direction="down",measure="cost_usd"}[5m])) > 0`,
		},
		{
			"requests fail", "faults?profile=faulty",
			`sum(increase(openai_exporter_api_requests_total{code!="200"}[5m])) > 10`,
		},
		{
			"what was late arrives at once", "conditions?profile=instant",
			`sum(increase(openai_exporter_audit_difference_total{direction="up"}[5m])) > 0 and sum(increase(openai_exporter_restated_total{direction="up"}[5m])) > 0`,
		},
	} {
		if err := p.control(t, step.control); err != nil {
			t.Fatal(err)
		}
		p.seen(t, step.what, step.seen)
	}
}

func (p *prom) control(t *testing.T, path string) error {
	t.Helper()
	_, err := process.Post(t.Context(), p.api+"/_simulator/"+path)
	return err
}

// seen waits until a query has an answer.
func (p *prom) seen(t *testing.T, what, expr string) {
	t.Helper()
	process.Eventually(t, 3*time.Minute, what, func() error {
		n, err := p.points(t, expr, true)
		if err == nil && n == 0 {
			err = errors.New("not seen yet")
		}
		return err
	})
}

var labelValues = regexp.MustCompile(`^label_values\((.+), ([a-z_]+)\)$`)

// values are what Grafana offers for a variable.
func (p *prom) values(t *testing.T, definition, regex string, named bool) ([]string, error) {
	t.Helper()
	if expr, ok := strings.CutPrefix(definition, "query_result("); ok {
		return p.results(t, strings.TrimSuffix(expr, ")"), regex, named)
	}
	m := labelValues.FindStringSubmatch(definition)
	if m == nil {
		return nil, fmt.Errorf("unknown query %q", definition)
	}
	var values []string
	err := p.get(t, "/api/v1/label/"+m[2]+"/values", url.Values{"match[]": {m[1]}}, &values)
	return values, err
}

// results asks a query and takes the values out of the series' spelling, as Grafana does with query_result. Where names are
// looked up, every value must have a text that says more than the value.
func (p *prom) results(t *testing.T, expr, regex string, named bool) ([]string, error) {
	t.Helper()
	take, err := regexp.Compile(strings.Trim(regex, "/"))
	if err != nil {
		return nil, err
	}
	var data struct {
		Result []struct{ Metric map[string]string }
	}
	if err := p.get(t, "/api/v1/query", url.Values{"query": {expr}}, &data); err != nil {
		return nil, err
	}
	var values []string
	for _, r := range data.Result {
		var pairs []string
		for _, name := range slices.Sorted(maps.Keys(r.Metric)) {
			pairs = append(pairs, fmt.Sprintf("%s=%q", name, r.Metric[name]))
		}
		m := take.FindStringSubmatch("{" + strings.Join(pairs, ",") + "}")
		if m == nil {
			continue // Usage without a project.
		}
		value, text := m[take.SubexpIndex("value")], m[take.SubexpIndex("text")]
		if named && (text == "" || text == value) {
			return nil, fmt.Errorf("project %s has no name", value)
		}
		values = append(values, value)
	}
	return values, nil
}

// points asks a query as a panel does and counts the numbers in the answer. A graph may have gaps, and no NaN: where one begins
// with it, Grafana finds no axis and draws nothing of the others either.
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
		err = p.get(t, "/api/v1/query", url.Values{"query": {p.inWords(expr)}}, &data)
	} else {
		err = p.get(t, "/api/v1/query_range", url.Values{
			"query": {p.inWords(expr)}, "step": {"5"}, "start": {fmt.Sprint(now.Add(-5 * time.Minute).Unix())}, "end": {fmt.Sprint(now.Unix())},
		}, &data)
	}
	n := 0
	for _, s := range data.Result {
		for _, v := range append(s.Values, s.Value) {
			switch text, ok := v[1].(string); {
			case !ok:
			case text != "NaN":
				n++
			case !instant && err == nil:
				err = fmt.Errorf("there is NaN in the answer to %s", expr)
			}
		}
	}
	return n, err
}

// unhealthy are the rules that could not be evaluated, and why.
func (p *prom) unhealthy(t *testing.T) (evaluated int, wrong []string) {
	t.Helper()
	var data struct {
		Groups []struct {
			Rules []struct{ Name, Health, LastError string }
		}
	}
	if err := p.get(t, "/api/v1/rules", nil, &data); err != nil {
		t.Fatal(err)
	}
	for _, g := range data.Groups {
		for _, r := range g.Rules {
			if r.Health == "ok" {
				evaluated++
			} else if r.LastError != "" {
				wrong = append(wrong, r.Name+": "+r.LastError)
			}
		}
	}
	return evaluated, wrong
}

// get fails for a warning, too: Prometheus warns of a rate over a gauge, for example.
func (p *prom) get(t *testing.T, path string, q url.Values, data any) error {
	t.Helper()
	body, err := process.Get(t.Context(), p.url+path+"?"+q.Encode())
	if err != nil {
		return err
	}
	var answer struct {
		Data            json.RawMessage
		Warnings, Infos []any
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return err
	}
	if len(answer.Warnings)+len(answer.Infos) > 0 {
		return fmt.Errorf("%s: %v %v", q, answer.Warnings, answer.Infos)
	}
	return json.Unmarshal(answer.Data, data)
}
