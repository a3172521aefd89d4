package spend_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/go-kit/log"

	"github.com/openai-exporter/openai_exporter/internal/decimal"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
	"github.com/openai-exporter/openai_exporter/internal/spend"
)

// TestWhatNobodyKnowsIsNamedOnceInTheLog: a tier by its name, line items by theirs, and a model that has no price.
func TestWhatNobodyKnowsIsNamedOnceInTheLog(t *testing.T) {
	item := ledger.Item{LineItem: "warp | gpt-4o, input", Unit: "tokens"}
	known := ledger.Item{LineItem: "gpt-4o, input", Unit: "tokens"}
	sale := ledger.Sale{USD: amount(t, "7"), Quantity: amount(t, "1000")}
	p := organization(t, []*ledger.DayBook{ledger.NewDayBook(daysAgo(3), now, 0, map[string]ledger.Amounts{"": {Charged: amount(t, "14")}},
		map[ledger.Item]ledger.Sale{item: sale, known: sale})})
	var out bytes.Buffer
	books := spend.New(p)
	books.Configure(spend.Settings{Logger: log.NewLogfmtLogger(&out)})
	e := find(t, "completions")
	for range 3 {
		for _, tier := range []string{"default", "warp", "hyper", "fast", ""} {
			books.Pricer("acme", e)([]string{"service_tier"}, []ledger.Label{{Name: "service_tier", Value: tier}})(now, make([]decimal.Fixed, len(e.Measures)))
		}
	}
	row := make([]decimal.Fixed, len(e.Measures))
	for i, m := range e.Measures {
		if m.Name == "input_tokens" {
			row[i] = decimal.FromInt(7)
		}
	}
	for range 3 {
		for _, l := range [][]ledger.Label{
			{{Name: "model", Value: "gpt-99"}}, {{Name: "model", Value: "gpt-99"}, {Name: "service_tier", Value: "flex"}}, // No list and no bill has it.
			{{Name: "model", Value: "gpt-4o"}}, {{Name: "model", Value: "gpt-4o"}, {Name: "service_tier", Value: "warp"}}, // The tier has none.
			{{Name: "model", Value: "gpt-4o"}, {Name: "service_tier", Value: "scale"}}, nil,
		} {
			books.Pricer("acme", e)([]string{"model", "service_tier"}, l)(now, row)
		}
	}
	for what, times := range map[string]int{
		"level=warn": 4, "model=gpt-99": 1, "model=gpt-4o": 0, "service_tier=warp": 1, "service_tier=hyper": 1, `line_items="warp | gpt-4o, input"`: 1, "service_tier=fast": 0, "organization=acme": 4,
	} {
		if n := strings.Count(out.String(), what); n != times {
			t.Errorf("%q is named %d times, want %d, in\n%s", what, n, times, out.String())
		}
	}
}

// TestDaysThatHaveABillAloneAreLearnedFrom: no usage is read at all, and the newest days of the bill may still be corrected.
func TestDaysThatHaveABillAloneAreLearnedFrom(t *testing.T) {
	var days []*ledger.DayBook
	for n := range 60 {
		days = append(days, billed(t, daysAgo(60-n), map[string]string{"a|x": "10"}, nil))
	}
	p := organization(t, days)
	p.view.Feeds = p.view.Feeds[:1]
	// The running day has not cost anything by noon, which says a little.
	if got := report(p, spend.Settings{}).Month.Forecast.Float64(); got < 295 || got > 300 {
		t.Errorf("30 days of 10 dollars are forecast to cost %.2f, want 295 to 300", got)
	}
}

// TestADayOfLongAgoIsNotCompared: bill and estimate are compared on days that began at most ten days ago.
func TestADayOfLongAgoIsNotCompared(t *testing.T) {
	for n, want := range map[int]bool{9: true, 10: false} {
		p := organization(t, []*ledger.DayBook{billed(t, daysAgo(n), map[string]string{"a|x": "10"}, nil)}, estimated(t, daysAgo(n), 24, map[string]string{"a": "9"}))
		if o := report(p, spend.Settings{}); o.Compared != want {
			t.Errorf("whether the day %d days ago is compared: %v, want %v", n, o.Compared, want)
		}
	}
}
