package ledger_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	bolt "go.etcd.io/bbolt"

	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/decimal"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
)

// dayBook is what the books say of a UTC day, nil for one that they do not have.
func (g *rig) dayBook(day time.Time) *ledger.DayBook {
	for _, d := range g.ledger.View().Feeds[0].Books {
		if d.Start.Equal(day.Truncate(24 * time.Hour)) {
			return d
		}
	}
	return nil
}

// daysHeld counts the days of which buckets are on disk. It closes the ledger and opens it again.
func (g *rig) daysHeld() int {
	g.t.Helper()
	days := map[uint64]bool{}
	g.inspect(func(feed *bolt.Bucket) {
		_ = feed.Bucket([]byte("buckets")).ForEach(func(k, _ []byte) error {
			days[binary.BigEndian.Uint64(k)/86400] = true
			return nil
		})
	})
	return len(days)
}

// inspect looks at the feed on disk. It closes the ledger and opens it again.
func (g *rig) inspect(look func(feed *bolt.Bucket)) {
	g.t.Helper()
	if err := g.ledger.Close(); err != nil {
		g.t.Fatal(err)
	}
	db, err := bolt.Open(filepath.Join(g.dir, ledger.FileName), 0o600, nil)
	if err != nil {
		g.t.Fatal(err)
	}
	err = db.View(func(tx *bolt.Tx) error {
		look(tx.Bucket([]byte("feeds")).Bucket([]byte(g.options.Organization + "\x00" + g.options.Endpoint.Name)))
		return nil
	})
	if err := errors.Join(err, db.Close()); err != nil {
		g.t.Fatal(err)
	}
	g.ledger = nil
	g.open()
}

// A sale is a row of the bill.
type sale struct{ project, item, unit, usd, quantity string }

// bookSales books days of the bill.
func (g *rig) bookSales(days map[time.Time][]sale) {
	g.t.Helper()
	w := g.feed.PollWindow(g.now)
	r := ledger.NewRead(g.options.Endpoint, g.feed.GroupBy(), w)
	r.AsOf = g.now
	for day := w.From; day.Before(g.now); day = day.AddDate(0, 0, 1) {
		r.Bucket(day)
		for _, s := range days[day] {
			row := make([]string, len(r.Columns()))
			for i, c := range r.Columns() {
				row[i] = map[string]string{"project_id": s.project, "line_item": s.item, "quantity_unit": s.unit}[c]
			}
			r.Row(row, []decimal.Fixed{amount(g.t, s.usd), amount(g.t, s.quantity)})
		}
	}
	if err := g.feed.Book(context.Background(), r); err != nil {
		g.t.Fatal(err)
	}
}

// spellDay spells what the books say of a day.
func spellDay(d *ledger.DayBook) []string {
	if d == nil {
		return nil
	}
	projects, sales := map[string]ledger.Amounts{}, map[ledger.Item]ledger.Sale{}
	d.Projects(func(project string, by ledger.Amounts) {
		sum := projects[project]
		sum.Charged, sum.Credited, sum.Estimated = sum.Charged.Add(by.Charged), sum.Credited.Add(by.Credited), sum.Estimated.Add(by.Estimated)
		projects[project] = sum
	})
	d.Sales(func(item ledger.Item, s ledger.Sale) { sales[item] = s })
	var out []string
	for project, by := range projects {
		out = append(out, fmt.Sprintf("%s: %s charged, %s credited, %s estimated", project, by.Charged, by.Credited, by.Estimated))
	}
	for item, s := range sales {
		out = append(out, fmt.Sprintf("%s in %s: %s for %s, %s free", item.LineItem, item.Unit, s.USD, s.Quantity, s.Free))
	}
	slices.Sort(out)
	return out
}

func (g *rig) expectDay(day time.Time, want ...string) {
	g.t.Helper()
	if diff := cmp.Diff(want, spellDay(g.dayBook(day))); diff != "" {
		g.t.Errorf("the books of %s (-want +got):\n%s", day.Format(time.DateOnly), diff)
	}
}

