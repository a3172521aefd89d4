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
	// history is how many days back the forecast learns, where they are known: a year, and what its holidays are seen beside.
	history = 400
	// window is how many days back it learns what the next days cost: five of each weekday.
	window = 35
	// season is from how many days on the last months say more of the coming ones than the last weeks do, and what the
	// weekdays are learned from then.
	season = 91
	// halfLife is after how many days a day counts half for the level of the next days.
	halfLife = 7
	// farHalfLife is the same for the level of months.
	farHalfLife = 42
	// trust is after how many days ahead the weeks and the months have the same say.
	trust = 28
	// tame is from how many days on the highest one counts no more than the second.
	tame = 4
	// usualScatter is how much days of one kind are taken to differ before any two have been seen, as a share of
	// the mean day, squared.
	usualScatter = 0.05
)

// A part is what the running day has cost in its elapsed share.
type part struct{ usd, elapsed float64 }

// An amount is what a closed day has cost.
type amount struct {
	start time.Time
	usd   float64
}

// A line is what the mean day costs, today and later.
type line struct {
	level  float64 // today
	growth float64 // a day
	// lasts is for how many days the growth is expected to go on, which is as long as it was seen.
	lasts float64
}

func (l line) at(ahead float64) float64 { return max(l.level+l.growth*min(ahead, l.lasts), 0) }

// A rhythm is what a usual day costs, by its weekday.
type rhythm struct {
	today     time.Time
	near, far line
	factors   [7]float64
	calendar  calendar
}

// expected goes from what the last weeks say to what the last months do, the further it looks ahead.
func (r rhythm) expected(start time.Time) float64 {
	ahead := float64(start.Sub(r.today)) / float64(day)
	near := math.Exp2(-max(ahead, 0) / trust)
	return (near*r.near.at(ahead) + (1-near)*r.far.at(ahead)) * r.factors[r.weekday(start)]
}

// weekday is the one that a day is like: a Sunday where a workday was a holiday a year before.
func (r rhythm) weekday(start time.Time) time.Weekday {
	if r.calendar.holiday(start) {
		return time.Sunday
	}
	return start.Weekday()
}

// learnable are the closed days whose cost is known, from the first one on that cost anything: before that there was
// nothing to learn from.
func learnable(days map[int64]Day, today time.Time, billRead time.Time) []amount {
	var out []amount
	for at := today.Add(-history * day); at.Before(today); at = at.Add(day) {
		d, ok := days[at.Unix()]
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

// since are the days from a number of days ago on, from the first one of them on that cost anything.
func since(days []amount, today time.Time, n int) []amount {
	from := today.Add(-time.Duration(n) * day)
	for i, d := range days {
		if !d.start.Before(from) && d.usd != 0 {
			return days[i:]
		}
	}
	return nil
}

// learn finds the level, its growth and the weekly rhythm of closed days.
func learn(all []amount, today time.Time, running part) rhythm {
	r := rhythm{today: today, calendar: all}
	all = r.calendar.usual()
	weeks, months := tamed(since(all, today, window)), tamed(all)
	long := len(months) >= season
	r.factors = weekdays(weeks)
	if long {
		r.factors = weekdays(tamed(since(all, today, season)))
	}
	r.near = line{growth: growth(weeks), lasts: proof * week}
	r.near.level = r.level(weeks, halfLife, r.near, running)
	r.far = r.near
	if long {
		r.far = trend(months)
		r.far.level = r.level(months, farHalfLife, r.far, running)
	}
	return r
}

// level is what the mean day costs today, where it grows as the line does.
func (r *rhythm) level(days []amount, halfLife float64, l line, running part) float64 {
	var usd, factors float64
	for _, d := range days {
		age := float64(r.today.Sub(d.start)) / float64(day)
		// A day counts half as much for every half-life that has passed since.
		w, f := math.Exp2(-age/halfLife), r.factors[d.start.Weekday()]
		usd += w * (d.usd + l.growth*min(age, l.lasts)*f)
		factors += w * f
	}
	if len(days) < tame {
		// A running day says little, since its hours differ, but more than nothing. Alone, its first hour would say too much.
		const hour = 1.0 / 24
		if len(days) == 0 {
			running.elapsed = max(running.elapsed, hour)
		}
		usd += running.usd
		factors += running.elapsed * r.factors[r.weekday(r.today)]
	}
	if factors <= 0 {
		return 0
	}
	// What shrinks comes to nothing, and not to less.
	return max(usd/factors, 0)
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
