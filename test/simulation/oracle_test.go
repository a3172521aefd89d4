//go:build !race

package simulation_test

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/openai-exporter/openai_exporter/fetcher"
	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/decimal"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
)

// An oracle knows the contract: it sees what is read and booked, knows what the API says, and so what a scrape may show
// after what earlier ones showed, and what has to be shown in the end.
type oracle struct {
	w *world

	mu          sync.Mutex
	waiting     *ambush // the read that waits for the reload that is under way
	taps        map[fetcher.Feed]*tap
	books       map[[2]string]*book
	bookings    int
	estimates   int // sums of estimates that were held against the truth
	totals      int // sums that are exact in the end
	lossy       int // sums that could be held to a bound only
	falling     int // sums that were held to bounds though the API corrects downwards
	levels      int // gauges of a level or of the newest bucket that were held
	worths      int // days of usage in the books of money that were held
	longs       int // budgets of longer periods that were held
	retirements int // series that have gone
	months      int // what a month has cost was held

	highest   map[string]float64 // of every counter of the API's data that was ever shown
	own       map[string]float64 // of the process' own counters
	through   map[string]float64 // the newest read-through
	limit     int                // the most label sets ever allowed
	filled    bool               // something came back after others may have filled the room
	recovered time.Time          // when commits worked again
	next      time.Time          // of the bounds
	money     map[string][]map[string]decimal.Fixed
	bills     map[string]bill
	keys      []string       // of what was scraped last, in order
	spelled   map[run]string // labels of series, which stay where they are
}

func newOracle(w *world) *oracle {
	return &oracle{
		w: w, taps: map[fetcher.Feed]*tap{}, books: map[[2]string]*book{}, highest: map[string]float64{},
		own: map[string]float64{}, through: map[string]float64{}, money: map[string][]map[string]decimal.Fixed{}, bills: map[string]bill{}, spelled: map[run]string{},
	}
}

func (o *oracle) started() {
	o.mu.Lock()
	defer o.mu.Unlock()
	clear(o.taps)
	clear(o.own)
	for _, x := range o.w.organizations {
		x.api.change(func() { clear(x.api.wires) })
	}
}

func (o *oracle) reconfigured() {
	o.mu.Lock()
	defer o.mu.Unlock()
	clear(o.own) // A feed that goes takes its own counters along.
	for _, b := range o.books {
		if f := o.feed(b); f != nil && !b.goesOn(f) && b.epoch != nil {
			b.epoch.over = true
		}
		if want := o.w.grouped(b); o.w.shown(b) && !slices.Equal(b.configured, want) {
			b.configured, b.dropped = want, nil // What was refused is tried again.
		}
	}
	o.limit = max(o.limit, o.w.settings.labelSets)
	o.filled = o.filled || len(o.w.settings.off) > 0 || !o.w.settings.costs || o.w.organizations[1].removed
}

// rememberAll takes note of what is shown, before a reload may end it.
func (o *oracle) rememberAll() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, b := range o.ordered() {
		o.remember(b)
	}
}

// begun says whether everything has begun to count.
func (o *oracle) begun() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, x := range o.w.organizations {
		for _, e := range append(slices.Clone(o.w.endpoints), api.Costs) {
			if b := o.book(x.name, e); !b.endpoint.Stock && b.epoch == nil {
				return false
			}
		}
	}
	return true
}

// told says whether the bill of organizations was read and had a row, which says whose it is.
func (o *oracle) told(all ...*organization) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return !slices.ContainsFunc(all, func(x *organization) bool {
		b := o.book(x.name, api.Costs)
		f := o.feed(b)
		return x.removed || b.epoch == nil || f == nil || len(f.Series) == 0
	})
}

// ordered are the books in one order.
func (o *oracle) ordered() []*book {
	out := make([]*book, 0, len(o.books))
	for _, b := range o.books {
		out = append(out, b)
	}
	slices.SortFunc(out, func(a, b *book) int {
		return cmp.Or(cmp.Compare(a.organization.name, b.organization.name), cmp.Compare(a.endpoint.Name, b.endpoint.Name))
	})
	return out
}

// shown says whether a book's endpoint is configured now.
func (w *world) shown(b *book) bool {
	if b.organization.removed {
		return false
	}
	if b.endpoint.IsCosts() {
		return w.settings.costs
	}
	return !w.settings.off[b.endpoint.Name]
}

