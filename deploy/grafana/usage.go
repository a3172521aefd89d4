package grafana

import (
	"fmt"

	"github.com/openai-exporter/openai_exporter/deploy/queries"
)

func usage() *Dashboard {
	const (
		project = `organization=~"$organization",project_id=~"$project"`
		chosen  = project + `,model=~"$model"`
		// Only these tell the kinds of tokens apart.
		chat      = chosen + `,endpoint=~"completions|decisions"`
		rpm, tpm  = "reqpm", "si:tok/min"
		late      = " The newest quarter of an hour is still incomplete at the API."
		overlap   = "Kinds of tokens that do not overlap, of completions and decisions, the endpoints that tell them apart."
		readUntil = `openai_usage_read_through_timestamp_seconds{organization=~"$organization"}`
	)
	name := func(measure string) string { return "openai_usage_" + measure + "_total" }
	// Usage arrives once a poll and in lumps, so rates are taken over a quarter of an hour at least.
	minutely := func(measure, selector string) string {
		return "60 * " + queries.Rate(name(measure)+"{"+selector+"}", "$__rate_interval")
	}
	// A bar stands where its hour begins, so its query looks ahead.
	hourly := func(measure, selector string) string {
		return queries.IncreaseAt(name(measure)+"{"+selector+"}", "1h", "-1h")
	}
	ranged := func(measure, selector string) string {
		return queries.Increase(name(measure)+"{"+selector+"}", "$__range")
	}
	lastHour := func(measure, selector string) string {
		return queries.Increase(name(measure)+"{"+selector+"}", "1h")
	}
	total := func(expr string) string { return "sum(" + expr + ")" }
	share := func(label, cached, input string) string {
		return fmt.Sprintf("sum by (%s) (%s) / (sum by (%s) (%s) > 0)", label, cached, label, input)
	}
	kind := func(legend, measure string) query { return query{legend, total(minutely(measure, chat))} }
	perMinute := func(title, description, unit string, queries ...query) *panel {
		return stacked(title, description+late, unit, queries...).every("15m")
	}
	perHour := func(title, what, unit, measure, selector, label string) *panel {
		return bars(title, what+" One bar per hour; the last one is still growing.", unit, "1h", named(label, hourly(measure, selector)))
	}
	models := func(expr string) string { return "sum by (model) (" + expr + ") > 0" }
	cost := func(selector string) string {
		return queries.Increase("openai_estimated_cost_usd_total{"+selector+"}", "$__range")
	}
	inTokens := chosen + `,endpoint=~"completions|decisions|embeddings"`
	return newDashboard(Dashboard{
		UID: "openai-usage", Title: "OpenAI / Usage",
		Description: "Requests, tokens and everything else that OpenAI counts, by endpoint, project and model, from the Usage API.",
		Time:        timeRange{"now-24h", "now"}, Timezone: "browser", Refresh: "1m",
	}, []variable{
		choice("organization", "Organization", `openai_usage_read_through_timestamp_seconds`, "organization"),
		projects(`{__name__=~"openai_usage_.+",organization=~"$organization"}`),
		choice("model", "Model", `openai_usage_requests_total{organization=~"$organization",project_id=~"$project"}`, "model"),
	},
		row{height: 4, panels: []*panel{
			stat("Requests", "Requests to models within the time range.", "short", total(ranged("requests", chosen))),
			stat("Input tokens", "Input tokens of all modalities within the time range, cached ones included.", "short", total(ranged("input_tokens", chosen))),
			stat("Output tokens", "Output tokens of all modalities within the time range.", "short", total(ranged("output_tokens", chosen))),
			stat("Cache-hit share", "Share of the input tokens of completions and decisions that were read from the prompt cache, which are the cheap ones.", "percentunit",
				total(ranged("input_cached_tokens", chat))+" / ("+total(ranged("input_tokens", chat))+" > 0)").between(0, 1),
			stat("Models in use", "Models with at least one request within the time range.", "none", "count("+models(ranged("requests", chosen))+")"),
			stat("Newest usage", "How long ago the newest bucket ended that was read. What is newer is not known yet; the newest quarter of an hour is incomplete.", "s",
				"min(time() - "+readUntil+")").limits(good, from(900, warning), from(1800, bad)),
		}},
		row{title: "Requests per minute", height: 9, panels: []*panel{
			perMinute("Requests by endpoint", "Requests to models per minute.", rpm, named("endpoint", minutely("requests", chosen))).byEndpoint(),
			perMinute("Requests by project", "Requests to models per minute.", rpm, named("project_id", minutely("requests", chosen))),
			perMinute("Requests by model", "Requests to models per minute.", rpm, named("model", minutely("requests", chosen))),
		}},
		row{title: "Tokens per minute", height: 9, panels: []*panel{
			perMinute("Tokens by kind", overlap, tpm,
				kind("input", "input_uncached_tokens"), kind("input, cached", "input_cached_tokens"), kind("input, written to cache", "input_cache_write_tokens"), kind("output", "output_tokens"),
			).colours("input", "blue", "input, cached", "super-light-blue", "input, written to cache", "dark-blue", "output", "orange"),
			perMinute("Tokens by modality", overlap+" Cached input is counted under its modality.", tpm,
				query{"text in", both("", minutely("input_text_tokens", chat), minutely("input_cached_text_tokens", chat))},
				query{"audio in", both("", minutely("input_audio_tokens", chat), minutely("input_cached_audio_tokens", chat))},
				query{"image in", both("", minutely("input_image_tokens", chat), minutely("input_cached_image_tokens", chat))},
				kind("text out", "output_text_tokens"), kind("audio out", "output_audio_tokens"), kind("image out", "output_image_tokens"),
			).colours("text in", "blue", "audio in", "purple", "image in", "green", "text out", "orange", "audio out", "dark-purple", "image out", "dark-green"),
			lines("Cache-hit share by model", "Share of an hour's input tokens of completions and decisions that were read from the prompt cache.", "percentunit",
				query{"{{model}}", called("model", share("model", lastHour("input_cached_tokens", chat), lastHour("input_tokens", chat)))}).between(0, 1).every("15m"),
		}},
		row{height: 9, panels: []*panel{
			perMinute("Input tokens by model", "Input tokens of all modalities per minute, cached ones included.", tpm, named("model", minutely("input_tokens", chosen))),
			perMinute("Output tokens by model", "Output tokens of all modalities per minute.", tpm, named("model", minutely("output_tokens", chosen))),
			perMinute("Tokens by project", "Input and output tokens of all modalities per minute, cached ones included.", tpm,
				query{legend("project_id"), both("project_id", minutely("input_tokens", chosen), minutely("output_tokens", chosen))}),
		}},
		row{height: 10, panels: []*panel{
			table("Models", "Usage of each model within the time range, all endpoints together.", "Requests",
				column{name: "Model", label: "model"},
				column{name: "Requests", expr: models(ranged("requests", chosen)), unit: "short", width: 120},
				column{name: "Input tokens", expr: models(ranged("input_tokens", chosen)), unit: "short", width: 120},
				column{name: "Output tokens", expr: models(ranged("output_tokens", chosen)), unit: "short", width: 120},
				column{name: "Cache-hit share", expr: share("model", ranged("input_cached_tokens", chat), ranged("input_tokens", chat)), unit: "percentunit", width: 130, more: []property{{"decimals", 1}}},
				column{name: "Input per request", expr: "sum by (model) (" + ranged("input_tokens", chosen) + ") / (" + models(ranged("requests", chosen)) + ")", unit: "short", width: 140},
				column{name: "Output per request", expr: "sum by (model) (" + ranged("output_tokens", chosen) + ") / (" + models(ranged("requests", chosen)) + ")", unit: "short", width: 140},
			),
		}},
		row{title: "What it costs", height: 10, panels: []*panel{
			table("Cost by model", "By estimated prices within the time range. A request is counted with the tools that it calls. Tokens are input and output together, of completions, decisions and embeddings.", "Cost",
				column{name: "Model", label: "model"},
				column{name: "Cost", expr: models(cost(chosen)), unit: "currencyUSD", width: 110},
				column{name: "Per 1000 requests", expr: "1000 * sum by (model) (" + cost(chosen) + ") / (" + models(ranged("requests", chosen)) + ")", unit: "currencyUSD", width: 150},
				column{
					name: "Per million tokens", expr: "1e6 * sum by (model) (" + cost(inTokens) + ") / (" + both("model", ranged("input_tokens", inTokens), ranged("output_tokens", inTokens)) + " > 0)", unit: "currencyUSD", width: 150,
				},
			),
			lines("Cost of a thousand requests", "By estimated prices and model, each point of an hour. It rises with longer prompts and answers, and with a costlier tier.", "currencyUSD",
				query{"{{model}}", called("model", "1000 * sum by (model) ("+queries.Increase("openai_estimated_cost_usd_total{"+chosen+"}", "1h")+") / (sum by (model) ("+lastHour("requests", chosen)+") > 0)")}).every("15m"),
			ranking("Saved by the prompt cache", "Cached tokens on the bill, times what an uncached one would have cost more, within the time range. The bill's quantities name no project, so these are all projects. Writes to the cache are not taken off.", "currencyUSD", 10,
				query{"{{model}}", cacheSavings(`{organization=~"$organization"}`)}).wide(6),
		}},
		row{title: "Keys and users", height: 9, panels: []*panel{
			ranking("Input tokens by API key", "Within the time range. Where group_by has no api_key_id, all are none.", "short", 10, query{"{{api_key_name}}", withOwnNames("api_key", ranged("input_tokens", chosen))}),
			ranking("Output tokens by API key", "Within the time range. Where group_by has no api_key_id, all are none.", "short", 10, query{"{{api_key_name}}", withOwnNames("api_key", ranged("output_tokens", chosen))}),
			ranking("Requests by user", "Within the time range. Where group_by has no user_id, all are none.", "short", 10, query{"{{user_name}}", withOwnNames("user", ranged("requests", chosen))}),
		}},
		row{title: "Images, audio, tools and storage", height: 7, panels: []*panel{
			perHour("Images", "Images made, by model.", "short", "images", chosen, "model"),
			perHour("Characters to speech", "Characters turned into speech, by model.", "short", "characters", chosen, "model"),
			perHour("Audio transcribed", "Length of the audio transcribed, by project.", "s", "audio_seconds", chosen, "project_id"),
			stacked("Vector stores", "Bytes held in vector stores, by project. A model that is chosen above makes no difference here.", "bytes",
				named("project_id", queries.Gauge("openai_usage_vector_store_bytes{"+project+"}"))),
		}},
		row{height: 7, panels: []*panel{
			perHour("Code interpreter sessions", "Sessions, by project. A model that is chosen above makes no difference here.", "short", "code_interpreter_sessions", project, "project_id"),
			perHour("File search calls", "Calls, by project. A model that is chosen above makes no difference here.", "short", "file_search_calls", project, "project_id"),
			perHour("Web search calls", "Calls, by model.", "short", "web_search_calls", chosen, "model"),
			ranking("Age of the newest bucket", "How long ago the newest bucket ended that was read, by endpoint. Endpoints that are read in hours are an hour behind by nature.", "s", 12,
				query{"{{endpoint}}", "max by (endpoint) (time() - " + readUntil + ")"}).byEndpoint(),
		}},
	).marks()
}

