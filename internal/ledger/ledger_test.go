package ledger_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/decimal"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
)

var (
	a = labels{"proj_a", "m1"}
	b = labels{"proj_b", "m1"}
	c = labels{"proj_c", "m1"}
)

type counts = map[labels]int64

func TestPollingAgainCountsNothingTwice(t *testing.T) {
	g := newRig(t).open()
	g.poll()
	g.pass(time.Minute)
	g.use(30*time.Second, a, 10)
	for range 5 {
		g.poll()
	}
	g.expect(counts{a: 10})
	g.audit()
	g.audit()
	g.expect(counts{a: 10})
}

func TestColdStartNowCountsOnlyWhatIsAddedLater(t *testing.T) {
	g := newRig(t)
	g.use(10*time.Second, a, 5)  // the running minute, partly over
	g.use(25*time.Minute, a, 7)  // an early minute of the current hour
	g.use(70*time.Minute, a, 11) // a minute of the hour at the edge of the lookback
	g.use(50*time.Hour, b, 13)   // an hour that only the audit reads
	g.open()
	g.poll()
	g.audit()
	g.expect(counts{a: 0, b: 0})
	g.use(0, a, 1)
	g.use(25*time.Minute, a, 1)
	g.use(70*time.Minute, a, 1)
	g.use(50*time.Hour, b, 1)
	g.pass(time.Minute)
	g.poll()
	g.expect(counts{a: 2, b: 0})
	g.pass(15 * time.Minute)
	g.audit()
	g.expect(counts{a: 2, b: 1})
	g.settle()
	g.expect(counts{a: 3, b: 1})
}

func TestTheAuditsBaselineMayComeLate(t *testing.T) {
	g := newRig(t)
	g.use(2*time.Minute, a, 100)
	g.use(30*time.Hour, b, 100)
	g.open()
	g.poll()
	// The first audit fails for three hours; meanwhile the first hours leave the fast window.
	for range 180 {
		g.pass(time.Minute)
		g.use(0, a, 1)
		g.poll()
	}
	g.audit()
	g.use(30*time.Hour, b, 5)
	g.settle()
	g.expect(counts{a: 180, b: 5})
}

func TestStartSettings(t *testing.T) {
	hour := func(now time.Time) time.Time { return now.Truncate(time.Hour) }
	for name, tc := range map[string]struct {
		start func(time.Time) (time.Time, bool)
		want  int64
		late  int64 // what counts of what comes late for 61 hours ago
	}{
		"now":       {func(time.Time) (time.Time, bool) { return time.Time{}, false }, 0, 1000},
		"none":      {nil, 0, 1000},
		"today":     {func(now time.Time) (time.Time, bool) { return now.Truncate(24 * time.Hour), true }, 1 + 2 + 4, 0},
		"this hour": {func(now time.Time) (time.Time, bool) { return hour(now), true }, 1, 0},
		"month": {func(now time.Time) (time.Time, bool) {
			return time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC), true
		}, 1 + 2 + 4 + 8 + 16, 1000},
		"a day in the past": {func(time.Time) (time.Time, bool) { return time.Date(2026, 9, 1, 5, 0, 0, 0, time.UTC), true }, 1 + 2 + 4 + 8 + 16 + 32, 1000},
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t)
			g.options.CountersStart, g.options.CountersStartText = tc.start, name
			g.use(20*time.Minute, a, 1)
			g.use(90*time.Minute, a, 2)
			g.use(8*time.Hour, a, 4)
			g.use(60*time.Hour, a, 8)
			g.use(9*24*time.Hour, a, 16)
			g.use(60*24*time.Hour, a, 32)
			g.use(80*24*time.Hour, a, 64)
			g.open()
			g.poll()
			g.audit()
			g.use(61*time.Hour, a, 1000) // late: before a start that was given it never counts
			g.pass(time.Minute)
			g.use(0, a, 100)
			g.settle()
			g.expect(counts{a: tc.want + tc.late + 100})

			g.options.CountersStartText = "changed"
			g.options.CountersStart = func(time.Time) (time.Time, bool) { return time.Unix(0, 0), true }
			g.open().settle()
			g.expect(counts{a: tc.want + tc.late + 100})
		})
	}
}

