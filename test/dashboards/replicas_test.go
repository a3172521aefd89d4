//go:build e2e

package dashboards_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
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

// wednesday is a midnight where the API's clock stands first and where counting starts, so that nothing is there to be counted
// yet. How much is used goes with the day of the week.
const wednesday = "2026-11-11T00:00:00Z"

// off are the endpoints that this test does without.
var off = []string{"decisions", "moderations", "audio_transcriptions", "file_search_calls", "code_interpreter_sessions", "audio_speeches"}

// A fleet is exporters of the same two organizations: one alone, a pair, and three shards. Each set has a Prometheus of its
// own, with our rules, and the first is scraped by two jobs of another and by VictoriaMetrics. The pair has two Prometheus, and
// a Thanos that takes them for one.
type fleet struct {
	t           *testing.T
	binary, dir string
	simulated   prom
	sets        map[string]*prom
	rests       []time.Time // when everybody had what the API said
}

// What we ship gives the same answer whether one or several exporters show the same organizations, whatever each of them went
// through.
func TestReplicasAndShardsAnswerAsOneExporterDoes(t *testing.T) {
	t.Parallel()
	f := &fleet{t: t, binary: process.Build(t), dir: t.TempDir(), sets: map[string]*prom{}}
	f.simulate()
	alone := f.exporter("alone")
	first, second := f.exporter("first"), f.exporter("second")
	var shards []*member
	for i := range 3 {
		shards = append(shards, f.exporter(fmt.Sprint("shard", i), fmt.Sprintf("--shard=%d/3", i)))
	}
	one := &f.scrape("one", map[string][]*member{"openai": {alone}}).prom
	f.scrape("two jobs", map[string][]*member{"openai": {alone}, "again": {alone}})
	pair := map[string][]*member{"openai": {first, second}}
	left, right := f.scrape("a pair", pair, "left"), f.scrape("a pair again", pair, "right")
	f.scrape("shards", map[string][]*member{"openai": shards})
	f.victoria("VictoriaMetrics", map[string][]*member{"openai": {alone}})
	thanos := f.thanos("Thanos", left, right)
	for name, p := range f.sets {
		p.seen(t, name+" scrapes, and every endpoint is read", `count(up == 1) == count(up) and on () count(openai_up) == on () sum(openai_up)`)
	}
	delete(f.sets, "a pair again") // It is away for a while, and so asked by Thanos alone.
	f.settled(one)

	// The members of the pair are never harmed at once, nor are its two Prometheus, and one shard is.
	f.advance("6h45m")
	first.again(syscall.SIGKILL)
	shards[1].again(syscall.SIGKILL)
	f.settled(one)
	second.program.End(t, syscall.SIGKILL)
	shards[2].program.End(t, syscall.SIGKILL)
	right.program.End(t, syscall.SIGKILL)
	f.advance("50m")
	f.rested(first)
	second.start()
	shards[2].start()
	f.settled(one)
	right.start()
	f.advance("20m")
	first.again(syscall.SIGTERM)
	thanos.hasBoth(t)
	f.settled(one)

	// What fails now and then is absent now and then.
	if err := f.simulated.control(t, "faults?profile=none"); err != nil {
		t.Fatal(err)
	}
	asked := shipped(t)
	for _, name := range []string{"two jobs", "a pair", "shards", "Thanos", "VictoriaMetrics"} {
		t.Run(name, func(t *testing.T) {
			f.sets[name].answersAs(t, one, asked, name == "two jobs")
			f.sets[name].growsAs(t, one, f.rests)
		})
	}
}

