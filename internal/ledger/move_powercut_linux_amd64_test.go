//go:build !race

package ledger_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/ledger"
	"github.com/openai-exporter/openai_exporter/test/crash"
)

// TestAnExportThatIsWatched takes all out of a state, whatever the disk does. It is what the tests below watch.
func TestAnExportThatIsWatched(t *testing.T) {
	dir, ack := crash.Watched(t, watched)
	g := newRig(t)
	g.dir = filepath.Join(dir, "state")
	g.open()
	g.poll()
	g.pass(time.Minute)
	for i := range int64(100) { // Some pages.
		g.use(0, labels{fmt.Sprintf("proj_%03d", i), "m"}, i+1)
	}
	g.poll()
	if err := g.ledger.Close(); err != nil {
		t.Fatal(err)
	}
	g.ledger = nil
	ack("it begins")
	_, err := ledger.Export(g.dir, filepath.Join(dir, "moved"), everything)
	ack(fmt.Sprintf("failed=%t", err != nil))
}

// exported says what is in the state and in the exported file of TestAnExportThatIsWatched: whether each has all of it.
func exported(t *testing.T, dir string) (state, moved bool) {
	t.Helper()
	whole := func(dir string) bool {
		g := newRig(t)
		g.dir = dir
		g.open()
		shown := g.shown()
		for i := range int64(100) {
			if shown[labels{fmt.Sprintf("proj_%03d", i), "m"}] != i+1 {
				return false
			}
		}
		return len(shown) == 100
	}
	target := t.TempDir()
	if feeds, err := ledger.Import(target, filepath.Join(dir, "moved"), everything); err == nil && len(feeds) == 1 {
		moved = whole(target)
	}
	return whole(filepath.Join(dir, "state")), moved
}

// TestAPowerCutInAnExportLeavesTheFeedsSomewhere cuts the power at every point of an export.
func TestAPowerCutInAnExportLeavesTheFeedsSomewhere(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	ops := record(t, t.TempDir(), "TestAnExportThatIsWatched")
	disk := ramDir(t)
	cuts, both := 0, 0
	err := crash.States(ops, crash.Limits{All: 3, Random: 1, Rand: rand.New(rand.NewPCG(seed, 0))}, func(s *crash.State) bool {
		if s.Before == nil {
			return true // The state is in the making.
		}
		cuts++
		dir := filepath.Join(disk, "root")
		if err := errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o700), s.Lay(dir)); err != nil {
			t.Fatal(err)
		}
		switch state, moved := exported(t, dir); {
		case !state && !moved:
			t.Errorf("%s: the feed is nowhere", s)
		case s.After == nil && (state || !moved):
			t.Errorf("%s: it was done, and the state has it %t, the file %t", s, state, moved)
		case state && moved:
			both++
		}
		return !t.Failed()
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d power cuts, %d left the feed in both", cuts, both)
	if both == 0 {
		t.Error("the power was not cut between the writing and the taking out")
	}
}

// TestAnExportThatTheDiskFailsSaysSo lets each write and sync of the exported file, and that of its directory, fail.
func TestAnExportThatTheDiskFailsSaysSo(t *testing.T) {
	for _, tc := range []struct {
		kind  crash.Kind
		path  string
		errno syscall.Errno
	}{{crash.Write, "moved", syscall.ENOSPC}, {crash.Sync, "moved", syscall.EIO}, {crash.Sync, ".", syscall.EIO}} {
		failures := 0
		for skip := range 30 {
			dir := t.TempDir()
			ops := record(t, dir, "TestAnExportThatIsWatched", crash.Fault{Kind: tc.kind, Path: tc.path, After: []byte("it begins"), Skip: skip, Times: 1, Errno: tc.errno})
			said := ""
			for _, op := range ops {
				if op.Kind == crash.Ack {
					said = string(op.Data)
				}
			}
			_, err := os.Stat(filepath.Join(dir, "moved"))
			state, moved := exported(t, dir)
			if said == "failed=false" {
				if state || !moved {
					t.Errorf("%s of %s: the state has it %t, the file %t", tc.kind, tc.path, state, moved)
				}
				break
			}
			if failures++; said != "failed=true" || !state || !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%s %d of %s fails: it says %q, the state has it %t, and of the file %v", tc.kind, skip, tc.path, said, state, err)
			}
		}
		if failures == 0 {
			t.Errorf("%s of %s never failed", tc.kind, tc.path)
		}
		t.Logf("%s of %s failed in %d places", tc.kind, tc.path, failures)
	}
}
