package simulator

import (
	"maps"
	"net/url"
	"slices"
	"sync"
	"time"
)

// A Request is one request that the API got. The key is not kept.
type Request struct {
	Time     time.Time // by the API's clock
	Endpoint string    // the endpoint table's name or the look-up's, empty for a path that the API does not have
	Path     string
	Query    url.Values
	Status   int    // 0 where the client got none
	Fault    string // what befell it: throttle, server_error, gateway, empty, torn, reset, slow; empty for none
}

const keptRequests = 4096

type requestLog struct {
	mu     sync.Mutex
	recent []Request // a ring once it is full
	next   int
	counts map[string]map[int]int
}

func (l *requestLog) add(r Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.recent) < keptRequests {
		l.recent = append(l.recent, r)
	} else {
		l.recent[l.next] = r
		l.next = (l.next + 1) % keptRequests
	}
	if l.counts == nil {
		l.counts = make(map[string]map[int]int)
	}
	if l.counts[r.Endpoint] == nil {
		l.counts[r.Endpoint] = make(map[int]int)
	}
	l.counts[r.Endpoint][r.Status]++
}

// Requests are the last 4096 requests, oldest first.
func (s *Simulator) Requests() []Request {
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	return slices.Concat(s.log.recent[s.log.next:], s.log.recent[:s.log.next])
}

// Counts are how many requests each endpoint got, by the status it answered with; 0 is no answer.
func (s *Simulator) Counts() map[string]map[int]int {
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	out := make(map[string]map[int]int, len(s.log.counts))
	for e, c := range s.log.counts {
		out[e] = maps.Clone(c)
	}
	return out
}
