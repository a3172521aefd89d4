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
	if s.broken != nil {
		return 0, s.broken
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
			for _, c := range all {
				if err := c.commit(tx); err != nil {
					return err
				}
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

func (c *changes) commit(tx *bolt.Tx) error {
	feeds := tx.Bucket(bucketFeeds)
	name := []byte(c.feed)
	if c.whole && feeds.Bucket(name) != nil {
		if err := feeds.DeleteBucket(name); err != nil {
			return err
		}
	}
	feed, err := feeds.CreateBucketIfNotExists(name)
	if err == nil && feed.Get(keyTally) == nil {
		err = enlist(tx, c.feed)
	}
	if err != nil {
		return err
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
	t, kept, err := tallied(feed)
	if err == nil && (!kept || c.clear) {
		t, err = count(feed)
	}
	if err != nil {
		return err
	}
	put := func(b *bolt.Bucket, key, value []byte) error {
		t.remove(b.Get(key))
		if value == nil {
			return b.Delete(key)
		}
		sealed := seal(key, value)
		t.add(sealed)
		return b.Put(key, sealed)
	}
	if c.meta != nil {
		v, err := json.Marshal(c.meta)
		if err != nil {
			return err
		}
		if err := put(feed, keyMeta, v); err != nil {
			return err
		}
	}
	sub := func(name []byte) (*bolt.Bucket, error) { return feed.CreateBucketIfNotExists(name) }
	b, err := sub(subSeries)
	if err != nil {
		return err
	}
	for id, v := range c.series {
		if err := put(b, binary.BigEndian.AppendUint32(nil, id), v); err != nil {
			return err
		}
	}
	if b, err = sub(subBuckets); err != nil {
		return err
	}
	for k, v := range c.buckets {
		key := binary.BigEndian.AppendUint64(nil, uint64(k.start))
		key = binary.BigEndian.AppendUint32(key, uint32(k.width))
		if err := put(b, key, v); err != nil {
			return err
		}
	}
	if b, err = sub(subFolded); err != nil {
		return err
	}
	for hash, seen := range c.folded {
		var v []byte
		if seen != 0 {
			v = binary.AppendVarint(nil, seen)
		}
		if err := put(b, binary.BigEndian.AppendUint64(nil, hash), v); err != nil {
			return err
		}
	}
	if err := c.books.write(sub, put); err != nil {
		return err
	}
	v, err := json.Marshal(t)
	if err != nil {
		return err
	}
	return feed.Put(keyTally, seal(keyTally, v))
}
