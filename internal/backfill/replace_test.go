package backfill

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestReplaceKeepsFilesOfTheUserAndLeavesNothingBehind(t *testing.T) {
	for name, fail := range map[string]error{"written": nil, "disk full": syscall.ENOSPC, "broken pipe": syscall.EPIPE} {
		t.Run(name, func(t *testing.T) {
			dir, spool := t.TempDir(), t.TempDir()
			path := filepath.Join(dir, "FILE")
			for file, text := range map[string]string{path: "old", path + ".next": "the user's"} {
				if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			err := replace(path, filepath.Join(spool, nextOutput), func(w *bufio.Writer) error {
				_, err := w.WriteString("new")
				return errors.Join(err, fail)
			})
			if !errors.Is(err, fail) {
				t.Fatalf("got %v, want %v", err, fail)
			}
			want := map[string]string{"FILE": "new", "FILE.next": "the user's"}
			if fail != nil {
				want["FILE"] = "old"
			}
			if left, err := os.ReadDir(spool); err != nil || len(left) > 0 {
				t.Errorf("the spool holds %v (%v)", left, err)
			}
			entries, err := os.ReadDir(dir)
			if err != nil {
				t.Fatal(err)
			}
			if len(entries) != len(want) {
				t.Errorf("%d files, want %d: %v", len(entries), len(want), entries)
			}
			for file, text := range want {
				if got, err := os.ReadFile(filepath.Join(dir, file)); err != nil || string(got) != text {
					t.Errorf("%s holds %q (%v), want %q", file, got, err, text)
				}
			}
		})
	}
}

// TestWhatIsSaidOfAFailureAgreesWithIt: where the same command would fail again, it says what to do before, or instead.
func TestWhatIsSaidOfAFailureAgreesWithIt(t *testing.T) {
	wrapped := func(err error) error { return fmt.Errorf("write output: %w", err) }
	for err, want := range map[error]string{
		wrapped(&os.PathError{Op: "write", Path: "o", Err: syscall.ENOSPC}): "write output: write o: no space left on device; what was read is kept in o.partial: free some space and run the same command again to go on",
		wrapped(syscall.EIO):    "write output: input/output error; what was read is kept in o.partial: run the same command again to go on",
		wrapped(errSpool):       "write output: damaged: remove the directory to start again",
		wrapped(errOtherRun):    "write output: another backfill writes to the same output: let it finish, or name another file with --output",
		wrapped(errInterrupted): "write output: interrupted; what was read is kept in o.partial: run the same command again to go on",
	} {
		if got := advise(err, "o.partial").Error(); got != want {
			t.Errorf("said %q, want %q", got, want)
		}
	}
}
