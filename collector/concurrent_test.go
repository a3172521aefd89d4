package collector_test

import (
	"errors"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"

	"github.com/openai-exporter/openai_exporter/internal/decimal"
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
