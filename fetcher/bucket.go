package fetcher

import (
	"bytes"
	"hash/maphash"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// A bucketReader reads one bucket, whose members may come in any order.
type bucketReader struct {
	d    *decoder
	into sink
	keep func(start, end time.Time) (bool, error)

	start, end time.Time
	early      [][]byte // lists that came before their start_time
	found      bool     // a list
	opened     bool     // in the sink
}

// read reads the bucket that comes next.
func (b *bucketReader) read() error {
	d := b.d
	if d.dec.PeekKind() != '{' {
		return d.wrongType("a bucket")
	}
	d.bucketRows = rowSum{}
	err := d.members(b.member)
	switch {
	case err != nil:
		return err
	case b.start.IsZero():
		return errNoStart
	case !b.found:
		return errNoResults
	case len(b.early) == 0:
		// The end may have come only now.
		_, err = b.keep(b.start, b.end)
		return err
	}
	return b.late()
}

func (b *bucketReader) member(name []byte) (err error) {
	switch string(name) {
	case "start_time":
		b.start, err = b.d.time("start_time")
		return err
	case "end_time":
		b.end, err = b.d.time("end_time")
		return err
	case "results", "result":
		return b.list()
	}
	return b.d.dec.SkipValue()
}

// list reads the rows that come next, or holds them until the start is known.
func (b *bucketReader) list() error {
	switch b.d.dec.PeekKind() {
	case 'n', '[':
	default:
		return b.d.wrongType("results")
	}
	b.found = true
	if b.start.IsZero() {
		b.d.tape.limit = maxEarly
		v, err := b.d.dec.ReadValue()
		b.d.tape.limit = maxValue
		b.early = append(b.early, bytes.Clone(v))
		return err
	}
	wanted, err := b.open()
	if err != nil {
		return err
	}
	return b.d.results(b.into, wanted)
}

// open opens the bucket in the sink, if it is wanted.
func (b *bucketReader) open() (bool, error) {
	wanted, err := b.keep(b.start, b.end)
	if err == nil && wanted && !b.opened {
		b.into.Bucket(b.start)
		b.opened = true
	}
	return wanted, err
}

// late reads the lists that were held.
func (b *bucketReader) late() error {
	wanted, err := b.open()
	if err != nil {
		return err
	}
	d := b.d
	outer := d.dec
	defer func() { d.dec = outer }()
	for _, list := range b.early {
		d.dec = jsontext.NewDecoder(bytes.NewReader(list), options()...)
		if err := d.results(b.into, wanted); err != nil {
			return err
		}
	}
	return nil
}

// A rowSum tells whether two lists have the same rows without holding them.
type rowSum struct {
	n   int
	sum uint64
}

func (s *rowSum) add(hash uint64) {
	const prime = 1099511628211 // It makes the order count.
	s.n, s.sum = s.n+1, (s.sum^hash)*prime
}

// results reads a list of rows. A bucket may say "results" and "result", the old name and the new one: the list that has
// rows counts, since null or an empty list under the other name takes none away. Where both have rows they must be the
// same ones, which count once. Nobody can tell which of two different lists is right, so that is an error.
func (d *decoder) results(into sink, wanted bool) error {
	if !wanted || d.dec.PeekKind() == 'n' {
		return d.dec.SkipValue()
	}
	before, rows := d.bucketRows, rowSum{}
	err := d.elements(func() error {
		row, err := d.dec.ReadValue()
		if err != nil {
			return err
		}
		rows.add(maphash.Bytes(d.strings.seed, row))
		if before.n > 0 {
			return nil
		}
		if err := d.row(row); err != nil {
			return err
		}
		into.Row(d.labels, d.values)
		return nil
	})
	switch {
	case err != nil:
		return err
	case before.n == 0:
		d.bucketRows = rows
	case rows.n > 0 && rows != before:
		return errTwoLists
	}
	return nil
}
