package ledger

// Marks say how far the reading of an endpoint has come, in Unix seconds of the API's clock. They are a value: each
// transition returns the marks that follow and changes nothing itself.
//
// They keep one invariant: a span before Final, or from before counting began, is on record whole or not at all. One that is
// not on record was counted and removed, or never counts, so a bucket that is read there for the first time does not count.
// If only a part were on record, the next read of the whole span would count the rest as new usage. Two kinds of spans are
// exempt: those that the API does not return, of which only the recorded part is known, and those before a fixed origin,
// which never count.
type marks struct {
	// Begun is false until the first read is booked. Afresh: the shape changed, so that read is a baseline whatever
	// counters.start says.
	Begun  bool `json:"started"`
	Afresh bool `json:"afresh,omitempty"`
	// BegunAt is when the first read was booked.
	BegunAt int64 `json:"started_at,omitempty"`
	// CountsFrom is where the counters' zero lies: the start that was asked for, or BegunAt where that was now.
	CountsFrom int64 `json:"counts_from,omitempty"`
	// Origin divides the buckets that are met for the first time: from it on they count in full, before it what the
	// API says at that moment is their baseline.
	Origin int64 `json:"origin"`
	// Fixed: counting starts at a given time. What lies before the origin never counts then, whenever it comes, so that
	// everybody who starts at the same time counts the same. A state of an older version does not say so and goes on as
	// it began.
	Fixed bool `json:"fixed,omitempty"`
	// Settled is the time before which polls have read every bucket again at least one lookback after its end.
	Settled int64 `json:"settled"`
	// Final is the time before which no poll and no audit reads any more.
	Final int64 `json:"final"`
	// ReadAt is when the newest poll was answered.
	ReadAt int64 `json:"read_at,omitempty"`
	// ReadThrough and Audited are the ends of the newest closed bucket that a poll read, and of the newest hour audited.
	ReadThrough int64 `json:"read_through"`
	Audited     int64 `json:"audited,omitempty"`
	// BillFrom is from when on the bill has been read, without a gap up to now.
	BillFrom int64 `json:"bill_from,omitempty"`
}

// A reach is how far back an endpoint is read and kept, in seconds.
type reach struct {
	span     int64 // an hour of usage, a day of the bill
	width    int64 // of the buckets that polls read
	lookback int64 // of polls
	audits   int64 // of audits, 0 where there are none
	idle     int64 // after which a series is retired
	bill     bool
	level    bool // a stock, of which nothing is kept
}

// A reading is when a read was answered, and which time its buckets are of.
type reading struct {
	asOf    int64
	from    int64 // where its window begins
	through int64 // the end of the newest bucket, which may be running
	closed  int64 // the end of the newest bucket that was over, or 0
	gap     int64 // the first bucket that it lacks, or 0
	lacked  int64 // the newest bucket that it lacks before others that it has, or 0
	audit   bool
}

// How the buckets of a span are to be taken.
type mode int

const (
	compare  mode = iota // book the difference to what is recorded
	fresh                // nothing is recorded because there was nothing: book it all
	baseline             // it is not to count: record only
)

func (r reach) spanOf(t int64) int64 { return t - mod(t, r.span) }

// startAfresh begins a new shape. Its first read is a baseline, but for a shape that never got to one.
func (m marks) startAfresh() marks {
	next := marks{Afresh: m.Afresh || m.Begun, BegunAt: m.BegunAt, ReadAt: m.ReadAt, ReadThrough: m.ReadThrough}
	if !m.Begun {
		next.CountsFrom = m.CountsFrom // It was to begin again, and has not yet.
	}
	return next
}

// owed says whether counting begins at a given time of which not all has been read, so that a new shape has to begin there
// again. The first poll of the bill reads all of it; of usage, audits read what lies before the lookback.
func (m marks) owed(to reach) bool { return m.Begun && m.Fixed && !to.bill && m.Audited == 0 }

// beginAgain begins a new shape where the former one began: a start such as "today" means another time by now.
func (m marks) beginAgain() marks {
	from := m.CountsFrom
	m = m.startAfresh()
	m.Afresh, m.CountsFrom = false, from
	return m
}

