package pricing_test

import (
	"sync"
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/decimal"
	"github.com/openai-exporter/openai_exporter/internal/pricing"
)

// now is when the prices of these tests hold.
var now = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

func endpoint(t testing.TB, name string) *api.Endpoint {
	t.Helper()
	e, ok := api.Find(name)
	if !ok {
		t.Fatalf("there is no endpoint %s", name)
	}
	return e
}

// endpoints are those of usage.
func endpoints(t testing.TB) []*api.Endpoint {
	t.Helper()
	var out []*api.Endpoint
	for i := range api.Endpoints {
		if !api.Endpoints[i].IsCosts() {
			out = append(out, &api.Endpoints[i])
		}
	}
	return out
}

func ones(e *api.Endpoint) []decimal.Fixed {
	values := make([]decimal.Fixed, len(e.Measures))
	for i := range values {
		values[i] = decimal.FromInt(1)
	}
	return values
}

// used is how much of each measure there is; what is not named is 0.
type used map[string]int64

func (u used) row(t testing.TB, e *api.Endpoint) []decimal.Fixed {
	t.Helper()
	values := make([]decimal.Fixed, len(e.Measures))
	found := 0
	for i, m := range e.Measures {
		if n, ok := u[m.Name]; ok {
			values[i] = decimal.FromInt(n)
			found++
		}
	}
	if found != len(u) {
		t.Fatalf("%s lacks a measure of %v", e.Name, u)
	}
	return values
}

// A sale is usage with what it must cost.
type sale struct {
	endpoint string
	labels   pricing.Labels
	used     used
	usd      string
	unpriced int64
	source   string
}

func (s sale) check(t *testing.T, p *pricing.Prices) {
	t.Helper()
	e := endpoint(t, s.endpoint)
	usd, unpriced := p.Row(e, s.labels, s.used.row(t, e))
	if usd.String() != s.usd || unpriced != decimal.FromInt(s.unpriced) {
		t.Errorf("%s %+v %v costs %s, without a price %s; want %s and %d", s.endpoint, s.labels, s.used, usd, unpriced, s.usd, s.unpriced)
	}
	if got := p.Sources(e, s.labels.Model); s.source != "" && got != s.source {
		t.Errorf("%s %s is priced from %s, want %s", s.endpoint, s.labels.Model, got, s.source)
	}
}

func model(name string) pricing.Labels { return pricing.Labels{Model: name, TierKnown: true} }

const million = 1_000_000