func TestTheBooksOfTheBillKeepChargesCreditsAndGiftsApart(t *testing.T) {
	g := costsRig(t)
	// Nothing of it is shown, and all but one label set is folded.
	g.options.GroupBy, g.options.ReadBy = nil, []string{"project_id", "line_item"}
	g.settings.MaxLabelSets = 1
	g.open()
	today := g.now.Truncate(24 * time.Hour)
	days := map[time.Time][]sale{today: {
		{"a", "in", "tokens", "10", "5"},
		{"a", "in", "tokens", "2", "1"}, // Rows are not unique.
		{"b", "in", "tokens", "3", "1"},
		{"b", "in", "tokens", "0", "7"},  // given away
		{"a", "in", "tokens", "-4", "2"}, // given back
		{"", "credit", "", "-50", "0"},
	}}
	want := []string{
		": 0 charged, 50 credited, 0 estimated",
		"a: 12 charged, 4 credited, 0 estimated",
		"b: 3 charged, 0 credited, 0 estimated",
		"in in tokens: 15 for 7, 7 free",
	}
	for range 3 {
		g.bookSales(days)
		g.expectDay(today, want...)
		g.open()
		g.expectDay(today, want...)
	}
	// A restated day replaces what was there.
	days[today] = []sale{{"a", "in", "tokens", "9", "4"}}
	g.bookSales(days)
	g.expectDay(today, "a: 9 charged, 0 credited, 0 estimated", "in in tokens: 9 for 4, 0 free")
	if usd, _ := g.costs(); len(usd) != 1 {
		t.Errorf("%d label sets are shown, want the one without labels: %v", len(usd), usd)
	}
}

func TestTheBooksRememberWhenADayOfTheBillWasRead(t *testing.T) {
	g := costsRig(t).open()
	day := g.now.Truncate(24 * time.Hour)
	read := func() time.Time { return g.dayBook(day).ReadAt }
	for range 5 {
		g.bookSales(map[time.Time][]sale{day: {{"a", "in", "", "1", "1"}}})
		if !read().Equal(g.now.Truncate(time.Second)) {
			t.Fatalf("read at %s, want %s", read(), g.now)
		}
		g.pass(15 * time.Hour)
	}
	// Long settled, it is not written again with every poll.
	g.pass(96 * time.Hour)
	g.bookSales(map[time.Time][]sale{day: {{"a", "in", "", "1", "1"}}})
	at := read()
	g.pass(15 * time.Hour)
	g.bookSales(map[time.Time][]sale{day: {{"a", "in", "", "1", "1"}}})
	if !read().Equal(at) {
		t.Errorf("read at %s, though it was final at %s", read(), at)
	}
	g.bookSales(map[time.Time][]sale{day: {{"a", "in", "", "2", "1"}}})
	g.expectDay(day, "a: 2 charged, 0 credited, 0 estimated", "in in : 2 for 1, 0 free")
}

func TestTheBooksDoNotTakeForZeroWhatTheAPIRefuses(t *testing.T) {
	g := costsRig(t).open()
	day := g.now.Truncate(24 * time.Hour)
	if err := g.feed.Drop("project_id"); err != nil {
		t.Fatal(err)
	}
	g.bookSales(map[time.Time][]sale{day: {{"a", "in", "", "1", "1"}}})
	g.expectDay(day, ": 1 charged, 0 credited, 0 estimated", "in in : 1 for 1, 0 free")
	if d := g.dayBook(day); d.Split || !d.Itemized {
		t.Errorf("split %t, itemized %t: want the line items alone", d.Split, d.Itemized)
	}
}

// tierPrices has dollars per request by batch.
func tierPrices(_ time.Time, groupBy []string, ls []ledger.Label, values []decimal.Fixed) (usd, unpriced decimal.Fixed) {
	if !slices.Contains(groupBy, "batch") {
		return decimal.Fixed{}, values[0]
	}
	if slices.Contains(ls, ledger.Label{Name: "batch", Value: "true"}) {
		return values[0], decimal.Fixed{}
	}
	return values[0].Add(values[0]), decimal.Fixed{}
}

