package fetcher_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-kit/log"
	"go.uber.org/goleak"

	"github.com/openai-exporter/openai_exporter/fetcher"
	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A wire is a network in memory: a bubble of synctest can see that nobody on it is at work.
type wire struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (w *wire) Accept() (net.Conn, error) {
	select {
	case c := <-w.conns:
		return c, nil
	case <-w.closed:
		return nil, net.ErrClosed
	}
}

func (w *wire) Close() error {
	w.once.Do(func() { close(w.closed) })
	return nil
}

func (w *wire) Addr() net.Addr { return &net.TCPAddr{} }

func (w *wire) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case w.conns <- there:
		return here, nil
	case <-w.closed:
		return nil, errors.New("connection refused")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// serve serves a handler on a wire until the test ends.
func serve(t *testing.T, h http.Handler) *wire {
	t.Helper()
	w := &wire{conns: make(chan net.Conn), closed: make(chan struct{})}
	server := &http.Server{Handler: h}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(w)
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-done
	})
	return w
}

// A word is a key that a test may change.
type word struct {
	mu      sync.Mutex
	text    string
	err     error
	changed bool
	reads   int
}

func (k *word) Get() (string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.changed = false
	return k.text, k.err
}

func (k *word) Read() (string, error) {
	k.mu.Lock()
	k.reads++
	k.mu.Unlock()
	return k.Get()
}

func (k *word) Changed() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.changed
}

func (k *word) set(text string, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.text, k.err, k.changed = text, err, true
}

const secret = "sk-admin-Zq81verysecretindeed0042"

// A witness is the observer of a test, and its log.
type witness struct {
	mu       sync.Mutex
	requests map[string]int // "endpoint code"
	polls    []poll
	audits   []poll
	log      bytes.Buffer
}

type poll struct {
	organization, endpoint string
	at                     time.Time
	err                    error
}

func (w *witness) Request(_, endpoint, code string, _ time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.requests == nil {
		w.requests = map[string]int{}
	}
	w.requests[endpoint+" "+code]++
}

func (w *witness) Poll(organization, endpoint string, took time.Duration, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.polls = append(w.polls, poll{organization, endpoint, time.Now().Add(-took), err})
}

func (w *witness) Audit(organization, endpoint string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.audits = append(w.audits, poll{organization, endpoint, time.Now(), err})
}

// of returns the polls of an endpoint so far.
func (w *witness) of(endpoint string) []poll {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(w.polls), func(p poll) bool { return p.endpoint != endpoint })
}

func (w *witness) audited() []poll {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.audits)
}

func (w *witness) count(key string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.requests[key]
}

func (w *witness) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.Write(b)
}

// logged are the lines of the log that contain the text.
func (w *witness) logged(text string) (lines []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for line := range strings.Lines(w.log.String()) {
		if strings.Contains(line, text) {
			lines = append(lines, line)
		}
	}
	return lines
}

func (w *witness) logger() log.Logger { return log.NewLogfmtLogger(w) }

