//go:build !race

package simulation_test

import (
	"maps"
	"math"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/decimal"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
)

// counted is what was counted in the epoch, by label set, of a measure; without is what of it is withheld.
func (o *oracle) counted(b *book, f *ledger.FeedView, measure int) (sums map[string]decimal.Fixed, withheld decimal.Fixed) {
	sums = maps.Clone(b.epoch.retired[measure])
	if sums == nil {
		sums = map[string]decimal.Fixed{}
	}
	for _, s := range f.Series {
		for i, m := range s.Measures {
			if m == measure {
				key := o.key(s.Labels)
				sums[key] = sums[key].Add(s.Values[i]).Sub(b.epoch.start[m][key])
			}
		}
	}
	return sums, f.ByMeasure[measure].Withheld
}

// bounds holds what was counted so far between what the API said when everything was last read and what it says now.
func (o *oracle) bounds() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, b := range o.ordered() {
		f := o.feed(b)
		if f == nil || b.endpoint.Stock || !b.goesOn(f) {
			continue
		}
		if o.w.falls {
			o.boundsOfFalling(b, f)
			continue
		}
		o.heldUsage(b, f, false)
		if b.epoch.unsure || b.epoch.doubted {
			continue
		}
		if anyHeld(b.endpoint, f) || o.holding() {
			continue // What is held at zero is counted, but not shown.
		}
		ep := b.epoch
		upper := o.truth(b, ep.groupBy, ep.lo, ep.newest, ep.newest)
		var lower []map[string]decimal.Fixed
		if ep.low > 0 && len(ep.unmet) == 0 && f.HoursGivenUp == 0 && !b.organization.gaveUp {
			lower = o.truth(b, ep.groupBy, ep.lo, min(ep.lowTo, ep.low), ep.low)
		}
		for m := range b.endpoint.Measures {
			sums, withheld := o.counted(b, f, m)
			got, base := total(sums).Sub(withheld), total(ep.base[m])
			name := b.endpoint.Measures[m].Name
			if hi := total(upper[m]).Sub(base); got.Cmp(hi) > 0 && !nothing(got.Sub(hi)) {
				o.w.fault("%s %s %s: %s were counted, the API says %s at most", b.organization.name, b.endpoint.Name, name, got, hi)
			}
			if lower == nil {
				continue
			}
			if lo := total(lower[m]).Sub(base); got.Cmp(lo) < 0 && !nothing(got.Sub(lo)) {
				o.w.fault("%s %s %s: %s were counted, the API said %s at least when all was read", b.organization.name, b.endpoint.Name, name, got, lo)
			}
		}
	}
}

// holding says whether series may be held at zero for longer, since the end of it has to be written.
func (o *oracle) holding() bool { return o.w.repair != nil || time.Since(o.recovered) < hold }

// corrected is the age from which a minute is not corrected downwards any more.
const corrected = int64((20*time.Hour + time.Minute) / time.Second)

// boundsOfFalling is bounds where the API corrects usage downwards. What was old enough when everything was last read only
// grows since. What is newer has at most what it ever had. A bill that falls is held in the end only.
func (o *oracle) boundsOfFalling(b *book, f *ledger.FeedView) {
	ep := b.epoch
	if b.endpoint.IsCosts() || b.epochs > 1 || ep.vanished || ep.unsure || ep.doubted || f.HoursGivenUp > 0 || b.organization.gaveUp || anyHeld(b.endpoint, f) || o.holding() {
		return
	}
	since := ep.lo
	if ep.low > 0 && len(ep.unmet) == 0 {
		since = max(since, min(ep.low-corrected, ep.lowTo))
	}
	since -= since % 60
	old, upper := o.truth(b, ep.groupBy, ep.lo, since, ep.newest), o.mostSaid(b, ep.groupBy, since, ep.newest, ep.newest)
	lower := o.truth(b, ep.groupBy, ep.lo, since, ep.low)
	for m := range b.endpoint.Measures {
		sums, withheld := o.counted(b, f, m)
		got, base, name := total(sums).Sub(withheld), total(ep.base[m]), b.endpoint.Measures[m].Name
		if hi := total(old[m]).Add(total(upper[m])).Sub(base); got.Cmp(hi) > 0 {
			o.w.fault("%s %s %s: %s were counted, the API said %s at most", b.organization.name, b.endpoint.Name, name, got, hi)
		}
		if lo := total(lower[m]).Sub(base); got.Cmp(lo) < 0 {
			o.w.fault("%s %s %s: %s were counted, the API says %s at least", b.organization.name, b.endpoint.Name, name, got, lo)
		}
		o.falling++
	}
}

