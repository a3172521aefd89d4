package budget_test

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/budget"
)

// Whatever the days are like, the forecast is a number, nothing is lost, and merging one project changes nothing.
func TestForecastOfAnyDaysIsSoundAndNotBelowWhatIsSpent(t *testing.T) {
	for seed := range uint64(3000) {
		r := rand.New(rand.NewPCG(seed, 1))
		now := utc(2026, time.Month(1+r.IntN(12)), 1+r.IntN(28)).Add(time.Duration(r.Int64N(int64(day))))
		read := now.Add(-time.Duration(r.Int64N(int64(3 * day))))
		var days []budget.Day
		for i := range r.IntN(70) {
			if r.IntN(5) == 0 {
				continue
			}
			x := math.Exp(r.NormFloat64() * 6)
			credited := 0.0
			if r.IntN(6) == 0 {
				credited = 2 * x
			}
			days = append(days, budget.Day{
				Start: now.Truncate(day).AddDate(0, 0, 2-i), Charged: usd(x * float64(r.IntN(2))), Credited: usd(credited), Estimated: usd(x * r.Float64()),
				HasBill: r.IntN(4) > 0, HasEstimate: r.IntN(3) > 0,
			})
		}
		s := budget.Month(days, now, read)
		if s.Forecast.Cmp(s.Spent()) < 0 || s.Unbilled.Sign() < 0 {
			t.Errorf("seed %d: spent %s, unbilled %s, forecast %s", seed, s.Spent(), s.Unbilled, s.Forecast)
		}
		if again := budget.Month(budget.Merge(read, days), now, read); again != s {
			t.Errorf("seed %d: merged alone it is %v, before it was %v", seed, again, s)
		}
		double := budget.Month(budget.Merge(read, days, days), now, read)
		if got, want := double.Spent(), s.Spent().Add(s.Spent()); got != want {
			t.Errorf("seed %d: two like it have spent %s, want %s", seed, got, want)
		}
	}
}
