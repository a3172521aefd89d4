package fetcher

import (
	"hash/fnv"
	"time"
)

const (
	// slowest bounds how far polls are spread out while the API is in trouble, unless ten intervals are longer.
	slowest = 10 * time.Minute
	// slowestPermanent bounds the same for trouble that only somebody's action ends, unless one interval is longer.
	slowestPermanent = 15 * time.Minute
	// keyLook is how often an endpoint that waits for another key looks for one.
	keyLook = time.Second
)

// A grid is when an endpoint is polled: at multiples of its interval since the epoch, plus an offset of its own that
// keeps the endpoints of many exporters apart. Ticks are computed from the clock each time, so nothing adds up to a
// drift, and a clock that steps only moves on to its own ticks.
type grid struct{ interval, offset time.Duration }

// newGrid returns the ticks of an endpoint: the same ones after every restart. Organizations are spread over the interval,
// since a thousand of them in its first seconds would wait for one another. The endpoints of one come within a tenth of
// it, so that they share commits.
func newGrid(organization, endpoint string, interval time.Duration) grid {
	among := func(name string, span time.Duration) time.Duration {
		h := fnv.New64a()
		_, _ = h.Write([]byte(name))
		return time.Duration(h.Sum64() % uint64(max(span, 1)))
	}
	return grid{interval, (among(organization, interval) + among(organization+"\x00"+endpoint, interval/10)) % interval}
}

// after is the first tick after t.
func (g grid) after(t time.Time) time.Time {
	ns := t.Add(-g.offset).UnixNano()
	rest := ns % int64(g.interval)
	if rest < 0 {
		rest += int64(g.interval)
	}
	return time.Unix(0, ns-rest).Add(g.interval + g.offset).UTC()
}

// next is the tick after now that follows the one just used, a pause later where there is trouble. last keeps a small
// step of the clock backwards from using a tick twice.
func (g grid) next(now, last time.Time, pause time.Duration) time.Time {
	// A pause of one interval is the way of things.
	t := g.after(now.Add(max(pause-g.interval, 0)))
	if t.Equal(last) {
		t = t.Add(g.interval)
	}
	return t
}

// pause is how long to leave an endpoint alone after so many polls in a row have failed in the same way.
func pause(interval time.Duration, permanent bool, failures int) time.Duration {
	first, limit := interval, max(10*interval, slowest)
	if permanent {
		limit = max(interval, slowestPermanent)
		first = min(5*interval, limit)
	}
	for ; failures > 1 && first < limit; failures-- {
		first *= 2
	}
	return min(first, limit)
}
