package fetcher_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/openai-exporter/openai_exporter/fetcher"
	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
)

// minutes is a window of so many closed minutes before now.
func minutes(n int) ledger.Window {
	to := time.Now().UTC().Truncate(time.Minute)
	return ledger.Window{Width: api.Minute, From: to.Add(time.Duration(-n) * time.Minute), To: to}
}

func TestRequestsAreSpelledAsTheAPIWantsThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, seen := &fake{perPage: 3}, &witness{}
		c := client(t, serve(t, f), seen)
		r, err := c.Read(t.Context(), embeddings(t, minutes(7)))
		if err != nil {
			t.Fatal(err)
		}
		if got := book(t, r); got != "7" {
			t.Errorf("counted %s requests, want 7", got)
		}
		var raw []string
		for _, a := range f.asks() {
			raw = append(raw, a.path+"?"+a.raw)
			for name, want := range map[string]string{"Authorization": "Bearer " + secret, "User-Agent": "openai_exporter/1.2.3", "Openai-Organization": ""} {
				if got := a.header.Get(name); got != want {
					t.Errorf("header %s = %q, want %q", name, got, want)
				}
			}
		}
		// The parameters are sent again with the cursor, whose = is escaped.
		const common = "/v1/organization/usage/embeddings?bucket_width=1m&end_time=946684800&group_by=project_id&group_by=model&limit=7"
		want := []string{
			common + "&start_time=946684380",
			common + "&page=page_946684560%3D%3D&start_time=946684380",
			common + "&page=page_946684740%3D%3D&start_time=946684380",
		}
		if diff := cmp.Diff(want, raw); diff != "" {
			t.Errorf("requests differ (-want +got):\n%s", diff)
		}
		if seen.count("embeddings 200") != 3 {
			t.Errorf("observed %v", seen.requests)
		}
	})
}

func TestALimitIsAlwaysSentAndNeverTooLarge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		c := client(t, serve(t, f), &witness{})
		hour := time.Hour
		for _, tc := range []struct {
			endpoint string
			window   ledger.Window
			limit    string
			end      string
		}{
			{"embeddings", ledger.Window{Width: api.Minute, From: midnight.Add(-hour)}, "62", ""},
			{"embeddings", ledger.Window{Width: api.Minute, From: midnight.Add(-30 * hour)}, "1440", ""},
			{"embeddings", ledger.Window{Width: api.Hour, From: midnight.Add(-500 * hour), To: midnight}, "168", "946684800"},
			{"embeddings", ledger.Window{Width: api.Day, From: midnight.Add(-24 * hour), To: midnight}, "1", "946684800"},
			// An end on the day of the start would be refused: the running day has none.
			{"costs", ledger.Window{Width: api.CostDay, From: midnight}, "2", ""},
			{"costs", ledger.Window{Width: api.CostDay, From: midnight.Add(-31 * 24 * hour)}, "33", ""},
		} {
			before := len(f.asks())
			if _, err := c.Read(t.Context(), fetcher.Query{Endpoint: endpoint(t, tc.endpoint), Window: tc.window}); err != nil {
				t.Fatal(err)
			}
			for _, a := range f.asks()[before:] {
				if got := a.query.Get("limit"); got != tc.limit || a.query.Get("end_time") != tc.end || a.query.Has("group_by") {
					t.Errorf("%s from %s by %s: %s, want limit %s and end %q", tc.endpoint, tc.window.From, tc.window.Width.Name, a.raw, tc.limit, tc.end)
				}
			}
		}
	})
}

func TestFiltersAreParametersOfTheRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		c := client(t, serve(t, f), &witness{})
		filters := api.Filters{"models": {"gpt-6-sol", "a&b=c"}, "project_ids": {"proj_b", "proj_a"}, "user_ids": nil}.Encode()
		if _, err := c.Read(t.Context(), fetcher.Query{Endpoint: endpoint(t, "embeddings"), Filters: filters, Window: ledger.Window{Width: api.Hour, From: midnight.Add(-time.Hour), To: midnight}}); err != nil {
			t.Fatal(err)
		}
		want := "/v1/organization/usage/embeddings?bucket_width=1h&end_time=946684800&limit=1&models=a%26b%3Dc&models=gpt-6-sol&project_ids=proj_a&project_ids=proj_b&start_time=946681200"
		if a := f.asks()[0]; a.path+"?"+a.raw != want {
			t.Errorf("asked for %s?%s, want %s", a.path, a.raw, want)
		}
	})
}

func TestAnUnalignedWindowIsNeverAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		c := client(t, serve(t, f), &witness{})
		for _, w := range []ledger.Window{
			{Width: api.Minute, From: midnight.Add(-time.Second)},
			{Width: api.Hour, From: midnight.Add(-time.Hour), To: midnight.Add(-time.Minute)},
			{Width: api.CostDay, From: midnight.Add(-time.Hour)},
			{Width: api.Hour, From: midnight, To: midnight},
		} {
			if _, err := c.Read(t.Context(), embeddings(t, w)); err == nil {
				t.Errorf("%s from %s to %s was read", w.Width.Name, w.From, w.To)
			}
		}
		if n := len(f.asks()); n != 0 {
			t.Errorf("%d requests were made", n)
		}
	})
}

func TestADimensionThatTheAPIKnowsOnlyLaterMovesTheStart(t *testing.T) {
	since := time.Date(2025, 12, 6, 0, 0, 0, 0, time.UTC)
	synctest.Test(t, func(t *testing.T) {
		<-time.After(since.AddDate(0, 0, 3).Sub(midnight))
		f := &fake{}
		c := client(t, serve(t, f), &witness{})
		q := fetcher.Query{Endpoint: endpoint(t, "costs"), GroupBy: []string{"api_key_id"}, Window: ledger.Window{Width: api.CostDay, From: since.AddDate(0, 0, -10)}}
		if _, err := c.Read(t.Context(), q); err != nil {
			t.Fatal(err)
		}
		if got := f.asks()[0].query.Get("start_time"); got != "1764979200" {
			t.Errorf("start_time = %s, want that of the dimension", got)
		}
		q.Window.To = since
		r, err := c.Read(t.Context(), q)
		if err != nil || r.Rows() != 0 || len(f.asks()) != 1 {
			t.Errorf("a window before it was asked for: %v", err)
		}
		q.GroupBy = []string{"project_id"}
		if _, err := c.Read(t.Context(), q); err != nil || len(f.asks()) != 2 {
			t.Errorf("a window without the dimension was not asked for: %v", err)
		}
	})
}

func TestOnlyBucketsOfTheWindowThatHaveBegunAreRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		row := func(start time.Time) string {
			return fmt.Sprintf(`{"start_time":%d,"end_time":%d,"results":[{"num_model_requests":1}]}`, start.Unix(), start.Unix()+60)
		}
		page := func(starts ...time.Duration) string {
			var rows []string
			for _, s := range starts {
				rows = append(rows, row(midnight.Add(s)))
			}
			return `{"object":"page","data":[` + strings.Join(rows, ",") + `],"has_more":false}`
		}
		f := &fake{before: says(200, page(-4*time.Minute, -3*time.Minute, -2*time.Minute, -time.Minute, 0, time.Minute))}
		c := client(t, serve(t, f), &witness{})
		w := ledger.Window{Width: api.Minute, From: midnight.Add(-3 * time.Minute)}
		r, err := c.Read(t.Context(), embeddings(t, w))
		if err != nil {
			t.Fatal(err)
		}
		// The API's clock shows midnight: what starts then has not begun.
		if got := book(t, r); got != "3" {
			t.Errorf("counted %s requests, want 3", got)
		}
		for name, body := range map[string]string{
			"not aligned": page(-90 * time.Second),
			"too wide":    fmt.Sprintf(`{"object":"page","data":[{"results":[],"start_time":%d,"end_time":%d}],"has_more":false}`, midnight.Unix()-3600, midnight.Unix()),
		} {
			_, err := client(t, serve(t, &fake{before: says(200, body)}), &witness{}).Read(t.Context(), embeddings(t, w))
			if fetcher.Code(err) != "body" {
				t.Errorf("a bucket that is %s: %v", name, err)
			}
		}
	})
}
