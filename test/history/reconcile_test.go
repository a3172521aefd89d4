//go:build e2e

package history_test

import (
	"fmt"
	"math"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/openai-exporter/openai_exporter/internal/simulator"
	"github.com/openai-exporter/openai_exporter/test/process"
)

// Over seven days the rules of reconciliation say which share of the tokens on the bill a gateway has seen, by model, to half
// a point. The days are in a real Prometheus: the bill as backfill writes it, and the counters of a gateway.
func TestSeenOfTheBillOfAWeekIsWhatTheGatewayHasSeen(t *testing.T) {
	const lost = 0.07
	binary, dir := process.Build(t), t.TempDir()
	api := simulator.New(simulator.Options{Seed: 1, StringAmounts: true})
	server := httptest.NewServer(api.Handler())
	t.Cleanup(server.Close)
	end := time.Now().UTC().Truncate(day)
	begin := end.Add(-9 * day)
	config, output := filepath.Join(dir, "openai_exporter.yml"), filepath.Join(dir, "history.om")
	process.WriteFile(t, filepath.Join(dir, "key"), "sk-admin-history-0123456789\n")
	process.WriteFile(t, config, fmt.Sprintf(`
organizations: [{name: acme, api_key_file: %s, base_url: %s/v1, requests_per_minute: 60000}]
costs: {interval: 1s}
names: {enabled: false}
limits: {enabled: false}
`, filepath.Join(dir, "key"), server.URL))
	if code := process.Start(t, binary, "backfill", "--config.file="+config, "--start="+begin.Format(time.DateOnly), "--end="+end.Format(time.DateOnly), "--output="+output).Wait(t); code != 0 {
		t.Fatalf("the backfill ended with %d", code)
	}

	// Prices are gauges, which have no past: those of now stand for all days.
	target := process.FreeAddress(t)
	process.Start(t, binary, "--config.file="+config, "--storage.path="+filepath.Join(dir, "data"), "--web.listen-address="+target)
	price := regexp.MustCompile(`(?m)^(openai_effective_price_usd\{.+\}) (\S+)$`)
	var prices [][][]byte
	process.Eventually(t, 3*time.Minute, "prices are learned", func() error {
		text, err := process.Get(t.Context(), "http://"+target+"/metrics")
		if prices = price.FindAllSubmatch(text, -1); err == nil && len(prices) < 20 {
			err = fmt.Errorf("%d prices", len(prices))
		}
		return err
	})
	var gauges strings.Builder
	fmt.Fprintln(&gauges, "# TYPE openai_effective_price_usd gauge")
	for _, p := range prices {
		for at := begin; !at.After(end); at = at.Add(time.Hour) {
			fmt.Fprintf(&gauges, "%s %s %d\n", p[1], p[2], at.Unix())
		}
	}
	fmt.Fprintln(&gauges, "# EOF")
	process.WriteFile(t, filepath.Join(dir, "prices.om"), gauges.String())

	want := map[string]float64{}
	process.WriteFile(t, filepath.Join(dir, "gateway.om"), gatewayOf(api, begin, end, lost, want))
	blocks := filepath.Join(dir, "prometheus")
	for _, file := range []string{output, filepath.Join(dir, "prices.om"), filepath.Join(dir, "gateway.om")} {
		promtool := exec.Command(process.Tool(t, "PROMTOOL", "promtool"), "tsdb", "create-blocks-from", "--quiet", "--max-block-duration=162h", "openmetrics", file, blocks)
		if out, err := promtool.CombinedOutput(); err != nil {
			t.Fatalf("promtool: %s: %v\n%s", file, err, out)
		}
	}
	prometheus := startPrometheus(t, dir, blocks, target)

	got := map[string]float64{}
	for _, r := range query(t, prometheus, "/api/v1/query_range", url.Values{
		"query": {inline(t, "organization_model:openai_seen_tokens:billed_share7d")}, "start": {strconv.FormatInt(end.Unix(), 10)}, "end": {strconv.FormatInt(end.Unix(), 10)}, "step": {"1d"},
	}) {
		_, got[r.Metric["model"]+" "+r.Metric["token_type"]] = r.sample(0)
	}
	compared := 0
	for k, share := range want {
		v, known := got[k]
		if !known {
			t.Logf("%s is not on the bill as a model's tokens", k)
			continue
		}
		if compared++; math.Abs(v-share) > 0.005 {
			t.Errorf("seen ÷ billed of %s is %.4f, want %.4f", k, v, share)
		}
	}
	if compared < 15 {
		t.Errorf("only %d shares were there to compare", compared)
	}
	t.Logf("%d of %d shares are right", compared, len(want))
}

