// The ledger is asked by one goroutine here, and the race detector takes ten times as long to see nothing.

//go:build !race

package ledger

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// A clerk keeps a record by the marks alone. Of each second of usage there is one request, so that a bucket has as many
// as seconds of it have passed, and all that is counted must be the seconds since counting began.
type clerk struct {
	marks
	reach
	t       *testing.T
	rng     *rand.Rand
	now     int64
	origin  int64 // or 0 for now
	record  map[int64]*clerkSpan
	total   int64
	given   map[int64]bool // hours given up
	history []string
}

type clerkSpan struct {
	width   int64
	buckets map[int64]int64
}

func (c *clerk) whole(at int64) bool {
	return int64(len(c.record[at].buckets))*c.record[at].width == c.span
}

// take books a read as a feed does: span by span, bucket by bucket or as a whole.
func (c *clerk) take(from, to, width, asOf, hole int64, audit bool) {
	r := reading{asOf: asOf, from: from, audit: audit}
	var starts []int64
	for start := from; start < c.now && (to == 0 || start < to); start += width {
		if start == hole {
			r.gap = hole
			continue
		}
		starts = append(starts, start)
		r.through = start + width
		if r.through <= asOf {
			r.closed = r.through
		}
	}
	if len(starts) == 0 {
		return
	}
	first := !c.Begun
	if first {
		c.marks = c.begin(r, c.origin, c.origin != 0, c.reach)
	}
	for i, start := range starts {
		span := c.spanOf(start)
		if i > 0 && c.spanOf(starts[i-1]) == span {
			continue
		}
		n := 1
		for i+n < len(starts) && c.spanOf(starts[i+n]) == span {
			n++
		}
		c.takeSpan(span, starts[i:i+n], width, first, i+n == len(starts))
	}
	c.marks = c.poll(r, c.reach).audit(r, c.reach)
	for at := range c.record {
		if at < c.keep(asOf, c.reach) {
			delete(c.record, at)
		}
	}
}

func (c *clerk) takeSpan(span int64, starts []int64, width int64, first, last bool) {
	value := func(start int64) int64 { return min(start+width, c.now) - start }
	gapless := starts[0] == span && starts[len(starts)-1] == span+int64(len(starts)-1)*width
	whole := gapless && int64(len(starts))*width >= c.span
	held := c.record[span]
	switch {
	case held == nil && !c.admits(span, whole):
		return
	case held == nil:
		held = &clerkSpan{width, map[int64]int64{}}
		c.record[span] = held
	case held.width != width:
		if toItsEnd := whole || gapless && last; !toItsEnd {
			return
		}
		sum := int64(0)
		for _, start := range starts {
			sum += value(start)
		}
		if c.meet(span, false, true) == compare {
			for _, v := range held.buckets {
				sum -= v
			}
			c.total += sum
		}
		held = &clerkSpan{width, map[int64]int64{}}
		for _, start := range starts {
			held.buckets[start] = value(start)
		}
		c.record[span] = held
		return
	}
	for _, start := range starts {
		before, recorded := held.buckets[start]
		if c.meet(start, first, recorded) != baseline {
			c.total += value(start) - before
		}
		held.buckets[start] = value(start)
	}
}

