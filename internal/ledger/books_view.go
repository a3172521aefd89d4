package ledger

import (
	"bytes"
	"cmp"
	"slices"
	"sync"
	"time"
)

// A DayBook is what the books say of a UTC day of an endpoint. It does not change.
type DayBook struct {
	Start time.Time
	// ReadAt is when the API last answered about a day of the bill. It is exact until the day is long settled.
	ReadAt time.Time
	// Hours is how many hours of a day of usage have been read to their end.
	Hours int
	// Split says that the amounts are known by project, Itemized that sales are known by line item. Where they are not,
	// because the API refuses to tell or an older version has not kept it, there is one sum under "".
	Split, Itemized bool

	pieces  [][]byte
	symbols []string
	total   func() Amounts // worked out when it is first asked for
}

// Projects hands out the amounts of the day. Those of a project may come in pieces that add up.
func (d *DayBook) Projects(yield func(project string, by Amounts)) {
	for _, b := range d.pieces {
		// The bytes were made by this process or checked when they were loaded.
		_ = eachAmount(b, func(name uint32, by Amounts) { yield(d.symbols[name], by) }, nil)
	}
}

// Total is the sum over all projects.
func (d *DayBook) Total() Amounts { return d.total() }

// sum adds up the amounts. A day has some thousands of them, and hundreds of days that have not changed are asked for with
// every report.
func (d *DayBook) sum() (sum Amounts) {
	d.Projects(func(_ string, by Amounts) { sum = sum.add(by) })
	return sum
}

// Sales hands out the line items of a day of the bill.
func (d *DayBook) Sales(yield func(item Item, sale Sale)) {
	for _, b := range d.pieces {
		_ = eachAmount(b, nil, func(item, unit uint32, s Sale) { yield(Item{d.symbols[item], d.symbols[unit]}, s) })
	}
}

// SameSales says whether another book of the day surely has the same sales, whenever each was read.
func (d *DayBook) SameSales(o *DayBook) bool {
	if d == o {
		return true
	}
	// A list of names only grows where it is, so what has a number in both is the same.
	return d.Start.Equal(o.Start) && d.Itemized == o.Itemized && &d.symbols[0] == &o.symbols[0] &&
		slices.EqualFunc(d.pieces, o.pieces, func(a, b []byte) bool { return bytes.Equal(amounts(a), amounts(b)) })
}

// amounts are an encoded account without what says when it was read.
func amounts(b []byte) []byte {
	// The bytes were made by this process or checked when they were loaded.
	rest, _ := new(account).header(b)
	return rest
}

// NewDayBook makes a day of plain amounts, all of which are known.
func NewDayBook(start, readAt time.Time, hours int, projects map[string]Amounts, sales map[Item]Sale) *DayBook {
	n := newSymbols()
	a := account{split: true, itemized: true, projects: projects, sales: sales}
	d := &DayBook{Start: start, ReadAt: readAt, Hours: hours, Split: true, Itemized: true, pieces: [][]byte{a.encode(n)}}
	d.symbols, d.total = n.list, sync.OnceValue(d.sum)
	return d
}

// books are the books of a feed.
type books struct {
	symbols *symbols
	pieces  map[bucketKey][]byte // encoded accounts
	open    map[int64]bool       // the days of usage that are in pieces
	days    []*DayBook           // oldest first
	// unwritten says that nothing of the books is on disk, because they were made of a state that had none.
	unwritten bool
}

func newBooks() books {
	return books{symbols: newSymbols(), pieces: map[bucketKey][]byte{}, open: map[int64]bool{}}
}

func (bs *books) piece(k bucketKey) []byte { return bs.pieces[k] }

// piecesOf lists the pieces that a time consists of, and counts its hours that are closed.
func piecesOf(from, to int64, piece func(bucketKey) []byte) (keys []bucketKey, hours int) {
	has := func(k bucketKey) (closed bool) {
		b := piece(k)
		if b == nil {
			return false
		}
		keys = append(keys, k)
		return b[0]&flagClosed != 0
	}
	for hour := from; hour < to; hour += secondsOfHour {
		whole, minutes := has(bucketKey{hour, secondsOfHour}), 0
		for m := hour; m < hour+secondsOfHour; m += 60 {
			if has(bucketKey{m, 60}) {
				minutes++
			}
		}
		if whole || minutes == 60 {
			hours++
		}
	}
	return keys, hours
}

// inOrder does the same with keys of pieces of a time, which it puts in order.
func inOrder(keys []bucketKey, piece func(bucketKey) []byte) (list []bucketKey, hours int) {
	keys = slices.DeleteFunc(keys, func(k bucketKey) bool {
		return k.width != 60 && k.width != secondsOfHour || mod(k.start, k.width) != 0
	})
	slices.SortFunc(keys, func(a, b bucketKey) int { return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(b.width, a.width)) })
	hour, minutes := int64(-1), 0
	for _, k := range keys {
		if at := k.start - mod(k.start, secondsOfHour); at != hour {
			hour, minutes = at, 0
		}
		switch {
		case piece(k)[0]&flagClosed == 0:
		case k.width == secondsOfHour:
			hours, minutes = hours+1, -60 // It is counted, whatever there is of its minutes.
		default:
			if minutes++; minutes == 60 {
				hours++
			}
		}
	}
	return keys, hours
}

// turn makes the view of a day again.
func (bs *books) turn(day int64, costs bool) {
	var keys []bucketKey
	if k := (bucketKey{day, secondsOfDay}); bs.pieces[k] != nil {
		keys = []bucketKey{k}
	} else {
		keys, _ = piecesOf(day, day+secondsOfDay, bs.piece)
	}
	bs.turnTo(day, keys, costs)
}

// turnTo makes the view of a day of the keys of its pieces, in any order.
func (bs *books) turnTo(day int64, keys []bucketKey, costs bool) {
	d := &DayBook{Start: time.Unix(day, 0).UTC(), Split: true, Itemized: true, symbols: bs.symbols.list}
	d.total = sync.OnceValue(d.sum)
	whole := bs.pieces[bucketKey{day, secondsOfDay}]
	if delete(bs.open, day); whole != nil {
		keys = []bucketKey{{day, secondsOfDay}}
	} else if keys, d.Hours = inOrder(keys, bs.piece); len(keys) > 0 {
		bs.open[day] = true
	}
	for _, k := range keys {
		var a account
		if _, err := a.header(bs.pieces[k]); err != nil {
			continue // It was checked when it was loaded.
		}
		d.Split, d.Itemized = d.Split && a.split, d.Itemized && a.itemized
		if whole != nil && costs {
			d.ReadAt = unixOrZero(a.mark)
		} else if whole != nil {
			d.Hours = int(a.mark)
		}
		d.pieces = append(d.pieces, bs.pieces[k])
	}
	i, found := slices.BinarySearchFunc(bs.days, d.Start, func(d *DayBook, t time.Time) int { return d.Start.Compare(t) })
	// Views have the list as it was.
	switch bs.days = slices.Clone(bs.days); {
	case found && len(keys) == 0:
		bs.days = slices.Delete(bs.days, i, i+1)
	case found:
		bs.days[i] = d
	case len(keys) > 0:
		bs.days = slices.Insert(bs.days, i, d)
	}
}
