package ledger

import (
	"encoding/binary"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/decimal"
)

// The books of money say what an endpoint's days have cost, by project, whatever is shown of it: no grouping, limit or
// retirement of series touches them. The bill's books have what each day charges, credits and gives away; those of usage
// have what it is estimated to cost. They are made of the rows as they are read, and written in the transaction that books
// these.
//
// A day of usage is kept in the pieces that are read again: in minutes, then in hours, and as a whole once no window
// reads it any more. A piece replaces what was there of its time, and is never added to it.

// booksKept is how long days stay in the books.
const booksKept = 400 * 24 * time.Hour

// The widths of a piece, in seconds. Minutes are whatever is narrower than an hour.
const (
	secondsOfHour = int64(time.Hour / time.Second)
	secondsOfDay  = 24 * secondsOfHour
)

// Amounts are what the books say of a project.
type Amounts struct {
	// Charged and Credited are from the bill. What is credited is positive.
	Charged, Credited decimal.Fixed
	// Estimated is what usage is estimated to cost.
	Estimated decimal.Fixed
}

func (a Amounts) add(b Amounts) Amounts {
	return Amounts{a.Charged.Add(b.Charged), a.Credited.Add(b.Credited), a.Estimated.Add(b.Estimated)}
}

// An Item is a line item of the bill and the unit of its quantity, "" where the bill names none.
type Item struct{ LineItem, Unit string }

// A Sale is what the bill says of an item: what was charged, for which quantity, and which quantity was free. The
// quantities of credits are in neither.
type Sale struct{ USD, Quantity, Free decimal.Fixed }

func (s Sale) add(t Sale) Sale {
	return Sale{s.USD.Add(t.USD), s.Quantity.Add(t.Quantity), s.Free.Add(t.Free)}
}

// An account is what is known of the money of a minute, an hour or a day.
type account struct {
	// split says that amounts are by project, itemized that sales are by line item. What the API refuses to tell, or an
	// older version did not record, is not known, and its amounts are under "".
	split, itemized bool
	// closed says that the time was over when it was read.
	closed bool
	// mark is when the API last answered about a day of the bill, and of a day of usage how many of its hours are closed.
	mark int64
	// mix tells one composition of the rows from another that has the same sums, 0 where it is not known. It adds up over
	// time like the rows do.
	mix      uint64
	projects map[string]Amounts
	sales    map[Item]Sale
}

func newAccount() *account {
	return &account{split: true, projects: map[string]Amounts{}, sales: map[Item]Sale{}}
}

func (a *account) charge(project string, by Amounts) {
	if by != (Amounts{}) {
		a.projects[project] = a.projects[project].add(by)
	}
}

// add adds another time's account.
func (a *account) add(b *account) {
	a.split = a.split && b.split
	a.mix += b.mix
	for project, by := range b.projects {
		a.charge(project, by)
	}
}

// symbols numbers the texts of accounts, since the same ones come every day.
type symbols struct {
	list    []string // by number; "" is number 0, and that of a text that is gone
	ids     map[string]uint32
	written int      // how many are on disk
	gone    []uint32 // those that are on disk, and that nothing names any more
}

func newSymbols() *symbols {
	return &symbols{list: []string{""}, ids: map[string]uint32{"": 0}, written: 1}
}

func (n *symbols) id(s string) uint32 {
	id, ok := n.ids[s]
	if !ok {
		id = uint32(len(n.list))
		n.list, n.ids[s] = append(n.list, s), id
	}
	return id
}

// put sets the text of a number, read from disk.
func (n *symbols) put(id uint32, s string) {
	for uint32(len(n.list)) <= id {
		n.list = append(n.list, "")
	}
	n.list[id], n.ids[s] = s, id
	n.written = len(n.list)
}

// retain forgets the texts that are not used, by number.
func (n *symbols) retain(used []bool) {
	for id := 1; id < len(n.list); id++ {
		if n.list[id] != "" && !used[id] {
			delete(n.ids, n.list[id])
			n.list[id], n.gone = "", append(n.gone, uint32(id))
		}
	}
}

const (
	flagSplit = 1 << iota
	flagItemized
	flagClosed
)

