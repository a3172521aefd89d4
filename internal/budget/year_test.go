// It adds up years of bills and shares nothing, so the race detector would see nothing.

//go:build !race

package budget_test

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/budget"
)

// years are those that were not looked at when the numbers of the method were chosen.
var years = []uint64{301, 302, 303, 304, 305, 306, 307, 308, 309, 310, 311, 312}

var newYear = utc(2025, 1, 1)

// office is what an office spends on the days of a year, and of the one before it to learn from: a week of workdays,
// holidays, a quiet August, chance that lasts for some days, and now and then a job that runs away.
func office(seed uint64, level func(days float64) float64) *bill {
	r := rand.New(rand.NewPCG(seed, 7))
	b := newBill(newYear, 12)
	weekend := 0.15 + 0.4*r.Float64()
	lasting := 0.0
	for at := newYear.AddDate(-1, -2, 0); at.Before(newYear.AddDate(1, 0, 0)); at = at.Add(day) {
		lasting = 0.7*lasting + 0.08*r.NormFloat64()
		x := 1000 * level(float64(at.Sub(newYear)/day)) * math.Exp(lasting+0.1*r.NormFloat64())
		if w := at.Weekday(); w == time.Saturday || w == time.Sunday || holiday(at) {
			x *= weekend
		}
		if at.Month() == time.August {
			x *= 0.8
		}
		if r.IntN(60) == 0 {
			x *= 3
		}
		b.days[at], b.noon[at] = x, x*(0.4+0.1*r.Float64())
	}
	return b
}

// holiday says whether the office is closed.
func holiday(at time.Time) bool {
	d := at.Format("01-02")
	easter := []string{"2024-03-29", "2024-04-01", "2025-04-18", "2025-04-21"}
	return d >= "12-24" || slices.Contains([]string{"01-01", "05-01", "10-03"}, d) || slices.Contains(easter, at.Format(time.DateOnly))
}

func yearly(factor float64) func(float64) float64 {
	return func(days float64) float64 { return math.Pow(factor, days/365) }
}

// levels are how what is spent changes over a year.
var levels = []struct {
	what  string
	level func(days float64) float64
}{
	{"steady", yearly(1)},
	{"doubling in a year", yearly(2)},
	{"tenfold in a year", yearly(10)},
	{"halving in a year", yearly(0.5)},
	{"jumping every 97 days", func(days float64) float64 { return []float64{1, 2, 1.3, 3}[int(days+970)/97%4] }},
}

// spans are the periods and the days of them that are asked about.
var spans = []struct {
	kind string
	days []int
}{
	{budget.Monthly, []int{3, 14}},
	{budget.Quarterly, []int{7, 30, 60}},
	{budget.Yearly, []int{30, 120, 240, 330}},
}

// offPeriod is how far both forecasts of a period are from what it was billed.
func (b *bill) offPeriod(p budget.Period, today, history time.Time) (ours, straight float64) {
	now := today.Add(day / 2)
	var days []budget.Day
	for at := history; at.Before(today); at = at.Add(day) {
		days = append(days, budget.Day{Start: at, Charged: usd(b.days[at]), HasBill: true, Estimated: usd(b.days[at]), HasEstimate: true})
	}
	days = append(days, budget.Day{Start: today, Estimated: usd(b.noon[today]), HasEstimate: true})
	spend := budget.Learn(days, now, now).Over(p)
	total := 0.0
	for at := p.Start; at.Before(p.End); at = at.Add(day) {
		total += b.days[at]
	}
	line := spend.Spent().Float64() * float64(p.End.Sub(p.Start)) / float64(now.Sub(p.Start))
	return math.Abs(spend.Forecast.Float64()-total) / total, math.Abs(line-total) / total
}

// A guess is how far forecasts of a kind of period, made on the same day of it, are off in the mean: with the history that a
// new exporter has, with 400 days of it, and in a straight line.
type guess struct {
	what, kind            string
	day, n                int
	short, long, straight float64
}

var guesses = sync.OnceValue(func() []guess {
	var out []guess
	for _, l := range levels {
		var bills []*bill
		for _, seed := range years {
			bills = append(bills, office(seed, l.level))
		}
		for _, s := range spans {
			for _, d := range s.days {
				out = append(out, guessAt(l.what, s.kind, d, bills))
			}
		}
	}
	return out
})

func guessAt(what, kind string, dayOfPeriod int, bills []*bill) guess {
	var short, long, straight []float64
	for _, b := range bills {
		for at := newYear; at.Before(newYear.AddDate(1, 0, 0)); {
			p := budget.Calendar(kind, at)
			today := p.Start.AddDate(0, 0, dayOfPeriod-1)
			from := p.Start
			if earlier := today.AddDate(0, 0, -before); earlier.Before(from) {
				from = earlier
			}
			x, line := b.offPeriod(p, today, from)
			y, _ := b.offPeriod(p, today, today.AddDate(0, 0, -400))
			short, long, straight = append(short, x), append(long, y), append(straight, line)
			at = p.End
		}
	}
	return guess{what, kind, dayOfPeriod, len(long), errorsOf(short)[0], errorsOf(long)[0], errorsOf(straight)[0]}
}

// TestMonthsOfHistoryMakeTheForecastBetter compares what the same method says of the same days.
func TestMonthsOfHistoryMakeTheForecastBetter(t *testing.T) {
	var short, long, straight float64
	for _, g := range guesses() {
		short, long, straight = short+g.short, long+g.long, straight+g.straight
		// docs/forecast.md speaks of the others.
		if g.kind != budget.Yearly && slices.Contains([]string{"steady", "doubling in a year", "halving in a year"}, g.what) && !(g.long < g.short) {
			t.Errorf("%s, day %d of a %s: %.1f %% off with a year of history, %.1f %% without", g.what, g.day, g.kind, 100*g.long, 100*g.short)
		}
	}
	if !(long < 0.95*short) || !(long < 0.8*straight) {
		t.Errorf("over all periods the sum of errors is %.2f with a year of history, %.2f without and %.2f in a straight line", long, short, straight)
	}
}

func yearTable() string {
	var b bytes.Buffer
	b.WriteString("\n| spending | period | day | forecasts | new | 400 days of history | straight line |\n|---|---|--:|--:|--:|--:|--:|\n")
	for _, g := range guesses() {
		bold := ""
		if g.long < g.short {
			bold = "**"
		}
		fmt.Fprintf(&b, "| %s | %s | %d | %d | %.1f %% | %s%.1f %%%s | %.1f %% |\n", g.what, g.kind, g.day, g.n, 100*g.short, bold, 100*g.long, bold, 100*g.straight)
	}
	b.WriteByte('\n')
	return b.String()
}
