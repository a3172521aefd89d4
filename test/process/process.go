// Package process starts and ends the programs of the end-to-end tests, and waits for what becomes of them.
package process

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A Program is a process.
type Program struct {
	cmd  *exec.Cmd
	done chan struct{} // closed once it has ended

	mu          sync.Mutex
	stdout, all bytes.Buffer
}

// A stream is the standard output or the standard error of a program.
type stream struct {
	p    *Program
	also *bytes.Buffer
}

func (s stream) Write(b []byte) (int, error) {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	if s.also != nil {
		s.also.Write(b)
	}
	return s.p.all.Write(b)
}

// Launch starts a program in a directory, where there is no test that would end it: the caller kills it.
func Launch(dir, binary string, args ...string) (*Program, error) {
	p := &Program{cmd: exec.Command(binary, args...), done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = stream{p, &p.stdout}, stream{p, nil}
	p.cmd.Dir = dir
	// The surroundings must not decide what is tested.
	p.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "TMPDIR=" + dir, "TZ=UTC"}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", binary, err)
	}
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait() // How it ended is in ProcessState.
	}()
	return p, nil
}

// Start runs a program until it ends or the test does. What it said is shown when the test fails.
func Start(t *testing.T, binary string, args ...string) *Program {
	t.Helper()
	p, err := Launch(t.TempDir(), binary, args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("%s %v said:\n%s", filepath.Base(binary), args, Tail(p.Output(), 8000))
		}
	})
	return p
}

// Tail is the end of a text that is too long to show.
func Tail(s string, n int) string {
	if len(s) > n {
		return "…" + s[len(s)-n:]
	}
	return s
}

// Output is what the program has said so far, on both streams.
func (p *Program) Output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.all.String()
}

// Stdout is what it has said so far on its standard output.
func (p *Program) Stdout() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stdout.String()
}

// Done is closed once the program has ended.
func (p *Program) Done() <-chan struct{} { return p.done }

// PID is the id of the process.
func (p *Program) PID() int { return p.cmd.Process.Pid }

// Signal sends a signal to the program.
func (p *Program) Signal(signal os.Signal) error {
	if err := p.cmd.Process.Signal(signal); err != nil {
		return fmt.Errorf("%v to %v: %w", signal, p.cmd.Args, err)
	}
	return nil
}

// Kill ends the program if it still runs, a stopped one too: it gets no chance to tidy up.
func (p *Program) Kill() {
	_ = p.cmd.Process.Kill() // An error means that it has ended already.
	<-p.done
}

// Wait waits for the end of a program that has something to do and returns the exit code.
func (p *Program) Wait(t *testing.T) int {
	t.Helper()
	return p.wait(t, 3*time.Minute)
}

// End sends a signal, waits for the end and returns the exit code, which is -1 after a signal that was not handled.
func (p *Program) End(t *testing.T, signal syscall.Signal) int {
	t.Helper()
	if err := p.Signal(signal); err != nil {
		t.Fatal(err)
	}
	return p.wait(t, 30*time.Second)
}

func (p *Program) wait(t *testing.T, within time.Duration) int {
	t.Helper()
	select {
	case <-p.done:
	case <-time.After(within):
		t.Fatalf("%v still runs after %s", p.cmd.Args, within)
	}
	return p.cmd.ProcessState.ExitCode()
}
