package crash

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
)

// A Fault makes an operation fail in place of being done.
type Fault struct {
	Kind  Kind
	Path  string
	After []byte // only once the program has said this
	Skip  int    // how many are let through before
	Times int    // how many fail
	Errno syscall.Errno
}

const (
	optionSysGood  = 1
	optionClone    = 8
	optionExec     = 16
	optionExitKill = 1 << 20
	waitAll        = 0x40000000
	stoppedSyscall = syscall.SIGTRAP | 0x80
	atCurrent      = -100
	noSyscall      = ^uint64(0)
	sysRenameAt2   = 316
	sysCopyRange   = 326
)

// Record runs a program to its end, with all of its threads under a tracer, and returns what it did to the files below
// dir. Faults are met in order.
func Record(dir, program string, args, env []string, faults ...Fault) (ops []Op, err error) {
	// A process is traced by the thread that has started it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	dir, err = filepath.EvalSymlinks(dir)
	if err != nil {
		return nil, err
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	said, err := os.CreateTemp("", "crash-")
	if err != nil {
		return nil, err
	}
	defer func() {
		_ = said.Close()
		_ = os.Remove(said.Name())
	}()
	pid, err := syscall.ForkExec(program, append([]string{program}, args...), &syscall.ProcAttr{
		Env:   env,
		Files: []uintptr{null.Fd(), said.Fd(), said.Fd()},
		Sys:   &syscall.SysProcAttr{Ptrace: true, Setpgid: true},
	})
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", program, err)
	}
	r := &recorder{pid: pid, dir: dir, threads: map[int]*thread{}, faults: slices.Clone(faults)}
	defer func() {
		if r.memory != nil {
			_ = r.memory.Close()
		}
		if err != nil {
			_ = syscall.Kill(pid, syscall.SIGKILL)
			text, _ := os.ReadFile(said.Name())
			err = fmt.Errorf("%w; it said: %s", err, text)
		}
	}()
	return r.run()
}

// A thread of the program, between the stops at the entry and at the exit of a system call.
type thread struct {
	inside bool
	fault  *Fault // the fault that the call meets
}

type recorder struct {
	pid     int
	dir     string
	threads map[int]*thread
	memory  *os.File
	faults  []Fault
	ops     []Op
}

func (r *recorder) run() ([]Op, error) {
	var ws syscall.WaitStatus
	if _, err := syscall.Wait4(r.pid, &ws, waitAll, nil); err != nil {
		return nil, fmt.Errorf("wait for the start: %w", err)
	}
	if err := syscall.PtraceSetOptions(r.pid, optionSysGood|optionClone|optionExec|optionExitKill); err != nil {
		return nil, fmt.Errorf("trace: %w", err)
	}
	var err error
	if r.memory, err = os.Open(fmt.Sprintf("/proc/%d/mem", r.pid)); err != nil {
		return nil, err
	}
	r.threads[r.pid] = &thread{}
	if err := syscall.PtraceSyscall(r.pid, 0); err != nil {
		return nil, fmt.Errorf("trace: %w", err)
	}
	for {
		tid, err := syscall.Wait4(-r.pid, &ws, waitAll, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("wait: %w", err)
		}
		switch {
		case ws.Exited() && tid == r.pid:
			if ws.ExitStatus() != 0 {
				return nil, fmt.Errorf("the program ended with %d", ws.ExitStatus())
			}
			return r.ops, nil
		case ws.Signaled() && tid == r.pid:
			return nil, fmt.Errorf("the program was ended by %s", ws.Signal())
		case !ws.Stopped():
			continue
		}
		t, known := r.threads[tid]
		if !known {
			t = &thread{}
			r.threads[tid] = t
		}
		signal := 0
		switch s := ws.StopSignal(); {
		case s == stoppedSyscall:
			if err := r.syscall(tid, t); err != nil {
				return nil, err
			}
		case s == syscall.SIGTRAP: // a thread was made
		case s == syscall.SIGSTOP && !known: // a thread that was made begins
		default:
			signal = int(s)
		}
		// A thread may be gone by now, when the whole program ends.
		if err := syscall.PtraceSyscall(tid, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
			return nil, fmt.Errorf("trace: %w", err)
		}
	}
}

// syscall looks at the call that a thread is about to make or has made.
func (r *recorder) syscall(tid int, t *thread) error {
	var regs syscall.PtraceRegs
	if err := syscall.PtraceGetRegs(tid, &regs); err != nil {
		if errors.Is(err, syscall.ESRCH) {
			return nil
		}
		return fmt.Errorf("read registers: %w", err)
	}
	t.inside = !t.inside
	if t.inside {
		return r.enter(tid, t, &regs)
	}
	if t.fault != nil {
		regs.Rax = uint64(-int64(t.fault.Errno))
		t.fault = nil
		return syscall.PtraceSetRegs(tid, &regs)
	}
	if int64(regs.Rax) < 0 {
		return nil
	}
	return r.leave(tid, &regs)
}

