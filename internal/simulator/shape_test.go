package simulator_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/decimal"
	"github.com/openai-exporter/openai_exporter/internal/simulator"
)

func TestWiderBucketsAreTheSumOfTheirMinutesAtEveryMoment(t *testing.T) {
	t.Parallel()
	c, err := simulator.Profile("restated")
	if err != nil {
		t.Fatal(err)
	}
	c.Lateness.TailShare, c.Lateness.Tail = 0.3, 5*time.Hour
	s, clock := at(monday, simulator.Options{Lateness: c.Lateness, Restate: c.Restate, LabelSets: 20})
	groupBy := []string{"project_id"}
	e := find(t, "completions")
	for range 3 {
		day := clock.Now().Truncate(24 * time.Hour)
		var want map[string]decimal.Fixed
		for _, width := range []string{"1m", "1h", "1d"} {
			w, _ := e.Width(width)
			q := query("start_time", seconds(day), "bucket_width", width, "limit", fmt.Sprint(w.Max), "group_by", "project_id")
			got := total(t, e, groupBy, askAll(t, s, e.Name, q))
			if want == nil {
				want = got
			}
			if diff := cmp.Diff(want, got, exact); diff != "" {
				t.Errorf("at %s: %s differs from minutes (-minutes +%s):\n%.2000s", clock.Now(), width, width, diff)
			}
		}
		clock.Advance(3*time.Hour + 7*time.Second)
	}
}

// seen is a measure of one minute at moments after its end.
func seen(s *simulator.Simulator, minute time.Time, after ...time.Duration) []int64 {
	var out []int64
	for _, d := range after {
		var sum int64
		for _, r := range s.Truth("completions", nil, minute, minute.Add(time.Minute), minute.Add(time.Minute+d)) {
			n, _ := r.Values["input_tokens"].Int()
			sum += n
		}
		out = append(out, sum)
	}
	return out
}

func TestALateMinuteClimbsUntilItIsComplete(t *testing.T) {
	c, err := simulator.Profile("late-hours")
	if err != nil {
		t.Fatal(err)
	}
	s, _ := at(monday, simulator.Options{Lateness: c.Lateness})
	var moments []time.Duration
	for d := -time.Minute; d <= 9*time.Hour; d += 20 * time.Second {
		moments = append(moments, d)
	}
	tails := 0
	for i := range 20 {
		minute := monday.Truncate(time.Minute).Add(time.Duration(i) * time.Minute)
		got := seen(s, minute, moments...)
		if !slices.IsSorted(got) {
			t.Fatalf("%s: what was seen is taken back: %v", minute, got)
		}
		final := got[len(got)-1]
		if got[0] != 0 {
			t.Errorf("%s: seen before it began: %d", minute, got[0])
		}
		atEnd, within := got[3], got[slices.Index(moments, 15*time.Minute)]
		if atEnd == 0 || atEnd >= final*3/4 {
			t.Errorf("%s: %d of %d is there when it ends", minute, atEnd, final)
		}
		if within < final {
			tails++
		}
		if last := s.Final("completions", nil, minute, minute.Add(time.Minute)); last[0].Values["input_tokens"] != decimal.FromInt(final) {
			t.Errorf("%s: ends at %d, final is %s", minute, final, last[0].Values["input_tokens"])
		}
	}
	if tails == 0 {
		t.Error("no minute has a tail")
	}
}

func TestRestatementsGoBothWaysAndEnd(t *testing.T) {
	t.Parallel()
	s, _ := at(monday, simulator.Options{Restate: simulator.Restatement{Up: 0.1, Down: 0.1, After: time.Hour, Until: 3 * time.Hour}})
	var up, down, vanished int
	groupBy := []string{"project_id", "user_id", "api_key_id", "model", "batch"}
	for i := range 120 {
		minute := monday.Truncate(time.Minute).Add(time.Duration(i) * time.Minute)
		end := minute.Add(time.Minute)
		before, after := s.Truth("completions", groupBy, minute, end, end), s.Truth("completions", groupBy, minute, end, end.Add(3*time.Hour))
		if diff := cmp.Diff(s.Final("completions", groupBy, minute, end), after, exact); diff != "" {
			t.Fatalf("%s is not final when restatements have ended:\n%s", minute, diff)
		}
		final := totalOf(after)
		for k, v := range totalOf(before) {
			f, ok := final[k]
			switch {
			case !ok:
				vanished++
			case v.Cmp(f) < 0:
				up++
			case v.Cmp(f) > 0:
				down++
			}
		}
	}
	if up == 0 || down == 0 || vanished == 0 {
		t.Errorf("%d up, %d down, %d vanished: want some of each", up, down, vanished)
	}
}

