package exporter

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/openai-exporter/openai_exporter/fetcher"
	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
	testclient "github.com/openai-exporter/openai_exporter/test/client"
)

// TestPublishedResponsesAreBookedExactly takes real responses through client and ledger and compares the
// counters with what plain JSON decoding and rational arithmetic make of them.
func TestPublishedResponsesAreBookedExactly(t *testing.T) {
	for _, tc := range []struct {
		file, endpoint string
		groupBy        []string
		width          api.Width
		series         int // at least so many label sets
	}{
		{"completions_1d_2025-02.json", "completions", nil, api.Day, 1},
		{"completions_1m_21_fields_2025-10.json", "completions", []string{"model"}, api.Minute, 1},
		{"completions_duplicate_rows_2025-10.json", "completions", []string{"project_id", "user_id", "api_key_id", "model", "batch", "service_tier"}, api.Day, 3},
		{"completions_partition_2026-08.json", "completions", []string{"model"}, api.Day, 2},
		{"costs_1d_numbers_2025-02.json", "costs", nil, api.CostDay, 1},
		{"costs_by_line_item_2025-02.json", "costs", []string{"project_id", "line_item"}, api.CostDay, 4},
		{"costs_bill_2026-09.json", "costs", []string{"line_item"}, api.CostDay, 5},
		{"costs_strings_2026-06.json", "costs", []string{"project_id", "line_item"}, api.CostDay, 3},
		{"costs_empty_2026-06.json", "costs", []string{"project_id", "line_item"}, api.CostDay, 0},
	} {
		t.Run(tc.file, func(t *testing.T) {
			body, err := os.ReadFile(filepath.Join("..", "..", "fetcher", "testdata", "samples", tc.file))
			if err != nil {
				t.Fatal(err)
			}
			// One of them was asked for with an unaligned start_time, which the exporter never sends; served as the
			// answer to an aligned one, its first bucket is whole.
			body = []byte(strings.ReplaceAll(string(body), "1736616660", "1736553600"))
			e, _ := api.Find(tc.endpoint)
			want, first, last := plainSums(t, body, e, tc.groupBy)
			body = filled(t, body, tc.width)
			client := testclient.New(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Date", last.Add(time.Hour).Format(http.TimeFormat))
				_, _ = w.Write(body)
			}))
			books, err := ledger.Open(ledger.Options{Dir: t.TempDir()})
			if err != nil {
				t.Fatal(err)
			}
			defer books.Close()
			feeds, err := books.Configure(ledger.Settings{IdleRetention: 100 * 365 * 24 * time.Hour, MaxLabelSets: 1000}, []ledger.FeedOptions{{
				Organization: "acme", Endpoint: e, GroupBy: tc.groupBy, Width: tc.width, Lookback: time.Hour,
				CountersStart: func(time.Time) (time.Time, bool) { return time.Unix(0, 0), true },
			}})
			if err != nil {
				t.Fatal(err)
			}
			for range 2 { // reading it again must change nothing
				w := feeds[0].PollWindow(last)
				w.From = first
				read, err := client.Read(t.Context(), fetcher.Query{Endpoint: e, GroupBy: tc.groupBy, Window: w})
				if err != nil {
					t.Fatal(err)
				}
				if err := feeds[0].Book(t.Context(), read); err != nil {
					t.Fatal(err)
				}
			}
			got, labelSets := map[string]string{}, map[string]bool{}
			for _, s := range books.View().Feeds[0].Series {
				key := ""
				for _, l := range s.Labels {
					key += fmt.Sprintf("%s=%s;", l.Name, l.Value)
				}
				labelSets[key] = true
				for i, m := range s.Measures {
					if !s.Values[i].IsZero() {
						r, _ := new(big.Rat).SetString(s.Values[i].String())
						got[e.Measures[m].Name+" "+key] = r.FloatString(places)
					}
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("counters (-JSON +booked):\n%s", diff)
			}
			if len(labelSets) < tc.series {
				t.Errorf("%d label sets, want at least %d", len(labelSets), tc.series)
			}
		})
	}
}

// filled puts an empty bucket where a published page, of which only some buckets were published, leaves one out: the API
// itself returns them.
func filled(t *testing.T, body []byte, width api.Width) []byte {
	t.Helper()
	var page map[string]json.RawMessage
	var data []json.RawMessage
	if err := errors.Join(json.Unmarshal(body, &page), json.Unmarshal(page["data"], &data)); err != nil {
		t.Fatal(err)
	}
	seconds := int64(width.Duration / time.Second)
	var out []json.RawMessage
	next := int64(0)
	for _, raw := range data {
		var bucket struct {
			Start int64 `json:"start_time"`
		}
		if err := json.Unmarshal(raw, &bucket); err != nil {
			t.Fatal(err)
		}
		for ; next != 0 && next < bucket.Start; next += seconds {
			out = append(out, fmt.Appendf(nil, `{"object":"bucket","start_time":%d,"end_time":%d,"results":[]}`, next, next+seconds))
		}
		out = append(out, raw)
		next = bucket.Start + seconds
	}
	var err error
	if page["data"], err = json.Marshal(out); err != nil {
		t.Fatal(err)
	}
	if body, err = json.Marshal(page); err != nil {
		t.Fatal(err)
	}
	return body
}

// places is what the sums are compared to. Real amounts have more than the 18 that the ledger keeps of each row.
const places = 15

// plainSums sums a page up in the plainest way there is.
func plainSums(t *testing.T, body []byte, e *api.Endpoint, groupBy []string) (sums map[string]string, first, last time.Time) {
	t.Helper()
	var page struct {
		Data []struct {
			Start   int64            `json:"start_time"`
			End     int64            `json:"end_time"`
			Results []map[string]any `json:"results"`
		} `json:"data"`
	}
	decoder := json.NewDecoder(strings.NewReader(string(body)))
	decoder.UseNumber()
	if err := decoder.Decode(&page); err != nil {
		t.Fatal(err)
	}
	rats := map[string]*big.Rat{}
	for _, b := range page.Data {
		for _, row := range b.Results {
			for _, m := range e.Measures {
				dimensions := e.GroupBy(groupBy)
				if m.By != nil {
					dimensions = m.By
				}
				key := m.Name + " "
				for _, name := range dimensions {
					d, _ := e.Dimension(name)
					grouped := len(e.GroupBy([]string{name})) == 0 || len(e.GroupBy(append([]string{name}, groupBy...))) == len(e.GroupBy(groupBy))
					if v := row[name]; v != nil && v != "" && grouped {
						key += fmt.Sprintf("%s=%v;", d.Label, v)
					}
				}
				for _, field := range m.Fields {
					v := row[field]
					if amount, ok := v.(map[string]any); ok {
						v = amount["value"]
					}
					if v == nil {
						continue
					}
					r, ok := new(big.Rat).SetString(strings.Replace(fmt.Sprint(v), "0E-6176", "0", 1))
					if !ok {
						t.Fatalf("%s = %v", field, v)
					}
					if rats[key] == nil {
						rats[key] = new(big.Rat)
					}
					rats[key].Add(rats[key], r)
					break
				}
			}
		}
	}
	sums = map[string]string{}
	for key, r := range rats {
		if r.Sign() != 0 {
			sums[key] = r.FloatString(places)
		}
	}
	return sums, time.Unix(page.Data[0].Start, 0).UTC(), time.Unix(page.Data[len(page.Data)-1].End, 0).UTC()
}
