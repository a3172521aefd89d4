package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/simulator"
)

// An upstream is the API of many organizations in a process of its own, so that what it costs is not in the exporter's
// figures. All of them are the same simulated organization, each under a path of its own, and within a minute
// everybody who asks the same gets the same bytes, which are made once: a thousand organizations cost little more than
// one.
type upstream struct {
	clock    *simulator.Clock
	simulate http.Handler
	interval time.Duration // of the polls whose lateness is noted
	fresh    bool          // no answer is given twice
	serial   atomic.Uint64

	mu      sync.Mutex
	minute  int64
	answers map[string]*storedAnswer

	noting        sync.Mutex
	organizations map[string]*caller
	noted         arrivals
}

// A storedAnswer is made once, by the first who asks.
type storedAnswer struct {
	once   sync.Once
	status int
	body   []byte
}

// A caller is what is known of an organization's requests.
type caller struct {
	recent []time.Time     // of the last minute
	polled map[string]bool // the ticks whose poll has come
	tally
}

// A tally is of an organization's requests.
type tally struct {
	Requests, Bytes int
	Minutes         int // for completions by the minute, which is asked for once a minute
}

// arrivals are what came since they were last asked for.
type arrivals struct {
	Requests int     `json:"requests"`
	Bytes    int     `json:"bytes"`
	Most     int     `json:"most"` // requests of one organization within a minute
	Late     []int64 `json:"late"` // milliseconds from its tick to the first request of each poll
	// By tells of each organization, since the beginning.
	By map[string]tally `json:"by"`
}

func newUpstream(o simulator.Options, clock *simulator.Clock, interval time.Duration) *upstream {
	o.Clock = clock.Now
	return &upstream{
		clock: clock, simulate: simulator.New(o).Handler(), interval: interval,
		answers: map[string]*storedAnswer{}, organizations: map[string]*caller{},
	}
}

// ServeHTTP serves /<organization>/v1/….
func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	now := time.Now()
	organization, path, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	a := u.answer(r, "/"+path)
	u.note(now, organization, path, r.URL.Query(), len(a.body))
	h := w.Header()
	h.Set("Date", u.clock.Now().UTC().Format(http.TimeFormat))
	h.Set("Content-Type", "application/json")
	h.Set("X-Request-Id", fmt.Sprintf("req_%032x", u.serial.Add(1)))
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body) // A client that has gone needs no answer.
}

func (u *upstream) answer(r *http.Request, path string) *storedAnswer {
	minute, key := u.clock.Now().Unix()/60, path+"?"+r.URL.RawQuery
	if u.fresh {
		return u.make(r, path, new(storedAnswer))
	}
	u.mu.Lock()
	if u.minute != minute {
		u.minute = minute
		clear(u.answers)
	}
	a := u.answers[key]
	if a == nil {
		a = new(storedAnswer)
		u.answers[key] = a
	}
	u.mu.Unlock()
	return u.make(r, path, a)
}

func (u *upstream) make(r *http.Request, path string, a *storedAnswer) *storedAnswer {
	a.once.Do(func() {
		inner := r.Clone(context.WithoutCancel(r.Context())) // Others wait for it, too.
		inner.URL.Path = path
		recorded := httptest.NewRecorder()
		u.simulate.ServeHTTP(recorded, inner)
		a.status, a.body = recorded.Code, recorded.Body.Bytes()
	})
	return a
}

// note notes a request. A poll's first one is the first of its endpoint after a tick that is not the second page.
func (u *upstream) note(now time.Time, organization, path string, query url.Values, size int) {
	u.noting.Lock()
	defer u.noting.Unlock()
	u.noted.Requests++
	u.noted.Bytes += size
	c := u.organizations[organization]
	if c == nil {
		c = &caller{polled: map[string]bool{}}
		u.organizations[organization] = c
	}
	c.Requests, c.Bytes = c.Requests+1, c.Bytes+size
	old := 0
	for old < len(c.recent) && now.Sub(c.recent[old]) >= time.Minute {
		old++
	}
	c.recent = append(c.recent[old:], now)
	u.noted.Most = max(u.noted.Most, len(c.recent))
	endpoint := usageEndpoint(strings.TrimPrefix(path, "v1/"))
	if endpoint == "" || query.Has("page") {
		return
	}
	if endpoint == "completions" && query.Get("bucket_width") == "1m" {
		c.Minutes++
	}
	tick := tickBefore(now, organization, endpoint, u.interval)
	key := fmt.Sprint(endpoint, tick.Unix())
	if c.polled[key] {
		return
	}
	if len(c.polled) > 1000 {
		clear(c.polled)
	}
	c.polled[key] = true
	u.noted.Late = append(u.noted.Late, now.Sub(tick).Milliseconds())
}

