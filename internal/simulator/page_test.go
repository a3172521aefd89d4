package simulator_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/simulator"
)

// bounds are the starts and ends of buckets, relative to a time.
func bounds(buckets []bucket, from time.Time) [][2]string {
	var out [][2]string
	for _, b := range buckets {
		out = append(out, [2]string{time.Unix(b.Start, 0).Sub(from.Truncate(time.Second)).String(), time.Unix(b.End, 0).Sub(from.Truncate(time.Second)).String()})
	}
	return out
}

func TestBucketsAreCutAsTheAPICutsThem(t *testing.T) {
	hour := monday.Truncate(time.Hour) // 14:00; the clock shows 14:20:31
	day := monday.Truncate(24 * time.Hour)
	for _, tc := range []struct {
		name, endpoint string
		from           time.Time
		q              url.Values
		want           [][2]string
	}{
		{
			"an unaligned start gives a partial first bucket, floored to the minute", "completions", hour,
			query("start_time", seconds(hour.Add(-90*time.Minute+31*time.Second)), "end_time", seconds(hour), "bucket_width", "1h"),
			[][2]string{{"-1h30m0s", "-1h0m0s"}, {"-1h0m0s", "0s"}},
		},
		{
			"without an end the last bucket ends at now", "completions", hour,
			query("start_time", seconds(hour), "bucket_width", "1h"),
			[][2]string{{"0s", "20m31s"}},
		},
		{
			"the running minute too", "embeddings", hour,
			query("start_time", seconds(hour.Add(19*time.Minute)), "bucket_width", "1m"),
			[][2]string{{"19m0s", "20m0s"}, {"20m0s", "20m31s"}},
		},
		{
			"the width is a day by default", "images", day,
			query("start_time", seconds(day.Add(-24*time.Hour))),
			[][2]string{{"-24h0m0s", "0s"}, {"0s", "14h20m31s"}},
		},
		{
			"an end in the future makes no buckets that have not begun", "completions", hour,
			query("start_time", seconds(hour), "end_time", seconds(hour.Add(5*time.Hour)), "bucket_width", "1h"),
			[][2]string{{"0s", "1h0m0s"}},
		},
		{
			"a start in the future has no data", "completions", hour,
			query("start_time", seconds(hour.Add(5*time.Hour)), "bucket_width", "1h"),
			nil,
		},
		{
			"costs are floored to the day, and the running day shows a whole one", "costs", day,
			query("start_time", seconds(day.Add(-7*time.Hour))),
			[][2]string{{"-24h0m0s", "0s"}, {"0s", "24h0m0s"}},
		},
		{
			"costs up to tomorrow", "costs", day,
			query("start_time", seconds(day), "end_time", seconds(day.Add(24*time.Hour))),
			[][2]string{{"0s", "24h0m0s"}},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, _ := at(monday, simulator.Options{})
			p := ask(t, s, tc.endpoint, tc.q)
			if diff := cmp.Diff(tc.want, bounds(p.Data, tc.from)); diff != "" {
				t.Errorf("buckets (-want +got):\n%s", diff)
			}
			if p.HasMore {
				t.Error("has_more is true")
			}
		})
	}
}

func TestLimitCountsBucketsAndDefaultsTruncate(t *testing.T) {
	s, _ := at(monday, simulator.Options{})
	long := seconds(monday.Add(-400 * 24 * time.Hour))
	for i := range api.Endpoints {
		e := &api.Endpoints[i]
		for _, w := range e.Widths {
			q := query("start_time", long, "bucket_width", w.Name)
			p := ask(t, s, e.Name, q)
			if len(p.Data) != w.Default || !p.HasMore {
				t.Errorf("%s %s: %d buckets, has_more %t, want %d and more", e.Name, w.Name, len(p.Data), p.HasMore, w.Default)
			}
			q.Set("limit", "2")
			if p := ask(t, s, e.Name, q); len(p.Data) != 2 || p.Data[0].Start >= p.Data[1].Start || p.Data[0].End != p.Data[1].Start {
				t.Errorf("%s %s: buckets %v", e.Name, w.Name, bounds(p.Data, monday))
			}
		}
	}
}