func TestRowsAreNotUnique(t *testing.T) {
	s, _ := at(monday, simulator.Options{})
	repeats := func(endpoint string, groupBy string, width string) (n int, spellings map[string]bool, projects map[string]bool) {
		spellings, projects = map[string]bool{}, map[string]bool{}
		e := find(t, endpoint)
		for _, b := range ask(t, s, endpoint, query("start_time", seconds(monday.Add(-48*time.Hour)), "bucket_width", width, "group_by", groupBy)).Data {
			rows := map[string]bool{}
			for _, r := range b.Results {
				key := ""
				for _, d := range e.Dimensions {
					if strings.Contains(groupBy, d.Name) {
						key += fmt.Sprint(r[d.Name]) + "\x00"
					}
				}
				if rows[key] {
					n++
				}
				rows[key] = true
				spellings[fmt.Sprintf("%#v", r["project_id"])] = true
				if p, ok := r["project_name"].(string); ok {
					projects[p] = true
				}
			}
		}
		return n, spellings, projects
	}
	n, spellings, _ := repeats("completions", "project_id,model,batch,service_tier", "1h")
	if n == 0 {
		t.Error("completions: no row repeats another's dimensions")
	}
	if !spellings["<nil>"] || !spellings[`""`] {
		t.Errorf("completions: an absent project is not spelled in both ways: %v", spellings)
	}
	n, spellings, projects := repeats("costs", "line_item", "1d")
	if n == 0 || len(spellings) < 3 || len(projects) < 2 {
		t.Errorf("costs by line item: %d repeats, projects %v %v", n, spellings, projects)
	}
}

func TestTokensPartition(t *testing.T) {
	for _, profile := range []string{"instant", "restated"} {
		c, err := simulator.Profile(profile)
		if err != nil {
			t.Fatal(err)
		}
		s, _ := at(monday, simulator.Options{Lateness: c.Lateness, Restate: c.Restate})
		rows := s.Truth("completions", []string{"project_id", "model", "batch", "service_tier"}, monday.Add(-time.Hour), monday, monday)
		seen := map[string]bool{}
		for _, r := range rows {
			n := func(name string) int64 {
				i, ok := r.Values[name+"_tokens"].Int()
				if !ok {
					t.Fatalf("%s of %v is no integer", name, r.Labels)
				}
				if i != 0 {
					seen[name] = true
				}
				return i
			}
			for whole, parts := range map[string][]string{
				"input":             {"input_cached", "input_uncached", "input_cache_write"},
				"input_uncached":    {"input_text", "input_audio", "input_image"},
				"input_cached":      {"input_cached_text", "input_cached_audio", "input_cached_image"},
				"input_cache_write": {"input_cache_write_30m", "input_cache_write_12h"},
				"output":            {"output_text", "output_audio", "output_image"},
			} {
				sum := int64(0)
				for _, p := range parts {
					sum += n(p)
				}
				if sum != n(whole) {
					t.Errorf("%s of %v is %d, its parts are %d", whole, r.Labels, n(whole), sum)
				}
			}
		}
		if len(seen) != 16 {
			t.Errorf("%s: only these token fields have values: %v", profile, seen)
		}
	}
}

func TestEveryMeasureAndDimensionOfTheTableHasValues(t *testing.T) {
	s, _ := at(monday, simulator.Options{})
	for i := range api.Endpoints {
		e := &api.Endpoints[i]
		groupBy := groupings(e)[3]
		measures, dimensions := map[string]bool{}, map[string]bool{}
		for _, r := range s.Truth(e.Name, groupBy, monday.Add(-24*time.Hour), monday, monday) {
			for m, v := range r.Values {
				if v.Sign() > 0 {
					measures[m] = true
				}
			}
			for d := range r.Labels {
				dimensions[d] = true
			}
		}
		for _, m := range e.Measures {
			modality := strings.Contains(m.Name, "audio") || strings.Contains(m.Name, "image") || strings.Contains(m.Name, "12h")
			if !measures[m.Name] && (e.Name != "decisions" || !modality) {
				t.Errorf("%s: %s is always zero", e.Name, m.Name)
			}
		}
		for _, d := range append(slices.Clone(e.Dimensions), e.Attributes...) {
			if !dimensions[d.Name] {
				t.Errorf("%s: %s is always absent", e.Name, d.Name)
			}
		}
	}
}

