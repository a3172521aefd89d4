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
	views    Views
	settings atomic.Pointer[Settings]
	prices   sync.Map // of *priced by organization
	named    sync.Map // what the log has named, by unknown
	namings  atomic.Int64
}

// New returns books without settings: everything is priced by the built-in list.
func New(v Views) *Books {
	b := &Books{views: v}
	b.settings.Store(&Settings{})
	return b
}

// Configure makes these the settings.
func (b *Books) Configure(s Settings) { b.settings.Store(&s) }

// priced is what an organization's bill taught, and what the prices are since. It holds until the bill or the settings
// are others.
type priced struct {
	view     *ledger.View // the newest that has this bill
	bill     *ledger.FeedView
	settings *Settings
	bought   *pricing.Learned // what was paid, whether the estimate may learn from it or not
	prices   *pricing.Prices
}

// of returns the present prices of an organization. Two callers may learn the same at the same time, because waiting
// for each other would be a lock.
func (b *Books) of(organization string) *priced {
	view, settings := b.views.View(), b.settings.Load()
	var known *priced
	if v, ok := b.prices.Load(organization); ok {
		if known = v.(*priced); known.view == view && known.settings == settings {
			return known
		}
	}
	var bill *ledger.FeedView
	for _, f := range view.Feeds {
		if f.Organization == organization && f.Endpoint.IsCosts() {
			bill = f
		}
	}
	if known != nil && known.bill == bill && known.settings == settings {
		p := *known
		p.view = view
		b.prices.Store(organization, &p)
		return &p
	}
	p := &priced{view: view, bill: bill, settings: settings}
	if bill != nil {
		p.bought = pricing.Learn(charges(bill))
		b.nameItems(organization, p.bought.Unparsed())
	}
	o := pricing.Options{File: settings.File}
	if settings.Learn {
		o.Learned = p.bought
	}
	p.prices = pricing.New(o)
	b.prices.Store(organization, p)
	return p
}

// Pricer returns what prices the rows of an endpoint for the ledger. It waits for nothing.
func (b *Books) Pricer(organization string, e *api.Endpoint) func(start time.Time, groupBy []string, labels []ledger.Label, values []decimal.Fixed) (usd, unpriced decimal.Fixed) {
	return func(start time.Time, groupBy []string, labels []ledger.Label, values []decimal.Fixed) (usd, unpriced decimal.Fixed) {
		l := pricing.Labels{
			TierKnown:    slices.Contains(groupBy, "batch") && slices.Contains(groupBy, "service_tier"),
			ModelUnknown: !slices.Contains(groupBy, "model"),
			At:           start,
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
		return b.of(organization).prices.Row(e, l, values)
	}
}

// learnFrom is how far back the bill teaches prices.
const learnFrom = 35 * day

// charges are the line items of the closed days of the bill, whatever is shown of it. A day of which they are not known
// teaches nothing.
func charges(bill *ledger.FeedView) []pricing.Charge {
	var out []pricing.Charge
	for _, d := range bill.Books {
		if !d.Itemized || d.Start.Add(day).After(bill.ReadAt) || d.Start.Before(bill.ReadAt.Add(-learnFrom)) {
			continue
		}
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
