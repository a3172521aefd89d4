package pricing

import (
	"encoding/json"
	"slices"
	"time"
)

// A conditional is prices with the time at which they hold.
type conditional struct {
	since    time.Time     // zero where there is no start_date
	from, to time.Duration // of the UTC day; both zero where there is no time of day
	table    table
}

func parseConditional(raw json.RawMessage, where place) (conditional, error) {
	var m struct {
		Constraint *struct {
			StartDate string `json:"start_date"`
			StartTime string `json:"start_time"`
			EndTime   string `json:"end_time"`
		} `json:"constraint"`
		Prices json.RawMessage `json:"prices"`
	}
	if err := json.Unmarshal(raw, &m); err != nil || len(m.Prices) == 0 {
		return conditional{}, where.errorf(`want {"constraint": {"start_date": "2026-01-31"}, "prices": {…}}`)
	}
	t, err := parsePrices(m.Prices, where.in("prices"))
	if err != nil {
		return conditional{}, err
	}
	c := conditional{table: t}
	if m.Constraint == nil {
		return c, nil
	}
	where = where.in("constraint")
	switch k := m.Constraint; {
	case k.StartDate != "":
		if c.since, err = time.Parse(time.DateOnly, k.StartDate); err != nil {
			return conditional{}, where.in("start_date").errorf("want a date such as 2026-01-31")
		}
	case k.StartTime != "" && k.EndTime != "":
		var ok [2]bool
		c.from, ok[0] = timeOfDay(k.StartTime)
		c.to, ok[1] = timeOfDay(k.EndTime)
		if ok != [2]bool{true, true} {
			return conditional{}, where.errorf("want a start_time and an end_time such as 16:30:00Z")
		}
	default:
		return conditional{}, where.errorf("want a start_date, or a start_time and an end_time")
	}
	return c, nil
}

// timeOfDay reads a time of the UTC day.
func timeOfDay(s string) (time.Duration, bool) {
	for _, layout := range []string{"15:04:05Z07:00", "15:04:05", "15:04Z07:00", "15:04"} {
		if t, err := time.Parse(layout, s); err == nil {
			t = t.UTC()
			return time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute + time.Duration(t.Second())*time.Second, true
		}
	}
	return 0, false
}

func (e *entry) at(t time.Time) *table {
	t = t.UTC()
	for i := range slices.Backward(e.prices) {
		if e.prices[i].holds(t) {
			return &e.prices[i].table
		}
	}
	if len(e.prices) == 0 {
		return nil
	}
	return &e.prices[0].table
}

func (c *conditional) holds(t time.Time) bool {
	if t.Before(c.since) {
		return false
	}
	if c.from == 0 && c.to == 0 {
		return true
	}
	day := t.Sub(t.Truncate(24 * time.Hour))
	if c.to <= c.from { // It goes over midnight.
		return day >= c.from || day < c.to
	}
	return c.from <= day && day < c.to
}

// span is the time around t in which no price of the list changes: from is zero where none changed before, to where none
// will.
func (l *List) span(t time.Time) (from, to time.Time) {
	if l == nil {
		return from, to
	}
	add := func(at time.Time) {
		switch {
		case at.After(t):
			if to.IsZero() || at.Before(to) {
				to = at
			}
		case at.After(from):
			from = at
		}
	}
	midnight := t.UTC().Truncate(24 * time.Hour)
	for i := range l.entries {
		for _, c := range l.entries[i].prices {
			add(c.since)
			if c.from == 0 && c.to == 0 {
				continue
			}
			for _, edge := range []time.Duration{c.from, c.to} {
				for day := -1; day <= 1; day++ {
					add(midnight.Add(time.Duration(day)*24*time.Hour + edge))
				}
			}
		}
	}
	return from, to
}