// grouped is what a book's endpoint is to be grouped by.
func (w *world) grouped(b *book) []string {
	if b.endpoint.IsCosts() {
		return b.endpoint.GroupBy(w.settings.costsGroupBy)
	}
	return b.endpoint.GroupBy(w.settings.groupBy)
}

// scrape reads the exposition as Prometheus does and holds it against the contract.
func (w *world) scrape() {
	if w.running == nil {
		return
	}
	samples, err := w.ask(forms[0], false)
	if err != nil {
		w.fault("the exposition can't be read: %v", err)
		return
	}
	w.lived.scrapes++
	o := w.oracle
	o.mu.Lock()
	got := o.read(samples)
	o.keys = sorted(got)
	o.counters(got)
	o.gauges(got)
	o.honest(got)
	o.mu.Unlock()
	if n := w.lived.scrapes; n%5 == 0 {
		w.sameIn(forms[n/5%len(forms)], n%2 == 0, got)
	}
	if !time.Now().Before(o.next) {
		o.bounds()
		o.next = time.Now().Add(20 * time.Hour)
	}
}

// read spells what was scraped, and holds what may never be seen, whatever has happened.
func (o *oracle) read(samples []sample) scraped {
	w := o.w
	out := make(scraped, len(samples))
	sums := map[string]decimal.Fixed{}
	for _, s := range samples {
		if _, twice := out[s.key]; twice {
			w.fault("%s is shown twice", s.key)
		}
		if math.IsNaN(s.value) || math.IsInf(s.value, 0) {
			w.fault("%s is %v", s.key, s.value)
		}
		out[s.key] = s.value
		o.never(s)
		if counted(s.name) {
			i := strings.Index(s.key, "organization=")
			v, _ := decimal.Parse(strconv.FormatFloat(s.value, 'f', -1, 64)) // A float that is none was a fault above.
			k := s.name + " " + s.key[i:i+20]
			sums[k] = sums[k].Add(v)
		}
	}
	var b strings.Builder
	for _, k := range sorted(sums) {
		b.WriteString(" " + k + " " + sums[k].String())
	}
	w.note("scrape %d:%s", w.lived.scrapes, b.String())
	return out
}

func (o *oracle) never(s sample) {
	w, name, key, n := o.w, s.name, s.key, s.value
	derived := strings.Contains(key, `measure="estimated_cost_usd"`) || strings.Contains(key, `measure="unpriced_`)
	switch {
	case counted(name) || name == "openai_estimated_cost_usd_total":
		if before := o.highest[key]; n < before {
			w.fault("%s fell from %v to %v", key, before, n)
		}
		o.highest[key] = max(o.highest[key], n)
	case s.counter:
		if before := o.own[key]; n < before {
			w.fault("%s fell from %v to %v", key, before, n)
		}
		o.own[key] = n
		if !w.falls && !w.rewound && n > 1e-12 && !derived && strings.Contains(key, `direction="down"`) {
			w.fault("%s is %v, although the API corrects nothing downwards", key, n)
		}
	case name == "openai_exporter_label_sets":
		// What returns after others have filled the room is not ended for that, so only then the limit may be passed.
		if n < 0 || n > float64(o.limit) && !o.filled {
			w.fault("%s is %v, the limit is %d", key, n, o.limit)
		}
	case name == "openai_exporter_withheld":
		if n < 0 || n > 1e-12 && !w.falls && !w.rewound && !derived {
			w.fault("%s is %v, although the API corrects nothing downwards", key, n)
		}
	case name == "openai_usage_read_through_timestamp_seconds":
		if n > float64(w.now().Unix()) && time.Since(w.stepped) > 6*time.Hour && !w.dating() && o.timed() {
			w.fault("%s is %v, which is in the future", key, n)
		}
		if n < o.through[key] {
			w.fault("%s fell from %v to %v", key, o.through[key], n)
		}
		o.through[key] = n
	}
}

// tell changes the width that usage is told in.
func (w *world) tell(width string) {
	w.rewound = w.rewound || width != w.settings.width && w.dating()
	w.settings.width = width
}

// dating says whether an organization's Date is wrong now.
func (w *world) dating() bool {
	return slices.ContainsFunc(w.organizations, func(o *organization) bool { return o.troubles["date"] > 0 })
}

