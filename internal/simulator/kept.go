package simulator

import (
	"bytes"
	"sync"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/api"
)

// kept are buckets that can't change any more, as they were printed. All are forgotten when they take too much room: they
// can always be printed again.
type kept struct {
	mu         sync.Mutex
	room, used int // in bytes
	buckets    map[printed][]byte
}

// A printed says what a bucket, or all of an hour, was printed of and how.
type printed struct {
	g          *grouping
	start, end int64
	width      int64
	resultKey  string
	strings    bool
}

func (k *kept) get(of printed) []byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.buckets[of]
}

func (k *kept) put(of printed, bucket []byte) {
	if len(bucket) > min(chunk, k.room) {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.used += len(bucket); k.buckets == nil || k.used > k.room {
		k.buckets, k.used = map[printed][]byte{}, len(bucket)
	}
	k.buckets[of] = bytes.Clone(bucket)
}

// settles is how long after the end of a bucket what it says is final.
func (v *view) settles(e *api.Endpoint, r *reading) int64 {
	if e.IsCosts() {
		return v.billSettles()
	}
	return r.settled
}

// billSettles is how long after the end of a day its bill is final.
func (v *view) billSettles() int64 {
	return int64(v.o.Lateness.Costs/time.Second) + int64(v.o.Restate.costsUntil()/time.Second)
}

// hourOfBuckets prints all buckets of an hour that begins, where they are narrower than it and final, and returns how many.
func (p *printer) hourOfBuckets(r *reading, start, bound, most int64) int64 {
	const hour = 3600
	width := int64(p.q.width.Duration / time.Second)
	if p.v.cache.kept.room == 0 || width >= hour || start%hour != 0 || start+hour > bound || hour/width > most || start+hour+r.settled > r.asOf {
		return 0
	}
	p.keep(start, start+hour, func() {
		for at := start; at < start+hour; at += width {
			if at > start {
				p.b = append(p.b, ',')
			}
			p.newBucket(r, at, at+width)
		}
	})
	return hour / width
}

// bucket prints a bucket, or what was kept of it when it was printed before.
func (p *printer) bucket(r *reading, start, end int64) {
	if p.v.cache.kept.room == 0 || end+p.v.settles(p.q.endpoint, r) > r.asOf {
		p.newBucket(r, start, end)
		return
	}
	p.keep(start, end, func() { p.newBucket(r, start, end) })
}

// keep prints what is final, and keeps it unless it is larger than a part that is written.
func (p *printer) keep(start, end int64, write func()) {
	k := &p.v.cache.kept
	of := printed{p.g, start, end, int64(p.q.width.Duration), p.v.o.ResultKey, p.v.o.StringAmounts}
	if b := k.get(of); b != nil {
		p.b = append(p.b, b...)
		return
	}
	if len(p.b) > chunk/4 {
		p.flush()
	}
	at, parts := len(p.b), p.parts
	write()
	if p.parts == parts {
		k.put(of, p.b[at:])
	}
}
