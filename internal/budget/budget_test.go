package budget_test

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/openai-exporter/openai_exporter/internal/budget"
	"github.com/openai-exporter/openai_exporter/internal/decimal"
)

func utc(year int, month time.Month, day int) time.Time {
	return time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
}

func usd(x float64) decimal.Fixed {
	f, err := decimal.Parse(fmt.Sprintf("%.9f", x))
	if err != nil {
		panic(err)
	}
	return f
}

const day = 24 * time.Hour

// monday is the first of a month that begins with one.
var monday = utc(2026, 6, 1)

// settled are whole days, estimated as they are billed, from a day on.
func settled(from time.Time, amounts ...float64) []budget.Day {
	var out []budget.Day
	for i, x := range amounts {
		out = append(out, budget.Day{Start: from.AddDate(0, 0, i), Charged: usd(x), HasBill: true, Estimated: usd(x), HasEstimate: true})
	}
	return out
}

func repeat(n int, amounts ...float64) []float64 {
	var out []float64
	for i := range n {
		out = append(out, amounts[i%len(amounts)])
	}
	return out
}

func TestUnbilledIsWhatTheBillMayStillLack(t *testing.T) {
	start := utc(2026, 6, 10)
	for _, c := range []struct {
		name     string
		day      budget.Day
		billRead time.Time
		want     float64
	}{
		{"running, nothing billed", budget.Day{Estimated: usd(7), HasEstimate: true, HasBill: true}, start.Add(9 * time.Hour), 7},
		{"running, partly billed", budget.Day{Charged: usd(2), Estimated: usd(7), HasEstimate: true, HasBill: true}, start.Add(9 * time.Hour), 5},
		{"running, billed more than estimated", budget.Day{Charged: usd(9), Estimated: usd(7), HasEstimate: true, HasBill: true}, start.Add(9 * time.Hour), 0},
		{"closed, read before it settled", budget.Day{Charged: usd(6), Estimated: usd(7), HasEstimate: true, HasBill: true}, start.Add(2*day - time.Second), 1},
		{"closed, read when it settled", budget.Day{Charged: usd(6), Estimated: usd(7), HasEstimate: true, HasBill: true}, start.Add(2 * day), 0},
		{"the bill was never read", budget.Day{Estimated: usd(7), HasEstimate: true}, time.Time{}, 7},
		{"the bill of other days was read", budget.Day{Estimated: usd(7), HasEstimate: true}, start.Add(9 * day), 7},
		{"no estimate", budget.Day{Charged: usd(6), HasBill: true}, start.Add(9 * time.Hour), 0},
	} {
		c.day.Start = start
		if got := c.day.Unbilled(c.billRead); got != usd(c.want) {
			t.Errorf("%s: %s, want %v", c.name, got, c.want)
		}
	}
}

func TestMonthShowsItsTwoParts(t *testing.T) {
	now := utc(2026, 6, 3).Add(6 * time.Hour)
	days := append(settled(utc(2026, 5, 31), 1000), // another month
		budget.Day{Start: utc(2026, 6, 1), Charged: usd(10), Estimated: usd(12), HasBill: true, HasEstimate: true},
		budget.Day{Start: utc(2026, 6, 2), Charged: usd(8), Estimated: usd(11), HasBill: true, HasEstimate: true},
		budget.Day{Start: utc(2026, 6, 3), Estimated: usd(4), HasBill: true, HasEstimate: true},
		budget.Day{Start: utc(2026, 6, 4), Charged: usd(99), HasBill: true}, // A clock that went back has read the future.
	)
	s := budget.Month(days, now, now)
	if got, want := [3]any{s.Billed, s.Unbilled, s.Spent()}, [3]any{usd(18), usd(7), usd(25)}; got != want {
		t.Errorf("billed, unbilled and spent are %v, want %v", got, want)
	}
}