// final holds everything against the truth when all has landed: to the last token and cent, per label set where nothing
// is folded and nothing falls, else as a sum.
func (o *oracle) final() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.books) == 0 || o.bookings == 0 {
		o.w.fault("nothing was booked")
	}
	for _, b := range o.ordered() {
		f := o.feed(b)
		switch {
		case b.endpoint.Stock:
			continue
		case f == nil || !b.goesOn(f):
			o.w.fault("%s %s: nothing was read in the end", b.organization.name, b.endpoint.Name)
			continue
		}
		if told := !b.foreign.After(b.polled) || o.hasBill(b.organization); told && o.w.now().Sub(time.Unix(b.asOf, 0)) > 5*time.Hour {
			o.w.fault("%s %s: the newest poll was booked as of %s", b.organization.name, b.endpoint.Name, time.Unix(b.asOf, 0).UTC())
		}
		for m := range b.endpoint.Measures {
			o.exact(b, f, m)
		}
		o.estimate(b, f)
		o.heldUsage(b, f, true)
	}
}

func (o *oracle) exact(b *book, f *ledger.FeedView, m int) {
	ep, name := b.epoch, b.organization.name+" "+b.endpoint.Name+" "+b.endpoint.Measures[m].Name
	end := o.w.end.Truncate(24 * time.Hour).Add(48 * time.Hour).Unix()
	want := o.known(b, ep.groupBy, ep.lo, end)[m]
	for l, v := range ep.base[m] {
		want[l] = want[l].Sub(v)
	}
	sums, withheld := o.counted(b, f, m)
	got, truth := total(sums).Sub(withheld), total(want)
	off := got.Sub(truth)
	lossy := ep.unsure || ep.doubted || ep.vanished && o.w.falls || f.HoursGivenUp > 0 || b.organization.gaveUp
	switch {
	case nothing(off):
		o.totals++
	case lossy && (off.Sign() < 0 || o.w.falls || ep.doubted):
		o.lossy++
	case o.w.falls && b.epochs > 1 && within(off, ep.vague[m]) && within(off.Neg(), ep.vague[m]):
		o.lossy++ // What was withheld at the start of the epoch is not known by label set.
	default:
		o.w.fault("%s: %s were counted, the truth is %s: %s off (shape %v as of %s)", name, got, truth, off, ep.groupBy, time.Unix(ep.asOf, 0).UTC().Format(time.DateTime))
	}
	if b.folded || o.w.falls || lossy {
		return
	}
	for _, l := range sorted(want) {
		if got := sums[l]; !nothing(got.Sub(want[l])) {
			o.w.fault("%s{%s}: %s were counted, the truth is %s", name, l, got, want[l])
		}
		delete(sums, l)
	}
	for _, l := range sorted(sums) {
		if !nothing(sums[l]) {
			o.w.fault("%s{%s}: %s were counted of what the API does not have", name, l, sums[l])
		}
	}
}

// nothing says whether a difference is none. Amounts are cut to eighteen decimals, as the API asks for them: a string that
// turns into a number, or rows that are told in other parts, may differ by 1e-17 each.
func nothing(off decimal.Fixed) bool { return math.Abs(off.Float64()) < 1e-12 }

// within says whether a difference is no larger than another.
func within(off, most decimal.Fixed) bool { return off.Cmp(most) <= 0 || nothing(off.Sub(most)) }
