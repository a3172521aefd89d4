package ledger_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/decimal"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
)

// TestAStateThatWasReadAsShownGoesOnWhenItIsReadFine: an upgrade asks for more than what a state was made of. What came in
// between counts once, in whichever window it is found.
func TestAStateThatWasReadAsShownGoesOnWhenItIsReadFine(t *testing.T) {
	for _, groupBy := range [][]string{{"project_id", "model"}, {"model"}, nil} {
		t.Run(fmt.Sprint(groupBy), func(t *testing.T) {
			g := tierRig(t)
			g.options.GroupBy, g.options.ReadBy = groupBy, nil
			g.options.Price = func(_ time.Time, _ []string, _ []ledger.Label, values []decimal.Fixed) (usd, unpriced decimal.Fixed) {
				return values[0], decimal.Fixed{}
			}
			g.open().poll()
			g.audit()
			want := int64(0)
			use := func(ago time.Duration, l labels, n int64) {
				g.use(ago, l, n)
				want += n
			}
			check := func(when string) {
				t.Helper()
				counted, estimated := int64(0), int64(0)
				for _, n := range g.shown() {
					counted += n
				}
				for _, n := range g.derived(api.DerivedCost) {
					estimated += n
				}
				usd, _ := g.costOf(noon)
				if counted != want || estimated != want || usd != want {
					t.Fatalf("%s: %d counted, %d estimated, %d in the books, want %d", when, counted, estimated, usd, want)
				}
			}
			for range 5 * 12 {
				use(0, a, 3)
				use(0, b, 1)
				g.pass(5 * time.Minute)
				g.poll()
				g.audit()
			}
			check("read as shown")
			began := g.ledger.View().Feeds[0].Started
			// It is down for half an hour, and an audited hour has grown besides.
			for range 30 {
				use(0, a, 5)
				use(3*time.Hour, b, 2)
				g.pass(time.Minute)
			}
			g.options.ReadBy = []string{"project_id", "model", "batch", "service_tier"}
			g.open()
			if got := g.feed.GroupBy(); len(got) != 4 {
				t.Fatalf("asked for %v", got)
			}
			g.settle()
			check("read fine")
			use(0, b, 7)
			g.pass(time.Minute)
			g.poll()
			g.settle()
			check("read fine for a while")
			if again := g.ledger.View().Feeds[0].Started; !again.Equal(began) {
				t.Errorf("it started at %s, and again at %s", began, again)
			}
		})
	}
}
