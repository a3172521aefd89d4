package command

import (
	"bufio"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/openai-exporter/openai_exporter/internal/simulator"
)

// An asked is what somebody asked for: an endpoint, or a look-up's path.
type asked struct{ organization, path string }

// A front passes requests on to the simulated organizations, and knows which exporter they came from: each has a base URL
// of its own.
type front struct {
	url string

	mu    sync.Mutex
	asked map[string]map[asked]bool // by exporter
}

func newFront(t *testing.T, organizations []string, now time.Time) *front {
	t.Helper()
	apis := make(map[string]http.Handler)
	for i, o := range organizations {
		apis[o] = simulator.New(simulator.Options{Seed: uint64(i + 1), Clock: simulator.NewClock(now, 0).Now, AdminKey: goodKey}).Handler()
	}
	f := &front{asked: make(map[string]map[asked]bool)}
	mux := http.NewServeMux()
	mux.HandleFunc("/{exporter}/{organization}/", func(w http.ResponseWriter, r *http.Request) {
		exporter, organization := r.PathValue("exporter"), r.PathValue("organization")
		prefix := "/" + exporter + "/" + organization
		f.mu.Lock()
		if f.asked[exporter] == nil {
			f.asked[exporter] = make(map[asked]bool)
		}
		f.asked[exporter][asked{organization, strings.TrimPrefix(r.URL.Path, prefix)}] = true
		f.mu.Unlock()
		http.StripPrefix(prefix, apis[organization]).ServeHTTP(w, r)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	f.url = server.URL
	return f
}

func (f *front) by(exporter string) map[asked]bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.asked[exporter])
}

// exporter starts the real binary as one that polls all organizations, or its part of them.
func (f *front) exporter(t *testing.T, binary, name string, organizations []string, flags ...string) *process {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "key"), []byte(goodKey), 0o600); err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	text.WriteString("organizations:\n")
	for _, o := range organizations {
		fmt.Fprintf(&text, "  - {name: %s, api_key_file: key, base_url: %s/%s/%s/v1, requests_per_minute: 100000}\n", o, f.url, name, o)
	}
	text.WriteString(fast + `
names: {interval: 1s}
limits: {interval: 1s}
counters: {start: today, zero_hold: 0s}
budgets:
  - {name: large, organization: acme, monthly_usd: 100000}
  - {name: small, organization: globex, monthly_usd: 1000}
`)
	file := filepath.Join(dir, "config.yml")
	if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return execute(t, binary, append(flags, "--config.file="+file, "--storage.path="+filepath.Join(dir, "data"))...)
}

// What shards and one exporter can't have in common is how often something was done and when. A forecast moves with the
// clock.
var unlike = regexp.MustCompile(volatile.String() + `|^openai_exporter_(restated|audit_difference)|_forecast_`)

// series are the series of the organizations with their values, as the text has them.
func (p *process) series(t *testing.T) []string {
	t.Helper()
	_, body := p.get("/metrics")
	var all []string
	lines := bufio.NewScanner(strings.NewReader(body))
	for lines.Scan() {
		if line := lines.Text(); strings.HasPrefix(line, "openai_") && strings.Contains(line, `organization="`) && !unlike.MatchString(line) {
			all = append(all, line)
		}
	}
	return all
}

// ofEndpoint is what concerns one endpoint alone, and the look-ups, which stay together: not what an organization's endpoints
// have in common: rate limits are shown for the models that the same exporter counts, and estimates need the bill.
var ofEndpoint = regexp.MustCompile(`^openai_(usage|cost_(usd|quantity)_total|cost_today|cost_month_to_date|effective_price|budget_usd|up|endpoint_available|project_info|user_info|api_key|spend_limit|exporter_withheld)`)

