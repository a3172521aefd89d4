// Package spend keeps an organization's books: what its usage is worth before the bill says so, what a month has cost
// and will have cost, and how well the two agreed on days that are over. It learns prices from the bill that the ledger
// holds, and prices rows for the ledger; it asks no API and keeps nothing that the ledger does not.
package spend

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

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
}

// A Budget is what may be spent in a period.
type Budget struct {
	Name, Organization string
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

// Books are the books of all organizations. They may be used from many goroutines at once.
type Books struct {
	views    Views
	settings atomic.Pointer[Settings]
	prices   sync.Map // of *priced by organization
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
				l.ServiceTier = label.Value
			}
		}
		return b.of(organization).prices.Row(e, l, values)
	}
}

// charges are the rows of the closed days of the bill. The ledger keeps amounts by project and quantities by unit, so
// that a line item's are in rows of their own. A day of which label sets are folded teaches nothing, since the amounts
// and the quantities of a line item are folded in different shares.
func charges(bill *ledger.FeedView) []pricing.Charge {
	var out []pricing.Charge
	for _, d := range bill.Days {
		if d.Start.Add(24*time.Hour).After(bill.ReadAt) || folded(d) {
			continue
		}
		for _, r := range d.Rows {
			c := pricing.Charge{Day: d.Start, LineItem: valueOf(r.Labels, "line_item"), Unit: valueOf(r.Labels, "unit")}
			for i, m := range r.Measures {
				switch bill.Endpoint.Measures[m].Name {
				case api.MeasureCost:
					c.USD = r.Values[i]
				case api.MeasureCostQuantity:
					c.Quantity = r.Values[i]
				}
			}
			out = append(out, c)
		}
	}
	return out
}

// folded says whether rows of a day were folded into the series of others.
func folded(d ledger.Day) bool {
	return slices.ContainsFunc(d.Rows, func(r ledger.Row) bool { return valueOf(r.Labels, "line_item") == ledger.Other })
}

func valueOf(labels []ledger.Label, name string) string {
	for _, l := range labels {
		if l.Name == name {
			return l.Value
		}
	}
	return ""
}
