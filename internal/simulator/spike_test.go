package simulator_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/simulator"
)

// byProject is a measure of an endpoint as it will be, by project.
func byProject(s *simulator.Simulator, endpoint, measure string, from, to time.Time) map[string]float64 {
	out := map[string]float64{}
	for _, r := range s.Final(endpoint, []string{"project_id"}, from, to) {
		out[r.Labels["project_id"]] = r.Values[measure].Float64()
	}
	return out
}

func TestASpikeMultipliesOneProjectForAWhile(t *testing.T) {
	from := monday.Truncate(time.Hour)
	to := from.Add(time.Hour)
	calm, _ := at(to.Add(time.Hour), simulator.Options{})
	spiked, _ := at(to.Add(time.Hour), simulator.Options{})
	project := calm.Projects()[0].ID
	// What was asked for before must not be remembered.
	for _, e := range []string{"completions", api.Costs} {
		if diff := cmp.Diff(byProject(calm, e, "requests", from, to), byProject(spiked, e, "requests", from, to)); diff != "" {
			t.Fatalf("two equal simulators differ:\n%s", diff)
		}
	}
	spiked.SetSpikes(simulator.Spike{Project: project, Factor: 50, From: from, To: to})

	for _, c := range []struct {
		endpoint, measure string
		from, to          time.Time
		low, high         float64
	}{
		{"completions", "requests", from, to, 49, 51},
		{"completions", "input_tokens", from, to, 45, 52},
		// What a request holds is rounded up, which weighs more where there are few of them.
		{"file_search_calls", "file_search_calls", from, to, 25, 60},
		{"completions", "requests", from.Add(-time.Hour), from, 1, 1},
		{"completions", "requests", to, to.Add(time.Hour), 1, 1},
		{"vector_stores", "vector_store_bytes", from, to, 1, 1},
		{api.Costs, "cost_usd", from, to, 2, 50}, // of the whole day
		{api.Costs, "cost_usd", from.Add(-24 * time.Hour), to.Add(-24 * time.Hour), 1, 1},
	} {
		before, after := byProject(calm, c.endpoint, c.measure, c.from, c.to), byProject(spiked, c.endpoint, c.measure, c.from, c.to)
		if ratio := after[project] / before[project]; before[project] == 0 || ratio < c.low || ratio > c.high {
			t.Errorf("%s of %s from %s: %v became %v, want %v to %v times", c.measure, c.endpoint, c.from, before[project], after[project], c.low, c.high)
		}
		delete(before, project)
		delete(after, project)
		if diff := cmp.Diff(before, after); diff != "" {
			t.Errorf("%s of %s of other projects has changed:\n%s", c.measure, c.endpoint, diff)
		}
	}
	served, _ := at(monday, simulator.Options{Spikes: []simulator.Spike{{Project: project, Factor: 50, From: from, To: to}}})
	for _, e := range []string{"completions", "embeddings"} {
		w, _ := find(t, e).Width("1m")
		sameAsTruth(t, served, find(t, e), w, []string{"project_id", "model"})
	}

	spiked.SetSpikes()
	if diff := cmp.Diff(byProject(calm, api.Costs, "cost_usd", from, to), byProject(spiked, api.Costs, "cost_usd", from, to)); diff != "" {
		t.Errorf("a spike that was taken back left something behind:\n%s", diff)
	}
}

func TestAnotherProcessCanCauseASpike(t *testing.T) {
	s, clock := at(monday, simulator.Options{})
	server := httptest.NewServer(s.Control(clock))
	t.Cleanup(server.Close)
	project := s.Projects()[0].ID
	minute := monday.Truncate(time.Minute)
	requests := func(from time.Time) float64 {
		return byProject(s, "completions", "requests", from, from.Add(time.Minute))[project]
	}
	spike := func(q url.Values) (int, string) {
		var answer struct{ Error string }
		return steer(t, http.MethodPost, server.URL+"/_simulator/spike?"+q.Encode(), &answer), answer.Error
	}
	running, next, last, after := requests(minute), requests(minute.Add(time.Minute)), requests(minute.Add(time.Hour)), requests(minute.Add(61*time.Minute))

	if status, err := spike(query("project", project, "factor", "10")); status != http.StatusOK {
		t.Fatalf("spike: %d %s", status, err)
	}
	if got := requests(minute); got != running {
		t.Errorf("the running minute went from %v to %v requests", running, got)
	}
	if got := requests(minute.Add(time.Minute)); got < 9*next || got > 11*next {
		t.Errorf("the next minute went from %v to %v requests", next, got)
	}
	if got := requests(minute.Add(time.Hour)); got < 9*last || got > 11*last {
		t.Errorf("the last minute went from %v to %v requests", last, got)
	}
	if got := requests(minute.Add(61 * time.Minute)); got != after {
		t.Errorf("the minute after the spike went from %v to %v requests", after, got)
	}
	// A second one comes on top, at its own time.
	if status, err := spike(query("project", project, "factor", "3", "from", seconds(minute), "to", seconds(minute.Add(2*time.Minute)))); status != http.StatusOK {
		t.Fatalf("second spike: %d %s", status, err)
	}
	if got := requests(minute.Add(time.Minute)); got < 25*next || got > 35*next {
		t.Errorf("under two spikes the next minute went from %v to %v requests", next, got)
	}

	for _, bad := range []url.Values{
		query("project", "proj_unknown", "factor", "2"),
		query("factor", "2"),
		query("project", project, "factor", "many"),
		query("project", project, "factor", "-1"),
		query("project", project, "factor", "1001"),
		query("project", project, "factor", "NaN"),
		query("project", project, "factor", "2", "from", "yesterday"),
		query("project", project, "factor", "2", "to", "yesterday"),
		query("project", project, "factor", "2", "to", seconds(monday)),
	} {
		if status, err := spike(bad); status != http.StatusBadRequest || err == "" {
			t.Errorf("%v: %d %q", bad, status, err)
		}
	}
	if status, _ := spike(nil); status != http.StatusOK {
		t.Errorf("ending all spikes: %d", status)
	}
	if got := requests(minute.Add(time.Minute)); got != next {
		t.Errorf("after the end of all spikes the minute has %v requests, before the first it had %v", got, next)
	}
}
