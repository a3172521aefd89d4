package grafana

import (
	"fmt"

	"github.com/openai-exporter/openai_exporter/deploy/queries"
)

// Reconcile is the dashboard of the rules in deploy/prometheus/reconcile, which it needs: it shows what they record.
func Reconcile() *Dashboard {
	const (
		usd     = "currencyUSD"
		whose   = `{organization=~"$organization"}`
		project = `{organization=~"$organization",project_id=~"$project"}`
		day     = " Of the last 24 hours."
	)
	// Keys of projects that are unseen which were used within the day, and which no gateway says it uses.
	keys := fmt.Sprintf(`(%s > time() - 86400) and on (organization, project_id) (organization_project:openai_unseen_usd:share1d%s > scalar(openai:unseen_share:threshold))`+
		` unless on (organization, api_key_id) organization_api_key:openai_seen:present1d`, queries.Gauge(`openai_api_key_last_used_timestamp_seconds{organization=~"$organization",project_id=~"$project",project_id!=""}`), project)
	// A table takes the queries of a project for one row where their labels are the same.
	each := func(series string) string {
		return withNamesOf("max by (organization, project_id) (" + series + project + ")")
	}
	perModel := func(expr string) string { return "sum by (model) (" + expr + ")" }
	return newDashboard(Dashboard{
		UID: "openai-reconcile", Title: "OpenAI / Reconcile",
		Description: "What OpenAI counts and charges beside what gateways and applications see in the path. Needs the rules of deploy/prometheus/reconcile.",
		Time:        timeRange{"now-24h", "now"}, Timezone: "utc", Refresh: "5m",
	}, []variable{
		choice("organization", "Organization", "organization_project_model:openai_counted_tokens:increase1d", "organization"),
		projects("organization_project_model:openai_counted_tokens:increase1d" + whose),
	},
		row{height: 4, panels: []*panel{
			stat("Unseen share", "The share of estimated dollars that no gateway has seen, of tokens alone."+day, "percentunit", "max(organization:openai_unseen_usd:share1d"+whose+")").
				limits(good, from(0.02, warning), from(0.1, bad)),
			stat("Unseen", "What no gateway has seen, by estimated prices."+day, usd, "sum(organization_project:openai_unseen_usd:increase1d"+project+")"),
			stat("Seen tokens", "Input and output tokens that gateways and applications have seen."+day, "short", "sum(organization_project_model:openai_seen_tokens:increase1d"+whose+")"),
			stat("Counted tokens", "Input and output tokens that OpenAI counts."+day, "short", "sum(organization_project_model:openai_counted_tokens:increase1d"+whose+")"),
			stat("Not compared", "Images, audio by the second, calls of tools and usage without a model, by estimated prices. Gateways do not count them."+day, usd, "sum(organization:openai_not_compared_usd:increase1d"+whose+")"),
		}},
		row{height: 9, panels: []*panel{
			table("Who is unseen", "Projects by what of them no gateway has seen. A project that is unseen as a whole has a key in use that goes past every gateway."+day, "Unseen",
				column{name: "Organization", label: "organization", width: 105},
				column{name: "Project", label: "project_id", width: 225},
				column{name: "Name", label: "project_name"},
				column{name: "Unseen", expr: each("organization_project:openai_unseen_usd:increase1d"), unit: usd, width: 105},
				column{name: "Share of it", expr: each("organization_project:openai_unseen_usd:share1d"), unit: "percentunit", width: 165, more: []property{
					{"max", 1.0}, {"min", 0.0}, {"thresholds", thresholdsOf(good, from(0.02, warning), from(0.1, bad))}, {"custom.cellOptions", map[string]any{"type": "gauge", "mode": "basic"}},
				}},
			),
			lines("Unseen share of each project", "Over time, each point of the 24 hours before it.", "percentunit",
				query{"{{project_name}}", withNamesOf("organization_project:openai_unseen_usd:share1d" + project)}).between(0, 1),
		}},
		row{height: 8, panels: []*panel{
			table("Keys past the gateways", "Keys of projects that are unseen by more than the alert's threshold, used within the last day, which no gateway says it uses. Where gateways have no label api_key_id, all keys of these projects. Needs names.", "Last use",
				column{name: "Project", label: "project_name"},
				column{name: "Key", label: "api_key_name"},
				column{name: "Key id", label: "api_key_id", width: 170},
				column{name: "Owner", label: "owner_name"},
				column{name: "Last use", expr: withNamesOf(`(`+keys+`) * on (organization, api_key_id) group_left (api_key_name, owner_name) topk by (organization, api_key_id) (1, openai_api_key_info)`) + " * 1000", unit: "dateTimeAsIso", width: 155},
			).hiding("organization", "project_id"),
			lines("Seen ÷ billed", "Tokens by model, each point of the seven days UTC before it. The bill is hours late, so a single day says little.", "percentunit",
				query{"{{model}} {{token_type}}", "min by (model, token_type) (organization_model:openai_seen_tokens:billed_share7d" + whose + ")"}).between(0, 1.2),
		}},
		row{height: 9, panels: []*panel{
			table("Models", "Seen ÷ counted, by model and kind of token; the larger side is the whole where a gateway counts more."+day, "Model",
				column{name: "Model", label: "model"},
				column{name: "Tokens", label: "token_type", width: 80},
				column{name: "Seen", expr: "sum by (model, token_type) (organization_project_model:openai_seen_tokens:increase1d" + whose + ")", unit: "short", width: 95},
				column{name: "Counted", expr: "sum by (model, token_type) (organization_project_model:openai_counted_tokens:increase1d" + whose + ")", unit: "short", width: 95},
				column{name: "Seen share", expr: "min by (model, token_type) (organization_model:openai_seen_tokens:share1d" + whose + ")", unit: "percentunit", width: 105, more: []property{{"decimals", 1}}},
				column{name: "Billed", expr: "sum by (model, token_type) (organization_model:openai_billed_tokens:increase1d" + whose + ")", unit: "short", width: 95},
				column{name: "Seen ÷ billed, 7 days", expr: "min by (model, token_type) (organization_model:openai_seen_tokens:billed_share7d" + whose + ")", unit: "percentunit", width: 165, more: []property{{"decimals", 1}}},
			).wide(13),
			ranking("Unseen dollars by model", "By estimated prices."+day, usd, 10, query{"{{model}}", perModel("organization_project_model:openai_unseen_usd:increase1d" + project)}).wide(5),
			lines("Seen tokens by way", "What each way of seeing has seen, each point of the 24 hours before it.", "short",
				query{"{{source}}", "sum by (source) (organization_project_model:openai_seen_tokens:increase1d" + whose + ")"}).numbered().wide(6),
		}},
	)
}
