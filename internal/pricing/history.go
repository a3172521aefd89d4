package pricing

import (
	"maps"
	"slices"

	"github.com/openai-exporter/openai_exporter/internal/decimal"
)

// learnDays is how many of the newest days that have a charged quantity a price is made of.
const learnDays = 3

// A price has jumped when it differs by more than a twentieth from the days before, on a day that has at least a tenth
// of their daily quantity. Smaller differences are noise or end within learnDays.
const (
	jumpShare   = 20
	enoughShare = 10
)

// tiny is the amount below which the rounding of the bill may be a large part of a price: a millionth of a US dollar.
var tiny = decimal.FromInt(1).Quo(decimal.FromInt(1_000_000))

// A sum is what something cost on a day, and for which quantity. What was free of it is in neither.
type sum struct{ usd, quantity, free decimal.Fixed }

func (s sum) add(t sum) sum {
	return sum{s.usd.Add(t.usd), s.quantity.Add(t.quantity), s.free.Add(t.free)}
}

// days are sums by the start of their day in Unix seconds.
type days map[int64]sum

// newest are the days that a price is made of, the oldest first. A bill has many more.
func (d days) newest() []int64 {
	newest := make([]int64, 0, learnDays+1)
	for day := range d {
		if len(newest) == learnDays && day < newest[0] {
			continue
		}
		i, _ := slices.BinarySearch(newest, day)
		if newest = slices.Insert(newest, i, day); len(newest) > learnDays {
			newest = slices.Delete(newest, 0, 1)
		}
	}
	return newest
}

// jumped is the newest day on which the price jumped, 0 where it did not.
func (d days) jumped() int64 {
	var since int64
	var before sum
	n := int64(0)
	for _, day := range d.newest() {
		if now := d[day]; n > 0 && now.jumps(before, n) {
			since, before, n = day, sum{}, 0
		}
		before, n = before.add(d[day]), n+1
	}
	return since
}

// jumps says whether the price of a day is another one than that of the n days before.
func (s sum) jumps(before sum, n int64) bool {
	if s.quantity.Mul(decimal.FromInt(enoughShare*n)).Cmp(before.quantity) < 0 {
		return false
	}
	price, old := s.usd.Quo(s.quantity), before.usd.Quo(before.quantity)
	difference := price.Sub(old).Max(old.Sub(price))
	return difference.Mul(decimal.FromInt(jumpShare)).Cmp(old) > 0
}

// A history is what something cost on its days, made of all line items that are priced as one. Only a jump of one line
// item is a jump: that their shares change from day to day changes their average, and no price.
type history struct {
	days  days
	since int64
}

// add adds the days of a line item.
func (h *history) add(item days) {
	for day, s := range item {
		h.days[day] = h.days[day].add(s)
	}
	h.since = max(h.since, item.jumped())
}

// price is the amount over the quantity of the newest days since the price jumped.
func (h *history) price() decimal.Fixed {
	var s sum
	for _, day := range h.days.newest() {
		if day >= h.since {
			s = s.add(h.days[day])
		}
	}
	return s.usd.Quo(s.quantity)
}

// freeShare is which share of the usage was free on all of the newest days, so that it will be so again. Where these days
// differ by more than a twentieth in what they charge for, there is none: most of what is free is so up to a quantity, and
// anyone who uses more than usual pays for all of the rest.
func (h *history) freeShare() decimal.Fixed {
	newest := h.days.newest()
	if len(newest) < learnDays {
		return decimal.Fixed{}
	}
	var most, least decimal.Fixed // of what was charged for
	for i, day := range newest {
		s := h.days[day]
		charged := s.quantity.Quo(s.quantity.Add(s.free))
		if most = most.Max(charged); i == 0 || charged.Cmp(least) < 0 {
			least = charged
		}
	}
	if most.Sub(least).Mul(decimal.FromInt(jumpShare)).Cmp(least) > 0 {
		return decimal.Fixed{}
	}
	return decimal.FromInt(1).Sub(most)
}

// A dayOf is what a day's bill says of one line item. Most have one unit, and nothing that is free.
type dayOf struct {
	// units are the quantities that came together with an amount, and these amounts.
	units map[string]sum
	// free are the quantities that came without one.
	free map[string]decimal.Fixed
	// apart are the amounts that no quantity came with.
	apart decimal.Fixed
}

func (d *dayOf) add(c Charge) {
	if !c.Free.IsZero() {
		d.give(c.Unit, c.Free)
	}
	switch {
	case c.Quantity.IsZero():
		d.apart = d.apart.Add(c.USD)
	case c.USD.IsZero():
		d.give(c.Unit, c.Quantity)
	default:
		if d.units == nil {
			d.units = map[string]sum{}
		}
		d.units[c.Unit] = d.units[c.Unit].add(sum{usd: c.USD, quantity: c.Quantity})
	}
}

func (d *dayOf) give(unit string, quantity decimal.Fixed) {
	if d.free == nil {
		d.free = map[string]decimal.Fixed{}
	}
	d.free[unit] = d.free[unit].Add(quantity)
}

// seen are all quantities, the free ones included. They must not be changed.
func (d *dayOf) seen() map[string]sum {
	if len(d.free) == 0 {
		return d.units
	}
	all := make(map[string]sum, len(d.units)+len(d.free))
	maps.Copy(all, d.units)
	for u, q := range d.free {
		all[u] = all[u].add(sum{quantity: q})
	}
	return all
}

// charged is what was paid, and for which quantities. A quantity without an amount was free, unless there are amounts
// without a quantity: then nobody can tell, and all of it is taken for what was paid for. Nothing is charged where the
// amount is tiny.
func (d *dayOf) charged() (usd decimal.Fixed, units map[string]sum) {
	units = d.units
	if !d.apart.IsZero() {
		units = d.seen()
	}
	usd = d.apart
	for _, s := range d.units {
		usd = usd.Add(s.usd)
	}
	if usd.Cmp(tiny) < 0 {
		return decimal.Fixed{}, nil
	}
	return usd, units
}
