// One goroutine does all of it, so the race detector would see nothing.

//go:build !race

package spend_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/budget"
	"github.com/openai-exporter/openai_exporter/internal/decimal"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
	"github.com/openai-exporter/openai_exporter/internal/spend"
)

// A month is an organization whose usage grows for hours and whose bill follows half a day later: a request is a dollar.
type month struct {
	t      *testing.T
	r      *rand.Rand
	now    time.Time
	dir    string
	ledger *ledger.Ledger
	books  *spend.Books
	limit  int
	by     []string // what usage and bill are grouped by
	ends   []*api.Endpoint
	feeds  []*ledger.Feed
	down   []int // for how many hours an endpoint does not answer
	usage  map[string]map[int64]int64
}

func (m *month) View() *ledger.View { return m.ledger.View() }

var members = []string{"a", "b", "c", ""}

func (m *month) open() {
	m.t.Helper()
	if m.ledger != nil {
		if err := m.ledger.Close(); err != nil {
			m.t.Fatal(err)
		}
	}
	var err error
	if m.ledger, err = ledger.Open(ledger.Options{Dir: m.dir}); err != nil {
		m.t.Fatal(err)
	}
	m.configure()
}

func (m *month) configure() {
	m.t.Helper()
	var options []ledger.FeedOptions
	for _, e := range m.ends {
		o := ledger.FeedOptions{
			Organization: "acme", Endpoint: e, GroupBy: m.by, ReadBy: spend.ReadBy(e),
			Width: api.Hour, Lookback: 2 * time.Hour, AuditInterval: time.Hour, AuditWindow: 72 * time.Hour,
			Price: func([]string, []ledger.Label) ledger.Rate {
				return func(_ time.Time, values []decimal.Fixed) (usd, unpriced decimal.Fixed) {
					return values[0], decimal.Fixed{}
				}
			},
		}
		if e.IsCosts() {
			o.Width, o.Lookback, o.AuditInterval, o.AuditWindow = api.CostDay, 96*time.Hour, 0, 0
		}
		options = append(options, o)
	}
	feeds, err := m.ledger.Configure(ledger.Settings{IdleRetention: 840 * time.Hour, MaxLabelSets: m.limit}, options)
	if err != nil {
		m.t.Fatal(err)
	}
	m.feeds = feeds
}

// newMonth is an organization with usage from half a day before now on, that has budgets for all of it and for two projects.
func newMonth(t *testing.T, seed uint64, now time.Time) *month {
	t.Helper()
	m := &month{
		t: t, r: rand.New(rand.NewPCG(seed, 1)), now: now, dir: t.TempDir(), limit: 100,
		by:   []string{"project_id", "model", "line_item"},
		ends: []*api.Endpoint{find(t, api.Costs), find(t, "completions"), find(t, "embeddings")}, usage: map[string]map[int64]int64{},
	}
	m.down = make([]int, len(m.ends))
	begin := now.Add(-12*time.Hour).Unix() / 3600
	for _, e := range m.ends[1:] {
		for _, project := range members {
			hours := map[int64]int64{}
			for h := begin; h < begin+20*24; h++ {
				hours[h] = int64(m.r.IntN(50))
			}
			m.usage[e.Name+project] = hours
		}
	}
	m.books = spend.New(m)
	m.books.Configure(spend.Settings{Budgets: []spend.Budget{
		{Name: "all", Organization: "acme", USD: 1, Period: budget.Monthly}, {Name: "ab", Organization: "acme", ProjectIDs: []string{"a", "b"}, USD: 1, Period: budget.Monthly},
	}})
	m.open()
	t.Cleanup(func() { _ = m.ledger.Close() })
	return m
}

// used is what of an hour's usage the API shows so long after: it comes in over five hours.
func (m *month) used(key string, hour int64, after time.Duration) int64 {
	n := m.usage[key][hour]
	return n * int64(min(max(after, 0), 5*time.Hour)) / int64(5*time.Hour)
}

func (m *month) poll() {
	m.t.Helper()
	for i, f := range m.feeds {
		if m.down[i] > 0 {
			m.down[i]--
			continue
		}
		m.book(i, f, f.PollWindow(m.now))
		for {
			w, due := f.AuditWindow(m.now)
			if !due {
				break
			}
			m.book(i, f, w)
		}
	}
}

