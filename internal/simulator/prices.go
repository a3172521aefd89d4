package simulator

// A pricedModel is a model as the bill spells it, with its prices in 10⁻¹² USD a token. One USD per million tokens is
// 10⁶ of them.
type pricedModel struct {
	name               string // in usage
	bill               string // in line items, which drop or shorten some names
	text, audio, image modality
	// free is the share of tokens, in 1024ths, that the organization gets for nothing.
	free int64
	// unitless bills carry no quantity_unit.
	unitless bool
	suffix   string // of the kinds, for models whose line items are spelled after the field
}

type modality struct{ input, cached, write, output int64 }

// usd returns a price of so many thousandths of a USD per million tokens.
func usd(milli int64) int64 { return milli * 1000 }

// discount is what the organization pays of the list price, in thousandths.
const discount = 930

// models are list prices of 2026-08, from the price list of pydantic/genai-prices (MIT licence). Prices that it does
// not have (image and realtime-1.5 tokens, gpt-6-astra) are made up in the same range: the simulator's bill has to
// agree with its own usage, not with a price page.
var models = []pricedModel{
	{name: "gpt-5.6-sol", bill: "gpt-5.6-sol", text: modality{usd(5000), usd(500), usd(6250), usd(30000)}},
	{name: "gpt-5.6-terra", bill: "gpt-5.6-terra", text: modality{usd(2500), usd(250), usd(3125), usd(15000)}},
	{name: "gpt-5.6-luna", bill: "gpt-5.6-luna", text: modality{usd(1000), usd(100), usd(1250), usd(6000)}, free: 300},
	{name: "gpt-5.4-2026-03-05", bill: "gpt-5.4-2026-03-05", text: modality{usd(2500), usd(250), 0, usd(15000)}},
	{name: "gpt-5.4-mini-2026-03-17", bill: "gpt-5.4-mini-2026-03-17", text: modality{usd(750), usd(75), 0, usd(4500)}},
	{name: "gpt-5.4-nano-2026-03-17", bill: "gpt-5.4-nano-2026-03-17", text: modality{usd(200), usd(20), 0, usd(1250)}},
	{name: "gpt-5-mini-2025-08-07", bill: "gpt-5-mini-2025-08-07", text: modality{usd(250), usd(25), 0, usd(2000)}},
	{name: "gpt-4o-2024-08-06", bill: "gpt-4o-2024-08-06", text: modality{usd(2500), usd(1250), 0, usd(10000)}},
	{name: "gpt-4o-mini-2024-07-18", bill: "gpt-4o-mini-2024-07-18", text: modality{usd(150), usd(75), 0, usd(600)}, unitless: true},
	{name: "o1-pro", bill: "o1-pro", text: modality{usd(150000), 0, 0, usd(600000)}},
	{name: "gpt-audio-mini-2025-12-15", bill: "gpt-audio-mini-2025-12-15", text: modality{usd(600), 0, 0, usd(2400)}, audio: modality{usd(10000), 0, 0, usd(20000)}},
	{name: "gpt-realtime-1.5", bill: "gpt-realtime-1.5", text: modality{usd(4000), usd(400), 0, usd(16000)}, audio: modality{usd(32000), usd(400), 0, usd(64000)}},
	{name: "gpt-image-1-2025-04-23", bill: "gpt-image-1", text: modality{usd(5000), usd(1250), 0, 0}, image: modality{usd(10000), usd(2500), 0, usd(40000)}},
	{name: "gpt-6-astra", bill: "gpt-6-astra", text: modality{usd(8000), usd(800), usd(10000), usd(40000)}, suffix: "_tokens"},
	{name: "text-embedding-3-small", bill: "text-embedding-3-small", text: modality{input: usd(20)}},
	{name: "text-embedding-3-large", bill: "text-embedding-3-large", text: modality{input: usd(130)}},
	{name: "", bill: "", text: modality{usd(2500), usd(1250), 0, usd(10000)}, suffix: "_tokens"},
}

func findModel(name string) *pricedModel {
	for i := range models {
		if models[i].name == name {
			return &models[i]
		}
	}
	return nil
}

// A product is what is billed by something else than tokens: its line item, unit, and price in 10⁻¹² USD per leafUnits.
type product struct {
	line, unit string
	price      int64
}

// products go by endpoint and, where that is not enough, model. Prices are OpenAI's published list prices.
var products = map[string]product{
	"images dall-e-3":                {"Image models", "images", 40_000_000_000},
	"audio_speeches tts-1-hd":        {"tts hd", "characters", 30_000_000},
	"audio_transcriptions whisper-1": {"whisper", "duration_seconds", 100_000_000},
	"vector_stores ":                 {"assistants api | file search", "gibibyte_hours", 4_166_666_667},
	"code_interpreter_sessions ":     {"code interpreter sessions", "others", 30_000_000_000},
	"file_search_calls ":             {"file search tool calls", "", 2_500_000_000},
	"web_search_calls ":              {"web search tool calls", "", 10_000_000_000},
}