func TestMonthTurnsInUTC(t *testing.T) {
	west := time.FixedZone("west", -8*3600)
	days := append(settled(utc(2026, 5, 20), repeat(12, 10)...), budget.Day{Start: monday, Estimated: usd(1), HasEstimate: true})
	s := budget.Month(days, time.Date(2026, 5, 31, 20, 0, 0, 0, west), monday)
	if s.Spent() != usd(1) {
		t.Errorf("the new month has cost %s, want 1", s.Spent())
	}
}

func TestWhatIsUnbilledIsFoundPerProject(t *testing.T) {
	read := utc(2026, 6, 10).Add(9 * time.Hour)
	at := utc(2026, 6, 10)
	merged := budget.Merge(read,
		[]budget.Day{
			{Start: at.Add(-3 * day), Charged: usd(10), Estimated: usd(15), HasBill: true, HasEstimate: true}, // settled
			{Start: at, Charged: usd(5), Estimated: usd(3), HasBill: true, HasEstimate: true},
		},
		[]budget.Day{{Start: at, Charged: usd(1), Estimated: usd(4), HasBill: true, HasEstimate: true}},
		[]budget.Day{{Start: at, Credited: usd(50), HasBill: true}}, // a credit that no project has
	)
	if len(merged) != 2 || !merged[0].Start.Before(merged[1].Start) {
		t.Fatalf("got %v", merged)
	}
	if got, want := merged[0].Billed(), usd(10); got != want || !merged[0].Unbilled(read).IsZero() {
		t.Errorf("the settled day was billed %s, and %s is not: want %s and 0", got, merged[0].Unbilled(read), want)
	}
	if got, want := [2]any{merged[1].Billed(), merged[1].Unbilled(read)}, [2]any{usd(-44), usd(3)}; got != want {
		t.Errorf("the running day was billed, and is unbilled, %v; want %v", got, want)
	}
	s := budget.Month(merged, read, read)
	if got, want := s.Spent(), usd(10-44+3); got != want {
		t.Errorf("spent %s, want %s", got, want)
	}
	if len(budget.Merge(read)) != 0 {
		t.Error("nothing has days")
	}
}

// forecast is what the month of now will have cost, and a range that it has to be in.
func forecast(t *testing.T, what string, days []budget.Day, now time.Time, low, high float64) {
	t.Helper()
	s := budget.Month(days, now, now)
	if got := s.Forecast.Float64(); got < low || got > high {
		t.Errorf("%s: the month will have cost %.2f, want %.2f to %.2f", what, got, low, high)
	}
	if s.Forecast.Cmp(s.Spent()) < 0 {
		t.Errorf("%s: the month will have cost %s, and %s is spent", what, s.Forecast, s.Spent())
	}
}

func TestForecastWorksWithAnyHistory(t *testing.T) {
	week := []float64{100, 100, 100, 100, 100, 20, 20} // 2240 in a June of 22 workdays and 8 days of weekends, from a Monday on 2360
	running := func(at time.Time, x float64) budget.Day {
		return budget.Day{Start: at, Estimated: usd(x), HasEstimate: true}
	}
	forecast(t, "nothing at all", nil, monday.Add(day/2), 0, 0)
	forecast(t, "the first minute of the first day", []budget.Day{running(monday, 0.07)}, monday.Add(time.Minute), 40, 100)
	forecast(t, "a dollar in the first minute, as if it were that of an hour", []budget.Day{running(monday, 1)}, monday.Add(time.Minute), 719.9, 720.1)
	forecast(t, "half a day", []budget.Day{running(monday, 50)}, monday.Add(day/2), 3000, 3000)
	forecast(t, "a day", settled(monday, 100), monday.Add(day), 2900, 3000)
	forecast(t, "four days", settled(monday, 100, 100, 100, 100), monday.Add(4*day), 3000, 3000)
	forecast(t, "ten days", settled(monday, repeat(10, week...)...), monday.Add(10*day), 2250, 2450)
	forecast(t, "thirty-five days", settled(monday.AddDate(0, 0, -35), repeat(35, week...)...), monday, 2340, 2380)
	forecast(t, "a month more", settled(monday.AddDate(0, 0, -65), append(repeat(30, 9999), repeat(35, week...)...)...), monday, 2340, 2380)
	forecast(t, "the last minute", settled(monday, repeat(30, week...)...), monday.Add(30*day-time.Minute), 2360, 2361)
	forecast(t, "a project that began a week ago", settled(monday.AddDate(0, 0, -35), append(repeat(28, 0), week...)...), monday, 2200, 2600)
}

