//go:build e2e

package dashboards_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/test/process"
)

// dropped is the share that the simulator's gateway loses.
const dropped = 0.07

type call struct{ project, key, model string }

type tokensOf struct{ in, out float64 }

// Four kinds of gateways and applications see the traffic of the projects and lose 7 % of it. Then one key is used past them.
func TestWhatNoGatewayHasSeenIsToldToHalfAPointAndByWhom(t *testing.T) {
	t.Parallel()
	binary, dir := process.Build(t), t.TempDir()
	listen, target := process.FreeAddress(t), process.FreeAddress(t)
	p := &prom{url: "http://" + process.FreeAddress(t), api: "http://" + listen}
	began, err := time.Parse(time.RFC3339, wednesday)
	if err != nil {
		t.Fatal(err)
	}
	// The day on which a key was used is one of the API's, which is over for Prometheus.
	p.words = func(expr string) string {
		return strings.ReplaceAll(expr, "time()", strconv.FormatInt(began.Add(16*time.Hour).Unix(), 10))
	}
	// The clock stands still but for steps. The two days before teach the prices.
	process.Start(t, binary, "simulate", "--listen-address="+listen, "--start="+wednesday, "--speed=1e-9", "--scale=2", "--lateness=minutes")
	process.Eventually(t, 3*time.Minute, "the simulator answers", func() error { return p.control(t, "faults?profile=none") })
	process.WriteFile(t, filepath.Join(dir, "key"), "sk-admin-reconcile\n")
	configure := func(interval string) {
		process.WriteFile(t, filepath.Join(dir, "exporter.yml"), fmt.Sprintf(`
organizations: [{name: acme, api_key_file: key, base_url: %q, requests_per_minute: 6000}]
usage: {interval: %s, audit: {interval: 5s, window: 24h}}
costs: {interval: 1h}
limits: {enabled: false}
counters: {start: %q, zero_hold: 10s}
`, p.api+"/v1", interval, wednesday))
	}
	start := func() *process.Program {
		return process.Start(t, binary, "--config.file="+filepath.Join(dir, "exporter.yml"), "--storage.path="+filepath.Join(dir, "data"), "--web.listen-address="+target)
	}
	configure("2s")

	var projects []string
	for c := range p.tokens(t, began.Add(-24*time.Hour), wednesday) {
		if c.project != "" && !slices.Contains(projects, c.project) { // The playground has none.
			projects = append(projects, c.project)
		}
	}
	slices.Sort(projects)
	if err := p.control(t, "leak"); err != nil {
		t.Fatal(err)
	}
	p.reconciles(t, dir, target, projects)
	exporter := start()
	p.seen(t, "every endpoint is read", `count(openai_up) == sum(openai_up)`)
	// What plain increase() adds at the end of its window is little where there is much before it.
	p.seen(t, "the gateways have been scraped for a while", `up{job="gateway-0"} offset 30s`)
	p.seen(t, "prices are learned", `count(openai_effective_price_usd{token_type="output"}) > 5`)

	b := &books{p: p, began: began, billed: map[bill]float64{}}
	b.advance(t, "6h")
	b.agree(t)
	if n, err := p.points(t, `ALERTS{alertname="OpenAIUnseenSpend",project_id!=""}`, true); err != nil || n > 0 {
		t.Errorf("%d projects are told although only 7 %% are dropped, %v", n, err)
	}

	// Within one poll: the exporter that comes back has one, and no second one for an hour.
	exporter.End(t, syscall.SIGTERM)
	configure("1h")
	by, key := b.dearest(t)
	t.Logf("%s of %s leaks", key, by)
	if err := p.control(t, "leak?key="+key); err != nil {
		t.Fatal(err)
	}
	b.leaked = key
	b.advance(t, "9h")
	exporter = start()
	process.Eventually(t, 3*time.Minute, "the project is named, and no other", func() error {
		told, err := p.answer(t, `count by (project_id) (ALERTS{alertname="OpenAIUnseenSpend",project_id!=""})`, time.Now())
		if want := fmt.Sprintf("{project_id=%q}", by); err == nil && (len(told) != 1 || told[want] != 1) {
			err = fmt.Errorf("told are %v, want %s", told, want)
		}
		return err
	})
	for _, endpoint := range []string{"completions", "embeddings", "costs"} {
		if n := p.number(t, fmt.Sprintf(`openai_exporter_polls_total{endpoint=%q,outcome="success"}`, endpoint)); n != 1 {
			t.Errorf("it took %v polls of %s to name the project", n, endpoint)
		}
	}
	// The gateways do not say which keys they use: it is one of the project's.
	p.names(t, "acme", by, key, true)

	exporter.End(t, syscall.SIGTERM)
	configure("2s")
	start()
	b.agree(t)
	p.ask(t, read(t, filepath.Join(root, "deploy/prometheus/reconcile/dashboard.json")), mustAnswer)
}

