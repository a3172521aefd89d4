package simulator

import (
	"math"
	"sync"
	"time"
)

// forever is an asOf at which everything late and restated has landed.
const forever = math.MaxInt64 / 4

// unix returns the second a time lies in; a zero time is the given default.
func unix(t time.Time, unset int64) int64 {
	if t.IsZero() {
		return unset
	}
	return t.Unix()
}

// A reading says how usage is seen: at which moment, through which lateness and restatement, and between which bounds.
// All times are Unix seconds.
type reading struct {
	asOf       int64
	begin, end int64
	scale      int64
	surges     []surge

	instant   bool
	late      Lateness
	immediate int64 // 1024ths
	tail      uint64

	up, down     uint64 // of 1<<16
	by           int64
	after, until int64
	high         bool // what is corrected downwards is seen as before, and what is corrected upwards as after

	settled int64 // how long after its end a minute is final
}

// read returns how usage is seen at a moment.
func (v *view) read(asOf int64) *reading {
	r := &reading{
		asOf: asOf, begin: unix(v.o.Begin, math.MinInt64/4), end: unix(v.o.End, forever), scale: v.s.scale, surges: surges(v.o.Spikes),
		instant: v.o.Lateness.instant(), late: v.o.Lateness, immediate: per1024(v.o.Lateness.Immediate), tail: chance(v.o.Lateness.TailShare),
		up: chance(v.o.Restate.Up), down: chance(v.o.Restate.Down), by: v.o.Restate.by(),
		after: int64(v.o.Restate.After / time.Second), until: int64(max(v.o.Restate.Until, v.o.Restate.After) / time.Second),
	}
	r.settled = int64(max(v.o.Lateness.settled(), v.o.Restate.settled()) / time.Second)
	return r
}

// final is how usage is seen once it is final; asOf still cuts off what has not happened yet.
func (v *view) final(asOf int64) *reading {
	r := v.read(asOf)
	r.instant, r.up, r.down, r.settled = true, 0, 0, 0
	return r
}

// highest is the most that can have been seen at a moment or before.
func (v *view) highest(asOf int64) *reading {
	r := v.read(asOf)
	r.high, r.settled = true, forever // What was corrected is not final in this sense.
	return r
}

// add adds to sum what is seen of a minute of a stream, as far as it lies in [from,to).
func (r *reading) add(sum *cell, st *stream, minute, from, to int64) {
	start := minute * 60
	a, b := max(start, r.begin, from), min(start+60, r.end, to, r.asOf)
	if b <= a {
		return
	}
	var c cell
	some := st.at(&c, minute, r.scaleOf(st, minute))
	if !some && r.down == 0 {
		return
	}
	late := r.asOf - (start + 60)
	if r.up|r.down != 0 {
		some = r.restate(&c, st, minute, late, some)
	}
	if !some {
		return
	}
	share := int64(1024)
	if !r.instant {
		share = r.share(mix2(st.id^saltLate, uint64(minute)), late)
	}
	if share == 1024 && b-a == 60 {
		sum.add(&c)
		return
	}
	for i, x := range c {
		if x != 0 {
			// Cutting at both ends and taking the difference keeps neighbouring cuts additive.
			sum[i] += x*(b-start)/60*share/1024 - x*(a-start)/60*share/1024
		}
	}
}

// share is how much of a minute has arrived so many seconds after its end, in 1024ths. It never falls.
func (r *reading) share(h uint64, late int64) int64 {
	if late >= r.settled {
		return 1024
	}
	now := min(r.immediate*int64(512+h%1024)/1024, 1024)
	h >>= 10
	if late < 0 {
		return now
	}
	within, tail := int64(r.late.Within/time.Second), int64(r.late.Tail/time.Second)
	rest := 1024 - now
	if tail > within && h&0xffff < r.tail {
		part := rest * int64(256+h>>16%512) / 1024
		at := within + int64(h>>26%uint64(tail-within)) + 1
		if late < at {
			rest -= part
		}
	}
	if late >= within {
		return now + rest
	}
	lumps := int64(max(r.late.Lumps, 1))
	h = mix(h)
	arrived := int64(0)
	for k := range lumps {
		// Each lump has its own stretch of time to arrive in, so that they come in order.
		if at := within * k / lumps; late > at+int64(h>>(8*(k%8))&0xff)*within/lumps/256 {
			arrived++
		}
	}
	return now + rest*arrived/lumps
}

