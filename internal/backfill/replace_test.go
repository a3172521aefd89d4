package backfill

import (
	"bufio"
	"errors"
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
