package ledger

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"

	bolt "go.etcd.io/bbolt"
)

// contents is all that is stored of a feed.
type contents struct {
	meta    record
	series  []storedSeries // by id
	buckets []storedBucket // by start
	folded  map[uint64]int64
	books   storedBooks
}

type storedSeries struct {
	id uint32
	b  []byte
}

type storedBucket struct {
	bucketKey
	cells []byte
}

// load reads a feed; found is false if there is nothing of it yet.
func (s *store) load(name string) (c *contents, found bool, err error) {
	if err := s.broken.get(); err != nil {
		return nil, false, err
	}
	err = s.guarded(func() error {
		c, found, err = s.read(name)
		return err
	})
	var told *StateError
	if err != nil && !errors.As(err, &told) {
		err = &StateError{s.path, fmt.Errorf("damaged: %w", err), doRestore}
	}
	return c, found, err
}

func (s *store) read(name string) (c *contents, found bool, err error) {
	c = &contents{folded: map[uint64]int64{}}
	err = s.db.View(func(tx *bolt.Tx) error {
		names, err := s.names(tx)
		if err != nil {
			return err
		}
		feed := tx.Bucket(bucketFeeds).Bucket([]byte(name))
		if feed == nil {
			if names.has[name] {
				return errMissing
			}
			return nil
		}
		found = true
		v, err := unseal(keyMeta, feed.Get(keyMeta))
		if err != nil {
			return fmt.Errorf("metadata of an endpoint: %w", err)
		}
		if err := json.Unmarshal(v, &c.meta); err != nil {
			return fmt.Errorf("metadata of an endpoint: %w", err)
		}
		if err := each(feed, subSeries, 4, func(k, v []byte) error {
			c.series = append(c.series, storedSeries{binary.BigEndian.Uint32(k), v})
			return nil
		}); err != nil {
			return err
		}
		if err := each(feed, subBuckets, 12, func(k, v []byte) error {
			c.buckets = append(c.buckets, storedBucket{bucketKeyOf(k), v})
			return nil
		}); err != nil {
			return err
		}
		if err := each(feed, subFolded, 8, func(k, v []byte) error {
			seen, n := binary.Varint(v)
			if n <= 0 {
				return errChecksum
			}
			c.folded[binary.BigEndian.Uint64(k)] = seen
			return nil
		}); err != nil {
			return err
		}
		if err := c.books.read(feed); err != nil {
			return err
		}
		want, tallies, err := tallied(feed)
		if err != nil || !tallies {
			return err
		}
		got, err := count(feed)
		if err == nil && got != want {
			err = errMissing
		}
		return err
	})
	return c, found, err
}

// names are the names of the feeds that there are, read once for all that is loaded of one transaction.
func (s *store) names(tx *bolt.Tx) (*roster, error) {
	s.listing.Lock()
	defer s.listing.Unlock()
	if s.roster != nil && s.listedBy == tx.ID() {
		return s.roster, nil
	}
	r, err := readRoster(tx)
	if err != nil {
		return nil, err
	}
	s.roster, s.listedBy = r, tx.ID()
	return r, nil
}

func each(feed *bolt.Bucket, sub []byte, keySize int, yield func(k, v []byte) error) error {
	b := feed.Bucket(sub)
	if b == nil {
		return nil
	}
	return b.ForEach(func(k, sealed []byte) error {
		if len(k) != keySize {
			return fmt.Errorf("key in %s: %w", sub, errChecksum)
		}
		v, err := unseal(k, sealed)
		if err != nil {
			return fmt.Errorf("value in %s: %w", sub, err)
		}
		return yield(k, v)
	})
}
