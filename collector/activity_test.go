package collector_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/openai-exporter/openai_exporter/collector"
	"github.com/openai-exporter/openai_exporter/fetcher"
	"github.com/openai-exporter/openai_exporter/internal/directory"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
)

func TestAFailedPollChangesNothingButItsOwnMetrics(t *testing.T) {
	s, c := pollingOrganization(t)
	data := samples(t, c, "openai_usage_", "openai_cost_")
	s.statuses[0].State, s.statuses[0].Failures = fetcher.StateFailing, 1
	c.Poll("acme", "completions", time.Second, errors.New("HTTP 502"))
	if d := cmp.Diff(data, samples(t, c, "openai_usage_", "openai_cost_")); d != "" {
		t.Errorf("data changed:\n%s", d)
	}
	got := strings.Join(samples(t, c, "openai_up", "openai_exporter_last_success", "openai_exporter_polls"), "\n")
	for _, want := range []string{
		`openai_up{endpoint="completions",organization="acme"} 0`,
		`openai_exporter_last_success_timestamp_seconds{endpoint="completions",organization="acme"} 1.795176e+09`,
		`openai_exporter_polls_total{endpoint="completions",organization="acme",outcome="error"} 1`,
		`openai_exporter_polls_total{endpoint="completions",organization="acme",outcome="success"} 1`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is missing in\n%s", want, got)
		}
	}
}

func TestPolledEndpointsStartAtZero(t *testing.T) {
	s, _ := pollingOrganization(t)
	got := strings.Join(samples(t, newCollector(s), "openai_exporter_"), "\n")
	for _, want := range []string{
		`openai_exporter_polls_total{endpoint="costs",organization="acme",outcome="success"} 0`,
		`openai_exporter_audits_total{endpoint="completions",organization="acme",outcome="success"} 0`,
		`openai_exporter_api_requests_total{code="200",endpoint="costs",organization="acme"} 0`,
		`openai_exporter_poll_duration_seconds_count{endpoint="costs",organization="acme"} 0`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is missing", want)
		}
	}
	for _, never := range []string{`openai_exporter_audits_total{endpoint="costs"`, `openai_exporter_withheld{endpoint="vector_stores"`, `outcome="error"`, `code="429"`, "_bucket{"} {
		if strings.Contains(got, never) {
			t.Errorf("%s… is exposed", never)
		}
	}
}

// held is a collector that shows what is counted for the first time as zero for two minutes.
func held(s *source) *collector.Collector {
	return collector.New(collector.Options{Views: s, Statuses: s, ZeroHold: func() time.Duration { return 2 * time.Minute }})
}

