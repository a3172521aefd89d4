//go:build e2e

package dashboards_test

import (
	"encoding/json"
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
	"syscall"
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/test/process"
)

// midnight is where the API's clock stands first and where counting starts, so that nothing is there to be counted yet.
var midnight = time.Now().UTC().Truncate(24 * time.Hour).Format(time.RFC3339)

// A fleet is exporters of the same two organizations: one alone, a pair, and three shards. Each set has a Prometheus of its
// own, with our rules, and the first is scraped by two jobs of another.
type fleet struct {
	t           *testing.T
	binary, dir string
	simulated   prom
	sets        map[string]*prom
}

// What we ship gives the same answer whether one or several exporters show the same organizations, whatever each of them went
// through.
func TestReplicasAndShardsAnswerAsOneExporterDoes(t *testing.T) {
	f := &fleet{t: t, binary: process.Build(t), dir: t.TempDir(), sets: map[string]*prom{}}
	f.simulate()
	alone := f.exporter("alone")
	first, second := f.exporter("first"), f.exporter("second")
	var shards []*member
	for i := range 3 {
		shards = append(shards, f.exporter(fmt.Sprint("shard", i), fmt.Sprintf("--shard=%d/3", i)))
	}
	one := f.scrape("one", map[string][]*member{"openai": {alone}})
	f.scrape("two jobs", map[string][]*member{"openai": {alone}, "again": {alone}})
	f.scrape("a pair", map[string][]*member{"openai": {first, second}})
	f.scrape("shards", map[string][]*member{"openai": shards})
	for name, p := range f.sets {
		p.seen(t, name+" is scraped, and every endpoint is read", `count(up == 1) == count(up) and on () count(openai_up) == on () sum(openai_up)`)
	}

	// The members of the pair are never harmed at once, and one shard is.
	f.advance("6h45m")
	first.again(syscall.SIGKILL)
	shards[1].again(syscall.SIGKILL)
	f.settled(one)
	second.program.End(t, syscall.SIGKILL)
	shards[2].program.End(t, syscall.SIGKILL)
	f.advance("50m")
	f.rested(first)
	second.start()
	shards[2].start()
	f.settled(one)
	f.advance("20m")
	first.again(syscall.SIGTERM)
	f.settled(one)

	// What fails now and then is absent now and then.
	if err := f.simulated.control(t, "faults?profile=none"); err != nil {
		t.Fatal(err)
	}
	asked := shipped(t)
	for _, name := range []string{"two jobs", "a pair", "shards"} {
		t.Run(name, func(t *testing.T) { f.sets[name].answersAs(t, one, asked, name == "two jobs") })
	}
}

func (f *fleet) simulate() {
	address := process.FreeAddress(f.t)
	f.simulated = prom{api: "http://" + address}
	process.Start(f.t, f.binary, "simulate", "--listen-address="+address, "--start="+midnight, "--speed=1e-9", "--scale=0.2", "--lateness=minutes")
	process.Eventually(f.t, 30*time.Second, "the simulator answers", func() error { return f.simulated.control(f.t, "faults?profile=faulty") })
	organization := fmt.Sprintf("{api_key_file: key, base_url: %q, requests_per_minute: 6000, name: ", f.simulated.api+"/v1")
	process.WriteFile(f.t, filepath.Join(f.dir, "key"), "sk-admin-replicas\n")
	process.WriteFile(f.t, filepath.Join(f.dir, "exporter.yml"), fmt.Sprintf(`
organizations:
  - %sacme}
  - %sbeta}
usage:
  interval: 3s
  audit: {interval: 8s, window: 12h}
  endpoints:
    decisions: {enabled: false}
    moderations: {enabled: false}
    audio_transcriptions: {enabled: false}
    file_search_calls: {enabled: false}
    code_interpreter_sessions: {enabled: false}
    audio_speeches: {enabled: false}
    vector_stores: {bucket_width: 1h, interval: 5s}
costs: {interval: 4s}
names: {interval: 10s}
limits: {interval: 10s}
counters: {start: %q, zero_hold: 12s}
# Prices that are learned depend on when they were learned.
pricing: {learn_from_costs: false}
budgets:
  - {name: everything, organization: acme, monthly_usd: 100000}
  - {name: everything, organization: beta, monthly_usd: 1000}
`, organization, organization, midnight))
}

// A member is an exporter of the fleet.
type member struct {
	f       *fleet
	target  string
	args    []string
	program *process.Program
}

func (f *fleet) exporter(name string, more ...string) *member {
	m := &member{f: f, target: process.FreeAddress(f.t)}
	m.args = append([]string{"--config.file=" + filepath.Join(f.dir, "exporter.yml"), "--storage.path=" + filepath.Join(f.dir, name), "--web.listen-address=" + m.target}, more...)
	m.start()
	return m
}

func (m *member) start() { m.program = process.Start(m.f.t, m.f.binary, m.args...) }

func (m *member) again(signal syscall.Signal) {
	m.program.End(m.f.t, signal)
	m.start()
}

