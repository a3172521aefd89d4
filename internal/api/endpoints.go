package api

import (
	"strings"
	"time"
)

// Scope of every usage and costs request.
const usageScope = "api.usage.read"

// Dimensions. Values are identifiers: names live on info metrics.
var (
	projectID     = Dimension{Name: "project_id", Label: "project_id", Help: "the project's id"}
	userID        = Dimension{Name: "user_id", Label: "user_id", Help: "the user's id"}
	apiKeyID      = Dimension{Name: "api_key_id", Label: "api_key_id", Help: "the API key's id"}
	model         = Dimension{Name: "model", Label: "model", Help: "the model, with its snapshot date where it has one"}
	batch         = Dimension{Name: "batch", Label: "batch", Help: "true for the Batch API, else false"}
	serviceTier   = Dimension{Name: "service_tier", Label: "service_tier", Help: "the service tier, such as default, flex or priority"}
	apiSource     = Dimension{Name: "api_source", Label: "api_source", Help: "the part of the API that was called"}
	imageSize     = Dimension{Name: "size", Label: "size", Help: "the image's size"}
	imageSource   = Dimension{Name: "source", Label: "source", Help: "image.generation, image.edit or image.variation"}
	vectorStoreID = Dimension{Name: "vector_store_id", Label: "vector_store_id", Help: "the vector store's id"}
	contextLevel  = Dimension{Name: "context_level", Label: "context_level", Help: "the search context size: low, medium or high"}
	lineItem      = Dimension{Name: "line_item", Label: "line_item", Help: "the line item, as the bill spells it"}
	quantityUnit  = Dimension{Name: "quantity_unit", Label: "unit", Help: "the unit of the quantity; absent where the bill names none"}

	// Costs know the key only from 2025-12-06 on; an earlier start_time with this grouping is a 400.
	costAPIKeyID = Dimension{Name: "api_key_id", Label: "api_key_id", Since: time.Unix(1764979200, 0).UTC(), Help: "the API key's id"}
)

// Measures. The token fields overlap: input_tokens is the whole, the others are parts and cuts of it, so they are
// separate metrics that must never be added up.
var (
	requests     = Measure{Name: MeasureRequests, Fields: []string{"num_model_requests"}, Help: "Requests made to models"}
	inputTokens  = Measure{Name: "input_tokens", Fields: []string{"input_tokens"}, Help: "Input tokens of all modalities, cached and cache-write tokens included"}
	outputTokens = Measure{Name: "output_tokens", Fields: []string{"output_tokens"}, Help: "Output tokens of all modalities"}

	completionMeasures = []Measure{
		requests,
		inputTokens,
		outputTokens,
		{Name: "input_cached_tokens", Fields: []string{"input_cached_tokens"}, Help: "Input tokens of all modalities that were read from the prompt cache; a part of input_tokens"},
		{Name: "input_uncached_tokens", Fields: []string{"input_uncached_tokens"}, Rare: true, Help: "Input tokens of all modalities that were neither read from nor written to the prompt cache; a part of input_tokens"},
		{Name: "input_cache_write_tokens", Fields: []string{"input_cache_write_tokens"}, Rare: true, Help: "Input tokens written to the prompt cache; a part of input_tokens"},
		{Name: "input_cache_write_30m_tokens", Fields: []string{"input_cache_write_30m_tokens"}, Rare: true, Help: "Input tokens written to the prompt cache for 30 minutes; a part of input_cache_write_tokens"},
		{Name: "input_cache_write_12h_tokens", Fields: []string{"input_cache_write_12h_tokens"}, Rare: true, Help: "Input tokens written to the prompt cache for 12 hours; a part of input_cache_write_tokens"},
		{Name: "input_text_tokens", Fields: []string{"input_text_tokens"}, Rare: true, Help: "Uncached text input tokens; a part of input_uncached_tokens"},
		{Name: "input_audio_tokens", Fields: []string{"input_audio_tokens"}, Rare: true, Help: "Uncached audio input tokens; a part of input_uncached_tokens"},
		{Name: "input_image_tokens", Fields: []string{"input_image_tokens"}, Rare: true, Help: "Uncached image input tokens; a part of input_uncached_tokens"},
		{Name: "input_cached_text_tokens", Fields: []string{"input_cached_text_tokens"}, Rare: true, Help: "Cached text input tokens; a part of input_cached_tokens"},
		{Name: "input_cached_audio_tokens", Fields: []string{"input_cached_audio_tokens"}, Rare: true, Help: "Cached audio input tokens; a part of input_cached_tokens"},
		{Name: "input_cached_image_tokens", Fields: []string{"input_cached_image_tokens"}, Rare: true, Help: "Cached image input tokens; a part of input_cached_tokens"},
		{Name: "output_text_tokens", Fields: []string{"output_text_tokens"}, Rare: true, Help: "Text output tokens; a part of output_tokens"},
		{Name: "output_audio_tokens", Fields: []string{"output_audio_tokens"}, Rare: true, Help: "Audio output tokens; a part of output_tokens"},
		{Name: "output_image_tokens", Fields: []string{"output_image_tokens"}, Rare: true, Help: "Image output tokens; a part of output_tokens"},
	}
)

