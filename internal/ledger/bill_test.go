package ledger_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/decimal"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
)

const aDay = 24 * time.Hour

// readDays answers a window of the bill in which each day charges a dollar to a project of that day.
func (g *rig) readDays(w ledger.Window) *ledger.Read {
	r := ledger.NewRead(g.options.Endpoint, g.feed.GroupBy(), w)
	r.AsOf = g.now
	for day := w.From; day.Before(g.now) && (w.To.IsZero() || day.Before(w.To)); day = day.Add(aDay) {
		r.Bucket(day)
		r.Row([]string{"proj_" + day.Format("0102"), "in", "tokens"}, []decimal.Fixed{amount(g.t, "1"), amount(g.t, "7")})
	}
	return r
}

func (g *rig) mustBook(r *ledger.Read) {
	g.t.Helper()
	if err := g.feed.Book(context.Background(), r); err != nil {
		g.t.Fatal(err)
	}
}

// billed counts the days of the bill that the books have from a day on, and what they charge.
func (g *rig) billed(from time.Time) string {
	var usd decimal.Fixed
	days := 0
	for _, d := range g.ledger.View().Feeds[0].Books {
		if !d.Start.Before(from) {
			days++
			usd = usd.Add(d.Total().Charged)
		}
	}
	return fmt.Sprintf("%d days, %s USD", days, usd)
}

// TestADayOfTheBillThatHasNotChangedIsReadAgain: by when it was read last is known whether it is settled, so that it is
// never passed over for having the bytes that it had.
func TestADayOfTheBillThatHasNotChangedIsReadAgain(t *testing.T) {
	g := costsRig(t).open()
	today := g.now.Truncate(aDay)
	for range 2 {
		r := g.readDays(g.feed.PollWindow(g.now))
		if _, passed := r.Recorded(today); passed {
			t.Error("a day of the bill may be passed over")
		}
		r.Fingerprint(ledger.Fingerprint{Size: 1, Rows: 1})
		g.mustBook(r)
		for _, d := range g.ledger.View().Feeds[0].Books {
			if d.Start.Equal(today) && !d.ReadAt.Equal(g.now) {
				t.Errorf("the day was read at %s, want %s", d.ReadAt, g.now)
			}
		}
		g.pass(time.Hour)
	}
}

// TestOlderDaysOfTheBillAreReadForTheBooksOnce: in pages of 180 days, beside the polls, and no counter knows of them.
func TestOlderDaysOfTheBillAreReadForTheBooksOnce(t *testing.T) {
	g := costsRig(t)
	year := g.now.Truncate(aDay).AddDate(0, 0, -330)
	g.options.BillFrom = func(time.Time) time.Time { return year }
	g.open()
	if w, due := g.feed.AuditWindow(g.now); due {
		t.Fatalf("%s is read before the running bill", w.From)
	}
	g.mustBook(g.readDays(g.feed.PollWindow(g.now)))
	shown, _ := g.costs()
	series := len(g.ledger.View().Feeds[0].Series)
	pages := 0
	for w, due := g.feed.AuditWindow(g.now); due; w, due = g.feed.AuditWindow(g.now) {
		if days := int(w.To.Sub(w.From) / aDay); days > 180 || w.From.Before(year) {
			t.Errorf("a page of %d days from %s", days, w.From)
		}
		if pages++; pages == 1 {
			g.open() // A page that was asked for and not booked is asked for again.
			if again, due := g.feed.AuditWindow(g.now); !due || !again.From.Equal(w.From) {
				t.Errorf("after a restart %s is asked for (%t), before it %s", again.From, due, w.From)
			}
			w, _ = g.feed.AuditWindow(g.now)
		}
		r := g.readDays(w)
		g.mustBook(r)
		g.mustBook(r) // An answer that comes twice changes nothing.
	}
	if pages != 2 {
		t.Errorf("%d pages, want 2 for 297 days", pages)
	}
	want := "331 days, 331 USD"
	if got := g.billed(year); got != want {
		t.Errorf("the books have %s, want %s", got, want)
	}
	if now, _ := g.costs(); len(g.ledger.View().Feeds[0].Series) != series || fmt.Sprint(now) != fmt.Sprint(shown) {
		t.Errorf("%d series show %v, want the %d before with %v", len(g.ledger.View().Feeds[0].Series), now, series, shown)
	}
	// They outlive restarts and polls, and are not asked for again.
	for range 3 {
		g.open()
		g.pass(30 * time.Hour)
		g.mustBook(g.readDays(g.feed.PollWindow(g.now)))
		if w, due := g.feed.AuditWindow(g.now); due {
			t.Errorf("%s is asked for again", w.From)
		}
	}
	if got, want := g.billed(year), "335 days, 335 USD"; got != want {
		t.Errorf("later the books have %s, want %s", got, want)
	}
}

