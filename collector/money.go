package collector

import (
	"time"

	dto "github.com/prometheus/client_model/go"

	"github.com/openai-exporter/openai_exporter/internal/ledger"
	"github.com/openai-exporter/openai_exporter/internal/spend"
)

// A counting is what the books say of a view, made into metric families. It holds until the view is another one or the
// hour turns: a forecast that nothing feeds any more still has to see the days go by.
type counting struct {
	view     *ledger.View
	hour     time.Time
	families []*dto.MetricFamily
}

// money returns the families of prices, budgets and forecasts, made once per view and hour.
func (c *Collector) money() []*dto.MetricFamily {
	if c.options.Books == nil {
		return nil
	}
	now := c.options.Now()
	view, hour := c.options.Views.View(), now.Truncate(time.Hour)
	if view == nil {
		return nil
	}
	n := c.counted.Load()
	if n == nil || n.view != view || !n.hour.Equal(hour) {
		n = &counting{view: view, hour: hour, families: exposeMoney(c.table, c.options.Books.Report(view, now))}
		c.counted.Store(n)
	}
	return n.families
}

func exposeMoney(table map[string]*Metric, organizations []spend.Organization) []*dto.MetricFamily {
	fs := newFamilies(table)
	for i := range organizations {
		o := &organizations[i]
		base := []ledger.Label{{Name: organization, Value: o.Name}}
		gauge := func(name string, value float64, pairs ...string) {
			fs.gauge(fs.family(name), fs.labels(base, filled(pairs...)), value)
		}
		for _, p := range o.Effective {
			gauge(effectivePrice, p.USD.Float64(), lineItem, p.LineItem, unit, p.Unit)
		}
		for _, p := range o.Prices {
			gauge(priceInfo, 1, endpoint, p.Endpoint, model, p.Model, source, p.Source)
		}
		for name, at := range o.Sources {
			gauge(priceTimestamp, seconds(at), source, name)
		}
		gauge(unparsedItems, float64(o.Unparsed))
		for _, r := range o.Ratios {
			gauge(estimateRatio, r.Ratio, projectID, r.ProjectID)
		}
		if o.Billed {
			gauge(monthForecast, o.Month.Forecast.Float64())
		}
		for _, b := range o.Budgets {
			of := func(name string, value float64) { gauge(name, value, budgetName, b.Name, period, b.Period) }
			of(budgetLimit, b.USD)
			if !b.Known {
				continue
			}
			of(budgetSpent, b.Spend.Spent().Float64())
			of(budgetBilled, b.Spend.Billed.Float64())
			of(budgetUnbilled, b.Spend.Unbilled.Float64())
			of(budgetForecast, b.Spend.Forecast.Float64())
			if !b.Exhausted.IsZero() {
				of(budgetExhausted, seconds(b.Exhausted))
			}
		}
	}
	return fs.finish()
}
