package ledger

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	bolt "go.etcd.io/bbolt"
	boltErrors "go.etcd.io/bbolt/errors"
)

// FileName is the name of the state file in the storage directory.
const FileName = "ledger.db"

// schema is the version of the layout below. A file of a newer schema is refused; migrations[n] takes one from n to n+1.
//
//	meta/schema                          decimal
//	feeds/<organization>\0<endpoint>/
//	    meta                             JSON of type meta
//	    series/<id>                      series.encode
//	    buckets/<start><width>           encodeCells
//	    folded/<hash>                    start of the newest bucket that has the folded label set
//
// Every value carries a checksum over its key and itself, since the database checks none of its data pages.
//
// Schema 2 added what is derived of rows, beside the buckets' cells and in series of its own. A file of schema 1 simply
// has none of it.
const schema = 2

var migrations = map[int]func(*bolt.Tx) error{
	1: func(*bolt.Tx) error { return nil },
}

var (
	bucketMeta   = []byte("meta")
	bucketFeeds  = []byte("feeds")
	subSeries    = []byte("series")
	subBuckets   = []byte("buckets")
	subFolded    = []byte("folded")
	keySchema    = []byte("schema")
	keyMeta      = []byte("meta")
	castagnoli   = crc32.MakeTable(crc32.Castagnoli)
	errChecksum  = errors.New("checksum mismatch")
	lockPatience = time.Second
)

// A StateError says that the state can't be used: what is wrong, where, and what to do.
type StateError struct {
	Path string
	Err  error
	Do   string
}

func (e *StateError) Error() string {
	return fmt.Sprintf("state file %s: %v; %s", e.Path, e.Err, e.Do)
}

func (e *StateError) Unwrap() error { return e.Err }

const doRestore = "restore it from a backup, or move it away to start counting from zero"

// store is the ledger's disk: an embedded database that commits whole transactions.
type store struct {
	path string
	db   *bolt.DB
}

// openStore opens or creates the state file. Whatever can't be read is refused, never replaced.
func openStore(dir string) (_ *store, err error) {
	path := filepath.Join(dir, FileName)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, &StateError{dir, err, "choose a directory that the exporter may write to with --storage.path"}
	}
	// The database maps the file and follows the pointers it finds there: a torn file can make it panic.
	defer func() {
		if p := recover(); p != nil {
			err = &StateError{path, fmt.Errorf("damaged: %v", p), doRestore}
		}
	}()
	db, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: lockPatience, FreelistType: bolt.FreelistMapType})
	switch {
	case errors.Is(err, boltErrors.ErrTimeout):
		return nil, &StateError{path, errors.New("another process is using it"), "stop that process, or give this one a directory of its own with --storage.path"}
	case errors.Is(err, fs.ErrPermission):
		return nil, &StateError{path, errors.New("permission denied"), "make the file and its directory writable for the user of this process"}
	case err != nil:
		return nil, &StateError{path, fmt.Errorf("damaged: %w", err), doRestore}
	}
	s := &store{path: path, db: db}
	if err := s.prepare(); err != nil {
		_ = db.Close() // The first error is the one to tell.
		return nil, err
	}
	return s, nil
}

// prepare checks the schema, migrates an older one and writes that of a new file.
func (s *store) prepare() error {
	return s.db.Update(func(tx *bolt.Tx) error {
		b, err := tx.CreateBucketIfNotExists(bucketMeta)
		if err != nil {
			return s.failed(err)
		}
		if _, err := tx.CreateBucketIfNotExists(bucketFeeds); err != nil {
			return s.failed(err)
		}
		version := schema
		if v := b.Get(keySchema); v != nil {
			if version, err = strconv.Atoi(string(v)); err != nil {
				return &StateError{s.path, fmt.Errorf("damaged: schema %q", v), doRestore}
			}
		}
		if version > schema {
			return &StateError{s.path, fmt.Errorf("written by a newer version (schema %d, this version knows %d)", version, schema), "run that version again, or move the file away to start counting from zero"}
		}
		for ; version < schema; version++ {
			migrate, ok := migrations[version]
			if !ok {
				return &StateError{s.path, fmt.Errorf("schema %d is unknown", version), doRestore}
			}
			if err := migrate(tx); err != nil {
				return &StateError{s.path, fmt.Errorf("migrate from schema %d: %w", version, err), doRestore}
			}
		}
		return b.Put(keySchema, []byte(strconv.Itoa(schema)))
	})
}

func (s *store) failed(err error) error {
	return &StateError{s.path, err, "free space on its disk and make it writable"}
}

func (s *store) close() error { return s.db.Close() }

