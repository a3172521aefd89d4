package ledger

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"slices"

	bolt "go.etcd.io/bbolt"
)

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

// A tally is the number of a feed's entries on disk and the sum of their checksums. It shows when an entry is missing or old,
// which the checksum of the entry itself can't show.
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

// count computes the tally from the entries.
func count(feed *bolt.Bucket) (t tally, err error) {
	t.add(feed.Get(keyMeta))
	for _, sub := range [][]byte{subSeries, subBuckets, subFolded, subBooks, subNames} {
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

// tallied reads the tally that is stored. A feed that an older version wrote has none.
func tallied(feed *bolt.Bucket) (t tally, found bool, err error) {
	sealed := feed.Get(keyTally)
	if sealed == nil {
		return t, false, nil
	}
	v, err := unseal(keyTally, sealed)
	if err == nil {
		err = json.Unmarshal(v, &t)
	}
	if err != nil {
		return t, true, fmt.Errorf("number of entries of an endpoint: %w", err)
	}
	return t, true, nil
}

// A roster is the names of the feeds that there are as a transaction finds and leaves them. With thousands of feeds it is
// large, so it is read and written once for all of them.
type roster struct {
	names   []string
	has     map[string]bool // by all of names; false for one that goes
	changed bool
}

func readRoster(tx *bolt.Tx) (*roster, error) {
	names, err := listed(tx)
	if err != nil {
		return nil, err
	}
	r := &roster{names: names, has: make(map[string]bool, len(names))}
	for _, name := range names {
		r.has[name] = true
	}
	return r, nil
}

// enlist adds a feed.
func (r *roster) enlist(name string) {
	if r.has[name] {
		return
	}
	if _, goes := r.has[name]; !goes {
		r.names = append(r.names, name)
	}
	r.has[name], r.changed = true, true
}

// delist takes a feed off.
func (r *roster) delist(name string) {
	if r.has[name] {
		r.has[name], r.changed = false, true
	}
}

// write writes the names, if they have changed.
func (r *roster) write(tx *bolt.Tx) error {
	if !r.changed {
		return nil
	}
	return list(tx, slices.DeleteFunc(r.names, func(name string) bool { return !r.has[name] }))
}

// list writes the names of the feeds that there are.
func list(tx *bolt.Tx, names []string) error {
	v, err := json.Marshal(names)
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
		return nil, fmt.Errorf("list of endpoints: %w", err)
	}
	return names, nil
}