// TestABillThatBeganLaterIsNotTakenForOneThatReachesBack: what the API leaves out or refuses is asked for a few times, and
// nothing that is older is put behind the hole.
func TestABillThatBeganLaterIsNotTakenForOneThatReachesBack(t *testing.T) {
	for name, refuse := range map[string]func(g *rig, w ledger.Window){
		"refused": func(g *rig, w ledger.Window) {
			if _, err := g.feed.Refused(w); err != nil {
				g.t.Fatal(err)
			}
		},
		"empty": func(g *rig, w ledger.Window) {
			r := ledger.NewRead(g.options.Endpoint, g.feed.GroupBy(), w)
			r.AsOf = g.now
			_ = g.feed.Book(context.Background(), r) // It says so the first times.
		},
		"before what the API can group": func(g *rig, w ledger.Window) {
			r := ledger.NewRead(g.options.Endpoint, g.feed.GroupBy(), w)
			r.AsOf, r.Begin = g.now, w.To
			g.mustBook(r)
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := costsRig(t)
			g.options.BillFrom = func(now time.Time) time.Time { return now.AddDate(-1, 0, 0) }
			g.open()
			g.mustBook(g.readDays(g.feed.PollWindow(g.now)))
			before := g.billed(time.Time{})
			for tries := 0; ; tries++ {
				w, due := g.feed.AuditWindow(g.now)
				if !due {
					break
				}
				if tries == 10 {
					t.Fatal("it is asked for without an end")
				}
				refuse(g, w)
			}
			if got := g.billed(time.Time{}); got != before {
				t.Errorf("the books have %s, want %s", got, before)
			}
			if n := g.ledger.View().Feeds[0].HoursGivenUp; n != 0 {
				t.Errorf("%d hours of usage are said to be given up", n)
			}
			g.open()
			if _, due := g.feed.AuditWindow(g.now); !due {
				t.Error("after a restart it is not asked for again")
			}
		})
	}
}

func TestTheBillIsNotReadFurtherBackThanTheBooksGo(t *testing.T) {
	g := costsRig(t)
	g.options.BillFrom = func(now time.Time) time.Time { return now.AddDate(-5, 0, 0) }
	g.open()
	g.mustBook(g.readDays(g.feed.PollWindow(g.now)))
	for w, due := g.feed.AuditWindow(g.now); due; w, due = g.feed.AuditWindow(g.now) {
		g.mustBook(g.readDays(w))
	}
	if got, want := g.billed(time.Time{}), "401 days, 401 USD"; got != want {
		t.Errorf("the books have %s, want %s", got, want)
	}
	g.options.BillFrom = nil
	g.open()
	if _, due := g.feed.AuditWindow(g.now); due {
		t.Error("nobody wants older days, and they are asked for")
	}
}

// TestADimensionOfTheBillThatIsRefusedLaterTakesNothingBack: a start such as "today" means another day by then.
func TestADimensionOfTheBillThatIsRefusedLaterTakesNothingBack(t *testing.T) {
	g := costsRig(t)
	g.options.CountersStart = func(now time.Time) (time.Time, bool) { return now.Truncate(aDay), true }
	g.open()
	days := map[time.Time][]sale{}
	poll := func(usd string) {
		days[g.now.Truncate(aDay)] = []sale{{"a", "in", "tokens", usd, "100"}}
		g.bookSales(days)
	}
	poll("10")
	for range 3 {
		g.pass(aDay)
		poll("10")
	}
	if err := g.feed.Drop("project_id"); err != nil {
		t.Fatal(err)
	}
	poll("12") // The day has grown by 2 meanwhile, which is in the baseline of the new shape.
	g.pass(aDay)
	poll("10")
	v := g.ledger.View().Feeds[0]
	for i, m := range v.ByMeasure {
		if !m.Withheld.IsZero() || !m.RestatedDown.IsZero() {
			t.Errorf("measure %d: %s are withheld, %s restated downwards, though nothing fell", i, m.Withheld, m.RestatedDown)
		}
	}
	// The label set of the quantity is the same with and without projects, that of the cost is another.
	usd, quantity := g.costs()
	if want := map[string]string{"in": "10"}; fmt.Sprint(usd) != fmt.Sprint(want) || quantity["in|tokens"] != "500" {
		t.Errorf("%v and quantities %v, want a day of 10, and 500 of in", usd, quantity)
	}
}

// TestADayOfTheBillSaysByWhatItIsKnown: an API that refuses a grouping leaves the books with the other one.
func TestADayOfTheBillSaysByWhatItIsKnown(t *testing.T) {
	for _, tc := range []struct {
		groupBy         []string
		split, itemized bool
		want            []string
	}{
		{[]string{"project_id", "line_item"}, true, true, []string{"a: 2 charged, 0 credited, 0 estimated", "b: 3 charged, 0 credited, 0 estimated", "in in tokens: 5 for 7, 0 free"}},
		{[]string{"line_item"}, false, true, []string{": 5 charged, 0 credited, 0 estimated", "in in tokens: 5 for 7, 0 free"}},
		{[]string{"project_id"}, true, false, []string{"a: 2 charged, 0 credited, 0 estimated", "b: 3 charged, 0 credited, 0 estimated"}},
		{nil, false, false, []string{": 5 charged, 0 credited, 0 estimated"}},
	} {
		g := costsRig(t)
		g.options.GroupBy = tc.groupBy
		g.open()
		today := g.now.Truncate(aDay)
		g.bookSales(map[time.Time][]sale{today: {{"a", "in", "tokens", "2", "3"}, {"b", "in", "tokens", "3", "4"}}})
		for range 2 {
			g.expectDay(today, tc.want...)
			if d := g.dayBook(today); d.Split != tc.split || d.Itemized != tc.itemized {
				t.Errorf("grouped by %v: known by project %t, by line item %t", tc.groupBy, d.Split, d.Itemized)
			}
			g.open()
		}
	}
}
