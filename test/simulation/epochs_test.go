//go:build !race

package simulation_test

import (
	"math"
	"slices"
	"strings"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/decimal"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
)

// A book is what is known of an endpoint of an organization: what was read of it when, and so what has to be counted.
type book struct {
	organization *organization
	endpoint     *api.Endpoint
	epoch        *epoch
	epochs       int
	former       *epoch    // the one before
	before       []seam    // those of the epochs before
	polled       time.Time // when the newest poll was booked, by the machine's clock
	refused      time.Time // when the newest one was read and not booked
	foreign      time.Time // when the newest one was taken for another organization's
	read         time.Time // when the newest poll with a bucket was booked
	asOf         int64     // of that poll, by the API's
	date         int64     // what its Date said
	behind       bool      // the Date was, by a day or more: it left out the days after
	pages        []page    // of that poll
	window       ledger.Window
	seen         *ledger.FeedView // when the totals were taken last
	folded       bool             // "other" has been in use
	coarser      bool             // the API refuses to tell apart what has prices of its own
	// totals is the newest total of every label set ever shown, by measure, those of former shapes too.
	totals []map[string]decimal.Fixed
	born   []map[string]newborn
	// withheld is what is withheld of each measure.
	withheld []decimal.Fixed
	// held says that something may have been held at zero when the totals were seen last, and how much it has is not known.
	held bool
	// asked is what the API is asked to group by.
	asked func() []string
	// configured is what it is to be grouped by, and dropped what of that the API has refused since.
	configured, dropped []string
	// alive is the series that were shown when they were seen last, and retired what was estimated in those that have gone.
	alive   map[string]*ledger.Series
	retired []decimal.Fixed
	// days is as of when each day of the bill was read last.
	days map[int64]int64
	// doubts are the label sets of shapes that ended while something of them was held at zero: nobody has seen what they
	// had. They go on from there, once they are back.
	doubts  map[string]bool
	derived map[string]time.Time // when series of estimates were born
}

// An epoch is the time of one shape, from its first read on. What a bucket said when it was first read in it is the
// bucket's baseline, if it began before the first read.
type epoch struct {
	groupBy []string
	asOf    int64 // of its first read
	started time.Time
	limit   int64 // what starts before has a baseline, what starts later counts in full
	lo      int64 // from where on the API was read
	back    int64 // from where on it was read when the first audit was
	holed   bool  // the round of audits under way has left out an hour
	start   []map[string]decimal.Fixed
	vague   []decimal.Fixed // by how much the totals at its start may be off, by measure: what was withheld then
	unsure  bool            // something was held at zero then, so its total is not known
	doubted bool            // of something that is back from a former shape the total is not known
	covered map[int64]uint64
	// unmet are the hours of which the first read left out a minute. They have no baseline until they are read whole.
	unmet  map[int64]bool
	base   []map[string]decimal.Fixed
	poll   int64 // as of which the newest poll is
	newest int64 // as of which the newest read is
	// low is the moment as of which everything up to lowTo has been counted at least.
	low, lowTo, lowNext, pageTo int64
	audited, dropped            bool
	retired                     []map[string]decimal.Fixed // what was counted in it by series that have gone
	vanished                    bool                       // there are such
	given                       bool                       // it counts from a given start on, which may lie ahead by a Date that was
	over                        bool                       // the shape has changed, and nothing was read in the new one yet
}

const forever = math.MaxInt64

// hold is longer than a series is ever held at zero.
const hold = 15 * time.Minute

func (o *oracle) book(organization, endpoint string) *book {
	k := [2]string{organization, endpoint}
	b := o.books[k]
	if b == nil {
		e, _ := api.Find(endpoint)
		b = &book{endpoint: e, days: map[int64]int64{}, doubts: map[string]bool{}, derived: map[string]time.Time{}, retired: make([]decimal.Fixed, len(e.Derived)), totals: make([]map[string]decimal.Fixed, len(e.Measures)), withheld: make([]decimal.Fixed, len(e.Measures)), born: make([]map[string]newborn, len(e.Measures))}
		for i := range b.totals {
			b.totals[i], b.born[i] = map[string]decimal.Fixed{}, map[string]newborn{}
		}
		for _, x := range o.w.organizations {
			if x.name == organization {
				b.organization = x
			}
		}
		o.books[k] = b
	}
	return b
}

// feed is what the ledger shows of a book, nil where it shows nothing.
func (o *oracle) feed(b *book) *ledger.FeedView {
	if o.w.running == nil {
		return nil
	}
	for _, f := range o.w.running.View().Feeds {
		if f.Organization == b.organization.name && f.Endpoint == b.endpoint {
			return f
		}
	}
	return nil
}

// goesOn says whether what the ledger shows is of the epoch that is known.
func (b *book) goesOn(f *ledger.FeedView) bool {
	return b.epoch != nil && !b.epoch.over && b.epoch.started.Equal(f.BegunAt) && slices.Equal(b.epoch.groupBy, f.GroupBy)
}

