package ledger_test

import (
	"context"
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/decimal"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
)

func amount(t *testing.T, s string) decimal.Fixed {
	t.Helper()
	f, err := decimal.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// A bill is what the API says of costs, by day and line item.
type bill map[time.Time]map[string]string

func (g *rig) bookBill(b bill) {
	g.t.Helper()
	w := g.feed.PollWindow(g.now)
	r := ledger.NewRead(g.options.Endpoint, g.feed.GroupBy(), w)
	r.AsOf = g.now
	for day := w.From; day.Before(g.now); day = day.AddDate(0, 0, 1) {
		r.Bucket(day)
		for item, value := range b[day] {
			r.Row([]string{"proj_a", item, "tokens"}, []decimal.Fixed{amount(g.t, value), decimal.FromInt(1000)})
		}
	}
	if err := g.feed.Book(context.Background(), r); err != nil {
		g.t.Fatal(err)
	}
}

func costsRig(t *testing.T) *rig {
	g := newRig(t)
	costs, _ := api.Find(api.Costs)
	g.options = ledger.FeedOptions{Organization: "acme", Endpoint: costs, GroupBy: []string{"project_id", "line_item"}, Width: api.CostDay, Lookback: 96 * time.Hour}
	return g
}

// costs returns the shown cost and quantity counters by line item.
func (g *rig) costs() (usd, quantity map[string]string) {
	usd, quantity = map[string]string{}, map[string]string{}
	for _, s := range g.ledger.View().Feeds[0].Series {
		item, unit := "", ""
		for _, l := range s.Labels {
			switch l.Name {
			case "line_item":
				item = l.Value
			case "unit":
				unit = l.Value
			}
		}
		if len(s.Measures) != 1 {
			g.t.Fatalf("%v has measures %v", s.Labels, s.Measures)
		}
		if g.options.Endpoint.Measures[s.Measures[0]].Name == api.MeasureCost {
			usd[item] = s.Values[0].String()
		} else {
			quantity[item+"|"+unit] = s.Values[0].String()
		}
	}
	return usd, quantity
}

func TestTheBillIsCountedToTheLastDecimal(t *testing.T) {
	g := costsRig(t).open()
	today := g.now.Truncate(24 * time.Hour)
	b := bill{
		today.AddDate(0, 0, -1): {"gpt-5, input": "10.5"},
		today:                   {"gpt-5, input": "1"},
	}
	g.bookBill(b)
	b[today]["gpt-5, input"] = "1.000000000000000001"
	b[today.AddDate(0, 0, -1)]["gpt-5, input"] = "10.6"
	b[today]["tts hd"] = "0E-6176"
	g.bookBill(b)
	g.bookBill(b)
	usd, quantity := g.costs()
	if usd["gpt-5, input"] != "0.100000000000000001" || usd["tts hd"] != "0" {
		t.Errorf("cost = %v", usd)
	}
	// The quantity of a line item is counted apart, by unit and not by project.
	if quantity["gpt-5, input|tokens"] != "0" || quantity["tts hd|tokens"] != "1000" {
		t.Errorf("quantity = %v", quantity)
	}
}

func TestCreditsAreWithheldFromTheCounter(t *testing.T) {
	g := costsRig(t).open()
	today := g.now.Truncate(24 * time.Hour)
	b := bill{today: {"gpt-5, input": "1"}}
	g.bookBill(b)
	b[today]["credit"] = "-7.5"
	b[today]["gpt-5, input"] = "3"
	g.bookBill(b)
	usd, _ := g.costs()
	if usd["credit"] != "0" || usd["gpt-5, input"] != "2" {
		t.Errorf("cost = %v", usd)
	}
	if w := g.measure().Withheld.String(); w != "7.5" {
		t.Errorf("withheld = %s", w)
	}
	// The days of the bill are shown as they are.
	days := g.ledger.View().Feeds[0].Days
	total := decimal.Fixed{}
	for _, r := range days[len(days)-1].Rows {
		if g.options.Endpoint.Measures[r.Measures[0]].Name == api.MeasureCost {
			total = total.Add(r.Values[0])
		}
	}
	if total.String() != "-4.5" {
		t.Errorf("today = %s", total)
	}
}

func TestTheBillIsReadFromTheMonthsFirstOrTheLookback(t *testing.T) {
	g := costsRig(t).open()
	for _, tc := range []struct{ now, want string }{
		{"2026-11-10T12:00:00Z", "2026-10-07"}, // at first all that prices and forecasts can use
		{"2026-11-10T12:15:00Z", "2026-11-01"},
		{"2026-11-30T23:59:00Z", "2026-11-01"},
		{"2026-12-01T00:01:00Z", "2026-11-26"}, // what was read last has not settled
		{"2026-12-03T00:01:00Z", "2026-11-27"},
		{"2026-12-04T13:00:00Z", "2026-11-29"},
		{"2026-12-06T13:00:00Z", "2026-11-30"},
		{"2026-12-20T13:00:00Z", "2026-12-01"},
		{"2027-03-20T13:00:00Z", "2026-12-16"}, // three months down
		{"2027-03-20T13:15:00Z", "2027-03-01"},
	} {
		now, err := time.Parse(time.RFC3339, tc.now)
		if err != nil {
			t.Fatal(err)
		}
		g.now = now
		if got := g.feed.PollWindow(now).From.Format(time.DateOnly); got != tc.want {
			t.Errorf("at %s the bill is read from %s, want %s", tc.now, got, tc.want)
		}
		g.bookBill(nil)
	}
}

func TestABillMissedForMonthsIsCaughtUp(t *testing.T) {
	g := costsRig(t).open()
	b := bill{}
	day := g.now.Truncate(24 * time.Hour)
	g.bookBill(b)
	for range 100 {
		g.pass(24 * time.Hour)
		day = day.AddDate(0, 0, 1)
		b[day] = map[string]string{"gpt-5, input": "0.1"}
	}
	g.open().bookBill(b)
	g.bookBill(b)
	usd, _ := g.costs()
	if usd["gpt-5, input"] != "10" {
		t.Errorf("cost = %v", usd)
	}
}

func TestALongerLookbackCountsNoFoldedDayAgain(t *testing.T) {
	g := costsRig(t).open()
	b := bill{}
	g.bookBill(b)
	for range 50 { // over a month's end
		g.pass(24 * time.Hour)
		b[g.now.Truncate(24*time.Hour)] = map[string]string{"gpt-5, input": "1"}
		g.bookBill(b)
	}
	if n := len(g.ledger.View().Feeds[0].Days); n > 35 {
		t.Errorf("%d days are held", n)
	}
	g.options.Lookback = 80 * 24 * time.Hour
	g.configure()
	g.bookBill(b)
	g.bookBill(b)
	if usd, _ := g.costs(); usd["gpt-5, input"] != "50" {
		t.Errorf("cost = %v", usd)
	}
}

func TestAStockIsTheNewestBucketThatHasIt(t *testing.T) {
	g := newRig(t)
	stores, _ := api.Find("vector_stores")
	g.options = ledger.FeedOptions{Organization: "acme", Endpoint: stores, GroupBy: []string{"project_id"}, Width: api.Hour, Lookback: 24 * time.Hour}
	g.settings.MaxLabelSets = 2
	g.open()
	hour := g.now.Truncate(time.Hour)
	levels := map[time.Time]map[string]int64{
		hour:                      {"proj_a": 50},
		hour.Add(-time.Hour):      {"proj_a": 40, "proj_b": 30},
		hour.Add(-10 * time.Hour): {"proj_b": 99, "proj_c": 7, "proj_d": 5},
		hour.Add(-30 * time.Hour): {"proj_e": 1000}, // The first read goes back further than a level stands.
	}
	book := func() map[string]int64 {
		t.Helper()
		w := g.feed.PollWindow(g.now)
		r := ledger.NewRead(stores, g.feed.GroupBy(), w)
		r.AsOf = g.now
		for at := w.From; at.Before(g.now); at = at.Add(time.Hour) {
			r.Bucket(at)
			for p, n := range levels[at] {
				r.Row([]string{p}, []decimal.Fixed{decimal.FromInt(n)})
			}
		}
		if err := g.feed.Book(context.Background(), r); err != nil {
			t.Fatal(err)
		}
		got := map[string]int64{}
		for _, row := range g.ledger.View().Feeds[0].Stock {
			got[row.Labels[0].Value] = number(t, row.Values[0])
		}
		return got
	}
	got := book()
	if len(got) != 3 || got["proj_a"] != 50 || got["proj_b"] != 30 || got["other"] != 12 {
		t.Errorf("stock = %v", got)
	}
	if o := g.ledger.View().Organizations[0]; o.LabelSets != 2 || o.Overflow != 2 {
		t.Errorf("organization = %+v", o)
	}
	g.pass(15 * time.Hour) // proj_c and proj_d were last seen 25 hours ago
	if got = book(); len(got) != 2 || got["proj_b"] != 30 {
		t.Errorf("a day later stock = %v", got)
	}
	if len(g.ledger.View().Feeds[0].Series) != 0 {
		t.Error("a stock has counters")
	}
	if _, due := g.feed.AuditWindow(g.now); due {
		t.Error("a stock is audited")
	}
}

func TestANewMeasureInTheMiddleOfAnHourIsNotBackdated(t *testing.T) {
	g := newRig(t)
	g.options.Lookback = 10 * time.Minute
	older := *embeddings
	older.Measures = embeddings.Measures[:1]
	g.options.Endpoint = &older
	g.open()
	g.poll()
	g.audit()
	g.pass(time.Minute)
	g.use(0, a, 10)
	for range 20 {
		g.pass(time.Minute)
		g.poll()
	}
	g.options.Endpoint = embeddings
	g.open()
	g.poll()
	g.pass(time.Minute)
	g.use(0, a, 1)
	g.settle() // the hour changes hands: some of its minutes were recorded without the measure
	s := g.ledger.View().Feeds[0].Series[0]
	if requests, tokens := number(t, s.Values[0]), number(t, s.Values[1]); requests != 11 || tokens != 3 {
		t.Errorf("%d requests, %d tokens; want 11 and 3", requests, tokens)
	}
}

func TestANewMeasureStartsFromABaselineAndTheOthersGoOn(t *testing.T) {
	g := newRig(t)
	today := *embeddings
	older := today
	older.Measures = today.Measures[:1]
	g.options.Endpoint = &older
	g.open()
	g.poll()
	g.audit()
	g.pass(time.Minute)
	g.use(0, a, 10)
	g.use(2*time.Hour, a, 5)
	g.poll()

	values := func() (requests, tokens int64) {
		t.Helper()
		s := g.ledger.View().Feeds[0].Series
		if len(s) != 1 || len(s[0].Values) != 2 {
			t.Fatalf("series = %+v", s)
		}
		return number(t, s[0].Values[0]), number(t, s[0].Values[1])
	}
	g.options.Endpoint = &today // the new version knows one measure more
	g.open()
	g.poll()
	g.audit()
	if r, n := values(); r != 15 || n != 0 {
		t.Errorf("after the upgrade %d requests, %d tokens", r, n)
	}
	g.pass(time.Minute)
	g.use(0, a, 1)
	g.use(time.Minute, a, 1)
	g.use(3*time.Hour, a, 1)
	g.settle()
	if r, n := values(); r != 18 || n != 9 {
		t.Errorf("%d requests, %d tokens; want 18 and 9", r, n)
	}
	g.options.Endpoint = &older // and back again
	g.open()
	g.poll()
	if s := g.ledger.View().Feeds[0].Series; len(s) != 1 || number(t, s[0].Values[0]) != 18 {
		t.Errorf("after the downgrade: %+v", s)
	}
}
