//go:build !race

package ledger_test

import (
	"fmt"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/openai-exporter/openai_exporter/internal/ledger"
	"github.com/openai-exporter/openai_exporter/test/crash"
)

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
