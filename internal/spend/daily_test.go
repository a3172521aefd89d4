package spend

import (
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/budget"
	"github.com/openai-exporter/openai_exporter/internal/decimal"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
)

// TestTheDaysAddUpToTheMonthAndItsForecast: what the chart shows is what the month's numbers say.
func TestTheDaysAddUpToTheMonthAndItsForecast(t *testing.T) {
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	today := now.Truncate(24 * time.Hour)
	bill, usage := &ledger.FeedView{ReadAt: now}, &ledger.FeedView{Endpoint: &api.Endpoint{}, ReadAt: now}
	for i := range 45 {
		start := today.AddDate(0, 0, -i)
		n := int64(i)
		bill.Books = append(bill.Books, ledger.NewDayBook(start, now, 0, map[string]ledger.Amounts{
			"proj_a": {Charged: decimal.FromInt(10 + n)}, "proj_b": {Charged: decimal.FromInt(3), Credited: decimal.FromInt(n % 2)},
		}, nil))
		usage.Books = append(usage.Books, ledger.NewDayBook(start, now, 24, map[string]ledger.Amounts{
			"proj_a": {Estimated: decimal.FromInt(12 + n)}, "proj_b": {Estimated: decimal.FromInt(1)},
		}, nil))
	}
	h := newHistory(bill, []*ledger.FeedView{usage}, now)
	outlook := budget.Learn(h.whole(), now, now)
	month := outlook.Over(budget.Calendar(budget.Monthly, now))
	days := h.daily(outlook, now)
	if first, last := days[0].Start, days[len(days)-1].Start; !first.Equal(today.AddDate(0, 0, -35)) || last.Day() != 30 {
		t.Errorf("the days go from %s to %s, want five weeks and the rest of the month", first, last)
	}
	var billed, unbilled, expected decimal.Fixed
	for _, d := range days {
		var parts, estimates decimal.Fixed
		for _, p := range d.Projects {
			parts, estimates = parts.Add(p.Billed), estimates.Add(p.Unbilled)
		}
		if parts.Cmp(d.Billed) != 0 || estimates.Cmp(d.Unbilled) != 0 {
			t.Errorf("%s: the projects have %s and %s, the day %s and %s", d.Start, parts, estimates, d.Billed, d.Unbilled)
		}
		if d.Start.After(today) == d.Expected.IsZero() && !d.Start.Equal(today) {
			t.Errorf("%s: %s are expected", d.Start, d.Expected)
		}
		if d.Start.Month() == now.Month() {
			billed, unbilled, expected = billed.Add(d.Billed), unbilled.Add(d.Unbilled), expected.Add(d.Expected)
		}
	}
	if billed.Cmp(month.Billed) != 0 || unbilled.Cmp(month.Unbilled) != 0 {
		t.Errorf("the days have %s and %s, the month %s and %s", billed, unbilled, month.Billed, month.Unbilled)
	}
	if off := month.Forecast.Sub(month.Spent()).Sub(expected).Float64(); off > 1e-6 || off < -1e-6 {
		t.Errorf("the days expect %s, the month %s", expected, month.Forecast.Sub(month.Spent()))
	}
}
