package collector_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/openai-exporter/openai_exporter/internal/directory"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
)

func TestRateLimitsAreShownForModelsInUse(t *testing.T) {
	s, c := pollingOrganization(t)
	names := namesOfOrganization()
	names.Organizations[0].RateLimits = []directory.RateLimit{
		{ProjectID: "proj_a", Model: "gpt-5", TokensPerMinute: 1},
		{ProjectID: "proj_a", Model: "gpt-5-2025-08-07", TokensPerMinute: 2},
		{ProjectID: "proj_a", Model: "gpt-5-pro", TokensPerMinute: 3},
		{ProjectID: "proj_a", Model: "gpt-4o", TokensPerMinute: 4},
		{ProjectID: "proj_a", Model: "gpt-4o-2024-08-06", TokensPerMinute: 5},
		{ProjectID: "proj_b", Model: "gpt-4o", TokensPerMinute: 6},
	}
	s.names.Store(names)
	want := []string{`openai_rate_limit_tokens_per_minute{model="gpt-5",organization="acme",project_id="proj_a"} 1`}
	if diff := cmp.Diff(want, samples(t, c, "openai_rate_limit_")); diff != "" {
		t.Errorf("rate limits (-want +got):\n%s", diff)
	}

	// Another model comes into use, under its name with the snapshot date.
	view := organizationView(t)
	feed := *view.Feeds[0]
	feed.Series = append(feed.Series[:len(feed.Series):len(feed.Series)],
		&ledger.Series{Labels: labels("project_id=proj_a model=gpt-4o-2024-11-20"), Measures: []int{0}, Values: values(t, "1"), Born: noon})
	view.Feeds[0] = &feed
	s.view.Store(view)
	want = []string{
		`openai_rate_limit_tokens_per_minute{model="gpt-4o",organization="acme",project_id="proj_a"} 4`,
		`openai_rate_limit_tokens_per_minute{model="gpt-5",organization="acme",project_id="proj_a"} 1`,
	}
	if diff := cmp.Diff(want, samples(t, c, "openai_rate_limit_")); diff != "" {
		t.Errorf("rate limits (-want +got):\n%s", diff)
	}
}

func TestTheSpendLimitOfTheOrganizationHasNoProject(t *testing.T) {
	_, c := pollingOrganization(t)
	want := []string{
		`openai_spend_limit_usd{organization="acme"} 25000`,
		`openai_spend_limit_usd{organization="acme",project_id="proj_a"} 400.5`,
		`openai_spend_limit_usd{organization="acme",project_id="proj_c"} 10`,
	}
	if diff := cmp.Diff(want, samples(t, c, "openai_spend_limit_usd")); diff != "" {
		t.Errorf("spend limits (-want +got):\n%s", diff)
	}
}

func TestALimitSaysWhetherItIsEnforcedWhereThatIsKnown(t *testing.T) {
	_, c := pollingOrganization(t)
	want := []string{
		`openai_spend_limit_enforcing{organization="acme"} 0`,
		`openai_spend_limit_enforcing{organization="acme",project_id="proj_a"} 1`,
	}
	if diff := cmp.Diff(want, samples(t, c, "openai_spend_limit_enforcing")); diff != "" {
		t.Errorf("enforcement (-want +got):\n%s", diff)
	}
}
