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
	"runtime/debug"
	"slices"
	"strconv"
	"syscall"
	"time"

	bolt "go.etcd.io/bbolt"
	boltErrors "go.etcd.io/bbolt/errors"
)

// FileName is the name of the state file in the storage directory.
const FileName = "ledger.db"

// schema is the version of the layout below. A file of a newer schema is refused; migrations[n] takes one from n to n+1.
//
//	meta/schema                          decimal
//	meta/feeds                           JSON, the names of all feeds
//	feeds/<organization>\0<endpoint>/
//	    meta                             JSON of type meta
//	    tally                            JSON of type tally
//	    series/<id>                      series.encode
//	    buckets/<start><width>           encodeCells
//	    folded/<hash>                    start of the newest bucket that has the folded label set
//
// Every value carries a checksum over its key and itself, since the database checks none of its data pages. What has
// gone missing leaves no checksum behind, and an old page that has come back is right in itself, so the names of the
// feeds and the sum of their checksums are kept, too.
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
	keyFeeds     = []byte("feeds")
	keyTally     = []byte("tally")
	castagnoli   = crc32.MakeTable(crc32.Castagnoli)
	errChecksum  = errors.New("checksum mismatch")
	errMissing   = errors.New("something is missing, or of another time than the rest")
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

const (
	doRestore = "restore it from a backup, or move it away to start counting from zero"
	doFree    = "free space on its disk and make it writable"
)

// store is the ledger's disk: an embedded database that commits whole transactions.
type store struct {
	path string
	db   *bolt.DB
	file fs.FileInfo // what the path named when the database was opened
	// committed is the transaction that was committed last. Where the file has another one, a commit that failed has
	// come through all the same.
	committed int
	broken    error // set once the database can't be asked any more
}

var databaseOptions = bolt.Options{Timeout: lockPatience, FreelistType: bolt.FreelistMapType}

// openStore opens or creates the state file. Whatever can't be read is refused, never replaced.
func openStore(dir string) (_ *store, err error) {
	s := &store{path: filepath.Join(dir, FileName)}
	if err := makeDir(dir); err != nil {
		return nil, &StateError{dir, err, "choose a directory that the exporter may write to with --storage.path"}
	}
	err = create(s.path)
	if err == nil {
		err = s.open()
	}
	if err != nil {
		return nil, s.told(err)
	}
	tidy(s.path)
	return s, nil
}

// told is the error as the operator is to read it.
func (s *store) told(err error) error {
	var told *StateError
	switch {
	case errors.As(err, &told):
		return told
	case errors.Is(err, boltErrors.ErrTimeout):
		return &StateError{s.path, errors.New("another process is using it"), "stop that process, or give this one a directory of its own with --storage.path"}
	case errors.Is(err, fs.ErrPermission):
		return &StateError{s.path, errors.New("permission denied"), "make the file and its directory writable for the user of this process"}
	case errors.As(err, new(syscall.Errno)):
		return s.failed(err)
	default:
		return &StateError{s.path, fmt.Errorf("damaged: %w", err), doRestore}
	}
}

// open opens the file that is there, checks it and brings it up to date.
func (s *store) open() error {
	options := databaseOptions
	var file *os.File
	options.OpenFile = func(name string, flag int, mode fs.FileMode) (_ *os.File, err error) {
		file, err = os.OpenFile(name, flag, mode)
		return file, err
	}
	err := s.guarded(func() (err error) {
		if s.db, err = bolt.Open(s.path, 0o600, &options); err != nil {
			return err
		}
		if s.file, err = file.Stat(); err != nil {
			return err
		}
		if err := inspect(file, s.file.Size()); err != nil {
			return err
		}
		if err := s.prepare(); err != nil {
			return err
		}
		s.committed, err = s.newest()
		return err
	})
	// The first error is the one to tell.
	switch {
	case s.broken != nil:
		_ = file.Close() // It gives up the lock. What the database has mapped ends with the process.
	case err != nil && s.db != nil:
		_ = s.db.Close()
	}
	return err
}

// newest is the newest transaction that is in the file.
func (s *store) newest() (id int, err error) {
	return id, s.db.View(func(tx *bolt.Tx) error {
		id = tx.ID()
		return nil
	})
}

// guarded makes an error of a panic. The database maps the file and follows the pointers it finds there: a damaged file
// can make it panic, or read where there is nothing. Its locks may be held then, so that nothing can be asked of it.
func (s *store) guarded(f func() error) (err error) {
	before := debug.SetPanicOnFault(true)
	defer func() {
		debug.SetPanicOnFault(before)
		if p := recover(); p != nil {
			err = &StateError{s.path, fmt.Errorf("damaged: %v", p), doRestore}
			s.broken = err
		}
	}()
	return f()
}

var errSchema = errors.New("it has no schema")