func TestWeekdaysAreLearned(t *testing.T) {
	// A report that runs every Wednesday. There are four Wednesdays in this June after the first.
	report := []float64{10, 10, 510, 10, 10, 10, 10}
	days := settled(monday.AddDate(0, 0, -32), append([]float64{10, 10, 10, 10}, repeat(28, report...)...)...)
	days = days[:32]
	forecast(t, "a weekly report", days, monday, 4*510*0.85+26*10*0.85, 4*510*1.15+26*10*1.15)
}

func TestOneSpikeIsSpentButNotExpectedAgain(t *testing.T) {
	quiet := settled(monday.AddDate(0, 0, -20), repeat(26, 10)...)
	spiked := slices.Clone(quiet)
	spiked[23].Charged = usd(510)
	now := monday.Add(6 * day)
	without, with := budget.Month(quiet, now, now), budget.Month(spiked, now, now)
	if got := with.Forecast.Sub(without.Forecast); got != usd(500) {
		t.Errorf("a spike of 500 above the usual costs the month %s", got)
	}
	forecast(t, "a spike within four days", settled(monday, 10, 10, 500, 10), monday.Add(4*day), 790, 790)
}

func TestSpikesThatComeAgainAreExpected(t *testing.T) {
	amounts := repeat(28, 10)
	for _, i := range []int{3, 11, 20, 26} {
		amounts[i] = 310
	}
	forecast(t, "four spikes in four weeks", settled(monday.AddDate(0, 0, -28), amounts...), monday, 1000, 2400) // 1586 in the mean
}

func TestGrowthIsExpectedToGoOnAndAJumpIsNot(t *testing.T) {
	var grown, jumped []float64
	total := 0.0
	for i := range 28 {
		grown = append(grown, 100+2*float64(i))
		jumped = append(jumped, 100+100*float64(i/24))
	}
	for i := 28; i < 58; i++ {
		total += 100 + 2*float64(i)
	}
	forecast(t, "growth", settled(monday.AddDate(0, 0, -28), grown...), monday, total*0.95, total*1.05)
	forecast(t, "a jump four days ago", settled(monday.AddDate(0, 0, -28), jumped...), monday, 3000, 6000)
}

func TestACreditLowersWhatIsSpentAndNothingElse(t *testing.T) {
	days := settled(monday.AddDate(0, 0, -28), repeat(34, 10)...)
	days[30].Credited = usd(1000)
	now := monday.Add(6 * day)
	forecast(t, "a credit of days ago", days, now, 30*10-1000, 30*10-1000)

	// Usage of 10 of which 8 is not charged yet lacks 8, whatever was given back.
	of := func(charged, credited float64) string {
		d := budget.Day{Start: monday, Charged: usd(charged), Credited: usd(credited), Estimated: usd(10), HasBill: true, HasEstimate: true}
		s := budget.Month([]budget.Day{d}, monday.Add(9*time.Hour), monday.Add(9*time.Hour))
		return s.Unbilled.String() + " unbilled, " + s.Spent().String() + " spent"
	}
	for _, c := range []struct {
		charged, credited float64
		want              string
	}{
		{10, 8, "0 unbilled, 2 spent"},
		{10, 50, "0 unbilled, -40 spent"},
		{2, 50, "8 unbilled, -40 spent"},
	} {
		if got := of(c.charged, c.credited); got != c.want {
			t.Errorf("%v charged and %v credited: %s, want %s", c.charged, c.credited, got, c.want)
		}
	}

	// A credit lowers the month by as much at any hour.
	history := settled(monday.AddDate(0, 0, -28), repeat(28, 24)...)
	for _, hour := range []int{1, 12, 23} {
		month := func(credit float64) float64 {
			today := budget.Day{Start: monday, Charged: usd(float64(hour)), Credited: usd(credit), Estimated: usd(float64(hour)), HasBill: true, HasEstimate: true}
			now := monday.Add(time.Duration(hour) * time.Hour)
			return budget.Month(append(slices.Clone(history), today), now, now).Forecast.Float64()
		}
		if got := month(0) - month(1000); math.Abs(got-1000) > 0.001 {
			t.Errorf("at %d o'clock a credit of 1000 lowers the forecast by %.2f", hour, got)
		}
	}
}