func TestUsageWithoutABillCostsWhatTheBuiltinListSays(t *testing.T) {
	p := pricing.New(pricing.Options{At: now})
	for _, s := range []sale{
		// 8448 of the tokens came from the cache, 18996 did not.
		{"completions", model("gpt-5.6-terra"), used{"requests": 1, "input_tokens": 27444, "input_cached_tokens": 8448, "input_uncached_tokens": 18996, "output_tokens": 5123}, "0.1011576", 0, "builtin"},
		{"completions", model("gpt-5.6-terra"), used{"input_tokens": 3 * million, "input_cache_write_tokens": million, "input_cached_tokens": million, "output_tokens": million}, "16.7", 0, "builtin"},
		{"completions", model("gpt-5.6-terra"), used{"input_tokens": 3 * million, "input_cache_write_tokens": 3 * million, "input_cache_write_30m_tokens": million, "input_cache_write_12h_tokens": million}, "10", 0, ""},

		{"completions", served("gpt-5.6-sol", "true", "default"), used{"output_tokens": million}, "10", 0, "builtin"},
		{"completions", served("gpt-5.6-sol", "false", "flex"), used{"output_tokens": million}, "10", 0, ""},
		{"completions", served("gpt-5.6-sol", "false", "priority"), used{"output_tokens": million}, "40", 0, ""},
		{"completions", served("gpt-5.6-sol", "false", "default"), used{"output_tokens": million}, "20", 0, ""},
		{"completions", pricing.Labels{Model: "gpt-5.6-sol"}, used{"output_tokens": million}, "20", 0, ""},

		{"completions", model("gpt-audio-mini-2025-12-15"), used{"input_tokens": 3 * million, "input_audio_tokens": 2 * million, "output_tokens": 2 * million, "output_audio_tokens": million}, "43", 0, "builtin"},
		{"completions", model("gpt-realtime-1.5"), used{"input_tokens": 4 * million, "input_audio_tokens": million, "input_cached_tokens": 2 * million, "input_cached_audio_tokens": million}, "36.8", 0, ""},
		// The list has no price for what this model hears from the cache.
		{"completions", model("gpt-audio-mini"), used{"input_tokens": 2 * million, "input_cached_tokens": 7, "input_cached_audio_tokens": 7}, "1.1999958", 7, ""},
		{"completions", model("gpt-image-1-2025-04-23"), used{"input_tokens": 4 * million, "input_image_tokens": million, "input_cached_tokens": 2 * million, "input_cached_text_tokens": million, "input_cached_image_tokens": million, "output_tokens": million, "output_image_tokens": million}, "58.75", 0, "builtin"},
		{"completions", model("gpt-image-2"), used{"input_tokens": 2 * million, "input_image_tokens": million, "output_tokens": million, "output_image_tokens": million}, "43", 0, "builtin"},
		{"completions", model("gpt-5.4"), used{"input_tokens": million, "input_image_tokens": million}, "2.5", 0, ""},

		{"completions", model("o3"), used{"input_tokens": million}, "2", 0, "builtin"},
		{"completions", model("gpt-9-astra"), used{"input_tokens": 5, "output_tokens": 6}, "0", 11, "none"},
		{"completions", model(""), used{"input_tokens": 5, "output_tokens": 6}, "0", 11, "none"},
		{"completions", model("ft:gpt-4o-2024-08-06:acme::ab12"), used{"input_tokens": million, "output_tokens": million}, "18.75", 0, "builtin"},
		{"completions", model("ft:gpt-4.1-mini-2025-04-14:acme::ab12"), used{"input_tokens": 5, "output_tokens": 6}, "0", 11, "none"},
		{"decisions", model("gpt-5.6-luna"), used{"input_tokens": million}, "0.2", 0, "builtin"},

		{"embeddings", model("text-embedding-3-small"), used{"requests": 3, "input_tokens": million}, "0.02", 0, "builtin"},
		{"embeddings", model("text-embedding-9"), used{"input_tokens": 4}, "0", 4, "none"},
		{"moderations", model("omni-moderation-latest"), used{"input_tokens": million}, "0", 0, "builtin"},
		{"moderations", model("new"), used{"input_tokens": million}, "0", 0, "builtin"},

		{"images", model("dall-e-3"), used{"requests": 1, "images": 10}, "0.4", 0, "builtin"},
		{"images", model("gpt-image-1-2025-04-23"), used{"images": 10}, "0", 0, "builtin"},
		{"images", model("gpt-image-9"), used{"images": 10}, "0", 0, "none"},
		{"images", model("dall-e-9"), used{"images": 10}, "0", 10, "none"},
		{"audio_speeches", model("tts-1"), used{"characters": million}, "15", 0, "builtin"},
		{"audio_speeches", model("tts-1-hd"), used{"characters": million}, "30", 0, "builtin"},
		{"audio_speeches", model("tts-9"), used{"characters": 8}, "0", 8, "none"},
		{"audio_transcriptions", model("whisper-1"), used{"audio_seconds": 3600}, "0.36", 0, "builtin"},
		{"audio_transcriptions", model("gpt-4o-transcribe"), used{"audio_seconds": 60}, "0", 60, "none"},
		{"code_interpreter_sessions", pricing.Labels{}, used{"code_interpreter_sessions": 10}, "0.3", 0, "builtin"},
		{"file_search_calls", pricing.Labels{}, used{"file_search_calls": 1000}, "2.5", 0, "builtin"},
		{"web_search_calls", model("gpt-5.6-sol"), used{"requests": 5, "web_search_calls": 1000}, "10", 0, "builtin"},
		{"web_search_calls", pricing.Labels{ModelUnknown: true}, used{"web_search_calls": 1000}, "10", 0, ""},

		// Space has a price by the hour, which its size does not tell.
		{"vector_stores", pricing.Labels{}, used{"vector_store_bytes": 1 << 40}, "0", 0, "none"},
		{"costs", pricing.Labels{}, used{"cost_usd": 5}, "0", 0, "none"},
	} {
		s.check(t, p)
	}
}

func TestPartsOfTheInputNeverAddUpToMoreThanItsWhole(t *testing.T) {
	p := pricing.New(pricing.Options{File: parseList(t, models(
		`{"id": "m", "match": {"equals": "m"}, "prices": {"input_mtok": 1000000, "cache_read_mtok": 10000, "cache_write_mtok": 100000, "input_audio_mtok": 100, "cache_audio_read_mtok": 1, "output_mtok": 3000000, "output_audio_mtok": 30}}`)), At: now})
	for _, s := range []sale{
		{"completions", model("m"), used{"input_tokens": 10, "input_cached_tokens": 12}, "0.1", 0, "file"},
		{"completions", model("m"), used{"input_tokens": 10, "input_cached_tokens": 6, "input_cache_write_tokens": 6}, "0.46", 0, ""},
		{"completions", model("m"), used{"input_tokens": 10, "input_cache_write_30m_tokens": 4}, "6.4", 0, ""},
		{"completions", model("m"), used{"input_tokens": 10, "input_cache_write_tokens": 6, "input_cache_write_30m_tokens": 4, "input_cache_write_12h_tokens": 4}, "4.6", 0, ""},
		{"completions", model("m"), used{"input_tokens": 10, "input_cached_tokens": 4, "input_cached_audio_tokens": 3, "input_audio_tokens": 2, "input_text_tokens": 4}, "4.010203", 0, ""},
		{"completions", model("m"), used{"input_tokens": 10, "input_audio_tokens": 20}, "0.001", 0, ""},
		{"completions", model("m"), used{"output_tokens": 10, "output_audio_tokens": 4}, "18.00012", 0, ""},
		{"completions", model("m"), used{"output_tokens": 10, "output_audio_tokens": 40}, "0.0003", 0, ""},
		// Some API versions leave the whole out.
		{"completions", model("m"), used{"input_uncached_tokens": 3, "input_cached_tokens": 1, "input_cache_write_tokens": 1, "output_text_tokens": 1}, "6.11", 0, ""},
	} {
		s.check(t, p)
	}
}

