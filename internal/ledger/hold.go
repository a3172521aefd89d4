package ledger

import "time"

// A hold is a zero that is shown for a while, so that increase() sees the step that follows: that of a new series, or of a
// rare measure of a series that has begun since.
type hold struct {
	id    uint32
	place int // of the measure in its group, or wholeSeries
}

const wholeSeries = -1

// holds goes through what is held of a series.
func (s *series) holds(yield func(hold) bool) {
	if s.held && !yield(hold{s.id, wholeSeries}) {
		return
	}
	for i, rest := 0, s.fresh; rest != 0; i, rest = i+1, rest>>1 {
		if rest.Has(0) && !yield(hold{s.id, i}) {
			return
		}
	}
}

// released returns a copy of the series without a hold.
func (s *series) released(h hold) *series {
	c := *s
	if h.place == wholeSeries {
		c.held = false
	} else {
		c.fresh &^= Set(0).With(h.place)
	}
	return &c
}

// keep starts the holds that a new version of a series has and the version before had not, and removes those that it no
// longer has.
func (f *Feed) keep(s *series, until time.Time) {
	if i, ok := f.position[s.id]; ok {
		f.drop(f.list[i], s)
	}
	for h := range s.holds {
		if _, waits := f.held[h]; !waits {
			f.held[h] = until
		}
	}
}

// drop forgets the holds of a series that its new version does not have.
func (f *Feed) drop(s, next *series) {
	for h := range s.holds {
		if h.place == wholeSeries && !next.held || h.place != wholeSeries && !next.fresh.Has(h.place) {
			delete(f.held, h)
		}
	}
}

// releases returns the stage that ends the holds that have lasted long enough, or nil.
func (f *Feed) releases(now time.Time) *stage {
	var st *stage
	for h, until := range f.held {
		if until.After(now) {
			continue
		}
		if st == nil {
			st = f.newStage()
		}
		st.series[h.id] = st.current(h.id).released(h)
	}
	return st
}
