package collector

import (
	"github.com/openai-exporter/openai_exporter/internal/ledger"
	"github.com/openai-exporter/openai_exporter/internal/metrics"
	"github.com/openai-exporter/openai_exporter/internal/spend"
)

// money adds what the books say of an organization: prices, budgets and forecasts.
func (fs *families) money(o *spend.Organization) {
	base := []ledger.Label{{Name: metrics.LabelOrganization, Value: o.Name}}
	gauge := func(name string, value float64, pairs ...string) {
		fs.gauge(fs.family(name), fs.labels(base, filled(pairs...)), value)
	}
	for _, p := range o.Effective {
		gauge(metrics.EffectivePrice, p.USD.Float64(), metrics.LabelLineItem, p.LineItem, metrics.LabelUnit, p.Unit, metrics.LabelModel, p.Says.Model, metrics.LabelTokenType, p.Says.TokenType,
			metrics.LabelModality, p.Says.Modality, metrics.LabelServiceTier, p.Says.ServiceTier, metrics.LabelContext, p.Says.Context)
	}
	for _, p := range o.Prices {
		gauge(metrics.PriceInfo, 1, metrics.LabelEndpoint, p.Endpoint, metrics.LabelModel, p.Model, metrics.LabelSource, p.Source)
	}
	for name, at := range o.Sources {
		gauge(metrics.PriceTimestamp, seconds(at), metrics.LabelSource, name)
	}
	gauge(metrics.UnparsedItems, float64(o.Unparsed))
	if o.Compared {
		gauge(metrics.WholeRatio, o.Ratio)
	}
	for _, r := range o.Ratios {
		gauge(metrics.EstimateRatio, r.Ratio, metrics.LabelProjectID, r.ProjectID)
	}
	if o.Billed {
		gauge(metrics.MonthToDate, o.Month.Billed.Float64())
		gauge(metrics.MonthUnbilled, o.Month.Unbilled.Float64())
		gauge(metrics.MonthForecast, o.Month.Forecast.Float64())
	}
	for _, b := range o.Budgets {
		show := func(name string, value float64) {
			gauge(name, value, metrics.LabelBudget, b.Name, metrics.LabelPeriod, b.Period, metrics.LabelTeam, b.Team)
		}
		show(metrics.BudgetLimit, b.USD)
		if !b.Known {
			continue
		}
		show(metrics.BudgetSpent, b.Spend.Spent().Float64())
		show(metrics.BudgetBilled, b.Spend.Billed.Float64())
		show(metrics.BudgetUnbilled, b.Spend.Unbilled.Float64())
		show(metrics.BudgetForecast, b.Spend.Forecast.Float64())
		if !b.Exhausted.IsZero() {
			show(metrics.BudgetExhausted, seconds(b.Exhausted))
		}
	}
}
