package collector_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/openai-exporter/openai_exporter/collector"
	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
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

// TestAMonthIsFromItsFirstDayOn: the first of a month is a part of it, and the last of the month before is not.
func TestAMonthIsFromItsFirstDayOn(t *testing.T) {
	costs, _ := api.Find("costs")
	f := &ledger.FeedView{Endpoint: costs}
	for day, usd := range map[time.Time]string{
		time.Date(2026, 10, 31, 0, 0, 0, 0, time.UTC): "1000",
		time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC):  "100",
		time.Date(2026, 11, 2, 0, 0, 0, 0, time.UTC):  "10",
		time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC):  "1", // By a clock that is ahead.
	} {
		f.Days = append(f.Days, ledger.Day{Start: day, Rows: []ledger.Row{billRow(t, "project_id=proj_a", usd)}})
	}
	for _, tc := range []struct {
		now          time.Time
		today, month string
	}{
		{time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), "100", "100"},
		{time.Date(2026, 11, 2, 23, 59, 59, 0, time.UTC), "10", "110"},
		{time.Date(2026, 11, 30, 23, 59, 59, 0, time.UTC), "0", "110"},
		{time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC), "1", "1"},
	} {
		today, month := collector.Spend(f, tc.now)
		if got := collector.Total(today).String(); got != tc.today {
			t.Errorf("at %v the day has cost %s, want %s", tc.now, got, tc.today)
		}
		if got := collector.Total(month).String(); got != tc.month {
			t.Errorf("at %v the month has cost %s, want %s", tc.now, got, tc.month)
		}
	}
}
