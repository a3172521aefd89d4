package spend_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/budget"
	"github.com/openai-exporter/openai_exporter/internal/decimal"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
	"github.com/openai-exporter/openai_exporter/internal/spend"
)

// spell spells spent, billed and unbilled.
func spell(s budget.Spend) string {
	return s.Spent().String() + " = " + s.Billed.String() + " + " + s.Unbilled.String()
}

func TestAnEndpointThatLacksAnHourTakesAwayNothing(t *testing.T) {
	p := organization(t,
		[]*ledger.DayBook{billed(t, daysAgo(1), map[string]string{"a|x": "10"}, nil), billed(t, daysAgo(0), nil, nil)},
		estimated(t, daysAgo(1), 24, map[string]string{"a": "100"}),
	)
	containers := &ledger.FeedView{Organization: "acme", Endpoint: find(t, "code_interpreter_sessions"), ReadAt: now, Books: []*ledger.DayBook{
		estimated(t, daysAgo(1), 23, map[string]string{"a": "5", "b": "1"}),
	}}
	p.view.Feeds = append(p.view.Feeds, containers)
	if got, want := spell(report(p, spend.Settings{}).Month), "106 = 10 + 96"; got != want {
		t.Errorf("spent %s, want %s", got, want)
	}
	containers.Books = nil // It fails for days.
	if got, want := spell(report(p, spend.Settings{}).Month), "100 = 10 + 90"; got != want {
		t.Errorf("spent %s, want %s", got, want)
	}
}

func TestADayThatTheBillLeavesOutIsNotTakenForSettled(t *testing.T) {
	missing := ledger.NewDayBook(daysAgo(4), daysAgo(3).Add(time.Hour), 0, map[string]ledger.Amounts{"a": {Charged: amount(t, "3")}}, nil)
	p := organization(t,
		[]*ledger.DayBook{missing, billed(t, daysAgo(3), map[string]string{"a|x": "7"}, nil)},
		estimated(t, daysAgo(5), 24, map[string]string{"a": "20"}), // The bill never had it.
		estimated(t, daysAgo(4), 24, map[string]string{"a": "9"}),
		estimated(t, daysAgo(3), 24, map[string]string{"a": "9"}),
	)
	if got, want := spell(report(p, spend.Settings{}).Month), "36 = 10 + 26"; got != want {
		t.Errorf("spent %s, want %s", got, want)
	}
}

// TestABillThatWasReadByADateAheadIsNotTakenForSettled: for hours the API's Date was 36 hours ahead, and then nothing is read.
func TestABillThatWasReadByADateAheadIsNotTakenForSettled(t *testing.T) {
	ahead := now.Add(36 * time.Hour)
	yesterday := ledger.NewDayBook(daysAgo(1), ahead, 0, map[string]ledger.Amounts{"a": {Charged: amount(t, "3")}}, nil)
	p := organization(t, []*ledger.DayBook{yesterday}, estimated(t, daysAgo(1), 24, map[string]string{"a": "20"}))
	for _, f := range p.view.Feeds {
		f.ReadAt = ahead
	}
	if got, want := spell(report(p, spend.Settings{}).Month), "20 = 3 + 17"; got != want {
		t.Errorf("spent %s, want %s", got, want)
	}
}

func TestCreditsAreNoPartOfARatioOrAShare(t *testing.T) {
	p := organization(t,
		[]*ledger.DayBook{
			billed(t, daysAgo(2), map[string]string{"a|x": "10", "a|credit": "-8", "|y": "10"}, nil),
			billed(t, daysAgo(0), map[string]string{"a|x": "6", "a|credit": "-50", "b|x": "2", "|credit": "-5"}, nil),
		},
		estimated(t, daysAgo(2), 24, map[string]string{"a": "10", "": "30"}),
		estimated(t, daysAgo(0), 12, map[string]string{"a": "10"}),
	)
	o := report(p, spend.Settings{})
	// A project in every series: what has none is in the organization's alone.
	if d := cmp.Diff([]spend.Ratio{{"a", 1}}, o.Ratios); d != "" || !o.Compared || o.Ratio != 2 {
		t.Errorf("of the organization %g, %t; projects (-want +got):\n%s", o.Ratio, o.Compared, d)
	}
	if want := []spend.Charged{{"a", amount(t, "6")}, {"b", amount(t, "2")}}; !slices.Equal(o.Today, want) {
		t.Errorf("today %v, want %v", o.Today, want)
	}
	if got, want := spell(o.Month), "-31 = -35 + 4"; got != want {
		t.Errorf("spent %s, want %s", got, want)
	}
}

