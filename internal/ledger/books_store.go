package ledger

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	bolt "go.etcd.io/bbolt"
)

// storedBooks are the books of a feed as they are on disk.
type storedBooks struct {
	found   bool
	pieces  map[bucketKey][]byte
	symbols map[uint32]string
}

func (c *storedBooks) read(feed *bolt.Bucket) error {
	c.found, c.pieces, c.symbols = feed.Bucket(subBooks) != nil, map[bucketKey][]byte{}, map[uint32]string{}
	err := each(feed, subBooks, 12, func(k, v []byte) error {
		c.pieces[bucketKeyOf(k)] = v
		return nil
	})
	if err != nil {
		return err
	}
	return each(feed, subNames, 4, func(k, v []byte) error {
		c.symbols[binary.BigEndian.Uint32(k)] = string(v)
		return nil
	})
}

func (k bucketKey) bytes() []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(nil, uint64(k.start)), uint32(k.width))
}

func bucketKeyOf(b []byte) bucketKey {
	return bucketKey{int64(binary.BigEndian.Uint64(b)), int64(binary.BigEndian.Uint32(b[8:]))}
}

// bookChanges are what a commit writes of the books. A nil piece and an empty name delete.
type bookChanges struct {
	pieces  map[bucketKey][]byte
	symbols map[uint32]string
}

func (c *bookChanges) write(sub func([]byte) (*bolt.Bucket, error), put func(b *bolt.Bucket, key, value []byte) error) error {
	b, err := sub(subBooks)
	if err != nil {
		return err
	}
	for k, v := range c.pieces {
		if err := put(b, k.bytes(), v); err != nil {
			return err
		}
	}
	if b, err = sub(subNames); err != nil {
		return err
	}
	for id, name := range c.symbols {
		var v []byte
		if name != "" {
			v = []byte(name)
		}
		if err := put(b, binary.BigEndian.AppendUint32(nil, id), v); err != nil {
			return err
		}
	}
	return nil
}

// booked is what the stage writes of the books.
func (st *stage) booked() bookChanges {
	bs := &st.f.books
	c := bookChanges{pieces: st.pieces, symbols: map[uint32]string{}}
	if bs.unwritten {
		c.pieces = maps.Clone(bs.pieces)
		maps.Copy(c.pieces, st.pieces)
	}
	for id := bs.symbols.written; id < len(bs.symbols.list); id++ {
		c.symbols[uint32(id)] = bs.symbols.list[id]
	}
	for _, id := range bs.symbols.gone {
		c.symbols[id] = ""
	}
	return c
}

// whole is all of the books.
func (bs *books) whole() bookChanges {
	c := bookChanges{pieces: bs.pieces, symbols: map[uint32]string{}}
	for id, name := range bs.symbols.list {
		if name != "" {
			c.symbols[uint32(id)] = name
		}
	}
	return c
}

// installBooks makes what was booked a part of the feed.
func (st *stage) installBooks() {
	bs := &st.f.books
	bs.unwritten, bs.symbols.written, bs.symbols.gone = false, len(bs.symbols.list), nil
	days := map[int64]bool{}
	for k, v := range st.pieces {
		days[dayOf(k.start)] = true
		if v == nil {
			delete(bs.pieces, k)
		} else {
			bs.pieces[k] = v
		}
	}
	for _, day := range slices.Sorted(maps.Keys(days)) {
		bs.turn(day, st.f.options.Endpoint.IsCosts())
	}
}

// loadBooks takes over the books from disk. Those of a state that has none are made of its buckets.
func (f *Feed) loadBooks(c *storedBooks) error {
	bs := &f.books
	for _, id := range slices.Sorted(maps.Keys(c.symbols)) {
		bs.symbols.put(id, c.symbols[id])
	}
	if bs.unwritten = !c.found; c.found {
		bs.pieces = c.pieces
	} else if err := f.makeBooks(); err != nil {
		return err
	}
	used := make([]bool, len(bs.symbols.list))
	keys := make(map[int64][]bucketKey)
	for k, b := range bs.pieces {
		if err := mark(b, used); err != nil {
			return fmt.Errorf("costs at Unix time %d: %w", k.start, err)
		}
		keys[dayOf(k.start)] = append(keys[dayOf(k.start)], k)
	}
	bs.symbols.retain(used)
	for _, day := range slices.Sorted(maps.Keys(keys)) {
		bs.turnTo(day, keys[day], f.options.Endpoint.IsCosts())
	}
	return nil
}

// mark notes which texts an account from disk names, and looks whether it can be read.
func mark(b []byte, used []bool) error {
	ok := true
	use := func(name uint32) {
		if ok = ok && name < uint32(len(used)); ok {
			used[name] = true
		}
	}
	err := eachAmount(b, func(name uint32, _ Amounts) { use(name) }, func(item, unit uint32, _ Sale) {
		use(item)
		use(unit)
	})
	if err == nil && !ok {
		err = errAccount
	}
	return err
}
