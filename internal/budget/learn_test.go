package budget

import (
	"math"
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/decimal"
)

func TestAGrowthWithoutScatterIsSeenWhole(t *testing.T) {
	for months, want := range map[int]float64{6: 0.5, 3: 0.5, 2: 0} { // Two months are on a line in any case.
		var days []amount
		for i := range months * month {
			days = append(days, amount{start: time.Date(2026, 1, 1+i, 0, 0, 0, 0, time.UTC), usd: 100 + 0.5*float64(i)})
		}
		if got := trend(days).growth; math.Abs(got-want) > 1e-9 {
			t.Errorf("over %d months a day costs %v more than the one before, want %v", months, got, want)
		}
	}
}

func TestDaysBeforeAnythingWasUsedTeachNothing(t *testing.T) {
	today := time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)
	for _, used := range [][]int64{{1, 0, 3}, {2, 2, 0, 0, 2}, {0, 0, 0}} {
		known := map[int64]Day{}
		for i, usd := range append(make([]int64, 10), used...) {
			start := today.AddDate(0, 0, i-10-len(used))
			known[start.Unix()] = Day{Start: start, HasEstimate: true, Estimated: decimal.FromInt(usd)}
		}
		want := len(used)
		if used[0] == 0 {
			want = 0
		}
		if got := learnable(known, today, today); len(got) != want {
			t.Errorf("after ten days without usage, %v teach %d days, want %d", used, len(got), want)
		}
	}
}