// meta is what a feed knows besides its series and buckets. Times are Unix seconds of the API's clock.
type meta struct {
	Configured []string   `json:"configured"` // group_by of the configuration when Dropped was learned
	Dropped    []string   `json:"dropped,omitempty"`
	GroupBy    []string   `json:"group_by"` // the shape of the series and buckets held
	Layouts    [][]string `json:"layouts"`  // every list of measures that was ever written
	Start      string     `json:"start"`    // counters.start when the ledger started

	// Started is false until the first read is booked. Afresh: the shape changed, so that read is a baseline whatever
	// counters.start says.
	Started bool `json:"started"`
	Afresh  bool `json:"afresh,omitempty"`
	// StartedAt is when the first read was booked.
	StartedAt int64 `json:"started_at,omitempty"`
	// CountsFrom is where the counters' zero lies: the start that was asked for, or StartedAt where that was now.
	CountsFrom int64 `json:"counts_from,omitempty"`
	// Origin divides the buckets that are met for the first time: from it on they count in full, before it what the
	// API says at that moment is their baseline.
	Origin int64 `json:"origin"`
	// Settled is the time up to which polls have read every bucket at least a lookback after its end.
	Settled int64 `json:"settled"`
	// Final is the time up to which every window has left the buckets behind. A bucket before it that is met again,
	// because a window grew, is a baseline: it was folded into the totals.
	Final int64 `json:"final"`
	// ReadAt is when the newest read was made.
	ReadAt int64 `json:"read_at,omitempty"`
	// ReadThrough and Audited are the ends of the newest closed bucket read and the newest hour audited.
	ReadThrough int64  `json:"read_through"`
	Audited     int64  `json:"audited,omitempty"`
	NextID      uint32 `json:"next_id"`
}

// bucketKey identifies a bucket: its start and width in seconds.
type bucketKey struct{ start, width int64 }

// changes is what one commit writes of one feed. A nil value deletes.
type changes struct {
	feed    string
	clear   bool // first forget all buckets and folded label sets
	meta    *meta
	series  map[uint32][]byte
	buckets map[bucketKey][]byte
	folded  map[uint64]int64 // 0 deletes
}

func feedName(organization, endpoint string) string { return organization + "\x00" + endpoint }

// commit writes all changes or none, and returns the size of the file.
func (s *store) commit(all ...*changes) (size int64, err error) {
	err = s.db.Update(func(tx *bolt.Tx) error {
		feeds := tx.Bucket(bucketFeeds)
		for _, c := range all {
			feed, err := feeds.CreateBucketIfNotExists([]byte(c.feed))
			if err != nil {
				return err
			}
			if err := c.write(feed); err != nil {
				return err
			}
		}
		size = tx.Size()
		return nil
	})
	if err != nil {
		return 0, s.failed(fmt.Errorf("commit: %w", err))
	}
	return size, nil
}

func (c *changes) write(feed *bolt.Bucket) error {
	if c.clear {
		for _, sub := range [][]byte{subBuckets, subFolded} {
			if err := feed.DeleteBucket(sub); err != nil && !errors.Is(err, boltErrors.ErrBucketNotFound) {
				return err
			}
		}
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
	return nil
}

func put(b *bolt.Bucket, key, value []byte) error {
	if value == nil {
		return b.Delete(key)
	}
	sealed := make([]byte, 0, len(value)+crc32.Size)
	sealed = append(sealed, value...)
	return b.Put(key, binary.BigEndian.AppendUint32(sealed, checksum(key, value)))
}

func checksum(key, value []byte) uint32 {
	return crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, value)
}

// unseal returns a copy of a stored value, because the database's own memory ends with the transaction.
func unseal(key, sealed []byte) ([]byte, error) {
	n := len(sealed) - crc32.Size
	if n < 0 || checksum(key, sealed[:n]) != binary.BigEndian.Uint32(sealed[n:]) {
		return nil, errChecksum
	}
	return bytes.Clone(sealed[:n]), nil
}

// contents is all that is stored of a feed.
type contents struct {
	meta    meta
	series  map[uint32][]byte
	buckets map[bucketKey][]byte
	folded  map[uint64]int64
}

// load reads a feed; found is false if there is nothing of it yet.
func (s *store) load(name string) (c *contents, found bool, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%v", p)
		}
		if err != nil {
			err = &StateError{s.path, fmt.Errorf("damaged: %w", err), doRestore}
		}
	}()
	c = &contents{series: map[uint32][]byte{}, buckets: map[bucketKey][]byte{}, folded: map[uint64]int64{}}
	err = s.db.View(func(tx *bolt.Tx) error {
		feed := tx.Bucket(bucketFeeds).Bucket([]byte(name))
		if feed == nil {
			return nil
		}
		found = true
		v, err := unseal(keyMeta, feed.Get(keyMeta))
		if err != nil {
			return fmt.Errorf("meta of a feed: %w", err)
		}
		if err := json.Unmarshal(v, &c.meta); err != nil {
			return fmt.Errorf("meta of a feed: %w", err)
		}
		if err := each(feed, subSeries, 4, func(k, v []byte) error {
			c.series[binary.BigEndian.Uint32(k)] = v
			return nil
		}); err != nil {
			return err
		}
		if err := each(feed, subBuckets, 12, func(k, v []byte) error {
			c.buckets[bucketKey{int64(binary.BigEndian.Uint64(k)), int64(binary.BigEndian.Uint32(k[8:]))}] = v
			return nil
		}); err != nil {
			return err
		}
		return each(feed, subFolded, 8, func(k, v []byte) error {
			seen, n := binary.Varint(v)
			if n <= 0 {
				return errChecksum
			}
			c.folded[binary.BigEndian.Uint64(k)] = seen
			return nil
		})
	})
	return c, found, err
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
