package spend

import (
	"maps"
	"slices"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/budget"
	"github.com/openai-exporter/openai_exporter/internal/decimal"
)

// shownDays is for how many days back the spend of each is told: five weeks.
const shownDays = 35

// A Daily is what a UTC day has cost, and what is still expected of it.
type Daily struct {
	Start time.Time
	// Billed is what the bill has, less what it credits. Unbilled is estimated. Expected is the forecast beyond both.
	Billed, Unbilled, Expected decimal.Fixed
	// Projects are the parts of Billed and Unbilled, in the order of their ids.
	Projects []Portion
}

// A Portion is what a project has of a day.
type Portion struct {
	ProjectID        string
	Billed, Unbilled decimal.Fixed
}

// oneDay is the UTC day that a time is in.
func oneDay(at time.Time) budget.Period {
	start := at.UTC().Truncate(24 * time.Hour)
	return budget.Period{Start: start, End: start.AddDate(0, 0, 1)}
}

// daily tells the last five weeks, the running day and the rest of the month, day by day, from the first day on that is
// known.
func daily(projects map[string][]budget.Day, outlook *budget.Outlook, billRead, now time.Time) []Daily {
	today := oneDay(now).Start
	at := make(map[int64]*Daily)
	var out []*Daily
	for start := today.AddDate(0, 0, -shownDays); start.Before(budget.Calendar(budget.Monthly, now).End); start = start.AddDate(0, 0, 1) {
		spent := outlook.Over(oneDay(start))
		d := &Daily{Start: start, Billed: spent.Billed, Unbilled: spent.Unbilled, Expected: spent.Forecast.Sub(spent.Spent())}
		at[start.Unix()] = d
		out = append(out, d)
	}
	known := today
	for _, id := range slices.Sorted(maps.Keys(projects)) {
		for _, of := range projects[id] {
			d, shown := at[of.Start.Unix()]
			if !shown {
				continue
			}
			if of.Start.Before(known) {
				known = of.Start
			}
			p := Portion{ProjectID: id, Billed: of.Billed(), Unbilled: of.Unbilled(billRead)}
			if !p.Billed.IsZero() || !p.Unbilled.IsZero() {
				d.Projects = append(d.Projects, p)
			}
		}
	}
	days := make([]Daily, 0, len(out))
	for _, d := range out {
		if !d.Start.Before(known) {
			days = append(days, *d)
		}
	}
	return days
}