// both sums two expressions, by a label if there is one. A plain plus would lose what only one of them has, and a rate over
// two names at once is refused, because the series would be the same.
func both(label, a, b string) string {
	part := fmt.Sprintf(`sum by (%s) (%s) or label_replace(sum by (%s) (%s), "part", "other", "", "")`, label, a, label, b)
	if label == "" {
		return "sum(" + part + ")"
	}
	return by(label, part)
}

// cacheSavings are dollars by model: what cached tokens of the bill would have cost uncached, less what they cost.
func cacheSavings(whose string) string {
	const kind = "organization, model, modality, service_tier, context"
	price := func(tokenType string) string {
		return `openai_effective_price_usd{unit="tokens",token_type="` + tokenType + `"}`
	}
	return fmt.Sprintf(`sum by (model) (%[1]s * on (organization, line_item, unit) group_left (model)`+
		` (max by (%[2]s) (%[3]s) - on (%[2]s) group_right () max by (line_item, unit, %[2]s) (%[4]s)))`,
		queries.Increase("openai_cost_quantity_total"+whose, "$__range"), kind, price("input"), price("cached_input"))
}

// withOwnNames sums an expression by the API keys or users of an organization, and names them: by id where the look-ups know no name.
func withOwnNames(what, expr string) string {
	sum := fmt.Sprintf("sum by (organization, %s_id) (%s)", what, expr)
	return fmt.Sprintf(`label_replace((%[2]s) * on (organization, %[1]s_id) group_left (%[1]s_name) topk by (organization, %[1]s_id) (1, openai_%[1]s_info{%[1]s_name!=""})`+
		` or on (organization, %[1]s_id) label_replace(%[2]s, "%[1]s_name", "$1", "%[1]s_id", "(.+)"), "%[1]s_name", "none", "%[1]s_name", "")`, what, sum)
}
