package spend

import (
	"slices"
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

// TestADayIsEstimatedOnceEveryEndpointHasAllOfIt: until then the forecast expects more of it. Of today nobody has all.
func TestADayIsEstimatedOnceEveryEndpointHasAllOfIt(t *testing.T) {
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	today := now.Truncate(24 * time.Hour)
	for _, tc := range []struct {
		day   time.Time
		hours []int // by endpoint
		want  bool
	}{
		{today.AddDate(0, 0, -1), nil, false},
		{today.AddDate(0, 0, -1), []int{24}, true},
		{today.AddDate(0, 0, -1), []int{23}, false},
		{today.AddDate(0, 0, -1), []int{24, 24}, true},
		{today.AddDate(0, 0, -1), []int{24, 23}, false},
		{today, []int{12}, true},
		{today, []int{12, 11}, true},
		{today, nil, false},
	} {
		bill := &ledger.FeedView{ReadAt: now, Books: []*ledger.DayBook{ledger.NewDayBook(tc.day, now, 0, nil, nil)}}
		var usage []*ledger.FeedView
		for _, hours := range tc.hours {
			usage = append(usage, &ledger.FeedView{Endpoint: &api.Endpoint{}, ReadAt: now, Books: []*ledger.DayBook{ledger.NewDayBook(tc.day, now, hours, nil, nil)}})
		}
		days := newHistory(bill, usage, now).days
		if len(days) != 1 || days[0].estimated != tc.want {
			t.Errorf("%s with %v hours: estimated is %t, want %t", tc.day.Format(time.DateOnly), tc.hours, !tc.want, tc.want)
		}
	}
}

func TestAProjectWithoutAnythingIsNoPartOfADay(t *testing.T) {
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	start := now.Truncate(24 * time.Hour)
	bill := &ledger.FeedView{ReadAt: now, Books: []*ledger.DayBook{ledger.NewDayBook(start, now, 0, map[string]ledger.Amounts{
		"proj_billed": {Charged: decimal.FromInt(3)}, "proj_idle": {},
	}, nil)}}
	usage := &ledger.FeedView{Endpoint: &api.Endpoint{}, ReadAt: now, Books: []*ledger.DayBook{ledger.NewDayBook(start, now, 12, map[string]ledger.Amounts{
		"proj_new": {Estimated: decimal.FromInt(2)},
	}, nil)}}
	h := newHistory(bill, []*ledger.FeedView{usage}, now)
	var got []string
	for _, p := range h.portions(h.days[0]) {
		got = append(got, p.ProjectID)
	}
	if want := []string{"proj_billed", "proj_new"}; !slices.Equal(got, want) {
		t.Errorf("the day is of %v, want %v", got, want)
	}
}

func TestTodayIsToldByItemWhereTheBillHasItems(t *testing.T) {
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	today := now.Truncate(24 * time.Hour)
	day := func(start time.Time, itemized bool) *ledger.DayBook {
		b := ledger.NewDayBook(start, now, 0, nil, map[ledger.Item]ledger.Sale{
			{LineItem: "gpt-5, input", Unit: "tokens"}: {USD: decimal.FromInt(2)}, {LineItem: "gpt-5, input", Unit: "images"}: {USD: decimal.FromInt(1)},
		})
		b.Itemized = itemized
		return b
	}
	for name, tc := range map[string]struct {
		days  []*ledger.DayBook
		known bool
	}{
		"items":            {[]*ledger.DayBook{day(today, true)}, true},
		"no items":         {[]*ledger.DayBook{day(today, false)}, false},
		"no bill of today": {[]*ledger.DayBook{day(today.AddDate(0, 0, -1), true)}, false},
		"no bill":          {nil, false},
	} {
		charged, known := newHistory(&ledger.FeedView{ReadAt: now, Books: tc.days}, nil, now).byItem(now)
		if known != tc.known || known && charged["gpt-5, input"] != decimal.FromInt(3) {
			t.Errorf("%s: %v are charged, known is %t", name, charged, known)
		}
	}
}
