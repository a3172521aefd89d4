package ledger

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"

	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/decimal"
)

// A span is an hour of usage or a day of the bill, the unit that changes hands between widths: an hour is held as the
// minutes that polls read until an audit reads it whole, and is then held as one bucket. A span is never held in two
// widths, so nothing is booked twice, whatever width reads it.
type span struct {
	width   int64            // of its buckets, in seconds
	buckets map[int64][]byte // encoded cells by start
}

func (s *span) clone() *span { return &span{s.width, maps.Clone(s.buckets)} }

// A Feed is the books of one endpoint of one organization.
type Feed struct {
	ledger  *Ledger
	name    string
	options FeedOptions

	columns []string
	groups  []group
	derived []group // by group number less derivedGroups
	layouts layouts
	meta    meta
	// shape counts the shapes that the feed has had in this process: a read belongs to the one that planned it.
	shape int

	spans  map[int64]*span
	list   []*series          // by id
	at     map[uint32]int     // id → index in list
	index  map[string]*series // by indexKey
	folded map[uint64]int64   // hash of a folded label set → start of the newest bucket that has it
	held   map[uint32]time.Time
	own    int // label sets with series of their own
	// days is what the usage held is estimated to have cost, by the start of the UTC day and the project.
	days map[int64]map[string]decimal.Fixed

	stock      []Row
	stockOther int // stock label sets folded

	refused   refused
	round     *round // the audit under way
	lastAudit time.Time
	stats     []MeasureView
	shown     *FeedView
}

// A round of audits goes through the closed hours from the oldest that may still change to the newest.
type round struct{ cursor, end int64 }

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
		meta:    c.meta,
		spans:   map[int64]*span{}, at: map[uint32]int{}, index: map[string]*series{},
		folded: c.folded, held: map[uint32]time.Time{}, days: map[int64]map[string]decimal.Fixed{},
		stats: make([]MeasureView, len(measures)),
	}
	f.meta.Layouts = f.layouts.names
	if !found {
		f.meta.Configured, f.meta.GroupBy = o.GroupBy, o.GroupBy
	}
	f.arrange()
	now := time.Now()
	for _, id := range slices.Sorted(maps.Keys(c.series)) {
		s, err := decodeSeries(id, c.series[id], &f.layouts, f.groups, len(f.derived))
		if err != nil {
			return nil, &StateError{l.store.path, fmt.Errorf("damaged: series %d of %s: %w", id, o.Endpoint.Name, err), doRestore}
		}
		if s.held {
			// Whether anybody saw the zero before the restart is not known: hold it once more.
			f.held[id] = now.Add(settings.ZeroHold)
		}
		f.add(s)
	}
	for k, cells := range c.buckets {
		at := f.spanOf(k.start)
		sp := f.spans[at]
		if sp == nil {
			sp = &span{k.width, map[int64][]byte{}}
			f.spans[at] = sp
		}
		if sp.width != k.width {
			return nil, &StateError{l.store.path, fmt.Errorf("damaged: %s is held in two widths at %d", o.Endpoint.Name, at), doRestore}
		}
		sp.buckets[k.start] = cells
		if err := f.recall(k.start, cells); err != nil {
			return nil, &StateError{l.store.path, fmt.Errorf("damaged: a bucket of %s at %d: %w", o.Endpoint.Name, k.start, err), doRestore}
		}
	}
	if found && f.meta.Started && o.StartText != "" && f.meta.Start != o.StartText {
		level.Info(l.logger).Log("msg", "A changed counters.start has no effect on existing state", "organization", o.Organization, "endpoint", o.Endpoint.Name, "configured", o.StartText, "started_with", f.meta.Start)
	}
	return f, nil
}

// add puts a series into the feed's tables, or its new version in place of the old.
func (f *Feed) add(s *series) {
	if i, ok := f.at[s.id]; ok {
		f.own -= f.list[i].place
		f.list[i] = s
	} else {
		f.at[s.id] = len(f.list)
		f.list = append(f.list, s)
	}
	s.place = f.counts(s)
	f.own += s.place
	f.index[s.key] = s
	s.show(f.group(s.group))
}

// arrange lays the feed out for its grouping.
func (f *Feed) arrange() {
	f.columns, f.groups = layout(f.options.Endpoint, f.meta.GroupBy)
	f.derived = layoutDerived(f.options.Endpoint, f.columns)
}