// tierRig is a ledger of completions that are read by project, model and batch, of which the model is shown.
func tierRig(t *testing.T) *rig {
	g := newRig(t)
	g.options.Endpoint, _ = api.Find("completions")
	g.options.GroupBy, g.options.ReadBy = []string{"model"}, []string{"project_id", "model", "batch"}
	g.options.Price = perRow(tierPrices)
	return g
}

func TestRowsArePricedAsTheyAreReadAndShownAddedUp(t *testing.T) {
	g := tierRig(t).open()
	if diff := cmp.Diff([]string{"project_id", "model", "batch"}, g.feed.GroupBy()); diff != "" {
		t.Errorf("asked for (-want +got):\n%s", diff)
	}
	tiers := map[labels]int64{}
	book := func() {
		t.Helper()
		w := g.feed.PollWindow(g.now)
		r := ledger.NewRead(g.options.Endpoint, g.feed.GroupBy(), w)
		r.AsOf = g.now
		for at := w.From; at.Before(g.now); at = at.Add(time.Minute) {
			r.Bucket(at)
			if !at.Equal(g.now.Truncate(time.Minute)) {
				continue
			}
			for l, n := range tiers { // project and batch, of one model
				values := make([]decimal.Fixed, len(g.options.Endpoint.Measures))
				for m := range values {
					values[m] = decimal.FromInt(n)
				}
				r.Row([]string{l.project, "m", l.model}, values)
			}
		}
		if err := g.feed.Book(context.Background(), r); err != nil {
			t.Fatal(err)
		}
	}
	book() // the baseline
	g.pass(time.Minute)
	tiers = map[labels]int64{{"a", "false"}: 5, {"a", "true"}: 3, {"b", "true"}: 4}
	book()
	shown := labels{model: "m"}
	g.expectCost(counts{shown: 17})
	g.expectDay(g.now, "a: 0 charged, 0 credited, 13 estimated", "b: 0 charged, 0 credited, 4 estimated")
	v := g.ledger.View().Feeds[0]
	if len(v.Series) != 1 || v.Series[0].Values[0] != decimal.FromInt(12) {
		t.Errorf("shown are %v, want the model with 12 requests", v.Series)
	}
	// The same requests of another tier and project: what is shown stays, what it costs does not.
	tiers = map[labels]int64{{"a", "false"}: 7, {"b", "true"}: 5}
	book()
	g.expectCost(counts{shown: 19})
	g.expectDay(g.now, "a: 0 charged, 0 credited, 14 estimated", "b: 0 charged, 0 credited, 5 estimated")
}

func TestADimensionThatIsNotShownIsNoPartOfTheShape(t *testing.T) {
	g := tierRig(t).open()
	g.poll()
	g.use(0, a, 10)
	g.pass(time.Minute)
	g.poll()
	m := labels{model: "m1"}
	began := g.ledger.View().Feeds[0].BegunAt
	inFlight := g.read(g.options.Endpoint, g.feed.GroupBy(), g.feed.PollWindow(g.now))
	if err := g.feed.Drop("batch"); err != nil {
		t.Fatal(err)
	}
	if err := g.feed.Book(context.Background(), inFlight); !errors.Is(err, ledger.ErrReshaped) {
		t.Errorf("a read by what is refused since is booked: %v", err)
	}
	for range 2 {
		if diff := cmp.Diff([]string{"project_id", "model"}, g.feed.GroupBy()); diff != "" {
			t.Errorf("asked for (-want +got):\n%s", diff)
		}
		g.open()
	}
	g.poll()
	g.use(0, a, 1)
	g.pass(time.Minute)
	g.poll()
	if got := g.shown()[m]; got != 11 {
		t.Errorf("%d requests, want 11: nothing begins afresh", got)
	}
	if again := g.ledger.View().Feeds[0].BegunAt; !again.Equal(began) {
		t.Errorf("started at %s, again at %s", began, again)
	}
	// What depended on it has no price.
	if got := g.derived(api.DerivedUnpriced)[m]; got != 1 {
		t.Errorf("%d unpriced, want the one since", got)
	}
	// A state that was read coarse goes on when it is read fine.
	g.options.ReadBy = []string{"project_id", "model", "batch", "service_tier"}
	g.open().poll()
	if got := g.shown()[m]; got != 11 {
		t.Errorf("%d requests, want 11: what is read besides is no shape", got)
	}
}