// scrape is how far the samples of the gateway are apart.
const scrape = 4 * time.Minute

// gatewayOf writes what LiteLLM would have counted, evenly within each hour, and puts down the share of each model that it has seen in
// the last seven days. The playground's requests go past it.
func gatewayOf(s *simulator.Simulator, begin, end time.Time, lost float64, shares map[string]float64) string {
	kinds := map[string]string{"input": "input_tokens", "output": "output_tokens"}
	sums := map[string]map[time.Time]float64{} // by the end of the hour
	seen, whole := map[string]float64{}, map[string]float64{}
	date := regexp.MustCompile(`-20\d\d-\d\d-\d\d$`)
	for _, endpoint := range []string{"completions", "embeddings", "moderations", "decisions"} {
		for at := begin; at.Before(end); at = at.Add(time.Hour) {
			for _, r := range s.Final(endpoint, []string{"model", "api_key_id"}, at, at.Add(time.Hour)) {
				model := r.Labels["model"]
				for kind, measure := range kinds {
					n := r.Values[measure]
					if n.Float64() == 0 || model == "" {
						continue
					}
					k := date.ReplaceAllLiteralString(model, "") + " " + kind
					passed := 0.0
					if r.Labels["api_key_id"] != "" {
						passed = (1 - lost) * n.Float64()
					}
					if sums[k] == nil {
						sums[k] = map[time.Time]float64{}
					}
					sums[k][at.Add(time.Hour)] += passed
					if !at.Before(end.Add(-7 * day)) {
						seen[k] += passed
						whole[k] += n.Float64()
					}
				}
			}
		}
	}
	var b strings.Builder
	for kind := range kinds {
		fmt.Fprintf(&b, "# TYPE litellm_%s_tokens_metric counter\n", kind)
		for k, hours := range sums {
			model, of, _ := strings.Cut(k, " ")
			if of != kind {
				continue
			}
			total := 0.0
			// Scrapes are so close that what increase() makes of the edges of a day is little.
			for at := begin; !at.After(end); at = at.Add(scrape) {
				fmt.Fprintf(&b, "litellm_%s_tokens_metric_total{organization=\"acme\",model=%q} %f %d\n", kind, model, total, at.Unix())
				total += hours[at.Add(scrape).Add(time.Hour-1).Truncate(time.Hour)] * scrape.Hours()
			}
		}
	}
	for k := range whole {
		shares[k] = seen[k] / whole[k]
	}
	return b.String() + "# EOF\n"
}

// inline is the expression of a recording rule with those of the rules that it asks in their places: nothing has been
// recorded in the past.
func inline(t *testing.T, record string) string {
	t.Helper()
	b, err := os.ReadFile("../../deploy/prometheus/reconcile/openai-reconcile.yml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Rules []struct {
				Record, Expr string
				Labels       map[string]string
			}
		}
	}
	if err := yaml.Unmarshal(b, &file); err != nil {
		t.Fatal(err)
	}
	var parts []string
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			if r.Record != record {
				continue
			}
			expr := regexp.MustCompile(`\borganization\w*:\w+:\w+\b`).ReplaceAllStringFunc(r.Expr, func(name string) string { return "(" + inline(t, name) + ")" })
			for label, value := range r.Labels {
				expr = fmt.Sprintf("label_replace(%s, %q, %q, \"\", \"\")", expr, label, value)
			}
			parts = append(parts, expr)
		}
	}
	if len(parts) == 0 {
		t.Fatalf("nothing is recorded as %s", record)
	}
	return strings.Join(parts, " or ")
}
