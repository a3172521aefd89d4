package ledger_test

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/decimal"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
)

// TestAStateThatWasReadAsShownGoesOnWhenItIsReadFine: an upgrade asks for more than what a state was made of. What came in
// between counts once, in whichever window it is found.
func TestAStateThatWasReadAsShownGoesOnWhenItIsReadFine(t *testing.T) {
	t.Parallel()
	for _, groupBy := range [][]string{{"project_id", "model"}, {"model"}, nil} {
		t.Run(fmt.Sprint(groupBy), func(t *testing.T) {
			t.Parallel()
			g := tierRig(t)
			g.options.GroupBy, g.options.ReadBy = groupBy, nil
			g.options.Price = perRow(func(_ time.Time, _ []string, _ []ledger.Label, values []decimal.Fixed) (usd, unpriced decimal.Fixed) {
				return values[0], decimal.Fixed{}
			})
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
			began := g.ledger.View().Feeds[0].BegunAt
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
			if again := g.ledger.View().Feeds[0].BegunAt; !again.Equal(began) {
				t.Errorf("it started at %s, and again at %s", began, again)
			}
		})
	}
}

// TestAStateOfTheFirstVersionGoesOnWhenItIsReadFine takes a state over that version 0.1 wrote, which was read as it was
// shown, and reads it by all that pricing needs. What was counted and estimated stays, and what comes since, also in hours
// that are on the state, counts once.
func TestAStateOfTheFirstVersionGoesOnWhenItIsReadFine(t *testing.T) {
	t.Parallel()
	for organization, by := range map[string][]string{"whole": {"project_id", "model"}, "coarse": {"model"}, "folded": {"project_id", "model"}} {
		t.Run(organization, func(t *testing.T) {
			t.Parallel()
			g := newRig(t)
			unpackState(t, g.dir)
			g.settings.MaxLabelSets = 12
			g.options.Organization, g.options.GroupBy = organization, by
			g.options.Endpoint, _ = api.Find("completions")
			g.options.ReadBy = []string{"project_id", "model", "batch", "service_tier"}
			g.options.Price = perRow(func(_ time.Time, _ []string, _ []ledger.Label, values []decimal.Fixed) (usd, unpriced decimal.Fixed) {
				return values[0], decimal.Fixed{}
			})
			users := []labels{{"a", "m1"}, {"b", "m1"}}
			if organization == "folded" {
				for n := 2; n <= 8; n++ {
					users = append(users, labels{"c", fmt.Sprint("m", n)})
				}
			}
			// What the API has since the oldest hour of the state: a request a minute.
			onState := int64(0)
			for at := g.now.Add(-72 * time.Hour).Truncate(time.Hour); !at.After(g.now); at = at.Add(time.Minute) {
				for _, l := range users {
					g.use(g.now.Sub(at), l, 1)
					onState++
				}
			}
			g.open()
			counted := int64(0)
			check := func(when string) {
				t.Helper()
				var shown, estimated, booked int64
				v := g.ledger.View().Feeds[0]
				for _, s := range v.Series {
					shown += number(t, s.Values[0])
				}
				for _, n := range g.derived(api.DerivedCost) {
					estimated += n
				}
				for _, d := range v.Books {
					booked += number(t, d.Total().Estimated)
				}
				if shown != counted || estimated != counted || booked != onState+counted {
					t.Fatalf("%s: %d counted, %d estimated, want %d; %d in the books, want %d", when, shown, estimated, counted, booked, onState+counted)
				}
			}
			pass := func() {
				g.pass(5 * time.Minute)
				g.tiers(g.feed.PollWindow(g.now))
				for w, due := g.feed.AuditWindow(g.now); due; w, due = g.feed.AuditWindow(g.now) {
					g.tiers(w)
				}
			}
			check("as it was left")
			g.tiers(g.feed.PollWindow(g.now))
			check("polled")
			pass()
			check("audited")
			for hour := range 2 {
				for range 12 {
					for _, l := range users {
						g.use(time.Minute, l, 3)
						counted += 3
					}
					pass()
				}
				// An hour that the state has, and the one at the edge of what polls read, grow in one tier.
				g.use(time.Duration(20+hour)*time.Hour, users[0], 2)
				g.use(70*time.Minute, users[1], 1)
				counted += 3
				if hour == 0 {
					g.open()
				}
			}
			for range 12 * 2 { // until the newest growth has been audited
				pass()
			}
			check("four hours on")
			d := g.ledger.View().Feeds[0].Books
			if newest := d[len(d)-1]; newest.Split != (organization != "coarse") {
				t.Errorf("today is known by project: %t", newest.Split)
			}
		})
	}
}

// tiers books a window of the world, whose rows the API tells apart by batch and tier: odd minutes are batches. As the API
// does, it gives each bucket one row for each of them.
func (g *rig) tiers(w ledger.Window) {
	g.t.Helper()
	r := ledger.NewRead(g.options.Endpoint, g.feed.GroupBy(), w)
	r.AsOf = g.now
	type key struct {
		labels
		batch bool
	}
	for at := w.From; at.Before(g.now) && (w.To.IsZero() || at.Before(w.To)); at = at.Add(w.Width.Duration) {
		sums := map[key]int64{}
		for m, last := at.Unix(), at.Add(w.Width.Duration).Unix(); m < last; m += 60 {
			for l, n := range g.minutes[m] {
				sums[key{l, m/60%2 == 1}] += n
			}
		}
		r.Bucket(at)
		for k, n := range sums {
			values := map[string]string{"project_id": k.project, "model": k.model, "batch": strconv.FormatBool(k.batch), "service_tier": "default"}
			row := make([]string, len(r.Columns()))
			for i, c := range r.Columns() {
				row[i] = values[c]
			}
			measures := make([]decimal.Fixed, len(g.options.Endpoint.Measures))
			measures[0], measures[1] = decimal.FromInt(n), decimal.FromInt(n)
			r.Row(row, measures)
		}
	}
	if err := g.feed.Book(g.t.Context(), r); err != nil {
		g.t.Fatal(err)
	}
}
