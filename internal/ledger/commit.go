package ledger

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	bolt "go.etcd.io/bbolt"
	boltErrors "go.etcd.io/bbolt/errors"
)

// changes is what one commit writes of one feed. A nil value deletes.
type changes struct {
	feed    string
	gone    bool // forget everything, and the feed
	whole   bool // first forget everything
	clear   bool // first forget all buckets and folded label sets
	meta    *record
	series  map[uint32][]byte
	buckets map[bucketKey][]byte
	folded  map[uint64]int64 // 0 deletes
	books   bookChanges
}

// commit writes all changes or none, and returns the size of the file. whole is asked for everything that is to be in
// the file where a commit that failed has come through all the same.
func (s *store) commit(whole func() []*changes, all ...*changes) (size int64, err error) {
	if err := s.broken.get(); err != nil {
		return 0, err
	}
	err = s.guarded(func() error {
		if err := s.stay(); err != nil {
			return err
		}
		id := 0
		err := s.db.Update(func(tx *bolt.Tx) error {
			if id = tx.ID(); id != s.committed+1 {
				all = slices.Concat(whole(), all)
			}
			if err := commitAll(tx, all); err != nil {
				return err
			}
			size = tx.Size()
			return nil
		})
		if err != nil {
			return fmt.Errorf("commit: %w", err)
		}
		s.committed = id
		return nil
	})
	if err != nil {
		var told *StateError
		if !errors.As(err, &told) {
			err = s.failed(err)
		}
		return 0, err
	}
	return size, nil
}

// commitAll writes changes, and the names of the feeds where feeds come or go.
func commitAll(tx *bolt.Tx, all []*changes) error {
	var names *roster
	of := func() (*roster, error) {
		var err error
		if names == nil {
			names, err = readRoster(tx)
		}
		return names, err
	}
	for _, c := range all {
		if err := c.commit(tx, of); err != nil {
			return err
		}
	}
	if names == nil {
		return nil
	}
	return names.write(tx)
}

func (c *changes) commit(tx *bolt.Tx, names func() (*roster, error)) error {
	feeds := tx.Bucket(bucketFeeds)
	name := []byte(c.feed)
	if (c.whole || c.gone) && feeds.Bucket(name) != nil {
		if err := feeds.DeleteBucket(name); err != nil {
			return err
		}
	}
	if c.gone {
		r, err := names()
		if err == nil {
			r.delist(c.feed)
		}
		return err
	}
	feed, err := feeds.CreateBucketIfNotExists(name)
	if err != nil {
		return err
	}
	if feed.Get(keyTally) == nil {
		r, err := names()
		if err != nil {
			return err
		}
		r.enlist(c.feed)
	}
	return c.write(feed)
}

func (c *changes) write(feed *bolt.Bucket) error {
	if c.clear {
		for _, sub := range [][]byte{subBuckets, subFolded} {
			if err := feed.DeleteBucket(sub); err != nil && !errors.Is(err, boltErrors.ErrBucketNotFound) {
				return err
			}
		}
	}
	t, found, err := tallied(feed)
	if err == nil && (!found || c.clear) {
		t, err = count(feed)
	}
	if err != nil {
		return err
	}
	if c.meta != nil {
		v, err := json.Marshal(c.meta)
		if err == nil {
			err = t.put(feed, keyMeta, v)
		}
		if err != nil {
			return err
		}
	}
	err = errors.Join(
		fill(feed, subSeries, &t, c.series, func(id uint32) []byte { return binary.BigEndian.AppendUint32(nil, id) }, func(v []byte) []byte { return v }),
		fill(feed, subBuckets, &t, c.buckets, func(k bucketKey) []byte {
			return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(nil, uint64(k.start)), uint32(k.width))
		}, func(v []byte) []byte { return v }),
		fill(feed, subFolded, &t, c.folded, func(hash uint64) []byte { return binary.BigEndian.AppendUint64(nil, hash) }, func(seen int64) []byte {
			if seen == 0 {
				return nil
			}
			return binary.AppendVarint(nil, seen)
		}),
		c.books.write(func(name []byte) (*bolt.Bucket, error) { return feed.CreateBucketIfNotExists(name) }, t.put),
	)
	if err != nil {
		return err
	}
	v, err := json.Marshal(t)
	if err != nil {
		return err
	}
	return feed.Put(keyTally, seal(keyTally, v))
}

// put writes a value, or deletes it where it is nil, and keeps the tally.
func (t *tally) put(b *bolt.Bucket, key, value []byte) error {
	t.remove(b.Get(key))
	if value == nil {
		return b.Delete(key)
	}
	sealed := seal(key, value)
	t.add(sealed)
	return b.Put(key, sealed)
}

// fill writes the changes of one kind.
func fill[K comparable, V any](feed *bolt.Bucket, name []byte, t *tally, changes map[K]V, key func(K) []byte, value func(V) []byte) error {
	b, err := feed.CreateBucketIfNotExists(name)
	if err != nil {
		return err
	}
	for k, v := range changes {
		if err := t.put(b, key(k), value(v)); err != nil {
			return err
		}
	}
	return nil
}
