package fetcher

import (
	"context"
	"errors"
	"time"

	"github.com/go-kit/log/level"

	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/directory"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
)

// keysAndCosts looks up the keys, and what each of them costs.
func (l *lookup) keysAndCosts(ctx context.Context) error {
	err := l.keys(ctx)
	if err != nil || !l.options.KeyCosts {
		return err
	}
	return l.keyCosts(ctx)
}

// keyCosts looks up what the bill charges for each key on the running UTC day. The poll of the bill does not ask by key: a row
// for each key, project and line item of a month would be a multiple of what it reads. This is one request for one day.
func (l *lookup) keyCosts(ctx context.Context) error {
	costs, _ := api.Find(api.Costs)
	today, read, err := l.billOfToday(ctx, costs)
	var e *Error
	switch {
	case errors.As(err, &e) && (e.keyed() || e.Class == ClassNotFound || e.Class == ClassRequest):
		// The keys are known without it, and the poll of the bill reports what is wrong with the bill.
		level.Debug(l.logger).Log("msg", "The API does not return costs by API key", "err", err)
		return nil
	case err != nil:
		return err
	}
	var charged []directory.KeyCost
	err = read.Each(func(_ time.Time, row ledger.Row, _ []ledger.Label) {
		var cost directory.KeyCost
		for _, label := range row.Labels {
			if label.Name == "api_key_id" {
				cost.KeyID = label.Value
			}
		}
		for i, m := range row.Measures {
			if costs.Measures[m].Name == api.MeasureCost {
				cost.USD = row.Values[i].String()
			}
		}
		if cost.USD != "" {
			charged = append(charged, cost)
		}
	})
	if err != nil {
		return listError(costs.Path, "", err)
	}
	l.options.Directory.SetKeyCosts(today, charged)
	return nil
}

// billOfToday reads the bill of the running UTC day by key. Which day it is shows the API's clock, so a read that was planned by
// a wrong one is planned again.
func (l *lookup) billOfToday(ctx context.Context, costs *api.Endpoint) (time.Time, *ledger.Read, error) {
	for wrong := 0; ; wrong++ {
		p := l.client.clock.plan()
		p.trusting = wrong >= trusts
		today := p.api.Truncate(api.CostDay.Duration)
		read, _, err := l.client.read(ctx, Query{
			Endpoint: costs, GroupBy: []string{"api_key_id"}, Filters: l.options.CostFilters,
			Window: ledger.Window{Width: api.CostDay, From: today, To: today.Add(api.CostDay.Duration)},
		}, p, priorityLookup)
		if !errors.Is(err, errClock) {
			return today, read, err
		}
	}
}
