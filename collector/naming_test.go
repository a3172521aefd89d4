package collector_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/openai-exporter/openai_exporter/internal/directory"
)

func TestANewNameReplacesTheOldOneAndTouchesNoCounter(t *testing.T) {
	s, c := pollingOrganization(t)
	counters := samples(t, c, "openai_usage_", "openai_cost_")
	renamed := namesOfOrganization()
	renamed.Organizations[0].Projects = []directory.Project{{ID: "proj_a", Name: "Find", Status: "active"}}
	s.names.Store(renamed)
	want := []string{`openai_project_info{organization="acme",project_id="proj_a",project_name="Find",status="active"} 1`}
	if diff := cmp.Diff(want, samples(t, c, "openai_project_info")); diff != "" {
		t.Errorf("projects (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(counters, samples(t, c, "openai_usage_", "openai_cost_")); diff != "" {
		t.Errorf("counters (-before +after):\n%s", diff)
	}
}

func TestNamesAreMadeReadyOnce(t *testing.T) {
	const projects = 20_000
	s, c := pollingOrganization(t)
	many := &directory.Organization{Name: "acme"}
	for i := range projects {
		many.Projects = append(many.Projects, directory.Project{ID: fmt.Sprintf("proj_%d", i), Name: fmt.Sprintf("Project %d", i)})
	}
	s.names.Store(&directory.Snapshot{Organizations: []*directory.Organization{many}})
	h := c.Handler()
	scrape(h, "gzip")
	if n := testing.AllocsPerRun(5, func() { scrape(h, "gzip") }); n > projects/4 {
		t.Errorf("%v allocations for a scrape of the same names", n)
	}
}

func TestATeamAndItsLabelsStandOnItsProjects(t *testing.T) {
	s, c := pollingOrganization(t)
	owned := namesOfOrganization()
	owned.Organizations[0].Unowned = "unallocated"
	owned.Organizations[0].Teams = []directory.Team{
		{Name: "search", ProjectIDs: []string{"proj_a", "proj_new"}, Labels: []directory.Label{{Name: "cost_center", Value: "4711"}, {Name: "lead", Value: "Aiko"}}},
		{Name: "research", ProjectIDs: []string{"proj_b"}},
	}
	s.names.Store(owned)
	want := []string{
		`openai_project_info{organization="acme",project_id="proj_a",project_name="Search \"beta\"",residency="EU_STORAGE_PROCESSING",status="active",team="search",team_cost_center="4711",team_lead="Aiko"} 1`,
		`openai_project_info{organization="acme",project_id="proj_b",project_name="Prototype",status="archived",team="research"} 1`,
		`openai_project_info{organization="acme",project_id="proj_c",team="unallocated"} 1`,
		`openai_project_info{organization="acme",project_id="proj_new",team="search",team_cost_center="4711",team_lead="Aiko"} 1`,
	}
	if diff := cmp.Diff(want, samples(t, c, "openai_project_info")); diff != "" {
		t.Errorf("projects (-want +got):\n%s", diff)
	}
	owned = namesOfOrganization()
	owned.Organizations[0].Projects = nil
	owned.Organizations[0].Teams = []directory.Team{{Name: "search", ProjectIDs: []string{"proj_a"}}}
	s.names.Store(owned)
	want = []string{`openai_project_info{organization="acme",project_id="proj_a",team="search"} 1`}
	if diff := cmp.Diff(want, samples(t, c, "openai_project_info")); diff != "" {
		t.Errorf("projects without names (-want +got):\n%s", diff)
	}
}
