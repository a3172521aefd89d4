package ledger_test

import (
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/ledger"
)

func TestADayHasTheSameSalesUntilTheyAreOthers(t *testing.T) {
	g := costsRig(t).open()
	day := g.now.Truncate(24 * time.Hour)
	book := func(usd string) *ledger.DayBook {
		g.bookSales(map[time.Time][]sale{day: {{"a", "in", "tokens", usd, "1"}, {"b", "out", "tokens", "1", "1"}}})
		return g.dayBook(day)
	}
	first := book("2")
	g.pass(15 * time.Hour)
	again := book("2")
	if again.ReadAt.Equal(first.ReadAt) || !again.SameSales(first) {
		t.Errorf("a day that was read again at %s, as at %s, has other sales", again.ReadAt, first.ReadAt)
	}
	if corrected := book("3"); corrected.SameSales(again) {
		t.Error("a corrected day has the same sales")
	}
	if other := ledger.NewDayBook(day.AddDate(0, 0, 1), g.now, 24, nil, nil); other.SameSales(again) {
		t.Error("another day has the same sales")
	}
}
