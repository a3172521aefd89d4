package pricing_test

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/openai-exporter/openai_exporter/internal/pricing"
)

// prices are US dollars for a million tokens each; "-" stands for no price.
type prices struct{ in, cached, write, write12h, out string }

func (want prices) check(t *testing.T, p *pricing.Prices, m string) {
	t.Helper()
	e := endpoint(t, "completions")
	for _, c := range []struct {
		kind, want string
		used       used
	}{
		{"input", want.in, used{"input_tokens": million}},
		{"cached input", want.cached, used{"input_tokens": million, "input_cached_tokens": million}},
		{"cache write", want.write, used{"input_tokens": million, "input_cache_write_tokens": million}},
		{"cache write of 12 hours", want.write12h, used{"input_tokens": million, "input_cache_write_tokens": million, "input_cache_write_12h_tokens": million}},
		{"output", want.out, used{"output_tokens": million}},
	} {
		usd, unpriced := p.Row(e, model(m), c.used.row(t, e))
		got := usd.String()
		if !unpriced.IsZero() {
			got = "-"
		}
		if got != c.want {
			t.Errorf("%s of %s costs %s, want %s", c.kind, m, got, c.want)
		}
	}
}

func TestTheBuiltinPricesAreThoseThatOpenAIPublishes(t *testing.T) {
	p := pricing.New(pricing.Options{At: now})
	for m, want := range map[string]prices{
		"gpt-5.6-luna":           {"0.2", "0.02", "0.25", "0.5", "1.2"},
		"gpt-5.6-terra":          {"2", "0.2", "2.5", "5", "12"},
		"gpt-5.6-sol":            {"4", "0.4", "5", "10", "20"},
		"gpt-6.2-sol":            {"2", "0.1", "2.5", "5", "10"},
		"gpt-6.2-sol-2026-11-17": {"2", "0.1", "2.5", "5", "10"},
		"gpt-6.2-astra":          {"8", "-", "-", "-", "40"},
		"gpt-6.1-sol":            {"2", "0.1", "2.5", "5", "10"},
		"gpt-6.1-terra":          {"1", "0.05", "1.25", "2.5", "5"},
		"gpt-6-astra":            {"10", "1", "12.5", "25", "50"},
		"gpt-6-sol":              {"2", "0.2", "2.5", "5", "10"},
		"gpt-6-luna":             {"0.1", "0.01", "0.125", "0.25", "0.5"},
		"gpt-rosalind-research":  {"5", "0.5", "-", "-", "25"},
		"gpt-6.3-sol":            {"-", "-", "-", "-", "-"},
	} {
		want.check(t, p, m)
	}
	pictures := used{"input_tokens": 2 * million, "input_image_tokens": million, "output_tokens": million, "output_image_tokens": million}
	for _, m := range []string{"gpt-image-2.5", "gpt-image-2.6", "gpt-image-2.6-flare", "gpt-image-2.6-sunburst"} {
		sale{"completions", model(m), pictures, "43", 0, ""}.check(t, p)
	}
	for _, s := range []sale{
		{"completions", model("gpt-realtime-2.1"), used{"input_tokens": million, "output_tokens": million}, "28", 0, ""},
		{"completions", model("gpt-realtime-2.1-mini"), used{"input_tokens": million, "input_audio_tokens": million, "output_tokens": million, "output_audio_tokens": million}, "30", 0, ""},
		{"completions", model("gpt-realtime-2.1-mini"), used{"input_tokens": million, "input_image_tokens": million}, "0.8", 0, ""},
		{"audio_transcriptions", model("gpt-transcribe"), used{"audio_seconds": 60}, "0.0045", 0, "builtin"},
		{"audio_transcriptions", model("gpt-live-transcribe"), used{"audio_seconds": 60}, "0.01699999999999998", 0, ""}, // The price of a second is rounded to 18 digits.
		{"audio_transcriptions", model("gpt-realtime-whisper"), used{"audio_seconds": 60}, "0.01699999999999998", 0, ""},
		{"completions", model("gpt-4o-audio-preview"), used{"input_tokens": 2 * million, "input_audio_tokens": million, "output_tokens": million, "output_audio_tokens": million}, "122.5", 0, ""},
	} {
		s.check(t, p)
	}
}

func TestATierCostsWhatIsPublishedForTheModel(t *testing.T) {
	in := used{"input_tokens": million}
	p := pricing.New(pricing.Options{At: now})
	for _, c := range []struct{ model, tier, want string }{
		{"gpt-5.5", "priority", "12.5"},
		{"gpt-5.5-2026-04-23", "priority", "12.5"},
		{"gpt-4.1", "priority", "3.5"},
		{"gpt-4.1-mini", "priority", "0.7"},
		{"o3", "priority", "3.5"},
		{"gpt-4o", "priority", "4.25"},
		{"gpt-4o-mini", "priority", "0.25005"},
		{"gpt-5-mini", "priority", "0.45"},
		{"gpt-5.1-codex-mini", "priority", "0.45"},
		{"o4-mini", "priority", "1.9998"},
		{"gpt-5", "priority", "2.5"},
		{"gpt-6-astra", "fast", "20"},
		{"gpt-6-astra", "ultrafast", "60"},
		{"gpt-6.2-sol", "ultrafast", "6"},
		{"gpt-5.5", "flex", "2.5"},
	} {
		sale{"completions", served(c.model, "false", c.tier), in, c.want, 0, ""}.check(t, p)
	}
	for at, want := range map[string]string{"2027-02-28T23:59:59Z": "6", "2027-03-01T00:00:00Z": "12"} {
		when, err := time.Parse(time.RFC3339, at)
		if err != nil {
			t.Fatal(err)
		}
		sale{"completions", served("gpt-6.2-sol", "false", "ultrafast"), in, want, 0, ""}.check(t, pricing.New(pricing.Options{At: when}))
	}
	// What the bill taught of the standard tier is multiplied alike.
	l := pricing.Learn([]pricing.Charge{charge(t, now, "gpt-5.5, input", "tokens", "4", "1000000")})
	sale{"completions", served("gpt-5.5", "false", "priority"), in, "10", 0, ""}.check(t, pricing.New(pricing.Options{Learned: l, At: now}))
}

