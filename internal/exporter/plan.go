package exporter

import (
	"fmt"
	"slices"
	"time"

	"github.com/openai-exporter/openai_exporter/config"
	"github.com/openai-exporter/openai_exporter/fetcher"
	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/budget"
	"github.com/openai-exporter/openai_exporter/internal/directory"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
	"github.com/openai-exporter/openai_exporter/internal/pricing"
	"github.com/openai-exporter/openai_exporter/internal/spend"
)

// A plan is a configuration that is ready to be put to work: what can fail has been done.
type plan struct {
	config        *config.Valid
	assigned      []assignment
	organizations []fetcher.Organization // as assigned
	entries       map[string]*directory.Entry
}

// plan makes the clients and the feeds of a configuration. Organizations that have not changed keep their client, and
// with it their budget and their connections.
func (e *exporter) plan(valid *config.Valid) (*plan, error) {
	p := &plan{config: valid, assigned: assignments(e.shard, valid), entries: make(map[string]*directory.Entry)}
	running := e.current.Load()
	money, err := moneySettings(valid)
	if err != nil {
		return nil, err
	}
	money.Regional, money.Logger = e.regions.regional, e.logger
	// Only the replica that reads the bill shows the budget, so that it is shown once.
	money.Budgets = slices.DeleteFunc(money.Budgets, func(b spend.Budget) bool { return !e.shard.Owns(b.Organization, api.Costs) })
	var feeds []ledger.FeedOptions
	for _, a := range p.assigned {
		o := a.organization
		client, err := e.client(running, o)
		if err != nil {
			return nil, fmt.Errorf("organization %s: %w", o.Name, err)
		}
		p.organizations = append(p.organizations, fetcher.Organization{Name: o.Name, Client: client})
		for _, s := range a.endpoints {
			feed := feedOptions(o.Name, s, valid.Counters().Start)
			feed.Price = e.books.Pricer(o.Name, s.Endpoint)
			feed.ReadBy = spend.ReadBy(s.Endpoint)
			feed.BillFrom = func(now time.Time) time.Time { return money.BillFrom(o.Name, now) }
			feeds = append(feeds, feed)
		}
	}
	counters := valid.Counters()
	booked, err := e.ledger.Configure(ledger.Settings{
		ZeroHold:      counters.ZeroHold,
		IdleRetention: counters.IdleRetention,
		MaxLabelSets:  counters.MaxLabelSets,
	}, feeds)
	if err != nil {
		return nil, err
	}
	// From here on nothing can fail.
	e.books.Configure(money)
	entries := e.directory.Configure(p.directorySettings())
	for i, a := range p.assigned {
		p.entries[a.organization.Name] = entries[i]
		if a.lookups {
			p.organizations[i].Lookups = lookups(valid, entries[i], a)
		}
		p.organizations[i].BillFirst = !billed(e.ledger.View(), p.organizations[i].Name)
		for _, s := range a.endpoints {
			var feed fetcher.Feed = booked[0]
			if e.seams.feed != nil {
				feed = e.seams.feed(a.organization.Name, s.Endpoint.Name, feed)
			}
			p.organizations[i].Endpoints = append(p.organizations[i].Endpoints, fetcher.PolledEndpoint{Endpoint: s.Endpoint, Interval: s.Interval, Feed: feed})
			booked = booked[1:]
		}
	}
	return p, nil
}

// billed says whether the bill of an organization has been read, before the last restart perhaps.
func billed(v *ledger.View, organization string) bool {
	return slices.ContainsFunc(v.Feeds, func(f *ledger.FeedView) bool {
		return f.Organization == organization && f.Endpoint.IsCosts() && !f.ReadAt.IsZero()
	})
}

// moneySettings reads the price list that a configuration names.
func moneySettings(valid *config.Valid) (spend.Settings, error) {
	s := spend.Settings{Learn: valid.Pricing().LearnFromCosts}
	if file := valid.Pricing().File; file != "" {
		list, err := pricing.Load(file)
		if err != nil {
			return s, fmt.Errorf("pricing.file: %w", err)
		}
		s.File = list
	}
	for _, b := range valid.Budgets() {
		usd, period := b.Amount()
		s.Budgets = append(s.Budgets, spend.Budget{
			Name: b.Name, Organization: b.Organization, Team: b.Team, ProjectIDs: projectsOf(valid, b),
			USD: usd, Period: period, Term: budget.Period{Start: b.Start, End: b.End},
		})
	}
	return s, nil
}

// projectsOf are the projects whose cost counts for a budget; none means all. It is the one place that knows how a budget
// may name them.
func projectsOf(valid *config.Valid, b config.Budget) []string {
	if team, ok := valid.Team(b.Organization, b.Team); ok {
		return team.ProjectIDs
	}
	return b.ProjectIDs
}

func (p *plan) directorySettings() []directory.Settings {
	names, limits := p.config.Names(), p.config.Limits()
	var out []directory.Settings
	for _, a := range p.assigned {
		// This replica forgets what another one looks up, so that it is shown once.
		s := directory.Settings{Organization: a.organization.Name, ProjectIDs: a.organization.ProjectIDs, Names: names.Enabled && a.lookups, UserEmails: names.UserEmails, Limits: limits.Enabled && a.lookups}
		if a.lookups {
			s.Teams, s.Unowned = teams(p.config, s.Organization)
		}
		out = append(out, s)
	}
	return out
}

func lookups(valid *config.Valid, entry *directory.Entry, a assignment) fetcher.Lookups {
	l := fetcher.Lookups{Directory: entry, UserEmails: valid.Names().UserEmails}
	if valid.Names().Enabled {
		l.NamesInterval = valid.Names().Interval
	}
	for _, s := range a.endpoints {
		// Where the bill is shown by key, the ledger has it.
		if s.Endpoint.IsCosts() && !slices.Contains(s.GroupBy, "api_key_id") {
			l.KeyCosts, l.CostFilters = true, s.Filters.Encode()
		}
	}
	if valid.Limits().Enabled {
		l.LimitsInterval = valid.Limits().Interval
	}
	return l
}

// client returns the running client of an organization, or a new one where its settings have changed.
func (e *exporter) client(running *plan, o config.Organization) (*fetcher.Client, error) {
	if running != nil {
		for i, a := range running.assigned {
			if a.organization.SameClient(o) {
				return running.organizations[i].Client, nil
			}
		}
	}
	return newClient(o, e.watch, e.logger, e.seams)
}

func feedOptions(organization string, s config.EndpointSettings, start config.Start) ledger.FeedOptions {
	return ledger.FeedOptions{
		Organization: organization, Endpoint: s.Endpoint, GroupBy: s.GroupBy, Filters: s.Filters.Encode(),
		Width: s.Width, Lookback: s.Lookback, AuditInterval: s.AuditInterval, AuditWindow: s.AuditWindow,
		CountersStartText: start.String(),
		CountersStart: func(now time.Time) (time.Time, bool) {
			usage, costs, explicit := start.Origin(now)
			if s.Endpoint.IsCosts() {
				return costs, explicit
			}
			return usage, explicit
		},
	}
}
