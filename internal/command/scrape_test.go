// The real binary does the work here. The race detector would see the simulator alone.

//go:build !race

package command

import (
	"bufio"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/openai-exporter/openai_exporter/fetcher"
	"github.com/openai-exporter/openai_exporter/internal/simulator"
)

// What of a scrape differs from run to run: times, sizes and how often something was done.
var volatile = regexp.MustCompile(`^(openai_cost_month_forecast_usd|openai_exporter_(poll|api_request|state_commit|read_bound)_\w+|openai_exporter_\w*(timestamp_seconds|state_bytes|polls_total|audits_total|api_requests_total)|openai_exporter_build_info)\b`)

// TestScrapeOfTheRealBinary holds all that a scrape shows of a small organization at a fixed moment.
func TestScrapeOfTheRealBinary(t *testing.T) {
	t.Parallel() // It mostly waits.
	now := time.Date(2026, 11, 10, 9, 17, 0, 0, time.UTC)
	_, baseURL := simulate(t, simulator.Options{Seed: 3, Clock: simulator.NewClock(now, 0).Now})
	args, _ := configure(t, baseURL, goodKey, `
usage:
  interval: 1s
  group_by: [project_id]
  endpoints: {vector_stores: {interval: 1s}, code_interpreter_sessions: {interval: 1s}}
costs: {interval: 1s, group_by: [line_item]}
counters: {start: today, zero_hold: 0s}`)
	p := execute(t, build(t), args...)
	p.ready()
	eventually(t, "the audits", func() bool {
		for _, m := range p.families("openai_exporter_audits_total")["openai_exporter_audits_total"].GetMetric() {
			if labels := m.GetLabel(); m.GetCounter().GetValue() == 0 && labels[len(labels)-1].GetValue() == "success" {
				return false
			}
		}
		return true
	})
	eventually(t, "the look-ups", func() bool {
		up := p.families("openai_up")["openai_up"]
		for _, name := range []string{fetcher.LookupProjects, fetcher.LookupUsers, fetcher.LookupAPIKeys, fetcher.LookupRateLimits, fetcher.LookupSpendLimits} {
			if sum(up, "endpoint="+name) == 0 {
				return false
			}
		}
		return true
	})
	_, body := p.get("/metrics")
	var got strings.Builder
	lines := bufio.NewScanner(strings.NewReader(body))
	for lines.Scan() {
		line := lines.Text()
		sample := strings.TrimPrefix(strings.TrimPrefix(line, "# HELP "), "# TYPE ")
		if !strings.HasPrefix(sample, "openai_") {
			continue // Metrics of Go, of the process and of the HTTP handler are not ours.
		}
		if volatile.MatchString(line) {
			if strings.Contains(line, "_bucket{") {
				continue
			}
			if strings.HasPrefix(line, "openai_exporter_build_info") {
				line = "openai_exporter_build_info{} 1"
			}
			line = line[:strings.LastIndexByte(line, ' ')] + " …"
		}
		got.WriteString(line + "\n")
	}
	golden := filepath.Join("testdata", "scrape.golden")
	if *update {
		if err := os.WriteFile(golden, []byte(got.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("scrape (-want +got), rewrite with -update:\n%s", diff)
	}
	if code := p.stop(); code != 0 {
		t.Errorf("exit code %d after SIGINT:\n%s", code, p.log)
	}
}
