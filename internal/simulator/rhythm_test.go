package simulator_test

import (
	"slices"
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/simulator"
)

func TestTrafficFollowsTheDayAndTheWeekAndSometimesAJobRunsAway(t *testing.T) {
	const days = 28
	first := time.Date(2026, 10, 5, 0, 0, 0, 0, time.UTC) // a Monday
	s, _ := at(first.AddDate(0, 0, days+1), simulator.Options{Seed: 1})
	names := make(map[string]string)
	for _, p := range s.Projects() {
		names[p.ID] = p.Name
	}
	hourly := make(map[string]*[days * 24]float64) // requests of a team, from the first hour on
	for hour := range days * 24 {
		from := first.Add(time.Duration(hour) * time.Hour)
		for project, n := range byProject(s, "completions", "requests", from, from.Add(time.Hour)) {
			if hourly[names[project]] == nil {
				hourly[names[project]] = new([days * 24]float64)
			}
			hourly[names[project]][hour] = n
		}
	}
	weekend := func(day int) bool { return day%7 >= 5 }
	// What a team does in the same hour of most days: nothing runs away then.
	typical := func(team string, hour int, onWeekend bool) float64 {
		var same []float64
		for day := range days {
			if weekend(day) == onWeekend {
				same = append(same, hourly[team][day*24+hour])
			}
		}
		slices.Sort(same)
		return same[len(same)/2]
	}

	const people, batches, experiments = "Support Copilot", "Data Platform", "Research"
	for _, team := range []string{people, batches, experiments} {
		if hourly[team] == nil {
			t.Fatalf("no team %s among %v", team, names)
		}
	}
	if day, night := typical(people, 14, false), typical(people, 3, false); day < 2*night {
		t.Errorf("%s has %.0f requests in an hour of the afternoon and %.0f of the night: there is no day", people, day, night)
	}
	if day, night := typical(batches, 14, false), typical(batches, 2, false); night < 2*day {
		t.Errorf("%s has %.0f requests in an hour of the afternoon and %.0f of the night: there are no nightly batches", batches, day, night)
	}
	if working, free := typical(people, 14, false), typical(people, 14, true); working < 1.5*free {
		t.Errorf("%s has %.0f requests in an hour of a working day and %.0f of the weekend: there is no week", people, working, free)
	}
	for team, n := range hourly {
		runaways := 0
		for hour, v := range n {
			if usual := typical(team, hour%24, weekend(hour/24)); usual >= 100 && v > 4*usual {
				runaways++
			}
		}
		switch {
		case team != experiments && runaways > 0:
			t.Errorf("%s ran away in %d hours", team, runaways)
		case team == experiments && (runaways < 6 || runaways > days*24/10):
			t.Errorf("%s ran away in %d of %d hours, want some, and few", team, runaways, days*24)
		}
	}
}