func TestAFileGoesBeforeTheBuiltinListAndTheBillBeforeBoth(t *testing.T) {
	file := parseList(t, models(
		`{"id": "gpt-5.4", "match": {"equals": "gpt-5.4"}, "prices": {"input_mtok": 1, "output_mtok": null}}`,
		`{"id": "whisper-1", "match": {"equals": "whisper-1"}, "prices": {"input_audio_hours": 3.6}}`,
		`{"id": "calls", "match": {"equals": "web search tool calls"}, "prices": {"web_searches_kcount": 5}}`,
		`{"id": "by model", "match": {"equals": "gpt-5.6-sol"}, "prices": {"web_searches_kcount": 7, "cache_write_12h_mtok": 9}}`,
		`{"id": "sessions", "match": {"equals": "code interpreter sessions"}, "prices": {"code_interpreter_sessions_kcount": 1}}`,
	))
	learned := pricing.Learn([]pricing.Charge{
		charge(t, now, "gpt-5.6-sol, input", "tokens", "4", "1000000"),
		charge(t, now, "code interpreter sessions", "others", "0.5", "100"),
	})
	p := pricing.New(pricing.Options{File: file, Learned: learned, At: now})
	for _, s := range []sale{
		{"completions", model("gpt-5.4-2026-03-05"), used{"input_tokens": 2 * million, "input_cached_tokens": million}, "1.25", 0, "builtin"}, // The file lacks the output.
		{"completions", pricing.Labels{Model: "gpt-5.4", Batch: "true"}, used{"input_tokens": million}, "0.5", 0, ""},
		{"completions", model("gpt-5.6-sol"), used{"input_tokens": 2 * million, "input_cache_write_12h_tokens": million}, "13", 0, "builtin"},
		{"completions", pricing.Labels{Model: "gpt-5.6-sol", ServiceTier: "priority"}, used{"input_tokens": million}, "8", 0, ""},
		{"audio_transcriptions", model("whisper-1"), used{"audio_seconds": 60}, "0.06", 0, "file"},
		{"web_search_calls", model("gpt-5.6-luna"), used{"web_search_calls": 1000}, "5", 0, "file"},
		{"web_search_calls", model("gpt-5.6-sol"), used{"web_search_calls": 1000}, "7", 0, "file"},
		{"code_interpreter_sessions", pricing.Labels{}, used{"code_interpreter_sessions": 2}, "0.01", 0, "bill"},
	} {
		s.check(t, p)
	}
	if got, want := p.String(), "bill of 2026-11-21T00:00:00Z, builtin of 2026-09-23T00:00:00Z"; got != want {
		t.Errorf("the prices are %q, want %q", got, want)
	}
}

func TestTokensOfImagesAreNotTakenForText(t *testing.T) {
	file := parseList(t, models(
		`{"id": "text only", "match": {"equals": "gpt-image-8"}, "prices": {"input_mtok": 5, "output_mtok": 10}}`,
		`{"id": "one output", "match": {"equals": "gpt-image-9"}, "prices": {"input_mtok": 5, "input_image_mtok": 8, "output_mtok": 30}}`,
		`{"id": "sees", "match": {"equals": "gpt-9"}, "prices": {"input_mtok": 5, "output_mtok": 30}}`,
		`{"id": "hears", "match": {"equals": "gpt-9-audio"}, "prices": {"input_text_mtok": 5, "input_audio_mtok": 8, "output_text_mtok": 30}}`,
	))
	p := pricing.New(pricing.Options{File: file, At: now})
	for _, s := range []sale{
		{"completions", model("gpt-image-8"), used{"input_tokens": million, "input_image_tokens": 7, "output_tokens": 9, "output_image_tokens": 9}, "4.999965", 16, ""},
		{"completions", model("gpt-image-9"), used{"input_tokens": 2 * million, "input_image_tokens": million, "output_tokens": million, "output_image_tokens": million}, "43", 0, "file"},
		{"completions", model("gpt-9"), used{"input_tokens": 2 * million, "input_image_tokens": million}, "10", 0, "file"},
		{"completions", model("gpt-9-audio"), used{"input_tokens": 2 * million, "input_audio_tokens": million, "output_tokens": million}, "43", 0, "file"},
		{"completions", model("gpt-9-audio"), used{"output_tokens": 5, "output_audio_tokens": 4}, "0.00003", 4, "file"},
	} {
		s.check(t, p)
	}
}

