package official

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/simulator"
)

// TestTheTableHasTheFiltersOfTheOfficialClient: what the client can ask for beside these is no filter.
func TestTheTableHasTheFiltersOfTheOfficialClient(t *testing.T) {
	_, client, _ := start(t, simulator.Options{})
	others := []string{"start_time", "end_time", "limit", "page", "bucket_width", "group_by", ""}
	for i := range api.Endpoints {
		e := &api.Endpoints[i]
		if slices.Contains(ahead, e.Name) {
			continue
		}
		params := method(&client, e).Type().In(1)
		var known []string
		for f := range params.NumField() {
			if name, _, _ := strings.Cut(params.Field(f).Tag.Get("query"), ","); !slices.Contains(others, name) {
				known = append(known, name)
			}
		}
		want := slices.Sorted(slices.Values(e.Filters))
		if got := slices.Sorted(slices.Values(known)); !slices.Equal(got, want) {
			t.Errorf("%s: the client filters by %v, the table says %v", e.Name, got, want)
		}
	}
}

// TestTheOfficialClientFiltersToTheTruth asks for one value, for two and for all, by every filter that
// there is, and compares with the truth's rows that match.
func TestTheOfficialClientFiltersToTheTruth(t *testing.T) {
	s, client, _ := start(t, simulator.Options{Seed: 11})
	for i := range api.Endpoints {
		e := &api.Endpoints[i]
		if e.Stock || slices.Contains(ahead, e.Name) {
			continue // A level is the newest bucket's alone, which the client doesn't mark.
		}
		width, from, to := "1h", noon.Add(-11*time.Hour), noon
		if e.IsCosts() {
			width, from, to = "1d", noon.Add(-6*24*time.Hour).Truncate(24*time.Hour), noon.Truncate(24*time.Hour).Add(24*time.Hour)
		}
		for _, name := range e.Filters {
			dimension := strings.TrimSuffix(name, "s")
			rows := s.Truth(e.Name, []string{dimension}, from, to, noon)
			var values []string
			for _, r := range rows {
				if v := r.Labels[dimension]; v != "" && !slices.Contains(values, v) {
					values = append(values, v)
				}
			}
			if len(values) == 0 {
				t.Errorf("%s has no values of %s", e.Name, dimension)
				continue
			}
			for _, chosen := range [][]string{values[:1], values[max(len(values)-2, 0):], values} {
				if name == api.FilterBatch {
					chosen = chosen[:1]
				}
				t.Run(fmt.Sprint(e.Name, name, len(chosen)), func(t *testing.T) {
					var matching []simulator.Row
					for _, r := range rows {
						if slices.Contains(chosen, r.Labels[dimension]) {
							matching = append(matching, r)
						}
					}
					got := sums(t, e, []string{dimension}, readFiltered(t, &client, e, width, []string{dimension}, api.Filters{name: chosen}, from, to))
					if want := truth(matching); !maps.Equal(got, want) || len(want) == 0 {
						t.Errorf("read %v, truth is %v", got, want)
					}
				})
			}
		}
	}
}
