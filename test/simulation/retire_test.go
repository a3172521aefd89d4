//go:build !race

package simulation_test

import (
	"fmt"
	"strings"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/decimal"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
)

// shortestRetention is the shortest that counters.idle_retention ever is.
const shortestRetention = 800 * time.Hour

// retire takes note of series that have gone since the view was seen last: nothing was used of them for so long. A label
// set that returns begins at zero.
func (o *oracle) retire(b *book, f *ledger.FeedView) {
	for _, s := range f.Derived {
		id := fmt.Sprint(s.Measures[0], o.key(s.Labels))
		// As of a series of usage, it may be one of a former shape that was retired meanwhile.
		if born, known := b.derived[id]; known && renewed(s.Born, born) {
			o.forgetEstimates(b)
		}
		b.derived[id] = s.Born
	}
	oldest := o.w.begin
	if o.w.monthly {
		oldest = oldest.AddDate(0, 0, -31)
	}
	if o.w.now().Sub(oldest) < shortestRetention {
		return // Nothing that is counted can have been idle for so long.
	}
	alive := make(map[string]*ledger.Series, len(f.Series)+len(f.Derived))
	for _, s := range f.Series {
		alive[fmt.Sprint(s.Measures[0], o.key(s.Labels))] = s
	}
	for _, s := range f.Derived {
		alive[fmt.Sprint("derived", s.Measures[0], o.key(s.Labels))] = s
	}
	for _, id := range sorted(b.alive) {
		was := b.alive[id]
		switch is := alive[id]; {
		case is != nil && is.Born.Equal(was.Born):
		case strings.HasPrefix(id, "derived"):
			b.retired[was.Measures[0]] = b.retired[was.Measures[0]].Add(was.Values[0])
			o.forgetEstimates(b)
		default:
			o.retired(b, f, was)
		}
	}
	b.alive = alive
}

// retired keeps what a series has counted in this epoch, and holds that it has been idle.
func (o *oracle) retired(b *book, f *ledger.FeedView, s *ledger.Series) {
	ep, key := b.epoch, o.key(s.Labels)
	o.w.note("%s %s {%s} is retired", b.organization.name, b.endpoint.Name, key)
	o.retirements++
	since := b.asOf - int64(shortestRetention/time.Second) + 86400
	used := o.truth(b, f.GroupBy, since, b.asOf, b.asOf)
	for i, m := range s.Measures {
		if v := used[m][key]; !v.IsZero() && !strings.Contains(key, ledger.Other) {
			o.w.fault("%s %s {%s} is retired, and %s has lately been %s", b.organization.name, b.endpoint.Name, key, b.endpoint.Measures[m].Name, v)
		}
		if ep.retired[m] == nil {
			ep.retired[m] = map[string]decimal.Fixed{}
		}
		ep.retired[m][key] = ep.retired[m][key].Add(s.Values[i]).Sub(ep.start[m][key])
		delete(ep.start[m], key)
		o.unlearn(b, m, s.Labels)
	}
	ep.vanished = true
}

// unlearn forgets a counter, which may begin at zero again.
func (o *oracle) unlearn(b *book, m int, labels []ledger.Label) {
	key := o.key(labels)
	delete(b.totals[m], key)
	delete(b.born[m], key)
	name := "openai_usage_" + b.endpoint.Measures[m].Name + "_total"
	if b.endpoint.IsCosts() {
		name = "openai_" + b.endpoint.Measures[m].Name + "_total"
	}
	delete(o.highest, spellLabels(name, o.w.labels(b, labels)))
}

// forgetEstimates forgets how high the estimates of an endpoint have been.
func (o *oracle) forgetEstimates(b *book) {
	for _, all := range []map[string]float64{o.highest, o.own} {
		for key := range all {
			if strings.Contains(key, fmt.Sprintf("organization=%q", b.organization.name)) && (strings.HasPrefix(key, "openai_estimated_cost_usd_total{") || strings.HasPrefix(key, "openai_exporter_unpriced_tokens_total{")) {
				delete(all, key)
			}
		}
	}
}

// reborn forgets series of former shapes that were retired meanwhile and have come again.
func (o *oracle) reborn(b *book, f *ledger.FeedView) {
	b.alive = nil
	for _, s := range f.Series {
		for _, m := range s.Measures {
			o.bornAgain(b, m, s)
		}
	}
}

// bornAgain forgets a series of a former shape if it was retired meanwhile.
func (o *oracle) bornAgain(b *book, m int, s *ledger.Series) (again bool) {
	before, known := b.born[m][o.key(s.Labels)]
	if again = known && renewed(s.Born, before.born); again {
		o.unlearn(b, m, s.Labels)
	}
	return again
}

// renewed says whether a series that was born before was born later than it can have been retired, by clocks that may have
// been days apart.
func renewed(born, before time.Time) bool { return born.Sub(before) > shortestRetention-5*24*time.Hour }