func TestPagesShareTheFirstOnesNow(t *testing.T) {
	s, clock := at(monday, simulator.Options{})
	q := query("start_time", seconds(monday.Add(-10*time.Minute)), "bucket_width", "1m", "limit", "4", "group_by", "model")
	whole := ask(t, s, "completions", query("start_time", seconds(monday.Add(-10*time.Minute)), "bucket_width", "1m"))
	first := ask(t, s, "completions", q)
	clock.Advance(3 * time.Minute)
	q.Set("page", *first.NextPage)
	q.Set("limit", "60")
	rest := ask(t, s, "completions", q)
	if diff := cmp.Diff(bounds(whole.Data, monday), bounds(append(first.Data, rest.Data...), monday)); diff != "" {
		t.Errorf("the pages' buckets are not those of one answer (-whole +pages):\n%s", diff)
	}
	if !strings.HasPrefix(*first.NextPage, "page_") || !strings.HasSuffix(*first.NextPage, "=") {
		t.Errorf("cursor %q", *first.NextPage)
	}

	// The cursor holds nothing of the other parameters.
	q.Del("group_by")
	q.Set("bucket_width", "1h")
	changed := ask(t, s, "completions", q)
	if len(changed.Data) != 1 || len(changed.Data[0].Results) != 1 || changed.Data[0].Results[0]["model"] != nil {
		t.Errorf("a page without group_by and with another width: %v", changed.Data)
	}
	q.Del("start_time")
	if status, _, _ := get(t, s, find(t, "completions").Path, q); status != http.StatusBadRequest {
		t.Errorf("a page without start_time: status %d", status)
	}
}

func TestEmptyBucketsAreReturned(t *testing.T) {
	s, _ := at(monday, simulator.Options{Begin: monday.Add(-time.Hour), End: monday.Add(-30 * time.Minute)})
	for i := range api.Endpoints {
		e := &api.Endpoints[i]
		w := e.Widths[0]
		p := ask(t, s, e.Name, query("start_time", seconds(monday.Add(-3*24*time.Hour)), "end_time", seconds(monday.Add(-2*24*time.Hour)), "bucket_width", w.Name, "limit", "20"))
		if len(p.Data) == 0 {
			t.Errorf("%s: no buckets", e.Name)
		}
		for _, b := range p.Data {
			if b.Results == nil || len(b.Results) != 0 {
				t.Errorf("%s: a bucket without usage has rows %v", e.Name, b.Results)
			}
		}
	}
}

func TestEqualSeedsAndClocksGiveEqualBytes(t *testing.T) {
	c, err := simulator.Profile("restated")
	if err != nil {
		t.Fatal(err)
	}
	ask := func(seed uint64, warm bool) []byte {
		s, _ := at(monday, simulator.Options{Seed: seed, Lateness: c.Lateness, Restate: c.Restate})
		var all []byte
		if warm {
			s.Final("completions", nil, monday.Add(-48*time.Hour), monday)
		}
		for i := range api.Endpoints {
			e := &api.Endpoints[i]
			_, _, body := get(t, s, e.Path, query("start_time", seconds(monday.Add(-30*time.Hour)), "bucket_width", e.Widths[len(e.Widths)-1].Name, "group_by", "project_id"))
			all = append(all, body...)
		}
		return all
	}
	one := ask(1, false)
	if !bytes.Equal(one, ask(1, true)) {
		t.Error("equal seeds and clocks give other bytes")
	}
	if bytes.Equal(one, ask(2, false)) {
		t.Error("another seed gives the same bytes")
	}
}

func TestGroupingIsTakenInEverySpelling(t *testing.T) {
	s, _ := at(monday, simulator.Options{})
	var want []byte
	for _, q := range []url.Values{
		query("group_by", "project_id", "group_by", "model"),
		query("group_by", "project_id,model"),
		query("group_by[]", "project_id", "group_by[]", "model"),
		query("group_by", "model", "group_by[]", "project_id,model"),
	} {
		q.Set("start_time", seconds(monday.Add(-time.Hour)))
		q.Set("bucket_width", "1h")
		_, _, body := get(t, s, find(t, "completions").Path, q)
		if want == nil {
			want = body
		}
		if !bytes.Equal(want, body) {
			t.Errorf("%v: another answer", q)
		}
	}
}

