package ledger

import (
	"fmt"
	"slices"

	"github.com/openai-exporter/openai_exporter/internal/decimal"
)

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

// startAfresh begins a new shape: its first read will be a baseline, and series of the old shape end. One whose label
// set exists in the new shape too will go on from its total.
func (st *stage) startAfresh(groupBy []string) {
	m := &st.meta
	m.GroupBy = groupBy
	m.Afresh = m.Afresh || m.Started
	m.Started = false
	m.Origin, m.CountsFrom, m.Settled, m.Final, m.Audited, m.Fixed = 0, 0, 0, 0, 0, false
	st.clear = true
	for _, s := range st.f.list {
		c := *s
		c.ended = true
		st.series[s.id] = &c
	}
	st.stock, st.stockOther, st.own = nil, 0, 0
}
