package pricing_test

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/openai-exporter/openai_exporter/internal/pricing"
)

// lineItems are line items of real bills.
func lineItems(t testing.TB) []string {
	t.Helper()
	b, err := os.ReadFile("testdata/line_items.json")
	if err != nil {
		t.Fatal(err)
	}
	var items []string
	if err := json.Unmarshal(b, &items); err != nil {
		t.Fatal(err)
	}
	return items
}

var fields = cmpopts.IgnoreUnexported(pricing.LineItem{})

// parsed is what the line items of real bills, and those that are spelled like them, say.
var parsed = map[string]pricing.LineItem{
	"Image models":                                   {Tier: pricing.Standard, Product: "Image models"},
	"assistants api | file search":                   {Tier: pricing.Standard, Prefix: "assistants api", Product: "assistants api | file search"},
	"chat-latest, input":                             {Tier: pricing.Standard, Model: "chat-latest", Kind: pricing.Input},
	"evals | gpt-4o-mini-2024-07-18, input":          {Tier: pricing.Standard, Prefix: "evals", Model: "gpt-4o-mini-2024-07-18", Kind: pricing.Input},
	"file search tool calls":                         {Tier: pricing.Standard, Product: "file search tool calls"},
	"flex | gpt-5-mini":                              {Tier: pricing.Flex, Model: "gpt-5-mini"},
	"ft-gpt-4o-2024-08-06, input":                    {Tier: pricing.Standard, Model: "ft-gpt-4o-2024-08-06", Kind: pricing.Input},
	"ft-gpt-4o-2024-08-06, output":                   {Tier: pricing.Standard, Model: "ft-gpt-4o-2024-08-06", Kind: pricing.Output},
	"gpt-4o-2024-08-06, output":                      {Tier: pricing.Standard, Model: "gpt-4o-2024-08-06", Kind: pricing.Output},
	"gpt-4o-mini-2024-07-18, cached input":           {Tier: pricing.Standard, Model: "gpt-4o-mini-2024-07-18", Kind: pricing.CachedInput},
	"gpt-4o-mini-2024-07-18, input":                  {Tier: pricing.Standard, Model: "gpt-4o-mini-2024-07-18", Kind: pricing.Input},
	"gpt-4o-mini-2024-07-18, output":                 {Tier: pricing.Standard, Model: "gpt-4o-mini-2024-07-18", Kind: pricing.Output},
	"gpt-5-mini-2025-08-07, input":                   {Tier: pricing.Standard, Model: "gpt-5-mini-2025-08-07", Kind: pricing.Input},
	"gpt-5.3-codex, cached input":                    {Tier: pricing.Standard, Model: "gpt-5.3-codex", Kind: pricing.CachedInput},
	"gpt-5.3-codex, input":                           {Tier: pricing.Standard, Model: "gpt-5.3-codex", Kind: pricing.Input},
	"gpt-5.3-codex, output":                          {Tier: pricing.Standard, Model: "gpt-5.3-codex", Kind: pricing.Output},
	"gpt-5.4-2026-03-05, cached input":               {Tier: pricing.Standard, Model: "gpt-5.4-2026-03-05", Kind: pricing.CachedInput},
	"gpt-5.4-2026-03-05, cached input, long context": {Tier: pricing.Standard, Model: "gpt-5.4-2026-03-05", Kind: pricing.CachedInput, Long: true},
	"gpt-5.4-2026-03-05, input":                      {Tier: pricing.Standard, Model: "gpt-5.4-2026-03-05", Kind: pricing.Input},
	"gpt-5.4-2026-03-05, output":                     {Tier: pricing.Standard, Model: "gpt-5.4-2026-03-05", Kind: pricing.Output},
	"gpt-5.4-mini-2026-03-17, cached input":          {Tier: pricing.Standard, Model: "gpt-5.4-mini-2026-03-17", Kind: pricing.CachedInput},
	"gpt-5.4-nano-2026-03-17, output":                {Tier: pricing.Standard, Model: "gpt-5.4-nano-2026-03-17", Kind: pricing.Output},
	"gpt-5.6-luna, cache writes":                     {Tier: pricing.Standard, Model: "gpt-5.6-luna", Kind: pricing.CacheWrite},
	"gpt-5.6-luna, cached input":                     {Tier: pricing.Standard, Model: "gpt-5.6-luna", Kind: pricing.CachedInput},
	"gpt-5.6-luna, input":                            {Tier: pricing.Standard, Model: "gpt-5.6-luna", Kind: pricing.Input},
	"gpt-5.6-luna, output":                           {Tier: pricing.Standard, Model: "gpt-5.6-luna", Kind: pricing.Output},
	"gpt-5.6-sol, input":                             {Tier: pricing.Standard, Model: "gpt-5.6-sol", Kind: pricing.Input},
	"gpt-5.6-terra, cache writes":                    {Tier: pricing.Standard, Model: "gpt-5.6-terra", Kind: pricing.CacheWrite},
	"gpt-5.6-terra, cached input, long context":      {Tier: pricing.Standard, Model: "gpt-5.6-terra", Kind: pricing.CachedInput, Long: true},
	"gpt-5.6-terra, input":                           {Tier: pricing.Standard, Model: "gpt-5.6-terra", Kind: pricing.Input},
	"gpt-6-astra, input_tokens":                      {Tier: pricing.Standard, Model: "gpt-6-astra", Kind: pricing.Input},
	"gpt-audio-mini-2025-12-15 audio, input":         {Tier: pricing.Standard, Model: "gpt-audio-mini-2025-12-15", Modality: pricing.Audio, Kind: pricing.Input},
	"gpt-audio-mini-2025-12-15 text, output":         {Tier: pricing.Standard, Model: "gpt-audio-mini-2025-12-15", Modality: pricing.Text, Kind: pricing.Output},
	"gpt-image-1 image, cached input":                {Tier: pricing.Standard, Model: "gpt-image-1", Modality: pricing.Image, Kind: pricing.CachedInput},
	"gpt-image-1 image, input":                       {Tier: pricing.Standard, Model: "gpt-image-1", Modality: pricing.Image, Kind: pricing.Input},
	"gpt-image-1 image, output":                      {Tier: pricing.Standard, Model: "gpt-image-1", Modality: pricing.Image, Kind: pricing.Output},
	"gpt-image-1 text, cached input":                 {Tier: pricing.Standard, Model: "gpt-image-1", Modality: pricing.Text, Kind: pricing.CachedInput},
	"gpt-image-1 text, input":                        {Tier: pricing.Standard, Model: "gpt-image-1", Modality: pricing.Text, Kind: pricing.Input},
	"gpt-image-2-2026-04-21 image, output":           {Tier: pricing.Standard, Model: "gpt-image-2-2026-04-21", Modality: pricing.Image, Kind: pricing.Output},
	"gpt-image-2-2026-04-21 text, input":             {Tier: pricing.Standard, Model: "gpt-image-2-2026-04-21", Modality: pricing.Text, Kind: pricing.Input},
	"gpt-realtime-1.5 audio, output":                 {Tier: pricing.Standard, Model: "gpt-realtime-1.5", Modality: pricing.Audio, Kind: pricing.Output},
	"input_tokens":                                   {Tier: pricing.Standard, Kind: pricing.Input},
	"o1-pro, output":                                 {Tier: pricing.Standard, Model: "o1-pro", Kind: pricing.Output},
	"priority | gpt-5.4-2026-03-05, input":           {Tier: pricing.Priority, Model: "gpt-5.4-2026-03-05", Kind: pricing.Input},
	"priority | gpt-5.6-sol, output, long context":   {Tier: pricing.Priority, Model: "gpt-5.6-sol", Kind: pricing.Output, Long: true},
	"text-embedding-3-small, input":                  {Tier: pricing.Standard, Model: "text-embedding-3-small", Kind: pricing.Input},
	"tts hd":                                         {Tier: pricing.Standard, Model: "tts-1-hd"},
	"web search tool calls":                          {Tier: pricing.Standard, Product: "web search tool calls"},
	"whisper":                                        {Tier: pricing.Standard, Model: "whisper-1"},

	"batch | gpt-5.4-nano-2026-03-17, input":    {Tier: pricing.Batch, Model: "gpt-5.4-nano-2026-03-17", Kind: pricing.Input},
	"evals | batch | gpt-5.4, output":           {Tier: pricing.Batch, Prefix: "evals", Model: "gpt-5.4", Kind: pricing.Output},
	"Vector storage":                            {Tier: pricing.Standard, Product: "Vector storage"},
	"code interpreter sessions":                 {Tier: pricing.Standard, Product: "code interpreter sessions"},
	"gpt-6-astra, cached input_tokens":          {Tier: pricing.Standard, Model: "gpt-6-astra", Kind: pricing.CachedInput},
	"gpt-6-astra, cache writes_tokens":          {Tier: pricing.Standard, Model: "gpt-6-astra", Kind: pricing.CacheWrite},
	"gpt-6-astra, input_cache_write_12h_tokens": {Tier: pricing.Standard, Model: "gpt-6-astra", Kind: pricing.CacheWrite12h},
	"gpt-6-astra, input_cached_audio_tokens":    {Tier: pricing.Standard, Model: "gpt-6-astra", Modality: pricing.Audio, Kind: pricing.CachedInput},
	"gpt-5.6-sol, cache writes 12h":             {Tier: pricing.Standard, Model: "gpt-5.6-sol", Kind: pricing.CacheWrite12h},
	"output_tokens":                             {Tier: pricing.Standard, Kind: pricing.Output},
	"input_tokens, long context":                {Tier: pricing.Standard, Kind: pricing.Input, Long: true},
	"az-AZ-09, input":                           {Tier: pricing.Standard, Model: "az-AZ-09", Kind: pricing.Input},
	"flex | input_tokens":                       {Tier: pricing.Flex, Kind: pricing.Input},
}

