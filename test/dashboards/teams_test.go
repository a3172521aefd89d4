//go:build e2e

package dashboards_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/simulator"
	"github.com/openai-exporter/openai_exporter/test/process"
)

// Two teams, some projects of an organization, and one of them over its limit: the status page and the Spend dashboard say who
// spends what and whether anybody is refused, by name.
func TestWhoSpendsWhatAndWhoIsRefusedIsSaidByPageAndDashboard(t *testing.T) {
	t.Parallel()
	ids := map[string]string{}
	for _, p := range simulator.New(simulator.Options{Seed: 1}).Projects() {
		ids[p.Name] = p.ID
	}
	shown := []string{"Support Copilot", "Search", "Research", "Data Platform"} // The last one belongs to no team.
	var chosen []string
	for _, name := range shown {
		if ids[name] == "" {
			t.Fatalf("the simulator has no project %s: %v", name, ids)
		}
		chosen = append(chosen, ids[name])
	}
	binary, dir := process.Build(t), t.TempDir()
	api, target := process.FreeAddress(t), process.FreeAddress(t)
	p := &prom{url: "http://" + process.FreeAddress(t), api: "http://" + api}
	process.Start(t, binary, "simulate", "--listen-address="+api, "--start="+afternoon.Format(time.RFC3339), "--speed=1e-9", "--seed=1")
	process.Eventually(t, 3*time.Minute, "a project is over its limit", func() error { return p.control(t, "enforce?project="+ids["Search"]) })
	process.WriteFile(t, filepath.Join(dir, "key"), "sk-admin-teams\n")
	process.WriteFile(t, filepath.Join(dir, "exporter.yml"), fmt.Sprintf(`
organizations: [{name: acme, api_key_file: key, base_url: %q, requests_per_minute: 6000, project_ids: [%s]}]
usage: {interval: 1s}
costs: {interval: 1s}
names: {interval: 1s}
limits: {interval: 1s}
teams:
  - {name: products, project_ids: [%s, %s]}
  - {name: research, project_ids: [%s]}
`, p.api+"/v1", strings.Join(chosen, ", "), chosen[0], chosen[1], chosen[2]))
	process.Start(t, binary, "--config.file="+filepath.Join(dir, "exporter.yml"), "--storage.path="+filepath.Join(dir, "state"), "--web.listen-address="+target)
	process.WriteFile(t, filepath.Join(dir, "prometheus.yml"), fmt.Sprintf("scrape_configs: [{job_name: openai, scrape_interval: 1s, scrape_timeout: 1s, static_configs: [{targets: [%q]}]}]\n", target))
	process.Start(t, process.Tool(t, "PROMETHEUS", "prometheus"), "--config.file="+filepath.Join(dir, "prometheus.yml"), "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+strings.TrimPrefix(p.url, "http://"))

	process.Eventually(t, 3*time.Minute, "the page tells all", func() error { return pageTells(t, target, shown, chosen) })

	values := map[string]string{"organization": ".*", "project": ".*", "line_item": ".*"}
	expr := map[string]string{}
	for _, panel := range read(t, filepath.Join(root, "deploy/grafana/dashboards/spend.json")).Panels {
		if len(panel.Targets) > 0 {
			expr[panel.Title] = interpolate(panel.Targets[0].Expr, values)
		}
	}
	process.Eventually(t, 3*time.Minute, "the dashboard tells all", func() error {
		at := time.Now()
		answers := map[string]map[string]float64{}
		for _, title := range []string{"Refused now", "Month to date", "Month to date by team", "Today by project"} {
			answer, err := p.answer(t, expr[title], at)
			if err != nil {
				return err
			}
			answers[title] = answer
		}
		if got := answers["Refused now"]["{}"]; got != 1 {
			return fmt.Errorf("%v projects are refused", got)
		}
		teams, sum := answers["Month to date by team"], 0.0
		for _, team := range []string{"products", "research", "unallocated"} {
			usd := teams[fmt.Sprintf("{team=%q}", team)]
			if usd <= 0 {
				return fmt.Errorf("the teams' months are %v", teams)
			}
			sum += usd
		}
		if whole := answers["Month to date"]["{}"]; len(teams) != 3 || math.Abs(sum/whole-1) > 1e-9 {
			return fmt.Errorf("the teams' months are %v, the whole %v", teams, whole)
		}
		var named []string
		for i, name := range shown {
			if answers["Today by project"][fmt.Sprintf("{project_id=%q, project_name=%q}", chosen[i], name)] > 0 {
				named = append(named, name)
			}
		}
		if len(named) != len(shown) || len(answers["Today by project"]) != len(shown) {
			return fmt.Errorf("today's projects are %v", slices.Sorted(maps.Keys(answers["Today by project"])))
		}
		return nil
	})
}

// pageTells is nil once the status page tells the spend of each team and project, which projects are read, and who is refused.
func pageTells(t *testing.T, target string, shown, chosen []string) error {
	t.Helper()
	page, err := process.Get(t.Context(), "http://"+target+"/")
	if err != nil {
		return err
	}
	for _, want := range append([]string{"<title>OpenAI refuses requests", "of project Search", "products</span>", "research</span>", "unallocated</span>", "</figure>"}, shown...) {
		if !strings.Contains(string(page), want) {
			return fmt.Errorf("the page does not say %q", want)
		}
	}
	text, err := process.Get(t.Context(), "http://"+target+"/api/v1/status")
	if err != nil {
		return err
	}
	var status struct {
		Organizations []struct {
			OnlyProjects []string `json:"only_projects"`
			TopProjects  []struct {
				ID, Team string
			} `json:"top_projects_today"`
			Refused []struct {
				ID string `json:"project_id"`
			}
		}
	}
	if err := json.Unmarshal(text, &status); err != nil {
		return err
	}
	if len(status.Organizations) != 1 {
		return errors.New("there is not one organization")
	}
	o := status.Organizations[0]
	if len(o.Refused) != 1 || o.Refused[0].ID != chosen[1] || len(o.OnlyProjects) != len(shown) || len(o.TopProjects) != len(shown) {
		return fmt.Errorf("the status is %+v", o)
	}
	return nil
}
