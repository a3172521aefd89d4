package fetcher_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openai-exporter/openai_exporter/fetcher"
	"github.com/openai-exporter/openai_exporter/internal/decimal"
	"github.com/openai-exporter/openai_exporter/internal/simulator"
)

// TestWhatIsUsedWhileTheFirstReadsPagesComeCounts reads two pages with a minute's turn between them. Both end where the
// first one's now was, so that what is used from then on is no part of the baseline.
func TestWhatIsUsedWhileTheFirstReadsPagesComeCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		until(time.Date(2026, 11, 10, 12, 29, 40, 0, time.UTC))
		begin := time.Now().Add(-2 * time.Hour)
		sim := simulator.New(simulator.Options{Seed: 3, Begin: begin, End: time.Now().Add(6 * time.Hour)})
		pages := 0
		slow := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Query().Has("page") {
				pages++
				pass(40 * time.Second)
			}
			sim.Handler().ServeHTTP(w, r)
		})
		c := client(t, serve(t, slow), &witness{})
		o := options(t, "completions")
		o.GroupBy = []string{"project_id", "model"}
		o.Lookback = 25 * time.Hour
		a := open(t, nil, o)
		poll := func() {
			t.Helper()
			r, err := c.Read(t.Context(), fetcher.Query{Endpoint: o.Endpoint, GroupBy: a.feeds[0].GroupBy(), Window: a.feeds[0].PollWindow(time.Now())})
			if err == nil {
				err = a.feeds[0].Book(t.Context(), r)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		requests := func(to time.Time) (n decimal.Fixed) {
			for _, row := range sim.Truth("completions", nil, begin, to, time.Now()) {
				n = n.Add(row.Values["requests"])
			}
			return n
		}

		start := time.Now()
		poll()
		if got := a.total("completions", "requests"); got != "0" || pages == 0 {
			t.Errorf("%s requests are counted after the first read with %d further pages", got, pages)
		}
		pass(20 * time.Minute)
		now := time.Now()
		poll()
		if got, want := a.total("completions", "requests"), requests(now).Sub(requests(start)).String(); got != want {
			t.Errorf("%s requests are counted, %s were used since the first page", got, want)
		}
	})
}
