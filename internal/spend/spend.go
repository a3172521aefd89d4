// Package spend keeps an organization's books: what its usage is worth before the bill says so, what a month has cost
// and will have cost, and how well the two agreed on days that are over. It learns prices from the bill that the ledger
// holds, and prices rows for the ledger; it asks no API and keeps nothing that the ledger does not.
package spend

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-kit/log"

	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/budget"
	"github.com/openai-exporter/openai_exporter/internal/decimal"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
	"github.com/openai-exporter/openai_exporter/internal/pricing"
)

// Views shows the ledger. View must not block, and returns the same view as long as nothing has changed.
type Views interface{ View() *ledger.View }

// Settings are what the configuration says of money. They must not be changed once they are configured.
type Settings struct {
	// File is the organization's own price list, nil without one.
	File *pricing.List
	// Learn lets prices be learned from the bill.
	Learn   bool
	Budgets []Budget
	// Regional says whether the usage of a project is processed in a region of its own. It may be nil, and must not block.
	Regional func(organization, projectID string) bool
	// Logger is told once of each thing that nobody knows. It may be nil.
	Logger log.Logger
}

// A Budget is what may be spent in a period.
type Budget struct {
	Name, Organization string
	// Team is the team whose budget it is, if it is a team's.
	Team string
	// ProjectIDs are the projects whose cost counts; none means all.
	ProjectIDs []string
	USD        float64
	// Period is its kind, as the package budget names it.
	Period string
	// Term is the period of a budget.Term.
	Term budget.Period
}

// at is the period that a moment is in, or the term.
func (b Budget) at(now time.Time) budget.Period {
	if b.Period == budget.Term {
		return b.Term
	}
	return budget.Calendar(b.Period, now)
}

// BillFrom is from when on the bill of an organization has to be known for its budgets.
func (s *Settings) BillFrom(organization string, now time.Time) time.Time {
	from := budget.Calendar(budget.Monthly, now).Start
	for _, b := range s.Budgets {
		if start := b.at(now).Start; b.Organization == organization && start.Before(from) {
			from = start
		}
	}
	return from
}

// Books are the books of all organizations. They may be used from many goroutines at once.
type Books struct {
	views       Views
	settings    atomic.Pointer[Settings]
	bills       atomic.Pointer[billsOf]
	prices      sync.Map // of *priced by organization
	logged      sync.Map // what the log has named, by unknown
	loggedCount atomic.Int64
}

// New returns books without settings: everything is priced by the built-in list.
func New(v Views) *Books {
	b := &Books{views: v}
	b.settings.Store(&Settings{})
	return b
}

// Configure makes these the settings, and forgets the prices of organizations that are gone.
func (b *Books) Configure(s Settings) {
	b.settings.Store(&s)
	b.prices.Range(func(name, _ any) bool {
		view := b.views.View()
		if !slices.ContainsFunc(view.Organizations, func(o ledger.OrganizationView) bool { return o.Name == name }) {
			b.prices.Delete(name)
		}
		return true
	})
}

// billsOf are the bills in a view by organization.
type billsOf struct {
	view *ledger.View
	by   map[string]*ledger.FeedView
}

// priced is what an organization's bill taught, and what the prices are since. It holds until the bill or the settings
// are others.
type priced struct {
	bill     *ledger.FeedView
	closed   []*ledger.DayBook // of the bill: those that teach
	settings *Settings
	bought   *pricing.Learned // what was paid, whether the estimate may learn from it or not
	prices   *pricing.Prices
}

// present returns the prices of an organization.
func (b *Books) present(organization string) *priced {
	view := b.views.View()
	bills := b.bills.Load()
	if bills == nil || bills.view != view {
		bills = &billsOf{view: view, by: make(map[string]*ledger.FeedView, len(view.Organizations))}
		for _, f := range view.Feeds {
			if f.Endpoint.IsCosts() {
				bills.by[f.Organization] = f
			}
		}
		b.bills.Store(bills)
	}
	return b.taught(organization, bills.by[organization])
}