// enter decides whether a call is to fail.
func (r *recorder) enter(tid int, t *thread, regs *syscall.PtraceRegs) error {
	if len(r.faults) == 0 {
		return nil
	}
	var kind Kind
	switch regs.Orig_rax {
	case syscall.SYS_PWRITE64, syscall.SYS_WRITE:
		kind = Write
	case syscall.SYS_FTRUNCATE:
		kind = Truncate
	case syscall.SYS_FSYNC, syscall.SYS_FDATASYNC:
		kind = Sync
	default:
		return nil
	}
	f := &r.faults[0]
	path, ok := r.file(tid, regs.Rdi)
	if !ok || path != f.Path || kind != f.Kind || f.After != nil && !r.said(f.After) {
		return nil
	}
	if f.Skip > 0 {
		f.Skip--
		return nil
	}
	t.fault = &Fault{Errno: f.Errno}
	if f.Times--; f.Times <= 0 {
		r.faults = r.faults[1:]
	}
	regs.Orig_rax = noSyscall
	return syscall.PtraceSetRegs(tid, regs)
}

func (r *recorder) said(text []byte) bool {
	for _, o := range r.ops {
		if o.Kind == Ack && bytes.Equal(o.Data, text) {
			return true
		}
	}
	return false
}

// leave records a call that has succeeded.
func (r *recorder) leave(tid int, regs *syscall.PtraceRegs) error {
	switch regs.Orig_rax {
	case syscall.SYS_OPENAT:
		path, ok := r.file(tid, regs.Rax)
		if !ok {
			return nil
		}
		if regs.Rdx&syscall.O_CREAT != 0 {
			r.add(Op{Kind: Create, Path: path})
		}
		if regs.Rdx&syscall.O_TRUNC != 0 {
			r.add(Op{Kind: Truncate, Path: path})
		}
	case syscall.SYS_WRITE, syscall.SYS_PWRITE64:
		path, ours := r.file(tid, regs.Rdi)
		if !ours && regs.Rdi != 1 {
			return nil
		}
		data := make([]byte, regs.Rax)
		if _, err := r.memory.ReadAt(data, int64(regs.Rsi)); err != nil {
			return fmt.Errorf("read what is written: %w", err)
		}
		switch {
		case !ours:
			if text, ok := bytes.CutPrefix(data, []byte(AckPrefix)); ok {
				r.add(Op{Kind: Ack, Data: bytes.TrimSpace(text)})
			}
		case regs.Orig_rax == syscall.SYS_PWRITE64:
			r.add(Op{Kind: Write, Path: path, Offset: int64(regs.R10), Data: data})
		default:
			r.add(Op{Kind: Write, Path: path, Offset: -1, Data: data})
		}
	case syscall.SYS_FTRUNCATE:
		if path, ok := r.file(tid, regs.Rdi); ok {
			r.add(Op{Kind: Truncate, Path: path, Offset: int64(regs.Rsi)})
		}
	case syscall.SYS_FSYNC, syscall.SYS_FDATASYNC:
		if path, ok := r.file(tid, regs.Rdi); ok {
			r.add(Op{Kind: Sync, Path: path})
		}
	case syscall.SYS_MKDIRAT:
		return r.named(Mkdir, int32(regs.Rdi), regs.Rsi, 0)
	case syscall.SYS_RENAMEAT, sysRenameAt2:
		return r.named(Rename, int32(regs.Rdi), regs.Rsi, regs.R10)
	case syscall.SYS_RENAME:
		return r.named(Rename, atCurrent, regs.Rdi, regs.Rsi)
	case syscall.SYS_LINKAT:
		return r.named(Link, int32(regs.Rdi), regs.Rsi, regs.R10)
	case syscall.SYS_LINK:
		return r.named(Link, atCurrent, regs.Rdi, regs.Rsi)
	case syscall.SYS_UNLINKAT:
		return r.named(Unlink, int32(regs.Rdi), regs.Rsi, 0)
	case syscall.SYS_FALLOCATE, sysCopyRange, syscall.SYS_WRITEV:
		if path, ok := r.file(tid, regs.Rdi); ok {
			return fmt.Errorf("system call %d on %s can't be recorded", regs.Orig_rax, path)
		}
	}
	return nil
}

// named records a call that takes names.
func (r *recorder) named(kind Kind, at int32, path, to uint64) error {
	from, err := r.text(path)
	if err != nil {
		return err
	}
	op := Op{Kind: kind}
	var ours bool
	if op.Path, ours = r.relative(from); !ours {
		return nil
	}
	if at != atCurrent && !filepath.IsAbs(from) {
		return fmt.Errorf("%s %s is relative to another directory", kind, from)
	}
	if kind == Rename || kind == Link {
		target, err := r.text(to)
		if err != nil {
			return err
		}
		if op.To, ours = r.relative(target); !ours {
			return fmt.Errorf("%s was moved away to %s", from, target)
		}
	}
	r.add(op)
	return nil
}

func (r *recorder) add(op Op) { r.ops = append(r.ops, op) }

// file is the path of an open file, if it lies in what is watched.
func (r *recorder) file(tid int, fd uint64) (string, bool) {
	target, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", tid, int32(fd)))
	if err != nil {
		return "", false
	}
	return r.relative(target)
}

func (r *recorder) relative(path string) (string, bool) {
	if path == r.dir {
		return ".", true
	}
	return strings.CutPrefix(path, r.dir+string(filepath.Separator))
}

// text reads a string of the program.
func (r *recorder) text(at uint64) (string, error) {
	b := make([]byte, 4096)
	n, err := r.memory.ReadAt(b, int64(at))
	if end := bytes.IndexByte(b[:n], 0); end >= 0 {
		return string(b[:end]), nil
	}
	return "", fmt.Errorf("read a path: %w", err)
}