func usageEndpoint(path string) string {
	i := slices.IndexFunc(api.Endpoints, func(e api.Endpoint) bool { return e.Path == path })
	if i < 0 {
		return ""
	}
	return api.Endpoints[i].Name
}

// tickBefore is when the exporter was to poll last: organizations are spread over the interval by their names, and the
// endpoints of one over a tenth of it.
func tickBefore(t time.Time, organization, endpoint string, interval time.Duration) time.Time {
	among := func(name string, span time.Duration) time.Duration {
		h := fnv.New64a()
		_, _ = h.Write([]byte(name))
		return time.Duration(h.Sum64() % uint64(max(span, 1)))
	}
	offset := among(organization, interval) + among(organization+"\x00"+endpoint, interval/10)
	return t.Add(-offset).Truncate(interval).Add(offset)
}

// since returns what was noted since the last time.
func (u *upstream) since(w http.ResponseWriter, _ *http.Request) {
	u.noting.Lock()
	defer u.noting.Unlock()
	u.noted.By = map[string]tally{}
	for name, c := range u.organizations {
		u.noted.By[name] = c.tally
	}
	_ = json.NewEncoder(w).Encode(u.noted)
	u.noted = arrivals{}
}

// advance moves the API's clock.
func (u *upstream) advance(w http.ResponseWriter, r *http.Request) {
	d, err := time.ParseDuration(r.FormValue("by"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	u.clock.Advance(d)
}

// upstreamOptions are the simulated organization.
type upstreamOptions struct {
	Behind   time.Duration // how far the API's clock is behind the time of day at first
	Interval time.Duration // of the polls whose lateness is noted
	Traffic  *traffic      // in place of the simulator's
	// LabelSets adds label sets of completions to the simulator's.
	LabelSets int
	// Streams is how many streams of traffic each endpoint has at most; 0 means all of the simulator's.
	Streams int
	Speed   float64 // of the API's clock; 0 means 1
}

// upstreamMain is the process: it says where it listens and serves until its standard input ends.
func upstreamMain(in io.Reader, out io.Writer, spelled string) error {
	var o upstreamOptions
	if err := json.Unmarshal([]byte(spelled), &o); err != nil {
		return err
	}
	simulated := simulator.Options{Seed: 1, LabelSets: o.LabelSets}
	if o.Streams > 0 {
		simulated.Streams = make(map[string]int, len(api.Endpoints))
		for _, e := range api.Endpoints {
			simulated.Streams[e.Name] = o.Streams
		}
	}
	u := newUpstream(simulated, simulator.NewClock(time.Now().Add(-o.Behind), cmp.Or(o.Speed, 1)), o.Interval)
	if o.Traffic != nil {
		u.simulate, u.fresh = o.Traffic.handler(u.clock.Now), o.Traffic.Changing
	}
	mux := http.NewServeMux()
	mux.Handle("/", u)
	mux.HandleFunc("/_since", u.since)
	mux.HandleFunc("/_advance", u.advance)
	mux.HandleFunc("/_now", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, u.clock.Now().UTC().Format(time.RFC3339))
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		_, _ = io.Copy(io.Discard, in) // Its parent has gone, or wants it to end.
		_ = server.Close()
	}()
	fmt.Fprintln(out, listener.Addr())
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// startUpstream starts the API in a process of its own, which ends with this one.
func startUpstream(ctx context.Context, o upstreamOptions) (url string, end func(), err error) {
	self, err := os.Executable()
	if err != nil {
		return "", nil, err
	}
	spelled, err := json.Marshal(o)
	if err != nil {
		return "", nil, err
	}
	cmd := exec.CommandContext(ctx, self, "-stage", "upstream", "-options", string(spelled))
	in, err := cmd.StdinPipe()
	if err != nil {
		return "", nil, err
	}
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	end = func() {
		_ = in.Close()
		_ = cmd.Wait() // What it had to say is on the standard error.
	}
	line, err := readLine(out)
	if err != nil {
		end()
		return "", nil, fmt.Errorf("start the API: %w", err)
	}
	return "http://" + line, end, nil
}

func readLine(r io.Reader) (string, error) {
	var line []byte
	for b := make([]byte, 1); ; line = append(line, b[0]) {
		if _, err := r.Read(b); err != nil {
			return "", err
		}
		if b[0] == '\n' {
			return string(line), nil
		}
	}
}

// noted is what the API noted since it was asked last.
func noted(ctx context.Context, url string) (a arrivals, err error) {
	text, err := body(ctx, url+"/_since")
	if err == nil {
		err = json.Unmarshal(text, &a)
	}
	return a, err
}