// names waits until the dashboard names the leaked key, and no key of another project if it is to name none.
func (p *prom) names(t *testing.T, organization, project, key string, alone bool) {
	t.Helper()
	for _, panel := range read(t, filepath.Join(root, "deploy/prometheus/reconcile/dashboard.json")).Panels {
		if panel.Title != "Keys past the gateways" {
			continue
		}
		expr := interpolate(panel.Targets[0].Expr, map[string]string{"organization": organization, "project": ".*"})
		process.Eventually(t, 5*time.Minute, "the dashboard names the key", func() error {
			answer, err := p.answer(t, "count by (project_id, api_key_id) ("+expr+")", time.Now())
			if err != nil {
				return err
			}
			for series := range answer {
				if alone && !strings.Contains(series, fmt.Sprintf("project_id=%q", project)) {
					return fmt.Errorf("a key of another project is named: %s", series)
				}
			}
			if want := fmt.Sprintf("{api_key_id=%q, project_id=%q}", key, project); answer[want] != 1 {
				return fmt.Errorf("named are %v, want %s", answer, want)
			}
			return nil
		})
		return
	}
	t.Error("the dashboard has no panel of keys")
}

// reconciles starts a Prometheus with our rules and those of reconciliation, which do not wait. It knows whose traffic each
// gateway sees.
func (p *prom) reconciles(t *testing.T, dir, target string, projects []string) {
	t.Helper()
	config := "global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}\nrule_files: [" + dir + "/openai-*.yml]\nscrape_configs:\n" +
		fmt.Sprintf("- {job_name: openai, static_configs: [{targets: [%q]}]}\n", target)
	for i, project := range projects {
		config += fmt.Sprintf("- {job_name: gateway-%d, scrape_interval: 250ms, scrape_timeout: 250ms, metrics_path: /_simulator/gateway, params: {project_id: [%q]}, static_configs: [{targets: [%q], labels: {organization: acme, project_id: %q}}]}\n",
			i, project, strings.TrimPrefix(p.api, "http://"), project)
	}
	copyRules(t, dir, "1s", "deploy/prometheus/rules/*.yml", "deploy/prometheus/reconcile/*.yml")
	process.WriteFile(t, filepath.Join(dir, "prometheus.yml"), config)
	process.Start(t, process.Tool(t, "PROMETHEUS", "prometheus"), "--config.file="+filepath.Join(dir, "prometheus.yml"), "--storage.tsdb.path="+filepath.Join(dir, "prometheus"), "--web.listen-address="+strings.TrimPrefix(p.url, "http://"))
	p.seen(t, "the gateways are scraped", `count(up{job=~"gateway.+"} == 1)`)
}

// books put what the simulated API charges beside what the rules say of it.
type books struct {
	p      *prom
	began  time.Time
	leaked string // the key, once it has leaked
	billed map[bill]float64
	// Since the beginning, in dollars.
	unseen, whole float64
}

type bill struct{ project, key, item string }

// advance moves the API's clock.
func (b *books) advance(t *testing.T, by string) {
	t.Helper()
	if err := b.p.control(t, "advance?by="+by); err != nil {
		t.Fatal(err)
	}
}

