package ledger

import (
	"bytes"
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
// What is derived of the cells may follow them, behind a step of 0 that no cell but the first can have:
//
//	derived = 0 (id − previous id) mask value…     for the cells of which something is derived
//
// The layout names the measures that the bits stand for. A later version that knows more measures finds older layouts
// in old buckets and knows which measures those could not record.

// A cell is what the API said about one series in one bucket. Values follow the endpoint's measures.
type cell struct {
	id     uint32
	values []decimal.Fixed
	// derived follows the endpoint's derived measures. It is no part of what the API said.
	derived [derivations]decimal.Fixed
	to      *touch // of its series, where it was read
}

// derivations is how many measures can be derived of a row.
const derivations = 2

// equal says whether the API said the same.
func (c *cell) equal(o *cell) bool { return slices.Equal(c.values, o.values) }

var errBucket = errors.New("malformed bucket")

// encodeCells appends the canonical form of cells, which must be sorted by id.
func encodeCells(b []byte, layout int, cells []cell) []byte {
	b = binary.AppendUvarint(b, uint64(layout))
	previous := uint32(0)
	for _, c := range cells {
		b = appendValues(binary.AppendUvarint(b, uint64(c.id-previous)), c.values)
		previous = c.id
	}
	return b
}

// encodeDerived appends what is derived of cells to their canonical form. Cells of which nothing is derived leave the
// mark alone, which tells them from cells that were recorded before anything was derived.
func encodeDerived(b []byte, cells []cell) []byte {
	if len(cells) == 0 {
		return b
	}
	b = binary.AppendUvarint(b, 0)
	previous := uint32(0)
	for _, c := range cells {
		if c.derived == [derivations]decimal.Fixed{} {
			continue
		}
		b = appendValues(binary.AppendUvarint(b, uint64(c.id-previous)), c.derived[:])
		previous = c.id
	}
	return b
}

// unchanged says whether a recorded bucket holds exactly these encoded cells, whatever was derived of them.
func unchanged(old, encoded []byte, cells int) bool {
	if !bytes.HasPrefix(old, encoded) {
		return false
	}
	return len(old) == len(encoded) || cells > 0 && old[len(encoded)] == 0
}

func appendValues(b []byte, values []decimal.Fixed) []byte {
	mask := uint64(0)
	for i, v := range values {
		if !v.IsZero() {
			mask |= 1 << i
		}
	}
	b = binary.AppendUvarint(b, mask)
	for m := mask; m != 0; m &= m - 1 {
		b = values[bits.TrailingZeros64(m)].AppendBinary(b)
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

// covers says which of today's measures a layout could record.
func (l *layouts) covers(layout int) []bool {
	covered := make([]bool, l.n)
	for _, i := range l.to[layout] {
		if i >= 0 {
			covered[i] = true
		}
	}
	return covered
}

// A cellRoom is memory for the cells of a bucket.
type cellRoom struct {
	cells  []cell
	values []decimal.Fixed
}

// decodeCells returns the cells of an encoded bucket, the bucket's layout, and whether it says what is derived of them.
func (l *layouts) decodeCells(b []byte) (cells []cell, layout int, hasDerived bool, err error) {
	return l.decodeInto(new(cellRoom), b)
}

// decodeInto is decodeCells for cells that are used until the next ones are decoded into the room.
func (l *layouts) decodeInto(room *cellRoom, b []byte) (cells []cell, layout int, hasDerived bool, err error) {
	u, b, err := uvarint(b, uint64(len(l.names))-1)
	if err != nil {
		return nil, 0, false, err
	}
	layout = int(u)
	to := l.to[layout]
	id := uint32(0)
	cells = room.cells[:0]
	values := room.values
	for len(b) > 0 {
		var step uint64
		if step, b, err = uvarint(b, 1<<32-1); err != nil {
			return nil, 0, false, err
		}
		if step == 0 && len(cells) > 0 {
			hasDerived = true
			break
		}
		id += uint32(step)
		if len(values) < l.n {
			const several = 32
			room.values = make([]decimal.Fixed, max(several*l.n, 2*len(room.values)))
			values = room.values
		}
		c := cell{id: id, values: values[:l.n:l.n]}
		clear(c.values)
		values = values[l.n:]
		b, err = decodeValues(b, len(to), func(i int, v decimal.Fixed) {
			if m := to[i]; m >= 0 {
				c.values[m] = v
			}
		})
		if err != nil {
			return nil, 0, false, err
		}
		cells = append(cells, c)
	}
	room.cells = cells
	id = 0
	for next := 0; len(b) > 0; {
		var step uint64
		if step, b, err = uvarint(b, 1<<32-1); err != nil {
			return nil, 0, false, err
		}
		id += uint32(step)
		for next < len(cells) && cells[next].id < id {
			next++
		}
		if next == len(cells) || cells[next].id != id {
			return nil, 0, false, errBucket
		}
		if b, err = decodeValues(b, derivations, func(i int, v decimal.Fixed) { cells[next].derived[i] = v }); err != nil {
			return nil, 0, false, err
		}
	}
	return cells, layout, hasDerived || len(cells) == 0, nil
}

// decodeValues calls set for each value that is not 0 and returns what follows.
func decodeValues(b []byte, n int, set func(i int, v decimal.Fixed)) ([]byte, error) {
	mask, b, err := uvarint(b, 1<<n-1)
	if err != nil {
		return nil, err
	}
	for ; mask != 0; mask &= mask - 1 {
		var v decimal.Fixed
		if v, b, err = decimal.DecodeBinary(b); err != nil {
			return nil, err
		}
		set(bits.TrailingZeros64(mask), v)
	}
	return b, nil
}

// uvarint takes a number off the front that must not be above most.
func uvarint(b []byte, most uint64) (uint64, []byte, error) {
	u, n := binary.Uvarint(b)
	if n <= 0 || u > most {
		return 0, nil, errBucket
	}
	return u, b[n:], nil
}
