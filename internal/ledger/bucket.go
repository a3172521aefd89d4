package ledger

import (
	"encoding/binary"
	"errors"
	"math/bits"
	"slices"

	"github.com/openai-exporter/openai_exporter/internal/decimal"
)

// A bucket's cells are kept as the bytes that go to disk: a canonical encoding, so that a bucket that the API repeats
// unchanged is recognized by comparing bytes, and a window of a million cells costs little memory.
//
//	bucket = layout cell…
//	cell   = (id − previous id) mask value…     ids ascend; the mask has a bit for each measure that is not 0
//
// The layout names the measures that the bits stand for. A later version that knows more measures finds older layouts
// in old buckets and knows which measures those could not record.

// A cell is what the API said about one series in one bucket. Values follow the endpoint's measures.
type cell struct {
	id     uint32
	values []decimal.Fixed
}

var errBucket = errors.New("malformed bucket")

// encodeCells appends the canonical form of cells, which must be sorted by id.
func encodeCells(b []byte, layout int, cells []cell) []byte {
	b = binary.AppendUvarint(b, uint64(layout))
	previous := uint32(0)
	for _, c := range cells {
		b = binary.AppendUvarint(b, uint64(c.id-previous))
		previous = c.id
		mask := uint64(0)
		for i, v := range c.values {
			if !v.IsZero() {
				mask |= 1 << i
			}
		}
		b = binary.AppendUvarint(b, mask)
		for m := mask; m != 0; m &= m - 1 {
			b = c.values[bits.TrailingZeros64(m)].AppendBinary(b)
		}
	}
	return b
}

// layouts maps the measures of older states to those of today's table.
type layouts struct {
	names   [][]string // every list of measures that was ever written
	current int
	to      [][]int // by layout: index in today's table, or -1
	n       int     // measures in today's table
}

func newLayouts(stored [][]string, today []string) layouts {
	l := layouts{names: stored, current: -1, n: len(today)}
	for i, names := range l.names {
		if slices.Equal(names, today) {
			l.current = i
		}
	}
	if l.current < 0 {
		l.names = append(slices.Clone(l.names), today)
		l.current = len(l.names) - 1
	}
	for _, names := range l.names {
		to := make([]int, len(names))
		for i, name := range names {
			to[i] = slices.Index(today, name)
		}
		l.to = append(l.to, to)
	}
	return l
}

// knows says which of today's measures a layout could record.
func (l *layouts) knows(layout int) []bool {
	known := make([]bool, l.n)
	for _, i := range l.to[layout] {
		if i >= 0 {
			known[i] = true
		}
	}
	return known
}

// decodeCells calls yield for each cell of an encoded bucket and returns the bucket's layout. The values are yield's to keep.
func (l *layouts) decodeCells(b []byte, yield func(id uint32, values []decimal.Fixed)) (layout int, err error) {
	u, n := binary.Uvarint(b)
	if n <= 0 || u >= uint64(len(l.names)) {
		return 0, errBucket
	}
	b = b[n:]
	to := l.to[u]
	id := uint32(0)
	for len(b) > 0 {
		step, n := binary.Uvarint(b)
		if n <= 0 || step > 1<<32-1 {
			return 0, errBucket
		}
		b = b[n:]
		id += uint32(step)
		mask, n := binary.Uvarint(b)
		if n <= 0 || bits.Len64(mask) > len(to) {
			return 0, errBucket
		}
		b = b[n:]
		values := make([]decimal.Fixed, l.n)
		for ; mask != 0; mask &= mask - 1 {
			var v decimal.Fixed
			if v, b, err = decimal.DecodeBinary(b); err != nil {
				return 0, err
			}
			if i := to[bits.TrailingZeros64(mask)]; i >= 0 {
				values[i] = v
			}
		}
		yield(id, values)
	}
	return int(u), nil
}
