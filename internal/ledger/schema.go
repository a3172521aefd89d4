package ledger

import (
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"
	"time"

	bolt "go.etcd.io/bbolt"
)

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
//	    books/<start><width>             account.encode
//	    names/<number>                   a text that the books name by its number
//
// Every value carries a checksum over its key and itself, since the database checks none of its data pages. What has
// gone missing leaves no checksum behind, and an old page that has come back is right in itself, so the names of the
// feeds and the sum of their checksums are kept, too.
//
// Schema 2 added what is derived of rows, beside the buckets' cells and in series of its own. A file of schema 1 simply
// has none of it. Schema 3 added the measures of a series that are held at zero, of which a file of schema 2 has none, and
// the books of money, which are made of its buckets when a feed is loaded.
const schema = 3

var migrations = map[int]func(*bolt.Tx) error{
	1: func(*bolt.Tx) error { return nil },
	2: func(*bolt.Tx) error { return nil },
}

var (
	bucketMeta   = []byte("meta")
	bucketFeeds  = []byte("feeds")
	subSeries    = []byte("series")
	subBuckets   = []byte("buckets")
	subFolded    = []byte("folded")
	subBooks     = []byte("books")
	subNames     = []byte("names")
	keySchema    = []byte("schema")
	keyMeta      = []byte("meta")
	keyFeeds     = []byte("feeds")
	keyTally     = []byte("tally")
	castagnoli   = crc32.MakeTable(crc32.Castagnoli)
	errChecksum  = errors.New("checksum mismatch")
	errMissing   = errors.New("entries are missing, or older than the rest")
	lockPatience = time.Second
)

var errSchema = errors.New("it has no schema version")

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
			return fmt.Errorf("the schema version %q is not a number", b.Get(keySchema))
		}
		return nil
	}); err != nil {
		return err
	}
	if version > schema {
		return &StateError{s.path, fmt.Errorf("it was written by a newer version of the exporter (schema %d, this version supports up to %d)", version, schema), "run that version again, or move the file away to start counting from zero"}
	}
	if version == schema {
		return nil
	}
	return s.db.Update(func(tx *bolt.Tx) error {
		for ; version < schema; version++ {
			migrate, ok := migrations[version]
			if !ok {
				return &StateError{s.path, fmt.Errorf("schema %d is not supported", version), doRestore}
			}
			if err := migrate(tx); err != nil {
				return &StateError{s.path, fmt.Errorf("migrate from schema %d: %w", version, err), doRestore}
			}
		}
		return tx.Bucket(bucketMeta).Put(keySchema, []byte(strconv.Itoa(schema)))
	})
}
