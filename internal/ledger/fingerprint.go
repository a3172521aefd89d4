package ledger

import (
	"fmt"
	"time"
)

// A Fingerprint tells the bytes of a bucket, as the API has sent them, from all others. A bucket that comes with the bytes of its
// last read has the rows that are on record, and need not be decoded to be compared with them. Prints are of one process.
type Fingerprint struct {
	Size int
	Sums [2]uint64
	// What is noted of the rows: how many there are, which columns have a value, and the organization they are of.
	Rows         int
	Filled       Set
	Organization string
}

// Recorded is the fingerprint of the bucket that starts at start, if what is on record is what was read then.
func (r *Read) Recorded(start time.Time) (Fingerprint, bool) {
	return r.Window.fingerprints.at(start.Unix())
}

// Same adds a bucket that has the bytes of its fingerprint.
func (r *Read) Same(start time.Time, p Fingerprint) {
	r.Bucket(start)
	b := &r.buckets[r.open]
	b.same, b.fingerprint, b.rows = true, p, nil
}

// Fingerprint notes that of the open bucket, after its last row.
func (r *Read) Fingerprint(p Fingerprint) { r.buckets[r.open].fingerprint = p }

// Fingerprints are those of the buckets of a window.
type fingerprints struct {
	from, width int64
	list        []*Fingerprint // nil for a bucket that has none
}

func (f *fingerprints) at(start int64) (Fingerprint, bool) {
	if f.width == 0 || start < f.from || mod(start-f.from, f.width) != 0 {
		return Fingerprint{}, false
	}
	if i := (start - f.from) / f.width; i < int64(len(f.list)) && f.list[i] != nil {
		return *f.list[i], true
	}
	return Fingerprint{}, false
}

// fingerprintsOf are the fingerprints of the buckets of a width in a time.
func (f *Feed) fingerprintsOf(from, to, width int64) fingerprints {
	out := fingerprints{from: from, width: width}
	if len(f.fingerprints) == 0 {
		return out
	}
	for start := from; start < to; start += width {
		out.list = append(out.list, f.fingerprints[bucketKey{start, width}])
	}
	return out
}

// stands says whether what a read takes for being on record is there.
func (f *Feed) stands(r *Read) error {
	for i := range r.buckets {
		b := &r.buckets[i]
		if !b.same {
			continue
		}
		if p := f.fingerprints[bucketKey{b.start.Unix(), seconds(r.Window.Width.Duration)}]; p == nil || *p != b.fingerprint {
			return fmt.Errorf("the recorded bucket %s has changed while the API was being read: the next poll reads it again", b.start.UTC().Format(time.RFC3339))
		}
	}
	return nil
}

// fingerprint notes the fingerprints of buckets that were taken over.
func (st *stage) fingerprint(read []readBucket, width int64) {
	for i := range read {
		b := &read[i]
		if b.fingerprint.Size == 0 {
			continue
		}
		k := bucketKey{b.start.Unix(), width}
		p := st.f.fingerprints[k]
		if p == nil || *p != b.fingerprint {
			p = new(b.fingerprint)
		}
		st.fingerprints[k] = p
	}
}

// installFingerprints follows what is on record.
func (st *stage) installFingerprints() {
	f := st.f
	for k := range st.buckets {
		delete(f.fingerprints, k)
	}
	for k, p := range st.fingerprints {
		if cells, staged := st.buckets[k]; !staged || cells != nil {
			f.fingerprints[k] = p
		}
	}
}
