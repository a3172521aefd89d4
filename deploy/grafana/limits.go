package grafana

import (
	"fmt"
	"strings"

	"github.com/openai-exporter/openai_exporter/deploy/queries"
)

func limits() *Dashboard {
	const (
		whose    = `{organization=~"$organization"}`
		chosen   = `{organization=~"$organization",project_id=~"$project"}`
		usd      = "currencyUSD"
		keys     = "openai_api_key_info" + chosen
		mean     = " On average over a quarter of an hour; peaks are higher. Batches have limits of their own and are left out where batch is in group_by."
		created  = "openai_api_key_created_timestamp_seconds" + chosen
		lastUsed = "openai_api_key_last_used_timestamp_seconds" + chosen
		expires  = "openai_api_key_expires_timestamp_seconds" + whose
	)
	// What a limit of a month is measured by: the bill of the project, or where there is none of the organization.
	month := queries.Gauge("openai_cost_month_to_date_usd" + whose)
	spent := fmt.Sprintf(`(sum by (organization, project_id) (%s) or sum by (organization) (%s))`,
		queries.Gauge(`openai_cost_month_to_date_usd{organization=~"$organization",project_id!=""}`), month)
	limit := queries.Gauge("openai_spend_limit_usd" + chosen)
	ofLimit := spent + " / on (organization, project_id) " + limit
	enforcing := queries.Gauge("openai_spend_limit_enforcing" + chosen)
	perProject := func(expr string) string { return withNamesAs("whole organization", expr) }

	rate := func(measure string) string {
		return "60 * sum by (organization, project_id, model) (" + queries.Rate("openai_usage_"+measure+`_total{organization=~"$organization",project_id=~"$project",batch!="true"}`, "15m") + ")"
	}
	requests, tokens := queries.Gauge("openai_rate_limit_requests_per_minute"+chosen), queries.Gauge("openai_rate_limit_tokens_per_minute"+chosen)
	usedRequests := rate("requests") + " / on (organization, project_id, model) " + requests
	usedTokens := fmt.Sprintf(`sum by (organization, project_id, model) (%s or label_replace(%s, "of", "output", "", "")) / on (organization, project_id, model) %s`,
		rate("input_tokens"), rate("output_tokens"), tokens)
	used := fmt.Sprintf(`max by (organization, project_id, model) (%s or label_replace(%s, "of", "tokens", "", ""))`, usedRequests, usedTokens)
	var others []string
	for _, l := range [][2]string{{"requests_per_day", "requests a day"}, {"images_per_minute", "images a minute"}, {"audio_megabytes_per_minute", "MB of audio a minute"}, {"batch_input_tokens_per_day", "input tokens of batches a day"}} {
		others = append(others, fmt.Sprintf(`label_replace(%s, "limit", %q, "", "")`, queries.Gauge("openai_rate_limit_"+l[0]+chosen), l[1]))
	}

	idle := "(time() - " + queries.Gauge(lastUsed) + ")"
	key := func(expr string) string {
		return withNamesAs("admin key", fmt.Sprintf(`(%s) * on (organization, api_key_id) group_left (api_key_name, owner_type, owner_name) topk by (organization, api_key_id) (1, openai_api_key_info)`, expr))
	}
	bar := []property{{"max", 1.0}, {"min", 0.0}, {"thresholds", thresholdsOf(good, from(0.8, warning), from(1, bad))}, {"custom.cellOptions", map[string]any{"type": "gauge", "mode": "basic"}}}
	return newDashboard(Dashboard{
		UID: "openai-limits", Title: "OpenAI / Limits and keys",
		Description: "How much of OpenAI's own limits is used, whether any is enforced, and which API keys expire or are not used any more.",
		Time:        timeRange{"now-24h", "now"}, Timezone: "browser", Refresh: "1m",
	}, []variable{
		choice("organization", "Organization", `openai_usage_read_through_timestamp_seconds`, "organization"),
		projects(`{__name__=~"openai_usage_requests_total|openai_api_key_info|openai_spend_limit_usd",project_id!="",organization=~"$organization"}`),
	},
		row{height: 4, panels: []*panel{
			stat("Fullest spend limit", "The largest share that is billed of a spend limit of the running UTC month, of a project or of an organization.", "percentunit", "max("+ofLimit+")").
				limits(good, from(0.8, warning), from(1, bad)),
			stat("Enforced", "Projects and organizations whose requests OpenAI refuses because a spend limit is reached.", "none", "sum("+enforcing+")").limits(good, from(1, bad)),
			stat("Fullest rate limit", "The largest share that is used of a model's requests or tokens per minute."+mean, "percentunit", "max("+used+")").
				limits(good, from(0.8, warning), from(1, bad)),
			stat("API keys", "Keys that exist, admin keys included.", "none", "count("+queries.Gauge(keys)+")"),
			stat("Next expiry", "How long until the first key expires. The API says so only for admin keys, which follow no choice of a project.", "s", "min("+queries.Gauge(expires)+") - time()").
				limits(bad, from(7*86400, warning), from(30*86400, good)),
			stat("Oldest key", "How long ago the oldest key was made that exists. Keys are best replaced now and then.", "s", "time() - min("+queries.Gauge(created)+")").limits(neutral, from(365*86400, warning)),
			stat("Idle keys", "Keys whose last use is more than 90 days ago.", "none", "count("+idle+" > 90 * 86400) or vector(0)").limits(good, from(1, warning)),
		}},
		row{title: "Spend limits", height: 9, panels: []*panel{
			table("Spend limits of the month", "Limits that are set at OpenAI, the fullest first. A limit of the whole organization names no project. What is billed lags some hours behind what is used; budgets count what is not billed yet.", "Spent of it",
				column{name: "Organization", label: "organization", width: 130},
				column{name: "Project", label: "project_name"},
				column{name: "Project id", label: "project_id", width: 250},
				column{name: "Limit", expr: perProject(limit), unit: usd, width: 110},
				column{name: "Billed", expr: perProject(spent + " and on (organization, project_id) " + limit), unit: usd, width: 110},
				column{name: "Spent of it", expr: perProject(ofLimit), unit: "percentunit", width: 190, more: bar},
				column{name: "Refused", expr: perProject(enforcing), width: 100, more: []property{{"mappings", refusals}}},
			).wide(15),
			lines("Spent of each limit", "The share that is billed. It starts over with each UTC month.", "percentunit", query{"{{project_name}}", perProject(ofLimit)}),
		}},
		row{title: "Rate limits", height: 9, panels: []*panel{
			lines("Used of requests per minute", "By project and model, where a limit is set."+mean, "percentunit", query{"{{project_name}} {{model}}", perProject("topk(10, " + usedRequests + ")")}).every("15m"),
			lines("Used of tokens per minute", "Input and output tokens together, by project and model, where a limit is set."+mean, "percentunit", query{"{{project_name}} {{model}}", perProject("topk(10, " + usedTokens + ")")}).every("15m"),
		}},
		row{height: 10, panels: []*panel{
			table("Rate limits in use", "Models that are used, the fullest first, with what is allowed."+mean, "Requests of it",
				column{name: "Organization", label: "organization", width: 130},
				column{name: "Project", label: "project_name"},
				column{name: "Project id", label: "project_id", width: 250},
				column{name: "Model", label: "model"},
				column{name: "Requests a minute", expr: perProject(requests), unit: "short", width: 140},
				column{name: "Requests of it", expr: perProject(usedRequests), unit: "percentunit", width: 150, more: bar},
				column{name: "Tokens a minute", expr: perProject(tokens), unit: "short", width: 130},
				column{name: "Tokens of it", expr: perProject(usedTokens), unit: "percentunit", width: 150, more: bar},
			).wide(15),
			table("Other limits", "Limits that are not of requests or tokens per minute, of models that are used.", "Limit",
				column{name: "Organization", label: "organization", width: 110},
				column{name: "Project", label: "project_name"},
				column{name: "Project id", label: "project_id", width: 120},
				column{name: "Model", label: "model"},
				column{name: "Of", label: "limit"},
				column{name: "Limit", expr: perProject(strings.Join(others, " or ")), unit: "short", width: 100},
			),
		}},
		row{title: "Keys", height: 11, panels: []*panel{
			table("Keys by last use", "Every key, the one that was idle for the longest first. A key that was never used has no last use and stands before them; a deleted key is not here. Only admin keys are known to expire, and they follow no choice of a project. A key that is not needed is best deleted at OpenAI.", "Idle",
				column{name: "Organization", label: "organization", width: 130},
				column{name: "Project", label: "project_name"},
				column{name: "Project id", label: "project_id", width: 120},
				column{name: "Key", label: "api_key_name"},
				column{name: "Key id", label: "api_key_id", width: 190},
				column{name: "Owner", label: "owner_name"},
				column{name: "Kind of owner", label: "owner_type", width: 120},
				column{name: "Made", expr: key(queries.Gauge(created)) + " * 1000", unit: "dateTimeAsIso", width: 170},
				column{name: "Last use", expr: key(queries.Gauge(lastUsed)) + " * 1000", unit: "dateTimeAsIso", width: 170},
				column{name: "Idle", expr: key(idle), unit: "s", width: 110, more: []property{{"thresholds", thresholdsOf("text", from(90*86400, warning))}, {"custom.cellOptions", map[string]any{"type": "color-text"}}}},
				column{name: "Expires", expr: key(queries.Gauge(expires)) + " * 1000", unit: "dateTimeAsIso", width: 170},
			),
		}},
	)
}

// refusals are words for an enforced limit.
var refusals = []any{map[string]any{"type": "value", "options": map[string]any{
	"0": map[string]any{"text": "no", "color": good, "index": 0},
	"1": map[string]any{"text": "yes", "color": bad, "index": 1},
}}}
