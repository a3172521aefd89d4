package ledger_test

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-kit/log"

	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/decimal"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
)

// A world is what the API would say: requests per minute and label set. Tests change it as they please; buckets of any
// width are sums of its minutes.
type world struct {
	now     time.Time
	minutes map[int64]map[labels]int64

	hole   func(start time.Time) bool // answers lack these buckets
	blind  bool                       // who reads passes over nothing
	passed int                        // how many buckets were passed over
	key    uint64                     // the key that it is asked with
}

type labels struct{ project, model string }

var noon = time.Date(2026, 11, 10, 12, 30, 20, 0, time.UTC)

func newWorld() *world { return &world{now: noon, minutes: map[int64]map[labels]int64{}} }

// use adds requests to the minute that lies so far back.
func (w *world) use(ago time.Duration, l labels, n int64) {
	at := w.now.Add(-ago).Truncate(time.Minute).Unix()
	if w.minutes[at] == nil {
		w.minutes[at] = map[labels]int64{}
	}
	w.minutes[at][l] += n
	if w.minutes[at][l] == 0 {
		delete(w.minutes[at], l)
	}
}

func (w *world) total(l labels) int64 {
	n := int64(0)
	for _, m := range w.minutes {
		n += m[l]
	}
	return n
}

// read answers a window, as the API would now.
func (w *world) read(e *api.Endpoint, groupBy []string, win ledger.Window) *ledger.Read {
	r := ledger.NewRead(e, groupBy, win)
	r.AsOf, r.Key = w.now, w.key
	end := win.To
	if end.IsZero() {
		end = w.now
	}
	width := win.Width.Duration
	for start := win.From; start.Before(end) && start.Before(w.now); start = start.Add(width) {
		if w.hole != nil && w.hole(start) {
			continue
		}
		sum := map[labels]int64{}
		for m, last := start.Unix(), start.Add(width).Unix(); m < last; m += 60 {
			for l, n := range w.minutes[m] {
				sum[l] += n
			}
		}
		fingerprint := fingerprintOf(start, sum)
		if known, ok := r.Recorded(start); ok && known == fingerprint && !w.blind {
			w.passed++
			r.Same(start, fingerprint) // As the fetcher does, which does not decode it.
			continue
		}
		r.Bucket(start)
		for l, n := range sum {
			values := map[string]string{"project_id": l.project, "model": l.model}
			row := make([]string, len(r.Columns()))
			for i, c := range r.Columns() {
				row[i] = values[c]
			}
			// Every row comes in two halves, since rows are not unique.
			measures := make([]decimal.Fixed, len(e.Measures))
			for _, half := range []int64{n / 2, n - n/2} {
				for i := range measures {
					measures[i] = decimal.FromInt(int64(1+2*i) * half) // requests, and three tokens for each
				}
				r.Row(row, measures)
			}
		}
		r.Fingerprint(fingerprint)
	}
	return r
}

// fingerprintOf is the fingerprint of what a bucket says.
func fingerprintOf(start time.Time, sum map[labels]int64) ledger.Fingerprint {
	keys := slices.SortedFunc(maps.Keys(sum), func(a, b labels) int {
		return cmp.Or(strings.Compare(a.project, b.project), strings.Compare(a.model, b.model))
	})
	text := binary.BigEndian.AppendUint64(nil, uint64(start.Unix()))
	for _, l := range keys {
		text = append(append(append(text, l.project...), 0), l.model...)
		text = binary.BigEndian.AppendUint64(append(text, 0), uint64(sum[l]))
	}
	hash := sha256.Sum256(text)
	return ledger.Fingerprint{Size: len(text), Sums: [2]uint64{binary.BigEndian.Uint64(hash[:]), binary.BigEndian.Uint64(hash[8:])}, Rows: 2 * len(sum)}
}

// A rig is a ledger with one feed on a directory of its own.
type rig struct {
	*world
	t        *testing.T
	dir      string
	logger   log.Logger
	settings ledger.Settings
	options  ledger.FeedOptions
	ledger   *ledger.Ledger
	feed     *ledger.Feed
}

// embeddings is the endpoint as the tests write its rows, whatever measures the table may get one day.
var embeddings = func() *api.Endpoint {
	e, _ := api.Find("embeddings")
	fixed := *e
	fixed.Measures = fixed.Measures[:2]
	return &fixed
}()

