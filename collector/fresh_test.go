//go:build !race

package collector_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openai-exporter/openai_exporter/collector"
	"github.com/openai-exporter/openai_exporter/internal/directory"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
)

// A scrape must not wait until a large answer is made again. Polls make it.
func TestALargeAnswerIsHandedOutWhileItIsFresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := shown(t, 200_000)
		h := c.Handler()
		commits := 0
		commit := func() {
			commits++
			c.Commit(time.Second, nil)
		}
		shows := func(when string, want int) {
			t.Helper()
			if line := fmt.Sprintf("\nopenai_exporter_state_commit_duration_seconds_count %d\n", want); !strings.Contains(ask(t, h, "/metrics", acceptable["text"], "gzip"), line) {
				t.Errorf("%s a scrape does not show %d commits", when, want)
			}
		}
		commit()
		shows("at first", 1)
		commit()
		pass(14 * time.Second)
		shows("14 s later", 1)
		c.Poll("large", "embeddings", time.Second, nil)
		shows("after a poll", 2)
		commit()
		pass(14 * time.Second)
		shows("14 s after a poll", 2)
		pass(2 * time.Second)
		shows("16 s after a poll", 3)
		commit()
		c.Reload(true, noon)
		shows("after a reload", 4)
	})
}

// A slow source takes its time.
type slow struct {
	*source
	takes time.Duration
}

func (s *slow) View() *ledger.View {
	pass(s.takes)
	return s.source.View()
}

// However long it takes to make a large answer, polls have another one made before it is no longer fresh.
func TestPollsMakeALargeAnswerBeforeAScrapeHasTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		large, _ := organizations(t, 20, 1000)
		s := &slow{large, 2 * time.Second}
		c := collector.New(collector.Options{Views: s, Statuses: s, Now: time.Now})
		h := c.Handler()
		scrape(h, "gzip")
		for range 60 {
			c.Poll("organization-0000", "embeddings", time.Second, nil)
			pass(time.Second)
			begin := time.Now()
			if scrape(h, "gzip"); time.Since(begin) > 0 {
				t.Fatal("a scrape has waited")
			}
		}
	})
}

func TestASmallAnswerIsAlwaysThatOfNow(t *testing.T) {
	c, _ := shown(t, 2000)
	h := c.Handler()
	for n := range 3 {
		c.Commit(time.Second, nil)
		if line := fmt.Sprintf("\nopenai_exporter_state_commit_duration_seconds_count %d\n", n+1); !strings.Contains(ask(t, h, "/metrics", acceptable["text"], "gzip"), line) {
			t.Errorf("a scrape does not show commit %d", n+1)
		}
	}
}

func pass(d time.Duration) { <-time.After(d) }

// The rate limits of an organization depend on which models its series name.
func TestAPollOfOneOrganizationChoosesNoLimitsOfOthers(t *testing.T) {
	const n, models = 50, 40
	s, c := organizations(t, n, models)
	names := new(directory.Snapshot)
	for i := range n {
		o := &directory.Organization{Name: fmt.Sprintf("organization-%04d", i)}
		for k := range models {
			o.RateLimits = append(o.RateLimits, directory.RateLimit{ProjectID: fmt.Sprintf("proj_%d", k), Model: fmt.Sprintf("gpt-%d", k), TokensPerMinute: 1, RequestsPerMinute: 2})
		}
		names.Organizations = append(names.Organizations, o)
	}
	s.names.Store(names)
	h := c.Handler()
	scrape(h, "gzip")
	polled := func() {
		view := *s.View()
		view.Feeds = append([]*ledger.FeedView(nil), view.Feeds...)
		feed := *view.Feeds[0]
		view.Feeds[0] = &feed
		s.view.Store(&view)
		scrape(h, "gzip")
	}
	if n := testing.AllocsPerRun(3, polled); n > 8000 {
		t.Errorf("%v allocations for a poll of one organization and a scrape", n)
	}
}
