package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/openai-exporter/openai_exporter/internal/decimal"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
)

// state is the grouping and all that is shown.
func (g *rig) state() string {
	v := g.ledger.View().Feeds[0]
	return fmt.Sprintf("%s %d %s counts from %d, read through %d, audited %d", strings.Join(g.options.GroupBy, ","), len(v.Series), spell(g.shown()),
		v.CountsFrom.Unix(), v.ReadThrough.Unix(), v.Audited.Unix())
}

// refuses books a poll that must fail, and returns what it says.
func (g *rig) refuses() string {
	g.t.Helper()
	before := g.state()
	err := g.feed.Book(context.Background(), g.read(g.options.Endpoint, g.feed.GroupBy(), g.feed.PollWindow(g.now)))
	var se *ledger.StateError
	if !errors.As(err, &se) || strings.Contains(err.Error(), "\n") {
		g.t.Fatalf("error = %v", err)
	}
	if after := g.state(); after != before {
		g.t.Errorf("it shows %s, before %s", after, before)
	}
	return err.Error()
}

func TestAStateThatIsRemovedWhileInUseIsMadeAgain(t *testing.T) {
	for name, remove := range map[string]func(g *rig) error{
		"file":      func(g *rig) error { return os.Remove(filepath.Join(g.dir, ledger.FileName)) },
		"directory": func(g *rig) error { return os.RemoveAll(g.dir) },
		"moved":     func(g *rig) error { return os.Rename(g.dir, g.dir+".away") },
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t)
			g.dir = filepath.Join(g.dir, "state")
			g.open()
			g.poll()
			g.pass(time.Minute)
			g.use(0, labels{"a", "m"}, 5)
			g.poll()
			if err := remove(g); err != nil {
				t.Fatal(err)
			}
			g.use(0, labels{"a", "m"}, 2)
			if msg := g.refuses(); !strings.Contains(msg, "it was removed while in use") {
				t.Errorf("it says %q", msg)
			}
			g.poll()
			g.expect(counts{{"a", "m"}: 7})
			g.open()
			g.expect(counts{{"a", "m"}: 7})
			g.settle()
			g.expect(counts{{"a", "m"}: 7})
			if left, err := filepath.Glob(filepath.Join(g.dir, "*.new*")); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
}

func TestAStateThatCanNotBeMadeAnewIsTriedAgain(t *testing.T) {
	g := newRig(t)
	parent := filepath.Join(g.dir, "parent")
	g.dir = filepath.Join(parent, "state")
	g.open()
	g.poll()
	if err := errors.Join(os.RemoveAll(parent), os.WriteFile(parent, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	g.pass(time.Minute)
	g.use(0, labels{"a", "m"}, 5)
	for range 3 {
		g.refuses()
	}
	if err := os.Remove(parent); err != nil {
		t.Fatal(err)
	}
	g.refuses() // It is made again.
	g.poll()
	g.expect(counts{{"a", "m"}: 5})
	g.open()
	g.expect(counts{{"a", "m"}: 5})
}

func TestAnotherStateInItsPlaceIsNotWrittenTo(t *testing.T) {
	g := newRig(t).open()
	g.poll()
	other := newRig(t).open()
	other.poll()
	path, theirs := filepath.Join(g.dir, ledger.FileName), filepath.Join(other.dir, ledger.FileName)
	if err := errors.Join(other.ledger.Close(), os.Rename(path, path+".former"), os.Rename(theirs, path)); err != nil {
		t.Fatal(err)
	}
	other.ledger = nil
	g.pass(time.Minute)
	g.use(0, labels{"a", "m"}, 5)
	for range 2 {
		if msg := g.refuses(); !strings.Contains(msg, "another file has taken its place") {
			t.Errorf("it says %q", msg)
		}
	}
	if err := os.Rename(path+".former", path); err != nil {
		t.Fatal(err)
	}
	g.poll()
	g.expect(counts{{"a", "m"}: 5})
}

// TestAStateThatIsCutOffWhileInUseEndsNothing reads where the file has no more: without care this ends the process.
func TestAStateThatIsCutOffWhileInUseEndsNothing(t *testing.T) {
	g := newRig(t).open()
	g.poll()
	g.pass(time.Minute)
	for i := range int64(50) {
		g.use(0, labels{strings.Repeat("x", int(i)), "m"}, i+1)
	}
	g.poll()
	if err := os.Truncate(filepath.Join(g.dir, ledger.FileName), 0); err != nil {
		t.Fatal(err)
	}
	g.pass(time.Minute)
	g.use(0, labels{"a", "m"}, 5)
	for range 3 {
		if msg := g.refuses(); !strings.Contains(msg, "damaged") {
			t.Errorf("it says %q", msg)
		}
	}
	if err := g.ledger.Close(); err == nil {
		t.Error("it was closed as if nothing were wrong")
	}
	g.ledger = nil
	if _, err := ledger.Open(ledger.Options{Dir: g.dir}); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("the next start says %v", err)
	}
}

func TestAnEmptyStateFileIsNoBeginning(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, ledger.FileName), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ledger.Open(ledger.Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), "damaged: it is empty") {
		t.Errorf("error = %v", err)
	}
}