// group returns the group of that number.
func (f *Feed) group(n int) *group {
	if n >= derivedGroups {
		return &f.derived[n-derivedGroups]
	}
	return &f.groups[n]
}

// counts is 1 for a series that takes a place of its own under the limit.
func (f *Feed) counts(s *series) int {
	// Derived series take no place: there are never more of them than of the series they are derived of.
	if s.ended || s.derived() || s.key == f.otherKey(s.group) {
		return 0
	}
	return 1
}

// otherKey is the key of the series that label sets past the limit fold into.
func (f *Feed) otherKey(groupIndex int) string {
	var b []byte
	for _, name := range f.groups[groupIndex].labels {
		b = appendString(b, name)
		b = appendString(b, Other)
	}
	return indexKey(groupIndex, b)
}

func (f *Feed) spanSize() int64 {
	if f.options.Endpoint.IsCosts() {
		return int64(api.CostDay.Duration / time.Second)
	}
	return int64(time.Hour / time.Second)
}

func (f *Feed) spanOf(t int64) int64 { return t - mod(t, f.spanSize()) }

func mod(t, width int64) int64 { return ((t % width) + width) % width }

// configure takes over options after reshape has dealt with what they change.
func (f *Feed) configure(o FeedOptions) {
	if o.AuditWindow != f.options.AuditWindow || o.Lookback != f.options.Lookback {
		f.round = nil
	}
	f.options = o
}

// GroupBy is the grouping to ask for: the configured one without what the API has refused.
func (f *Feed) GroupBy() []string {
	f.ledger.mu.Lock()
	defer f.ledger.mu.Unlock()
	return slices.Clone(f.meta.GroupBy)
}

// Drop remembers that the API refuses a dimension, and starts the endpoint afresh without it.
func (f *Feed) Drop(dimension string) error {
	l := f.ledger
	l.mu.Lock()
	defer l.mu.Unlock()
	if !slices.Contains(f.meta.GroupBy, dimension) {
		return fmt.Errorf("drop dimension %s: %s is not grouped by it", dimension, f.options.Endpoint.Name)
	}
	st := f.newStage()
	st.meta.Dropped = append(slices.Clone(st.meta.Dropped), dimension)
	// Whoever asked for a start gets it, if the API refuses the dimension before all of it was read. What was counted so
	// far is counted again.
	again := st.meta.Fixed && st.meta.Audited == 0
	st.startAfresh(without(f.meta.GroupBy, st.meta.Dropped))
	if again {
		st.meta.Afresh = false
		for id, s := range st.series {
			c := *s
			c.total = make([]decimal.Fixed, len(s.total)) // It shows what it has shown, until it has been counted again.
			st.series[id] = &c
		}
	}
	if err := l.commit([]*stage{st}); err != nil {
		return err
	}
	st.install()
	l.publish(f)
	return nil
}

func without(all, drop []string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(s string) bool { return slices.Contains(drop, s) })
}

// reshape returns the stage that a changed grouping needs, or nil. The width of buckets is no part of the shape: a
// span changes hands between widths without a loss.
func (f *Feed) reshape(o FeedOptions) *stage {
	st := f.newStage()
	if !slices.Equal(st.meta.Configured, o.GroupBy) {
		// The user may have made room for what was refused, so the new grouping is tried whole.
		st.meta.Configured, st.meta.Dropped = o.GroupBy, nil
	}
	groupBy := without(o.GroupBy, st.meta.Dropped)
	if slices.Equal(f.meta.GroupBy, groupBy) {
		if slices.Equal(f.meta.Configured, o.GroupBy) {
			return nil
		}
		return st // What was refused is not asked for any more. When it is put back it is tried again.
	}
	st.startAfresh(groupBy)
	return st
}

