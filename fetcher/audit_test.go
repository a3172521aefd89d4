package fetcher_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openai-exporter/openai_exporter/fetcher"
	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
)

// An unaudited feed is never due for an audit.
type unaudited struct{ *ledger.Feed }

func (unaudited) AuditWindow(time.Time) (ledger.Window, bool) { return ledger.Window{}, false }

// A script is a feed of a test that books into nothing. Its audits never end.
type script struct {
	mu      sync.Mutex
	groupBy []string
	audits  int // how many are due; below zero for ever
	book    func(r *ledger.Read) error
	booked  []ledger.Window
}

func (s *script) GroupBy() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.groupBy)
}

func (s *script) ReadAt() time.Time { return time.Time{} }

func (s *script) Refused(ledger.Window) (bool, error) { return false, nil }

func (s *script) Drop(string) error { return errors.New("disk full") }

func (s *script) PollWindow(now time.Time) ledger.Window {
	return ledger.Window{Width: api.Minute, From: now.Truncate(time.Minute).Add(-time.Hour)}
}

func (s *script) AuditWindow(now time.Time) (ledger.Window, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	hour := now.Truncate(time.Hour)
	return ledger.Window{Width: api.Hour, From: hour.Add(-10 * time.Hour), To: hour.Add(-2 * time.Hour), Audit: true}, s.audits != 0
}

func (s *script) Book(ctx context.Context, r *ledger.Read) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.book != nil {
		if err := s.book(r); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if r.Window.Audit && s.audits > 0 {
		s.audits--
	}
	s.booked = append(s.booked, r.Window)
	return nil
}

func (s *script) windows() []ledger.Window {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.booked)
}

func one(t *testing.T, feed fetcher.Feed) []fetcher.PolledEndpoint {
	return []fetcher.PolledEndpoint{{Endpoint: endpoint(t, "embeddings"), Interval: time.Minute, Feed: feed}}
}

func TestACatchUpDoesNotStarveThePolls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{before: func(_ http.ResponseWriter, r *http.Request) bool {
			if r.URL.Query().Get("bucket_width") == "1h" {
				select {
				case <-time.After(7 * time.Second):
				case <-r.Context().Done():
				}
			}
			return false
		}}
		feed, seen := &script{audits: -1}, &witness{}
		schedule(t, seen, fetcher.Organization{Name: "acme", Client: client(t, serve(t, f), seen), Endpoints: one(t, feed)})
		pass(time.Hour)
		polls, audits := seen.of("embeddings"), seen.audited()
		if len(polls) < 60 {
			t.Errorf("%d polls in an hour", len(polls))
		}
		for _, g := range gaps(polls) {
			if g > 1.2 {
				t.Errorf("no poll for %v minutes", g)
			}
		}
		if len(audits) < 400 {
			t.Errorf("%d audits in an hour: the time between polls was not used", len(audits))
		}
	})
}

func TestAuditsGoOnUntilNoneIsDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		feed, seen := &script{audits: 5}, &witness{}
		schedule(t, seen, fetcher.Organization{Name: "acme", Client: client(t, serve(t, &fake{}), seen), Endpoints: one(t, feed)})
		pass(5 * time.Second)
		if n := len(seen.audited()); n != 5 {
			t.Errorf("%d audits after the first poll, want 5", n)
		}
	})
}

func TestAFailedAuditDoesNotFailThePoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{before: func(w http.ResponseWriter, r *http.Request) bool {
			return r.URL.Query().Get("bucket_width") == "1h" && says(500, "")(w, r)
		}}
		feed, seen := &script{audits: -1}, &witness{}
		s := schedule(t, seen, fetcher.Organization{Name: "acme", Client: client(t, serve(t, f), seen), Endpoints: one(t, feed)})
		pass(10*time.Minute + 30*time.Second)
		polls, audits := seen.of("embeddings"), seen.audited()
		if len(polls) < 10 || len(audits) != len(polls) {
			t.Errorf("%d polls and %d audits in ten minutes", len(polls), len(audits))
		}
		for i, a := range audits {
			if a.err == nil || polls[i].err != nil {
				t.Errorf("audit: %v, poll: %v", a.err, polls[i].err)
			}
		}
		if st := status(t, s, "embeddings"); st.State != fetcher.StateOK || st.Error != "" {
			t.Errorf("status: %+v", st)
		}
		if n := len(seen.logged("An audit fails")) - len(seen.logged("level=debug")); n > 1 || len(seen.logged("level=warn")) != 1 {
			t.Errorf("the log: %v", seen.logged("level=warn"))
		}
	})
}

func TestABookThatCanNotBeWrittenIsAFailedPoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		full := true
		feed, seen := &script{}, &witness{}
		feed.book = func(*ledger.Read) error {
			if full {
				return errors.New("no space left on device")
			}
			return nil
		}
		s := schedule(t, seen, fetcher.Organization{Name: "acme", Client: client(t, serve(t, &fake{}), seen), Endpoints: one(t, feed)})
		pass(10 * time.Minute)
		if st := status(t, s, "embeddings"); st.State != fetcher.StateFailing || !strings.Contains(st.Error, "no space left") {
			t.Errorf("status: %+v", st)
		}
		feed.mu.Lock()
		full = false
		feed.mu.Unlock()
		pass(10 * time.Minute)
		if st := status(t, s, "embeddings"); st.State != fetcher.StateOK || len(seen.logged("works again")) != 1 {
			t.Errorf("status: %+v, log: %v", st, seen.logged("works again"))
		}
	})
}

func TestAGroupingThatChangesDuringAPollIsAskedForAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		feed, seen, f := &script{groupBy: []string{"project_id", "model"}}, &witness{}, &fake{}
		feed.book = func(r *ledger.Read) error {
			if len(r.Columns()) != 1 {
				feed.groupBy = []string{"model"}
				return ledger.ErrReshaped
			}
			return nil
		}
		schedule(t, seen, fetcher.Organization{Name: "acme", Client: client(t, serve(t, f), seen), Endpoints: one(t, feed)})
		pass(2 * time.Second)
		polls := seen.of("embeddings")
		if len(polls) == 0 || polls[0].err != nil || len(feed.windows()) != len(polls) || len(f.asks()) != len(polls)+1 {
			t.Errorf("polls %v after %d requests", polls, len(f.asks()))
		}
	})
}

func TestADimensionThatCanNotBeDroppedFailsThePoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		feed, seen := &script{groupBy: []string{"model"}}, &witness{}
		f := &fake{before: func(w http.ResponseWriter, r *http.Request) bool {
			return r.URL.Query().Has("group_by") && says(400, `{"error":{"message":"no","param":"group_by"}}`)(w, r)
		}}
		schedule(t, seen, fetcher.Organization{Name: "acme", Client: client(t, serve(t, f), seen), Endpoints: one(t, feed)})
		pass(2 * time.Second)
		if polls := seen.of("embeddings"); len(polls) == 0 || polls[0].err == nil || !strings.Contains(polls[0].err.Error(), "disk full") {
			t.Errorf("polls: %v", polls)
		}
	})
}