func TestFiltersNarrowTheResult(t *testing.T) {
	s, _ := at(monday, simulator.Options{})
	search := s.Projects()[1]
	for _, tc := range []struct {
		endpoint, filter, dimension, value string
	}{
		{"completions", "project_ids", "project_id", search.ID},
		{"completions", "project_ids", "project_id", s.Projects()[2].ID},
		{"completions", "models", "model", "gpt-5.6-luna"},
		{"completions", "batch", "batch", "true"},
		{"images", "sources", "source", "image.edit"},
		{"images", "sizes", "size", "1024x1792"},
		{"web_search_calls", "context_levels", "context_level", "medium"},
		{"costs", "line_items", "line_item", "whisper"},
		{"costs", "project_ids", "project_id", search.ID},
	} {
		q := query("start_time", seconds(monday.Add(-24*time.Hour)), "group_by", tc.dimension, tc.filter, tc.value)
		rows := 0
		for _, b := range ask(t, s, tc.endpoint, q).Data {
			for _, r := range b.Results {
				rows++
				if got := jsonText(t, r[tc.dimension]); got != tc.value {
					t.Errorf("%s=%s: row of %s", tc.filter, tc.value, got)
				}
			}
		}
		if rows == 0 {
			t.Errorf("%s %s=%s: no rows", tc.endpoint, tc.filter, tc.value)
		}
	}
}

func jsonText(t *testing.T, x any) string {
	t.Helper()
	b, err := json.Marshal(x)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Trim(string(b), `"`)
}

func TestBadParametersAreRefusedByName(t *testing.T) {
	s, _ := at(monday, simulator.Options{RejectGroupBy: map[string][]string{"completions": {"api_source"}, "costs": {"user_id+project_id"}}})
	now, day := seconds(monday), monday.Truncate(24*time.Hour)
	for _, tc := range []struct {
		endpoint string
		q        url.Values
		param    string
		says     string
	}{
		{"completions", query("bucket_width", "1m"), "start_time", "start_time"},
		{"completions", query("start_time", "yesterday"), "start_time", "yesterday"},
		{"completions", query("start_time", now, "bucket_width", "5m"), "bucket_width", "'5m'"},
		{"costs", query("start_time", now, "bucket_width", "1h"), "bucket_width", "'1h'"},
		{"completions", query("start_time", now, "bucket_width", "1m", "limit", "1441"), "limit", "1440"},
		{"completions", query("start_time", now, "bucket_width", "1h", "limit", "169"), "limit", "168"},
		{"completions", query("start_time", now, "limit", "32"), "limit", "31"},
		{"costs", query("start_time", now, "limit", "181"), "limit", "180"},
		{"costs", query("start_time", now, "limit", "0"), "limit", "0"},
		{"costs", query("start_time", now, "limit", "many"), "limit", "many"},
		{"completions", query("start_time", now, "end_time", now), "end_time", "end_time"},
		{"costs", query("start_time", seconds(day), "end_time", now), "end_time", "end_time"},
		{"embeddings", query("start_time", now, "group_by", "model", "group_by", "batch"), "group_by", "'batch'"},
		{"vector_stores", query("start_time", now, "group_by", "model"), "group_by", "'model'"},
		{"completions", query("start_time", now, "group_by", "api_source"), "group_by", "'api_source'"},
		{"costs", query("start_time", now, "group_by", "project_id,user_id"), "group_by", "'user_id'"},
		{"costs", query("start_time", "1764892800", "group_by", "api_key_id"), "group_by", "'api_key_id'"},
		{"completions", query("start_time", now, "batch", "perhaps"), "batch", "perhaps"},
		{"completions", query("start_time", now, "page", "page_nonsense"), "page", "page"},
		{"completions", query("start_time", now, "page", "2"), "page", "page"},
	} {
		status, _, body := get(t, s, find(t, tc.endpoint).Path, tc.q)
		var e struct {
			Error struct{ Message, Type, Param string }
		}
		if err := json.Unmarshal(body, &e); err != nil {
			t.Fatalf("%s %v: %v in %s", tc.endpoint, tc.q, err, body)
		}
		if status != http.StatusBadRequest || e.Error.Type != "invalid_request_error" || e.Error.Param != tc.param || !strings.Contains(e.Error.Message, tc.says) {
			t.Errorf("%s %v: %d %s", tc.endpoint, tc.q, status, body)
		}
	}
	for _, q := range []url.Values{
		query("start_time", now, "group_by", "user_id"),
		query("start_time", now, "group_by", "project_id"),
		query("start_time", "1764979200", "group_by", "api_key_id"),
	} {
		if status, _, body := get(t, s, find(t, "costs").Path, q); status != http.StatusOK {
			t.Errorf("%v: %d %s", q, status, body)
		}
	}
}