// taught returns the prices that a bill teaches, if there is one. Two callers may learn the same at the same time, because
// waiting for each other would be a lock. Most polls of a bill change no day that is closed.
func (b *Books) taught(organization string, bill *ledger.FeedView) *priced {
	settings := b.settings.Load()
	var former *priced
	if v, ok := b.prices.Load(organization); ok {
		if former = v.(*priced); former.bill == bill && former.settings == settings {
			return former
		}
	}
	p := &priced{bill: bill, settings: settings}
	if bill != nil {
		p.closed = closed(bill)
		if former != nil && former.bought != nil && slices.EqualFunc(former.closed, p.closed, (*ledger.DayBook).SameSales) {
			p.bought = former.bought
		} else {
			p.bought = pricing.Learn(charges(p.closed))
			b.nameItems(organization, p.bought.Unparsed())
		}
	}
	if former != nil && former.settings == p.settings && former.bought == p.bought {
		p.prices = former.prices
	} else {
		o := pricing.Options{File: p.settings.File}
		if p.settings.Learn {
			o.Learned = p.bought
		}
		p.prices = pricing.New(o)
	}
	b.prices.Store(organization, p)
	return p
}

// Pricer returns what prices the rows of an endpoint for the ledger. It waits for nothing. A rate has the prices of the moment
// in which it was made.
func (b *Books) Pricer(organization string, e *api.Endpoint) func(groupBy []string, labels []ledger.Label) ledger.Rate {
	return func(groupBy []string, labels []ledger.Label) ledger.Rate {
		l := pricing.Labels{
			TierKnown:    slices.Contains(groupBy, "batch") && slices.Contains(groupBy, "service_tier"),
			ModelUnknown: !slices.Contains(groupBy, "model"),
		}
		for _, label := range labels {
			switch label.Name {
			case "model":
				l.Model = label.Value
			case "batch":
				l.Batch = label.Value
			case "service_tier":
				if l.ServiceTier = label.Value; !pricing.Knows(label.Value) {
					b.nameTier(organization, e.Name, label.Value)
				}
			case "project_id":
				if regional := b.settings.Load().Regional; regional != nil {
					l.Regional = regional(organization, label.Value)
				}
			}
		}
		rate, named := b.present(organization).prices.Rate(e, l), l.Model != "" && pricing.Priced(l.ServiceTier)
		return func(start time.Time, values []decimal.Fixed) (usd, unpriced decimal.Fixed) {
			usd, unpriced = rate.Row(start, values)
			if named && !unpriced.IsZero() {
				b.nameModel(organization, e.Name, l.Model)
			}
			return usd, unpriced
		}
	}
}

// learnFrom is how far back the bill teaches prices.
const learnFrom = 35 * day

// closed are the days of a bill that teach prices: those that are over. A day of which the line items are not known teaches
// nothing.
func closed(bill *ledger.FeedView) []*ledger.DayBook {
	var out []*ledger.DayBook
	for _, d := range bill.Books {
		if d.Itemized && !d.Start.Add(day).After(bill.ReadAt) && !d.Start.Before(bill.ReadAt.Add(-learnFrom)) {
			out = append(out, d)
		}
	}
	return out
}

// charges are the line items of days, whatever is shown of them.
func charges(days []*ledger.DayBook) []pricing.Charge {
	var out []pricing.Charge
	for _, d := range days {
		d.Sales(func(item ledger.Item, sale ledger.Sale) {
			out = append(out, pricing.Charge{Day: d.Start, LineItem: item.LineItem, Unit: item.Unit, USD: sale.USD, Quantity: sale.Quantity, Free: sale.Free})
		})
	}
	return out
}

// ReadBy is what the API is asked to tell apart of an endpoint for prices and books, whatever is shown.
func ReadBy(e *api.Endpoint) []string {
	return e.GroupBy([]string{"project_id", "model", "batch", "service_tier", "line_item"})
}

func valueOf(labels []ledger.Label, name string) string {
	for _, l := range labels {
		if l.Name == name {
			return l.Value
		}
	}
	return ""
}
