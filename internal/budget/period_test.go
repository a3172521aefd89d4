package budget_test

import (
	"slices"
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/budget"
)

func TestPeriodsTurnWithTheUTCCalendar(t *testing.T) {
	west := time.FixedZone("west", -8*3600)
	for _, c := range []struct {
		kind       string
		now        time.Time
		start, end time.Time
	}{
		{budget.Monthly, utc(2026, 12, 31), utc(2026, 12, 1), utc(2027, 1, 1)},
		{budget.Monthly, time.Date(2026, 11, 30, 20, 0, 0, 0, west), utc(2026, 12, 1), utc(2027, 1, 1)},
		{budget.Quarterly, utc(2026, 1, 1), utc(2026, 1, 1), utc(2026, 4, 1)},
		{budget.Quarterly, utc(2026, 11, 25), utc(2026, 10, 1), utc(2027, 1, 1)},
		{budget.Quarterly, time.Date(2026, 9, 30, 23, 0, 0, 0, west), utc(2026, 10, 1), utc(2027, 1, 1)},
		{budget.Yearly, utc(2028, 2, 29), utc(2028, 1, 1), utc(2029, 1, 1)},
	} {
		if got := budget.Calendar(c.kind, c.now); !got.Start.Equal(c.start) || !got.End.Equal(c.end) {
			t.Errorf("the %s of %s is %v", c.kind, c.now, got)
		}
	}
}

func TestAPeriodCostsWhatItsDaysDo(t *testing.T) {
	days := settled(utc(2026, 1, 1), repeat(200, 10)...)
	now := utc(2026, 7, 19)
	for _, c := range []struct {
		period          budget.Period
		spent, forecast float64
	}{
		{budget.Calendar(budget.Monthly, now), 180, 310},
		{budget.Calendar(budget.Quarterly, now), 180, 920},
		{budget.Calendar(budget.Yearly, now), 1990, 3650},
		{budget.Period{Start: utc(2026, 6, 1), End: utc(2027, 6, 1)}, 480, 3650},
		{budget.Period{Start: utc(2026, 8, 1), End: utc(2026, 9, 1)}, 0, 310}, // has not begun
		{budget.Period{Start: utc(2026, 2, 1), End: utc(2026, 3, 1)}, 280, 280},
	} {
		s := budget.Learn(days[:199], now, now).Over(c.period)
		if s.Spent() != usd(c.spent) || s.Forecast.Sub(usd(c.forecast)).Float64() > 0.01 || usd(c.forecast).Sub(s.Forecast).Float64() > 0.01 {
			t.Errorf("%v: spent %s, forecast %s; want %v and %v", c.period, s.Spent(), s.Forecast, c.spent, c.forecast)
		}
	}
}

func TestABudgetIsExhaustedWhenItsAmountIsSpentForGood(t *testing.T) {
	june := budget.Calendar(budget.Monthly, monday)
	steady := settled(monday.AddDate(0, 0, -35), repeat(45, 10)...) // to the tenth
	credited := settled(monday, 60, 50, 0, 10, 10, 10, 10, 10, 10, 10)
	credited[2].Credited = usd(80)
	now := monday.Add(10 * day)
	for _, c := range []struct {
		name   string
		days   []budget.Day
		usd    float64
		want   time.Time
		within bool
	}{
		{"on a day that has passed", steady, 25, monday.Add(5 * day / 2), true},
		{"at its end", steady, 30, monday.Add(3 * day), true},
		{"today", steady, 105, now.Add(day / 2), true},
		{"in the future", steady, 201, monday.Add(20*day + day/10), true},
		{"with the last day", steady, 300, monday.Add(30 * day), true},
		{"not within the month", steady, 301, time.Time{}, false},
		{"after a credit", credited, 95, monday.Add(9*day + day/2), true},
		{"by nothing", nil, 1, time.Time{}, false},
	} {
		got, within := budget.Learn(c.days, now, now).Exhausted(june, c.usd)
		if off := got.Sub(c.want); within != c.within || off > time.Minute || off < -time.Minute {
			t.Errorf("%s: %v, %s; want %s", c.name, within, got, c.want)
		}
	}
	// What is spent today is spent before now, and the rest after it.
	at := monday.Add(10*day + 6*time.Hour)
	days := append(slices.Clone(steady), budget.Day{Start: monday.Add(10 * day), Estimated: usd(8), HasEstimate: true, HasBill: true})
	if got, within := budget.Learn(days, at, at).Exhausted(june, 104); !within || got.Sub(monday.Add(10*day+3*time.Hour)).Abs() > time.Minute {
		t.Errorf("half of what today has cost is spent at %s, want 03:00", got)
	}
	if got, within := budget.Learn(days, at, at).Exhausted(june, 109); !within || !got.After(at) || got.After(monday.Add(11*day)) {
		t.Errorf("what is left of today is spent at %s", got)
	}
}

func TestAHolidayOfLastYearIsOneOfThisYear(t *testing.T) {
	// Workdays cost 100 and weekends 20, but for Christmas and the three days after it.
	christmas := utc(2025, 12, 25) // a Thursday
	var amounts []float64
	for at := utc(2025, 11, 20); at.Before(utc(2026, 12, 24)); at = at.Add(day) {
		x := 100.0
		if w := at.Weekday(); w == time.Saturday || w == time.Sunday || !at.Before(christmas) && at.Before(christmas.Add(4*day)) {
			x = 20
		}
		amounts = append(amounts, x)
	}
	now := utc(2026, 12, 24)
	days := settled(utc(2025, 11, 20), amounts...)
	// Thursday, Christmas on Friday, a weekend, Monday to Thursday: of them the 28th was a Sunday a year before.
	if got := budget.Learn(days, now, now).Over(budget.Period{Start: now, End: utc(2027, 1, 1)}).Forecast.Float64(); got < 555 || got > 565 {
		t.Errorf("the last eight days of the year cost %.2f, want 560", got)
	}
	if got := budget.Learn(days[300:], now, now).Over(budget.Period{Start: now, End: utc(2027, 1, 1)}).Forecast.Float64(); got < 635 || got > 645 {
		t.Errorf("without a year of history they cost %.2f, want 640", got)
	}
}
