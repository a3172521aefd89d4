package budget

import "time"

// The kinds of periods, as the label of metrics names them.
const (
	Monthly   = "month"
	Quarterly = "quarter"
	Yearly    = "year"
	Term      = "term"
)

// A Period is a time that a budget is for: from the UTC midnight at which it starts to the one at which it ends.
type Period struct{ Start, End time.Time }

// Calendar is the period of the UTC calendar that a moment lies in: its month, its quarter or its year.
func Calendar(kind string, now time.Time) Period {
	now = now.UTC()
	year, month, months := now.Year(), now.Month(), 1
	switch kind {
	case Quarterly:
		month, months = (month-1)/3*3+1, 3
	case Yearly:
		month, months = time.January, 12
	}
	return Period{
		Start: time.Date(year, month, 1, 0, 0, 0, 0, time.UTC),
		End:   time.Date(year, month+time.Month(months), 1, 0, 0, 0, 0, time.UTC),
	}
}
