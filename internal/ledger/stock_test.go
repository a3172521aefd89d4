package ledger_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/decimal"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
)

// TestAStockCostsWhatItsLevelIsForAsLongAsItLasts: the books have it by project and day, once, however often it is read, and
// keep what it cost when prices change.
func TestAStockCostsWhatItsLevelIsForAsLongAsItLasts(t *testing.T) {
	g := newRig(t)
	stores, _ := api.Find("vector_stores")
	price := int64(2) // for a byte and hour
	g.options = ledger.FeedOptions{
		Organization: "acme", Endpoint: stores, ReadBy: []string{"project_id"}, Width: api.Hour, Lookback: 24 * time.Hour,
		Price: perRow(func(_ time.Time, _ []string, _ []ledger.Label, values []decimal.Fixed) (usd, unpriced decimal.Fixed) {
			return values[0].Mul(decimal.FromInt(price)), decimal.Fixed{}
		}),
	}
	g.settings.MaxLabelSets = 1 // What is shown is folded.
	levels := func(at time.Time) map[string]int64 {
		if at.Before(noon.Add(-96 * time.Hour)) {
			return nil
		}
		return map[string]int64{"a": 30, "b": 60}
	}
	poll := func() {
		t.Helper()
		w := g.feed.PollWindow(g.now)
		r := ledger.NewRead(stores, g.feed.GroupBy(), w)
		r.AsOf = g.now
		for at := w.From; at.Before(g.now); at = at.Add(w.Width.Duration) {
			r.Bucket(at)
			for project, n := range levels(at) {
				r.Row([]string{project}[:len(r.Columns())], []decimal.Fixed{decimal.FromInt(n)})
			}
		}
		if err := g.feed.Book(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	check := func(when string, day time.Time, hours int, want ...string) {
		t.Helper()
		d := g.dayBook(day)
		if d == nil {
			t.Fatalf("%s: nothing of %s", when, day.Format(time.DateOnly))
		}
		if diff := cmp.Diff(want, spellDay(d)); diff != "" || d.Hours != hours || !d.Split {
			t.Errorf("%s: %d hours of %s, split %t (-want +got):\n%s", when, d.Hours, day.Format(time.DateOnly), d.Split, diff)
		}
	}
	yesterday, tomorrow := noon.AddDate(0, 0, -1), noon.AddDate(0, 0, 1)
	g.open()
	for range 3 {
		poll()
	}
	whole := []string{"a: 0 charged, 0 credited, 1440 estimated", "b: 0 charged, 0 credited, 2880 estimated"}
	check("at the start", yesterday, 24, whole...)
	check("at the start", noon.AddDate(0, 0, -3), 24, whole...)
	check("at the start", noon, 12, "a: 0 charged, 0 credited, 780 estimated", "b: 0 charged, 0 credited, 1560 estimated")
	if n := len(g.ledger.View().Feeds[0].Series); n != 0 {
		t.Errorf("a stock has %d counters", n)
	}
	price = 5
	g.open()
	poll()
	check("with another price", yesterday, 24, whole...)
	for range 36 {
		g.pass(time.Hour)
		poll()
	}
	// The running hour of noon is priced again when it is over.
	check("a day later", noon, 24, "a: 0 charged, 0 credited, 2520 estimated", "b: 0 charged, 0 credited, 5040 estimated")
	g.open()
	check("after a restart", noon, 24, "a: 0 charged, 0 credited, 2520 estimated", "b: 0 charged, 0 credited, 5040 estimated")
	check("after a restart", yesterday, 24, whole...)
	next := []string{"a: 0 charged, 0 credited, 3600 estimated", "b: 0 charged, 0 credited, 7200 estimated"}
	check("after a restart", tomorrow, 24, next...)
	// Minutes are a sixtieth of an hour. The window begins in the middle of one that is on record.
	g.options.Width = api.Minute
	g.open()
	g.pass(10 * time.Minute)
	poll()
	check("in minutes", yesterday, 24, whole...)
	check("in minutes", tomorrow, 24, next...)
	check("in minutes", noon.AddDate(0, 0, 2), 0, "a: 0 charged, 0 credited, 102.5 estimated", "b: 0 charged, 0 credited, 205 estimated")
	// Where the API refuses to tell projects apart, nobody can say which one it is.
	if err := g.feed.Drop("project_id"); err != nil {
		t.Fatal(err)
	}
	g.pass(24 * time.Hour)
	poll()
	if d := g.dayBook(noon.AddDate(0, 0, 3)); d == nil || d.Split || !strings.HasPrefix(strings.Join(spellDay(d), ", "), ": 0 charged, 0 credited, ") || len(spellDay(d)) != 1 {
		t.Errorf("without projects: %+v", d)
	}
	check("without projects", tomorrow, 24, next...)
	g.pass(400 * 24 * time.Hour)
	poll()
	if d := g.dayBook(tomorrow); d != nil {
		t.Errorf("after 400 days there is still %v", spellDay(d))
	}
}