func TestWhatGoesWrongBeginsAtZeroAndIsHeldThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := pollingOrganization(t)
		v := organizationView(t)
		fine, amiss := *v.Feeds[0], *v.Feeds[0]
		fine.ByMeasure, fine.HoursGivenUp = make([]ledger.MeasureView, len(fine.ByMeasure)), 0
		s.view.Store(&ledger.View{Feeds: []*ledger.FeedView{&fine}})
		c := held(s)
		prefixes := []string{
			"openai_exporter_polls_total", "openai_exporter_api_requests_total", "openai_exporter_audits_total", "openai_exporter_restated_total",
			"openai_exporter_audit_difference_total", "openai_exporter_hours_given_up_total",
		}
		shown := func() []string {
			return slices.DeleteFunc(samples(t, c, prefixes...), func(l string) bool {
				return strings.Contains(l, `"success"`) || strings.Contains(l, `"200"`)
			})
		}
		if got := shown(); len(got) > 0 {
			t.Fatalf("before anything has gone wrong there is %q", got)
		}
		c.Poll("acme", "completions", time.Second, errors.New("HTTP 502"))
		c.Request("acme", "completions", "502", time.Second)
		c.Request("acme", "completions", "502", time.Second)
		c.Audit("acme", "completions", errors.New("HTTP 502"))
		s.view.Store(&ledger.View{Feeds: []*ledger.FeedView{&amiss}})
		steps := []string{
			`openai_exporter_api_requests_total{code="502",endpoint="completions",organization="acme"} `, "2",
			`openai_exporter_audit_difference_total{direction="up",endpoint="completions",measure="input_tokens",organization="acme"} `, "5",
			`openai_exporter_audits_total{endpoint="completions",organization="acme",outcome="error"} `, "1",
			`openai_exporter_hours_given_up_total{endpoint="completions",organization="acme"} `, "2",
			`openai_exporter_polls_total{endpoint="completions",organization="acme",outcome="error"} `, "1",
			`openai_exporter_restated_total{direction="down",endpoint="completions",measure="input_tokens",organization="acme"} `, "40",
			`openai_exporter_restated_total{direction="up",endpoint="completions",measure="input_tokens",organization="acme"} `, "300",
		}
		var zeros, values []string
		for i := 0; i < len(steps); i += 2 {
			zeros, values = append(zeros, steps[i]+"0"), append(values, steps[i]+steps[i+1])
		}
		if d := cmp.Diff(zeros, shown()); d != "" {
			t.Errorf("at once (-want +got):\n%s", d)
		}
		<-time.After(2*time.Minute - time.Millisecond)
		if d := cmp.Diff(zeros, shown()); d != "" {
			t.Errorf("while it is held (-want +got):\n%s", d)
		}
		<-time.After(time.Millisecond)
		if d := cmp.Diff(values, shown()); d != "" {
			t.Errorf("afterwards (-want +got):\n%s", d)
		}
		// What was once begun stays, at whatever it is.
		s.view.Store(&ledger.View{Feeds: []*ledger.FeedView{&fine}})
		if got := shown(); len(got) != len(values) {
			t.Errorf("%d series are left of %d", len(got), len(values))
		}
	})
}

func TestAnEndpointThatAReloadTookAwayLosesItsSeries(t *testing.T) {
	s, c := pollingOrganization(t)
	samples(t, c, "openai_") // The endpoints are known from here on.
	s.statuses = slices.DeleteFunc(s.statuses, func(st fetcher.Status) bool { return st.Endpoint == "decisions" })
	for _, l := range samples(t, c, "openai_") {
		if strings.Contains(l, `endpoint="decisions"`) {
			t.Errorf("still exposed: %s", l)
		}
	}
}

func TestAReloadThatLeavesNothingToPollLeavesNoSeriesOfAnOrganization(t *testing.T) {
	s, c := pollingOrganization(t)
	samples(t, c, "openai_")
	c.Poll("acme", "completions", time.Second, errors.New("HTTP 502"))
	c.Request("acme", "completions", "502", time.Second)
	c.Audit("acme", "completions", nil)
	c.Bound("acme", "completions", fetcher.Bounds[0], 0.5)
	s.statuses = nil
	s.view.Store(&ledger.View{})
	s.names.Store(&directory.Snapshot{})
	gone := func() {
		t.Helper()
		for _, l := range samples(t, c, "openai_") {
			if strings.Contains(l, `organization="acme"`) {
				t.Errorf("still exposed: %s", l)
			}
		}
	}
	gone()
	// A poll that was under way ends.
	c.Poll("acme", "completions", time.Second, errors.New("context canceled"))
	gone()
}

func TestReloadsAreReported(t *testing.T) {
	s, c := pollingOrganization(t)
	const successful, when = "openai_exporter_config_last_reload_successful ", "openai_exporter_config_last_reload_success_timestamp_seconds "
	want := func(vs ...string) {
		t.Helper()
		if d := cmp.Diff([]string{when + vs[1], successful + vs[0]}, samples(t, c, "openai_exporter_config_")); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
	}
	want("1", "1.795176e+09")
	c.Reload(false, s.now.Add(time.Hour))
	want("0", "1.795176e+09")
	c.Reload(true, s.now.Add(2*time.Hour))
	want("1", "1.7951832e+09")
}
