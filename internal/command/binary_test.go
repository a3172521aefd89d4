package command

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// binaries is a directory for the real binary, which is built once for all tests.
var binaries string

var built = sync.OnceValues(func() (string, error) {
	binary := filepath.Join(binaries, name)
	if out, err := exec.Command("go", "build", "-o", binary, "github.com/openai-exporter/openai_exporter").CombinedOutput(); err != nil {
		return "", fmt.Errorf("build: %w\n%s", err, out)
	}
	return binary, nil
})

// build makes the real binary.
func build(t *testing.T) string {
	t.Helper()
	binary, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return binary
}

// execute starts the real binary in a process of its own; it is killed when the test ends.
func execute(t *testing.T, binary string, args ...string) *process {
	t.Helper()
	p := &process{t: t, log: &logBuffer{}, stdout: &logBuffer{}, ended: make(chan struct{})}
	cmd := exec.CommandContext(t.Context(), binary, append(slices.Clone(args), "--web.listen-address=127.0.0.1:0")...)
	cmd.Stdout, cmd.Stderr = p.stdout, p.log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.cancel = func() { _ = cmd.Process.Signal(os.Interrupt) }
	p.pid = cmd.Process.Pid
	go func() {
		defer close(p.ended)
		_ = cmd.Wait() // How it ended is in the exit code.
		p.code = cmd.ProcessState.ExitCode()
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-p.ended
	})
	return p
}
