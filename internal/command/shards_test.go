// The real binary does the work here. The race detector would see the simulator alone.

//go:build !race

package command

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

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
	f := newFront(t, organizations, now, nil)
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
		within(4*deadline, func() bool { return settled() && complete(want) }) // Seven processes poll what usually one does.
		if !complete(want) {
			t.Fatalf("the exporter shows too little:\n%s", strings.Join(want, "\n"))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("by %s, what one exporter shows and what its shards do (-one +shards):\n%s", unit, diff)
		}

		// What is shown may be the same before each look-up of a shard has ended.
		whatOneAsks := f.by("whole")
		within(4*deadline, func() bool {
			for i := range count {
				for a := range f.by(fmt.Sprintf("%s-%d", unit, i)) {
					delete(whatOneAsks, a)
				}
			}
			return len(whatOneAsks) == 0
		})
		for a := range whatOneAsks {
			t.Errorf("by %s, no shard asked for %s of %s", unit, a.path, a.organization)
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
