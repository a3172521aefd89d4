package budget

import "time"

// An Outlook is what is known of the days of a scope at a moment, and what is expected of those to come.
type Outlook struct {
	now, billRead time.Time
	days          map[int64]Day
	rhythm        rhythm
}

// Learn learns from the days what is to come. They may begin long before the periods that are asked about; their order
// does not matter. billRead is when the bill was last read completely, zero for never. Days of several projects have to be
// merged first.
func Learn(days []Day, now, billRead time.Time) *Outlook {
	o := &Outlook{now: now.UTC(), billRead: billRead, days: make(map[int64]Day, len(days))}
	for _, d := range days {
		o.days[d.Start.Unix()] = d
	}
	today := o.today()
	running := part{usd: o.used(today), elapsed: o.elapsed()}
	o.rhythm = learn(learnable(o.days, today, billRead), today, running)
	return o
}

// Over says what a period costs.
func (o *Outlook) Over(p Period) Spend {
	var s Spend
	for at := p.Start; at.Before(p.End) && !at.After(o.now); at = at.Add(day) {
		d := o.days[at.Unix()]
		s.Billed = s.Billed.Add(d.Billed())
		s.Unbilled = s.Unbilled.Add(d.Unbilled(o.billRead))
	}
	s.Forecast = s.Spent().Add(dollars(o.remaining(p)))
	return s
}

func (o *Outlook) today() time.Time { return o.now.Truncate(day) }

// elapsed is the share of today that is over.
func (o *Outlook) elapsed() float64 { return float64(o.now.Sub(o.today())) / float64(day) }

// used is what the usage of a day has cost as far as is known.
func (o *Outlook) used(start time.Time) float64 {
	return o.days[start.Unix()].used(o.billRead).Float64()
}

// remaining is what the period is expected to cost beyond what is spent.
func (o *Outlook) remaining(p Period) float64 {
	sum := 0.0
	for at := p.Start; at.Before(p.End); at = at.Add(day) {
		sum += o.expected(at)
	}
	return sum
}

// expected is what a day is expected to cost beyond what it has.
func (o *Outlook) expected(at time.Time) float64 {
	switch today := o.today(); {
	case at.Before(today):
		return o.missing(at)
	case at.After(today):
		return o.rhythm.expected(at)
	}
	// Of today, the clock and the money both say how much is left. Early the money is the better witness, since a day
	// has quiet hours too; late it is the clock, since by then a day that differs has shown it.
	usual, gone := o.rhythm.expected(at), o.elapsed()
	left := 1 - gone
	return left*max(usual-o.used(at), 0) + gone*left*usual
}

// missing is what a closed day will turn out to have cost that nothing shows yet: the bill has not come, and no whole estimate
// stands in for it. The longer the bill could have come, the less is still expected of it.
func (o *Outlook) missing(at time.Time) float64 {
	d := o.days[at.Unix()]
	if d.HasEstimate || d.Settled(o.billRead) {
		return 0
	}
	since := float64(o.now.Sub(at.Add(day))) / float64(Settling)
	return max(1-since, 0) * max(o.rhythm.expected(at)-d.used(o.billRead).Float64(), 0)
}

// Exhausted says when an amount is spent in a period: on a day that has passed, or when the forecast comes to it. It
// returns false where that is not within the period. What was spent and given back again is not exhausted.
func (o *Outlook) Exhausted(p Period, usd float64) (at time.Time, within bool) {
	sum := 0.0
	for start := p.Start; start.Before(p.End); start = start.Add(day) {
		from, length := start, day // when the day's money is spent
		costs := o.expected(start)
		if !start.After(o.today()) {
			spent := o.used(start) - o.days[start.Unix()].Credited.Float64()
			if start.Equal(o.today()) {
				// What is spent of today was spent by now, and the rest comes afterwards.
				sum, at, within = reach(sum, spent, usd, start, o.now.Sub(start), at, within)
				from, length = o.now, start.Add(day).Sub(o.now)
			} else {
				costs += spent
			}
		}
		sum, at, within = reach(sum, costs, usd, from, length, at, within)
	}
	return at, within
}

// reach adds what a time costs to a sum, and says when the sum has reached an amount. Below it again, it has not.
func reach(sum, costs, usd float64, from time.Time, length time.Duration, at time.Time, within bool) (float64, time.Time, bool) {
	next := sum + costs
	switch {
	case next < usd:
		return next, time.Time{}, false
	case within:
		return next, at, true
	}
	return next, from.Add(time.Duration(float64(length) * min(max((usd-sum)/costs, 0), 1))), true
}
