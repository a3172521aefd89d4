//go:build !race

package simulation_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// breakDisk has every commit fail, and returns what repairs it. The file that the process has open becomes another one
// under its hands: a disk that is full, one that takes what is written and can't sync it, or one that is read-only. Or
// another file lies where the state was.
func (w *world) breakDisk() {
	switch w.rng.IntN(4) {
	case 0:
		w.must(os.Rename(w.state(), w.state()+".away"))
		w.must(os.WriteFile(w.state(), []byte("not a database"), 0o600))
		w.repair = func() { w.must(os.Rename(w.state()+".away", w.state())) }
	case 1:
		w.replaceFile("/dev/full", syscall.O_RDWR)
	case 2:
		w.replaceFile("/dev/null", syscall.O_RDWR)
	default:
		w.replaceFile(w.state(), syscall.O_RDONLY)
	}
}

// replaceFile puts another file behind the descriptor of the state.
func (w *world) replaceFile(path string, how int) {
	fd := w.descriptor()
	former, err := syscall.Dup(fd) // It keeps the lock, too.
	w.must(err)
	other, err := syscall.Open(path, how|syscall.O_CLOEXEC, 0)
	w.must(err)
	w.must(syscall.Dup3(other, fd, syscall.O_CLOEXEC))
	w.must(syscall.Close(other))
	w.note("the file of the state is %s", filepath.Base(path))
	w.repair = func() {
		w.must(syscall.Dup3(former, fd, syscall.O_CLOEXEC))
		w.must(syscall.Close(former))
	}
}

// descriptor is that of the state, which the process has open once.
func (w *world) descriptor() int {
	const all = "/proc/self/fd"
	entries, err := os.ReadDir(all)
	w.must(err)
	for _, e := range entries {
		if name, err := os.Readlink(filepath.Join(all, e.Name())); err == nil && name == w.state() {
			fd, err := strconv.Atoi(e.Name())
			w.must(err)
			return fd
		}
	}
	w.must(fmt.Errorf("nobody has %s open", w.state()))
	return 0
}

func (w *world) repairDisk() {
	if w.repair != nil {
		w.repair()
		w.repair = nil
		w.oracle.recovered = time.Now()
	}
}