var (
	usageWidths    = []Width{Minute, Hour, Day}
	fourDimensions = []Dimension{projectID, userID, apiKeyID, model}
	fourFilters    = []string{"project_ids", "user_ids", "api_key_ids", "models"}
)

// derived are the derived measures of an endpoint that is billed by a unit. An estimate is kept by project and model
// whatever the endpoint is grouped by, since these two are what money is asked about.
func derived(unit string) []Measure {
	return []Measure{
		{Name: MeasureEstimate, By: []string{"project_id", "model"}, Help: "Estimated cost of the counted usage in US dollars"},
		{Name: "unpriced_" + unit, By: []string{"model"}, Help: "Usage that the estimated cost leaves out because no price is known, in " + strings.ReplaceAll(unit, "_", " ")},
	}
}

// Endpoints is the table: eleven usage resources and costs.
var Endpoints = []Endpoint{
	{
		Name: "completions", Path: "organization/usage/completions", Object: "organization.usage.completions.result", Widths: usageWidths, Scope: usageScope,
		Dimensions: []Dimension{projectID, userID, apiKeyID, model, batch, serviceTier, apiSource},
		Filters:    []string{"project_ids", "user_ids", "api_key_ids", "models", "batch"},
		Measures:   completionMeasures,
		Derived:    derived("tokens"),
	},
	{
		Name: "decisions", Path: "organization/usage/decisions", Object: "organization.usage.decisions.result", Widths: usageWidths, Scope: usageScope,
		Dimensions: []Dimension{projectID, userID, apiKeyID, model, batch, serviceTier, apiSource},
		Filters:    []string{"project_ids", "user_ids", "api_key_ids", "models", "batch"},
		Measures:   completionMeasures,
		Derived:    derived("tokens"),
	},
	{
		Name: "embeddings", Path: "organization/usage/embeddings", Object: "organization.usage.embeddings.result", Widths: usageWidths, Scope: usageScope,
		Dimensions: fourDimensions, Filters: fourFilters,
		Measures: []Measure{requests, inputTokens},
		Derived:  derived("tokens"),
	},
	{
		Name: "moderations", Path: "organization/usage/moderations", Object: "organization.usage.moderations.result", Widths: usageWidths, Scope: usageScope,
		Dimensions: fourDimensions, Filters: fourFilters,
		Measures: []Measure{requests, inputTokens},
		Derived:  derived("tokens"),
	},
	{
		Name: "images", Path: "organization/usage/images", Object: "organization.usage.images.result", Widths: usageWidths, Scope: usageScope,
		Dimensions: []Dimension{projectID, userID, apiKeyID, model, imageSize, imageSource},
		Filters:    []string{"project_ids", "user_ids", "api_key_ids", "models", "sources", "sizes"},
		Measures: []Measure{
			requests,
			{Name: "images", Fields: []string{"images"}, Help: "Images generated"},
		},
		Derived: derived("images"),
	},
	{
		Name: "audio_speeches", Path: "organization/usage/audio_speeches", Object: "organization.usage.audio_speeches.result", Widths: usageWidths, Scope: usageScope,
		Dimensions: fourDimensions, Filters: fourFilters,
		Measures: []Measure{
			requests,
			{Name: "characters", Fields: []string{"characters"}, Help: "Characters turned into speech"},
		},
		Derived: derived("characters"),
	},
	{
		Name: "audio_transcriptions", Path: "organization/usage/audio_transcriptions", Object: "organization.usage.audio_transcriptions.result", Widths: usageWidths, Scope: usageScope,
		Dimensions: fourDimensions, Filters: fourFilters,
		Measures: []Measure{
			requests,
			{Name: "audio_seconds", Fields: []string{"seconds"}, Help: "Seconds of audio transcribed"},
		},
		Derived: derived("audio_seconds"),
	},
	{
		Name: "vector_stores", Path: "organization/usage/vector_stores", Object: "organization.usage.vector_stores.result", Widths: usageWidths, Scope: usageScope,
		Dimensions: []Dimension{projectID}, Filters: []string{"project_ids"},
		Stock: true,
		Measures: []Measure{
			{Name: "vector_store_bytes", Fields: []string{"usage_bytes"}, Help: "Bytes stored in vector stores, by the newest bucket that reports them"},
		},
	},
	{
		Name: "code_interpreter_sessions", Path: "organization/usage/code_interpreter_sessions", Object: "organization.usage.code_interpreter_sessions.result", Widths: usageWidths, Scope: usageScope,
		Dimensions: []Dimension{projectID}, Filters: []string{"project_ids"},
		Measures: []Measure{
			// The field was called sessions before it was renamed.
			{Name: "code_interpreter_sessions", Fields: []string{"num_sessions", "sessions"}, Help: "Code interpreter sessions"},
		},
		Derived: derived("code_interpreter_sessions"),
	},
	{
		// The path and the object disagree on the name: file_search_calls here, file_searches there.
		Name: "file_search_calls", Path: "organization/usage/file_search_calls", Object: "organization.usage.file_searches.result", Widths: usageWidths, Scope: usageScope,
		Dimensions: []Dimension{projectID, userID, apiKeyID, vectorStoreID},
		Filters:    []string{"project_ids", "user_ids", "api_key_ids", "vector_store_ids"},
		Measures: []Measure{
			{Name: "file_search_calls", Fields: []string{"num_requests"}, Help: "File search calls"},
		},
		Derived: derived("file_search_calls"),
	},
	{
		Name: "web_search_calls", Path: "organization/usage/web_search_calls", Object: "organization.usage.web_searches.result", Widths: usageWidths, Scope: usageScope,
		Dimensions: []Dimension{projectID, userID, apiKeyID, model, contextLevel, apiSource},
		Filters:    []string{"project_ids", "user_ids", "api_key_ids", "models", "context_levels"},
		Measures: []Measure{
			requests,
			{Name: "web_search_calls", Fields: []string{"num_requests"}, Help: "Web search calls"},
		},
		Derived: derived("web_search_calls"),
	},
	{
		Name: Costs, Path: "organization/costs", Object: "organization.costs.result", Widths: []Width{CostDay}, Scope: usageScope,
		Dimensions: []Dimension{projectID, lineItem, costAPIKeyID, userID, apiSource},
		Attributes: []Dimension{quantityUnit},
		Filters:    []string{"project_ids", "api_key_ids", "line_items"},
		Measures: []Measure{
			{Name: MeasureCost, Fields: []string{"amount"}, Help: "Cost in US dollars, the running UTC day included"},
			{Name: MeasureCostQuantity, Fields: []string{"quantity"}, By: []string{"line_item", "quantity_unit"}, Help: "Quantity billed, in the unit that the label unit names"},
		},
	},
}