func TestWhatACrashLeftOfAFileInTheMakingIsCleanedUp(t *testing.T) {
	g := newRig(t)
	left := filepath.Join(g.dir, ledger.FileName+".new-1234")
	if err := os.WriteFile(left, []byte("half a file"), 0o600); err != nil {
		t.Fatal(err)
	}
	g.open()
	g.poll()
	if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it is still there: %v", err)
	}
}

// TestAStateWithoutTalliesGoesOn opens what was written before names and sums were kept.
func TestAStateWithoutTalliesGoesOn(t *testing.T) {
	g := newRig(t).open()
	g.poll()
	g.pass(time.Minute)
	g.use(0, labels{"a", "m"}, 5)
	g.poll()
	g.alter(func(tx *bolt.Tx) error {
		feeds := tx.Bucket([]byte("feeds"))
		return errors.Join(tx.Bucket([]byte("meta")).Delete([]byte("feeds")), feeds.ForEachBucket(func(name []byte) error {
			return feeds.Bucket(name).Delete([]byte("tally"))
		}))
	})
	for range 3 {
		g.open()
		g.expect(counts{{"a", "m"}: 5})
		g.pass(time.Minute)
		g.poll()
	}
}

// TestAStateThatLacksAnEntryIsRefused: what is missing leaves no checksum behind.
func TestAStateThatLacksAnEntryIsRefused(t *testing.T) {
	for _, sub := range []string{"series", "buckets", "folded", "books", "names", ""} {
		g := newRig(t)
		g.settings.MaxLabelSets = 2
		g.options.Price = perRow(func(_ time.Time, _ []string, _ []ledger.Label, values []decimal.Fixed) (usd, unpriced decimal.Fixed) {
			return values[0], decimal.Fixed{}
		})
		g.open().poll()
		g.pass(time.Minute)
		for _, project := range []string{"a", "b", "c"} {
			g.use(0, labels{project, "m"}, 5)
		}
		g.poll()
		g.alter(func(tx *bolt.Tx) error {
			feeds := tx.Bucket([]byte("feeds"))
			name, _ := feeds.Cursor().First()
			if sub == "" {
				return feeds.DeleteBucket(name)
			}
			entries := feeds.Bucket(name).Bucket([]byte(sub))
			first, _ := entries.Cursor().First()
			return entries.Delete(first)
		})
		l, err := ledger.Open(ledger.Options{Dir: g.dir})
		if err != nil {
			t.Fatal(err)
		}
		_, err = l.Configure(g.settings, []ledger.FeedOptions{g.options})
		var refused *ledger.StateError
		if !errors.As(err, &refused) || !strings.Contains(err.Error(), "entries are missing") {
			t.Errorf("without an entry of %q: error %v", sub, err)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
}

// alter closes the ledger and changes what is on disk.
func (g *rig) alter(change func(tx *bolt.Tx) error) {
	g.t.Helper()
	if err := g.ledger.Close(); err != nil {
		g.t.Fatal(err)
	}
	g.ledger = nil
	db, err := bolt.Open(filepath.Join(g.dir, ledger.FileName), 0o600, nil)
	if err != nil {
		g.t.Fatal(err)
	}
	if err := errors.Join(db.Update(change), db.Close()); err != nil {
		g.t.Fatal(err)
	}
}
