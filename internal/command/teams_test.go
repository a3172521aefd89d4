package command

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/openai-exporter/openai_exporter/internal/simulator"
)

func TestTeamsOwnProjectsWithNamesAndWithout(t *testing.T) {
	t.Parallel() // It mostly waits.
	sim, baseURL := simulate(t, simulator.Options{Seed: 4})
	projects := sim.Projects()
	args, file := configure(t, baseURL, goodKey, "")
	write := func(names bool, search, research string) {
		writeConfig(t, file, baseURL, fast+fmt.Sprintf(`
names: {enabled: %t, interval: 1s}
limits: {enabled: false}
teams:
  - {name: search, project_ids: [%s], labels: {cost_center: "4711"}}
  - name: research
    project_ids:
      - %s
      - proj_typo
budgets:
  - {name: typo, project_ids: [proj_mistyped], monthly_usd: 5}`, names, search, research))
	}
	write(true, projects[1].ID, projects[2].ID)
	p := serve(t, append(args, "--web.enable-lifecycle")...)
	p.ready()
	eventually(t, "the names", func() bool { return p.sum("openai_project_info", "project_name="+projects[0].Name) == 1 })
	for label, want := range map[string]float64{
		"team=search": 1, "team_cost_center=4711": 1, "team=research": 2, "team=unallocated": float64(len(projects) - 2), "": float64(len(projects) + 1),
	} {
		if got := p.sum("openai_project_info", label); got != want {
			t.Errorf("%v projects with %q, want %v", got, label, want)
		}
	}
	// A mistyped id is named once, with its line, however often the projects are looked up.
	requests := func() (n int) {
		for _, r := range sim.Requests() {
			if r.Path == "/v1/organization/projects" {
				n++
			}
		}
		return n
	}
	eventually(t, "a second look-up", func() bool { return requests() >= 3 })
	for _, id := range []string{"proj_typo", "proj_mistyped"} {
		if n := strings.Count(p.log.String(), "project_id="+id); n != 1 {
			t.Errorf("%s was named %d times, want once:\n%s", id, n, p.log)
		}
	}
	for _, at := range []string{"config.yml:12: teams[1].project_ids", "config.yml:14: budgets[0].project_ids"} {
		if !strings.Contains(p.log.String(), at) {
			t.Errorf("the log does not name %s:\n%s", at, p.log)
		}
	}

	// A project changes hands. Without names the teams stay, and what nobody owns has no series.
	write(false, projects[2].ID, projects[1].ID)
	if code, body := request(t, http.MethodPost, p.url("/-/reload")); code != http.StatusOK {
		t.Fatalf("reload: %d %s", code, body)
	}
	for label, want := range map[string]float64{"team=search": 1, "team=research": 2, "": 3, "project_id=" + projects[2].ID: 1, "project_name=" + projects[2].Name: 0} {
		if got := p.sum("openai_project_info", label); got != want {
			t.Errorf("without names: %v projects with %q, want %v", got, label, want)
		}
	}
	for _, m := range p.families("openai_project_info")["openai_project_info"].GetMetric() {
		labels := map[string]string{}
		for _, l := range m.GetLabel() {
			labels[l.GetName()] = l.GetValue()
		}
		if owner := map[string]string{projects[2].ID: "search", projects[1].ID: "research", "proj_typo": "research"}[labels["project_id"]]; labels["team"] != owner {
			t.Errorf("%s belongs to %q, want %q", labels["project_id"], labels["team"], owner)
		}
	}
}

func TestABudgetOfATeamIsThatOfItsProjects(t *testing.T) {
	t.Parallel() // It mostly waits.
	sim, baseURL := simulate(t, simulator.Options{Seed: 4})
	projects := sim.Projects()
	args, file := configure(t, baseURL, goodKey, "")
	write := func(team string) {
		// Budgets know projects, whether they are shown or not.
		writeConfig(t, file, baseURL, strings.Replace(fast, "costs: {", "costs: {group_by: [line_item], ", 1)+fmt.Sprintf(`
limits: {enabled: false}
teams:
  - {name: search, project_ids: [%s]}
budgets:
  - {name: team, team: search, monthly_usd: 5000}
  - {name: projects, project_ids: [%s, %s], monthly_usd: 5000}
  - {name: one, project_ids: [%s], monthly_usd: 5000}`, team, projects[0].ID, projects[2].ID, projects[0].ID))
	}
	write(projects[0].ID + ", " + projects[2].ID)
	p := serve(t, append(args, "--web.enable-lifecycle")...)
	p.ready()
	same := func(budget string) func() bool {
		return func() bool {
			team, other := p.sum("openai_budget_spent_usd", "budget=team"), p.sum("openai_budget_spent_usd", "budget="+budget)
			return team > 0 && team == other
		}
	}
	eventually(t, "the team has spent what its projects have", same("projects"))
	// So that alerts come with the team, each metric of its budget has it, and of the others none.
	budgets := p.families("openai_budget_")
	for _, name := range []string{"openai_budget_usd", "openai_budget_spent_usd", "openai_budget_billed_usd", "openai_budget_unbilled_estimate_usd", "openai_budget_forecast_usd"} {
		for _, m := range budgets[name].GetMetric() {
			labels := map[string]string{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			if want := map[string]string{"team": "search"}[labels["budget"]]; labels["team"] != want {
				t.Errorf("%s of budget %s has team %q, want %q", name, labels["budget"], labels["team"], want)
			}
		}
	}
	if same("one")() {
		t.Error("the second project has spent nothing, so the test shows nothing")
	}
	write(projects[0].ID)
	if code, body := request(t, http.MethodPost, p.url("/-/reload")); code != http.StatusOK {
		t.Fatalf("reload: %d %s", code, body)
	}
	eventually(t, "the team has lost a project", same("one"))
}