func TestLineItemsOfRealBillsAreUnderstood(t *testing.T) {
	for _, s := range lineItems(t) {
		if _, ok := parsed[s]; !ok {
			t.Errorf("%q is on real bills, but not in the table", s)
		}
	}
	for s, want := range parsed {
		got, ok := pricing.ParseLineItem(s)
		if !ok {
			t.Errorf("%q is not understood", s)
		} else if diff := cmp.Diff(want, got, fields); diff != "" {
			t.Errorf("%q (-want +got):\n%s", s, diff)
		}
	}
}

func TestLineItemsThatTheGrammarDoesNotKnowAreNotGuessed(t *testing.T) {
	for _, s := range []string{
		"", " ", ",", ", input", " | ", "batch | ", " | gpt-5, input", "credits", "Sales tax", "some new product",
		"gpt-5, reasoning", "gpt-5 video, input", "gpt-5, input, long context, more", "gpt-5, input, output", "gpt-5,input", "gpt-5 | input",
		"gpt-5, long context", "batch | flex | gpt-5, input", "standard | gpt-5, input", "file search", "evals | evals | gpt-5, input",
		"gpt-5  text, input", "gpt-5 text audio, input", "gpt-5 audio, input_image_tokens", "Batch | gpt-5, input", "gpt-5, Input", "gpt-5\n, input",
		"-gpt-5, input", ".gpt-5, input", "/gpt-5", ":5, output",
		// Words of the grammar name no model.
		"text, input", "audio, output", "image, cached input", "batch, input", "fast, output", "evals, input", "input, output",
	} {
		if got, ok := pricing.ParseLineItem(s); ok {
			t.Errorf("%q was taken for %+v", s, got)
		}
	}
}

func FuzzParseLineItem(f *testing.F) {
	for _, s := range lineItems(f) {
		f.Add(s)
	}
	for s := range parsed {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		item, ok := pricing.ParseLineItem(s)
		if !ok {
			if item != (pricing.LineItem{}) {
				t.Fatalf("%q says %+v without being understood", s, item)
			}
			return
		}
		again, ok := pricing.ParseLineItem(item.String())
		if !ok || cmp.Diff(item, again, fields) != "" {
			t.Fatalf("%q is spelled %q, which says %+v instead of %+v", s, item, again, item)
		}
	})
}
