package collector_test

import (
	"errors"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"

	"github.com/openai-exporter/openai_exporter/collector"
	"github.com/openai-exporter/openai_exporter/internal/decimal"
	"github.com/openai-exporter/openai_exporter/internal/directory"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
)

func TestAScrapeNeverSeesHalfAPoll(t *testing.T) {
	s := &source{now: noon}
	e := find(t, "embeddings")
	// Every poll brings ten tokens per request, for two series at once.
	poll := func(n int64) {
		v := &ledger.View{Generation: uint64(n)}
		f := &ledger.FeedView{Organization: "acme", Endpoint: e, ByMeasure: make([]ledger.MeasureView, len(e.Measures))}
		for _, model := range []string{"model=a", "model=b"} {
			f.Series = append(f.Series, &ledger.Series{
				Labels: labels(model), Measures: []int{0, 1}, Values: []decimal.Fixed{decimal.FromInt(n), decimal.FromInt(10 * n)}, Born: noon,
			})
		}
		v.Feeds = append(v.Feeds, f)
		s.view.Store(v)
	}
	poll(1)
	c := newCollector(s)
	srv := httptest.NewServer(c.Handler())
	t.Cleanup(srv.Close)

	done := make(chan struct{})
	var polling sync.WaitGroup
	polling.Go(func() {
		for n := int64(2); ; n++ {
			select {
			case <-done:
				return
			default:
				poll(n)
				c.Poll("acme", "embeddings", time.Millisecond, errors.New("HTTP 500"))
				c.Request("acme", "embeddings", "500", time.Millisecond)
				c.Commit(time.Millisecond, nil)
			}
		}
	})
	var scraping sync.WaitGroup
	for range 4 {
		scraping.Go(func() {
			last := 0.0
			for range 25 {
				families := fetch(t, srv.URL, expfmt.FmtProtoDelim)
				requests, tokens := families["openai_usage_requests_total"].Metric, families["openai_usage_input_tokens_total"].Metric
				n := requests[0].Counter.GetValue()
				if requests[1].Counter.GetValue() != n || tokens[0].Counter.GetValue() != 10*n || tokens[1].Counter.GetValue() != 10*n {
					t.Errorf("half a poll: requests %v, tokens %v", requests, tokens)
				}
				if n < last {
					t.Errorf("a counter went down from %v to %v", last, n)
				}
				last = n
			}
		})
	}
	scraping.Wait()
	close(done)
	polling.Wait()
}

// A door lets readers of the look-ups in one by one, once it is shut.
type door struct {
	*source
	shut    atomic.Bool
	waiting chan struct{}
	open    chan struct{}
}

func (d *door) Snapshot() *directory.Snapshot {
	if d.shut.Load() {
		d.waiting <- struct{}{}
		<-d.open
	}
	return d.source.Snapshot()
}

// A scrape that finds another one at work gets the page of a moment ago. After a reload that page is one which may show
// what the new configuration hides.
func TestAfterAReloadNoScrapeGetsThePageOfBefore(t *testing.T) {
	d := &door{source: &source{now: noon}, waiting: make(chan struct{}), open: make(chan struct{})}
	users := func(email string) {
		d.names.Store(&directory.Snapshot{Organizations: []*directory.Organization{{Name: "acme", Users: []directory.User{{ID: "user_1", Name: "Aiko", Email: email}}}}})
	}
	d.view.Store(&ledger.View{Generation: 1})
	users("aiko@example.com")
	c := collector.New(collector.Options{Views: d, Statuses: d, Directory: d, Now: func() time.Time { return noon }})
	srv := httptest.NewServer(c.Handler())
	t.Cleanup(srv.Close)
	for _, target := range []string{srv.URL, srv.URL + "?name[]=openai_user_info"} {
		if !strings.Contains(get(t, target, string(expfmt.FmtText)), "aiko@example.com") {
			t.Fatalf("%s does not show the address", target)
		}
	}

	d.shut.Store(true)
	var busy sync.WaitGroup
	busy.Go(func() { get(t, srv.URL, string(expfmt.FmtText)) })
	<-d.waiting // Somebody reads,
	users("")
	reloaded := make(chan struct{})
	go func() {
		defer close(reloaded)
		c.Reload(true, noon)
	}()
	d.open <- struct{}{} // is done,
	<-d.waiting          // and the reload has the page made.
	d.open <- struct{}{}
	<-reloaded
	busy.Go(func() { get(t, srv.URL, string(expfmt.FmtText)) })
	<-d.waiting // While the next one reads, others get the page of the reload.
	for _, target := range []string{srv.URL, srv.URL + "?name[]=openai_user_info"} {
		if body := get(t, target, string(expfmt.FmtText)); strings.Contains(body, "aiko@example.com") || !strings.Contains(body, "user_1") {
			t.Errorf("%s after the reload:\n%s", target, body)
		}
	}
	d.open <- struct{}{}
	busy.Wait()
}
