//go:build !race

package simulation_test

import (
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/decimal"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
)

// near is how far a float may be from the decimals that it is the sum of, in US dollars.
const near = 1e-7

// gauges holds what today and the month have cost, and how far was read, against the API as of the newest poll.
func (o *oracle) gauges(got scraped) {
	w := o.w
	// Whose clock holds is not settled right after a step, and the day turns with the API's.
	settled := time.Since(w.stepped) > 6*time.Hour && !w.dating() && o.timed()
	now := w.now()
	day := now.Truncate(24 * time.Hour)
	month := time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC)
	for _, b := range o.ordered() {
		f := o.feed(b)
		if f == nil || b.asOf == 0 {
			continue
		}
		if b.endpoint.Stock {
			if !w.dating() { // By a Date that is behind, it is the level of that moment.
				o.stock(got, b, f)
			}
			continue
		}
		if !b.goesOn(f) {
			continue
		}
		if !b.endpoint.IsCosts() {
			key := spellLabels("openai_usage_read_through_timestamp_seconds", w.labels(b, nil))
			if n, shown := got[key]; shown && int64(n) != f.ReadThrough.Unix() || !shown && !f.ReadThrough.IsZero() {
				w.fault("%s is %v (%t), the books say %d", key, n, shown, f.ReadThrough.Unix())
			}
			if settled {
				o.lastBucket(got, b, f)
			}
			continue
		}
		if !settled || b.behind || now.Sub(day) < 2*time.Minute || now.Sub(time.Unix(b.asOf, 0)) < 0 {
			continue
		}
		o.cost(got, b, f, "openai_cost_today_usd", day)
		o.cost(got, b, f, "openai_cost_month_to_date_usd", month)
		o.whole(got, b, f, day, month)
	}
}

// timed says whether the exporter can know the API's clock: the machine's is right, or the API has answered everybody since
// the start and since the last step.
func (o *oracle) timed() bool {
	w := o.w
	if w.offset.Load() == 0 {
		return true
	}
	for _, x := range w.organizations {
		answered := x.removed
		for _, b := range o.books {
			answered = answered || b.organization == x && b.polled.After(w.begun.Add(10*time.Minute)) && b.polled.After(w.stepped.Add(time.Hour)) && b.polled.After(w.configured)
		}
		if !answered {
			return false
		}
	}
	return true
}

// said is what the bill said of the days from a day on, when it was read last, by label set.
func (o *oracle) said(b *book, groupBy []string, from time.Time) map[string]decimal.Fixed {
	key := fmt.Sprint(b.organization.name, from.Unix(), b.asOf, groupBy)
	known, ok := o.money[key]
	if !ok {
		if len(o.money) > 200 {
			clear(o.money)
		}
		known = o.truth(b, groupBy, from.Unix(), b.asOf, b.asOf)
		o.money[key] = known
	}
	return known[0]
}

// cost holds a gauge of what was billed since some day.
func (o *oracle) cost(got scraped, b *book, f *ledger.FeedView, name string, from time.Time) {
	w := o.w
	want := o.said(b, f.GroupBy, from)
	prefix, organization := name+"{", fmt.Sprintf("organization=%q", b.organization.name)
	sum, shown := 0.0, scraped{}
	at, _ := slices.BinarySearch(o.keys, prefix)
	for _, key := range o.keys[at:] {
		if !strings.HasPrefix(key, prefix) {
			break
		}
		if !strings.Contains(key, organization) {
			continue
		}
		sum += got[key]
		shown[key] = got[key]
	}
	if want := total(want).Float64(); math.Abs(sum-want) > near {
		w.fault("%s of %s sums up to %v, the bill said %v as of %s", name, b.organization.name, sum, want, time.Unix(b.asOf, 0).UTC().Format(time.DateTime))
		return
	}
	if b.folded || w.settings.labelSets < 1000 {
		return
	}
	for _, l := range sorted(want) {
		labels := l
		key := prefix + sortLabels(labels, organization) + "}"
		if n, ok := got[key]; ok && math.Abs(n-want[l].Float64()) > near || !ok && !want[l].IsZero() {
			w.fault("%s is %v (%t), the bill said %s", key, n, ok, want[l])
		}
		delete(shown, key)
	}
	for _, key := range sorted(shown) {
		if shown[key] != 0 {
			w.fault("%s shows %v, and the bill had no such thing", key, got[key])
		}
	}
}

