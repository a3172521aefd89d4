// Package budget says what a month or another period has cost so far and what it will have cost when it ends. It computes on daily
// amounts alone: it asks no API, reads no clock and keeps nothing, so that the same days always give the same answer.
// docs/forecast.md explains the method and states its measured error.
package budget

import (
	"slices"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/decimal"
)

// Settling is how long after its end a day's bill may still lack usage. A bill read later than that is the whole of it.
const Settling = 24 * time.Hour

const day = 24 * time.Hour

// A Day is what is known of one UTC day of one scope: a project, an organization, or some of its projects.
type Day struct {
	// Start is the UTC midnight at which the day begins.
	Start time.Time
	// Charged is what the bill charges for usage, in US dollars.
	Charged decimal.Fixed
	// Credited is what the bill gives back, as a positive amount. It lowers what is spent, never what usage costs.
	Credited decimal.Fixed
	// Estimated is the usage that has been read, at its estimated price, in US dollars.
	Estimated decimal.Fixed
	// HasBill says that the bill of the day has been read. A scope without a row in it was billed nothing.
	HasBill bool
	// HasEstimate says that the estimate has all usage of the day, as far as the day has come. One that lacks hours is a
	// lower bound: it counts as spent, but nothing is learned from it.
	HasEstimate bool

	// Of several projects' days in one, unbilled is the sum of what each of them lacks on the bill.
	merged   bool
	unbilled decimal.Fixed
}

// Spend is what a period costs, in US dollars.
type Spend struct {
	// Billed is the period to date according to the bill.
	Billed decimal.Fixed
	// Unbilled is the estimated cost of the usage that the bill does not have yet.
	Unbilled decimal.Fixed
	// Forecast is what the whole period will have cost. It is never below what is spent.
	Forecast decimal.Fixed
}

// Spent is the period to date: billed and not yet billed.
func (s Spend) Spent() decimal.Fixed { return s.Billed.Add(s.Unbilled) }

// Settled says whether the bill of a day can be taken for the whole of it: it has been read a day or more after the
// day's end. billRead is when the bill was last read completely, zero for never.
func (d Day) Settled(billRead time.Time) bool {
	return d.HasBill && !billRead.Before(d.Start.Add(day+Settling))
}

// Billed is what the bill says: charges less credits.
func (d Day) Billed() decimal.Fixed { return d.Charged.Sub(d.Credited) }

// Unbilled is how much the estimate is above the charges while the bill may lack usage, and nothing afterwards: bill and
// estimate never agree to the last cent, and in the end the bill is right.
func (d Day) Unbilled(billRead time.Time) decimal.Fixed {
	switch {
	case d.merged:
		return d.unbilled
	case d.Settled(billRead):
		return decimal.Fixed{}
	}
	return d.Estimated.Sub(d.Charged).Max(decimal.Fixed{})
}

// used is what the usage of the day has cost as far as is known, whatever was credited.
func (d Day) used(billRead time.Time) decimal.Fixed { return d.Charged.Add(d.Unbilled(billRead)) }

// Merge adds up the days of several projects, oldest first. What is unbilled is found per project and day: otherwise one
// project's discount would hide what another one has spent since.
func Merge(billRead time.Time, projects ...[]Day) []Day {
	at := make(map[int64]int)
	var out []Day
	for _, days := range projects {
		for _, d := range days {
			i, ok := at[d.Start.Unix()]
			if !ok {
				i = len(out)
				at[d.Start.Unix()] = i
				out = append(out, Day{Start: d.Start, merged: true})
			}
			sum := &out[i]
			sum.Charged = sum.Charged.Add(d.Charged)
			sum.Credited = sum.Credited.Add(d.Credited)
			sum.Estimated = sum.Estimated.Add(d.Estimated)
			sum.unbilled = sum.unbilled.Add(d.Unbilled(billRead))
			sum.HasBill = sum.HasBill || d.HasBill
			sum.HasEstimate = sum.HasEstimate || d.HasEstimate
		}
	}
	slices.SortFunc(out, func(a, b Day) int { return a.Start.Compare(b.Start) })
	return out
}

// Month says what the UTC month of now costs. See Learn.
func Month(days []Day, now, billRead time.Time) Spend {
	return Learn(days, now, billRead).Over(Calendar(Monthly, now))
}
