package spend

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/api"
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
	// Ratios are estimate over bill on the newest closed day that both have whole.
	Ratios []Ratio
	// Billed says whether the bill has been read, without which what follows means nothing.
	Billed bool
	// Day is the running UTC day, and Month the running month.
	Day, Month budget.Spend
	Budgets    []Budgeted

	days func() []Daily
}

// Days are the last five weeks and the rest of the running month, day by day; there are none where the bill was never
// read. They are worked out when somebody asks, which a scrape does not.
func (o *Organization) Days() []Daily {
	if o.days == nil {
		return nil
	}
	return o.days()
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

// A Budgeted is a budget and what its period makes of it.
type Budgeted struct {
	Budget
	// Known says that the bill has been read back to the start of the period. Without that, what follows means nothing.
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
			case len(f.Endpoint.Derived) > 0 && !f.ReadAt.IsZero(): // not one that the organization does not have
				usage = append(usage, f)
			}
		}
		p := b.of(o.Name)
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
		var projects map[string][]budget.Day
		var outlook *budget.Outlook
		if bill != nil && !bill.ReadAt.IsZero() {
			r.Billed = true
			projects = days(bill, usage, now)
			r.Ratios = ratios(projects, bill.ReadAt)
			outlook = budget.Learn(whole(projects, bill.ReadAt), now, bill.ReadAt)
			r.Month = outlook.Over(budget.Calendar(budget.Monthly, now))
			r.Day = outlook.Over(oneDay(now))
			r.days = func() []Daily { return daily(projects, outlook, bill.ReadAt, now) }
		}
		for _, of := range settings.Budgets {
			if of.Organization != o.Name {
				continue
			}
			state := Budgeted{Budget: of}
			period := state.at(now)
			if state.Known = r.Billed && reaches(bill, period, now); state.Known {
				of := outlook
				if len(state.ProjectIDs) > 0 {
					var some [][]budget.Day
					for _, id := range state.ProjectIDs {
						some = append(some, projects[id])
					}
					of = budget.Learn(budget.Merge(bill.ReadAt, some...), now, bill.ReadAt)
				}
				state.Spend = of.Over(period)
				state.Exhausted, _ = of.Exhausted(period, state.USD)
			}
			r.Budgets = append(r.Budgets, state)
		}
		out = append(out, r)
	}
	return out
}

// reaches says whether the bill is known back to the start of a period. Polls read the running month as a whole.
func reaches(bill *ledger.FeedView, p budget.Period, now time.Time) bool {
	if !p.Start.Before(budget.Calendar(budget.Monthly, now).Start) {
		return true
	}
	return len(bill.Days) > 0 && !bill.Days[0].Start.After(p.Start)
}

// sources says where the price of each model that has series comes from.
func sources(prices *pricing.Prices, usage []*ledger.FeedView) []Price {
	var out []Price
	for _, f := range usage {
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

// days puts bill and estimates together, by project and day.
func days(bill *ledger.FeedView, usage []*ledger.FeedView, now time.Time) map[string][]budget.Day {
	byDay := make(map[int64]map[string]*budget.Day)
	at := func(start time.Time, project string) *budget.Day {
		projects := byDay[start.Unix()]
		if projects == nil {
			projects = make(map[string]*budget.Day)
			byDay[start.Unix()] = projects
		}
		d := projects[project]
		if d == nil {
			d = &budget.Day{Start: start}
			projects[project] = d
		}
		return d
	}
	cost := slices.IndexFunc(bill.Endpoint.Measures, func(m api.Measure) bool { return m.Name == api.MeasureCost })
	known := make(map[string]bool)
	billed := make(map[int64]bool)
	for _, d := range bill.Days {
		billed[d.Start.Unix()] = true
		for _, r := range d.Rows {
			i := slices.Index(r.Measures, cost)
			if i < 0 {
				continue
			}
			project := valueOf(r.Labels, "project_id")
			known[project] = true
			of := at(d.Start, project)
			if usd := r.Values[i]; usd.Sign() < 0 {
				of.Credited = of.Credited.Sub(usd)
			} else {
				of.Charged = of.Charged.Add(usd)
			}
		}
	}
	estimated := wholeDays(usage, now)
	for _, f := range usage {
		for _, e := range f.Estimates {
			if !estimated[e.Start.Unix()] {
				continue
			}
			for project, usd := range e.ByProject {
				known[project] = true
				of := at(e.Start, project)
				of.Estimated = of.Estimated.Add(usd)
			}
		}
	}
	// A project without a row on a day was billed nothing there, or had no usage.
	out := make(map[string][]budget.Day, len(known))
	starts := make(map[int64]bool)
	maps.Copy(starts, billed)
	maps.Copy(starts, estimated)
	for _, start := range slices.Sorted(maps.Keys(starts)) {
		for project := range known {
			d := *at(time.Unix(start, 0).UTC(), project)
			d.HasBill, d.HasEstimate = billed[start], estimated[start]
			out[project] = append(out[project], d)
		}
	}
	return out
}

// whole adds up all projects. Where label sets have been folded into other, usage and bill no longer name the same
// projects, and what is unbilled can only be told of all of them together.
func whole(projects map[string][]budget.Day, billRead time.Time) []budget.Day {
	if _, folded := projects[ledger.Other]; !folded {
		return budget.Merge(billRead, slices.Collect(maps.Values(projects))...)
	}
	var sum []budget.Day
	for _, days := range projects { // All have the same days.
		if sum == nil {
			sum = slices.Clone(days)
			continue
		}
		for i := range days {
			sum[i].Charged = sum[i].Charged.Add(days[i].Charged)
			sum[i].Credited = sum[i].Credited.Add(days[i].Credited)
			sum[i].Estimated = sum[i].Estimated.Add(days[i].Estimated)
		}
	}
	return sum
}

// wholeDays are the days of which every endpoint has all hours on record, and the running one, which has what there is.
func wholeDays(usage []*ledger.FeedView, now time.Time) map[int64]bool {
	out := make(map[int64]bool)
	hours := make(map[int64]int)
	for _, f := range usage {
		for _, e := range f.Estimates {
			if e.Hours == 24 {
				hours[e.Start.Unix()]++
			}
			if !now.Before(e.Start) && now.Sub(e.Start) < 24*time.Hour {
				out[e.Start.Unix()] = true
			}
		}
	}
	for start, n := range hours {
		if n == len(usage) {
			out[start] = true
		}
	}
	return out
}

// cent is the least bill that an estimate is compared with: below it the ratio of two roundings says nothing.
const cent = 0.01

// ratios compares estimate and bill of the newest day whose bill is settled and whose usage is known whole.
func ratios(projects map[string][]budget.Day, billRead time.Time) []Ratio {
	newest := time.Time{}
	for _, days := range projects {
		for _, d := range days {
			if d.HasEstimate && d.Settled(billRead) && d.Start.After(newest) {
				newest = d.Start
			}
		}
	}
	var out []Ratio
	for project, days := range projects {
		for _, d := range days {
			if d.Start.Equal(newest) && project != ledger.Other && d.Charged.Float64() >= cent {
				out = append(out, Ratio{project, ratio(d.Estimated, d.Charged)})
			}
		}
	}
	slices.SortFunc(out, func(a, b Ratio) int { return cmp.Compare(a.ProjectID, b.ProjectID) })
	return out
}

func ratio(a, b decimal.Fixed) float64 { return a.Float64() / b.Float64() }
