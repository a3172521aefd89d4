//go:build e2e

package dashboards_test

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"

	"github.com/openai-exporter/openai_exporter/internal/metrics"
	"github.com/openai-exporter/openai_exporter/test/process"
)

// shipped are the queries of dashboards, cookbook and rules, by where they are from.
func shipped(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, d := range dashboards(t) {
		for _, panel := range d.Panels {
			for _, q := range panel.Targets {
				all[d.Title+": "+panel.Title+" "+q.RefID] = interpolate(q.Expr, map[string]string{
					"organization": ".*", "project": ".*", "model": ".*", "line_item": ".*", "budget": ".*", "job": ".*", "key": ".*", "team": ".*",
				})
			}
		}
	}
	cookbook, err := os.ReadFile(filepath.Join(root, "docs/cookbook.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("(?s)## ([^\n]+)\n[^#]*?```promql\n(.*?)```").FindAllStringSubmatch(string(cookbook), -1) {
		what := "cookbook: " + m[1]
		if all[what] != "" {
			t.Errorf("the cookbook asks %q twice", m[1])
		}
		all[what] = m[2]
	}
	rules, err := os.ReadFile(filepath.Join(root, "deploy/prometheus/rules/openai-recording.yml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`record: (\S+)`).FindAllStringSubmatch(string(rules), -1) {
		all["rule: "+m[1]] = m[1]
	}
	// A label that comes to nothing is recorded by Prometheus as its template.
	all["alerts"] = `max without (instance, job) (label_replace(ALERTS{alertname!~"OpenAIExporter.+|OpenAIEndpointFailing|OpenAIKeyRejected"}, "team", "", "team", "[{][{].*"))`
	return all
}

// counters are the provider's counters.
func counters() []string {
	var names []string
	for _, m := range metrics.Table() {
		if m.Type == metrics.Counter && !strings.HasPrefix(m.Name, "openai_exporter_") {
			names = append(names, m.Name)
		}
	}
	return names
}

// ahead is the time before which a bar's query has nothing to say: it looks at the hour or day that begins.
var ahead = regexp.MustCompile(`offset -(1h|1d)`)

func moment(t *testing.T, expr string) time.Time {
	t.Helper()
	now := time.Now()
	if m := ahead.FindStringSubmatch(expr); m != nil {
		by, err := model.ParseDuration(m[1])
		if err != nil {
			t.Fatal(err)
		}
		return now.Add(-time.Duration(by))
	}
	return now
}

// answersAs asks both the same, each in its words. What is about the exporters themselves differs where they do: there it need
// only be valid.
func (p *prom) answersAs(t *testing.T, one *prom, asked map[string]string, same bool) {
	said := 0
	for _, what := range slices.Sorted(maps.Keys(asked)) {
		expr := asked[what]
		aboutUs := strings.Contains(expr, "openai_exporter_") || regexp.MustCompile(`\b(up|scrape_duration_seconds|process_|go_)`).MatchString(expr)
		var err error
		var answer map[string]float64
		try := func() error {
			at := moment(t, expr)
			if answer, err = one.answer(t, expr, at); err != nil {
				return err
			}
			other, err := p.answer(t, expr, at)
			if err != nil || aboutUs && !same {
				return err
			}
			if p.differs != nil && p.differs.MatchString(expr) {
				if len(answer) != len(other) {
					err = fmt.Errorf("%d and %d series in the answers to %s", len(answer), len(other), expr)
				}
				return err
			}
			return alike(expr, answer, other)
		}
		if strings.Contains(what, "Exporter health") {
			if _, err := p.answer(t, expr, time.Now()); err != nil {
				t.Errorf("%s: %v", what, err)
			}
			continue
		}
		if try() != nil {
			process.Eventually(t, 3*time.Minute, what, try)
		}
		if len(answer) > 0 {
			said++
		}
	}
	t.Logf("%d of %d queries have an answer", said, len(asked))
	if said < 100 {
		t.Errorf("only %d of %d queries have an answer", said, len(asked))
	}
}

// inWords spells a query as this server knows it.
func (p *prom) inWords(expr string) string {
	if p.words == nil {
		return expr
	}
	return p.words(expr)
}

// chosen matches a query of the largest few of all.
var chosen = regexp.MustCompile(`\btopk\(\d+,`)

// alike compares two answers. Rates and ages follow the moments of scrapes and polls, forecasts the second at which each
// exporter has made its own; everything else is the same to 1e-9.
func alike(expr string, a, b map[string]float64) error {
	relative, absolute := 1e-9, 1e-9
	if regexp.MustCompile(`\brate\(|rate30m|limit_share30m`).MatchString(expr) || strings.Contains(expr, "openai_exporter_") {
		relative = 0.3
	}
	if regexp.MustCompile(`_forecast_usd|exhausted`).MatchString(expr) {
		relative = 1e-3
	}
	if strings.Contains(expr, "time()") {
		absolute = 60
	}
	if len(a) != len(b) {
		return fmt.Errorf("%d and %d series in the answers to %s", len(a), len(b), expr)
	}
	for k, v := range a {
		other, found := b[k]
		if !found && chosen.MatchString(expr) {
			// Of those that are equal at its edge, topk takes any.
			other = slices.Min(slices.Collect(maps.Values(b)))
		} else if !found {
			return fmt.Errorf("%s is in one of the answers to %s", k, expr)
		}
		if math.Abs(v-other) > relative*max(math.Abs(v), math.Abs(other)) && math.Abs(v-other) > absolute {
			return fmt.Errorf("%s is %v and %v in the answers to %s", k, v, other, expr)
		}
	}
	return nil
}

// answer is what an instant query says, by its series without their names, which VictoriaMetrics keeps where Prometheus does
// not. A warning is an error; no number, which VictoriaMetrics leaves out, is no answer.
func (p *prom) answer(t *testing.T, expr string, at time.Time) (map[string]float64, error) {
	t.Helper()
	var data struct {
		Result []struct {
			Metric map[string]string
			Value  [2]any
		}
	}
	if err := p.get(t, "/api/v1/query", url.Values{"query": {p.inWords(expr)}, "time": {at.UTC().Format(time.RFC3339Nano)}}, &data); err != nil {
		return nil, err
	}
	all := map[string]float64{}
	for _, r := range data.Result {
		text, ok := r.Value[1].(string)
		if !ok {
			return nil, errors.New("no number in the answer")
		}
		v, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return nil, err
		}
		if math.IsNaN(v) {
			continue
		}
		var labels []string
		delete(r.Metric, "__name__")
		for _, name := range slices.Sorted(maps.Keys(r.Metric)) {
			labels = append(labels, fmt.Sprintf("%s=%q", name, r.Metric[name]))
		}
		all["{"+strings.Join(labels, ", ")+"}"] = v
	}
	return all, nil
}