func (m *month) book(i int, f *ledger.Feed, w ledger.Window) {
	m.t.Helper()
	e := m.ends[i]
	r := ledger.NewRead(e, f.GroupBy(), w)
	r.AsOf = m.now
	for at := w.From; at.Before(m.now) && (w.To.IsZero() || at.Before(w.To)); at = at.Add(w.Width.Duration) {
		r.Bucket(at)
		for _, project := range members {
			of, sum := m.ends[1:], int64(0)
			lag := 12 * time.Hour // of the bill
			if !e.IsCosts() {
				of, lag = m.ends[i:i+1], 0
			}
			for _, u := range of {
				for h := at; h.Before(at.Add(w.Width.Duration)); h = h.Add(time.Hour) {
					sum += m.used(u.Name+project, h.Unix()/3600, m.now.Sub(h)-lag)
				}
			}
			if sum == 0 {
				continue
			}
			row := make([]string, len(r.Columns()))
			for c, name := range r.Columns() {
				row[c] = map[string]string{"project_id": project, "line_item": "x", "model": "m", "batch": "false"}[name]
			}
			values := make([]decimal.Fixed, len(e.Measures))
			values[0] = decimal.FromInt(sum)
			r.Row(row, values)
		}
	}
	if err := f.Book(m.t.Context(), r); err != nil {
		m.t.Fatal(err)
	}
}

// trouble does what may happen within an hour.
func (m *month) trouble() {
	switch m.r.IntN(12) {
	case 0:
		m.down[m.r.IntN(len(m.down))] = 1 + m.r.IntN(100)
	case 1:
		m.open()
	case 2:
		m.by = [][]string{{"project_id", "model", "line_item"}, {"model"}, nil, {"project_id", "line_item", "batch"}}[m.r.IntN(4)]
		m.configure()
	case 3:
		m.limit = []int{1, 3, 100}[m.r.IntN(3)]
		m.configure()
	}
}

func (m *month) report() spend.Organization { return m.books.Report(m.View(), m.now)[0] }

// TestSpentNeverFallsWithinAMonth: no outage, restart, fold, grouping or midnight takes money away that was spent. Here the
// bill ends where usage does, so that it may not fall when a day settles either.
func TestSpentNeverFallsWithinAMonth(t *testing.T) {
	for seed := range uint64(5) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			m := newMonth(t, seed, time.Date(2026, 11, 18, 7, 20, 0, 0, time.UTC).Add(time.Duration(seed)*12*time.Hour))
			m.poll()
			before, in := m.report(), m.now.Month()
			for range 17 * 24 {
				m.now = m.now.Add(time.Hour)
				m.trouble()
				m.poll()
				o := m.report()
				if m.now.Month() != in {
					before, in = o, m.now.Month()
				}
				for i, b := range o.Budgets {
					if was := before.Budgets[i].Spend.Spent(); !b.Known || b.Spend.Spent().Cmp(was) < 0 {
						t.Fatalf("at %s %s has spent %s, an hour before %s (known %t)", m.now.Format(time.DateTime), b.Name, spell(b.Spend), was, b.Known)
					}
				}
				before = o
			}
			// When all of it has been read, it is what was used in the month.
			for i := range m.down {
				m.down[i] = 0
			}
			for range 40 {
				m.now = m.now.Add(2 * time.Hour)
				m.poll()
			}
			first := time.Date(m.now.Year(), m.now.Month(), 1, 0, 0, 0, 0, time.UTC).Unix() / 3600
			want := map[string]int64{}
			for key, hours := range m.usage {
				for h, n := range hours {
					if h >= first && h*3600 < m.now.Unix() {
						want["all"] += n
						if strings.HasSuffix(key, "a") || strings.HasSuffix(key, "b") {
							want["ab"] += n
						}
					}
				}
			}
			for _, b := range m.report().Budgets {
				if got := b.Spend.Spent(); got != decimal.FromInt(want[b.Name]) {
					t.Errorf("%s has spent %s, want %d", b.Name, spell(b.Spend), want[b.Name])
				}
			}
		})
	}
}