// remember keeps the totals that are shown.
func (o *oracle) remember(b *book) {
	f := o.feed(b)
	if f == nil {
		return
	}
	b.organization.gaveUp = b.organization.gaveUp || f.HoursGivenUp > 0 // The next process counts from zero.
	if !b.goesOn(f) {
		return // The shape has changed: what is shown of the former one is shown no more.
	}
	b.held = anyHeld(b.endpoint, f)
	for m := range f.ByMeasure {
		b.withheld[m] = f.ByMeasure[m].Withheld
	}
	if f == b.seen {
		return
	}
	o.retire(b, f)
	b.seen = f
	for _, s := range f.Series {
		key := o.key(s.Labels)
		b.folded = b.folded || strings.Contains(key, `="other"`)
		b.epoch.doubted = b.epoch.doubted || b.doubts[key]
		for i, m := range s.Measures {
			if o.bornAgain(b, m, s) {
				delete(b.epoch.start[m], key) // It is told again only some time after its shape has come back.
			}
			if s.Absent.Has(i) {
				continue
			}
			before, known := b.totals[m][key]
			if !known {
				o.born(b, s, i, key)
			}
			if held := b.born[m][key]; held.again && before.IsZero() && !s.Values[i].IsZero() && time.Since(o.w.begun) < o.w.settings.zeroHold {
				o.w.fault("%s %s {%s} %s is not held at zero once more after the start", b.organization.name, b.endpoint.Name, key, b.endpoint.Measures[m].Name)
			}
			b.totals[m][key] = s.Values[i]
		}
	}
}

// A newborn is when something was first shown, and whether it has to be held at zero once more after a start.
type newborn struct {
	at    time.Time
	again bool
	born  time.Time // that of its series
}

// born holds that what is new is shown as zero first.
func (o *oracle) born(b *book, s *ledger.Series, i int, key string) {
	m := s.Measures[i]
	if o.w.settings.zeroHold > 0 && !s.Values[i].IsZero() {
		o.w.fault("%s %s {%s} %s is shown as %s at once, without a zero before", b.organization.name, b.endpoint.Name, key, b.endpoint.Measures[m].Name, s.Values[i])
	}
	b.born[m][key] = newborn{at: time.Now(), born: s.Born}
}

// ended takes note of what was held when the process ended: nobody knows whether anybody saw the zero.
func (o *oracle) ended() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, b := range o.books {
		for m := range b.born {
			for key, x := range b.born[m] {
				b.born[m][key] = newborn{x.at, time.Since(x.at) < o.w.settings.zeroHold && b.totals[m][key].IsZero(), x.born}
			}
		}
	}
}

// anyHeld says whether something may be held at zero: a series that is new, or a measure that has begun late.
func anyHeld(e *api.Endpoint, f *ledger.FeedView) bool {
	for _, s := range f.Series {
		if time.Since(s.Born) < hold {
			return true
		}
		for i, m := range s.Measures {
			if e.Measures[m].Rare && !s.Absent.Has(i) && s.Values[i].IsZero() {
				return true
			}
		}
	}
	return false
}

func (o *oracle) booked(b *book, r *ledger.Read) {
	o.bookings++
	b.organization.api.mu.Lock()
	pages := slices.Clone(b.organization.api.wire(b.endpoint.Name, r.Window.Audit).pages)
	b.organization.api.mu.Unlock()
	pages = slices.DeleteFunc(pages, func(p page) bool { return p.empty })
	if !r.Window.Audit {
		b.polled = time.Now()
	}
	f := o.feed(b)
	if f == nil || len(pages) == 0 {
		return // A read without any bucket begins nothing and takes nothing away.
	}
	last := pages[len(pages)-1].at
	if !r.Window.Audit {
		b.read, b.asOf, b.pages, b.window = time.Now(), last, pages, r.Window
		b.date, b.behind = r.AsOf.Unix(), r.AsOf.Unix()/86400 < last/86400
	}
	if b.endpoint.Stock || b.endpoint.IsCosts() && b.readBill(r, pages) {
		return
	}
	// Every page ends where the first one's now is, which the cursor carries, whenever it is as of. What is used while
	// later pages are read is left to the next read.
	to := pages[0].at
	first := !b.goesOn(f)
	if first && f.BegunAt.IsZero() {
		return // By a Date that is far ahead it asked for what is yet to come, and nothing has begun.
	}
	if first {
		// By a Date that is behind, the usage between it and now is yet to come, and counts.
		width := int64(r.Window.Width.Duration / time.Second)
		to = min(to, r.AsOf.Unix()/width*width+width)
		o.begin(b, f, to, r.AsOf.Unix())
	}
	ep := b.epoch
	if !r.Window.To.IsZero() {
		to = min(to, r.Window.To.Unix())
	}
	ep.meet(r, pages, to, first)
	for i, p := range pages {
		end := to
		if i+1 < len(pages) {
			end = pages[i+1].start
		}
		if p.hole > 0 {
			o.cover(b, p.start, p.hole, p.at)
			o.cover(b, p.hole+int64(r.Window.Width.Duration/time.Second), end, p.at)
		} else {
			o.cover(b, p.start, end, p.at)
		}
		ep.newest = max(ep.newest, p.at)
	}
	if !r.Window.Audit {
		ep.poll = last
		if b.endpoint.IsCosts() {
			// By a Date that is behind, the days that begin after it are left out.
			today := r.AsOf.UTC().Truncate(24 * time.Hour)
			ep.low, ep.lowTo = last, min(last, today.AddDate(0, 0, 1).Unix())
		}
		return
	}
	if !ep.audited {
		ep.audited, ep.back = true, ep.lo
	}
	if ep.lowNext == 0 || r.Window.From.Unix() != ep.pageTo {
		ep.lowNext, ep.holed = ep.poll, false // A round begins.
	}
	ep.pageTo = r.Window.To.Unix()
	ep.holed = ep.holed || slices.ContainsFunc(pages, func(p page) bool { return p.hole > 0 })
	if !ep.holed { // What a round leaves out, which may be on record from no poll either, the next one reads.
		ep.low, ep.lowTo = ep.lowNext, ep.pageTo
	}
}