func TestPricesOfAListHoldAtTheirTime(t *testing.T) {
	list := parseList(t, models(`{"id": "m", "match": {"equals": "m"}, "prices": [
		{"prices": {"input_mtok": 1}},
		{"constraint": {"start_date": "2026-11-20"}, "prices": {"input_mtok": {"base": 2, "tiers": [{"start": 100, "price": 50}]}}},
		{"constraint": {"start_time": "16:30:00Z", "end_time": "20:30:00Z"}, "prices": {"input_mtok": 3}}]}`,
		`{"id": "later", "match": {"equals": "later"}, "prices": [{"constraint": {"start_date": "2027-01-01"}, "prices": {"input_mtok": 4}}]}`,
		`{"id": "free", "match": {"equals": "free"}, "prices": {"input_mtok": 0}}`,
		`{"id": "never", "match": {"equals": "never"}, "prices": []}`))
	for at, want := range map[string]string{
		"2026-11-19T12:00:00Z":      "1",
		"2026-11-19T16:30:00Z":      "3",
		"2026-11-19T23:59:59Z":      "1",
		"2026-11-20T00:00:00Z":      "2",
		"2026-11-20T20:29:59Z":      "3",
		"2026-11-20T20:30:00Z":      "2",
		"2026-11-20T00:30:00+02:00": "1",
	} {
		when, err := time.Parse(time.RFC3339, at)
		if err != nil {
			t.Fatal(err)
		}
		p := pricing.New(pricing.Options{File: list, At: when})
		sale{"embeddings", model("m"), used{"input_tokens": million}, want, 0, "file"}.check(t, p)
		sale{"embeddings", model("later"), used{"input_tokens": million}, "4", 0, "file"}.check(t, p)
		sale{"embeddings", model("free"), used{"input_tokens": million}, "0", 0, "file"}.check(t, p)
		sale{"embeddings", model("never"), used{"input_tokens": million}, "0", million, "none"}.check(t, p)
	}
}

func TestUsageThatIsNotGroupedByModelHasNoPriceOfAnyModel(t *testing.T) {
	learned := pricing.Learn([]pricing.Charge{
		charge(t, now, "input_tokens", "tokens", "4", "1000000"),
		charge(t, now, "Image models", "images", "4", "100"),
		charge(t, now, "web search tool calls", "", "4", "1000"),
	})
	p := pricing.New(pricing.Options{Learned: learned, At: now})
	all := pricing.Labels{ModelUnknown: true}
	for _, s := range []sale{
		{"completions", all, used{"input_tokens": 9}, "0", 9, ""},
		{"embeddings", all, used{"input_tokens": 9}, "0", 9, ""},
		{"images", all, used{"images": 9}, "0", 9, ""},
		{"web_search_calls", all, used{"web_search_calls": 1000}, "4", 0, ""},
		// Usage of no model is something else: the bill has a line for it.
		{"completions", model(""), used{"input_tokens": million}, "4", 0, ""},
	} {
		s.check(t, p)
	}
}

func TestPricesMayBeAskedFromManySidesAtOnce(t *testing.T) {
	p := pricing.New(pricing.Options{At: now})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for _, e := range endpoints(t) {
				for _, m := range []string{"gpt-5.6-sol", "o1", "whisper-1", ""} {
					first, _ := p.Row(e, model(m), ones(e))
					if again, _ := p.Row(e, model(m), ones(e)); again != first {
						t.Errorf("%s of %s costs %s, then %s", e.Name, m, first, again)
					}
					p.Sources(e, m)
				}
			}
		})
	}
	wg.Wait()
}

func BenchmarkRow(b *testing.B) {
	p := pricing.New(pricing.Options{At: now})
	e := endpoint(b, "completions")
	values := used{"input_tokens": 27444, "input_cached_tokens": 8448, "input_uncached_tokens": 18996, "output_tokens": 5123}.row(b, e)
	l := pricing.Labels{Model: "gpt-5.4-2026-03-05", Batch: "false", ServiceTier: "default", TierKnown: true}
	b.ReportAllocs()
	for b.Loop() {
		p.Row(e, l, values)
	}
}