func TestLateDataCountsOnce(t *testing.T) {
	g := newRig(t).open()
	g.poll()
	g.audit()
	for i := range 300 { // five hours, each minute ramping up over the next ten
		g.pass(time.Minute)
		for back := range min(i+1, 10) {
			g.use(time.Duration(back)*time.Minute, a, 1)
		}
		g.poll()
		g.audit()
	}
	want := int64(0)
	for i := range 300 {
		want += int64(min(i+1, 10))
	}
	g.expect(counts{a: want})
	g.use(4*time.Hour, a, 1) // hours late: only the audit can find it
	g.use(70*time.Hour, a, 1)
	g.settle()
	g.expect(counts{a: want + 2})
	m := g.measure()
	g.expectAmount("audit difference up", m.AuditUp, 2)
	g.expectAmount("restated up", m.RestatedUp, 2)
}

func TestRestatementDownIsWithheldUntilPaidBack(t *testing.T) {
	g := newRig(t).open()
	g.poll()
	g.pass(time.Minute)
	g.use(0, a, 100)
	g.poll()
	g.use(0, a, -30)
	g.poll()
	g.expect(counts{a: 100})
	g.expectAmount("withheld", g.measure().Withheld, 30)
	g.expectAmount("restated down", g.measure().RestatedDown, 30)
	g.open() // the high-water mark is on disk
	g.expect(counts{a: 100})
	g.expectAmount("withheld", g.measure().Withheld, 30)
	g.pass(time.Minute)
	g.use(0, a, 29)
	g.poll()
	g.expect(counts{a: 100})
	g.pass(time.Minute)
	g.use(0, a, 6)
	g.poll()
	g.expect(counts{a: 105})
	g.expectAmount("withheld", g.measure().Withheld, 0)
}

func TestALabelSetThatVanishesFromABucketCountsAsZeroThere(t *testing.T) {
	g := newRig(t).open()
	g.poll()
	g.pass(time.Minute)
	g.use(0, a, 10)
	g.poll()
	g.use(0, a, -10) // the row is gone, the project was wrong
	g.use(0, b, 10)
	g.poll()
	g.expect(counts{a: 10, b: 10})
	g.expectAmount("withheld", g.measure().Withheld, 10)
}

func TestClockJumpsNeitherLoseNorDouble(t *testing.T) {
	t.Parallel()
	for _, jump := range []time.Duration{time.Hour, 26 * time.Hour, 400 * 24 * time.Hour, -time.Hour, -26 * time.Hour} {
		t.Run(jump.String(), func(t *testing.T) {
			t.Parallel()
			g := newRig(t).open()
			g.poll()
			g.audit()
			want := int64(0)
			live := func(minutes int) {
				for range minutes {
					g.pass(time.Minute)
					g.use(0, a, 3)
					want += 3
					g.poll()
					g.audit()
				}
			}
			live(150)
			// For a while the exporter plans with a wrong clock. The API answers by its own: it has no buckets of the
			// future, and says when it answered.
			for range 30 {
				g.pass(time.Minute)
				g.use(0, a, 3)
				want += 3
				g.book(g.feed.PollWindow(g.now.Add(jump)))
				if w, due := g.feed.AuditWindow(g.now.Add(jump)); due {
					g.book(w)
				}
			}
			g.open()
			live(200)
			g.settle()
			g.expect(counts{a: want})
		})
	}
}

func TestAJumpedAPIClockWithoutBucketsFoldsNothing(t *testing.T) {
	g := newRig(t).open()
	g.poll()
	g.audit()
	g.pass(time.Minute)
	g.use(0, a, 5)
	g.poll()
	for range 3 { // an answer without a bucket, a year ahead
		r := ledger.NewRead(embeddings, g.feed.GroupBy(), g.feed.PollWindow(g.now.AddDate(1, 0, 0)))
		r.AsOf = g.now.AddDate(1, 0, 0)
		if err := g.feed.Book(context.Background(), r); err != nil {
			t.Fatal(err)
		}
	}
	g.pass(time.Minute)
	g.use(0, a, 5)
	g.use(40*time.Minute, a, 5)
	g.poll()
	g.expect(counts{a: 15})
	g.settle()
	g.expect(counts{a: 15})
}

func TestViewsAreImmutable(t *testing.T) {
	g := newRig(t).open()
	g.poll()
	g.pass(time.Minute)
	g.use(0, a, 1)
	g.poll()
	v := g.ledger.View()
	g.use(0, a, 1)
	g.poll()
	if got := number(t, v.Feeds[0].Series[0].Values[0]); got != 1 {
		t.Errorf("an old view shows %d", got)
	}
	if g.ledger.View().Generation <= v.Generation {
		t.Error("the generation did not grow")
	}
}

