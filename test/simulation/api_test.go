//go:build !race

package simulation_test

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"hash/fnv"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/simulator"
)

// A spoiler stands before a simulator and answers now and then as the API does when something behind it is broken:
// in ways that a share of faults cannot describe, because each of them concerns one answer at one moment. It also keeps
// what each page said when, since a read of several pages is as of several moments.
type spoiler struct {
	sim  *simulator.Simulator
	seed uint64

	mu sync.Mutex
	// holes is how many answers of an endpoint will lack a bucket in their middle.
	holes map[string]int
	// empty is until when an endpoint answers without any bucket, refused until when with 404.
	empty, refused map[string]time.Time
	// forgotten is how far back an endpoint knows anything; it refuses what begins earlier.
	forgotten map[string]time.Duration
	// wrongDate is by how much the Date of the next answer is wrong; gateway says that it is a gateway's page.
	wrongDate time.Duration
	gateway   bool
	// drift is by how much the Date of every answer is wrong until it is over.
	drift      time.Duration
	driftsTill time.Time
	// mangled is what becomes of an endpoint's answers, and until when.
	mangled map[string]mangling
	// lists is how the list of rows that a bucket does not use is there beside the one that it does.
	lists int
	// another is the organization whose key this one's file holds by mistake, until it is nil again. What tells an
	// organization for certain is the bill, so it is asked first: condemned is when its answer was refused.
	another   *spoiler
	condemned time.Time
	// unsure: the verdict may have been lost with the process. Polls are answered by the organization itself until the bill
	// condemns again, audits are not.
	unsure bool
	wires  map[string]*wire
}

// A wire is what was seen of an endpoint's polls, or of its audits.
type wire struct {
	flying int
	begun  time.Time // when the newest request came
	ended  time.Time // when the newest answer was given
	status int       // of the newest answer; 0 where there was none
	leave  time.Time // until when the API has asked to be left alone
	slow   time.Time // until when it is left alone since it was refused for good, over a reload too
	early  int       // requests that came before either
	pages  []page    // of the newest read
}

// A page is where a page begins, the moment that its data is as of, and what it lacks.
type page struct {
	start, at, hole int64
	empty           bool
}

func newSpoiler(sim *simulator.Simulator, seed uint64) *spoiler {
	return &spoiler{sim: sim, seed: seed, holes: map[string]int{}, empty: map[string]time.Time{}, refused: map[string]time.Time{}, forgotten: map[string]time.Duration{}, mangled: map[string]mangling{}, wires: map[string]*wire{}}
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
		clear(s.forgotten)
		clear(s.mangled)
		s.wrongDate, s.drift, s.another = 0, 0, nil
	})
}

// condemn takes note that an answer was refused as another organization's.
func (s *spoiler) condemn(e *api.Endpoint) {
	s.change(func() {
		if e.IsCosts() && s.condemned.IsZero() {
			s.condemned = time.Now()
		}
		s.unsure = s.unsure && !e.IsCosts()
	})
}

// wire returns what was seen of an endpoint. The lock must be held.
func (s *spoiler) wire(endpoint string, audit bool) *wire {
	key := endpoint + map[bool]string{true: " audits"}[audit]
	if s.wires[key] == nil {
		s.wires[key] = &wire{}
	}
	return s.wires[key]
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
	hole, empty, missing, forgotten, gateway bool
	wrongDate                                time.Duration
	mangle                                   func(endpoint string, body []byte) []byte
	misled                                   bool
	lists                                    int
	another                                  *spoiler
	keyed                                    bool // the request has the key of another organization
}

