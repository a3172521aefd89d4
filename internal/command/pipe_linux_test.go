// The real binary does the work here. The race detector would see the simulator alone.

//go:build !race

package command

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/openai-exporter/openai_exporter/internal/simulator"
)

// backfillTo is a backfill of the real binary to its standard output, with a directory for its temporary files.
func backfillTo(t *testing.T, stderr *bytes.Buffer) (cmd *exec.Cmd, temporary string) {
	t.Helper()
	_, baseURL := simulate(t, simulator.Options{Seed: 5})
	args, _ := configure(t, baseURL, goodKey, "")
	temporary = t.TempDir()
	cmd = exec.CommandContext(t.Context(), build(t), "backfill", args[0], "--start=2026-02-01", "--end=2026-03-01", "--output=-")
	cmd.Env = append(os.Environ(), "TMPDIR="+temporary)
	cmd.Stderr = stderr
	return cmd, temporary
}

// saidAndLeft checks that a command failed with one line, and left nothing in the directory.
func saidAndLeft(t *testing.T, cmd *exec.Cmd, stderr *bytes.Buffer, temporary, want string) {
	t.Helper()
	if code := cmd.ProcessState.ExitCode(); code != 1 || strings.Count(stderr.String(), name+": error: ") != 1 || !strings.Contains(stderr.String(), want) {
		t.Errorf("exit code %d (%v), said %s, want one line with %q", code, cmd.ProcessState, stderr, want)
	}
	if left, err := filepath.Glob(filepath.Join(temporary, "*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v (%v)", left, err)
	}
}

func TestABrokenPipeIsAnErrorThatLeavesNothingBehind(t *testing.T) {
	var stderr bytes.Buffer
	cmd, temporary := backfillTo(t, &stderr)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	cmd.Stdout = w
	if err := cmd.Run(); err == nil {
		t.Error("nobody read the output and it succeeded")
	}
	w.Close()
	saidAndLeft(t, cmd, &stderr, temporary, "broken pipe")
}

func TestAFullDeviceIsAnErrorThatLeavesNothingBehind(t *testing.T) {
	var stderr bytes.Buffer
	cmd, temporary := backfillTo(t, &stderr)
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	cmd.Stdout = full
	if err := cmd.Run(); err == nil {
		t.Error("nothing was written and it succeeded")
	}
	saidAndLeft(t, cmd, &stderr, temporary, "no space left on device")
}

func TestABackfillThatLosesItsTerminalLeavesNothingBehind(t *testing.T) {
	var stderr bytes.Buffer
	cmd, temporary := backfillTo(t, &stderr)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the temporary directory", func() bool {
		made, _ := filepath.Glob(filepath.Join(temporary, "*", "state.json"))
		return len(made) > 0
	})
	if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("it was interrupted and succeeded")
	}
	saidAndLeft(t, cmd, &stderr, temporary, "interrupted")
}