func TestAnEstimateThatLacksHoursCountsAsSpentAndTeachesNothing(t *testing.T) {
	history := settled(monday.AddDate(0, 0, -28), repeat(28, 24)...)
	partial := budget.Day{Start: monday, Estimated: usd(6)}
	now := monday.Add(25 * time.Hour)
	s := budget.Month(append(history, partial), now, now)
	if got := s.Unbilled; got != usd(6) {
		t.Errorf("unbilled %s, want the 6 that are known", got)
	}
	forecast(t, "half of a day's hours", append(history, partial), now, 24*30-2, 24*30)
}

func TestADayWithoutABillYetIsExpectedToComeAndLessSoWithTime(t *testing.T) {
	// Nobody estimates here. The bill of yesterday is empty at first, though read, and final a day later.
	days := append(settled(monday.AddDate(0, 0, -28), repeat(33, 10)...), budget.Day{Start: monday.Add(5 * day), HasBill: true})
	early, late := monday.Add(6*day+time.Hour), monday.Add(7*day-time.Hour)
	forecast(t, "an hour later", days, early, 298, 300)
	forecast(t, "nearly a day later", days, late, 281, 282)
	settledAt := monday.Add(7 * day)
	if got := budget.Month(days, settledAt, settledAt).Forecast.Float64(); got > 280 {
		t.Errorf("a day that was billed nothing in the end is still expected: %.2f", got)
	}
}

func TestForecastFollowsTheRunningDay(t *testing.T) {
	history := settled(monday.AddDate(0, 0, -30), repeat(30, 24)...)
	at := func(hour int, spent float64) float64 {
		now := monday.Add(time.Duration(hour) * time.Hour)
		days := append(slices.Clone(history), budget.Day{Start: monday, Estimated: usd(spent), HasEstimate: true, HasBill: true})
		return budget.Month(days, now, now).Forecast.Float64()
	}
	for _, c := range []struct {
		hour             int
		spent, low, high float64
	}{
		{0, 0, 720, 720},
		{12, 12, 720, 720},
		{12, 2, 710, 719},  // a quiet day so far
		{20, 24, 720, 724}, // a day that spends early
		{20, 100, 796, 800},
	} {
		if got := at(c.hour, c.spent); got < c.low || got > c.high {
			t.Errorf("at %d o'clock with %v spent the month will have cost %.2f, want %v to %v", c.hour, c.spent, got, c.low, c.high)
		}
	}
}

func TestOrderOfTheDaysDoesNotMatter(t *testing.T) {
	days := settled(monday.AddDate(0, 0, -30), repeat(40, 10, 20, 35, 3)...)
	now := monday.Add(10 * day)
	want := budget.Month(days, now, now)
	slices.Reverse(days)
	if diff := cmp.Diff(want, budget.Month(days, now, now), cmp.Comparer(func(a, b budget.Spend) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
}
