package simulator_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/decimal"
	"github.com/openai-exporter/openai_exporter/internal/simulator"
)

// monday is a working day in the middle of a busy hour.
var monday = time.Date(2026, 9, 14, 14, 20, 31, 0, time.UTC)

// at returns a simulator whose clock stands at now until the test moves it.
func at(now time.Time, o simulator.Options) (*simulator.Simulator, *simulator.Clock) {
	clock := simulator.NewClock(now, 0)
	o.Clock = clock.Now
	if o.Seed == 0 {
		o.Seed = 7
	}
	return simulator.New(o), clock
}

// get asks the simulator and returns status, header and body.
func get(t testing.TB, s *simulator.Simulator, path string, q url.Values) (int, http.Header, []byte) {
	t.Helper()
	return getAs(t, s, "sk-admin-test", path, q)
}

func getAs(t testing.TB, s *simulator.Simulator, key, path string, q url.Values) (int, http.Header, []byte) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://api.example/v1/"+path+"?"+q.Encode(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if key != "" {
		r.Header.Set("Authorization", "Bearer "+key)
	}
	resp, err := s.Transport().RoundTrip(r)
	if err != nil {
		t.Fatalf("GET %s: %v", path, err)
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("GET %s: %v", path, err)
	}
	return resp.StatusCode, resp.Header, b
}

type bucket struct {
	Start   int64            `json:"start_time"`
	End     int64            `json:"end_time"`
	Results []map[string]any `json:"results"`
}

type page struct {
	Object   string   `json:"object"`
	Data     []bucket `json:"data"`
	HasMore  bool     `json:"has_more"`
	NextPage *string  `json:"next_page"`
}

// ask asks for one page of usage or costs.
func ask(t *testing.T, s *simulator.Simulator, endpoint string, q url.Values) page {
	t.Helper()
	e := find(t, endpoint)
	status, _, body := get(t, s, e.Path, q)
	if status != http.StatusOK {
		t.Fatalf("GET %s?%s: %d %s", e.Path, q.Encode(), status, body)
	}
	var p page
	d := json.NewDecoder(strings.NewReader(string(body)))
	d.UseNumber()
	if err := d.Decode(&p); err != nil {
		t.Fatalf("GET %s: %v in %.300s", e.Path, err, body)
	}
	if p.Object != "page" || p.HasMore != (p.NextPage != nil) {
		t.Fatalf("GET %s: malformed page %.300s", e.Path, body)
	}
	return p
}

// askAll follows the cursors.
func askAll(t *testing.T, s *simulator.Simulator, endpoint string, q url.Values) []bucket {
	t.Helper()
	var out []bucket
	for {
		p := ask(t, s, endpoint, q)
		out = append(out, p.Data...)
		if p.NextPage == nil {
			return out
		}
		q.Set("page", *p.NextPage)
	}
}

func find(t *testing.T, endpoint string) *api.Endpoint {
	t.Helper()
	e, ok := api.Find(endpoint)
	if !ok {
		t.Fatalf("no endpoint %q", endpoint)
	}
	return e
}

func seconds(ts time.Time) string { return strconv.FormatInt(ts.Unix(), 10) }

// query spells a query: its arguments are names and values in turn.
func query(pairs ...string) url.Values {
	q := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		q.Add(pairs[i], pairs[i+1])
	}
	return q
}

// total adds up rows the way a careful client does: by the dimensions it asked for and those that rows carry on their
// own, with null and "" alike.
func total(t *testing.T, e *api.Endpoint, groupBy []string, buckets []bucket) map[string]decimal.Fixed {
	t.Helper()
	var shown []string
	for _, d := range e.Dimensions {
		if slices.Contains(groupBy, d.Name) {
			shown = append(shown, d.Name)
		}
	}
	for _, a := range e.Attributes {
		shown = append(shown, a.Name)
	}
	out := map[string]decimal.Fixed{}
	for _, b := range buckets {
		for _, r := range b.Results {
			if r["object"] != e.Object {
				t.Fatalf("object %v, want %s", r["object"], e.Object)
			}
			labels := map[string]string{}
			for _, name := range shown {
				if v := r[name]; v != nil && v != "" {
					labels[name] = fmt.Sprint(v)
				}
			}
			set := fmt.Sprint(labels, " ")
			for _, m := range e.Measures {
				key := set + m.Name
				out[key] = out[key].Add(value(t, r, m))
			}
		}
	}
	return out
}

func value(t *testing.T, row map[string]any, m api.Measure) decimal.Fixed {
	t.Helper()
	for _, f := range m.Fields {
		v := row[f]
		if o, ok := v.(map[string]any); ok {
			v = o["value"]
		}
		if v == nil {
			continue
		}
		x, err := decimal.Parse(fmt.Sprint(v))
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	return decimal.Fixed{}
}

// totalOf is total of the truth.
func totalOf(rows []simulator.Row) map[string]decimal.Fixed {
	out := map[string]decimal.Fixed{}
	for _, r := range rows {
		set := fmt.Sprint(r.Labels, " ")
		for m, v := range r.Values {
			out[set+m] = v
		}
	}
	return out
}