// step does something at random.
func (c *clerk) step() {
	do := func(format string, args ...any) {
		c.history = append(c.history, time.Unix(c.now, 0).UTC().Format("02 15:04:05 ")+fmt.Sprintf(format, args...))
	}
	switch c.rng.IntN(12) {
	case 0:
		c.now += c.rng.Int64N(100 * tHour)
		do("a downtime")
	case 1:
		c.now += c.rng.Int64N(3 * tHour)
	default:
		c.now += c.rng.Int64N(5 * tMinute)
	}
	if !c.bill {
		switch c.rng.IntN(12) {
		case 0:
			c.lookback = (5 + c.rng.Int64N(90*60)) * tMinute
			do("lookback %d min", c.lookback/tMinute)
		case 1:
			c.audits = (72 + c.rng.Int64N(150)) * tHour
			do("audit window %d h", c.audits/tHour)
		case 2:
			c.width = []int64{tMinute, tHour}[c.rng.IntN(2)]
			do("width %d min", c.width/tMinute)
		}
	}
	clock := c.now
	if c.rng.IntN(10) == 0 {
		clock += c.rng.Int64N(40*tHour) - 20*tHour
		do("the clock is off by %d min", (clock-c.now)/tMinute)
	}
	hole := func(from, to, width int64) int64 {
		if !c.Begun || c.bill || c.rng.IntN(6) != 0 || to <= from {
			return 0
		}
		at := from + c.rng.Int64N(to-from)
		do("the next answer lacks a bucket")
		return at - mod(at, width)
	}
	from := c.pollFrom(clock, c.origin, c.origin != 0, c.reach, func(span int64) int64 {
		if held := c.record[span]; held != nil {
			return held.width
		}
		return 0
	})
	do("poll from %s", time.Unix(from, 0).UTC().Format("02 15:04"))
	c.take(from, 0, c.width, clock, hole(from, c.now, c.width), false)
	if c.bill || !c.Begun || c.rng.IntN(3) == 0 {
		return
	}
	for r := c.round(clock, c.reach); r.cursor < r.end; {
		end := min(r.cursor+(1+c.rng.Int64N(168))*tHour, r.end)
		do("audit %s to %s", time.Unix(r.cursor, 0).UTC().Format("02 15:04"), time.Unix(end, 0).UTC().Format("02 15:04"))
		switch c.rng.IntN(40) {
		case 0:
			do("and stop")
			return
		case 1:
			do("and give it up")
			for at := r.cursor; at < end; at += c.span {
				c.given[at] = true
			}
			c.marks = c.leave(r.cursor, end, c.ReadAt, c.reach)
		default:
			c.take(r.cursor, end, tHour, clock, hole(r.cursor, end, tHour), true)
		}
		r.cursor = end
	}
}

// TestWhatIsBeforeFinalIsOnRecordWholeOrNotAtAll lives through random histories of reads, and holds the marks to what
// they promise after each of them, and to the whole count at the end.
func TestWhatIsBeforeFinalIsOnRecordWholeOrNotAtAll(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 7))
		c := &clerk{t: t, rng: rng, reach: ofUsage, now: tNow, record: map[int64]*clerkSpan{}, given: map[int64]bool{}}
		if seed%4 == 3 {
			c.reach = ofBill
		}
		if rng.IntN(3) == 0 {
			c.origin = c.spanOf(tNow - rng.Int64N(200*tHour))
		}
		c.take(c.pollFrom(c.now, c.origin, c.origin != 0, c.reach, func(int64) int64 { return 0 }), 0, c.width, c.now, 0, false)
		begin := c.origin
		if begin == 0 {
			begin = c.now
		}
		for range 120 {
			before := c.marks
			c.step()
			c.hold(seed, before, begin)
			if t.Failed() {
				return
			}
		}
		// Everything is read once more, by a good clock and without a hole.
		c.take(c.pollFrom(c.now, 0, false, c.reach, func(span int64) int64 {
			if held := c.record[span]; held != nil {
				return held.width
			}
			return 0
		}), 0, c.width, c.now, 0, false)
		if r := c.round(c.now, c.reach); !c.bill && r.cursor < r.end {
			c.take(r.cursor, r.end, tHour, c.now, 0, true)
		}
		if want := c.now - begin; c.total > want || c.total != want && len(c.given) == 0 {
			t.Errorf("seed %d: %d counted of %d", seed, c.total, want)
			c.tell()
			return
		}
	}
}

func (c *clerk) hold(seed uint64, before marks, begin int64) {
	m := c.marks
	if m.Final < before.Final || m.Audited < before.Audited || m.ReadThrough < before.ReadThrough || m.Origin != before.Origin {
		c.t.Errorf("seed %d: marks fell from %+v to %+v", seed, before, m)
	}
	if mod(m.Final, c.span) != 0 || m.Final > c.now {
		c.t.Errorf("seed %d: Final is %d at %d", seed, m.Final, c.now)
	}
	if c.total > c.now-begin {
		c.t.Errorf("seed %d: %d counted of %d", seed, c.total, c.now-begin)
	}
	for at := range c.record {
		// Of an hour that was given up nobody knows more than is on record.
		if exempt := c.given[at] || m.Fixed && at < m.Origin; at < m.met() && !exempt && !c.whole(at) {
			c.t.Errorf("seed %d: %s is met and on record in part: %d of %d s", seed, time.Unix(at, 0).UTC().Format(time.DateTime), int64(len(c.record[at].buckets))*c.record[at].width, c.span)
		}
	}
	if c.t.Failed() {
		c.tell()
	}
}

func (c *clerk) tell() {
	for _, line := range c.history {
		c.t.Log(line)
	}
}
