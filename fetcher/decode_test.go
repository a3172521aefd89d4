package fetcher

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/decimal"
)

// totals is a sink that adds everything up.
type totals struct {
	forgetful
	columns  []string
	measures []api.Measure
	buckets  []int64
	rows     int
	sum      map[string]decimal.Fixed
	labels   map[string]bool // "column=value" of all rows
}

func newTotals(e *api.Endpoint) *totals {
	return &totals{columns: columnsOf(e), measures: e.Measures, sum: map[string]decimal.Fixed{}, labels: map[string]bool{}}
}

// columnsOf are all columns that rows of an endpoint can have.
func columnsOf(e *api.Endpoint) (out []string) {
	for _, d := range slices.Concat(e.Dimensions, e.Attributes) {
		out = append(out, d.Name)
	}
	return out
}

func (s *totals) Bucket(start time.Time) { s.buckets = append(s.buckets, start.Unix()) }

func (s *totals) Row(labels []string, values []decimal.Fixed) {
	s.rows++
	for i, v := range values {
		if !v.IsZero() {
			s.sum[s.measures[i].Name] = s.sum[s.measures[i].Name].Add(v)
		}
	}
	for i, l := range labels {
		if l != "" {
			s.labels[s.columns[i]+"="+l] = true
		}
	}
}

func (s *totals) text() map[string]string {
	out := map[string]string{}
	for k, v := range s.sum {
		out[k] = v.String()
	}
	return out
}

func everything(time.Time, time.Time) (bool, error) { return true, nil }

func endpoint(t testing.TB, name string) *api.Endpoint {
	t.Helper()
	e, ok := api.Find(name)
	if !ok {
		t.Fatalf("no endpoint %s", name)
	}
	return e
}

func decode(t testing.TB, name string, body io.Reader) (*totals, page, error) {
	t.Helper()
	e := endpoint(t, name)
	s := newTotals(e)
	p, err := newDecoder(e, s.columns).page(body, s, everything)
	return s, p, err
}