// counted says whether a counter is of what the API says.
func counted(name string) bool {
	return strings.HasSuffix(name, "_total") && (strings.HasPrefix(name, "openai_usage_") || strings.HasPrefix(name, "openai_cost_"))
}

// counters holds what is shown against what is booked: all of it, and nothing else.
func (o *oracle) counters(got scraped) {
	w := o.w
	want, sets, bare := map[string]bool{}, map[string]int{}, map[string]int{}
	for _, b := range o.ordered() {
		f := o.feed(b)
		if f == nil {
			if w.shown(b) {
				w.fault("%s %s is configured and not in the view", b.organization.name, b.endpoint.Name)
			}
			continue
		}
		o.remember(b)
		if want := slices.DeleteFunc(w.grouped(b), func(d string) bool { return slices.Contains(b.dropped, d) }); !slices.Equal(f.GroupBy, want) {
			w.fault("%s %s is told apart by %v, and has to be by %v", b.organization.name, b.endpoint.Name, f.GroupBy, want)
		}
		own, without := ownSets(f)
		sets[b.organization.name] += own
		bare[b.organization.name] += without
		for _, s := range f.Series {
			labels := w.labels(b, s.Labels)
			for i, m := range s.Measures {
				name := "openai_" + b.endpoint.Measures[m].Name + "_total"
				if !b.endpoint.IsCosts() {
					name = "openai_usage_" + b.endpoint.Measures[m].Name + "_total"
				}
				if s.Absent.Has(i) {
					continue
				}
				key := spellLabels(name, labels)
				want[key] = true
				if n, shown := got[key]; shown && n != s.Values[i].Float64() || !shown && !s.Values[i].IsZero() {
					w.fault("%s shows %v (%t), the books say %s", key, n, shown, s.Values[i])
				}
			}
		}
	}
	for _, x := range w.running.View().Organizations {
		key := spellLabels("openai_exporter_label_sets", []ledger.Label{{Name: "organization", Value: x.Name}})
		if n := int(got[key]); n != x.LabelSets || n < sets[x.Name] || n > sets[x.Name]+bare[x.Name] {
			w.fault("%s is %d, there are %d of their own, and %d without labels", key, n, sets[x.Name], bare[x.Name])
		}
	}
	for _, key := range o.keys {
		if name, _, _ := strings.Cut(key, "{"); counted(name) && !want[key] {
			w.fault("%s is shown, and nothing of it is booked", key)
		}
	}
}

// ownSets is how many label sets of a feed have a place of their own, and how many have no label at all: those take one
// only where something is grouped by.
func ownSets(f *ledger.FeedView) (own, bare int) {
	count := func(labels []ledger.Label) {
		switch {
		case len(labels) == 0:
			bare++
		case slices.ContainsFunc(labels, func(l ledger.Label) bool { return l.Value != ledger.Other }):
			own++
		}
	}
	for _, s := range f.Series {
		count(s.Labels)
	}
	for _, r := range f.Stock {
		count(r.Labels)
	}
	return own, bare
}

// labels are those of a series of a book.
func (w *world) labels(b *book, own []ledger.Label) []ledger.Label {
	labels := append(slices.Clone(own), ledger.Label{Name: "organization", Value: b.organization.name})
	if !b.endpoint.IsCosts() {
		labels = append(labels, ledger.Label{Name: "endpoint", Value: b.endpoint.Name})
	}
	return labels
}

func spellLabels(name string, labels []ledger.Label) string {
	return name + "{" + labelsKey(labels) + "}"
}

// A run is where labels are and how many.
type run struct {
	first *ledger.Label
	n     int
}

// key is labelsKey for the labels of a series.
func (o *oracle) key(labels []ledger.Label) string {
	if len(labels) == 0 {
		return ""
	}
	at := run{&labels[0], len(labels)}
	known, ok := o.spelled[at]
	if !ok {
		if len(o.spelled) > 20000 {
			clear(o.spelled)
		}
		known = labelsKey(labels)
		o.spelled[at] = known
	}
	return known
}

// labelsKey spells labels in the order of their names.
func labelsKey(labels []ledger.Label) string {
	labels = slices.Clone(labels)
	slices.SortFunc(labels, func(a, b ledger.Label) int { return strings.Compare(a.Name, b.Name) })
	var b strings.Builder
	for i, l := range labels {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(l.Name + `="` + l.Value + `"`)
	}
	return b.String()
}
