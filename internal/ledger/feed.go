package ledger

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
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

func (l *Ledger) loadFeed(name string, o FeedOptions, settings Settings) (*Feed, error) {
	c, found, err := l.store.load(name)
	if err != nil {
		return nil, err
	}
	measures := make([]string, len(o.Endpoint.Measures))
	for i, m := range o.Endpoint.Measures {
		measures[i] = m.Name
	}
	f := &Feed{
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
		delete(l.cleared, name) // Without a record nothing could withdraw the verdict.
	}
	f.arrange()
	now := time.Now()
	for _, id := range slices.Sorted(maps.Keys(c.series)) {
		s, err := decodeSeries(id, c.series[id], &f.layouts, f.groups, len(f.derivedGroups))
		if err != nil {
			return nil, &StateError{l.store.path, fmt.Errorf("damaged: series %d of %s: %w", id, o.Endpoint.Name, err), doRestore}
		}
		// Whether anybody saw a zero before the restart is not known: hold it once more.
		f.keep(s, now.Add(settings.ZeroHold))
		f.add(s)
	}
	for k, cells := range c.buckets {
		at := f.spanOf(k.start)
		sp := f.spans[at]
		if sp == nil {
			sp = &span{width: k.width}
			f.spans[at] = sp
		}
		if sp.width != k.width {
			return nil, &StateError{l.store.path, fmt.Errorf("damaged: %s has buckets of two widths at Unix time %d", o.Endpoint.Name, at), doRestore}
		}
		sp.put(k.start, cells)
		if err := f.check(cells); err != nil {
			return nil, &StateError{l.store.path, fmt.Errorf("damaged: bucket of %s at Unix time %d: %w", o.Endpoint.Name, k.start, err), doRestore}
		}
	}
	if err := f.loadBooks(&c.books); err != nil {
		return nil, &StateError{l.store.path, fmt.Errorf("damaged: %s: %w", o.Endpoint.Name, err), doRestore}
	}
	if found && f.meta.Begun && o.CountersStartText != "" && f.meta.CountersStart != o.CountersStartText {
		level.Info(l.logger).Log("msg", "A changed counters.start has no effect on existing state", "organization", o.Organization, "endpoint", o.Endpoint.Name, "configured", o.CountersStartText, "started_with", f.meta.CountersStart)
	}
	return f, nil
}

// check looks whether a bucket from disk can be read.
func (f *Feed) check(bucket []byte) error {
	cells, _, _, err := f.layouts.decodeCells(bucket)
	if err == nil && slices.ContainsFunc(cells, func(c cell) bool { _, ok := f.position[c.id]; return !ok }) {
		err = errUnknownSeries
	}
	return err
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
