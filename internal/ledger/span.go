package ledger

import (
	"cmp"
	"slices"
)

// A span is an hour of usage or a day of the bill, the unit in which buckets of one width replace those of another: an hour is held as the
// minutes that polls read until an audit reads it whole, and is then held as one bucket. A span is never held in two
// widths, so nothing is booked twice, whatever width reads it.
type span struct {
	width   int64    // of its buckets, in seconds
	buckets []bucket // by start. Most hours have one, for which a map would take ten times the room
}

// A bucket is the encoded cells of one that is on record.
type bucket struct {
	start int64
	cells []byte
}

func (s *span) find(start int64) (i int, found bool) {
	return slices.BinarySearchFunc(s.buckets, start, func(b bucket, start int64) int { return cmp.Compare(b.start, start) })
}

// at is the bucket that starts at start, nil where there is none or no span.
func (s *span) at(start int64) []byte {
	if s == nil {
		return nil
	}
	if i, found := s.find(start); found {
		return s.buckets[i].cells
	}
	return nil
}

// put puts a bucket in the place of the one that starts with it, if there is one.
func (s *span) put(start int64, cells []byte) {
	i, found := s.find(start)
	if found {
		s.buckets[i].cells = cells
		return
	}
	s.buckets = slices.Insert(s.buckets, i, bucket{start, cells})
}

func (s *span) clone() *span { return &span{s.width, slices.Clone(s.buckets)} }

func (f *Feed) spanOf(t int64) int64 { return f.reach().spanOf(t) }

func mod(t, width int64) int64 { return ((t % width) + width) % width }
