package collector

import "time"

// births holds values at zero when they are first more than that, so that increase() sees the step: what never happens
// has no series. It forgets everything with the process, as the counters that it is for do.
type births struct {
	born map[string]time.Time
	// due is when the next value is to be let go of; zero for never.
	due time.Time
}

// shown returns what to show of a value now, and whether to show anything.
func (b *births) shown(name string, value float64, now time.Time, hold time.Duration) (float64, bool) {
	at, born := b.born[name]
	if !born {
		if value == 0 {
			return 0, false
		}
		if at = now; b.born == nil {
			b.born = make(map[string]time.Time)
		}
		b.born[name] = at
	}
	if end := at.Add(hold); now.Before(end) {
		if b.due.IsZero() || end.Before(b.due) {
			b.due = end
		}
		return 0, true
	}
	return value, true
}

// over says whether a value is to be let go of, and what was shown has to be made again.
func (b *births) over(now time.Time) bool {
	if b.due.IsZero() || now.Before(b.due) {
		return false
	}
	b.due = time.Time{}
	return true
}
