package budget

import (
	"slices"
	"time"
)

const (
	// around is how many days before and after a day it is compared with.
	around = 14
	// restful is how little a day of a weekend costs beside a workday where holidays can be told by their cost.
	restful = 0.7
)

// A calendar tells workdays that cost what a day of a weekend does, though those around them did not.
type calendar []amount

// quiet says whether a workday was one.
func (c calendar) quiet(start time.Time) bool {
	i, found := slices.BinarySearchFunc(c, start, func(d amount, at time.Time) int { return d.start.Compare(at) })
	if !found || kind(start.Weekday()) != 0 {
		return false
	}
	var usual [2][]float64
	for _, other := range c[max(0, i-around):min(len(c), i+around+1)] {
		k := kind(other.start.Weekday())
		usual[k] = append(usual[k], other.usd)
	}
	work, rest := middle(usual[0]), middle(usual[1])
	return len(usual[0]) >= around && rest < restful*work && c[i].usd < (work+rest)/2
}

// holiday says whether a workday is expected to be one, because its date was quiet a year before.
func (c calendar) holiday(start time.Time) bool {
	return kind(start.Weekday()) == 0 && c.quiet(start.AddDate(-1, 0, 0))
}

// usual are the days that were no holidays in two years.
func (c calendar) usual() []amount {
	return slices.DeleteFunc(slices.Clone(c), func(d amount) bool { return c.holiday(d.start) && c.quiet(d.start) })
}