// PollWindow is what a poll at this time of the API has to read.
func (f *Feed) PollWindow(now time.Time) Window {
	f.ledger.mu.Lock()
	defer f.ledger.mu.Unlock()
	width := int64(f.options.Width.Duration / time.Second)
	back := now.Add(-f.options.Lookback).Unix()
	from := back
	if f.meta.Started && f.meta.Settled != 0 {
		from = min(from, f.meta.Settled)
	}
	switch {
	case f.options.Endpoint.Stock:
		from = back
	case f.options.Endpoint.IsCosts():
		month := time.Date(now.UTC().Year(), now.UTC().Month(), 1, 0, 0, 0, 0, time.UTC)
		from = min(from, month.Unix())
		if origin, explicit := f.start(now); explicit && !f.meta.Started {
			from = min(from, origin)
		}
		if !f.meta.Started {
			from = min(from, now.Add(-billHistory).Unix())
		}
	default:
		// Hours that ended before the lookback are the audit's. The hour at its edge is read whole when it is not on
		// record, because the ledger starts or the lookback has grown: an hour is on record whole or not at all, else
		// an audit would take the rest of it for growth. It is read whole, too, when it was last held in another width,
		// and after a downtime.
		edge := f.spanOf(back)
		from = max(from, edge)
		if sp := f.spans[edge]; sp == nil || sp.width != width {
			from = edge
		}
	}
	from -= mod(from, width)
	return Window{Width: f.options.Width, From: time.Unix(from, 0).UTC(), shape: f.shape}
}

// billHistory is how far back, beside the running day, the bill is read once when the ledger starts, and how long its
// days are held after that: a month's rhythm can be told from nothing shorter.
const billHistory = 34 * 24 * time.Hour

// start is where counting starts when there is no state; explicit is false for "now".
func (f *Feed) start(now time.Time) (origin int64, explicit bool) {
	if f.options.Start == nil || f.meta.Afresh {
		return 0, false
	}
	t, explicit := f.options.Start(now)
	return t.Unix(), explicit
}

// AuditWindow is the next page of closed hours that is due to be read again.
func (f *Feed) AuditWindow(now time.Time) (Window, bool) {
	f.ledger.mu.Lock()
	defer f.ledger.mu.Unlock()
	o := &f.options
	if o.AuditWindow == 0 || o.Endpoint.Stock || o.Endpoint.IsCosts() || !f.meta.Started {
		return Window{}, false
	}
	hour := int64(time.Hour / time.Second)
	if f.round == nil {
		// The distance is taken both ways because the clock may have been set back.
		if !f.lastAudit.IsZero() && now.Sub(f.lastAudit).Abs() < o.AuditInterval {
			return Window{}, false
		}
		r := &round{
			cursor: min(f.spanOf(now.Add(-o.AuditWindow).Unix()), f.meta.Final),
			end:    f.spanOf(now.Add(-o.Lookback).Unix()),
		}
		if r.cursor >= r.end {
			return Window{}, false
		}
		f.round = r
	}
	// A read is held in memory until it is booked: with very many label sets it takes some hours at a time.
	page := max(min(int64(api.Hour.Max), auditRows/max(int64(f.own), 1)), 1) * hour
	return Window{
		Width: api.Hour,
		From:  time.Unix(f.round.cursor, 0).UTC(),
		To:    time.Unix(min(f.round.cursor+page, f.round.end), 0).UTC(),
		Audit: true,
		shape: f.shape,
	}, true
}

// auditRows is how many rows an audit reads at a time at most, unless one hour has more.
const auditRows = 500_000

// Book takes over what was read, durably, or changes nothing.
func (f *Feed) Book(ctx context.Context, r *Read) error {
	l := f.ledger
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if r.Window.shape != f.shape || !slices.Equal(r.columns, f.columns) {
		return ErrReshaped
	}
	gap, err := f.admit(r)
	if err != nil {
		return fmt.Errorf("book %s: %w", f.options.Endpoint.Name, err)
	}
	if len(r.buckets) == 0 {
		// It says nothing: it begins nothing, ends nothing and takes nothing away.
		f.audited(r.Window, r.AsOf)
		return nil
	}
	st := f.newStage()
	st.gap = gap
	if err := st.apply(r); err != nil {
		return fmt.Errorf("book %s: %w", f.options.Endpoint.Name, err)
	}
	if err := l.commit([]*stage{st}); err != nil {
		return err
	}
	st.install()
	f.audited(r.Window, r.AsOf)
	l.publish(f)
	l.wakeUp()
	return nil
}

// audited moves the round of audits on, past a page that was answered or given up.
func (f *Feed) audited(w Window, asOf time.Time) {
	if !w.Audit || f.round == nil {
		return
	}
	if f.round.cursor = w.To.Unix(); f.round.cursor >= f.round.end {
		f.round, f.lastAudit = nil, asOf
	}
}

