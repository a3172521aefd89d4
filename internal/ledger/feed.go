package ledger

import (
	"errors"
	"fmt"
	"time"

	"github.com/go-kit/log"
)

// A Feed is what is recorded and counted of one endpoint of one organization.
type Feed struct {
	ledger  *Ledger
	name    string
	options FeedOptions

	*shape           // what is shown now
	reads   []string // the columns of what is read
	layouts layouts
	meta    meta

	spans        map[int64]*span
	fingerprints map[bucketKey]*Fingerprint // of buckets in spans
	list         []*series                  // by id
	position     map[uint32]int             // id → index in list
	index        map[string]*series         // by indexKey
	folded       map[uint64]int64           // hash of a folded label set → start of the newest bucket that has it
	held         map[hold]time.Time         // until when
	own          int                        // label sets with series of their own
	books        books

	stock      []Row
	stockOther int // stock label sets folded

	refused   refused
	doubt     *doubt
	convicted int64  // the hour that the last verdict rests on, so that the next hour read is an older one
	unwritten bool   // meta.Foreign is not on disk yet
	round     *round // the audit under way
	lastAudit time.Time
	stats     []MeasureView

	gone    bool      // it is not configured any more, and nothing is booked to it
	place   int       // in the view
	shown   *FeedView // there
	shownAs *shape    // its shape then
	moved   bool      // a series has changed since
	staged  *stage    // made of it and not installed yet, or nil
}

// loadFeed makes a feed of what is on disk; found is false if there is nothing of it yet. Several are loaded at the same time.
func (l *Ledger) loadFeed(name string, o FeedOptions, settings Settings) (f *Feed, found bool, err error) {
	c, found, err := l.store.load(name)
	if err != nil {
		return nil, false, err
	}
	measures := make([]string, len(o.Endpoint.Measures))
	for i, m := range o.Endpoint.Measures {
		measures[i] = m.Name
	}
	f = &Feed{
		ledger: l, name: name, options: o,
		layouts: newLayouts(c.meta.Layouts, measures),
		meta:    c.meta.meta,
		shape:   newShape(o.Endpoint, c.meta.GroupBy, c.meta.Filters),
		spans:   map[int64]*span{}, fingerprints: map[bucketKey]*Fingerprint{}, position: map[uint32]int{}, index: map[string]*series{},
		folded: c.folded, held: map[hold]time.Time{}, books: newBooks(),
		stats: make([]MeasureView, len(measures)),
	}
	f.meta.Layouts = f.layouts.names
	if !found {
		f.meta.Configured, f.shape = o.GroupBy, newShape(o.Endpoint, o.GroupBy, o.Filters)
	}
	f.arrange()
	now := time.Now()
	for _, stored := range c.series {
		s, err := decodeSeries(stored.id, stored.b, &f.layouts, f.groups, len(f.derivedGroups))
		if err != nil {
			return nil, false, &StateError{l.store.path, fmt.Errorf("damaged: series %d of %s: %w", stored.id, o.Endpoint.Name, err), doRestore}
		}
		// Whether anybody saw a zero before the restart is not known: hold it once more.
		f.keep(s, now.Add(settings.ZeroHold))
		f.add(s)
	}
	known := checker{layouts: &f.layouts, position: f.position}
	for _, k := range c.buckets {
		at := f.spanOf(k.start)
		sp := f.spans[at]
		if sp == nil {
			sp = &span{width: k.width}
			f.spans[at] = sp
		}
		if sp.width != k.width {
			return nil, false, &StateError{l.store.path, fmt.Errorf("damaged: %s has buckets of two widths at Unix time %d", o.Endpoint.Name, at), doRestore}
		}
		sp.put(k.start, k.cells)
		if err := known.check(k.cells); err != nil {
			return nil, false, &StateError{l.store.path, fmt.Errorf("damaged: bucket of %s at Unix time %d: %w", o.Endpoint.Name, k.start, err), doRestore}
		}
	}
	if err := f.loadBooks(&c.books); err != nil {
		return nil, false, &StateError{l.store.path, fmt.Errorf("damaged: %s: %w", o.Endpoint.Name, err), doRestore}
	}
	return f, found, nil
}

// add puts a series into the feed's tables, or its new version in place of the old.
func (f *Feed) add(s *series) {
	if i, ok := f.position[s.id]; ok {
		f.own -= f.list[i].place
		f.list[i] = s
	} else {
		f.position[s.id] = len(f.list)
		f.list = append(f.list, s)
	}
	s.place = f.counts(s)
	f.own += s.place
	f.index[s.key] = s
	s.show(f.group(s.group))
}

var errUnknownSeries = errors.New("a bucket names a series that does not exist")

func (f *Feed) logger() log.Logger {
	return log.With(f.ledger.logger, "organization", f.options.Organization, "endpoint", f.options.Endpoint.Name)
}