func TestShardsTogetherAreOneExporter(t *testing.T) {
	now := time.Date(2026, 11, 10, 9, 17, 0, 0, time.UTC)
	organizations := []string{"acme", "globex", "umbrella"} // one for each of three shards
	f := newFront(t, organizations, now)
	binary := build(t)
	whole := f.exporter(t, binary, "whole", organizations)
	const count = 3
	for unit, compared := range map[string]*regexp.Regexp{"organization": regexp.MustCompile(""), "endpoint": ofEndpoint} {
		var shards []*process
		for i := range count {
			shards = append(shards, f.exporter(t, binary, fmt.Sprintf("%s-%d", unit, i), organizations, fmt.Sprintf("--shard=%d/%d", i, count), "--shard.by="+unit))
		}
		var want, got []string
		compare := func(line string) bool { return !compared.MatchString(line) }
		settled := func() bool {
			want = slices.DeleteFunc(whole.series(t), compare)
			got = nil
			for _, p := range shards {
				// A series that two shards have is twice in the sum, and so not equal.
				got = append(got, slices.DeleteFunc(p.series(t), compare)...)
			}
			slices.Sort(want)
			slices.Sort(got)
			return slices.Equal(want, got)
		}
		timeout := time.After(4 * deadline) // Seven processes poll what usually one does.
		tick := time.NewTicker(200 * time.Millisecond)
		for waiting := true; waiting && (!settled() || !complete(want)); {
			select {
			case <-timeout:
				waiting = false
			case <-tick.C:
			}
		}
		tick.Stop()
		if !complete(want) {
			t.Fatalf("the exporter shows too little:\n%s", strings.Join(want, "\n"))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("by %s, what one exporter shows and what its shards do (-one +shards):\n%s", unit, diff)
		}

		owner := make(map[asked]int)
		for i, p := range shards {
			mine := f.by(fmt.Sprintf("%s-%d", unit, i))
			if len(mine) == 0 {
				t.Errorf("by %s, shard %d has nothing to do, and the test proves less than it could", unit, i)
			}
			for a := range mine {
				if other, ok := owner[a]; ok {
					t.Errorf("by %s, shards %d and %d both asked for %s of %s", unit, other, i, a.path, a.organization)
				}
				owner[a] = i
			}
			p.ready()
			if _, status := p.get("/api/v1/status"); !strings.Contains(status, fmt.Sprintf("\"index\": %d,\n    \"count\": %d,\n    \"by\": %q", i, count, unit)) {
				t.Errorf("the status does not say which shard it is:\n%s", status)
			}
			if p.sum("openai_exporter_shard", "") != float64(i) || p.sum("openai_exporter_shards", "") != count {
				t.Errorf("shard %d of %d calls itself otherwise", i, count)
			}
		}
		for a := range f.by("whole") {
			if _, ok := owner[a]; !ok {
				t.Errorf("by %s, no shard asked for %s of %s", unit, a.path, a.organization)
			}
		}
		for _, p := range shards {
			if code := p.stop(); code != 0 {
				t.Errorf("exit code %d:\n%s", code, p.log)
			}
		}
	}
	if code := whole.stop(); code != 0 {
		t.Errorf("exit code %d:\n%s", code, whole.log)
	}
}

// complete says whether every part of the program has put its series there.
func complete(lines []string) bool {
	for _, name := range []string{
		"openai_usage_requests_total{", "openai_usage_vector_store_bytes{", "openai_cost_usd_total{", "openai_cost_today_usd{",
		"openai_project_info{", "openai_user_info{", "openai_api_key_info{", "openai_spend_limit_usd{", "openai_budget_usd{",
	} {
		if !slices.ContainsFunc(lines, func(line string) bool { return strings.HasPrefix(line, name) }) {
			return false
		}
	}
	return !slices.ContainsFunc(lines, func(line string) bool {
		return strings.HasPrefix(line, "openai_up{") && !strings.HasSuffix(line, " 1")
	})
}

func TestAShardWithoutOrganizationsWaitsForSome(t *testing.T) {
	f := newFront(t, []string{"acme", "globex"}, time.Now())
	var idle, busy int
	for i := range 3 {
		p := serve(t, append(configureFor(t, f), fmt.Sprintf("--shard=%d/3", i))...)
		p.ready()
		_, page := p.get("/")
		if strings.Contains(page, "Nothing to poll") {
			idle++
		} else {
			busy++
		}
		if code := p.stop(); code != 0 {
			t.Errorf("exit code %d:\n%s", code, p.log)
		}
	}
	if busy == 0 || idle == 0 {
		t.Errorf("%d shards of three poll one organization, %d poll none", busy, idle)
	}
}