// client returns a client of what the wire reaches.
func client(t *testing.T, w *wire, seen *witness, change ...func(*fetcher.ClientOptions)) *fetcher.Client {
	t.Helper()
	o := fetcher.ClientOptions{
		Organization: "acme", BaseURL: "http://api.test/v1", Key: &word{text: secret}, RequestsPerMinute: 6000,
		Version: "1.2.3", Logger: seen.logger(), Observer: seen, DialContext: w.dial,
	}
	for _, f := range change {
		f(&o)
	}
	c, err := fetcher.NewClient(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func endpoint(t testing.TB, name string) *api.Endpoint {
	t.Helper()
	e, ok := api.Find(name)
	if !ok {
		t.Fatalf("no endpoint %s", name)
	}
	return e
}

// An account is a ledger with the feeds of one organization that counts all that it is given.
type account struct {
	ledger *ledger.Ledger
	feeds  []*ledger.Feed
}

// open opens an account in a directory of its own. The feeds count from the moment that start gives; nil means now.
func open(t *testing.T, start func(time.Time) (time.Time, bool), options ...ledger.FeedOptions) *account {
	t.Helper()
	l, err := ledger.Open(ledger.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	for i := range options {
		options[i].Organization = "acme"
		options[i].CountersStart = start
	}
	feeds, err := l.Configure(ledger.Settings{IdleRetention: 35 * 24 * time.Hour, MaxLabelSets: 100_000}, options)
	if err != nil {
		t.Fatal(err)
	}
	return &account{l, feeds}
}

// counts is a start that counts whatever is read.
func counts(now time.Time) (time.Time, bool) {
	return now.AddDate(0, 0, -30).Truncate(24 * time.Hour), true
}

// total is what the counters of a measure add up to.
func (a *account) total(endpoint, measure string) string {
	for _, v := range a.ledger.View().Feeds {
		if v.Endpoint.Name != endpoint {
			continue
		}
		sum := v.ByMeasure[0].RestatedUp.Sub(v.ByMeasure[0].RestatedUp)
		for _, s := range v.Series {
			for i, m := range s.Measures {
				if v.Endpoint.Measures[m].Name == measure {
					sum = sum.Add(s.Values[i])
				}
			}
		}
		return sum.String()
	}
	return "none"
}

// A fake answers usage requests: every bucket from start_time on has one row of one request. A test can put something
// before it.
type fake struct {
	mu sync.Mutex
	// before may answer in place of the fake.
	before func(w http.ResponseWriter, r *http.Request) bool
	// perPage is how many buckets a page has at most; 0 means what limit says.
	perPage int
	asked   []ask
}

type ask struct {
	path   string
	query  url.Values
	raw    string
	header http.Header
	at     time.Time
}

func (f *fake) asks() []ask {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.asked)
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	f.mu.Lock()
	f.asked = append(f.asked, ask{r.URL.Path, q, r.URL.RawQuery, r.Header.Clone(), time.Now()})
	w.Header().Set("X-Request-Id", fmt.Sprintf("req_%d", len(f.asked))) // Every answer of the API has its own.
	f.mu.Unlock()
	if f.before != nil && f.before(w, r) {
		return
	}
	f.page(w, q)
}

func (f *fake) page(w http.ResponseWriter, q url.Values) {
	width := map[string]int64{"1m": 60, "1h": 3600, "1d": 86400}[q.Get("bucket_width")]
	from, _ := strconv.ParseInt(q.Get("start_time"), 10, 64)
	to := time.Now().Unix()
	if s := q.Get("end_time"); s != "" {
		to, _ = strconv.ParseInt(s, 10, 64)
	}
	if cursor, ok := strings.CutPrefix(q.Get("page"), "page_"); ok {
		from, _ = strconv.ParseInt(strings.TrimRight(cursor, "="), 10, 64)
	}
	limit, _ := strconv.Atoi(q.Get("limit"))
	if f.perPage > 0 {
		limit = min(limit, f.perPage)
	}
	var b strings.Builder
	b.WriteString(`{"object":"page","data":[`)
	n := 0
	for ; from < to && n < limit; from += width {
		if n++; n > 1 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"object":"bucket","start_time":%d,"end_time":%d,"results":[{"num_model_requests":1,"input_tokens":10,"quantity":1,"model":"m","project_id":"p"}]}`, from, from+width)
	}
	if from < to {
		fmt.Fprintf(&b, `],"has_more":true,"next_page":"page_%d=="}`, from)
	} else {
		b.WriteString(`],"has_more":false,"next_page":null}`)
	}
	_, _ = w.Write([]byte(b.String()))
}

// says answers with a status and a body.
func says(status int, body string, header ...string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
		return true
	}
}

// first lets the first requests meet these answers, one each, and the fake answer the rest.
func first(answers ...func(http.ResponseWriter, *http.Request) bool) func(http.ResponseWriter, *http.Request) bool {
	var mu sync.Mutex
	return func(w http.ResponseWriter, r *http.Request) bool {
		mu.Lock()
		if len(answers) == 0 {
			mu.Unlock()
			return false
		}
		next := answers[0]
		answers = answers[1:]
		mu.Unlock()
		return next(w, r)
	}
}

// torn breaks off in the middle of a page, behind a row that must not be counted.
func torn(w http.ResponseWriter, r *http.Request) bool {
	w.Header().Set("Content-Length", "100000")
	_, _ = fmt.Fprintf(w, `{"object":"page","data":[{"start_time":%s,"results":[{"num_model_requests":1000,"model":"m","project_id":"p"},`, r.URL.Query().Get("start_time"))
	w.(http.Flusher).Flush()
	panic(http.ErrAbortHandler)
}

// reset closes the connection without an answer.
func reset(http.ResponseWriter, *http.Request) bool { panic(http.ErrAbortHandler) }
