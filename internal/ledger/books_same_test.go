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

// A day that seems long settled by a Date that is days ahead is not taken for billed whole once the Date is right again.
func TestADateThatIsDaysAheadSettlesNoDayOfTheBill(t *testing.T) {
	g := costsRig(t).open()
	day := g.now.Truncate(24 * time.Hour)
	for _, off := range []time.Duration{0, 130 * time.Hour, -100 * time.Hour, time.Hour} {
		g.pass(off)
		g.bookSales(map[time.Time][]sale{day: {{"a", "in", "", "1", "1"}}})
		if read := g.dayBook(day).ReadAt; !read.Equal(g.now.Truncate(time.Second)) {
			t.Errorf("it was read at %s, and is said to have been at %s", g.now, read)
		}
	}
}
