package budget

import (
	"math"
	"slices"
)

const (
	week = 7
	// proof is how many weeks in a row have to cost more, or less, for the next ones to be expected to do so.
	proof = 4
	// month is four weeks, so that each has the same weekdays.
	month = 4 * week
	// caution is how many times the scatter of months is taken for what it is: they lie on no straight line.
	caution = 4
)

// growth is what the level gains or loses a day. Whole weeks are compared, which the rhythm leaves alone, and only when each
// of them went the same way by the least of their steps: a jump is one step, and not growth.
func growth(days []amount) float64 {
	var sums, counts [proof]float64
	for _, d := range days {
		// The newest days may not be known yet, so that weeks end with the newest one that is.
		if i := int(days[len(days)-1].start.Sub(d.start)/day) / week; i < proof {
			sums[i] += d.usd
			counts[i]++
		}
	}
	if counts != [proof]float64{week, week, week, week} {
		return 0
	}
	least := sums[0] - sums[1]
	for i := 1; i < proof-1; i++ {
		step := sums[i] - sums[i+1]
		if step*least <= 0 {
			return 0
		}
		if math.Abs(step) < math.Abs(least) {
			least = step
		}
	}
	return least / (week * week)
}

// trend is what the level gains or loses a day over months of four weeks: the middle one of the slopes between any two of
// them, which one month that differs can't turn, as far as it stands out of how much the months differ from a straight line.
func trend(days []amount) line {
	var at, cost []float64 // in days before the newest one, and a day
	for i, s := range months(days) {
		if s.n >= month-week {
			at, cost = append(at, -float64(i*month)), append(cost, s.mean())
		}
	}
	n := float64(len(at))
	if n < 3 {
		return line{}
	}
	var slopes []float64
	for i := range at {
		for j := range i {
			slopes = append(slopes, (cost[i]-cost[j])/(at[i]-at[j]))
		}
	}
	slope := middle(slopes)
	meanAt, meanCost := mean(at), mean(cost)
	var rest, spread float64
	for i := range at {
		off := cost[i] - meanCost - slope*(at[i]-meanAt)
		rest += off * off
		spread += (at[i] - meanAt) * (at[i] - meanAt)
	}
	return line{growth: standsOut(slope, caution*rest/(n-2)/spread, 1), lasts: n * month}
}

// months are the days in fours of weeks, the newest ones first.
func months(days []amount) []sample {
	var out []sample
	for _, d := range slices.Backward(days) {
		i := int(days[len(days)-1].start.Sub(d.start)/day) / month
		for len(out) <= i {
			out = append(out, sample{})
		}
		out[i].add(d.usd)
	}
	return out
}

func mean(x []float64) float64 {
	sum := 0.0
	for _, v := range x {
		sum += v
	}
	return sum / float64(len(x))
}

// middle is the median, 0 of nothing.
func middle(x []float64) float64 {
	if len(x) == 0 {
		return 0
	}
	x = slices.Sorted(slices.Values(x))
	return (x[len(x)/2] + x[(len(x)-1)/2]) / 2
}
