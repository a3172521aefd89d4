//go:build !race

package simulation_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/api"
)

// A spoiler stands before a simulator and answers now and then as the API does when something behind it is broken:
// in ways that a share of faults cannot describe, because each of them concerns one answer at one moment.
type spoiler struct {
	sim http.Handler
	now func() time.Time

	mu sync.Mutex
	// holes is how many answers of an endpoint will lack a bucket in their middle.
	holes map[string]int
	// empty is until when an endpoint answers without any bucket.
	empty map[string]time.Time
	// wrongDate is by how much the Date of the next answer is wrong; gateway says that it is a gateway's page.
	wrongDate time.Duration
	gateway   bool
	// refused is until when an endpoint answers 404.
	refused map[string]time.Time
	spoiled int
}

func newSpoiler(sim http.Handler, now func() time.Time) *spoiler {
	return &spoiler{sim: sim, now: now, holes: map[string]int{}, empty: map[string]time.Time{}, refused: map[string]time.Time{}}
}

func (s *spoiler) change(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

// heal ends everything that was arranged.
func (s *spoiler) heal() {
	s.change(func() {
		clear(s.holes)
		clear(s.empty)
		clear(s.refused)
		s.wrongDate = 0
	})
}

func endpointOf(path string) string {
	for i := range api.Endpoints {
		if strings.HasSuffix(path, api.Endpoints[i].Path) {
			return api.Endpoints[i].Name
		}
	}
	return ""
}

// A lot is what befalls one request.
type lot struct {
	hole, empty, missing, gateway bool
	wrongDate                     time.Duration
}

func (s *spoiler) draw(endpoint string) lot {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	l := lot{wrongDate: s.wrongDate, gateway: s.gateway && s.wrongDate != 0}
	s.wrongDate = 0
	l.empty = now.Before(s.empty[endpoint])
	l.missing = now.Before(s.refused[endpoint])
	if s.holes[endpoint] > 0 {
		s.holes[endpoint]--
		l.hole = true
	}
	if l != (lot{}) {
		s.spoiled++
	}
	return l
}

func (s *spoiler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	endpoint := endpointOf(r.URL.Path)
	if endpoint == "" {
		s.sim.ServeHTTP(w, r)
		return
	}
	l := s.draw(endpoint)
	if l == (lot{}) {
		s.sim.ServeHTTP(w, r)
		return
	}
	if l.gateway {
		w.Header().Set("Date", s.now().Add(l.wrongDate).UTC().Format(http.TimeFormat))
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(http.StatusBadGateway)
		_, _ = w.Write([]byte("<html><body>502 Bad Gateway</body></html>"))
		return
	}
	if l.missing {
		w.Header().Set("Date", s.now().UTC().Format(http.TimeFormat))
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write([]byte(`{"error":{"message":"Invalid URL","type":"invalid_request_error","param":null,"code":null}}`))
		return
	}
	answer := httptest.NewRecorder()
	s.sim.ServeHTTP(answer, r) // A fault's abort passes through as the panic that it is.
	for name, values := range answer.Header() {
		w.Header()[name] = values
	}
	body := answer.Body.Bytes()
	if answer.Code == http.StatusOK && (l.hole || l.empty) {
		body = without(body, l.empty)
		w.Header().Del("Content-Length")
	}
	if l.wrongDate != 0 {
		w.Header().Set("Date", s.now().Add(l.wrongDate).UTC().Format(http.TimeFormat))
	}
	w.WriteHeader(answer.Code)
	_, _ = w.Write(body)
}

// without takes a bucket out of the middle of a page, or all of them.
func without(body []byte, all bool) []byte {
	var page map[string]json.RawMessage
	var buckets []json.RawMessage
	if json.Unmarshal(body, &page) != nil || json.Unmarshal(page["data"], &buckets) != nil {
		return body
	}
	switch {
	case all:
		buckets, page["has_more"], page["next_page"] = []json.RawMessage{}, []byte("false"), []byte("null")
	case len(buckets) >= 3:
		at := len(buckets) / 2
		buckets = append(buckets[:at:at], buckets[at+1:]...)
	}
	data, err := json.Marshal(buckets)
	if err != nil {
		return body
	}
	page["data"] = data
	out, err := json.Marshal(page)
	if err != nil {
		return body
	}
	return bytes.TrimSpace(out)
}
