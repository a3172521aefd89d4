package spend_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/budget"
	"github.com/openai-exporter/openai_exporter/internal/decimal"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
	"github.com/openai-exporter/openai_exporter/internal/pricing"
	"github.com/openai-exporter/openai_exporter/internal/spend"
)

// A page is a view that a test writes.
type page struct{ view *ledger.View }

func (p *page) View() *ledger.View { return p.view }

var (
	now      = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	midnight = now.Truncate(24 * time.Hour)
)

func daysAgo(n int) time.Time { return midnight.AddDate(0, 0, -n) }

func amount(t *testing.T, s string) decimal.Fixed {
	t.Helper()
	f, err := decimal.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func find(t *testing.T, name string) *api.Endpoint {
	t.Helper()
	e, ok := api.Find(name)
	if !ok {
		t.Fatalf("no endpoint %s", name)
	}
	return e
}

// labels are written project,item,unit; one that is empty is absent.
func labels(names, values string) (out []ledger.Label) {
	parts := strings.Split(values, "|")
	for i, name := range strings.Fields(names) {
		if parts[i] != "" {
			out = append(out, ledger.Label{Name: name, Value: parts[i]})
		}
	}
	return out
}

// billed is a day of the bill, read just now: amounts by project|item, quantities by item|unit. Negative amounts are
// credits, quantities without an amount are free.
func billed(t *testing.T, day time.Time, usd, quantities map[string]string) *ledger.DayBook {
	t.Helper()
	projects, paid := map[string]ledger.Amounts{}, map[string]decimal.Fixed{}
	for k, v := range usd {
		project, item, _ := strings.Cut(k, "|")
		by := projects[project]
		if n := amount(t, v); n.Sign() < 0 {
			by.Credited = by.Credited.Sub(n)
		} else {
			by.Charged = by.Charged.Add(n)
			paid[item] = paid[item].Add(n)
		}
		projects[project] = by
	}
	sales, units := map[ledger.Item]ledger.Sale{}, map[string][]ledger.Item{}
	for k, v := range quantities {
		item, unit, _ := strings.Cut(k, "|")
		key := ledger.Item{LineItem: item, Unit: unit}
		sales[key] = ledger.Sale{Quantity: amount(t, v)}
		units[item] = append(units[item], key)
	}
	for item, n := range paid {
		key := ledger.Item{LineItem: item}
		if len(units[item]) == 1 {
			key = units[item][0]
		}
		sales[key] = ledger.Sale{USD: n, Quantity: sales[key].Quantity}
	}
	return ledger.NewDayBook(day, now, 0, projects, sales)
}

func estimated(t *testing.T, day time.Time, hours int, usd map[string]string) *ledger.DayBook {
	t.Helper()
	projects := map[string]ledger.Amounts{}
	for project, v := range usd {
		projects[project] = ledger.Amounts{Estimated: amount(t, v)}
	}
	return ledger.NewDayBook(day, time.Time{}, hours, projects, nil)
}

// organization is one with a bill and one endpoint, read just now.
func organization(t *testing.T, days []*ledger.DayBook, usage ...*ledger.DayBook) *page {
	t.Helper()
	return &page{&ledger.View{
		Organizations: []ledger.OrganizationView{{Name: "acme"}},
		Feeds: []*ledger.FeedView{
			{Organization: "acme", Endpoint: find(t, api.Costs), ReadAt: now, Books: days},
			{Organization: "acme", Endpoint: find(t, "completions"), ReadAt: now, Books: usage},
		},
	}}
}

func report(p *page, s spend.Settings) spend.Organization {
	books := spend.New(p)
	books.Configure(s)
	return books.Report(p.view, now)[0]
}

// three spells spent, billed and unbilled.
func three(b spend.Budgeted) string {
	return b.Name + " " + b.Spend.Spent().String() + " = " + b.Spend.Billed.String() + " + " + b.Spend.Unbilled.String()
}

func TestWhatTheBillLacksIsEstimatedPerProjectAndDay(t *testing.T) {
	p := organization(t,
		[]*ledger.DayBook{
			billed(t, daysAgo(25), map[string]string{"a|x": "1000"}, nil), // last month
			billed(t, daysAgo(2), map[string]string{"a|x": "10", "b|x": "10"}, nil),
			billed(t, daysAgo(1), map[string]string{"a|x": "6", "b|x": "9", "|credit": "-3"}, nil),
			billed(t, daysAgo(0), map[string]string{"a|x": "1"}, nil),
		},
		estimated(t, daysAgo(2), 24, map[string]string{"a": "14", "b": "8"}), // settled: the bill alone counts
		estimated(t, daysAgo(1), 24, map[string]string{"a": "7", "b": "8"}),  // b was billed more than was estimated
		estimated(t, daysAgo(0), 12, map[string]string{"a": "3", "c": "4"}),  // c is not on the bill yet
	)
	o := report(p, spend.Settings{Learn: true, Budgets: []spend.Budget{
		{Name: "all", Organization: "acme", USD: 100, Period: budget.Monthly},
		{Name: "a", Organization: "acme", ProjectIDs: []string{"a"}, USD: 50, Period: budget.Monthly},
		{Name: "bc", Organization: "acme", ProjectIDs: []string{"b", "c", "unknown"}, USD: 50, Period: budget.Monthly},
		{Name: "elsewhere", Organization: "other", USD: 1},
	}})
	var got []string
	for _, b := range o.Budgets {
		got = append(got, three(b))
	}
	want := []string{"all 40 = 33 + 7", "a 20 = 17 + 3", "bc 23 = 19 + 4"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if d := cmp.Diff([]spend.Ratio{{"a", 1.4}, {"b", 0.8}}, o.Ratios); d != "" {
		t.Errorf("ratios of the newest settled day (-want +got):\n%s", d)
	}
}

func TestADayThatUsageIsMissingOfIsNotCompared(t *testing.T) {
	days := []*ledger.DayBook{
		billed(t, daysAgo(3), map[string]string{"a|x": "10", "cent|x": "0.01", "dust|x": "0.009"}, nil),
		billed(t, daysAgo(2), map[string]string{"a|x": "10"}, nil),
		billed(t, daysAgo(1), map[string]string{"a|x": "6"}, nil),
	}
	p := organization(t, days,
		estimated(t, daysAgo(3), 24, map[string]string{"a": "9", "cent": "0.02", "dust": "1"}),
		estimated(t, daysAgo(2), 23, map[string]string{"a": "5"}),
		estimated(t, daysAgo(1), 23, map[string]string{"a": "60"}),
	)
	embeddings := &ledger.FeedView{Organization: "acme", Endpoint: find(t, "embeddings")}
	p.view.Feeds = append(p.view.Feeds, embeddings) // the organization does not have it
	o := report(p, spend.Settings{})
	if d := cmp.Diff([]spend.Ratio{{"a", 0.9}, {"cent", 2}}, o.Ratios); d != "" {
		t.Errorf("ratios (-want +got):\n%s", d)
	}
	if o.Month.Unbilled != amount(t, "54") {
		t.Errorf("%s is unbilled, want what is known of yesterday and not billed, 54", o.Month.Unbilled)
	}
	// Once the organization has it, its hours count.
	embeddings.ReadAt = now
	embeddings.Books = []*ledger.DayBook{estimated(t, daysAgo(3), 20, nil)}
	if o := report(p, spend.Settings{}); len(o.Ratios) != 0 {
		t.Errorf("ratios = %v, want none", o.Ratios)
	}
}

// TestTheNewestDayWhoseBillIsNotCorrectedAnyMoreIsCompared: for three days after its end line items of a day come and go.
// Until such a day is known whole, a settled one will do.
func TestTheNewestDayWhoseBillIsNotCorrectedAnyMoreIsCompared(t *testing.T) {
	var days, usage []*ledger.DayBook
	for n, usd := range map[int]string{1: "1", 2: "2", 3: "3", 4: "4", 5: "5"} {
		days = append(days, billed(t, daysAgo(n), map[string]string{"a|x": "10"}, nil))
		usage = append(usage, estimated(t, daysAgo(n), 24, map[string]string{"a": usd}))
	}
	at := func(n int) func(*ledger.DayBook) bool {
		return func(d *ledger.DayBook) bool { return d.Start.Before(daysAgo(n)) }
	}
	for since, want := range map[int]float64{5: 0.4, 4: 0.4, 3: 0.2, 2: 0.2} {
		p := organization(t, days, slices.DeleteFunc(slices.Clone(usage), at(since))...)
		o := report(p, spend.Settings{})
		if d := cmp.Diff([]spend.Ratio{{"a", want}}, o.Ratios); d != "" || o.Ratio != want {
			t.Errorf("with usage of %d days the ratio is %g, by project (-want +got):\n%s", since, o.Ratio, d)
		}
	}
}

func TestWithoutABillThereIsNoMonth(t *testing.T) {
	p := organization(t, nil, estimated(t, daysAgo(0), 12, map[string]string{"a": "3"}))
	p.view.Feeds[0].ReadAt = time.Time{}
	o := report(p, spend.Settings{Budgets: []spend.Budget{{Name: "all", Organization: "acme", USD: 100, Period: budget.Monthly}}})
	if o.Billed || len(o.Budgets) != 1 || len(o.Ratios) != 0 || o.Days() != nil {
		t.Errorf("%+v", o)
	}
	p.view.Feeds = p.view.Feeds[1:] // costs are switched off
	if o := report(p, spend.Settings{}); o.Billed || o.Sources[pricing.SourceBuiltin].IsZero() {
		t.Errorf("%+v", o)
	}
}

func TestPricesAreLearnedFromClosedDaysAndUnambiguousItems(t *testing.T) {
	const input = "gpt-4o-2024-08-06, input"
	p := organization(t, []*ledger.DayBook{
		billed(t, daysAgo(1),
			map[string]string{"a|" + input: "1.5", "b|" + input: "0.5", "a|gpt-4o-2024-08-06, output": "4", "a|some new product": "1", "a|": "5"},
			map[string]string{input + "|tokens": "1000000", "gpt-4o-2024-08-06, output|tokens": "100000", "gpt-4o-2024-08-06, output|characters": "5", "some new product|parsecs": "3"}),
		billed(t, daysAgo(0), map[string]string{"a|" + input: "100"}, map[string]string{input + "|tokens": "1"}),
	})
	o := report(p, spend.Settings{Learn: true})
	var got []string
	for _, e := range o.Effective {
		got = append(got, e.LineItem+"|"+e.Unit+" "+e.USD.String())
	}
	want := []string{input + "|tokens 0.000002", "some new product|parsecs 0.333333333333333333"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("effective prices (-want +got):\n%s", d)
	}
	if o.Unparsed != 2 {
		t.Errorf("%d line items are not known, want the new product and the one with two units", o.Unparsed)
	}
	if at := o.Sources[pricing.SourceBill]; !at.Equal(midnight) {
		t.Errorf("learned through %s, want %s", at, midnight)
	}

	completions := find(t, "completions")
	row := make([]decimal.Fixed, len(completions.Measures))
	for i, m := range completions.Measures {
		if m.Name == "input_tokens" {
			row[i] = decimal.FromInt(1_000_000)
		}
	}
	price := func(s spend.Settings) string {
		books := spend.New(p)
		books.Configure(s)
		usd, _ := books.Pricer("acme", completions)([]string{"model"}, labels("model", "gpt-4o-2024-08-06"))(time.Now(), row)
		return usd.String()
	}
	if got := price(spend.Settings{Learn: true}); got != "2" {
		t.Errorf("a million tokens cost %s, want the 2 that the bill charged", got)
	}
	if got := price(spend.Settings{}); got != "2.5" {
		t.Errorf("a million tokens cost %s, want the 2.5 of the built-in list", got)
	}
	list, err := pricing.ParseList([]byte(`[{"id":"openai","models":[{"id":"gpt-4o","match":{"starts_with":"gpt-4o"},"prices":{"input_mtok":7}}]}]`))
	if err != nil {
		t.Fatal(err)
	}
	if got := price(spend.Settings{File: list}); got != "7" {
		t.Errorf("a million tokens cost %s, want the 7 of the file", got)
	}
}

// TestADayThatWasPartlyFreeDoesNotLowerThePriceOfTheNext: beyond a free quota every token costs what it always does.
func TestADayThatWasPartlyFreeDoesNotLowerThePriceOfTheNext(t *testing.T) {
	const output = "gpt-5.6-luna, output"
	day := func(n int, usd, charged, free string) *ledger.DayBook {
		return ledger.NewDayBook(daysAgo(n), now, 0, map[string]ledger.Amounts{"a": {Charged: amount(t, usd)}},
			map[ledger.Item]ledger.Sale{{LineItem: output, Unit: "tokens"}: {USD: amount(t, usd), Quantity: amount(t, charged), Free: amount(t, free)}})
	}
	completions := find(t, "completions")
	row := make([]decimal.Fixed, len(completions.Measures))
	row[slices.IndexFunc(completions.Measures, func(m api.Measure) bool { return m.Name == "output_tokens" })] = decimal.FromInt(1_000_000_000)
	for _, c := range []struct {
		name string
		days []*ledger.DayBook
		want string // for a billion tokens
	}{
		{"a quota was used up yesterday", []*ledger.DayBook{day(1, "1.2", "1000000", "2500000")}, "1200"},
		{"a quota is used up each day", []*ledger.DayBook{day(3, "1.2", "1000000", "2500000"), day(2, "2.4", "2000000", "2500000"), day(1, "1.2", "1000000", "2500000")}, "1200"},
		{"yesterday nothing was charged", []*ledger.DayBook{day(2, "1.2", "1000000", "0"), day(1, "0", "0", "17")}, "1200"},
		{"a quarter is free each day", []*ledger.DayBook{day(3, "3.6", "3000000", "1000000"), day(2, "7.2", "6000000", "2000000"), day(1, "3.6", "3000000", "1000000")}, "900"},
	} {
		p := organization(t, c.days)
		books := spend.New(p)
		books.Configure(spend.Settings{Learn: true})
		usd, unpriced := books.Pricer("acme", completions)([]string{"model", "batch", "service_tier"}, labels("model", "gpt-5.6-luna"))(now, row)
		if usd.String() != c.want || !unpriced.IsZero() {
			t.Errorf("%s: a billion tokens cost %s, %s of them without a price; want %s", c.name, usd, unpriced, c.want)
		}
		if e := report(p, spend.Settings{}).Effective; len(e) != 1 || e[0].USD.String() != "0.0000012" {
			t.Errorf("%s: effective prices %v, want what was charged", c.name, e)
		}
	}
}

// TestARowIsPricedByItsTimeAndItsRegion: whenever it is booked, and wherever else the organization is.
func TestARowIsPricedByItsTimeAndItsRegion(t *testing.T) {
	list, err := pricing.ParseList([]byte(`[{"id":"openai","models":[{"id":"m","match":{"equals":"m"},"prices":[
		{"prices":{"input_mtok":2,"regional_factor":1.5}},
		{"constraint":{"start_date":"2026-11-19"},"prices":{"input_mtok":4,"regional_factor":1.5}}]}]}]`))
	if err != nil {
		t.Fatal(err)
	}
	books := spend.New(organization(t, nil))
	books.Configure(spend.Settings{File: list, Regional: func(organization, project string) bool { return organization == "acme" && project == "eu" }})
	embeddings := find(t, "embeddings")
	million := []decimal.Fixed{{}, decimal.FromInt(1_000_000)}
	for _, c := range []struct {
		organization, project string
		at                    time.Time
		want                  string
	}{
		{"acme", "us", daysAgo(2), "2"},
		{"acme", "us", daysAgo(1), "4"},
		{"acme", "us", now, "4"},
		{"acme", "eu", daysAgo(2), "3"},
		{"acme", "eu", now, "6"},
		{"other", "eu", now, "4"},
		{"acme", "", now, "4"},
	} {
		usd, unpriced := books.Pricer(c.organization, embeddings)([]string{"project_id", "model"}, labels("model project_id", "m|"+c.project))(c.at, million)
		if usd.String() != c.want || !unpriced.IsZero() {
			t.Errorf("a million tokens of %s in %s at %s cost %s, want %s", c.project, c.organization, c.at.Format(time.DateTime), usd, c.want)
		}
	}
}

func TestNewBillsTeachNewPrices(t *testing.T) {
	const input = "gpt-4o-2024-08-06, input"
	day := func(usd string) []*ledger.DayBook {
		return []*ledger.DayBook{billed(t, daysAgo(1), map[string]string{"a|" + input: usd}, map[string]string{input + "|tokens": "1000000"})}
	}
	p := organization(t, day("1"))
	books := spend.New(p)
	books.Configure(spend.Settings{Learn: true})
	embeddings := find(t, "embeddings")
	price := books.Pricer("acme", embeddings)
	million := []decimal.Fixed{{}, decimal.FromInt(1_000_000)}
	for _, want := range []string{"1", "3"} {
		p.view = organization(t, day(want)).view
		if usd, unpriced := price([]string{"model"}, labels("model", "gpt-4o-2024-08-06"))(time.Now(), million); usd.String() != want || !unpriced.IsZero() {
			t.Errorf("a million tokens cost %s, %s of them without a price; want %s", usd, unpriced, want)
		}
	}
	if usd, unpriced := price([]string{"project_id"}, nil)(time.Now(), million); !usd.IsZero() || unpriced != decimal.FromInt(1_000_000) {
		t.Errorf("usage without its model costs %s, %s without a price", usd, unpriced)
	}
}

// TestATierIsKnownWhereBothOfItsDimensionsAreAskedFor: without one of them a row may be of any tier, and costs what they
// cost together.
func TestATierIsKnownWhereBothOfItsDimensionsAreAskedFor(t *testing.T) {
	sale := func(usd string) ledger.Sale { return ledger.Sale{USD: amount(t, usd), Quantity: amount(t, "1000000")} }
	p := organization(t, []*ledger.DayBook{ledger.NewDayBook(daysAgo(1), now, 0, map[string]ledger.Amounts{"a": {Charged: amount(t, "9")}}, map[ledger.Item]ledger.Sale{
		{LineItem: "gpt-5.4, input", Unit: "tokens"}: sale("2"), {LineItem: "priority | gpt-5.4, input", Unit: "tokens"}: sale("7"),
	})})
	books := spend.New(p)
	books.Configure(spend.Settings{Learn: true})
	completions := find(t, "completions")
	row := make([]decimal.Fixed, len(completions.Measures))
	row[slices.IndexFunc(completions.Measures, func(m api.Measure) bool { return m.Name == "input_tokens" })] = decimal.FromInt(1_000_000)
	for _, tc := range []struct {
		groupBy []string
		want    string
	}{
		{[]string{"model", "batch", "service_tier"}, "2"},
		{[]string{"model", "batch"}, "4.5"},
		{[]string{"model", "service_tier"}, "4.5"},
		{[]string{"model"}, "4.5"},
	} {
		if usd, _ := books.Pricer("acme", completions)(tc.groupBy, labels("model", "gpt-5.4"))(now, row); usd.String() != tc.want {
			t.Errorf("grouped by %v a million tokens cost %s, want %s", tc.groupBy, usd, tc.want)
		}
	}
}

// TestTheSourceOfEachModelIsNamedOnce: not of usage without a model, nor of what is folded.
func TestTheSourceOfEachModelIsNamedOnce(t *testing.T) {
	p := organization(t, []*ledger.DayBook{billed(t, daysAgo(0), nil, nil)})
	for _, model := range []string{"gpt-5.4", "", ledger.Other, "gpt-5.4", "gpt-4o", ledger.Other} {
		p.view.Feeds[1].Series = append(p.view.Feeds[1].Series, &ledger.Series{Labels: labels("model", model)})
	}
	var got []string
	for _, price := range report(p, spend.Settings{}).Prices {
		got = append(got, price.Endpoint+" "+price.Model+" "+price.Source)
	}
	if want := []string{"completions gpt-5.4 builtin", "completions gpt-4o builtin"}; !slices.Equal(got, want) {
		t.Errorf("prices come from %v, want %v", got, want)
	}
}
