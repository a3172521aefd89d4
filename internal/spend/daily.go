package spend

import (
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
func (h *history) daily(outlook *budget.Outlook, now time.Time) []Daily {
	today := oneDay(now).Start
	held := make(map[int64]*dated, len(h.days))
	oldest := today
	for _, d := range h.days {
		held[d.start.Unix()] = d
		if d.start.Before(oldest) {
			oldest = d.start
		}
	}
	first := today.AddDate(0, 0, -shownDays)
	if oldest.After(first) {
		first = oldest
	}
	var out []Daily
	for start := first; start.Before(budget.Calendar(budget.Monthly, now).End); start = start.AddDate(0, 0, 1) {
		spent := outlook.Over(oneDay(start))
		out = append(out, Daily{
			Start: start, Billed: spent.Billed, Unbilled: spent.Unbilled, Expected: spent.Forecast.Sub(spent.Spent()),
			Projects: h.portions(held[start.Unix()]),
		})
	}
	return out
}

// portions are the parts of a day, where it is known what each project has.
func (h *history) portions(d *dated) (out []Portion) {
	if d == nil || !d.split() {
		return nil
	}
	by := d.projects(h.readAt, false)
	for _, id := range sortedKeys(by) {
		part := by[id]
		p := Portion{ProjectID: id, Billed: part.Billed(), Unbilled: part.Unbilled(h.readAt)}
		if !p.Billed.IsZero() || !p.Unbilled.IsZero() {
			out = append(out, p)
		}
	}
	return out
}