// configureFor writes a configuration of one organization.
func configureFor(t *testing.T, f *front) []string {
	t.Helper()
	args, _ := configure(t, f.url+"/single/acme/v1", goodKey, fast)
	return args
}

func TestWhenShardsAreAddedWhatStaysGoesOnAndWhatMovesBeginsAnew(t *testing.T) {
	organizations := []string{"acme", "globex", "umbrella", "hooli"}
	f := newFront(t, organizations, time.Date(2026, 11, 10, 9, 17, 0, 0, time.UTC))
	dirs := []string{t.TempDir(), t.TempDir()}
	replica := func(i, count int, start string) *process {
		var text strings.Builder
		text.WriteString("organizations:\n")
		for _, o := range organizations {
			fmt.Fprintf(&text, "  - {name: %s, api_key_file: key, base_url: %s/replica/%s/v1, requests_per_minute: 100000}\n", o, f.url, o)
		}
		fmt.Fprintf(&text, "%s\nnames: {enabled: false}\nlimits: {enabled: false}\ncounters: {start: %s, zero_hold: 0s}\n", fast, start)
		for name, content := range map[string]string{"key": goodKey, "config.yml": text.String()} {
			if err := os.WriteFile(filepath.Join(dirs[i], name), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		p := serve(t, "--config.file="+filepath.Join(dirs[i], "config.yml"), "--storage.path="+filepath.Join(dirs[i], "data"), fmt.Sprintf("--shard=%d/%d", i, count))
		p.ready()
		return p
	}
	totals := func(p *process) map[string]float64 {
		sums := make(map[string]float64)
		for _, m := range p.families()["openai_usage_requests_total"].GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() == "organization" {
					sums[l.GetValue()] += m.GetCounter().GetValue()
				}
			}
		}
		return sums
	}
	end := func(p *process) {
		if code := p.stop(); code != 0 {
			t.Errorf("exit code %d:\n%s", code, p.log)
		}
	}

	p := replica(0, 1, "today")
	eventually(t, "usage of all organizations", func() bool { return len(totals(p)) == len(organizations) })
	before := totals(p)
	end(p)

	// A start that is configured later counts for what begins later.
	first, second := replica(0, 2, "now"), replica(1, 2, "now")
	stayed, moved := totals(first), totals(second)
	if len(stayed) == 0 || len(stayed) == len(organizations) {
		t.Fatalf("of %v, %v stayed: the test proves nothing", organizations, stayed)
	}
	for _, o := range organizations {
		total, ok := stayed[o]
		if ok && total < before[o] {
			t.Errorf("%s stayed and went from %v to %v", o, before[o], total)
		}
		if again := moved[o]; again != 0 {
			t.Errorf("on its new replica %s has %v requests, which were counted before", o, again)
		}
		if polled := second.sum("openai_exporter_polls_total", "organization="+o) > 0; polled == ok {
			t.Errorf("%s stayed: %v; is polled by the new replica: %v", o, ok, polled)
		}
	}
	end(first)
	end(second)
}

func TestABadShardIsOneClearLine(t *testing.T) {
	for flag, want := range map[string]string{
		"--shard=3/3":      `--shard: "3/3": the index before the slash must be a number from 0 to 2; try --help`,
		"--shard=1":        `--shard: "1" is not of the form index/count, such as 0/3; try --help`,
		"--shard.by=model": "--shard.by: must be one of organization,endpoint, got 'model'; try --help",
	} {
		p := start(t, flag, "--config.check")
		if code := p.wait(); code != 1 || p.log.String() != "openai_exporter: error: "+want+"\n" {
			t.Errorf("%s: exit code %d, said %q", flag, code, p.log)
		}
	}
	args, _ := configure(t, "https://api.openai.com/v1", goodKey, "")
	p := start(t, append(args, "--config.check", "--shard=2/3")...)
	if code := p.wait(); code != 0 || !strings.Contains(p.stdout.String(), "valid") {
		t.Errorf("exit code %d, said %q, %s", code, p.stdout, p.log)
	}
}