func (f *fleet) simulate() {
	address := process.FreeAddress(f.t)
	f.simulated = prom{api: "http://" + address}
	process.Start(f.t, f.binary, "simulate", "--listen-address="+address, "--start="+wednesday, "--speed=1e-9", "--scale=0.2", "--lateness=minutes")
	process.Eventually(f.t, 3*time.Minute, "the simulator answers", func() error { return f.simulated.control(f.t, "faults?profile=faulty") })
	organization := fmt.Sprintf("{api_key_file: key, base_url: %q, requests_per_minute: 6000, name: ", f.simulated.api+"/v1")
	disabled := ""
	for _, name := range off {
		disabled += "    " + name + ": {enabled: false}\n"
	}
	process.WriteFile(f.t, filepath.Join(f.dir, "key"), "sk-admin-replicas\n")
	process.WriteFile(f.t, filepath.Join(f.dir, "exporter.yml"), fmt.Sprintf(`
organizations:
  - %sacme}
  - %sbeta}
usage:
  interval: 4s
  audit: {interval: 10s, window: 12h}
  endpoints:
%s    vector_stores: {bucket_width: 1h, interval: 5s}
costs: {interval: 4s}
names: {interval: 10s}
limits: {interval: 10s}
counters: {start: %q, zero_hold: 30s}
# Prices that are learned depend on when they were learned.
pricing: {learn_from_costs: false}
budgets:
  - {name: everything, organization: acme, monthly_usd: 100000}
  - {name: everything, organization: beta, monthly_usd: 1000}
`, organization, organization, disabled, wednesday))
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

// A server is a Prometheus of the fleet.
type server struct {
	prom
	f       *fleet
	dir     string
	args    []string
	program *process.Program
}

// scrape starts a Prometheus with our rules, which do not wait. One of several that record the same has a name as their replica.
func (f *fleet) scrape(name string, jobs map[string][]*member, replica ...string) *server {
	address, dir := process.FreeAddress(f.t), f.t.TempDir()
	config := "global: {scrape_interval: 4s, scrape_timeout: 4s, evaluation_interval: 8s"
	for _, r := range replica {
		config += ", external_labels: {prometheus_replica: " + r + "}"
	}
	copyRules(f.t, dir, "8s", "deploy/prometheus/rules/*.yml")
	process.WriteFile(f.t, filepath.Join(dir, "prometheus.yml"), config+"}\nrule_files: ["+dir+"/openai-*.yml]\n"+scrapeConfigs(jobs))
	s := &server{prom: prom{url: "http://" + address, api: f.simulated.api}, f: f, dir: dir}
	s.args = []string{"--config.file=" + filepath.Join(dir, "prometheus.yml"), "--storage.tsdb.path=" + filepath.Join(dir, "data"), "--web.listen-address=" + address}
	s.start()
	f.sets[name] = &s.prom
	return s
}

func (s *server) start() {
	s.program = process.Start(s.f.t, process.Tool(s.f.t, "PROMETHEUS", "prometheus"), s.args...)
}

func scrapeConfigs(jobs map[string][]*member) string {
	config := "scrape_configs:\n"
	for _, job := range slices.Sorted(maps.Keys(jobs)) {
		var targets []string
		for _, m := range jobs[job] {
			targets = append(targets, strconv.Quote(m.target))
		}
		config += fmt.Sprintf("- {job_name: %s, static_configs: [{targets: [%s]}]}\n", job, strings.Join(targets, ", "))
	}
	return config
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
	process.Eventually(f.t, 3*time.Minute, m.target+" is ready", func() error {
		_, err := process.Get(f.t.Context(), "http://"+m.target+"/-/ready")
		return err
	})
}

// settled waits until the one exporter has what the API says, for two organizations that are the same, and the others what
// it has. It stays with that for so many scrapes that Thanos has it from either of its two.
func (f *fleet) settled(one *prom) {
	f.t.Helper()
	want := f.truth()
	process.Eventually(f.t, 3*time.Minute, "one exporter has what the API says", func() error {
		got, err := one.answer(f.t, `label_replace(sum by (__name__, endpoint) ({__name__=~"openai_usage_.+_total|openai_cost_usd_total"}), "metric", "$1", "__name__", "(.+)")`, time.Now())
		if err != nil {
			return err
		}
		for k, v := range want {
			if math.Abs(got[k]-v) > 1e-9*v {
				return fmt.Errorf("%s is %v, want %v", k, got[k], v)
			}
		}
		return nil
	})
	names := slices.Sorted(maps.Keys(f.sets))
	const all = `max without (instance, job) (label_replace({__name__=~"openai_(usage|cost|estimated_cost)_.*total"}, "metric", "$1", "__name__", "(.+)"))`
	for _, name := range names {
		process.Eventually(f.t, 3*time.Minute, name+" has what one exporter has", func() error {
			at := time.Now()
			a, err := one.answer(f.t, all, at)
			if err != nil {
				return err
			}
			b, err := f.sets[name].answer(f.t, all, at)
			if err != nil {
				return err
			}
			return alike(all, a, b)
		})
	}
	at := float64(time.Now().Add(20 * time.Second).Unix())
	for _, name := range names {
		process.Eventually(f.t, 3*time.Minute, name+" has scraped on", func() error {
			got, err := f.sets[name].answer(f.t, "min(timestamp(up))", time.Now())
			if err == nil && got["{}"] < at {
				err = fmt.Errorf("the oldest scrape is of %.0f", got["{}"])
			}
			return err
		})
	}
	f.rests = append(f.rests, time.Now())
}

// truth is what the API says now of both organizations together, by endpoint and metric.
func (f *fleet) truth() map[string]float64 {
	f.t.Helper()
	from, err := time.Parse(time.RFC3339, wednesday)
	if err != nil {
		f.t.Fatal(err)
	}
	all := map[string]float64{}
	for i := range api.Endpoints {
		e := &api.Endpoints[i]
		if e.Stock || slices.Contains(off, e.Name) {
			continue
		}
		body, err := process.Get(f.t.Context(), fmt.Sprintf("%s/_simulator/truth?endpoint=%s&group_by=project_id&from=%d&to=%d", f.simulated.api, e.Name, from.Unix(), from.Unix()+86400))
		if err != nil {
			f.t.Fatal(err)
		}
		var answer struct{ Rows []row }
		if err := json.Unmarshal(body, &answer); err != nil {
			f.t.Fatal(err)
		}
		for _, r := range answer.Rows {
			if e.IsCosts() {
				all[`{metric="openai_cost_usd_total"}`] += 2 * r.value(f.t, "cost_usd")
				continue
			}
			for _, m := range e.Measures {
				all[fmt.Sprintf(`{endpoint=%q, metric="openai_usage_%s_total"}`, e.Name, m.Name)] += 2 * r.value(f.t, m.Name)
			}
		}
	}
	return all
}
