package deploy_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// stagesMakefile has stages that wait for each other, one that does not end by itself, and one that fails once that has begun.
const stagesMakefile = `
first last: ; @echo $@ ran
left: ; @touch left.is; until [ -e right.is ]; do sleep 0.02; done; echo left ran
right: ; @touch right.is; until [ -e left.is ]; do sleep 0.02; done; echo right ran
endless: ; @echo $$$$ >new && mv new pid && exec sleep 600
bad: ; @until [ -e pid ]; do sleep 0.02; done; echo it is spoiled; false
`

// stages is tools/stages.sh, to be run in a directory of its own.
func stages(t *testing.T, stages ...string) (cmd *exec.Cmd, said *strings.Builder) {
	t.Helper()
	script, err := filepath.Abs(filepath.Join(root, "tools/stages.sh"))
	if err != nil {
		t.Fatal(err)
	}
	cmd, said = exec.CommandContext(t.Context(), script, stages...), &strings.Builder{}
	cmd.Dir, cmd.Stdout, cmd.Stderr = t.TempDir(), said, said
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + cmd.Dir}
	if err := os.WriteFile(filepath.Join(cmd.Dir, "Makefile"), []byte(stagesMakefile), 0o600); err != nil {
		t.Fatal(err)
	}
	return cmd, said
}

// within waits for a condition.
func within(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for timeout, tick := time.After(time.Minute), time.NewTicker(20*time.Millisecond); !holds(); {
		select {
		case <-timeout:
			t.Fatalf("gave up waiting until %s", what)
		case <-tick.C:
		}
	}
}

// endlessEnds waits until the stage that does not end by itself is no more.
func endlessEnds(t *testing.T, dir string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "pid"))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	within(t, "the other stage has ended", func() bool {
		// What has ended may still be there until its new parent notices.
		state, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) || err == nil && strings.Contains(string(state), ") Z ")
	})
}

func TestStagesRunByTwoAndEndWithATable(t *testing.T) {
	cmd, said := stages(t, "first", "--beside", "left", "right", "last")
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v:\n%s", err, said)
	}
	for _, stage := range []string{"first", "left", "right", "last"} {
		if n := strings.Count(said.String(), stage+" ran\n"); n != 1 {
			t.Errorf("what %s says is there %d times", stage, n)
		}
		if !regexp.MustCompile(`(?m)^  ` + stage + ` +\d+ s$`).MatchString(said.String()) {
			t.Errorf("%s is not in the table", stage)
		}
	}
	if t.Failed() {
		t.Log(said)
	}
}

func TestAStageThatFailsEndsTheOtherAndIsNamed(t *testing.T) {
	cmd, said := stages(t, "--beside", "endless", "bad", "last")
	err := cmd.Run()
	if err == nil || cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("it ends with %v", err)
	}
	for _, want := range []string{"it is spoiled\n", "\nFAILED: make bad\nEnded before its end: make endless\n"} {
		if !strings.Contains(said.String(), want) {
			t.Errorf("it does not say %q", want)
		}
	}
	if strings.Contains(said.String(), "last ran") || strings.Contains(said.String(), "passed") {
		t.Error("it goes on")
	}
	endlessEnds(t, cmd.Dir)
	if t.Failed() {
		t.Log(said)
	}
}

func TestASuiteThatIsInterruptedLeavesNothingRunning(t *testing.T) {
	cmd, said := stages(t, "--beside", "endless", "last")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	within(t, "the stage has begun", func() bool {
		_, err := os.Stat(filepath.Join(cmd.Dir, "pid"))
		return err == nil
	})
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil || cmd.ProcessState.ExitCode() != 143 {
		t.Errorf("it ends with %v:\n%s", err, said)
	}
	endlessEnds(t, cmd.Dir)
}
