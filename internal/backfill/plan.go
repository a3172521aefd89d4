package backfill

import (
	"slices"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/api"
)

// Up to these ranges the buckets are that wide unless a width is given. They weigh the detail against the size of the
// file, which has one sample per series and bucket, and against the requests that it takes.
const (
	minutesUpTo = 48 * time.Hour
	hoursUpTo   = 100 * 24 * time.Hour
)

// WidthFor returns the name of the bucket width that suits a range.
func WidthFor(d time.Duration) string {
	switch {
	case d <= minutesUpTo:
		return api.Minute.Name
	case d <= hoursUpTo:
		return api.Hour.Name
	}
	return api.Day.Name
}

// A segment is a stretch of time that is read in buckets of one width.
type segment struct {
	width    api.Width
	from, to time.Time
}

func (s segment) buckets() int { return int(s.to.Sub(s.from) / s.width.Duration) }

// A plan is a range cut into segments, without gaps and in the order of time.
type plan []segment

// planFor cuts [from,to) of an endpoint into buckets of the widest allowed kind, and what is left over at both ends
// into narrower ones, so that the range is covered to the minute (costs: to the day).
func planFor(e *api.Endpoint, from, to time.Time, widest string) plan {
	widths := slices.Clone(e.Widths)
	slices.SortFunc(widths, func(a, b api.Width) int { return int(b.Duration/time.Second) - int(a.Duration/time.Second) })
	if w, ok := e.Width(widest); ok {
		widths = slices.DeleteFunc(widths, func(o api.Width) bool { return o.Duration > w.Duration })
	}
	return cut(nil, from.UTC(), to.UTC(), widths)
}

func cut(p plan, from, to time.Time, widths []api.Width) plan {
	if len(widths) == 0 || !from.Before(to) {
		return p
	}
	w := widths[0]
	first, last := from.Truncate(w.Duration), to.Truncate(w.Duration)
	if first.Before(from) {
		first = first.Add(w.Duration)
	}
	if !first.Before(last) {
		return cut(p, from, to, widths[1:])
	}
	p = cut(p, from, first, widths[1:])
	p = append(p, segment{w, first, last})
	return cut(p, last, to, widths[1:])
}

// buckets is how many buckets the plan has.
func (p plan) buckets() int {
	n := 0
	for _, s := range p {
		n += s.buckets()
	}
	return n
}

// edges returns the Unix seconds of all buckets' ends, before them the start of the first.
func (p plan) edges() []int64 {
	out := make([]int64, 0, p.buckets()+1)
	for _, s := range p {
		if len(out) == 0 {
			out = append(out, s.from.Unix())
		}
		for t := s.from.Add(s.width.Duration); !t.After(s.to); t = t.Add(s.width.Duration) {
			out = append(out, t.Unix())
		}
	}
	return out
}

// page returns the stretch of up to n buckets from bucket i on that has one width and fits one answer of the API, and
// how many buckets that is.
func (p plan) page(i, n int) (segment, int) {
	for _, s := range p {
		buckets := s.buckets()
		if i >= buckets {
			i -= buckets
			continue
		}
		n = min(n, buckets-i, s.width.Max)
		from := s.from.Add(time.Duration(i) * s.width.Duration)
		return segment{s.width, from, from.Add(time.Duration(n) * s.width.Duration)}, n
	}
	return segment{}, 0
}
