package budget

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/decimal"
)

// What the method is made of. Each is a plain number that docs/forecast.md names; the back-test holds them to account.
const (
	// window is how many days back the forecast learns: five of each weekday.
	window = 35
	// halfLife is after how many days a day counts half for the level.
	halfLife = 7
	// tame is from how many days on the highest one counts no more than the second.
	tame = 4
	// usualScatter is how much days of one kind are taken to differ before any two have been seen, as a share of
	// the mean day, squared.
	usualScatter = 0.05
	// proof is how many weeks in a row have to cost more, or less, for the next ones to be expected to do so.
	proof = 4
)

// A part is what the running day has cost in its elapsed share.
type part struct{ usd, elapsed float64 }

// An amount is what a closed day has cost.
type amount struct {
	start time.Time
	usd   float64
}

// A rhythm is what a usual day costs, by its weekday.
type rhythm struct {
	today   time.Time
	level   float64 // of the mean day, today
	growth  float64 // of the level, a day
	factors [7]float64
}

func (r rhythm) expected(start time.Time) float64 {
	ahead := float64(start.Sub(r.today)) / float64(day)
	return max(r.level+r.growth*ahead, 0) * r.factors[start.Weekday()]
}

// remaining is what the month of now is expected to cost beyond what is spent.
func remaining(days []Day, now, billRead time.Time) float64 {
	today := now.Truncate(day)
	end := time.Date(now.Year(), now.Month()+1, 1, 0, 0, 0, 0, time.UTC)
	known := make(map[int64]Day, len(days))
	for _, d := range days {
		known[d.Start.Unix()] = d
	}
	elapsed := float64(now.Sub(today)) / float64(day)
	usedToday := known[today.Unix()].used(billRead).Float64()

	closed := learnable(known, today, billRead)
	r := learn(closed, today, part{usd: usedToday, elapsed: elapsed})

	// Of today, the clock and the money both say how much is left. Early the money is the better witness, since a day
	// has quiet hours too; late it is the clock, since by then a day that differs has shown it.
	usual := r.expected(today)
	left := 1 - elapsed
	sum := left*max(usual-usedToday, 0) + elapsed*left*usual
	for at := today.Add(day); at.Before(end); at = at.Add(day) {
		sum += r.expected(at)
	}
	return sum + r.missing(known, now, billRead)
}

// missing is what closed days of the month will turn out to have cost that nothing shows yet: the bill has not come, and no
// whole estimate stands in for it. The longer the bill could have come, the less is still expected of it.
func (r rhythm) missing(known map[int64]Day, now, billRead time.Time) float64 {
	sum := 0.0
	first := time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC)
	for at := first; at.Before(now.Truncate(day)); at = at.Add(day) {
		d := known[at.Unix()]
		if d.HasEstimate || d.Settled(billRead) {
			continue
		}
		since := float64(now.Sub(at.Add(day))) / float64(Settling)
		sum += max(1-since, 0) * max(r.expected(at)-d.used(billRead).Float64(), 0)
	}
	return sum
}

// learnable are the closed days whose cost is known, from the first one on that cost anything: before that there was
// nothing to learn from.
func learnable(known map[int64]Day, today time.Time, billRead time.Time) []amount {
	var out []amount
	for at := today.Add(-window * day); at.Before(today); at = at.Add(day) {
		d, ok := known[at.Unix()]
		if !ok || !d.HasEstimate && !d.Settled(billRead) {
			continue
		}
		usd := d.used(billRead).Float64()
		if len(out) == 0 && usd == 0 {
			continue
		}
		out = append(out, amount{start: at, usd: usd})
	}
	return out
}