// releases returns the stage that lets go of series whose hold is over, or nil.
func (f *Feed) releases(now time.Time) *stage {
	var st *stage
	for id, until := range f.held {
		if until.After(now) {
			continue
		}
		if st == nil {
			st = f.newStage()
		}
		c := *f.list[f.at[id]]
		c.held = false
		st.series[id] = &c
	}
	return st
}

func (f *Feed) logger() log.Logger {
	return log.With(f.ledger.logger, "organization", f.options.Organization, "endpoint", f.options.Endpoint.Name)
}

// overflow is how many label sets are folded at present.
func (f *Feed) overflow() int { return len(f.folded) + f.stockOther }

// show makes the feed's view.
func (f *Feed) show() {
	v := &FeedView{
		Organization: f.options.Organization,
		Endpoint:     f.options.Endpoint,
		GroupBy:      f.meta.GroupBy,
		Dropped:      f.meta.Dropped,
		ReadThrough:  unixOrZero(f.meta.ReadThrough),
		ReadAt:       unixOrZero(f.meta.ReadAt),
		Audited:      unixOrZero(f.meta.Audited),
		Started:      unixOrZero(f.meta.StartedAt),
		CountsFrom:   unixOrZero(f.meta.CountsFrom),
		Series:       make([]*Series, 0, len(f.list)),
		Stock:        f.stock,
		ByMeasure:    slices.Clone(f.stats),
		HoursGivenUp: len(f.refused.hours),

		Estimates:       f.estimates(),
		DerivedWithheld: make([]decimal.Fixed, len(f.derived)),
	}
	for _, s := range f.list {
		if s.ended {
			continue
		}
		if s.derived() {
			v.Derived = append(v.Derived, s.shown)
			m := s.group - derivedGroups
			v.DerivedWithheld[m] = v.DerivedWithheld[m].Add(s.withheld(0))
			continue
		}
		v.Series = append(v.Series, s.shown)
		for i, m := range f.groups[s.group].measures {
			v.ByMeasure[m].Withheld = v.ByMeasure[m].Withheld.Add(s.withheld(i))
		}
	}
	switch {
	case f.options.Endpoint.Stock:
	case f.options.Endpoint.IsCosts():
		for _, at := range slices.Sorted(maps.Keys(f.spans)) {
			v.Days = append(v.Days, Day{Start: time.Unix(at, 0).UTC(), Rows: f.rows(f.spans[at].buckets[at])})
		}
	default:
		// The width may have grown since the newest bucket was read.
		width := int64(f.options.Width.Duration / time.Second)
		start := f.meta.ReadThrough - mod(f.meta.ReadThrough, width) - width
		if sp := f.spans[f.spanOf(start)]; sp != nil {
			v.LastBucket = f.rows(sp.buckets[start])
		}
	}
	f.shown = v
}

// rows decodes a bucket for the view.
func (f *Feed) rows(bucket []byte) []Row {
	if bucket == nil {
		return nil
	}
	cells, _, _, err := f.layouts.decodeCells(bucket)
	rows := make([]Row, 0, len(cells))
	for i := range cells {
		at, ok := f.at[cells[i].id]
		if !ok {
			continue
		}
		s := f.list[at]
		g := f.group(s.group)
		row := Row{Labels: s.labels, Measures: g.measures, Values: make([]decimal.Fixed, 0, len(g.measures))}
		for _, m := range g.measures {
			row.Values = append(row.Values, cells[i].values[m])
		}
		rows = append(rows, row)
	}
	if err != nil {
		// The bytes were made by this process or checked when they were loaded.
		level.Error(f.ledger.logger).Log("msg", "A bucket in memory can't be decoded", "endpoint", f.options.Endpoint.Name, "err", err)
	}
	return rows
}

func unixOrZero(t int64) time.Time {
	if t == 0 {
		return time.Time{}
	}
	return time.Unix(t, 0).UTC()
}

var errUnknownSeries = errors.New("a bucket names a series that does not exist")

// ReadAt is when the API answered the newest poll that was booked, before the last restart perhaps; zero before the
// first.
func (f *Feed) ReadAt() time.Time {
	f.ledger.mu.Lock()
	defer f.ledger.mu.Unlock()
	return unixOrZero(f.meta.ReadAt)
}
