package ledger

import "maps"

// A span is an hour of usage or a day of the bill, the unit that changes hands between widths: an hour is held as the
// minutes that polls read until an audit reads it whole, and is then held as one bucket. A span is never held in two
// widths, so nothing is booked twice, whatever width reads it.
type span struct {
	width   int64            // of its buckets, in seconds
	buckets map[int64][]byte // encoded cells by start
}

// A bucket is the encoded cells of one that is on record.
type bucket struct {
	start int64
	cells []byte
}

func (s *span) all() []bucket {
	out := make([]bucket, 0, len(s.buckets))
	for start, cells := range s.buckets {
		out = append(out, bucket{start, cells})
	}
	return out
}

func (s *span) clone() *span { return &span{s.width, maps.Clone(s.buckets)} }

func (f *Feed) spanOf(t int64) int64 { return f.reach().spanOf(t) }

func mod(t, width int64) int64 { return ((t % width) + width) % width }
