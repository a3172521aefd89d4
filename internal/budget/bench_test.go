package budget_test

import (
	"testing"

	"github.com/openai-exporter/openai_exporter/internal/budget"
)

// BenchmarkYear is a budget of a year with all the history that the books have.
func BenchmarkYear(b *testing.B) {
	now := utc(2026, 6, 15)
	days := settled(now.AddDate(0, 0, -400), repeat(400, 100, 110, 90, 105, 95, 20, 22)...)
	year := budget.Calendar(budget.Yearly, now)
	for b.Loop() {
		o := budget.Learn(days, now, now)
		o.Over(year)
		o.Exhausted(year, 40_000)
	}
}
