package collector_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestADayThatTurnsDropsYesterdayAtOnce(t *testing.T) {
	s, c := pollingOrganization(t)
	const today, month = "openai_cost_today_usd", "openai_cost_month_to_date_usd"
	bill := func(name, item, v string) string {
		return name + `{line_item="` + item + `",organization="acme",project_id="proj_a"} ` + v
	}
	for _, tc := range []struct {
		now  time.Time
		want []string
	}{
		{noon, []string{bill(month, "credit", "-0.25"), bill(month, "gpt-5, input", "5"), bill(month, "gpt-5,input", "2.75"), bill(today, "gpt-5,input", "0.5")}},
		{noon.Add(12*time.Hour - 1), []string{bill(month, "credit", "-0.25"), bill(month, "gpt-5, input", "5"), bill(month, "gpt-5,input", "2.75"), bill(today, "gpt-5,input", "0.5")}},
		{noon.Add(12 * time.Hour), []string{bill(month, "credit", "-0.25"), bill(month, "gpt-5, input", "5"), bill(month, "gpt-5,input", "2.75")}},
		{time.Date(2026, 11, 30, 23, 59, 59, 0, time.UTC), []string{bill(month, "credit", "-0.25"), bill(month, "gpt-5, input", "5"), bill(month, "gpt-5,input", "2.75")}},
		{time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC), nil},
		// The clock of the machine may be anywhere; the day is UTC.
		{time.Date(2026, 11, 20, 23, 0, 0, 0, time.FixedZone("", -5*3600)), []string{bill(month, "credit", "-0.25"), bill(month, "gpt-5, input", "5"), bill(month, "gpt-5,input", "2.75")}},
	} {
		s.now = tc.now
		if d := cmp.Diff(tc.want, samples(t, c, today, month)); d != "" {
			t.Errorf("at %v (-want +got):\n%s", tc.now, d)
		}
	}
}