func (s *spoiler) draw(endpoint string, start int64, audit bool) lot {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.sim.Now()
	l := lot{wrongDate: s.wrongDate, gateway: s.gateway && s.wrongDate != 0}
	s.wrongDate = 0
	if l.wrongDate == 0 && now.Before(s.driftsTill) {
		l.wrongDate = s.drift
	}
	l.empty, l.missing = now.Before(s.empty[endpoint]), now.Before(s.refused[endpoint])
	l.forgotten = s.forgotten[endpoint] > 0 && start < now.Add(-s.forgotten[endpoint]).Unix()
	l.lists = s.lists
	if m, ok := s.mangled[endpoint]; ok && now.Before(m.until) {
		l.mangle, l.misled = m.do, m.do == nil
	}
	if l.keyed = s.another != nil; l.keyed && (endpoint == api.Costs || !s.condemned.IsZero() && (audit || !s.unsure)) {
		l.another = s.another
		// A read that has begun ends with an error, so that it has not pages of both.
		l.gateway = l.gateway || time.Since(s.condemned) < time.Minute
	}
	if s.holes[endpoint] > 0 && !l.missing && !l.empty && !l.gateway && !l.forgotten {
		s.holes[endpoint]--
		l.hole = true
	}
	return l
}

// latency is how long an answer takes: up to a second, and never twice the same, so that no two things happen in one
// instant and the order of all is the same each time.
func (s *spoiler) latency(r *http.Request) time.Duration {
	h := fnv.New64a()
	_ = binary.Write(h, binary.LittleEndian, []int64{int64(s.seed), time.Now().UnixNano()}) // A hash never fails.
	_, _ = h.Write([]byte(r.URL.Path + r.URL.RawQuery))
	return time.Duration(h.Sum64() % uint64(time.Second))
}

func (s *spoiler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	endpoint := endpointOf(r.URL.Path)
	q := r.URL.Query()
	start, _ := strconv.ParseInt(q.Get("start_time"), 10, 64)
	if b, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(q.Get("page"), "page_")); err == nil && len(b) == 20 {
		start = int64(binary.BigEndian.Uint64(b[12:]))
	}
	audit := q.Has("end_time")
	if endpoint != "" {
		s.change(func() {
			x := s.wire(endpoint, audit)
			x.flying++
			x.begun = time.Now()
			if x.begun.Before(x.leave) || x.begun.Before(x.slow) {
				x.early++
			}
		})
	}
	status := 0
	defer func() {
		if endpoint != "" {
			s.change(func() {
				x := s.wire(endpoint, audit)
				x.flying--
				x.ended, x.status = time.Now(), status
			})
		}
	}()
	select {
	case <-time.After(s.latency(r)):
	case <-r.Context().Done():
		panic(http.ErrAbortHandler)
	}
	if endpoint == "" {
		s.sim.Handler().ServeHTTP(w, r)
		return
	}
	status = s.answer(w, r, endpoint, audit, q.Get("page") == "", start)
}

// answers are what answers are held in before they are changed.
var answers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// answer answers a request for usage or costs, and returns the status.
func (s *spoiler) answer(w http.ResponseWriter, r *http.Request, endpoint string, audit, first bool, start int64) int {
	l := s.draw(endpoint, start, audit)
	dated := func() {
		w.Header().Set("Date", s.sim.Now().Add(l.wrongDate).UTC().Format(http.TimeFormat))
	}
	refuse := func(status int, body string) int {
		dated()
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body)) // A client that has gone is no concern here.
		return status
	}
	switch {
	case l.gateway:
		return refuse(http.StatusBadGateway, "<html><body>502 Bad Gateway</body></html>")
	case l.missing:
		return refuse(http.StatusNotFound, `{"error":{"message":"Invalid URL","type":"invalid_request_error","param":null,"code":null}}`)
	case l.misled:
		return refuse(http.StatusBadRequest, misleading)
	case l.forgotten:
		return refuse(http.StatusBadRequest, `{"error":{"message":"Invalid 'start_time': data is no longer available.","type":"invalid_request_error","param":"start_time","code":null}}`)
	}
	p := page{start: start, at: s.sim.Now().Unix(), empty: l.empty}
	answer, room := httptest.NewRecorder(), answers.Get().(*bytes.Buffer)
	answer.Body = answers.Get().(*bytes.Buffer)
	defer func() {
		for _, b := range []*bytes.Buffer{answer.Body, room} {
			b.Reset()
			answers.Put(b)
		}
	}()
	sim := s.sim
	if l.another != nil {
		sim = l.another.sim
	}
	if l.keyed {
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", "Bearer "+sim.AdminKey())
	}
	sim.Handler().ServeHTTP(answer, r) // A fault's abort passes through as the panic that it is.
	for name, values := range answer.Header() {
		w.Header()[name] = values
	}
	if seconds, err := strconv.Atoi(answer.Header().Get("Retry-After")); err == nil {
		s.change(func() {
			s.wire(endpoint, audit).leave = time.Now().Add(time.Duration(seconds) * time.Second)
		})
	}
	body := answer.Body.Bytes()
	if answer.Code == http.StatusOK && (l.hole || l.empty) {
		body, p.hole = without(body, l.empty)
		w.Header().Del("Content-Length")
	}
	if answer.Code == http.StatusOK {
		body = both(body, l.lists, room)
		if l.mangle != nil {
			body = l.mangle(endpoint, body)
		}
		w.Header().Del("Content-Length")
	}
	if l.wrongDate != 0 {
		dated()
	}
	if answer.Code == http.StatusOK {
		s.change(func() {
			x := s.wire(endpoint, audit)
			if n := len(x.pages); first {
				x.pages = x.pages[:0]
			} else if n > 0 && x.pages[n-1].start == start {
				x.pages = x.pages[:n-1]
			}
			x.pages = append(x.pages, p)
		})
	}
	w.WriteHeader(answer.Code)
	_, _ = w.Write(body)
	return answer.Code
}