func newRig(t *testing.T) *rig {
	g := &rig{
		world:    newWorld(),
		t:        t,
		dir:      t.TempDir(),
		settings: ledger.Settings{IdleRetention: 35 * 24 * time.Hour, MaxLabelSets: 1000},
		options: ledger.FeedOptions{
			Organization: "acme", Endpoint: embeddings, GroupBy: []string{"project_id", "model"},
			Width: api.Minute, Lookback: time.Hour, AuditInterval: 15 * time.Minute, AuditWindow: 72 * time.Hour,
		},
	}
	t.Cleanup(func() {
		if g.ledger != nil {
			_ = g.ledger.Close()
		}
	})
	return g
}

// open starts the ledger, or restarts it as after a crash: closing writes nothing.
func (g *rig) open() *rig {
	g.t.Helper()
	g.reopen()
	g.configure()
	return g
}

// reopen is open, with nothing configured yet.
func (g *rig) reopen() {
	g.t.Helper()
	if g.ledger != nil {
		if err := g.ledger.Close(); err != nil {
			g.t.Fatal(err)
		}
	}
	l, err := ledger.Open(ledger.Options{Dir: g.dir, Logger: g.logger})
	if err != nil {
		g.t.Fatal(err)
	}
	g.ledger = l
}

func (g *rig) configure() {
	g.t.Helper()
	feeds, err := g.ledger.Configure(g.settings, []ledger.FeedOptions{g.options})
	if err != nil {
		g.t.Fatal(err)
	}
	g.feed = feeds[0]
}

func (g *rig) book(w ledger.Window) {
	g.t.Helper()
	if err := g.feed.Book(context.Background(), g.read(g.options.Endpoint, g.feed.GroupBy(), w)); err != nil {
		g.t.Fatal(err)
	}
}

// poll reads and books what a poll has to.
func (g *rig) poll() {
	g.t.Helper()
	g.book(g.feed.PollWindow(g.now))
}

// audit books all audits that are due and returns how many there were.
func (g *rig) audit() int {
	g.t.Helper()
	n := 0
	for ; ; n++ {
		w, due := g.feed.AuditWindow(g.now)
		if !due {
			return n
		}
		if n > 1000 {
			g.t.Fatal("audits never end")
		}
		g.book(w)
	}
}

func (g *rig) pass(d time.Duration) { g.now = g.now.Add(d) }

// settle passes time until every window has been read.
func (g *rig) settle() {
	g.t.Helper()
	for _, d := range []time.Duration{0, 16 * time.Minute, 3 * time.Hour} {
		g.pass(d)
		g.poll()
		g.audit()
	}
}

// shown is what the counters of requests say.
func (g *rig) shown() map[labels]int64 {
	g.t.Helper()
	out := map[labels]int64{}
	for _, s := range g.ledger.View().Feeds[0].Series {
		out[labelsOf(s.Labels)] = number(g.t, s.Values[0])
		if tokens := number(g.t, s.Values[1]); tokens != 3*out[labelsOf(s.Labels)] {
			g.t.Errorf("%v: %d tokens beside %d requests", s.Labels, tokens, out[labelsOf(s.Labels)])
		}
	}
	return out
}

func labelsOf(ls []ledger.Label) labels {
	var l labels
	for _, x := range ls {
		switch x.Name {
		case "project_id":
			l.project = x.Value
		case "model":
			l.model = x.Value
		}
	}
	return l
}

func number(t *testing.T, f decimal.Fixed) int64 {
	t.Helper()
	n, ok := f.Int()
	if !ok {
		t.Fatalf("%s is no whole number", f)
	}
	return n
}

func (g *rig) expect(want map[labels]int64) {
	g.t.Helper()
	got := g.shown()
	if !maps.Equal(got, want) {
		g.t.Fatalf("at %s the counters say %s, want %s", g.now.Format(time.DateTime), spell(got), spell(want))
	}
}

func spell(m map[labels]int64) string {
	var parts []string
	for l, n := range m {
		parts = append(parts, fmt.Sprintf("%s/%s=%d", l.project, l.model, n))
	}
	slices.Sort(parts)
	return "[" + strings.Join(parts, " ") + "]"
}

func (g *rig) measure() ledger.MeasureView { return g.ledger.View().Feeds[0].ByMeasure[0] }

func (g *rig) expectAmount(what string, got decimal.Fixed, want int64) {
	g.t.Helper()
	if got != decimal.FromInt(want) {
		g.t.Errorf("%s = %s, want %d", what, got, want)
	}
}