// TestNoNameIsFoundByAPattern names the entries of the list that no exact name of theirs leads to. Those that we give a
// name of our own are found under it, and the others are not.
func TestNoNameIsFoundByAPattern(t *testing.T) {
	text, list := published(t)
	var providers []struct {
		Models []struct {
			ID    string
			Match map[string]any
		}
	}
	if err := json.Unmarshal(text, &providers); err != nil {
		t.Fatal(err)
	}
	var byPattern []string
	for _, m := range providers[0].Models {
		for op := range m.Match {
			if op != "equals" && op != "or" {
				byPattern = append(byPattern, m.ID)
			}
		}
	}
	want := map[string]string{
		"computer-use":                 "computer-use-preview-2025-03-11",
		"ft:gpt-3.5-turbo-":            "ft:gpt-3.5-turbo-0125:acme::ab12",
		"ft:gpt-4o":                    "ft:gpt-4o-2024-08-06:acme::ab12",
		"ft:gpt-4o-mini":               "ft-gpt-4o-mini-2024-07-18",
		"gpt-4.5-preview":              "gpt-4.5-preview-2025-02-27",
		"gpt-4o-audio-preview":         "gpt-4o-audio-preview-2025-06-03",
		"gpt-4o-mini-2024-07-18.ft-":   "", // A spelling of Azure.
		"gpt-4o-mini-audio-preview":    "gpt-4o-mini-audio-preview-2024-12-17",
		"gpt-4o-mini-realtime-preview": "gpt-4o-mini-realtime-preview-2024-12-17",
		"gpt-4o-realtime-preview":      "gpt-4o-realtime-preview-2025-06-03",
		"moderation":                   "omni-moderation-2024-09-26",
	}
	var named []string
	for id, name := range want {
		named = append(named, id)
		if got := list.Entry(name); name != "" && got != id {
			t.Errorf("%s is priced as %q, want %q", name, got, id)
		}
	}
	slices.Sort(named)
	slices.Sort(byPattern)
	if diff := cmp.Diff(named, byPattern); diff != "" {
		t.Errorf("entries that a pattern matches (-want +got):\n%s", diff)
	}
	for _, name := range []string{"computer-use", "computer-use-x", "gpt-4o-realtime-x", "gpt-4o-mini-2024-07-18.ft-x", "gpt-5-nano-x", "gpt-3.5-turbo-instruct-x", "ft:gpt-4-0613:acme::1", "moderations"} {
		if got := list.Entry(name); got != "" {
			t.Errorf("%s is priced as %q, though the list does not name it", name, got)
		}
	}
}

func TestEachPriceOfOurOwnSaysWhereAndWhenItWasPublished(t *testing.T) {
	text, err := os.ReadFile("builtin/more.json")
	if err != nil {
		t.Fatal(err)
	}
	var providers []struct {
		Models []struct{ ID, Source, Date string }
	}
	if err := json.Unmarshal(text, &providers); err != nil {
		t.Fatal(err)
	}
	for _, m := range providers[0].Models {
		if _, err := time.Parse(time.DateOnly, m.Date); err != nil || m.Source == "" {
			t.Errorf("%s is of %q from %q", m.ID, m.Date, m.Source)
		}
	}
}

func TestTheDocumentationSaysHowManyModelsOfTheListHaveNoPrice(t *testing.T) {
	text, list := published(t)
	var providers []struct{ Models []json.RawMessage }
	if err := json.Unmarshal(text, &providers); err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile("../../docs/pricing.md")
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("It is of %s and has %d models. %d of them has no price", pricing.BuiltinDate.Format(time.DateOnly), len(providers[0].Models), len(list.Unpriced(now)))
	if !strings.Contains(string(doc), want) {
		t.Errorf("docs/pricing.md does not say %q", want)
	}
	if diff := cmp.Diff([]string{"moderation"}, list.Unpriced(now)); diff != "" {
		t.Errorf("without a price (-want +got):\n%s", diff)
	}
}

func TestRegionalProcessingCostsATenthMoreOfNewerModels(t *testing.T) {
	in := used{"input_tokens": million}
	p := pricing.New(pricing.Options{At: now})
	for _, c := range []struct{ model, tier, elsewhere, regional string }{
		{"gpt-5.6-luna", "default", "0.2", "0.22"},
		{"gpt-5.5-2026-04-23", "priority", "12.5", "13.75"},
		{"gpt-6.2-sol", "ultrafast", "6", "6.6"},
		{"gpt-6-astra", "flex", "5", "5.5"},
		{"gpt-5.4-nano-2026-03-17", "default", "0.2", "0.22"},
		{"gpt-5.2", "default", "1.75", "1.75"}, // older
	} {
		l := served(c.model, "false", c.tier)
		sale{"completions", l, in, c.elsewhere, 0, ""}.check(t, p)
		l.Regional = true
		sale{"completions", l, in, c.regional, 0, ""}.check(t, p)
	}
	// What the bill charged has it already.
	learned := pricing.Learn([]pricing.Charge{charge(t, now, "gpt-5.6-luna, input", "tokens", "0.22", "1000000")})
	l := served("gpt-5.6-luna", "false", "default")
	l.Regional = true
	sale{"completions", l, in, "0.22", 0, ""}.check(t, pricing.New(pricing.Options{Learned: learned, At: now}))
}
