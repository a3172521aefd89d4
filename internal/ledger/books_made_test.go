package ledger_test

import (
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	bolt "go.etcd.io/bbolt"

	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/decimal"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
)

// unpackState puts a state of version 0.1 into a directory. It was booked at noon, with one request a minute of two
// projects at a dollar each; three organizations are grouped finely, coarsely, and finely with label sets folded. Every
// day of the bill has the same rows.
func unpackState(t *testing.T, dir string) {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", "state-schema2.db.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, ledger.FileName), b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestAStateWithoutBooksGivesWhatItKnows: nothing on a state of version 0.1 is lost, and what it can't know is absent.
func TestAStateWithoutBooksGivesWhatItKnows(t *testing.T) {
	dir := t.TempDir()
	unpackState(t, dir)
	completions, _ := api.Find("completions")
	costs, _ := api.Find(api.Costs)
	var options []ledger.FeedOptions
	for organization, by := range map[string][]string{"whole": {"project_id", "model"}, "coarse": {"model"}, "folded": {"project_id", "model"}} {
		bill := []string{"project_id", "line_item"}
		if len(by) == 1 {
			bill = []string{"line_item"}
		}
		options = append(options,
			ledger.FeedOptions{Organization: organization, Endpoint: completions, GroupBy: by, Width: api.Minute, Lookback: time.Hour, AuditInterval: 15 * time.Minute, AuditWindow: 72 * time.Hour, Price: perRow(tierPrices)},
			ledger.FeedOptions{Organization: organization, Endpoint: costs, GroupBy: bill, Width: api.CostDay, Lookback: 96 * time.Hour})
	}
	var l *ledger.Ledger
	var feeds []*ledger.Feed
	open := func() map[string]*ledger.FeedView {
		t.Helper()
		if l != nil {
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
		}
		var err error
		if l, err = ledger.Open(ledger.Options{Dir: dir}); err == nil {
			feeds, err = l.Configure(ledger.Settings{IdleRetention: 35 * 24 * time.Hour, MaxLabelSets: 12}, options)
		}
		if err != nil {
			t.Fatal(err)
		}
		views := map[string]*ledger.FeedView{}
		for _, f := range l.View().Feeds {
			views[f.Organization+" "+f.Endpoint.Name] = f
		}
		return views
	}
	t.Cleanup(func() { _ = l.Close() })
	bill := []string{": 0 charged, 50 credited, 0 estimated", "a: 10 charged, 0 credited, 0 estimated", "b: 3 charged, 0 credited, 0 estimated"}
	items := []string{"gift in tokens: 0 for 0, 9 free", "in in tokens: 13 for 6, 0 free"}
	for _, written := range []bool{false, true, true} {
		views := open()
		for _, c := range []struct {
			name            string
			days            int
			split, itemized bool
			want            []string
		}{
			{"whole costs", 35, true, true, append(append([]string{}, bill...), items...)},
			{"coarse costs", 35, false, true, append([]string{": 13 charged, 50 credited, 0 estimated"}, items...)},
			{"folded costs", 35, false, false, []string{": 20 charged, 50 credited, 0 estimated"}},
			{"whole completions", 3, true, true, []string{"a: 0 charged, 0 credited, 751 estimated", "b: 0 charged, 0 credited, 751 estimated"}},
			{"coarse completions", 3, false, true, []string{": 0 charged, 0 credited, 1502 estimated"}},
			{"folded completions", 3, true, true, []string{"a: 0 charged, 0 credited, 751 estimated", "b: 0 charged, 0 credited, 751 estimated", "c: 0 charged, 0 credited, 5257 estimated"}},
		} {
			v := views[c.name]
			if len(v.Books) < c.days {
				t.Fatalf("%s: %d days", c.name, len(v.Books))
			}
			newest := v.Books[len(v.Books)-1]
			got := spellDay(newest)
			if v.Endpoint.IsCosts() {
				got = spellDay(v.Books[len(v.Books)-2])
				if !newest.ReadAt.Equal(noon.Truncate(time.Second)) || newest.Itemized != c.itemized {
					t.Errorf("%s: read at %s, itemized %t", c.name, newest.ReadAt, newest.Itemized)
				}
			} else if newest.Hours != 12 {
				t.Errorf("%s: %d hours of today, want 12", c.name, newest.Hours)
			}
			if diff := cmp.Diff(c.want, got); diff != "" || newest.Split != c.split {
				t.Errorf("%s, split %t (-want +got):\n%s", c.name, newest.Split, diff)
			}
		}
		if written {
			continue
		}
		// The next commit writes all of it.
		for i, f := range feeds {
			if err := f.Drop(options[i].GroupBy[len(options[i].GroupBy)-1]); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestBooksThatAreMadeKnowWhichHoursAreOver: they say of how many hours they are what those did that were kept.
func TestBooksThatAreMadeKnowWhichHoursAreOver(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		width api.Width
		past  time.Duration
		hours int // with the one that the first poll reads back to
	}{
		"minutes, to the end of an hour": {api.Minute, 0, 3},
		"minutes, but for the last":      {api.Minute, -time.Minute, 2},
		"minutes, into an hour":          {api.Minute, time.Minute, 3},
		"hours, to the end of one":       {api.Hour, 0, 3},
		"hours, but for the last minute": {api.Hour, -time.Minute, 2},
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t)
			g.options.Width, g.options.Price = tc.width, perRow(func(_ time.Time, _ []string, _ []ledger.Label, v []decimal.Fixed) (usd, unpriced decimal.Fixed) {
				return v[0], decimal.Fixed{}
			})
			g.now = noon.Truncate(time.Hour)
			g.open()
			for end := noon.Truncate(time.Hour).Add(2*time.Hour + tc.past); g.now.Before(end); g.pass(time.Minute) {
				g.use(0, a, 1)
				g.poll()
			}
			g.poll()
			kept := g.dayBook(noon)
			g.withoutBooks()
			made := g.dayBook(noon)
			if kept.Hours != tc.hours || made.Hours != kept.Hours {
				t.Errorf("of %d hours, and those made again of %d, want %d", kept.Hours, made.Hours, tc.hours)
			}
			if diff := cmp.Diff(spellDay(kept), spellDay(made)); diff != "" {
				t.Errorf("-kept +made:\n%s", diff)
			}
		})
	}
}

// withoutBooks opens the state again as a version has left it that kept no books yet.
func (g *rig) withoutBooks() {
	g.t.Helper()
	g.alter(func(tx *bolt.Tx) error {
		feeds := tx.Bucket([]byte("feeds"))
		return errors.Join(tx.Bucket([]byte("meta")).Put([]byte("schema"), []byte("2")), feeds.ForEachBucket(func(name []byte) error {
			feed := feeds.Bucket(name)
			return errors.Join(feed.DeleteBucket([]byte("books")), feed.DeleteBucket([]byte("names")), feed.Delete([]byte("tally")))
		}))
	})
	g.open()
}