// restate undoes the correction of a minute as long as it has not come, and says whether anything is left.
func (r *reading) restate(c *cell, st *stream, minute, late int64, some bool) bool {
	h := mix2(st.id^saltRestate, uint64(minute))
	draw := h & 0xffff
	if draw >= r.up+r.down {
		return some
	}
	if r.high && draw < r.up {
		return some
	}
	if !r.high && late >= r.after+int64((h>>16&0xffffff)%uint64(r.until-r.after+1)) {
		return some
	}
	by := r.by
	if draw < r.up {
		by = -by
	}
	if !some {
		// Something that never was: it is seen until it is taken back.
		if by < 0 || late < 0 || st.every > 0 || h>>40%4 != 0 {
			return false
		}
		st.fill(c, 1, h)
		return true
	}
	for i := range c {
		c[i] += c[i] * by / 1024
	}
	return true
}

// A cache keeps the final sums of whole hours and days. It holds a bounded number of them and forgets all when full:
// they can always be computed again.
type cache struct {
	mu    sync.Mutex
	hours map[span][]cell
	days  map[span][]cell
	bills map[int64][]billed
	costs map[costsOf][]row
	kept  kept
}

type span struct {
	src *source
	n   int64 // hours or days since 1970
}

const (
	cachedHours = 4000
	cachedDays  = 4000
	cachedBills = 1000
	cachedCosts = 1000
)

// room is how many bytes of printed buckets it keeps.
func newCache(room int) *cache {
	return &cache{hours: map[span][]cell{}, days: map[span][]cell{}, bills: map[int64][]billed{}, costs: map[costsOf][]row{}, kept: kept{room: room}}
}

func cached[K comparable, V any](c *cache, m map[K]V, limit int, k K, compute func() V) V {
	c.mu.Lock()
	x, ok := m[k]
	c.mu.Unlock()
	if ok {
		return x
	}
	x = compute()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(m) >= limit {
		clear(m)
	}
	m[k] = x
	return x
}

// hour returns the final sums of an hour of the dense streams of a source.
func (v *view) hour(src *source, n int64) []cell {
	return cached(v.cache, v.cache.hours, cachedHours, span{src, n}, func() []cell {
		r := v.final(forever)
		out := make([]cell, len(src.dense))
		for i, st := range src.dense {
			for m := n * 60; m < n*60+60; m++ {
				r.add(&out[i], st, m, n*3600, n*3600+3600)
			}
		}
		return out
	})
}

// day is hour for a whole day.
func (v *view) day(src *source, n int64) []cell {
	return cached(v.cache, v.cache.days, cachedDays, span{src, n}, func() []cell {
		r := v.final(forever)
		out := make([]cell, len(src.dense))
		if v.o.Kept > 0 { // Its hours are asked for, too.
			for h := n * 24; h < n*24+24; h++ {
				for i, c := range v.hour(src, h) {
					out[i].add(&c)
				}
			}
			return out
		}
		for i, st := range src.dense {
			for m := n * 1440; m < n*1440+1440; m++ {
				r.add(&out[i], st, m, n*86400, n*86400+86400)
			}
		}
		return out
	})
}

// sum adds to out, by group, what is seen of [from,to). A stream whose group is negative is left out.
func (v *view) sum(r *reading, src *source, groupOf []int32, out []cell, from, to int64) {
	to = min(to, r.end, r.asOf)
	from = max(from, r.begin)
	if src.endpoint.Stock {
		v.levels(src, groupOf, out, from, to)
		return
	}
	for at := from; at < to; {
		next := (at/3600 + 1) * 3600
		if at%86400 == 0 && at+86400 <= to && at+86400+r.settled <= r.asOf {
			next = at + 86400
			addGroups(out, groupOf, v.day(src, at/86400))
		} else if at%3600 == 0 && next <= to && next+r.settled <= r.asOf {
			addGroups(out, groupOf, v.hour(src, at/3600))
		} else {
			next = min(next, to)
			for i, st := range src.dense {
				if g := groupOf[i]; g >= 0 {
					for m := at / 60; m*60 < next; m++ {
						r.add(&out[g], st, m, at, next)
					}
				}
			}
		}
		at = next
	}
	for i, st := range src.sparse {
		g := groupOf[len(src.dense)+i]
		if g < 0 {
			continue
		}
		for m := from / 60; m*60 < to; m = (m/(60*st.every) + 1) * 60 * st.every {
			r.add(&out[g], st, st.only(m), from, to)
		}
	}
}

func addGroups(out []cell, groupOf []int32, cells []cell) {
	for i := range cells {
		if g := groupOf[i]; g >= 0 {
			out[g].add(&cells[i])
		}
	}
}

// levels sets stocks to their newest level in [from,to).
func (v *view) levels(src *source, groupOf []int32, out []cell, from, to int64) {
	if to <= from {
		return
	}
	for i, st := range src.dense {
		if g := groupOf[i]; g >= 0 {
			out[g][leafUnits] += st.bytes((to - 1) / 3600)
		}
	}
}
