package config

import (
	"fmt"
	"time"
)

// The words that counters.start knows beside a point in time.
const (
	startNow   = "now"
	startToday = "today"
	startMonth = "month"
)

// A Start says from when on a ledger without state counts. Its zero value is now.
type Start struct {
	word string // "" is now
	at   time.Time
}

// ParseStart reads now, today, month or an RFC 3339 time.
func ParseStart(s string) (Start, error) {
	switch s {
	case startNow:
		return Start{}, nil
	case startToday, startMonth:
		return Start{word: s}, nil
	}
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return Start{}, fmt.Errorf("%q is not now, today, month or a time such as 2026-11-01T00:00:00Z", s)
	}
	return Start{at: at.UTC()}, nil
}

// Origin returns from when on usage and costs count for a ledger that starts at this time: floored to a full UTC hour
// and a full UTC day, since nothing finer can be read for ever. With explicit false the counters start at zero now and
// there is no origin: both times are zero.
func (s Start) Origin(now time.Time) (usage, costs time.Time, explicit bool) {
	now = now.UTC()
	at := s.at
	switch {
	case s.word == startToday:
		at = day(now)
	case s.word == startMonth:
		at = time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC)
	case at.IsZero():
		return time.Time{}, time.Time{}, false
	}
	return at.Truncate(time.Hour), day(at), true
}

// After says whether the start is a point in time later than t.
func (s Start) After(t time.Time) bool { return s.at.After(t) }

// Equal says whether both were written as the same word or mean the same point in time.
func (s Start) Equal(other Start) bool { return s.word == other.word && s.at.Equal(other.at) }

// String is what ParseStart reads.
func (s Start) String() string {
	switch {
	case s.word != "":
		return s.word
	case !s.at.IsZero():
		return s.at.Format(time.RFC3339)
	}
	return startNow
}

func day(t time.Time) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC)
}
