package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/ledger"
	"github.com/openai-exporter/openai_exporter/test/crash"
)

// TestBooksGoOnAfterADiskThatFails books through whatever the disk does. It is what the test below watches.
func TestBooksGoOnAfterADiskThatFails(t *testing.T) {
	dir, ack := crash.Watched(t, watched)
	g := newRig(t)
	g.dir = filepath.Join(dir, "state")
	g.open()
	g.poll()
	g.pass(time.Minute)
	g.use(0, labels{"a", "m"}, 1)
	g.use(0, labels{"b", "m"}, 2)
	g.poll()
	ack("it begins")

	// This poll may fail. What the API said of one label set is gone with the next one, and of another one less.
	g.pass(time.Minute)
	g.use(0, labels{"a", "m"}, 10)
	g.use(0, labels{"b", "m"}, 20)
	g.use(0, labels{"gone", "m"}, 40)
	want := counts{{"a", "m"}: 11, {"b", "m"}: 22, {"gone", "m"}: 40}
	for i := range int64(150) { // The file grows.
		l := labels{fmt.Sprintf("proj_%03d", i), strings.Repeat("x", 40)}
		g.use(0, l, i+1)
		want[l] = i + 1
	}
	failed := false
	try := func() bool {
		before := g.state()
		err := g.feed.Book(context.Background(), g.read(g.options.Endpoint, g.feed.GroupBy(), g.feed.PollWindow(g.now)))
		var se *ledger.StateError
		switch {
		case err == nil:
			return true
		case !errors.As(err, &se):
			t.Errorf("error = %v", err)
		case g.state() != before:
			t.Errorf("a poll that was not booked is shown: %s, before %s", g.state(), before)
		}
		failed = true
		return false
	}
	if !try() {
		g.use(0, labels{"gone", "m"}, -40)
		g.use(0, labels{"b", "m"}, -15)
		want[labels{"b", "m"}] = 7
		delete(want, labels{"gone", "m"})
		try()
	}
	g.pass(time.Minute)
	for tries := 1; !try(); tries++ {
		if tries == 5 {
			t.Fatal("it never works again")
		}
	}
	g.expect(want)
	ack(fmt.Sprintf("failed=%t %s", failed, g.state()))
}

// TestACommitThatFailsChangesNothingThatIsFoundLater lets each write, sync and growth of a commit fail, once and twice.
// The hard one is the last sync: the commit is in the file then, though it has failed.
func TestACommitThatFailsChangesNothingThatIsFoundLater(t *testing.T) {
	const file = "state/" + ledger.FileName
	for _, tc := range []struct {
		kind  crash.Kind
		errno syscall.Errno
	}{{crash.Write, syscall.ENOSPC}, {crash.Sync, syscall.EIO}, {crash.Truncate, syscall.EROFS}} {
		for times := 1; times <= 2; times++ {
			failures := 0
			for skip := range 30 {
				dir := t.TempDir()
				ops := record(t, dir, "TestBooksGoOnAfterADiskThatFails", crash.Fault{
					Kind: tc.kind, Path: file, After: []byte("it begins"), Skip: skip, Times: times, Errno: tc.errno,
				})
				last := ops[len(ops)-1]
				for _, op := range ops {
					if op.Kind == crash.Ack {
						last = op
					}
				}
				g := newRig(t)
				g.dir = filepath.Join(dir, "state")
				g.open()
				var failed bool
				if _, err := fmt.Sscanf(string(last.Data), "failed=%t", &failed); err != nil {
					t.Fatalf("%q: %v", last.Data, err)
				}
				if want := fmt.Sprintf("failed=%t %s", failed, g.state()); string(last.Data) != want {
					t.Errorf("%s %d fails %d times with %s: shown was\n%s, found is\n%s", tc.kind, skip, times, tc.errno, last.Data, want)
				}
				if err := g.ledger.Close(); err != nil {
					t.Error(err)
				}
				if !failed {
					break
				}
				failures++
			}
			if failures == 0 {
				t.Errorf("%s failed in %d places", tc.kind, failures)
			}
			t.Logf("%s failed with %s, %d times in a row, in %d places", tc.kind, tc.errno, times, failures)
		}
	}
}
