package collector

import (
	"github.com/openai-exporter/openai_exporter/internal/ledger"
	"github.com/openai-exporter/openai_exporter/internal/spend"
)

// money adds what the books say of an organization: prices, budgets and forecasts.
func (fs *families) money(o *spend.Organization) {
	base := []ledger.Label{{Name: organization, Value: o.Name}}
	gauge := func(name string, value float64, pairs ...string) {
		fs.gauge(fs.family(name), fs.labels(base, filled(pairs...)), value)
	}
	for _, p := range o.Effective {
		gauge(effectivePrice, p.USD.Float64(), lineItem, p.LineItem, unit, p.Unit, model, p.Says.Model, tokenType, p.Says.TokenType,
			modality, p.Says.Modality, serviceTier, p.Says.ServiceTier, context, p.Says.Context)
	}
	for _, p := range o.Prices {
		gauge(priceInfo, 1, endpoint, p.Endpoint, model, p.Model, source, p.Source)
	}
	for name, at := range o.Sources {
		gauge(priceTimestamp, seconds(at), source, name)
	}
	gauge(unparsedItems, float64(o.Unparsed))
	if o.Compared {
		gauge(wholeRatio, o.Ratio)
	}
	for _, r := range o.Ratios {
		gauge(estimateRatio, r.Ratio, projectID, r.ProjectID)
	}
	if o.Billed {
		gauge(monthToDate, o.Month.Billed.Float64())
		gauge(monthUnbilled, o.Month.Unbilled.Float64())
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
