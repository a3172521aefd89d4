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

// A printed says what a bucket was printed of and how.
type printed struct {
	g          *grouping
	start, end int64
	resultKey  string
	strings    bool
}

// largestKept is the largest bucket that is kept: a few large ones would drive out all others.
const largestKept = 16 << 10

func (k *kept) get(of printed) []byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.buckets[of]
}

func (k *kept) put(of printed, bucket []byte) {
	if len(bucket) > min(largestKept, k.room) {
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