func TestLastBucketIsTheNewestClosedOne(t *testing.T) {
	g := newRig(t).open()
	g.poll()
	g.pass(2 * time.Minute)
	g.use(time.Minute, a, 7)
	g.use(0, a, 100)
	g.use(2*time.Minute, b, 9)
	g.poll()
	v := g.ledger.View().Feeds[0]
	if len(v.LastBucket) != 1 || labelsOf(v.LastBucket[0].Labels) != a || number(t, v.LastBucket[0].Values[0]) != 7 {
		t.Errorf("last bucket = %+v", v.LastBucket)
	}
	if want := g.now.Truncate(time.Minute); !v.ReadThrough.Equal(want) {
		t.Errorf("read through %s, want %s", v.ReadThrough, want)
	}
}

func TestAContradictoryAnswerBooksNothing(t *testing.T) {
	g := newRig(t).open()
	g.poll()
	w := g.feed.PollWindow(g.now)
	for name, start := range map[string][]time.Time{
		"twice":      {w.From, w.From.Add(time.Minute), w.From},
		"before":     {w.From.Add(-time.Minute)},
		"misaligned": {w.From.Add(time.Second)},
	} {
		r := ledger.NewRead(embeddings, g.feed.GroupBy(), w)
		r.AsOf = g.now
		for _, s := range start {
			r.Bucket(s)
			r.Row([]string{"proj_a", "m1"}, []decimal.Fixed{decimal.FromInt(1), decimal.FromInt(3)})
		}
		if err := g.feed.Book(context.Background(), r); err == nil {
			t.Errorf("%s: booked", name)
		}
	}
	g.expect(counts{})
}

func TestStateThatCannotBeUsedIsRefused(t *testing.T) {
	t.Parallel()
	prepare := func(t *testing.T) (*rig, string) {
		g := newRig(t).open()
		g.poll()
		g.pass(time.Minute)
		for i := range 200 {
			g.use(0, labels{strings.Repeat("x", i), "m"}, int64(i)+1)
		}
		g.poll()
		return g, filepath.Join(g.dir, ledger.FileName)
	}
	refused := func(t *testing.T, g *rig, want string) {
		t.Helper()
		l, err := ledger.Open(ledger.Options{Dir: g.dir})
		if err == nil {
			_, err = l.Configure(g.settings, []ledger.FeedOptions{g.options})
			_ = l.Close()
		}
		var se *ledger.StateError
		if !errors.As(err, &se) {
			t.Fatalf("error = %v", err)
		}
		if msg := err.Error(); !strings.Contains(msg, want) || !strings.Contains(msg, g.dir) || strings.Contains(msg, "\n") {
			t.Errorf("message %q does not say %q", msg, want)
		}
	}
	t.Run("second process", func(t *testing.T) {
		g, _ := prepare(t)
		refused(t, g, "another process is using it")
	})
	t.Run("torn", func(t *testing.T) {
		g, path := prepare(t)
		_ = g.ledger.Close()
		if err := os.Truncate(path, 100); err != nil {
			t.Fatal(err)
		}
		refused(t, g, "damaged")
	})
	t.Run("not a database", func(t *testing.T) {
		g, path := prepare(t)
		_ = g.ledger.Close()
		if err := os.WriteFile(path, []byte(strings.Repeat("junk", 10000)), 0o600); err != nil {
			t.Fatal(err)
		}
		refused(t, g, "damaged")
	})
	t.Run("flipped bits", func(t *testing.T) {
		g, path := prepare(t)
		_ = g.ledger.Close()
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		at := strings.Index(string(data), strings.Repeat("x", 150))
		if at < 0 {
			t.Fatal("the label is not in the file")
		}
		for i := range data { // every copy of it, for old pages hold some, too
			if strings.HasPrefix(string(data[i:min(i+150, len(data))]), strings.Repeat("x", 150)) {
				data[i+75] = 'y'
			}
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		refused(t, g, "damaged")
	})
	t.Run("newer schema", func(t *testing.T) {
		g, path := prepare(t)
		_ = g.ledger.Close()
		setSchema(t, path, "7")
		refused(t, g, "newer version")
	})
	t.Run("no directory", func(t *testing.T) {
		g := newRig(t)
		g.dir = filepath.Join(g.dir, "file", "below")
		if err := os.WriteFile(filepath.Dir(g.dir), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		refused(t, g, "--storage.path")
	})
}
