package pricing_test

import (
	"encoding/json"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/openai-exporter/openai_exporter/internal/decimal"
	"github.com/openai-exporter/openai_exporter/internal/pricing"
)

func fixed(t testing.TB, s string) decimal.Fixed {
	t.Helper()
	f, err := decimal.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// charge is a row of the bill of the day that a time lies in.
func charge(t testing.TB, at time.Time, item, unit, usd, quantity string) pricing.Charge {
	t.Helper()
	return pricing.Charge{Day: at.Truncate(24 * time.Hour), LineItem: item, Unit: unit, USD: fixed(t, usd), Quantity: fixed(t, quantity)}
}

// effective are the prices by line item and unit.
func effective(l *pricing.Learned) map[string]string {
	out := map[string]string{}
	for _, e := range l.Effective() {
		out[e.LineItem+" / "+e.Unit] = e.USD.String()
	}
	return out
}

func TestAPriceIsWhatWasPaidOverTheNewestDaysWithAQuantity(t *testing.T) {
	ago := func(days int) time.Time { return now.AddDate(0, 0, -days) }
	l := pricing.Learn([]pricing.Charge{
		charge(t, ago(9), "gpt-5.4, input", "tokens", "1000", "1000000"), // The fourth day with a quantity: too old.
		charge(t, ago(7), "gpt-5.4, input", "tokens", "1", "1000000"),
		charge(t, ago(4), "gpt-5.4, input", "tokens", "2.08", "2000000"),
		charge(t, ago(4), "gpt-5.4, input", "tokens", "0", "9000000"),  // What is free is no price.
		charge(t, ago(2), "gpt-5.4, input", "tokens", "0", "0"),        // A day without a quantity is no day.
		charge(t, ago(2), "gpt-5.4, input", "tokens", "-5", "1000000"), // A credit is no price,
		charge(t, ago(2), "gpt-5.4, input", "tokens", "5", "-1000000"), // nor is a correction.
		charge(t, ago(1), "gpt-5.4, input", "tokens", "1", "1000000"),
		charge(t, ago(1), "", "", "-100", "0"),
		charge(t, ago(0), "", "", "-100", "0"),
	})
	want := map[string]string{"gpt-5.4, input / tokens": "0.00000102"} // 4.08 USD for 4 million
	if diff := cmp.Diff(want, effective(l)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got, want := l.Through(), ago(1).Truncate(24*time.Hour).Add(24*time.Hour); !got.Equal(want) {
		t.Errorf("learned through %s, want %s", got, want)
	}
	sale{"completions", model("gpt-5.4"), used{"input_tokens": million}, "1.02", 0, ""}.check(t, pricing.New(pricing.Options{Learned: l, At: now}))
}

// TestANameWithoutADateCostsWhatItsNewestSnapshotDoes: usage may name a model without the date that the bill names.
func TestANameWithoutADateCostsWhatItsNewestSnapshotDoes(t *testing.T) {
	for range 20 { // Maps have no order.
		learnedMillion(t, []pricing.Charge{
			charge(t, now, "gpt-9-2026-05-01, input", "tokens", "3", "1000000"),
			charge(t, now, "gpt-9-2026-09-01, input", "tokens", "2", "1000000"),
			charge(t, now, "gpt-9-2025-12-31, input", "tokens", "5", "1000000"),
		}, "2", 0)
	}
}

func TestUnitsOfTheBillAreBroughtToThoseOfUsage(t *testing.T) {
	l := pricing.Learn([]pricing.Charge{
		charge(t, now, "gpt-5.4, input", "1000_tokens", "2", "1000"),
		charge(t, now, "gpt-5.4, input", "tokens", "2", "1000000"),
		charge(t, now, "gpt-5.4, output", "", "15", "1000000"),
		charge(t, now, "whisper", "duration_minutes", "0.6", "100"),
		charge(t, now, "whisper", "duration_hours", "0.36", "1"),
		charge(t, now, "tts hd", "characters", "3", "100000"),
		charge(t, now, "Image models", "images", "1", "50"),
		charge(t, now, "file search tool calls", "", "5", "2000"),
		charge(t, now, "web search tool calls", "others", "5", "1000"),
		charge(t, now, "assistants api | file search", "gibibyte_hours", "1", "240"),
		charge(t, now, "Vector storage", "gibibyte_hours", "1", "240"),
		charge(t, now, "gpt-4o-transcribe, input", "duration_seconds", "1", "10000"),
		// A number of nothing could be minutes or seconds, and a text isn't measured in images.
		charge(t, now, "tts", "duration_seconds", "9", "9"),
		charge(t, now, "gpt-5.4, cached input", "images", "9", "9"),
		charge(t, now, "gpt-5.4, cached input", "others", "9", "9"),
	})
	p := pricing.New(pricing.Options{Learned: l, At: now})
	for _, s := range []sale{
		{"completions", model("gpt-5.4"), used{"input_tokens": million, "output_tokens": million}, "17", 0, "bill"},
		{"completions", model("gpt-5.4"), used{"input_tokens": million, "input_cached_tokens": million}, "0.25", 0, ""},
		{"audio_transcriptions", model("whisper-1"), used{"audio_seconds": 3600}, "0.36", 0, "bill"},
		{"audio_transcriptions", model("gpt-4o-transcribe"), used{"audio_seconds": 60}, "0.006", 0, "bill"},
		{"audio_speeches", model("tts-1-hd"), used{"characters": million}, "30", 0, "bill"},
		{"audio_speeches", model("tts-1"), used{"characters": million}, "15", 0, "builtin"},
		{"images", model("dall-e-2"), used{"images": 100}, "2", 0, "bill"},
		{"images", model("gpt-image-1"), used{"images": 100}, "0", 0, "builtin"},
		{"file_search_calls", pricing.Labels{}, used{"file_search_calls": 1000}, "2.5", 0, "bill"},
		{"web_search_calls", model("gpt-5.4"), used{"web_search_calls": 1000}, "5", 0, "bill"},
	} {
		s.check(t, p)
	}
	if diff := cmp.Diff([]string{"gpt-5.4, cached input", "tts"}, l.Unparsed()); diff != "" {
		t.Errorf("not learned from (-want +got):\n%s", diff)
	}
}

func TestAnAmountMayComeApartFromItsQuantity(t *testing.T) {
	l := pricing.Learn([]pricing.Charge{
		charge(t, now, "gpt-5.4, input", "", "1", "0"), // of one project
		charge(t, now, "gpt-5.4, input", "", "3", "0"), // of another
		charge(t, now, "gpt-5.4, input", "tokens", "0", "1000000"),
		charge(t, now, "gpt-5.4, input", "1000_tokens", "0", "1000"),
		charge(t, now, "whisper", "", "6", "0"),
		charge(t, now, "whisper", "duration_minutes", "0", "1000"),
		charge(t, now.AddDate(0, 0, -1), "whisper", "", "6", "0"), // No quantity, no day.
	})
	want := map[string]string{"gpt-5.4, input / tokens": "0.000002", "gpt-5.4, input / 1000_tokens": "0.002", "whisper / duration_minutes": "0.006"}
	if diff := cmp.Diff(want, effective(l)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := l.Unparsed(); len(got) > 0 {
		t.Errorf("not understood: %q", got)
	}
	p := pricing.New(pricing.Options{Learned: l, At: now})
	sale{"completions", model("gpt-5.4"), used{"input_tokens": million}, "2", 0, ""}.check(t, p)
	sale{"audio_transcriptions", model("whisper-1"), used{"audio_seconds": 600}, "0.06", 0, "bill"}.check(t, p)
}

func TestAnAmountForUnitsThatHaveNothingInCommonIsNoPriceOfEither(t *testing.T) {
	l := pricing.Learn([]pricing.Charge{
		charge(t, now, "gpt-5.4, input", "", "4", "0"),
		charge(t, now, "gpt-5.4, input", "tokens", "0", "1000000"),
		charge(t, now, "gpt-5.4, input", "images", "0", "10"),
	})
	if got := effective(l); len(got) > 0 {
		t.Errorf("effective prices %v", got)
	}
	if diff := cmp.Diff([]string{"gpt-5.4, input"}, l.Unparsed()); diff != "" {
		t.Errorf("not learned from (-want +got):\n%s", diff)
	}
	sale{"embeddings", model("gpt-5.4"), used{"input_tokens": million}, "2.5", 0, "builtin"}.check(t, pricing.New(pricing.Options{Learned: l, At: now}))
}

func TestTiersAreLearnedApartAndBlendedWhereUsageDoesNotTellThem(t *testing.T) {
	l := pricing.Learn([]pricing.Charge{
		charge(t, now, "gpt-5.4, input", "tokens", "2", "1000000"),
		charge(t, now, "gpt-5.4, input, long context", "tokens", "4", "1000000"),
		charge(t, now, "evals | gpt-5.4, input", "tokens", "3", "1000000"),
		charge(t, now, "batch | gpt-5.4, input", "tokens", "2", "2000000"),
		charge(t, now, "priority | gpt-5.4, input", "tokens", "7", "1000000"),
		charge(t, now, "flex | gpt-5.4", "tokens", "700", "1000000"), // Input or output? Nobody knows.
		charge(t, now, "batch | gpt-5.4, output", "tokens", "3", "1000000"),
		charge(t, now, "batch | text-embedding-3-small, input", "tokens", "1", "100000000"),
		charge(t, now, "text-embedding-3-small, input", "tokens", "2", "100000000"),
	})
	p := pricing.New(pricing.Options{Learned: l, At: now})
	in := used{"input_tokens": million}
	for _, s := range []sale{
		{"completions", pricing.Labels{Model: "gpt-5.4", TierKnown: true}, in, "3", 0, "bill"},
		{"completions", pricing.Labels{Model: "gpt-5.4", ServiceTier: "default", Batch: "false", TierKnown: true}, in, "3", 0, ""},
		{"completions", pricing.Labels{Model: "gpt-5.4", Batch: "true", ServiceTier: "default", TierKnown: true}, in, "1", 0, ""},
		{"completions", pricing.Labels{Model: "gpt-5.4", ServiceTier: "priority", TierKnown: true}, in, "7", 0, ""},
		// The bill has not taught flex, which is half of what standard was really paid.
		{"completions", pricing.Labels{Model: "gpt-5.4", ServiceTier: "flex", TierKnown: true}, in, "1.5", 0, ""},
		{"completions", pricing.Labels{Model: "gpt-5.4"}, in, "3", 0, ""},
		{"completions", pricing.Labels{Model: "gpt-5.4", Batch: "true", TierKnown: true}, used{"output_tokens": million}, "3", 0, ""},
		{"completions", pricing.Labels{Model: "gpt-5.4", TierKnown: true}, used{"output_tokens": million}, "15", 0, ""},
		// Embeddings never say how they were served.
		{"embeddings", model("text-embedding-3-small"), in, "0.015", 0, "bill"},
	} {
		s.check(t, p)
	}
}

func TestTheNamesOfUsageAreFoundOnTheBill(t *testing.T) {
	l := pricing.Learn([]pricing.Charge{
		charge(t, now, "gpt-image-1 text, input", "tokens", "1", "1000000"),
		charge(t, now, "gpt-image-1 image, input", "tokens", "2", "1000000"),
		charge(t, now, "gpt-image-1 image, output", "tokens", "3", "1000000"),
		charge(t, now, "o1, output", "tokens", "4", "1000000"),
		charge(t, now, "ft-gpt-4.1-mini-2025-04-14, output", "tokens", "5", "1000000"),
		charge(t, now, "gpt-4.1-mini-2025-04-14, output", "tokens", "6", "1000000"),
		charge(t, now, "gpt-4o-2024-05-13, output", "tokens", "7", "1000000"),
		charge(t, now, "gpt-4o-2024-08-06, output", "tokens", "8", "1000000"),
		charge(t, now, "gpt-7-mini, output", "tokens", "9", "1000000"),
		charge(t, now, "gpt-8 audio, output", "tokens", "10", "1000000"),
		charge(t, now, "batch | gpt-8 text, input", "tokens", "11", "1000000"),
	})
	p := pricing.New(pricing.Options{Learned: l, At: now})
	out := used{"output_tokens": million}
	for _, s := range []sale{
		{"completions", model("gpt-image-1-2025-04-23"), used{"input_tokens": 2 * million, "input_image_tokens": million, "output_tokens": million, "output_image_tokens": million}, "6", 0, "bill"},
		{"completions", model("o1-2024-12-17"), out, "4", 0, ""},
		{"completions", model("o1-pro"), out, "600", 0, "builtin"},
		{"completions", model("o1-ultra"), out, "0", million, "none"},
		{"completions", model("ft:gpt-4.1-mini-2025-04-14:acme::ab12"), out, "5", 0, ""},
		{"completions", model("ft:gpt-4.1-mini-2025-04-14:acme:support:ab12:ckpt-step-90"), out, "5", 0, ""},
		{"completions", model("ft-gpt-4.1-mini-2025-04-14"), out, "5", 0, ""},
		{"completions", model("ft:gpt-7-mini:acme::ab12"), out, "0", million, "none"},
		{"completions", model("gpt-4.1-mini"), out, "6", 0, ""},
		{"completions", model("gpt-4o-2024-05-13"), out, "7", 0, ""},
		{"completions", model("gpt-4o"), out, "8", 0, ""},                 // The newest snapshot.
		{"completions", model("gpt-4o-2024-11-20"), out, "10", 0, ""},     // Another snapshot's price is another price.
		{"completions", model("gpt-7"), out, "0", million, "none"},        // Nor is a shorter name the same,
		{"completions", model("gpt-7-mini-x"), out, "0", million, "none"}, // or a longer one.
		// A model whose modalities have prices of their own has none for those that are missing.
		{"completions", model("gpt-8"), out, "0", million, ""},
		{"completions", pricing.Labels{Model: "gpt-8", Batch: "true"}, used{"input_tokens": 3, "input_audio_tokens": 2}, "0.000011", 2, ""},
	} {
		s.check(t, p)
	}
}

func TestARealBillIsLearned(t *testing.T) {
	b, err := os.ReadFile("testdata/bill.json")
	if err != nil {
		t.Fatal(err)
	}
	var page struct {
		Data []struct {
			Start   int64 `json:"start_time"`
			Results []struct {
				Amount   struct{ Value json.Number }
				Item     string `json:"line_item"`
				Quantity json.Number
				Unit     string `json:"quantity_unit"`
			}
		}
	}
	if err := json.Unmarshal(b, &page); err != nil {
		t.Fatal(err)
	}
	var charges []pricing.Charge
	for _, d := range page.Data {
		for _, r := range d.Results {
			charges = append(charges, charge(t, time.Unix(d.Start, 0), r.Item, r.Unit, r.Amount.Value.String(), r.Quantity.String()))
		}
	}
	l := pricing.Learn(charges)
	want := map[string]string{
		"gpt-4o-mini-2024-07-18, input / ":              "0.00000015",
		"gpt-4o-mini-2024-07-18, output / ":             "0.0000006",
		"gpt-5.6-luna, cache writes / tokens":           "0.00000025",
		"gpt-5.6-luna, output / tokens":                 "0.0000012",
		"gpt-image-2-2026-04-21 image, output / tokens": "0.00003",
	}
	if diff := cmp.Diff(want, effective(l)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := l.Unparsed(); len(got) > 0 {
		t.Errorf("not understood: %q", got)
	}
	p := pricing.New(pricing.Options{Learned: l, At: now})
	for _, s := range []sale{
		{"completions", model("gpt-image-2"), used{"output_tokens": 1756, "output_image_tokens": 1756, "input_tokens": 31}, "0.052835", 0, "builtin"},
		{"completions", model("gpt-4o-mini-2024-07-18"), used{"input_tokens": 17, "output_tokens": 36}, "0.00002415", 0, "bill"},
	} {
		s.check(t, p)
	}
}

func TestAnOrganizationWithoutABillHasNothingLearned(t *testing.T) {
	for _, l := range []*pricing.Learned{nil, pricing.Learn(nil)} {
		if len(l.Effective()) > 0 || len(l.Unparsed()) > 0 || !l.Through().IsZero() {
			t.Errorf("learned %v, %v, %s", l.Effective(), l.Unparsed(), l.Through())
		}
		if at := pricing.New(pricing.Options{Learned: l}).Time(pricing.SourceBill); !at.IsZero() {
			t.Errorf("the bill's prices date from %s", at)
		}
	}
}

func TestWhatTheGrammarDoesNotKnowIsNamedAndStillHasAnEffectivePrice(t *testing.T) {
	l := pricing.Learn([]pricing.Charge{
		charge(t, now, "robot hours", "duration_hours", "30", "2"),
		charge(t, now, "robot hours", "duration_minutes", "30", "60"),
		charge(t, now, "a fee", "", "30", "0"),
	})
	if diff := cmp.Diff([]string{"a fee", "robot hours"}, l.Unparsed()); diff != "" {
		t.Errorf("not understood (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{"robot hours / duration_hours": "15", "robot hours / duration_minutes": "0.5"}, effective(l)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestWhatALineItemSaysStandsBesideItsPrice(t *testing.T) {
	charges := []pricing.Charge{}
	want := map[string]pricing.Says{
		"gpt-5.4, input":                               {Model: "gpt-5.4", TokenType: "input"},
		"gpt-5.4, cached input":                        {Model: "gpt-5.4", TokenType: "cached_input"},
		"gpt-5.4, cache writes 12h":                    {Model: "gpt-5.4", TokenType: "cache_write"},
		"batch | gpt-5.4-2026-01-01, output":           {Model: "gpt-5.4-2026-01-01", TokenType: "output", ServiceTier: "batch"},
		"fast | gpt-5.4, input, long context":          {Model: "gpt-5.4", TokenType: "input", ServiceTier: "priority", Context: "long"},
		"evals | gpt-realtime-2.1 audio, output":       {Model: "gpt-realtime-2.1", TokenType: "output", Modality: "audio"},
		"ultrafast | gpt-6.2-sol, input_cached_tokens": {Model: "gpt-6.2-sol", TokenType: "cached_input", ServiceTier: "ultrafast"},
		"whisper":                   {Model: "whisper-1"},
		"web search tool calls":     {},
		"regional | gpt-5.4, input": {}, // Not known, so nothing is made of it.
	}
	for name := range want {
		charges = append(charges, charge(t, now, name, "", "1", "1"))
	}
	got := map[string]pricing.Says{}
	for _, p := range pricing.Learn(charges).Effective() {
		got[p.LineItem] = p.Says
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