// begin begins an epoch with what there is as of a time, on the day of a date.
func (o *oracle) begin(b *book, f *ledger.FeedView, asOf, date int64) {
	o.reborn(b, f)
	n := len(b.endpoint.Measures)
	ep := &epoch{
		groupBy: f.GroupBy, asOf: asOf, started: f.BegunAt, limit: asOf, lo: math.MaxInt64, covered: map[int64]uint64{}, unmet: map[int64]bool{},
		start: make([]map[string]decimal.Fixed, n), base: make([]map[string]decimal.Fixed, n), vague: make([]decimal.Fixed, n),
		retired: make([]map[string]decimal.Fixed, n),
	}
	for i := range n {
		ep.start[i], ep.base[i] = map[string]decimal.Fixed{}, map[string]decimal.Fixed{}
		for k, v := range b.totals[i] {
			ep.start[i][k] = v
		}
	}
	if b.epoch != nil {
		b.before, b.former = b.seams(), b.epoch
		for m := range ep.vague {
			ep.vague[m] = b.epoch.vague[m].Add(b.withheld[m])
		}
		if b.held && b.seen != nil {
			for _, s := range b.seen.Series {
				b.doubts[o.key(s.Labels)] = true
			}
		}
	}
	ep.unsure = b.held
	origin := int64(0)
	switch {
	case b.epochs == 0:
		origin = o.w.origin(b.endpoint, date)
	case b.epochs == 1 && b.epoch.dropped && !b.epoch.audited && !b.endpoint.IsCosts() && b.epoch.given:
		// A dimension was refused before all was read, so the count begins again where it began.
		origin = b.epoch.limit
		for i := range n {
			clear(ep.start[i])
		}
	}
	if origin > 0 {
		ep.limit, ep.lo, ep.given = origin, origin, true
	}
	b.epoch = ep
	b.epochs++
	o.w.note("%s %s: a shape begins: %v as of %s", b.organization.name, b.endpoint.Name, f.GroupBy, time.Unix(asOf, 0).UTC().Format(time.DateTime))
}

// origin is where counting starts that starts with a given time, 0 where it starts now.
func (w *world) origin(e *api.Endpoint, date int64) int64 {
	day := date - date%86400
	switch w.counting {
	case "now":
		return 0
	case "today":
		return day
	case "month":
		t := time.Unix(date, 0).UTC()
		return time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC).Unix()
	}
	t, err := time.Parse(time.RFC3339, w.counting)
	w.must(err)
	return t.Unix()
}

// cover takes what is read for the first time, of before the shape, as its baseline.
func (o *oracle) cover(b *book, from, to, asOf int64) {
	ep := b.epoch
	if ep.given {
		return // What lies before a given start never counts, whenever it comes.
	}
	ep.lo = min(ep.lo, from)
	if b.endpoint.IsCosts() {
		for day := from - from%86400; day < to && day < ep.limit; day += 86400 {
			if ep.covered[day] == 0 {
				ep.covered[day] = 1
				o.baseline(b, day, min(day+86400, asOf), asOf)
			}
		}
		return
	}
	to = min(to, ep.limit)
	for hour := from - from%3600; hour < to; hour += 3600 {
		if ep.unmet[hour] {
			continue
		}
		covered, run := ep.covered[hour], int64(-1)
		if covered == 1<<60-1 {
			continue
		}
		for m := int64(0); m <= 60; m++ {
			at := hour + m*60
			if m < 60 && at >= from && at < to && covered&(1<<m) == 0 {
				covered |= 1 << m
				if run < 0 {
					run = at
				}
			} else if run >= 0 {
				o.baseline(b, run, min(at, to), asOf)
				run = -1
			}
		}
		if covered != ep.covered[hour] {
			ep.covered[hour] = covered
		}
	}
}
