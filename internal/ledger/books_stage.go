package ledger

import (
	"bytes"
	"slices"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/api"
)

// billFinal is how long after its end the time at which a day of the bill was read is kept exact. What is read later
// changes nothing of what is made of it.
const billFinal = 96 * time.Hour

// piece is what the books have of a time, the stage included.
func (st *stage) piece(k bucketKey) []byte {
	if b, staged := st.pieces[k]; staged {
		return b
	}
	return st.f.books.pieces[k]
}

func dayOf(at int64) int64 { return at - mod(at, secondsOfDay) }

// bill takes a day of the bill into the books.
func (st *stage) bill(b *readBucket) {
	e := st.f.options.Endpoint
	at := func(name string) int { return slices.Index(st.f.reads, name) }
	project, item, unit := at("project_id"), at("line_item"), at("quantity_unit")
	label := func(r *readRow, column int) string {
		if column < 0 {
			return ""
		}
		return r.set.labels[column]
	}
	usd := slices.IndexFunc(e.Measures, func(m api.Measure) bool { return m.Name == api.MeasureCost })
	quantity := slices.IndexFunc(e.Measures, func(m api.Measure) bool { return m.Name == api.MeasureCostQuantity })
	a := newAccount()
	a.split, a.itemized = project >= 0, item >= 0
	for i := range b.rows {
		r := &b.rows[i]
		key := Item{label(r, item), label(r, unit)}
		switch amount := r.values[usd]; r.set.nature {
		case charged:
			a.charge(label(r, project), Amounts{Charged: amount})
			a.sales[key] = a.sales[key].add(Sale{USD: amount, Quantity: r.values[quantity]})
		case credited:
			a.charge(label(r, project), Amounts{Credited: amount.Neg()})
		case free:
			a.sales[key] = a.sales[key].add(Sale{Free: r.values[quantity]})
		}
	}
	if !a.itemized {
		a.sales = nil
	}
	start := b.start.Unix()
	k := bucketKey{start, secondsOfDay}
	end := start + secondsOfDay
	a.closed, a.mark = st.asOf >= end, st.asOf
	if old := st.piece(k); old != nil {
		var was account
		// Only a day that both readings take for settled may keep the former one: by a Date that was days ahead it seemed to
		// be, and would be taken for billed whole until then.
		if _, err := was.header(old); err == nil && min(was.mark, st.asOf) >= end+seconds(billFinal) {
			a.mark = was.mark
			if bytes.Equal(a.encode(st.f.books.symbols), old) {
				return
			}
			a.mark = st.asOf
		}
	}
	st.pieces[k] = a.encode(st.f.books.symbols)
}

// same says whether the books have a bucket of usage that was read with the same composition. Whatever has come to its
// end since is noted.
func (st *stage) same(start, width int64, rows []readRow) bool {
	k := bucketKey{start, width}
	old := st.piece(k)
	var was account
	if old == nil {
		return true // The day is closed in the books, or was never priced.
	}
	// What is shown does not tell: it may be coarser than what is read, and label sets are folded into one.
	if _, err := was.header(old); err != nil || was.mix != 0 && was.mix != mixOf(rows) {
		return false
	}
	st.close(start, width)
	return true
}

// close notes in the books that a bucket which says what it said has come to its end.
func (st *stage) close(start, width int64) {
	k := bucketKey{start, width}
	old := st.piece(k)
	var was account
	if old == nil || st.asOf < start+width {
		return
	}
	if _, err := was.header(old); err != nil || was.closed {
		return // It was made by this process or checked when it was loaded.
	}
	closed := bytes.Clone(old)
	closed[0] |= flagClosed
	st.pieces[k] = closed
}

// spend takes what was read of usage into the books, with what its rows are estimated to cost. same says that the sums of
// its label sets are those that are on record.
func (st *stage) spend(r replacement, spent []*account, same bool) {
	if r.width == r.oldWidth {
		st.enter(r.at, r.width, spent[0], r.whole)
		return
	}
	st.handOver(st.f.reach().spanOf(r.at), r.width, r.read, spent, same)
}

// enter replaces what the books have of a bucket. whole says that the read has all of the hour, as far as the API has come.
func (st *stage) enter(start, width int64, a *account, whole bool) {
	if st.piece(bucketKey{dayOf(start), secondsOfDay}) != nil {
		return // No window reads the day any more, and what it was made of is not known.
	}
	hour := start - mod(start, secondsOfHour)
	if width < secondsOfHour {
		if k := (bucketKey{hour, secondsOfHour}); st.piece(k) != nil {
			if !whole {
				return
			}
			st.pieces[k] = nil
		}
	} else {
		for m := hour; m < hour+secondsOfHour; m += 60 {
			if k := (bucketKey{m, 60}); st.piece(k) != nil {
				st.pieces[k] = nil
			}
		}
	}
	a.closed = st.asOf >= start+width
	st.pieces[bucketKey{start, width}] = a.encode(st.f.books.symbols)
}

// handOver takes an hour that is read in another width into the books. Where all of it is the same, it costs what it did.
func (st *stage) handOver(hour, width int64, read []readBucket, spent []*account, same bool) {
	was, is := st.spentIn(hour), newAccount()
	for _, a := range spent {
		is.add(a)
	}
	if same && (was.mix == 0 || was.mix == is.mix) && len(was.projects) > 0 {
		// What other prices make of it goes to its last part.
		last := spent[len(spent)-1]
		for project, by := range is.projects {
			last.charge(project, Amounts{Estimated: by.Estimated.Neg()})
		}
		for project, by := range was.projects {
			last.charge(project, by)
		}
	}
	for i, a := range spent {
		st.enter(read[i].start.Unix(), width, a, true)
	}
}

// spentIn adds up what the books have of an hour.
func (st *stage) spentIn(hour int64) *account {
	keys, _ := piecesOf(hour, hour+secondsOfHour, st.piece)
	return st.sumOf(keys)
}

func (st *stage) sumOf(keys []bucketKey) *account {
	sum := newAccount()
	for _, k := range keys {
		// The bytes were made by this process or checked when they were loaded.
		if a, err := decodeAccount(st.piece(k), st.f.books.symbols); err == nil {
			sum.add(a)
		}
	}
	return sum
}

// mixOf is a number that is another one where the rows are composed otherwise. It is linear, so that those of minutes add
// up to that of their hour.
func mixOf(rows []readRow) (sum uint64) {
	for i := range rows {
		for m, v := range rows[i].values {
			if !v.IsZero() {
				sum += v.Low() * rows[i].set.hash * uint64(2*m+1)
			}
		}
	}
	return sum
}

// closeBooks puts the days together that no window reads any more, and forgets those that are too old.
func (st *stage) closeBooks() {
	f := st.f
	limit := st.meta.left(st.asOf, f.reach())
	for day := range f.books.open {
		if day+secondsOfDay > limit {
			continue
		}
		keys, hours := piecesOf(day, day+secondsOfDay, st.piece)
		sum := st.sumOf(keys)
		for _, k := range keys {
			st.pieces[k] = nil
		}
		sum.closed, sum.mark, sum.mix = true, int64(hours), 0
		st.pieces[bucketKey{day, secondsOfDay}] = sum.encode(f.books.symbols)
	}
	oldest := st.meta.closed(st.asOf) - seconds(booksKept)
	for _, d := range f.books.days {
		if d.Start.Unix() >= oldest {
			break
		}
		st.pieces[bucketKey{d.Start.Unix(), secondsOfDay}] = nil
	}
}
