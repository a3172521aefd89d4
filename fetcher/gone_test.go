package fetcher_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openai-exporter/openai_exporter/fetcher"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
)

// TestAPollOfWhatHasGoneEndsQuietly: a reload takes an endpoint out of the ledger a moment before it stops the polling, and
// nothing is wrong with what was read meanwhile.
func TestAPollOfWhatHasGoneEndsQuietly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, seen := &fake{}, &witness{}
		feed := &script{groupBy: []string{"model"}, book: func(*ledger.Read) error { return fmt.Errorf("book: %w", ledger.ErrGone) }}
		s := schedule(t, seen, fetcher.Organization{Name: "acme", Client: client(t, serve(t, f), seen), Endpoints: one(t, feed)})
		pass(5 * time.Minute)
		if n := len(f.asks()); n != 1 {
			t.Errorf("it is asked for %d times", n)
		}
		if polls := seen.of("embeddings"); len(polls) != 0 {
			t.Errorf("polls are told of: %v", polls)
		}
		if log := seen.log.String(); log != "" {
			t.Errorf("the log says: %s", log)
		}
		s.Apply(nil)
	})
}
