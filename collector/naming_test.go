package collector_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"

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
	s, c := pollingOrganization(t)
	named := func() int {
		return slices.IndexFunc(gather(t, c), func(f *dto.MetricFamily) bool { return f.GetName() == "openai_project_info" })
	}
	at := named()
	before := gather(t, c)[at]
	if gather(t, c)[at] != before {
		t.Error("the same names are made into metrics again")
	}
	s.names.Store(namesOfOrganization())
	if gather(t, c)[named()] == before {
		t.Error("other names are not shown")
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