func sample(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "samples", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestPublishedResponsesDecodeToTheirSums(t *testing.T) {
	for _, tc := range []struct {
		file, endpoint string
		buckets, rows  int
		sum            map[string]string
		labels         []string // some that must be there
		more           bool
	}{
		{
			file: "completions_1d_2025-02.json", endpoint: "completions", buckets: 31, rows: 26,
			sum: map[string]string{"requests": "19347", "input_tokens": "16951009", "output_tokens": "729421", "input_cached_tokens": "168128", "input_audio_tokens": "49963", "output_audio_tokens": "18042"},
		},
		{
			file: "completions_1m_21_fields_2025-10.json", endpoint: "completions", buckets: 1, rows: 1,
			sum: map[string]string{"requests": "4", "input_tokens": "2883", "input_uncached_tokens": "2883", "input_text_tokens": "2883", "output_tokens": "1795", "output_text_tokens": "1795"},
		},
		{
			file: "completions_duplicate_rows_2025-10.json", endpoint: "completions", buckets: 5, rows: 6,
			sum:    map[string]string{"requests": "53", "input_tokens": "339711", "output_tokens": "549459", "input_cached_tokens": "13952"},
			labels: []string{"model=gpt-5-2025-08-07", "project_id=proj_b63ed12c9f1eb447144bad0f", "api_key_id=key_bb2c9848110061bf", "batch=false", "service_tier=default"},
		},
		{
			file: "completions_partition_2026-08.json", endpoint: "completions", buckets: 1, rows: 2,
			sum: map[string]string{
				"requests": "2", "input_tokens": "27475", "output_tokens": "6879", "input_cached_tokens": "8448", "input_uncached_tokens": "19027",
				"input_text_tokens": "31", "output_image_tokens": "1756",
			},
			labels: []string{"model=gpt-image-2", "model=gpt-5.6-terra"},
		},
		{
			file: "costs_1d_numbers_2025-02.json", endpoint: "costs", buckets: 31, rows: 31,
			sum: map[string]string{"cost_usd": "284.939439372749811339"},
		},
		{
			file: "costs_bill_2026-09.json", endpoint: "costs", buckets: 1, rows: 7,
			sum:    map[string]string{"cost_usd": "0.1757919", "cost_quantity": "37151"},
			labels: []string{"line_item=gpt-image-2-2026-04-21 image, output", "quantity_unit=tokens"},
		},
		{
			file: "costs_by_line_item_2025-02.json", endpoint: "costs", buckets: 2, rows: 5,
			sum:    map[string]string{"cost_usd": "0.159411"},
			labels: []string{"line_item=assistants api | file search", "project_id=proj_c72cecee4a1b816200156ca4"},
		},
		{file: "costs_empty_2026-06.json", endpoint: "costs", buckets: 2, sum: map[string]string{}},
		{file: "costs_page_has_more_2026-08.json", endpoint: "costs", buckets: 2, sum: map[string]string{}, more: true},
		{
			file: "costs_strings_2026-06.json", endpoint: "costs", buckets: 2, rows: 3,
			sum:    map[string]string{"cost_usd": "0.0000387", "cost_quantity": "87"},
			labels: []string{"project_id=proj_x"},
		},
		{file: "spec/organization_costs.json", endpoint: "costs", buckets: 1, rows: 1, sum: map[string]string{"cost_usd": "0.06"}},
		{
			file: "spec/organization_usage_completions.json", endpoint: "completions", buckets: 1, rows: 1, more: true,
			sum: map[string]string{
				"requests": "5", "input_tokens": "1000", "input_cached_tokens": "400", "input_cache_write_tokens": "100", "input_uncached_tokens": "500",
				"output_tokens": "500", "input_text_tokens": "400", "output_text_tokens": "400", "input_cached_text_tokens": "300", "input_audio_tokens": "50",
				"input_cached_audio_tokens": "50", "output_audio_tokens": "50", "input_image_tokens": "50", "input_cached_image_tokens": "50", "output_image_tokens": "50",
			},
		},
		{file: "spec/organization_usage_embeddings.json", endpoint: "embeddings", buckets: 1, rows: 1, sum: map[string]string{"requests": "2", "input_tokens": "16"}},
		{file: "spec/organization_usage_moderations.json", endpoint: "moderations", buckets: 1, rows: 1, sum: map[string]string{"requests": "2", "input_tokens": "16"}},
		{file: "spec/organization_usage_images.json", endpoint: "images", buckets: 1, rows: 1, sum: map[string]string{"requests": "2", "images": "2"}},
		{file: "spec/organization_usage_audio_speeches.json", endpoint: "audio_speeches", buckets: 1, rows: 1, sum: map[string]string{"requests": "1", "characters": "45"}},
		{file: "spec/organization_usage_audio_transcriptions.json", endpoint: "audio_transcriptions", buckets: 1, rows: 1, sum: map[string]string{"requests": "1", "audio_seconds": "20"}},
		{file: "spec/organization_usage_vector_stores.json", endpoint: "vector_stores", buckets: 1, rows: 1, sum: map[string]string{"vector_store_bytes": "1024"}},
		{file: "spec/organization_usage_code_interpreter_sessions.json", endpoint: "code_interpreter_sessions", buckets: 1, rows: 1, sum: map[string]string{"code_interpreter_sessions": "1"}},
		{file: "spec/organization_usage_file_search_calls.json", endpoint: "file_search_calls", buckets: 1, rows: 1, sum: map[string]string{"file_search_calls": "2"}},
		{file: "spec/organization_usage_web_search_calls.json", endpoint: "web_search_calls", buckets: 1, rows: 1, sum: map[string]string{"requests": "2", "web_search_calls": "2"}},
	} {
		t.Run(tc.file, func(t *testing.T) {
			body := sample(t, tc.file)
			// A byte at a time is the hardest way for a stream to arrive.
			for _, r := range []io.Reader{bytes.NewReader(body), iotest.OneByteReader(bytes.NewReader(body))} {
				s, p, err := decode(t, tc.endpoint, r)
				if err != nil {
					t.Fatal(err)
				}
				if len(s.buckets) != tc.buckets || s.rows != tc.rows || p.more != tc.more {
					t.Errorf("%d buckets, %d rows, more %t; want %d, %d, %t", len(s.buckets), s.rows, p.more, tc.buckets, tc.rows, tc.more)
				}
				if diff := cmp.Diff(tc.sum, s.text()); diff != "" {
					t.Errorf("sums differ (-want +got):\n%s", diff)
				}
				for _, l := range tc.labels {
					if !s.labels[l] {
						t.Errorf("no row has %s; there are %v", l, s.labels)
					}
				}
			}
		})
	}
}

// pageOf wraps buckets into a page.
func pageOf(buckets string) string {
	return `{"object":"page","data":[` + buckets + `],"has_more":false,"next_page":null}`
}

// bucketOf wraps rows into a bucket.
func bucketOf(rows string) string {
	return `{"object":"bucket","start_time":1760009940,"end_time":1760010000,"results":[` + rows + `]}`
}

func TestOddSpellingsMeanWhatTheySay(t *testing.T) {
	for _, tc := range []struct {
		name, endpoint, body string
		sum                  map[string]string
		labels               []string
	}{
		{
			name: "result instead of results", endpoint: "embeddings",
			body: pageOf(`{"start_time":60,"result":[{"input_tokens":3}]}`),
			sum:  map[string]string{"input_tokens": "3"},
		},
		{
			name: "result beside results is the same list", endpoint: "embeddings",
			body: pageOf(`{"start_time":60,"results":[{"input_tokens":3}],"result":[{"input_tokens":3}]}`),
			sum:  map[string]string{"input_tokens": "3"},
		},
		{
			name: "null results are none", endpoint: "embeddings",
			body: pageOf(`{"start_time":60,"results":null},{"start_time":120,"results":[{"input_tokens":3}]}`),
			sum:  map[string]string{"input_tokens": "3"},
		},
		{
			name: "keys in the order of the alphabet, as a gateway may sort them", endpoint: "embeddings",
			body: `{"data":[{"end_time":120,"object":"bucket","results":[{"input_tokens":3,"model":"a"},{"input_tokens":4}],"start_time":60}],"has_more":true,"next_page":"x","object":"page"}`,
			sum:  map[string]string{"input_tokens": "7"}, labels: []string{"model=a"},
		},
		{
			name: "missing and null fields are zero", endpoint: "completions",
			body: pageOf(bucketOf(`{"input_tokens":null,"output_tokens":7,"model":null,"project_id":""}`)),
			sum:  map[string]string{"output_tokens": "7"},
		},
		{
			name: "the present name of a field before its old one", endpoint: "code_interpreter_sessions",
			body: pageOf(bucketOf(`{"sessions":9,"num_sessions":2},{"num_sessions":30,"sessions":9},{"sessions":400},{"num_sessions":null,"sessions":5000}`)),
			sum:  map[string]string{"code_interpreter_sessions": "5432"},
		},
		{
			name: "numbers as strings and with exponents", endpoint: "embeddings",
			body: pageOf(bucketOf(`{"input_tokens":"12","num_model_requests":1e3},{"input_tokens":-2,"num_model_requests":"1E+1"}`)),
			sum:  map[string]string{"input_tokens": "10", "requests": "1010"},
		},
		{
			name: "amounts", endpoint: "costs",
			body: pageOf(bucketOf(`{"amount":{"value":"0E-6176","currency":"usd"}},{"amount":{"value":"-1.5","currency":"USD"}},{"amount":{"value":2.55e-06}},{"amount":null},{"amount":{"value":null,"currency":"usd"}},{"amount":{"value":0,"currency":"eur"}},{"amount":"0.25"}`)),
			sum:  map[string]string{"cost_usd": "-1.24999745"},
		},
		{
			name: "booleans, numbers and escapes in labels", endpoint: "completions",
			body: pageOf(bucketOf(`{"batch":true,"service_tier":7,"model":"a\"\u00e9\ud83d\ude00","input_tokens":1}`)),
			sum:  map[string]string{"input_tokens": "1"}, labels: []string{"batch=true", "service_tier=7", `model=a"é😀`},
		},
		{
			name: "a label of backslashes alone", endpoint: "completions",
			body: pageOf(bucketOf(`{"model":"\\","input_tokens":1}`)),
			sum:  map[string]string{"input_tokens": "1"}, labels: []string{`model=\`},
		},
		{
			name: "a bucket that is longer than any value may be", endpoint: "embeddings",
			body: pageOf(bucketOf(strings.TrimSuffix(strings.Repeat(`{"object":"organization.usage.embeddings.result","input_tokens":1},`, 50_000), ","))),
			sum:  map[string]string{"input_tokens": "50000"},
		},
		{
			name: "invalid UTF-8 is replaced", endpoint: "completions",
			body: pageOf(bucketOf("{\"model\":\"a\xffb\",\"project_id\":\"\\ud800\",\"input_tokens\":1}")),
			sum:  map[string]string{"input_tokens": "1"}, labels: []string{"model=a�b", "project_id=�"},
		},
		{
			name: "a label of absurd length is cut between characters, and its rows are added up", endpoint: "completions",
			body: pageOf(bucketOf(`{"model":"` + strings.Repeat("é", 300) + `","input_tokens":1},{"model":"x` + strings.Repeat("é", 300) + `","input_tokens":2}`)),
			sum:  map[string]string{"input_tokens": "3"}, labels: []string{"model=" + strings.Repeat("é", 256), "model=x" + strings.Repeat("é", 255)},
		},
		{
			name: "unknown fields of any shape are skipped, the last of equal names counts", endpoint: "embeddings",
			body: pageOf(bucketOf(`{"extra":{"input_tokens":[1,{"a":[]}]},"input_tokens":1,"input_tokens":2}`)),
			sum:  map[string]string{"input_tokens": "2"},
		},
		{
			name: "escaped names are names", endpoint: "embeddings",
			body: pageOf(bucketOf(`{"input\u005ftokens":5}`)),
			sum:  map[string]string{"input_tokens": "5"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, _, err := decode(t, tc.endpoint, strings.NewReader(tc.body))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.sum, s.text()); diff != "" {
				t.Errorf("sums differ (-want +got):\n%s", diff)
			}
			for _, l := range tc.labels {
				if !s.labels[l] {
					t.Errorf("no row has %s; there are %v", l, s.labels)
				}
			}
		})
	}
}

func TestWhatIsNoPageIsAnError(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"empty":                      "",
		"white space":                " \n",
		"HTML":                       "<html><body>Just a moment…</body></html>",
		"another object":             `{"object":"list","data":[]}`,
		"no object":                  `{"data":[],"has_more":false}`,
		"no data":                    `{"object":"page","has_more":false}`,
		"null data":                  `{"object":"page","data":null}`,
		"an empty object":            `{}`,
		"a list":                     `[]`,
		"a word":                     `"page"`,
		"data as an object":          `{"object":"page","data":{}}`,
		"data twice":                 `{"object":"page","data":[],"data":[]}`,
		"a bucket that is no object": pageOf(`1`),
		"a bucket without start":     pageOf(`{"results":[]}`),
		"a bucket without results":   pageOf(`{"start_time":60}`),
		"a start that is no time":    pageOf(`{"start_time":"soon","results":[]}`),
		"a start that is a list":     pageOf(`{"start_time":[],"results":[]}`),
		"a start with a fraction":    pageOf(`{"start_time":60.5,"results":[]}`),
		"results that are an object": pageOf(`{"start_time":60,"results":{}}`),
		"a row that is no object":    pageOf(bucketOf(`7`)),
		"a row of early results":     pageOf(`{"results":[7],"start_time":60}`),
		"a count that is a word":     pageOf(bucketOf(`{"input_tokens":"many"}`)),
		"a count that is a list":     pageOf(bucketOf(`{"input_tokens":[]}`)),
		"a count that is true":       pageOf(bucketOf(`{"input_tokens":true}`)),
		"a count out of range":       pageOf(bucketOf(`{"input_tokens":1e40}`)),
		"a label that is an object":  pageOf(bucketOf(`{"model":{}}`)),
		"a cursor that is missing":   `{"object":"page","data":[],"has_more":true,"next_page":null}`,
		"has_more as a word":         `{"object":"page","data":[],"has_more":"yes"}`,
		"more behind it":             pageOf("") + "<html>",
		"a second page behind it":    pageOf("") + pageOf(""),
		"a string without end":       `{"object":"page","data":[{"start_time":60,"x":"` + strings.Repeat("a", 3<<20),
		"white space without end":    `{"object":"page",` + strings.Repeat(" ", 5<<20),
		"early rows without end":     `{"object":"page","data":[{"results":[` + strings.Repeat(`{"input_tokens":1,"model":"a-model"},`, 1<<19),
		"nesting without end":        `{"object":"page","x":` + strings.Repeat("[", 200_000),
	} {
		t.Run(name, func(t *testing.T) {
			if _, _, err := decode(t, "embeddings", strings.NewReader(body)); err == nil {
				t.Error("it was taken for a page")
			}
		})
	}
}

func TestEveryTornPageIsAnError(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"costs_strings_2026-06.json", "completions_duplicate_rows_2025-10.json"} {
		body := bytes.TrimSpace(sample(t, name))
		e := strings.SplitN(name, "_", 2)[0]
		for i := range len(body) {
			if _, _, err := decode(t, e, bytes.NewReader(body[:i])); err == nil {
				t.Fatalf("%s: the first %d of %d bytes were taken for a page", name, i, len(body))
			}
		}
	}
}

func TestAmountsInAnotherCurrencyAreNeverCounted(t *testing.T) {
	_, _, err := decode(t, "costs", strings.NewReader(pageOf(bucketOf(`{"amount":{"value":"0.01","currency":"eur"}}`))))
	var currency currencyError
	if !errors.As(err, &currency) || !strings.Contains(err.Error(), `"eur"`) {
		t.Errorf("error = %v, want one that names the currency", err)
	}
}
