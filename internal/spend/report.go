package spend

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/budget"
	"github.com/openai-exporter/openai_exporter/internal/decimal"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
	"github.com/openai-exporter/openai_exporter/internal/pricing"
)

// An Organization is what its books say.
type Organization struct {
	Name string
	// Effective is what the bill charged per unit on the last closed days.
	Effective []pricing.EffectivePrice
	// Unparsed is how many line items the bill has that no price could be learned from, because nobody knows what
	// they mean.
	Unparsed int
	// Prices says where the price of each model in use comes from.
	Prices []Price
	// Sources says how old the prices of each source are: bill, file or builtin.
	Sources map[string]time.Time
	// Ratio is estimate over charges on the newest closed day that both have whole, and Ratios are those of the projects.
	// Compared says whether there is such a day.
	Ratio    float64
	Compared bool
	Ratios   []Ratio
	// Today is what the bill charges for the running day by project, the most first. TodaySplit says whether the bill
	// tells projects apart.
	Today      []Charged
	TodaySplit bool
	// Billed says whether the bill has been read, without which what follows means nothing.
	Billed bool
	// Day is the running UTC day, and Month the running month.
	Day, Month budget.Spend
	Budgets    []Budgeted

	days  func() []Daily
	items func() (map[string]decimal.Fixed, bool)
}

// Days are the last five weeks and the rest of the running month, day by day; there are none where the bill was never
// read. They are worked out when somebody asks, which a scrape does not.
func (o *Organization) Days() []Daily {
	if o.days == nil {
		return nil
	}
	return o.days()
}

// TodayByItem is what the bill charges for the running day by line item. known says whether the bill tells them apart.
// Like Days, it is worked out when somebody asks.
func (o *Organization) TodayByItem() (charged map[string]decimal.Fixed, known bool) {
	if o.items == nil {
		return nil, false
	}
	return o.items()
}

// A Price says where the price of a model comes from.
type Price struct {
	Endpoint, Model, Source string
}

// A Ratio compares a project's estimate with its bill.
type Ratio struct {
	ProjectID string
	Ratio     float64
}

// A Charged is what a project is charged.
type Charged struct {
	ProjectID string
	USD       decimal.Fixed
}

// A Budgeted is a budget and what its period makes of it.
type Budgeted struct {
	Budget
	// Known says that the bill has been read back to the start of the period, and that it tells the budget's projects
	// apart. Without that, what follows means nothing.
	Known bool
	Spend budget.Spend
	// Exhausted is when it is spent, zero where it lasts.
	Exhausted time.Time
}

// Report says how all organizations of a view stand at a moment.
func (b *Books) Report(v *ledger.View, now time.Time) []Organization {
	settings := b.settings.Load()
	feeds := make(map[string][]*ledger.FeedView, len(v.Organizations))
	for _, f := range v.Feeds {
		feeds[f.Organization] = append(feeds[f.Organization], f)
	}
	var out []Organization
	for _, o := range v.Organizations {
		var bill *ledger.FeedView
		var usage []*ledger.FeedView
		for _, f := range feeds[o.Name] {
			switch {
			case f.Endpoint.IsCosts():
				bill = f
			case !f.ReadAt.IsZero(): // not one that the organization does not have
				usage = append(usage, f)
			}
		}
		p := b.taught(o.Name, bill)
		r := Organization{
			Name:      o.Name,
			Effective: p.bought.Effective(),
			Unparsed:  len(p.bought.Unparsed()),
			Prices:    sources(p.prices, usage),
			Sources:   make(map[string]time.Time),
		}
		for _, source := range []string{pricing.SourceBill, pricing.SourceFile, pricing.SourceBuiltin} {
			if at := p.prices.Time(source); !at.IsZero() {
				r.Sources[source] = at
			}
		}
		var h *history
		var outlook *budget.Outlook
		if bill != nil && !bill.ReadAt.IsZero() {
			h = newHistory(bill, usage, now)
			r.Billed = true
			outlook = budget.Learn(h.whole(), now, h.readAt)
			r.Month = outlook.Over(budget.Calendar(budget.Monthly, now))
			r.Day = outlook.Over(oneDay(now))
			r.Ratio, r.Compared, r.Ratios = h.ratios(now)
			r.Today, r.TodaySplit = h.today(now)
			r.days = func() []Daily { return h.daily(outlook, now) }
			r.items = func() (map[string]decimal.Fixed, bool) { return h.byItem(now) }
		}
		for _, b := range settings.Budgets {
			if b.Organization == o.Name {
				r.Budgets = append(r.Budgets, h.budgeted(b, outlook, now))
			}
		}
		out = append(out, r)
	}
	return out
}

