package queries_test

import (
	"flag"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"text/template"

	"github.com/openai-exporter/openai_exporter/internal/metrics"

	"github.com/google/go-cmp/cmp"

	"github.com/openai-exporter/openai_exporter/deploy/queries"
	"github.com/openai-exporter/openai_exporter/internal/api"
)

var update = flag.Bool("update", false, "write the recording rules again")

// An edition is the rules of a template in the words of some servers.
type edition struct {
	file, template, says string
	spell                func(string) string
}

const everywhere = "# This edition works with every Prometheus, Mimir, Thanos and VictoriaMetrics."

var editions = []edition{
	{
		"../prometheus/rules/openai-recording.yml", "openai-recording.yml.tmpl",
		everywhere + " For Prometheus from 3.16 on there is a shorter\n" +
			"# one in deploy/prometheus/anchored, which gives the same answers.",
		queries.Portable,
	},
	{
		"../prometheus/anchored/openai-recording.yml", "openai-recording.yml.tmpl",
		"# This edition needs Prometheus 3.16 or newer. Load it in place of the file of the same name in deploy/prometheus/rules.",
		func(expr string) string { return expr },
	},
	{"../prometheus/reconcile/openai-reconcile.yml", "openai-reconcile.yml.tmpl", everywhere, queries.Portable},
}

func (e edition) render(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	parsed, err := template.New(e.template).Delims("<<", ">>").Funcs(template.FuncMap{
		"gauge":    queries.Gauge,
		"rate":     queries.Rate,
		"increase": func(selector, window string) string { return e.spell(queries.Increase(selector, window)) },
		"edition":  func() string { return e.says },
		"team":     byTeam,
		"snapshot": queries.WithoutDate,
		"otel":     queries.OpenTelemetryModel,
		"litellm":  queries.LiteLLMModel,
	}).ParseFiles("../prometheus/" + e.template)
	if err != nil {
		t.Fatal(err)
	}
	if err := parsed.Execute(&b, nil); err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(b.String(), "TOKENS", strings.Join(countTokens(), "|"))
}

// countTokens are the endpoints that count tokens.
func countTokens() []string {
	var names []string
	for i := range api.Endpoints {
		if e := &api.Endpoints[i]; slices.ContainsFunc(e.Measures, func(m api.Measure) bool { return m.Name == "input_tokens" }) {
			names = append(names, e.Name)
		}
	}
	return names
}

// byTeam adds up a record by project under the team that pays for each.
func byTeam(record string) string {
	return strings.ReplaceAll(`          sum by (organization, team) (
              organization_project:RECORD
                * on (organization, project_id) group_left (team)
              organization_project:openai_project_info:team
            or on (organization, project_id)
              label_replace(organization_project:RECORD, "team", "unallocated", "", "")
          )`, "RECORD", record)
}

func TestRecordingRulesAreCurrent(t *testing.T) {
	for _, e := range editions {
		want := e.render(t)
		if *update {
			if err := os.WriteFile(e.file, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(e.file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, string(got)); diff != "" {
			t.Errorf("%s is not current, run go test ./deploy/queries -update (-want +got):\n%s", e.file, diff)
		}
	}
}

func TestAnIncreaseIsADifferenceWhereAnchoredIsNotKnown(t *testing.T) {
	const by = "max by (organization, project_id, line_item, api_key_id, user_id, api_source) "
	for _, c := range []struct{ anchored, portable string }{
		{
			queries.Increase(`openai_cost_usd_total{organization="acme"}`, "1h"),
			"(" + by + `(max_over_time(openai_cost_usd_total{organization="acme"}[1h])) - (` + by + `(last_over_time(openai_cost_usd_total{organization="acme"}[1h] offset 1h))` +
				` or min by (organization, project_id, line_item, api_key_id, user_id, api_source) (min_over_time(openai_cost_usd_total{organization="acme"}[1h]))))`,
		},
		{
			"sum(" + queries.IncreaseAt("openai_cost_usd_total", "1d", "-1d") + ")",
			"sum((" + by + "(max_over_time(openai_cost_usd_total[1d] offset -1d)) - (" + by + "(last_over_time(openai_cost_usd_total[1h]))" +
				" or min by (organization, project_id, line_item, api_key_id, user_id, api_source) (min_over_time(openai_cost_usd_total[1d] offset -1d)))))",
		},
		{
			queries.Increase("openai_exporter_hours_given_up_total", "1d"),
			"max by (organization, endpoint) (increase(openai_exporter_hours_given_up_total[1d]))",
		},
		// Documents name the labels to leave out.
		{
			"sum(max without (instance, job) (increase(openai_cost_usd_total[1d] anchored)))",
			"sum((max without (instance, job) (max_over_time(openai_cost_usd_total[1d])) - (max without (instance, job) (last_over_time(openai_cost_usd_total[1h] offset 1d))" +
				" or min without (instance, job) (min_over_time(openai_cost_usd_total[1d])))))",
		},
		{
			"max without (instance, job) (rate(openai_estimated_cost_usd_total[15m] anchored))",
			"max without (instance, job) (rate(openai_estimated_cost_usd_total[15m]))",
		},
		{
			"max without (instance, job) (increase(openai_estimated_cost_usd_total[1h] anchored offset 1w))",
			"(max without (instance, job) (max_over_time(openai_estimated_cost_usd_total[1h] offset 1w)) - (max without (instance, job) (last_over_time(openai_estimated_cost_usd_total[1h] offset 1w1h))" +
				" or min without (instance, job) (min_over_time(openai_estimated_cost_usd_total[1h] offset 1w))))",
		},
		{
			"max without (instance, job) (rate(openai_estimated_cost_usd_total[15m] anchored offset 1w))",
			"max without (instance, job) (rate(openai_estimated_cost_usd_total[15m] offset 1w))",
		},
		{"sum(up)", "sum(up)"},
	} {
		if diff := cmp.Diff(c.portable, queries.Portable(c.anchored)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.anchored, diff)
		}
	}
}

// Every metric of ours can be asked for, and nothing that the portable edition would leave as it is.
func TestEveryCounterHasAPortableIncrease(t *testing.T) {
	for _, m := range metrics.Table() {
		if m.Type != metrics.Counter || len(m.Labels) == 0 {
			continue
		}
		expr := queries.Portable(queries.Increase(m.Name+`{organization=~"$organization"}`, "$__range"))
		if strings.Contains(expr, "anchored") {
			t.Errorf("the increase of %s is not portable: %s", m.Name, expr)
		}
		if reset := strings.HasPrefix(m.Name, "openai_exporter_"); reset != regexp.MustCompile(`\bincrease\(`).MatchString(expr) {
			t.Errorf("the portable increase of %s, which begins again with the process: %t, is %s", m.Name, reset, expr)
		}
	}
}
