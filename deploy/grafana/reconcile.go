package grafana

// Reconcile is the dashboard of the rules in deploy/prometheus/reconcile, which it needs: it shows what they record.
func Reconcile() *Dashboard {
	const (
		usd     = "currencyUSD"
		whose   = `{organization=~"$organization"}`
		project = `{organization=~"$organization",project_id=~"$project"}`
		day     = " Of the last 24 hours."
	)
	perModel := func(expr string) string { return "sum by (model) (" + expr + ")" }
	projects := choice("project", "Project", "organization_project_model:openai_counted_tokens:increase1d"+whose, "project_id")
	return newDashboard(Dashboard{
		UID: "openai-reconcile", Title: "OpenAI / Reconcile",
		Description: "What OpenAI counts and charges beside what gateways and applications see in the path. Needs the rules of deploy/prometheus/reconcile.",
		Time:        timeRange{"now-24h", "now"}, Timezone: "utc", Refresh: "5m",
	}, []variable{
		choice("organization", "Organization", "organization_project_model:openai_counted_tokens:increase1d", "organization"),
		projects,
	},
		row{height: 4, panels: []*panel{
			stat("Unseen share", "The share of estimated dollars that no gateway has seen, of tokens alone."+day, "percentunit", "max(organization:openai_unseen_usd:share1d"+whose+")").
				limits(good, from(0.02, warning), from(0.1, bad)),
			stat("Unseen", "What no gateway has seen, by estimated prices."+day, usd, "sum(organization_project:openai_unseen_usd:increase1d"+project+")"),
			stat("Seen tokens", "Input and output tokens that gateways and applications have seen."+day, "short", "sum(organization_project_model:openai_seen_tokens:increase1d"+whose+")"),
			stat("Counted tokens", "Input and output tokens that OpenAI counts."+day, "short", "sum(organization_project_model:openai_counted_tokens:increase1d"+whose+")"),
		}},
		row{height: 9, panels: []*panel{
			table("Who is unseen", "Projects by what of them no gateway has seen. A project that is unseen as a whole has a key in use that goes past every gateway."+day, "Unseen",
				column{name: "Organization", label: "organization", width: 130},
				column{name: "Project", label: "project_id", width: 260},
				column{name: "Name", label: "project_name"},
				column{name: "Unseen", expr: withNamesOf("organization_project:openai_unseen_usd:increase1d" + project), unit: usd, width: 130},
				column{name: "Share of it", expr: withNamesOf("organization_project:openai_unseen_usd:share1d" + project), unit: "percentunit", width: 190, more: []property{
					{"max", 1.0}, {"min", 0.0}, {"thresholds", thresholdsOf(good, from(0.02, warning), from(0.1, bad))}, {"custom.cellOptions", map[string]any{"type": "gauge", "mode": "basic"}},
				}},
			),
			lines("Unseen share of each project", "Over time, each point of the 24 hours before it.", "percentunit",
				query{"{{project_name}}", withNamesOf("organization_project:openai_unseen_usd:share1d" + project)}).between(0, 1),
		}},
		row{height: 9, panels: []*panel{
			table("Models", "Seen ÷ counted, by model and kind of token; the larger side is the whole where a gateway counts more."+day, "Model",
				column{name: "Model", label: "model"},
				column{name: "Tokens", label: "token_type", width: 110},
				column{name: "Seen", expr: "sum by (model, token_type) (organization_project_model:openai_seen_tokens:increase1d" + whose + ")", unit: "short", width: 120},
				column{name: "Counted", expr: "sum by (model, token_type) (organization_project_model:openai_counted_tokens:increase1d" + whose + ")", unit: "short", width: 120},
				column{name: "Seen share", expr: "min by (model, token_type) (organization_model:openai_seen_tokens:share1d" + whose + ")", unit: "percentunit", width: 130, more: []property{{"decimals", 1}}},
			),
			ranking("Unseen dollars by model", "By estimated prices."+day, usd, 10, query{"{{model}}", perModel("organization_project_model:openai_unseen_usd:increase1d" + project)}),
			lines("Seen tokens by way", "What each way of seeing has seen, each point of the 24 hours before it.", "short",
				query{"{{source}}", "sum by (source) (organization_project_model:openai_seen_tokens:increase1d" + whose + ")"}).numbered(),
		}},
	)
}
