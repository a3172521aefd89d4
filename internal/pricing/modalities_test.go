package pricing_test

import (
	"testing"

	"github.com/openai-exporter/openai_exporter/internal/pricing"
)

func TestTokensThatDoNotSayWhatTheyAreAreWhatTheModelMakes(t *testing.T) {
	p := pricing.New(pricing.Options{At: now})
	for _, s := range []sale{
		// 28 tokens of text make an image of 1056.
		{"completions", model("gpt-image-1.5"), used{"input_tokens": 28, "output_tokens": 1056}, "0.033932", 0, ""},
		{"completions", model("gpt-image-1.5-2025-12-16"), used{"output_tokens": million, "output_text_tokens": 400_000}, "23.2", 0, ""},
		{"completions", model("gpt-image-1.5"), used{"output_tokens": million, "output_text_tokens": 400_000, "output_image_tokens": 600_000}, "23.2", 0, ""},
		{"completions", model("gpt-image-1"), used{"output_tokens": million}, "40", 0, ""},
		{"completions", model("gpt-image-2"), used{"output_tokens": million}, "30", 0, ""},
		{"completions", model("gpt-image-2.6"), used{"output_tokens": million}, "30", 0, ""},
		{"completions", model("gpt-5.4"), used{"output_tokens": million}, "15", 0, ""},
		{"completions", model("gpt-4o-audio-preview"), used{"input_tokens": million, "input_audio_tokens": million}, "40", 0, ""},
		{"completions", model("gpt-4o-audio-preview-2025-06-03"), used{"output_tokens": million, "output_audio_tokens": million}, "80", 0, ""},
		{"completions", model("gpt-4o-mini-audio-preview"), used{"input_tokens": million, "input_audio_tokens": million}, "10", 0, ""},
	} {
		s.check(t, p)
	}
	learned := pricing.New(pricing.Options{At: now, Learned: pricing.Learn([]pricing.Charge{
		charge(t, now, "gpt-image-1.5 image, output", "tokens", "28", "1000000"),
		charge(t, now, "gpt-image-1.5 text, output", "tokens", "9", "1000000"),
	})})
	sale{"completions", model("gpt-image-1.5"), used{"output_tokens": million}, "28", 0, "builtin"}.check(t, learned)
}

func TestSoundIsNeverPricedAsText(t *testing.T) {
	p := pricing.New(pricing.Options{At: now, File: parseList(t, models(
		`{"id": "gpt-4o-audio-preview", "match": {"equals": "gpt-4o-audio-preview"}, "prices": {"input_mtok": 2}}`,
		`{"id": "gpt-9-audio", "match": {"equals": "gpt-9-audio"}, "prices": {"input_mtok": 2}}`))})
	heard := used{"input_tokens": 2 * million, "input_audio_tokens": million}
	sale{"completions", model("gpt-4o-audio-preview"), heard, "42", 0, ""}.check(t, p)
	sale{"completions", model("gpt-9-audio"), heard, "2", million, ""}.check(t, p)
}

// TestATierLearnsFromAnotherThatModalitiesAreApart: a price of the bill that names no modality is that of text, where
// another tier of the model has one of sound.
func TestATierLearnsFromAnotherThatModalitiesAreApart(t *testing.T) {
	l := pricing.Learn([]pricing.Charge{
		charge(t, now, "gpt-9-audio text, input", "tokens", "2", "1000000"),
		charge(t, now, "gpt-9-audio audio, input", "tokens", "40", "1000000"),
		charge(t, now, "batch | gpt-9-audio, input", "tokens", "1", "1000000"),
	})
	p := pricing.New(pricing.Options{Learned: l, At: now})
	batch := pricing.Labels{Model: "gpt-9-audio", Batch: "true", TierKnown: true}
	sale{"completions", batch, used{"input_tokens": million}, "1", 0, ""}.check(t, p)
	sale{"completions", batch, used{"input_tokens": million, "input_audio_tokens": million}, "20", 0, ""}.check(t, p)
}