// budgeted says how a budget stands. Without a history nothing is known of it.
func (h *history) budgeted(b Budget, whole *budget.Outlook, now time.Time) Budgeted {
	state := Budgeted{Budget: b}
	period := b.at(now)
	if h == nil || !h.reaches(period, now) {
		return state
	}
	outlook := whole
	if len(b.ProjectIDs) > 0 {
		days, known := h.daysOf(b.ProjectIDs, period.Start)
		if !known {
			return state
		}
		outlook = budget.Learn(days, now, h.readAt)
	}
	state.Known, state.Spend = true, outlook.Over(period)
	state.Exhausted, _ = outlook.Exhausted(period, b.USD)
	return state
}

// reaches says whether the bill is known back to the start of a period. Polls read the running month as a whole.
func (h *history) reaches(p budget.Period, now time.Time) bool {
	if !p.Start.Before(budget.Calendar(budget.Monthly, now).Start) {
		return true
	}
	for _, d := range h.days {
		if d.bill != nil {
			return !d.start.After(p.Start)
		}
	}
	return false
}

// sources says where the price of each model that has series comes from.
func sources(prices *pricing.Prices, usage []*ledger.FeedView) []Price {
	var out []Price
	for _, f := range usage {
		if f.Endpoint.Stock {
			continue // It has no models.
		}
		seen := make(map[string]bool)
		for _, s := range f.Series {
			model := valueOf(s.Labels, "model")
			if model == "" || model == ledger.Other || seen[model] {
				continue
			}
			seen[model] = true
			out = append(out, Price{Endpoint: f.Endpoint.Name, Model: model, Source: prices.Sources(f.Endpoint, model)})
		}
	}
	return out
}

// billOf is what the bill says of the running day, nil for nothing.
func (h *history) billOf(now time.Time) *ledger.DayBook {
	today := oneDay(now).Start
	for _, d := range h.days {
		if d.start.Equal(today) {
			return d.bill
		}
	}
	return nil
}

// today is what the bill charges each project for the running day, the most first.
func (h *history) today(now time.Time) (charged []Charged, known bool) {
	bill := h.billOf(now)
	if bill == nil {
		return nil, false
	}
	sums := make(map[string]decimal.Fixed)
	bill.Projects(func(project string, by ledger.Amounts) { sums[project] = sums[project].Add(by.Charged) })
	for id, usd := range sums {
		if usd.Sign() > 0 {
			charged = append(charged, Charged{id, usd})
		}
	}
	slices.SortFunc(charged, func(a, b Charged) int { return cmp.Or(b.USD.Cmp(a.USD), cmp.Compare(a.ProjectID, b.ProjectID)) })
	return charged, bill.Split
}

// byItem is what the bill charges for the running day by line item.
func (h *history) byItem(now time.Time) (charged map[string]decimal.Fixed, known bool) {
	bill := h.billOf(now)
	if bill == nil || !bill.Itemized {
		return nil, false
	}
	charged = make(map[string]decimal.Fixed)
	bill.Sales(func(item ledger.Item, sale ledger.Sale) {
		charged[item.LineItem] = charged[item.LineItem].Add(sale.USD)
	})
	return charged, true
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