// learn finds the level, its growth and the weekly rhythm of closed days.
func learn(days []amount, today time.Time, running part) rhythm {
	days = tamed(days)
	r := rhythm{today: today, growth: growth(days), factors: weekdays(days)}
	var usd, factors float64
	for _, d := range days {
		w, f := weight(d, today), r.factors[d.start.Weekday()]
		age := float64(today.Sub(d.start)) / float64(day)
		usd += w * (d.usd + r.growth*age*f)
		factors += w * f
	}
	if len(days) < tame {
		// A running day says little, since its hours differ, but more than nothing. Alone, its first hour would say too much.
		const hour = 1.0 / 24
		if len(days) == 0 {
			running.elapsed = max(running.elapsed, hour)
		}
		usd += running.usd
		factors += running.elapsed * r.factors[today.Weekday()]
	}
	if factors > 0 {
		// What shrinks comes to nothing, and not to less.
		r.level = max(usd/factors, 0)
	}
	return r
}

// growth is what the level gains or loses a day. Whole weeks are compared, which the rhythm leaves alone, and only when each
// of them went the same way by the least of their steps: a jump is one step, and not growth.
func growth(days []amount) float64 {
	const week = 7
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

// weight is how much a closed day counts for the level: half as much for every half-life that has passed since.
func weight(d amount, today time.Time) float64 {
	return math.Exp2(-float64(today.Sub(d.start)) / float64(halfLife*day))
}

// tamed lets the highest day count as the second highest. What happens once, a job that ran away, is spent but not expected
// again; what happens twice is.
func tamed(days []amount) []amount {
	if len(days) < tame {
		return days
	}
	sorted := slices.Clone(days)
	slices.SortFunc(sorted, func(a, b amount) int { return cmp.Compare(a.usd, b.usd) })
	high := sorted[len(sorted)-2].usd
	out := slices.Clone(days)
	for i := range out {
		out[i].usd = min(out[i].usd, high)
	}
	return out
}

// weekdays are what each weekday costs in relation to the mean day. Workdays and weekends differ from the mean day, and one
// weekday from its kind, as far as the difference stands out of how much such days differ anyway: a rhythm is seen after days
// where spending is even, and is not made up where it is not.
func weekdays(days []amount) [7]float64 {
	var single [7]sample
	var kinds [2]sample
	var all sample
	for _, d := range days {
		w := d.start.Weekday()
		single[w].add(d.usd)
		kinds[kind(w)].add(d.usd)
		all.add(d.usd)
	}
	factors := [7]float64{1, 1, 1, 1, 1, 1, 1}
	mean := all.mean()
	if mean <= 0 {
		return factors
	}
	// The scatter begins as one day's worth of what is usual, so that two equal days prove no rhythm.
	scatter := (kinds[0].squares() + kinds[1].squares() + usualScatter*mean*mean) / (max(all.n-2, 0) + 1)
	for w := range factors {
		k := kinds[kind(time.Weekday(w))]
		usual := mean + standsOut(k.mean()-mean, scatter, k.n)
		factors[w] = max((usual+standsOut(single[w].mean()-k.mean(), scatter, single[w].n))/mean, 0)
	}
	return factors
}

// standsOut is the part of a difference between the mean of n days and what it is compared with that is more than scatter: half
// of it where it is as large as its own standard error, nearly all of it where it is several times that.
func standsOut(difference, variance, n float64) float64 {
	if n == 0 || difference == 0 {
		return 0
	}
	square := difference * difference
	return difference * square / (square + variance/n)
}

// A sample is what a set of days is known by.
type sample struct{ n, sum, sumOfSquares float64 }

func (s *sample) add(x float64) {
	s.n++
	s.sum += x
	s.sumOfSquares += x * x
}

func (s sample) mean() float64 {
	if s.n == 0 {
		return 0
	}
	return s.sum / s.n
}

// squares is the sum of the squared distances from the mean.
func (s sample) squares() float64 {
	if s.n == 0 {
		return 0
	}
	return max(s.sumOfSquares-s.sum*s.sum/s.n, 0)
}

func kind(w time.Weekday) int {
	if w == time.Saturday || w == time.Sunday {
		return 1
	}
	return 0
}

// dollars rounds to the millionth: a forecast has no more to say.
func dollars(usd float64) decimal.Fixed {
	f, err := decimal.Parse(strconv.FormatFloat(usd, 'f', 6, 64))
	if err != nil {
		return decimal.Fixed{} // Beyond 10¹⁷ dollars, where no bill can be.
	}
	return f
}