// sortLabels puts labels among others that are spelled in order.
func sortLabels(labels string, more ...string) string {
	all := slices.Clone(more)
	if labels != "" {
		// Values of line items have commas in them, so labels are cut at their quotes.
		rest := labels
		for rest != "" {
			end := strings.Index(rest, `="`) + 2
			end += strings.IndexByte(rest[end:], '"') + 1
			all = append(all, rest[:end])
			rest = strings.TrimPrefix(rest[end:], ",")
		}
	}
	slices.Sort(all)
	return strings.Join(all, ",")
}

// honest holds openai_up against what was seen on the wire, and that what is well is polled.
func (o *oracle) honest(got scraped) {
	w := o.w
	now := time.Now()
	for _, x := range w.organizations {
		for _, name := range append(slices.Clone(w.endpoints), api.Costs) {
			b := o.book(x.name, name)
			key := fmt.Sprintf("openai_up{endpoint=%q,organization=%q}", name, x.name)
			up, shown := got[key]
			if !w.shown(b) {
				if shown {
					w.fault("%s is shown, although it is not polled", key)
				}
				continue
			}
			interval := w.settings.pace()
			if name == api.Costs {
				interval = w.settings.costsInterval
			}
			x.api.mu.Lock()
			seen, condemned := *x.api.wire(name, false), x.api.condemned
			x.api.mu.Unlock()
			if seen.early > 0 {
				w.fault("%s %s: the API has asked to be left alone, or refuses for good, and was asked %d times too early", x.name, name, seen.early)
			}
			booked := !b.polled.Before(seen.begun) && !b.refused.After(b.polled)
			// A poll that failed is over when it has not been retried for a while.
			calm := !seen.begun.IsZero() && seen.flying == 0 && now.Sub(seen.ended) > 90*time.Second && now.Sub(w.configured) > 10*time.Minute && w.settings.requests > 100
			// Once an answer was another organization's, polls ask for one hour of their own first, as audits do.
			calm = calm && seen.begun.After(condemned)
			switch {
			case !calm:
			case booked && (!shown || up != 1):
				w.fault("%s is %v (%t), although the newest poll was booked", key, up, shown)
			case !booked && shown && up != 0:
				w.fault("%s is %v, although the newest poll failed (status %d)", key, up, seen.status)
			case !booked && !shown && (seen.status != http.StatusNotFound || !b.polled.IsZero()):
				w.fault("%s is absent, although the newest poll failed (status %d)", key, seen.status)
			}
			patience := max(10*interval, 15*time.Minute) + 2*interval + 90*time.Minute
			if b.foreign.After(b.polled) {
				patience += 12 * w.settings.costsInterval // The bill is read again first, and tells.
			}
			well := len(x.troubles) == 0 && x.faults.Torn == 0 && w.repair == nil
			for _, since := range []time.Time{x.well, o.recovered, w.configured, w.stepped, seen.slow} {
				well = well && now.Sub(since) > patience
			}
			// Without a row of the bill, an answer that names no project can't end the verdict that the key is another
			// organization's.
			well = well && (!b.foreign.After(b.polled) || w.settings.costs && o.hasBill(x))
			if well && now.Sub(b.polled) > patience {
				w.fault("%s %s: nothing was booked since %s, although nothing is wrong", x.name, name, b.polled.UTC().Format(time.DateTime))
			}
		}
	}
}

// toldByBill is hasBill for who does not have the lock.
func (o *oracle) toldByBill(x *organization) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.hasBill(x)
}

// hasBill says whether an organization's bill has had a row in the days that every poll reads.
func (o *oracle) hasBill(x *organization) bool {
	b, now := o.book(x.name, api.Costs), o.w.now().Unix()
	for day := now - now%86400 - 3*86400; day <= now; day += 86400 {
		if len(o.billed(b, day, now)) > 0 {
			return true
		}
	}
	return false
}