// encode is the form on disk and in memory.
//
//	account = flags mark mix projects project… sale…
//	project = (name − previous name) mask amount…    names ascend; the mask has a bit for each amount that is not 0
//	sale    = name of the line item, name of the unit, mask amount…
func (a *account) encode(n *symbols) []byte {
	flags := byte(0)
	if a.split {
		flags |= flagSplit
	}
	if a.itemized {
		flags |= flagItemized
	}
	if a.closed {
		flags |= flagClosed
	}
	b := binary.AppendVarint([]byte{flags}, a.mark)
	b = binary.LittleEndian.AppendUint64(b, a.mix)
	b = binary.AppendUvarint(b, uint64(len(a.projects)))
	ids := make(map[uint32]Amounts, len(a.projects))
	for project, by := range a.projects {
		ids[n.id(project)] = by
	}
	previous := uint32(0)
	for _, id := range slices.Sorted(maps.Keys(ids)) {
		b = binary.AppendUvarint(b, uint64(id-previous))
		by := ids[id]
		b = appendValues(b, []decimal.Fixed{by.Charged, by.Credited, by.Estimated})
		previous = id
	}
	items := make(map[[2]uint32]Sale, len(a.sales))
	for item, sale := range a.sales {
		items[[2]uint32{n.id(item.LineItem), n.id(item.Unit)}] = sale
	}
	for _, id := range slices.SortedFunc(maps.Keys(items), func(a, b [2]uint32) int { return slices.Compare(a[:], b[:]) }) {
		b = binary.AppendUvarint(binary.AppendUvarint(b, uint64(id[0])), uint64(id[1]))
		sale := items[id]
		b = appendValues(b, []decimal.Fixed{sale.USD, sale.Quantity, sale.Free})
	}
	return b
}

var errAccount = errors.New("malformed costs")

// header decodes what comes before the projects.
func (a *account) header(b []byte) ([]byte, error) {
	if len(b) == 0 {
		return nil, errAccount
	}
	a.split, a.itemized, a.closed = b[0]&flagSplit != 0, b[0]&flagItemized != 0, b[0]&flagClosed != 0
	mark, n := binary.Varint(b[1:])
	if n <= 0 || len(b) < 1+n+8 {
		return nil, errAccount
	}
	a.mark, a.mix = mark, binary.LittleEndian.Uint64(b[1+n:])
	return b[1+n+8:], nil
}

// eachAmount calls yield for each project, and eachSale for each item, of an encoded account.
func eachAmount(b []byte, yield func(name uint32, by Amounts), sale func(item, unit uint32, s Sale)) error {
	b, err := new(account).header(b)
	if err != nil {
		return err
	}
	count, b, err := uvarint(b, 1<<32-1)
	var values [3]decimal.Fixed
	set := func(i int, v decimal.Fixed) { values[i] = v }
	for name := uint64(0); err == nil && count > 0; count-- {
		var step uint64
		if step, b, err = uvarint(b, 1<<32-1); err != nil {
			return err
		}
		name += step
		values = [3]decimal.Fixed{}
		if b, err = decodeValues(b, 3, set); err == nil && yield != nil {
			yield(uint32(name), Amounts{values[0], values[1], values[2]})
		}
	}
	for err == nil && len(b) > 0 && sale != nil {
		var item, unit uint64
		if item, b, err = uvarint(b, 1<<32-1); err != nil {
			return err
		}
		if unit, b, err = uvarint(b, 1<<32-1); err != nil {
			return err
		}
		values = [3]decimal.Fixed{}
		if b, err = decodeValues(b, 3, set); err == nil {
			sale(uint32(item), uint32(unit), Sale{values[0], values[1], values[2]})
		}
	}
	return err
}

// decode returns the account of its encoded form.
func decodeAccount(b []byte, n *symbols) (*account, error) {
	a := newAccount()
	if _, err := a.header(b); err != nil {
		return nil, err
	}
	exist := func(ids ...uint32) bool {
		return !slices.ContainsFunc(ids, func(id uint32) bool { return id >= uint32(len(n.list)) })
	}
	ok := true
	err := eachAmount(b, func(name uint32, by Amounts) {
		if ok = ok && exist(name); ok {
			a.projects[n.list[name]] = by
		}
	}, func(item, unit uint32, s Sale) {
		if ok = ok && exist(item, unit); ok {
			a.sales[Item{n.list[item], n.list[unit]}] = s
		}
	})
	if err == nil && !ok {
		err = errAccount
	}
	return a, err
}
