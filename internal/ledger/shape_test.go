package ledger_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/ledger"
)

// TestAChangedFilterStartsAfresh: what another filter lets through is other usage, although the label sets are the same.
func TestAChangedFilterStartsAfresh(t *testing.T) {
	g := newRig(t)
	for m := range 6 * 60 {
		g.use(time.Duration(m)*time.Minute, a, 1)
	}
	g.options.Filters = "models=m1"
	g.open()
	g.poll()
	g.audit()
	g.pass(time.Minute)
	g.use(0, a, 5)
	g.poll()
	g.expect(counts{a: 5})
	if got := g.feed.PollWindow(g.now).Filters(); got != "models=m1" {
		t.Errorf("the window is of the filters %q", got)
	}

	// The same filter after a restart is no change.
	g.open()
	g.pass(time.Minute)
	g.use(0, a, 2)
	g.poll()
	g.expect(counts{a: 7})

	// Without the filter there is much more usage. All that is older than the change is its baseline.
	begun := g.read(embeddings, g.feed.GroupBy(), g.feed.PollWindow(g.now))
	for m := range 6 * 60 {
		g.use(time.Duration(m)*time.Minute, a, 1000)
	}
	g.options.Filters = ""
	g.configure()
	if err := g.feed.Book(context.Background(), begun); !errors.Is(err, ledger.ErrReshaped) {
		t.Errorf("booking what was asked for with the former filter says %v", err)
	}
	if w, due := g.feed.AuditWindow(g.now); due {
		t.Errorf("an audit of %v is due before the new shape was polled", w.From)
	}
	g.poll()
	g.settle()
	g.pass(time.Minute)
	g.use(0, a, 3)
	g.poll()
	g.expect(counts{a: 10})
}

// TestAFilterThatWasThereAndBackIsAnotherShape: the usage of the time in between is not caught up with.
func TestAFilterThatWasThereAndBackIsAnotherShape(t *testing.T) {
	g := newRig(t).open()
	g.poll()
	g.audit()
	for range 3 {
		g.pass(time.Minute)
		g.use(0, a, 1)
		g.poll()
	}
	w := g.feed.PollWindow(g.now)
	g.options.Filters = "models=m2"
	g.configure()
	g.options.Filters = ""
	g.configure()
	if err := g.feed.Book(context.Background(), g.read(embeddings, g.feed.GroupBy(), w)); !errors.Is(err, ledger.ErrReshaped) {
		t.Errorf("booking a window of the first shape says %v", err)
	}
	g.use(0, a, 100)
	g.poll()
	g.settle()
	g.expect(counts{a: 3})
	if got := g.feed.PollWindow(g.now).Filters(); got != "" {
		t.Errorf("the window is of the filters %q", got)
	}
}

// TestARefusedDimensionStaysRefusedUnderAnotherFilter: the API refuses a dimension of an endpoint, whatever rows it is
// asked for.
func TestARefusedDimensionStaysRefusedUnderAnotherFilter(t *testing.T) {
	g := newRig(t)
	g.options.GroupBy = []string{"project_id", "user_id", "model"}
	g.open()
	if err := g.feed.Drop("user_id"); err != nil {
		t.Fatal(err)
	}
	g.options.Filters = "models=m1"
	g.open()
	if got := g.feed.GroupBy(); len(got) != 2 {
		t.Errorf("grouped by %v", got)
	}
	if got := g.feed.PollWindow(g.now).Filters(); got != "models=m1" {
		t.Errorf("the window is of the filters %q", got)
	}
}
