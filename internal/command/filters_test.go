package command

import (
	"fmt"
	"math"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/simulator"
)

// filtered writes a configuration whose only organization has these projects.
func filtered(t *testing.T, file, baseURL, start string, projects []string) {
	t.Helper()
	text := fmt.Sprintf("organizations:\n  - {name: acme, api_key_file: key, base_url: %q, requests_per_minute: 100000, project_ids: [%s]}\n%s\n", baseURL, strings.Join(projects, ", "), fast) +
		fmt.Sprintf("names: {interval: 1s}\nlimits: {interval: 1s}\ncounters: {start: %q, zero_hold: 0s}\n", start)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// spent is what the bill says of the projects' days from a start on, of all of them for none.
func spent(s *simulator.Simulator, from time.Time, projects ...string) (usd float64) {
	for _, r := range s.Truth(api.Costs, []string{"project_id"}, from, s.Now(), s.Now()) {
		if len(projects) == 0 || slices.Contains(projects, r.Labels["project_id"]) {
			usd += r.Values[api.MeasureCost].Float64()
		}
	}
	return usd
}

func TestAnOrganizationsProjectsFilterUsageCostsAndLookups(t *testing.T) {
	t.Parallel() // It mostly waits.
	clock := simulator.NewClock(time.Date(2026, 9, 15, 12, 0, 0, 0, time.UTC), 0)
	sim, baseURL := simulate(t, simulator.Options{Seed: 4, Clock: clock.Now})
	begin, month := time.Date(2026, 9, 15, 0, 0, 0, 0, time.UTC), time.Date(2026, 9, 1, 0, 0, 0, 0, time.UTC)
	chosen := []string{sim.Projects()[1].ID, sim.Projects()[3].ID}
	args, file := configure(t, baseURL, goodKey, "")
	filtered(t, file, baseURL, begin.Format(time.RFC3339), chosen)
	p := serve(t, append(args, "--web.enable-lifecycle")...)
	p.ready()
	want := spent(sim, begin, chosen...)
	eventually(t, "the projects' costs", func() bool { return math.Abs(p.sum("openai_cost_usd_total", "")-want) < 1e-9*want })
	if all := spent(sim, begin); want <= 0 || all <= want {
		t.Fatalf("the projects cost %v of %v", want, all)
	}
	eventually(t, "the names", func() bool { return p.sum("openai_api_key_info", "project_id="+chosen[1]) == 3 })
	limits := float64(sim.Projects()[1].SpendLimitCents+sim.Projects()[3].SpendLimitCents) / 100
	eventually(t, "the limits", func() bool { return p.sum("openai_spend_limit_usd", "") >= limits })
	if n := p.sum("openai_project_info", ""); n != 2 {
		t.Errorf("%v projects are named, want 2", n)
	}
	for name, f := range p.families("") {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() == "project_id" && !slices.Contains(chosen, l.GetValue()) {
					t.Errorf("%s of %s is shown", name, l.GetValue())
				}
			}
		}
	}
	if n := p.sum("openai_spend_limit_usd", ""); n != limits {
		t.Errorf("the limits' sum is %v: that of the organization has no amount to compare it with", n)
	}
	for _, r := range sim.Requests() {
		if e, ok := api.Find(r.Endpoint); ok && !slices.Equal(r.Query[api.FilterProjects], slices.Sorted(slices.Values(chosen))) {
			t.Fatalf("%s was asked for the projects %v", e.Name, r.Query[api.FilterProjects])
		}
		for _, other := range sim.Projects() {
			if strings.Contains(r.Path, other.ID) && !slices.Contains(chosen, other.ID) {
				t.Fatalf("%s was asked for", r.Path)
			}
		}
	}

	// Without the filter there is more usage. What there was before the change is its baseline: it counts neither twice
	// nor late.
	filtered(t, file, baseURL, begin.Format(time.RFC3339), nil)
	if code, body := request(t, http.MethodPost, p.url("/-/reload")); code != http.StatusOK {
		t.Fatalf("reload: %d %s", code, body)
	}
	eventually(t, "the other projects' names", func() bool { return p.sum("openai_project_info", "") == float64(len(sim.Projects())) })
	before := spent(sim, begin)
	eventually(t, "the whole month", func() bool {
		return math.Abs(p.sum("openai_cost_month_to_date_usd", "")-spent(sim, month)) < 1e-6
	})
	if got := p.sum("openai_cost_usd_total", ""); math.Abs(got-want) > 1e-9*want {
		t.Errorf("after the change %v USD are counted, before it %v", got, want)
	}
	clock.Advance(2 * time.Hour)
	after := want + spent(sim, begin) - before
	eventually(t, "what is added later", func() bool { return math.Abs(p.sum("openai_cost_usd_total", "")-after) < 1e-9*after })
}