func TestTheBooksOfUsageOutliveGroupingsFoldsAndOutages(t *testing.T) {
	g := tierRig(t)
	g.settings.MaxLabelSets = 1
	g.open().poll()
	g.use(0, a, 10)
	g.use(0, b, 1)
	g.pass(time.Minute)
	g.poll()
	day := g.now
	want := []string{"proj_a: 0 charged, 0 credited, 20 estimated", "proj_b: 0 charged, 0 credited, 2 estimated"}
	for _, groupBy := range [][]string{{"project_id", "model"}, nil, {"user_id"}, {"model"}} {
		g.expectDay(day, want...)
		g.options.GroupBy = groupBy
		g.configure()
		g.expectDay(day, want...)
		g.settle()
		g.open()
	}
	for range 5 {
		g.pass(10 * 24 * time.Hour)
		g.settle()
	}
	g.open().expectDay(day, want...)
}

func TestTheBooksSayWhichHoursAreKnownToTheirEnd(t *testing.T) {
	g := newRig(t)
	g.options.Price = perRow(tierPrices)
	g.now = g.now.Truncate(24 * time.Hour).Add(30 * time.Second)
	g.open().poll()
	g.audit()
	day := g.now
	hours := func() int { return g.dayBook(day).Hours }
	for h := range 24 {
		if got := hours(); got != h {
			t.Fatalf("%d hours at %s", got, g.now.Format(time.TimeOnly))
		}
		for range 4 {
			g.pass(15 * time.Minute)
			g.poll()
			g.audit()
		}
	}
	if got := hours(); got != 24 {
		t.Errorf("%d hours after midnight", got)
	}
	// A day on which nobody polled has none, until it is caught up with.
	g.pass(36 * time.Hour)
	g.poll()
	if d := g.dayBook(day.AddDate(0, 0, 2)); d == nil || d.Hours == 24 {
		t.Errorf("%v of the running day", d)
	}
	g.settle()
	if d := g.dayBook(day.AddDate(0, 0, 1)); d == nil || d.Hours != 24 {
		t.Errorf("a day that audits have caught up with is not whole: %v", d)
	}
}

func TestTheBooksForgetAfterFourHundredDays(t *testing.T) {
	g := costsRig(t).open()
	first := g.now.Truncate(24 * time.Hour)
	days := map[time.Time][]sale{first: {{"a", "long ago", "", "1", "1"}}}
	for range 15 {
		g.bookSales(days)
		g.pass(29 * 24 * time.Hour)
	}
	g.bookSales(days)
	books := g.ledger.View().Feeds[0].Books
	if n := len(books); n != 401 {
		t.Errorf("%d days are kept, want 400 and the running one", n)
	}
	if g.dayBook(first) != nil {
		t.Error("the first day is kept")
	}
	// Its texts go with the next start.
	g.open().bookSales(days)
	if g.stores("long ago") {
		t.Error("a text that nothing names any more is on disk")
	}
}

// stores says whether a text is among the names that the books have on disk.
func (g *rig) stores(text string) (found bool) {
	g.t.Helper()
	g.inspect(func(feed *bolt.Bucket) {
		_ = feed.Bucket([]byte("names")).ForEach(func(_, v []byte) error {
			found = found || strings.Contains(string(v), text)
			return nil
		})
	})
	return found
}