// agree lets everything late arrive and waits until the rules tell the share that nobody has seen to half a point.
func (b *books) agree(t *testing.T) {
	t.Helper()
	if err := b.p.control(t, "end?at=now"); err != nil {
		t.Fatal(err)
	}
	b.advance(t, "30m")
	want := 0.0
	for _, n := range b.p.tokens(t, b.began, "now") {
		want += n.in
	}
	process.Eventually(t, 3*time.Minute, "all tokens are counted", func() error {
		got, err := b.p.answer(t, `sum(openai_usage_input_tokens_total)`, time.Now())
		if err == nil && got["{}"] != want {
			err = fmt.Errorf("%v tokens, want %v", got["{}"], want)
		}
		return err
	})
	for of, now := range b.bill(t) {
		usd := now - b.billed[of]
		b.billed[of] = now
		b.whole += usd
		switch {
		case of.project == "" || of.key == b.leaked:
			b.unseen += usd
		default:
			b.unseen += dropped * usd
		}
	}
	share := b.unseen / b.whole
	process.Eventually(t, 3*time.Minute, fmt.Sprintf("the unseen share of %.2f USD is %.4f", b.whole, share), func() error {
		got, err := b.p.answer(t, `organization:openai_unseen_usd:share1d`, time.Now())
		if v := got[`{organization="acme"}`]; err == nil && math.Abs(v-share) > 0.005 {
			err = fmt.Errorf("the rules say %.4f, the bill %.4f", v, share)
		} else if err == nil {
			t.Logf("the rules say %.4f, the bill %.4f", v, share)
		}
		return err
	})
	if err := b.p.control(t, "end"); err != nil {
		t.Fatal(err)
	}
}

// dearest is the key that has cost the most of those that are not alone in their projects.
func (b *books) dearest(t *testing.T) (project, key string) {
	t.Helper()
	keys, projects := map[bill]float64{}, map[string]float64{}
	for of, usd := range b.billed {
		keys[bill{of.project, of.key, ""}] += usd
		projects[of.project] += usd
	}
	most := 0.0
	for of, usd := range keys {
		if of.project != "" && usd > most && usd < 0.8*projects[of.project] {
			project, key, most = of.project, of.key, usd
		}
	}
	if key == "" {
		t.Fatal("there is no key to leak")
	}
	return project, key
}

// tokenItem is what the bill calls tokens of a model.
var tokenItem = regexp.MustCompile(`, (input|cached input|cache writes|output)(_tokens)?(,|$)`)

// bill is what is charged for tokens since the beginning, when all of it is there.
func (b *books) bill(t *testing.T) map[bill]float64 {
	t.Helper()
	all := map[bill]float64{}
	for _, r := range b.p.truth(t, "costs", "project_id,api_key_id,line_item", b.began, b.began.Add(24*time.Hour).Format(time.RFC3339)) {
		if tokenItem.MatchString(r.Labels["line_item"]) {
			all[bill{r.Labels["project_id"], r.Labels["api_key_id"], r.Labels["line_item"]}] += r.value(t, "cost_usd")
		}
	}
	return all
}

// tokens are what was really used within a time, as everybody knows it in the end.
func (p *prom) tokens(t *testing.T, from time.Time, to string) map[call]tokensOf {
	t.Helper()
	all := map[call]tokensOf{}
	for i := range api.Endpoints {
		if e := &api.Endpoints[i]; slices.ContainsFunc(e.Measures, func(m api.Measure) bool { return m.Name == "input_tokens" }) {
			for _, r := range p.truth(t, e.Name, "project_id,api_key_id,model", from, to) {
				c := call{r.Labels["project_id"], r.Labels["api_key_id"], r.Labels["model"]}
				all[c] = tokensOf{all[c].in + r.value(t, "input_tokens"), all[c].out + r.value(t, "output_tokens")}
			}
		}
	}
	if len(all) == 0 {
		t.Fatal("nothing was used")
	}
	return all
}

// A row is what the simulator knows.
type row struct{ Labels, Values map[string]string }

func (r row) value(t *testing.T, measure string) float64 {
	t.Helper()
	if r.Values[measure] == "" {
		return 0
	}
	v, err := strconv.ParseFloat(r.Values[measure], 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func (p *prom) truth(t *testing.T, endpoint, groupBy string, from time.Time, to string) []row {
	t.Helper()
	body, err := process.Get(t.Context(), fmt.Sprintf("%s/_simulator/truth?asof=final&endpoint=%s&group_by=%s&from=%d&to=%s", p.api, endpoint, groupBy, from.Unix(), to))
	if err != nil {
		t.Fatal(err)
	}
	var answer struct{ Rows []row }
	if err := json.Unmarshal(body, &answer); err != nil {
		t.Fatal(err)
	}
	return answer.Rows
}

// number is the answer of one series.
func (p *prom) number(t *testing.T, expr string) float64 {
	t.Helper()
	answer, err := p.answer(t, expr, time.Now())
	if err != nil || len(answer) != 1 {
		t.Fatalf("%d answers to %s, %v", len(answer), expr, err)
	}
	return slices.Collect(maps.Values(answer))[0]
}