func TestAStockIsItsNewestLevelAndNoSum(t *testing.T) {
	s, _ := at(monday, simulator.Options{})
	day := monday.Truncate(24 * time.Hour)
	hours := ask(t, s, "vector_stores", query("start_time", seconds(day), "bucket_width", "1h", "group_by", "project_id")).Data
	days := ask(t, s, "vector_stores", query("start_time", seconds(day), "bucket_width", "1d", "group_by", "project_id")).Data
	if diff := cmp.Diff(hours[len(hours)-1].Results, days[0].Results, ignoreExtras); diff != "" {
		t.Errorf("the day's level is not that of its newest hour (-hour +day):\n%s", diff)
	}
	if diff := cmp.Diff(hours[0].Results, hours[1].Results, ignoreExtras); diff == "" {
		t.Error("the level never changes")
	}
}

var ignoreExtras = cmp.FilterPath(func(p cmp.Path) bool {
	i, ok := p.Last().(cmp.MapIndex)
	return ok && slices.Contains([]string{"organization_id", "organization_name", "project_name"}, i.Key().String())
}, cmp.Ignore())

func TestUsageBeginsAndEndsWhereItIsTold(t *testing.T) {
	begin, end := monday.Add(-2*time.Hour).Truncate(time.Minute), monday.Add(-time.Hour)
	s, clock := at(monday, simulator.Options{Begin: begin})
	s.Final("completions", nil, begin.Add(-time.Hour), monday) // So that the end finds sums that are already known.
	s.SetEnd(end)
	for _, r := range []struct {
		from, to time.Time
		some     bool
	}{{begin.Add(-5 * time.Hour), begin, false}, {begin, end, true}, {end.Add(time.Minute), monday.Add(5 * time.Hour), false}} {
		if got := s.Final("completions", nil, r.from, r.to); (len(got) > 0) != r.some {
			t.Errorf("[%s,%s): %v", r.from, r.to, got)
		}
	}
	clock.Advance(72 * time.Hour)
	whole := s.Final("completions", nil, begin.Add(-72*time.Hour), clock.Now())
	if diff := cmp.Diff(s.Final("completions", nil, begin, end), whole, exact); diff != "" {
		t.Errorf("there is usage outside its bounds:\n%s", diff)
	}
}

func TestExtraLabelSetsAreServed(t *testing.T) {
	const n = 5000
	s, _ := at(monday, simulator.Options{LabelSets: n})
	hour := monday.Truncate(time.Hour)
	rows := s.Truth("completions", []string{"project_id", "model"}, hour.Add(-time.Hour), hour, monday)
	if len(rows) < n {
		t.Errorf("%d label sets, want at least %d", len(rows), n)
	}
}

func TestRenamedFieldsHadTheirOldNameBefore(t *testing.T) {
	now := time.Date(2025, 6, 2, 12, 0, 0, 0, time.UTC)
	s, _ := at(now, simulator.Options{LegacyBefore: now.Add(-12 * time.Hour)})
	for _, b := range ask(t, s, "code_interpreter_sessions", query("start_time", seconds(now.Add(-48*time.Hour)))).Data {
		for _, r := range b.Results {
			_, before := r["sessions"]
			_, after := r["num_sessions"]
			if old := b.Start < now.Add(-12*time.Hour).Unix(); before != old || after == old {
				t.Errorf("bucket %d: row %v", b.Start, r)
			}
		}
	}
}

func TestBothSpellingsOfTheResultsOccur(t *testing.T) {
	for _, key := range []string{"results", "result"} {
		s, _ := at(monday, simulator.Options{ResultKey: key})
		_, _, body := get(t, s, find(t, "embeddings").Path, query("start_time", seconds(monday.Add(-time.Hour)), "bucket_width", "1h"))
		var p struct {
			Data []map[string]any `json:"data"`
		}
		if err := json.Unmarshal(body, &p); err != nil {
			t.Fatal(err)
		}
		if rows, ok := p.Data[0][key].([]any); !ok || len(rows) == 0 {
			t.Errorf("%q is missing in %s", key, body)
		}
	}
}
