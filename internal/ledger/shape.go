package ledger

import (
	"fmt"
	"slices"

	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/decimal"
)

// A shape is which rows the API is asked for and what they are told apart by. It never changes: an endpoint that is
// asked otherwise begins a new one, from a baseline. Two shapes of the same usage never stand beside each other.
//
// Windows and reads carry the shape that planned them and are booked to no other, not even to one that asks for the
// same: what is on record started over in between. So shapes are told apart by their identity.
type shape struct {
	groupBy []string
	filters string

	columns       []string // of a row
	groups        []group
	derivedGroups []group // by group number less firstDerivedGroup
}

func newShape(e *api.Endpoint, groupBy []string, filters string) *shape {
	s := &shape{groupBy: groupBy, filters: filters}
	s.columns, s.groups = layout(e, groupBy)
	s.derivedGroups = layoutDerived(e, s.columns)
	return s
}

// group returns the group of that number.
func (s *shape) group(n int) *group {
	if n >= firstDerivedGroup {
		return &s.derivedGroups[n-firstDerivedGroup]
	}
	return &s.groups[n]
}

// Filters is which rows a window is about, as FeedOptions.Filters spells it.
func (w Window) Filters() string {
	if w.shape == nil {
		return ""
	}
	return w.shape.filters
}

// configure takes over options after reshape has dealt with what they change.
func (f *Feed) configure(o FeedOptions) {
	if o.AuditWindow != f.options.AuditWindow || o.Lookback != f.options.Lookback {
		f.round = nil
	}
	f.options = o
	f.arrange()
}

// GroupBy is the grouping to ask for: what is shown and what is read besides, without what the API has refused.
func (f *Feed) GroupBy() []string {
	f.ledger.mu.Lock()
	defer f.ledger.mu.Unlock()
	return f.asked()
}

func (f *Feed) asked() []string {
	return f.options.Endpoint.GroupBy(without(slices.Concat(f.groupBy, f.options.ReadBy), f.meta.Dropped))
}

// arrange notes which columns a read has.
func (f *Feed) arrange() {
	before := f.reads
	if f.reads, _ = layout(f.options.Endpoint, f.asked()); !slices.Equal(f.reads, before) {
		clear(f.fingerprints) // The same bytes have other rows now.
	}
}

// Drop remembers that the API refuses a dimension. Where it is shown the endpoint starts afresh without it.
func (f *Feed) Drop(dimension string) error {
	l := f.ledger
	defer l.write()()
	l.mu.Lock()
	err := f.dropping(dimension)
	l.mu.Unlock()
	if err != nil {
		return err
	}
	return l.settle()
}

// dropping stages it.
func (f *Feed) dropping(dimension string) error {
	if f.gone {
		return ErrGone
	}
	if !slices.Contains(f.asked(), dimension) {
		return fmt.Errorf("drop dimension %s: the endpoint %s is not grouped by it", dimension, f.options.Endpoint.Name)
	}
	st := f.newStage()
	st.meta.Dropped = append(slices.Clone(st.meta.Dropped), dimension)
	if slices.Contains(f.groupBy, dimension) {
		st.drop()
	}
	f.ledger.put(st)
	return nil
}

// drop starts the endpoint afresh without what the API has refused.
func (st *stage) drop() {
	f := st.f
	// Who asked for a start gets it, if the API refuses the dimension before all of it was read. What was counted so
	// far is counted again.
	before := st.meta.marks
	st.startAfresh(newShape(f.options.Endpoint, without(f.groupBy, st.meta.Dropped), f.filters))
	if before.owed(f.reach()) {
		st.meta.marks = before.beginAgain()
		for id, s := range st.series {
			c := *s
			c.total = make([]decimal.Fixed, len(s.total)) // It shows what it has shown, until it has been counted again.
			st.series[id] = &c
		}
	}
}

func without(all, drop []string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(s string) bool { return slices.Contains(drop, s) })
}

// reshape returns the stage that a changed grouping or filter needs, or nil. The width of buckets is no part of the
// shape: a span changes hands between widths without a loss.
func (f *Feed) reshape(o FeedOptions) *stage {
	st := f.newStage()
	asked := slices.Equal(st.meta.Configured, o.GroupBy)
	if !asked {
		// The user may have made room for what was refused, so the new grouping is tried whole.
		st.meta.Configured, st.meta.Dropped = o.GroupBy, nil
	}
	groupBy := without(o.GroupBy, st.meta.Dropped)
	if slices.Equal(f.groupBy, groupBy) && f.filters == o.Filters {
		if asked {
			return nil
		}
		return st // What was refused is not asked for any more. When it is put back it is tried again.
	}
	st.startAfresh(newShape(o.Endpoint, groupBy, o.Filters))
	return st
}

// startAfresh begins a new shape: its first read will be a baseline, and series of the old shape end. One whose label
// set exists in the new shape too will go on from its total.
func (st *stage) startAfresh(next *shape) {
	st.shape = next
	st.meta.marks = st.meta.startAfresh()
	for _, s := range st.f.list {
		c := *s
		c.ended = true
		st.series[s.id] = &c
	}
	st.stock, st.stockOther, st.given = nil, 0, 0
}

// afresh says whether the stage begins a new shape, so that all spans and folded label sets are forgotten.
func (st *stage) afresh() bool { return st.shape != st.f.shape }