// begin fixes where counting begins, with the first read of a shape: at the origin where that is fixed, else with what
// is read. It is refused to marks that have begun.
func (m marks) begin(r reading, origin int64, fixed bool, to reach) marks {
	if m.Begun {
		return m
	}
	m.Begun, m.Afresh = true, false
	m.BegunAt = r.asOf
	m.CountsFrom, m.Fixed = origin, fixed
	if !fixed {
		m.CountsFrom = r.asOf
		// What this read says is the baseline. A bucket that it does not have is one of which the API says nothing
		// yet, so all of it will count. One that is left out between others was there all the same: it, and with it the
		// span that it is in, is met later.
		if origin = r.from; r.gap != 0 && r.lacked != 0 {
			origin = to.spanOf(r.lacked) + to.span
		}
	}
	m.Origin = origin
	// Hours before the start belong to the audit window too: they have a baseline and may still grow.
	m.Final = to.spanOf(min(origin, r.from, r.asOf-to.audits))
	return m
}

// meet says how a bucket of a read is taken: of the first of its shape or of a later one, recorded before or not.
func (m marks) meet(start int64, first, recorded bool) mode {
	switch {
	case m.Fixed && start < m.Origin:
		return baseline
	case recorded:
		return compare
	case first && !m.Fixed, start < m.met():
		return baseline
	}
	return fresh
}

// met is the time before which what is not on record has been met all the same, or never counts.
func (m marks) met() int64 { return max(m.Origin, m.Final) }

// admits says whether a span of which nothing is on record may be put there from a read that has it whole or only in
// part.
func (m marks) admits(span int64, whole bool) bool {
	return whole || span >= m.met() || m.Fixed && span < m.Origin
}

// poll moves the marks past a poll. What the answer lacks stays open.
func (m marks) poll(r reading, to reach) marks {
	if !m.Begun || r.audit {
		return m
	}
	m.ReadAt = r.asOf
	m.ReadThrough = max(m.ReadThrough, r.closed)
	if to.level {
		m.Final = max(m.Final, to.spanOf(r.from)) // No audit reads a level.
		return m
	}
	m.Settled = min(r.open(), r.asOf) - to.lookback
	if to.bill {
		m.Final = max(m.Final, r.from) // No audit reads the bill: polls leave its days behind.
		m = m.billed(r.from)
	}
	return m
}

// billed moves the marks past days of the bill that were read up to those that are known.
func (m marks) billed(from int64) marks {
	if m.BillFrom == 0 || from < m.BillFrom {
		m.BillFrom = from
	}
	return m
}

// audit moves the marks past an audit.
func (m marks) audit(r reading, to reach) marks {
	if !m.Begun || !r.audit {
		return m
	}
	m.Audited = max(m.Audited, r.open())
	return m.leave(r.from, r.open(), r.asOf, to)
}

// leave moves Final past hours that were audited or given up, as far as the audit window has left them. A round that was
// interrupted goes on later than it began: what lies between was not read again since, so Final stays before it.
func (m marks) leave(from, through, asOf int64, to reach) marks {
	if m.Begun && from <= m.Final {
		m.Final = max(m.Final, min(through, to.spanOf(m.closed(asOf)-to.audits)))
	}
	return m
}

// open is the time from which a read tells nothing.
func (r reading) open() int64 {
	if r.gap != 0 {
		return min(r.through, r.gap)
	}
	return r.through
}

// closed is the time up to which buckets are over by what was read of them. A clock that is ahead says more, for a while.
func (m marks) closed(asOf int64) int64 {
	if m.ReadThrough == 0 {
		return asOf
	}
	return min(asOf, m.ReadThrough)
}

// keep is the time before which spans are let go of. They stay in the totals.
func (m marks) keep(asOf int64, to reach) int64 {
	closed := m.closed(asOf)
	limit := m.Final
	if to.audits > 0 {
		// A window that grew reads again what is already final. It must stay on record, else it would be met again.
		limit = min(limit, to.spanOf(closed-to.audits))
	}
	// The view shows days of the bill for prices and forecasts, and hours of usage for the estimates of the last days,
	// although no window reads them any more. A series must not be retired while a record names it, which bounds how long.
	shown := to.spanOf(closed - billDays)
	if !to.bill {
		shown = closed - mod(closed, secondsOfDay) - 2*secondsOfDay
	}
	return min(limit, max(shown, closed-to.idle))
}

// left is the time that was read and will not be read again. Idleness is measured against it, so that neither a downtime
// nor a jump of the clock looks like idleness.
func (m marks) left(asOf int64, to reach) int64 { return min(m.Final, m.closed(asOf)-to.audits) }
