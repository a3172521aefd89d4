package fetcher

import (
	"bytes"
	"hash/maphash"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

func (d *decoder) bucket(into sink, keep func(start, end time.Time) (bool, error)) error {
	if d.dec.PeekKind() != '{' {
		return d.wrongType("a bucket")
	}
	var start, end time.Time
	var early [][]byte // lists that came before their start_time
	found, opened := false, false
	d.bucketRows = rowSum{}
	open := func() (bool, error) {
		wanted, err := keep(start, end)
		if err == nil && wanted && !opened {
			into.Bucket(start)
			opened = true
		}
		return wanted, err
	}
	err := d.members(func(name []byte) (err error) {
		switch string(name) {
		case "start_time":
			start, err = d.time("start_time")
			return err
		case "end_time":
			end, err = d.time("end_time")
			return err
		case "results", "result":
			switch d.dec.PeekKind() {
			case 'n', '[':
			default:
				return d.wrongType("results")
			}
			found = true
			if start.IsZero() {
				d.guard.limit = maxEarly
				v, err := d.dec.ReadValue()
				d.guard.limit = maxValue
				early = append(early, bytes.Clone(v))
				return err
			}
			wanted, err := open()
			if err != nil {
				return err
			}
			return d.results(into, wanted)
		}
		return d.dec.SkipValue()
	})
	switch {
	case err != nil:
		return err
	case start.IsZero():
		return errNoStart
	case !found:
		return errNoResults
	}
	// The end may have come only now.
	if len(early) == 0 {
		_, err = keep(start, end)
		return err
	}
	wanted, err := open()
	if err != nil {
		return err
	}
	outer := d.dec
	defer func() { d.dec = outer }()
	for _, list := range early {
		d.dec = jsontext.NewDecoder(bytes.NewReader(list), options()...)
		if err := d.results(into, wanted); err != nil {
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
