//go:build e2e

package e2e_test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/test/process"
)

// morning is a Wednesday at which the teams begin to work, and use models that they have not used at night: how many series a
// run gives birth to depends on the hour and on the day of the week, with which the simulated traffic goes.
const morning = "2026-11-11T06:30:00Z"

// The clock of this test's API stands still until it is advanced, so that the truth does not move while it is compared.
func TestASpikeInSpendBecomesAMessageAndIncreaseIsTheTruth(t *testing.T) {
	binary := process.Build(t)
	api := "http://" + process.FreeAddress(t)
	process.Start(t, binary, "simulate", "--listen-address="+strings.TrimPrefix(api, "http://"),
		"--admin-key="+adminKey, "--start="+morning, "--speed=1e-9", "--scale=0.1", "--label-sets=60")
	var from time.Time
	process.Eventually(t, 3*time.Minute, "the simulator answers", func() error {
		var err error
		from, err = apiNow(t, api)
		return err
	})
	control := func(path string) {
		t.Helper()
		if _, err := process.Post(t.Context(), api+"/_simulator/"+path); err != nil {
			t.Fatal(err)
		}
	}
	truthNow := func() totals {
		t.Helper()
		is, err := truth(t, api, from.Truncate(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		return is
	}

	// The project that will spike is the one that spends the most.
	begin := truthNow()
	control("advance?by=30m")
	calm := spendBy(truthNow().minus(begin))
	project := ""
	for p, usd := range calm {
		if p != "" && usd > calm[project] {
			project = p
		}
	}
	factor := min(1000, 300/calm[project])
	begin = truthNow() // Counting begins here.

	target := process.FreeAddress(t)
	exporter := "http://" + target
	dir := t.TempDir()
	process.WriteFile(t, filepath.Join(dir, "key"), adminKey+"\n")
	process.WriteFile(t, filepath.Join(dir, "exporter.yml"), fmt.Sprintf(`
organizations: [{name: acme, api_key_file: key, base_url: %q, requests_per_minute: 6000}]
usage:
  interval: 1s
  lookback: 10m
  audit: {interval: 5s, window: 6h}
  endpoints:
    vector_stores: {bucket_width: 1h, interval: 5s}
    code_interpreter_sessions: {bucket_width: 1h, interval: 2s}
costs: {interval: 2s}
names: {interval: 10s}
limits: {enabled: false}
counters: {zero_hold: 10s}
teams: [{name: support, project_ids: [%s]}]
`, api+"/v1", project))
	args := []string{"--config.file=" + filepath.Join(dir, "exporter.yml"), "--storage.path=" + filepath.Join(dir, "data"), "--web.listen-address=" + target}
	first := process.Start(t, binary, args...)
	ready := func() error {
		_, err := process.Get(t.Context(), exporter+"/-/ready")
		return err
	}
	process.Eventually(t, 3*time.Minute, "the exporter is ready", ready)
	m := startMonitor(t, target)
	both := map[string]prometheus{"Prometheus": m.prometheus, "Prometheus with zeros": m.zeros}
	scraped := time.Now()
	for name, p := range both {
		process.Eventually(t, 3*time.Minute, name+" has scraped the exporter for a while", func() error {
			v, err := p.value(t, `count_over_time(up{job="openai"}[1m])`)
			if err == nil && v < 8 {
				err = fmt.Errorf("%v scrapes", v)
			}
			return err
		})
	}
	if got := m.webhook.said(); len(got) > 0 {
		t.Fatalf("before the spike Slack has got %+v", got)
	}

	// 45 minutes of it.
	control(fmt.Sprintf("spike?project=%s&factor=%f&from=now", project, factor))
	control("advance?by=45m")
	spike := spendBy(truthNow().minus(begin))
	for p, usd := range spike {
		if (p == project) != (usd > 100) || p != project && usd > 40 {
			t.Fatalf("project %q spends %v USD, the spike is in %s", p, usd, project)
		}
	}
	message := messages(t, m.webhook, projectName(t, m.prometheus, project)+" ("+project+")", spike[project])
	process.Eventually(t, 3*time.Minute, "the channels of those on call and of the team have got the project's name and the amount", message)
	if got := m.webhook.reached("OpenAISpendBurst"); len(got) != 1 || got[0] != "page" {
		t.Errorf("OpenAISpendBurst reached %v, want page", got)
	}

	// A restart, while usage goes on.
	if code := first.End(t, syscall.SIGTERM); code != 0 {
		t.Errorf("exit code after SIGTERM is %d, want 0", code)
	}
	control("advance?by=30m")
	process.Start(t, binary, args...)
	process.Eventually(t, 3*time.Minute, "the exporter is ready after a restart", ready)

	want := truthNow().minus(begin)
	process.Eventually(t, 3*time.Minute, "the exporter shows the truth", func() error {
		got, err := exposed(t, exporter)
		if err != nil {
			return err
		}
		return equal(want, got)
	})
	for name, p := range both {
		process.Eventually(t, 3*time.Minute, name+" has recorded the truth", func() error {
			got, err := p.recorded(t)
			if err != nil {
				return err
			}
			return equal(want, got)
		})
		t.Run(name, func(t *testing.T) { increaseIsTheTruth(t, p, want, scraped, p == m.zeros) })
		neverDown(t, p)
	}
}

func apiNow(t *testing.T, api string) (time.Time, error) {
	t.Helper()
	body, err := process.Get(t.Context(), api+"/_simulator/now")
	if err != nil {
		return time.Time{}, err
	}
	var state struct {
		Now time.Time `json:"now"`
	}
	err = json.Unmarshal(body, &state)
	return state.Now, err
}

var projectOf = regexp.MustCompile(` project_id="([^"]*)"`)

// spendBy sums costs by project.
func spendBy(of totals) map[string]float64 {
	spend := map[string]float64{}
	for k, v := range of {
		if strings.HasPrefix(k, "openai_cost_usd_total ") {
			project := ""
			if m := projectOf.FindStringSubmatch(k); m != nil {
				project = m[1]
			}
			spend[project] += v
		}
	}
	return spend
}

// projectName is what the project is called.
func projectName(t *testing.T, p prometheus, project string) string {
	t.Helper()
	name := ""
	process.Eventually(t, 3*time.Minute, "the project has a name", func() error {
		samples, err := p.query(t, fmt.Sprintf(`openai_project_info{project_id=%q}`, project))
		if err != nil {
			return err
		}
		if len(samples) != 1 || samples[0].Metric["project_name"] == "" {
			return fmt.Errorf("no name in %v", samples)
		}
		name = samples[0].Metric["project_name"]
		return nil
	})
	return name
}

var billed = regexp.MustCompile(`was billed ([0-9.]+) USD within the last hour`)

// messages returns a check that both channels were told of the burst of this project, and of no other, with the amount: what
// the bill says, to the cent.
func messages(t *testing.T, w *webhook, project string, spent float64) func() error {
	t.Helper()
	return func() error {
		missing := map[string]bool{"#openai-spend": true, "#support": true}
		for _, s := range w.said() {
			if !strings.Contains(s.text, "/OpenAISpendBurst.md") {
				continue
			}
			if !strings.Contains(s.title, "project "+project) || !strings.Contains(s.text, "Project "+project+" of acme") || !strings.Contains(s.text, "Team: support") || broken(s.title+s.text) {
				t.Fatalf("a message does not say who it is: %+v", s)
			}
			m := billed.FindStringSubmatch(s.text)
			if m == nil {
				t.Fatalf("a message does not say how much: %+v", s)
			}
			if usd, err := strconv.ParseFloat(m[1], 64); err != nil || usd < spent-0.01 || usd > spent+0.01 {
				t.Fatalf("a message says %s USD, the bill says %v (%v)", m[1], spent, err)
			}
			delete(missing, s.channel)
		}
		if len(missing) > 0 {
			return fmt.Errorf("%v of %+v", missing, w.said())
		}
		return nil
	}
}

// increaseIsTheTruth compares what was counted since the first scrape with the truth: on raw samples exactly; by increase() up
// to what it adds for the time between the samples and the ends of its window, which is one distance between samples at most.
// With zeros, series begin with a sample that Prometheus made of their start timestamp.
func increaseIsTheTruth(t *testing.T, p prometheus, want totals, scraped time.Time, zeros bool) {
	t.Helper()
	const window = "[20m]"
	now := time.Now()
	raw, increase, most := totals{}, totals{}, totals{}
	scrapes, err := p.queryAt(t, `up{job="openai"}`+window, now)
	if err != nil || len(scrapes) != 1 {
		t.Fatalf("up has %d series: %v", len(scrapes), err)
	}
	at := map[float64]bool{}
	for _, x := range scrapes[0].Values {
		at[x.at()] = true
	}
	born, begun := 0, 0
	for _, name := range counters() {
		samples, err := p.queryAt(t, name+window, now)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range samples {
			k, n := key(name, s.Metric), len(s.Values)
			first, err := s.Values[0].number()
			if err != nil {
				t.Fatal(err)
			}
			last, err := s.Values[n-1].number()
			if err != nil {
				t.Fatal(err)
			}
			raw[k] = last - first
			if n < 2 {
				t.Errorf("%s has a single sample", k)
				continue
			}
			most[k] = raw[k] * float64(n) / float64(n-1)
			if since := s.Values[0].at() - float64(scraped.Unix()); since > 5 && last > 0 {
				born++
				if !at[s.Values[0].at()] {
					begun++ // Its first sample is of no scrape, but of the moment at which it began.
				}
				if first != 0 {
					t.Errorf("%s, born %.1f s after the first scrape, begins with %v", k, since, first)
				}
			}
		}
		samples, err = p.queryAt(t, "increase("+name+window+")", now)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range samples {
			v, err := s.Value.number()
			if err != nil {
				t.Fatal(err)
			}
			k := key(name, s.Metric)
			increase[k] = v
			slack := 1e-9 * max(1, want[k])
			if v < want[k]-slack || v > most[k]+slack {
				t.Errorf("increase of %s is %v, want %v to %v", k, v, want[k], most[k])
			}
		}
		sum, err := p.queryAt(t, "sum(increase("+name+window+"))", now)
		if err != nil {
			t.Fatal(err)
		}
		total := want.sum(name)
		if len(sum) == 0 && total == 0 {
			continue
		}
		if len(sum) != 1 {
			t.Errorf("sum(increase(%s)) has %d values, the truth is %v", name, len(sum), total)
			continue
		}
		if v, err := sum[0].Value.number(); err != nil || v < total*(1-1e-9) || v > most.sum(name)*(1+1e-9) {
			t.Errorf("sum(increase(%s)) is %v, want %v to %v (%v)", name, v, total, most.sum(name), err)
		}
	}
	if err := equal(want, raw); err != nil {
		t.Errorf("raw samples: %v", err)
	}
	if born < 10 {
		t.Errorf("%d series were born during the run, which proves little", born)
	}
	if zeros && begun < born || !zeros && begun > 0 {
		t.Errorf("of %d series born, %d begin with a sample of their own beginning", born, begun)
	}
	if len(increase) != len(raw) {
		t.Errorf("%d series have an increase, %d have samples", len(increase), len(raw))
	}
}