// TestWhatNobodyCanTellIsAbsent: where projects are not known, a budget of projects is not 0, and the whole is known.
func TestWhatNobodyCanTellIsAbsent(t *testing.T) {
	dir := t.TempDir()
	l, err := ledger.Open(ledger.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	refusing := refusedBill(t, l)
	p := organization(t, refusing, estimated(t, daysAgo(0), 12, map[string]string{"a": "30", "b": "1"}))
	settings := spend.Settings{Budgets: []spend.Budget{{Name: "a", Organization: "acme", ProjectIDs: []string{"a"}, USD: 1, Period: budget.Monthly}, {Name: "all", Organization: "acme", USD: 1, Period: budget.Monthly}}}
	o := report(p, settings)
	if o.Budgets[0].Known || !o.Budgets[1].Known {
		t.Errorf("known are %t and %t, want the whole alone", o.Budgets[0].Known, o.Budgets[1].Known)
	}
	if got, want := spell(o.Month), "31 = 20 + 11"; got != want {
		t.Errorf("spent %s, want %s", got, want)
	}
	if len(o.Ratios) != 0 || o.TodaySplit {
		t.Errorf("ratios %v, today split %t: nobody knows projects", o.Ratios, o.TodaySplit)
	}
	// Another month's refusal does not concern this one.
	p = organization(t, []*ledger.DayBook{billed(t, daysAgo(0), map[string]string{"a|x": "2"}, nil)}, estimated(t, daysAgo(0), 12, map[string]string{"a": "30"}))
	p.view.Feeds[0].Books = append([]*ledger.DayBook{}, p.view.Feeds[0].Books...)
	if o := report(p, settings); !o.Budgets[0].Known || spell(o.Budgets[0].Spend) != "30 = 2 + 28" {
		t.Errorf("known %t, spent %s", o.Budgets[0].Known, spell(o.Budgets[0].Spend))
	}
}

// TestABudgetWhoseBeginningIsNotOnTheBillIsAbsent: what the bill has of a quarter is not what the quarter has cost, where the API
// no longer tells its first days.
func TestABudgetWhoseBeginningIsNotOnTheBillIsAbsent(t *testing.T) {
	settings := spend.Settings{Budgets: []spend.Budget{
		{Name: "month", Organization: "acme", USD: 1, Period: budget.Monthly},
		{Name: "quarter", Organization: "acme", USD: 1, Period: budget.Quarterly},
		{Name: "a", Organization: "acme", ProjectIDs: []string{"a"}, USD: 1, Period: budget.Quarterly},
		{Name: "year", Organization: "acme", USD: 1, Period: budget.Yearly},
	}}
	october := time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC)
	for _, tc := range []struct {
		from time.Time
		want []bool
	}{
		{daysAgo(19), []bool{true, false, false, false}}, // The first of November.
		{october.AddDate(0, 0, 1), []bool{true, false, false, false}},
		{october, []bool{true, true, true, false}},
		{time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), []bool{true, true, true, true}},
	} {
		var bill []*ledger.DayBook
		for day := tc.from; day.Before(now); day = day.AddDate(0, 0, 1) {
			bill = append(bill, billed(t, day, map[string]string{"a|x": "2"}, nil))
		}
		// The usage of days before the bill's is known, and no bill.
		p := organization(t, bill, estimated(t, tc.from.AddDate(0, 0, -40), 24, map[string]string{"a": "30"}))
		var known []bool
		for _, b := range report(p, settings).Budgets {
			if known = append(known, b.Known); !b.Known && b.Spend != (budget.Spend{}) {
				t.Errorf("the bill from %s on: of the %s %s is spent", tc.from.Format(time.DateOnly), b.Name, spell(b.Spend))
			}
		}
		if !slices.Equal(known, tc.want) {
			t.Errorf("the bill from %s on: month, quarter, a project's quarter and year are known: %v, want %v", tc.from.Format(time.DateOnly), known, tc.want)
		}
	}
}

// refusedBill are the books of a bill that the API refuses to tell by project.
func refusedBill(t *testing.T, l *ledger.Ledger) []*ledger.DayBook {
	t.Helper()
	costs := find(t, api.Costs)
	feeds, err := l.Configure(ledger.Settings{IdleRetention: 840 * time.Hour, MaxLabelSets: 10}, []ledger.FeedOptions{
		{Organization: "acme", Endpoint: costs, GroupBy: []string{"line_item"}, Width: api.CostDay, Lookback: 96 * time.Hour},
	})
	if err != nil {
		t.Fatal(err)
	}
	r := ledger.NewRead(costs, feeds[0].GroupBy(), feeds[0].PollWindow(now))
	r.AsOf = now
	for day := r.Window.From; day.Before(now); day = day.AddDate(0, 0, 1) {
		r.Bucket(day)
	}
	r.Row([]string{"x", "tokens"}, []decimal.Fixed{amount(t, "20"), amount(t, "5")})
	if err := feeds[0].Book(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	return l.View().Feeds[0].Books
}