// scrape starts a Prometheus with our rules, which do not wait.
func (f *fleet) scrape(name string, jobs map[string][]*member) *prom {
	address, dir := process.FreeAddress(f.t), f.t.TempDir()
	config := "global: {scrape_interval: 2s, scrape_timeout: 2s, evaluation_interval: 4s}\nrule_files: [" + dir + "/openai-*.yml]\nscrape_configs:\n"
	for _, job := range slices.Sorted(maps.Keys(jobs)) {
		var targets []string
		for _, m := range jobs[job] {
			targets = append(targets, strconv.Quote(m.target))
		}
		config += fmt.Sprintf("- {job_name: %s, static_configs: [{targets: [%s]}]}\n", job, strings.Join(targets, ", "))
	}
	copyRules(f.t, dir, "4s", "deploy/prometheus/rules/*.yml")
	process.WriteFile(f.t, filepath.Join(dir, "prometheus.yml"), config)
	process.Start(f.t, process.Tool(f.t, "PROMETHEUS", "prometheus"), "--config.file="+filepath.Join(dir, "prometheus.yml"), "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+address)
	f.sets[name] = &prom{url: "http://" + address, api: f.simulated.api}
	return f.sets[name]
}

// copyRules takes rules that do not wait, and are evaluated more often.
func copyRules(t *testing.T, dir, interval string, patterns ...string) {
	t.Helper()
	for _, pattern := range patterns {
		rules, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil || len(rules) == 0 {
			t.Fatalf("%d files of rules: %v", len(rules), err)
		}
		for _, path := range rules {
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			text := regexp.MustCompile(`(?m)^ +for: \S+\n`).ReplaceAllLiteralString(string(b), "")
			process.WriteFile(t, filepath.Join(dir, filepath.Base(path)), regexp.MustCompile(`(?m)^    interval: \S+`).ReplaceAllLiteralString(text, "    interval: "+interval))
		}
	}
}

func (f *fleet) advance(by string) {
	f.t.Helper()
	if err := f.simulated.control(f.t, "advance?by="+by); err != nil {
		f.t.Fatal(err)
	}
}

// rested waits until an exporter has read again.
func (f *fleet) rested(m *member) {
	f.t.Helper()
	process.Eventually(f.t, 60*time.Second, m.target+" is ready", func() error {
		_, err := process.Get(f.t.Context(), "http://"+m.target+"/-/ready")
		return err
	})
}

// settled waits until the one exporter has what the API says, for two organizations that are the same, and the others what
// it has.
func (f *fleet) settled(one *prom) {
	f.t.Helper()
	want := 2 * f.truth()
	for _, name := range slices.Sorted(maps.Keys(f.sets)) {
		process.Eventually(f.t, 90*time.Second, name+" has all tokens", func() error {
			got, err := f.sets[name].answer(f.t, `sum(max without (instance, job) (openai_usage_input_tokens_total{endpoint="completions"}))`, time.Now())
			if err == nil && got["{}"] != want {
				err = fmt.Errorf("%v tokens, want %v", got["{}"], want)
			}
			return err
		})
	}
}

func (f *fleet) truth() float64 {
	f.t.Helper()
	from, err := time.Parse(time.RFC3339, midnight)
	if err != nil {
		f.t.Fatal(err)
	}
	body, err := process.Get(f.t.Context(), fmt.Sprintf("%s/_simulator/truth?endpoint=completions&group_by=project_id&from=%d&to=%d", f.simulated.api, from.Unix(), from.Unix()+86400))
	if err != nil {
		f.t.Fatal(err)
	}
	var answer struct {
		Rows []struct{ Values map[string]json.Number }
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		f.t.Fatal(err)
	}
	sum := 0.0
	for _, r := range answer.Rows {
		v, err := r.Values["input_tokens"].Float64()
		if err != nil {
			f.t.Fatal(err)
		}
		sum += v
	}
	return sum
}

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
		all["cookbook: "+m[1]] = m[2]
	}
	rules, err := os.ReadFile(filepath.Join(root, "deploy/prometheus/rules/openai-recording.yml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`record: (\S+)`).FindAllStringSubmatch(string(rules), -1) {
		all["rule: "+m[1]] = m[1]
	}
	all["alerts"] = `max without (instance, job) (ALERTS{alertname!~"OpenAIExporter.+|OpenAIEndpointFailing|OpenAIKeyRejected"})`
	return all
}

// answersAs asks both the same. What is about the exporters themselves differs where they do: there it need only be valid.
func (p *prom) answersAs(t *testing.T, one *prom, asked map[string]string, same bool) {
	said := 0
	for _, what := range slices.Sorted(maps.Keys(asked)) {
		expr := asked[what]
		aboutUs := strings.Contains(expr, "openai_exporter_") || regexp.MustCompile(`\b(up|scrape_duration_seconds|process_|go_)`).MatchString(expr)
		var err error
		var answer map[string]float64
		try := func() error {
			at := time.Now()
			if answer, err = one.answer(t, expr, at); err != nil {
				return err
			}
			other, err := p.answer(t, expr, at)
			if err != nil || aboutUs && !same {
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
		if !found && strings.HasPrefix(expr, "topk(") {
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
// not. A warning is an error.
func (p *prom) answer(t *testing.T, expr string, at time.Time) (map[string]float64, error) {
	t.Helper()
	var data struct {
		Result []struct {
			Metric map[string]string
			Value  [2]any
		}
	}
	if err := p.get(t, "/api/v1/query", url.Values{"query": {expr}, "time": {at.UTC().Format(time.RFC3339Nano)}}, &data); err != nil {
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
		var labels []string
		delete(r.Metric, "__name__")
		for _, name := range slices.Sorted(maps.Keys(r.Metric)) {
			labels = append(labels, fmt.Sprintf("%s=%q", name, r.Metric[name]))
		}
		all["{"+strings.Join(labels, ", ")+"}"] = v
	}
	return all, nil
}