// prepare checks the schema and migrates an older one. It writes only then, so that a full disk is no hindrance.
func (s *store) prepare() error {
	version := 0
	if err := s.db.View(func(tx *bolt.Tx) error {
		b := tx.Bucket(bucketMeta)
		if b == nil || tx.Bucket(bucketFeeds) == nil || b.Get(keySchema) == nil {
			return errSchema
		}
		var err error
		if version, err = strconv.Atoi(string(b.Get(keySchema))); err != nil {
			return fmt.Errorf("schema %q", b.Get(keySchema))
		}
		return nil
	}); err != nil {
		return err
	}
	if version > schema {
		return &StateError{s.path, fmt.Errorf("written by a newer version (schema %d, this version knows %d)", version, schema), "run that version again, or move the file away to start counting from zero"}
	}
	if version == schema {
		return nil
	}
	return s.db.Update(func(tx *bolt.Tx) error {
		for ; version < schema; version++ {
			migrate, ok := migrations[version]
			if !ok {
				return &StateError{s.path, fmt.Errorf("schema %d is unknown", version), doRestore}
			}
			if err := migrate(tx); err != nil {
				return &StateError{s.path, fmt.Errorf("migrate from schema %d: %w", version, err), doRestore}
			}
		}
		return tx.Bucket(bucketMeta).Put(keySchema, []byte(strconv.Itoa(schema)))
	})
}

func (s *store) failed(err error) error {
	return &StateError{s.path, err, doFree}
}

func (s *store) close() error {
	if s.broken != nil {
		return s.broken // Its locks would be waited for.
	}
	return s.db.Close()
}

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
	// Fixed: counting starts at a given time. What lies before the origin never counts then, whenever it comes, so that
	// everybody who starts at the same time counts the same. A state of an older version does not say so and goes on as
	// it began.
	Fixed bool `json:"fixed,omitempty"`
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
	whole   bool // first forget everything
	clear   bool // first forget all buckets and folded label sets
	meta    *meta
	series  map[uint32][]byte
	buckets map[bucketKey][]byte
	folded  map[uint64]int64 // 0 deletes
}

func feedName(organization, endpoint string) string { return organization + "\x00" + endpoint }

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

// enlist adds a feed to the names of those that there are.
func enlist(tx *bolt.Tx, name string) error {
	names, err := listed(tx)
	if err != nil || slices.Contains(names, name) {
		return err
	}
	v, err := json.Marshal(append(names, name))
	if err != nil {
		return err
	}
	return tx.Bucket(bucketMeta).Put(keyFeeds, seal(keyFeeds, v))
}

func listed(tx *bolt.Tx) (names []string, err error) {
	sealed := tx.Bucket(bucketMeta).Get(keyFeeds)
	if sealed == nil {
		return nil, nil
	}
	v, err := unseal(keyFeeds, sealed)
	if err == nil {
		err = json.Unmarshal(v, &names)
	}
	if err != nil {
		return nil, fmt.Errorf("names of the feeds: %w", err)
	}
	return names, nil
}

// A tally is of the entries of a feed.
type tally struct {
	Entries int    `json:"entries"`
	Sum     uint64 `json:"sum"` // of their checksums
}

func (t *tally) add(sealed []byte) {
	if len(sealed) >= crc32.Size {
		t.Entries++
		t.Sum += uint64(binary.BigEndian.Uint32(sealed[len(sealed)-crc32.Size:]))
	}
}

func (t *tally) remove(sealed []byte) {
	if len(sealed) >= crc32.Size {
		t.Entries--
		t.Sum -= uint64(binary.BigEndian.Uint32(sealed[len(sealed)-crc32.Size:]))
	}
}

// count makes the tally of what there is.
func count(feed *bolt.Bucket) (t tally, err error) {
	t.add(feed.Get(keyMeta))
	for _, sub := range [][]byte{subSeries, subBuckets, subFolded} {
		if b := feed.Bucket(sub); b != nil {
			if err := b.ForEach(func(_, sealed []byte) error {
				t.add(sealed)
				return nil
			}); err != nil {
				return t, err
			}
		}
	}
	return t, nil
}

// tallied is the tally that was kept. A feed that was written before there were any has none.
func tallied(feed *bolt.Bucket) (t tally, kept bool, err error) {
	sealed := feed.Get(keyTally)
	if sealed == nil {
		return t, false, nil
	}
	v, err := unseal(keyTally, sealed)
	if err == nil {
		err = json.Unmarshal(v, &t)
	}
	if err != nil {
		return t, true, fmt.Errorf("tally of a feed: %w", err)
	}
	return t, true, nil
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
	v, err := json.Marshal(t)
	if err != nil {
		return err
	}
	return feed.Put(keyTally, seal(keyTally, v))
}

// seal adds the checksum.
func seal(key, value []byte) []byte {
	sealed := make([]byte, 0, len(value)+crc32.Size)
	sealed = append(sealed, value...)
	return binary.BigEndian.AppendUint32(sealed, checksum(key, value))
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
	if s.broken != nil {
		return nil, false, s.broken
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
	c = &contents{series: map[uint32][]byte{}, buckets: map[bucketKey][]byte{}, folded: map[uint64]int64{}}
	err = s.db.View(func(tx *bolt.Tx) error {
		names, err := listed(tx)
		if err != nil {
			return err
		}
		feed := tx.Bucket(bucketFeeds).Bucket([]byte(name))
		if feed == nil {
			if slices.Contains(names, name) {
				return errMissing
			}
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
		want, kept, err := tallied(feed)
		if err != nil || !kept {
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
