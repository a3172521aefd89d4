// One goroutine does all of it, so the race detector would see nothing.

//go:build !race

package spend_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/fetcher"
	"github.com/openai-exporter/openai_exporter/internal/budget"
	"github.com/openai-exporter/openai_exporter/internal/decimal"
	"github.com/openai-exporter/openai_exporter/internal/simulator"
	"github.com/openai-exporter/openai_exporter/internal/spend"
	testclient "github.com/openai-exporter/openai_exporter/test/client"
)

// TestNoTroubleTakesAwayWhatWasSpent: what was spent stays spent, in the organization and in a budget of two projects, for
// four days from the trouble on. What nobody can tell any more is absent.
func TestNoTroubleTakesAwayWhatWasSpent(t *testing.T) {
	const costs, completions, embeddings = 0, 1, 2
	for _, tc := range []struct {
		name    string
		trouble func(m *month)
		absent  bool // the budget of two projects
	}{
		{"an endpoint is down over midnight", func(m *month) { m.down[embeddings] = 8 }, false},
		{"an endpoint is down for days", func(m *month) { m.down[completions] = 80 }, false},
		{"the bill is down for three days", func(m *month) { m.down[costs] = 72 }, false},
		{"the bill is down for longer than usage is read again", func(m *month) { m.down[costs] = 120 }, false},
		{"everything is folded", func(m *month) {
			m.limit = 1
			m.by = []string{"model"} // A new grouping begins its label sets again.
			m.configure()
			m.by = []string{"project_id", "line_item", "model"}
			m.configure()
		}, false},
		{"nothing is told apart", func(m *month) {
			m.by = nil
			m.configure()
		}, false},
		{"the bill is refused by project", func(m *month) { m.drop(costs) }, true},
		{"usage is refused by project", func(m *month) { m.drop(completions) }, true},
		{"the exporter is restarted", func(m *month) { m.open() }, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			m := newMonth(t, 7, time.Date(2026, 11, 18, 7, 20, 0, 0, time.UTC))
			m.poll()
			var before [2]decimal.Fixed
			for hour := range 12 + 4*24 {
				if hour == 12 {
					tc.trouble(m)
				}
				m.now = m.now.Add(time.Hour)
				m.poll()
				o := m.report()
				all, ab := o.Budgets[0], o.Budgets[1]
				if !all.Known || all.Spend != o.Month || all.Spend.Spent().Cmp(before[0]) < 0 {
					t.Fatalf("at %s %s is spent (known %t), an hour before %s", m.now.Format(time.DateTime), spell(all.Spend), all.Known, before[0])
				}
				if hour > 12 && ab.Known == tc.absent || ab.Known && ab.Spend.Spent().Cmp(before[1]) < 0 {
					t.Fatalf("at %s two projects have spent %s (known %t), an hour before %s", m.now.Format(time.DateTime), spell(ab.Spend), ab.Known, before[1])
				}
				before = [2]decimal.Fixed{all.Spend.Spent(), ab.Spend.Spent()}
			}
			// A budget of the whole is what was used, once all of it was read.
			for i := range m.down {
				m.down[i] = 0
			}
			for range 3 {
				m.now = m.now.Add(8 * time.Hour)
				m.poll()
			}
			want := int64(0)
			for _, hours := range m.usage {
				for h, n := range hours {
					want += n * int64(min(max(m.now.Sub(time.Unix(h*3600, 0)), 0), 5*time.Hour)) / int64(5*time.Hour)
				}
			}
			if got := m.report().Month.Spent(); got != decimal.FromInt(want) {
				t.Errorf("in the end %s is spent, want %d", got, want)
			}
		})
	}
}

// drop has the API refuse to tell projects apart.
func (m *month) drop(i int) {
	m.t.Helper()
	if err := m.feeds[i].Drop("project_id"); err != nil {
		m.t.Fatal(err)
	}
}

// TestAWrongDateTakesAwayNothing: a gateway's error page, a cache's answer or a single answer of the API with the time of
// another year moves neither the day nor the month that is shown.
func TestAWrongDateTakesAwayNothing(t *testing.T) {
	a := newAccount(t, time.Date(2026, 11, 10, 18, 0, 0, 0, time.UTC), simulator.Options{Seed: 3, Scale: 0.1}, shown)
	var mu sync.Mutex
	var before decimal.Fixed
	asked := 0
	// check looks at what is shown while the newest Date is that of the last answer.
	check := func() {
		now := a.client.Now()
		if off := now.Sub(a.now).Abs(); off > 2*time.Hour {
			t.Errorf("it is taken for %s at %s", now, a.now)
		}
		o := a.books.Report(a.ledger.View(), now)[0]
		if o.Billed && (o.Month != o.Budgets[0].Spend || o.Month.Spent().Cmp(before) < 0) {
			t.Errorf("at %s %s is spent, before it was %s", a.now.Format(time.DateTime), spell(o.Month), before)
		}
		before = o.Month.Spent()
	}
	api := a.sim.Handler()
	a.client = testclient.New(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if asked++; asked > 2 { // Two answers tell the clock.
			check()
		}
		const year = 365 * 24 * time.Hour
		at := a.now.Add([]time.Duration{year, -40 * 24 * time.Hour}[asked%2])
		switch asked % 11 {
		case 3, 4: // Two that agree, as a gateway's do.
			w.Header().Set("Date", a.now.Add(year).Format(http.TimeFormat))
			w.Header().Set("X-Request-Id", fmt.Sprint("req_gateway_", asked))
			w.WriteHeader(http.StatusBadGateway)
		case 7:
			api.ServeHTTP(dated{w, at}, r)
		default:
			api.ServeHTTP(w, r)
		}
	}))
	a.settings.Budgets = []spend.Budget{{Name: "all", Organization: "acme", USD: 1, Period: budget.Monthly}}
	a.open()
	for range 12 {
		mu.Lock()
		a.now = a.now.Add(time.Hour)
		mu.Unlock()
		for i, f := range a.feeds[:3] {
			r, err := a.client.Read(t.Context(), fetcher.Query{Endpoint: a.ends[i], GroupBy: f.GroupBy(), Window: f.PollWindow(a.client.Now())})
			if err != nil {
				continue // The next poll tries again.
			}
			if err := f.Book(t.Context(), r); err != nil {
				t.Fatal(err)
			}
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if check(); before.IsZero() || asked < 40 {
		t.Errorf("%s is spent after %d requests", before, asked)
	}
}

// dated is an answer with another Date.
type dated struct {
	http.ResponseWriter
	at time.Time
}

func (d dated) WriteHeader(status int) {
	d.Header().Set("Date", d.at.Format(http.TimeFormat))
	d.ResponseWriter.WriteHeader(status)
}

func (d dated) Write(b []byte) (int, error) {
	d.Header().Set("Date", d.at.Format(http.TimeFormat))
	return d.ResponseWriter.Write(b)
}
