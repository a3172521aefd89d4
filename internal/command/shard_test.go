package command

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

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

func newFront(t *testing.T, organizations []string, now time.Time, streams map[string]int) *front {
	t.Helper()
	apis := make(map[string]http.Handler)
	for i, o := range organizations {
		apis[o] = simulator.New(simulator.Options{Seed: uint64(i + 1), Clock: simulator.NewClock(now, 0).Now, AdminKey: goodKey, Streams: streams}).Handler()
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

func TestAShardWithoutOrganizationsWaitsForSome(t *testing.T) {
	t.Parallel() // It mostly waits.
	f := newFront(t, []string{"acme", "globex"}, time.Now(), quiet)
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
	t.Parallel() // It mostly waits.
	organizations := []string{"acme", "globex", "umbrella", "hooli"}
	f := newFront(t, organizations, time.Date(2026, 11, 10, 9, 17, 0, 0, time.UTC), quiet)
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
		for _, m := range p.families("openai_usage_requests_total")["openai_usage_requests_total"].GetMetric() {
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
		"--shard=1":        `--shard: "1" does not have the form index/count, such as 0/3; try --help`,
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
