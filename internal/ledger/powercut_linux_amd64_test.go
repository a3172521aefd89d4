//go:build !race

package ledger_test

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/ledger"
	"github.com/openai-exporter/openai_exporter/test/crash"
)

// TestAPowerCutLeavesTheOldBooksOrTheNew cuts the power at every point of what keepBooks makes the disk do. Of what was
// not synced, any part may be there: sectors of pages, the length of the file, entries of directories.
func TestAPowerCutLeavesTheOldBooksOrTheNew(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	dir := t.TempDir()
	ops := record(t, dir, "TestBooksThroughAllThatIsWritten")
	whole, err := crash.Whole(ops)
	if err != nil {
		t.Fatal(err)
	}
	if err := whole.Equal(dir); err != nil {
		t.Fatalf("not everything was recorded: %v", err)
	}

	disk := ramDir(t)
	states, old, next := 0, 0, 0
	limits := crash.Limits{All: 7, Random: *crashes, Rand: rand.New(rand.NewPCG(seed, 0))}
	err = crash.States(ops, limits, func(s *crash.State) bool {
		states++
		dir := filepath.Join(disk, "root")
		var opened []string
		for _, want := range [][]byte{s.Before, s.After} {
			if want == nil && s.Before != nil {
				continue
			}
			if err := errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o700), s.Lay(dir)); err != nil {
				t.Fatal(err)
			}
			got, err := reopened(t, filepath.Join(dir, "state"), want)
			if err != nil {
				got = err.Error()
			}
			if opened = append(opened, got); want == nil || got != string(want) {
				// Before anything was said, there is nothing to lose, but the ledger must start.
				if want == nil && err == nil {
					return true
				}
				continue
			}
			if string(want) == string(s.Before) {
				old++
			} else {
				next++
			}
			return true
		}
		t.Errorf("%s: it opens as\n%.300q\nwant\n%.300s\nor\n%.300s", s, opened, s.Before, s.After)
		return states < 100_000 && !t.Failed()
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d operations, %d power cuts: %d left the old books, %d the new", len(ops), states, old, next)
	if old < 100 || next < 100 {
		t.Error("the power was not cut in the middle of commits")
	}
}

// reopened says what a ledger in dir shows that is configured as it was when it said want.
func reopened(t *testing.T, dir string, want []byte) (string, error) {
	g := newRig(t)
	g.dir, g.settings.MaxLabelSets = dir, 230
	if strings.HasPrefix(string(want), strings.Join(coarse, ",")+" ") {
		g.options.GroupBy = coarse
	}
	l, err := ledger.Open(ledger.Options{Dir: dir})
	if err != nil {
		return "", err
	}
	defer func() { _ = l.Close() }()
	if _, err := l.Configure(g.settings, []ledger.FeedOptions{g.options}); err != nil {
		return "", err
	}
	g.ledger = l
	defer func() { g.ledger = nil }()
	return g.state(), nil
}