// without takes a bucket out of the middle of a page, whose start it returns, or all of them.
func without(body []byte, all bool) (page []byte, hole int64) {
	if all && bytes.HasPrefix(body, []byte(`{"object":"page","data":[`)) {
		return []byte(`{"data":[],"has_more":false,"next_page":null,"object":"page"}`), 0
	}
	if page, hole, ok := cut(body); ok && !all {
		return page, hole
	}
	var fields map[string]json.RawMessage
	var buckets []json.RawMessage
	if json.Unmarshal(body, &fields) != nil || json.Unmarshal(fields["data"], &buckets) != nil {
		return body, 0
	}
	switch {
	case all:
		buckets, fields["has_more"], fields["next_page"] = []json.RawMessage{}, []byte("false"), []byte("null")
	case len(buckets) >= 3:
		at := len(buckets) / 2
		var bucket struct {
			Start int64 `json:"start_time"`
		}
		if json.Unmarshal(buckets[at], &bucket) != nil {
			return body, 0
		}
		hole = bucket.Start
		buckets = append(buckets[:at:at], buckets[at+1:]...)
	}
	data, err := json.Marshal(buckets)
	if err != nil {
		return body, 0
	}
	fields["data"] = data
	out, err := json.Marshal(fields)
	if err != nil {
		return body, 0
	}
	return bytes.TrimSpace(out), hole
}

// cut is without for a page that is spelled as the simulator spells most, which need not be parsed for that.
func cut(body []byte) (page []byte, hole int64, ok bool) {
	const bucket = `{"object":"bucket","start_time":`
	buckets, plain := bytes.CutPrefix(body, []byte(`{"object":"page","data":[`))
	end := bytes.LastIndex(buckets, []byte(`],"has_more":`))
	for _, escaped := range []byte("<>&") {
		plain = plain && bytes.IndexByte(buckets, escaped) < 0
	}
	more, whole := bytes.CutSuffix(bytes.TrimSpace(buckets[max(end, 0):]), []byte("}"))
	if !plain || end < 0 || !whole {
		return nil, 0, false
	}
	buckets = buckets[:end]
	n := bytes.Count(buckets, []byte(bucket))
	if n < 3 {
		return nil, 0, false
	}
	from := 0
	for range n / 2 {
		from += len(bucket) + bytes.Index(buckets[from+len(bucket):], []byte(bucket))
	}
	rest := buckets[from+len(bucket):]
	to := from + len(bucket) + bytes.Index(rest, []byte(bucket))
	start, _, _ := bytes.Cut(rest, []byte(","))
	hole, err := strconv.ParseInt(string(start), 10, 64)
	if err != nil {
		return nil, 0, false
	}
	return slices.Concat([]byte(`{"data":[`), buckets[:from], buckets[to:], more, []byte(`,"object":"page"}`)), hole, true
}
