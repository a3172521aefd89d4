// The real binary does the work here. The race detector would see the simulator alone.

//go:build !race

package command

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/openai-exporter/openai_exporter/internal/simulator"
)

// limitFileSize says how large the files of a running process may become.
func limitFileSize(t *testing.T, pid int, bytes uint64) {
	t.Helper()
	limit := syscall.Rlimit{Cur: bytes, Max: ^uint64(0)}
	if _, _, errno := syscall.RawSyscall6(syscall.SYS_PRLIMIT64, uintptr(pid), syscall.RLIMIT_FSIZE, uintptr(unsafe.Pointer(&limit)), 0, 0, 0); errno != 0 {
		t.Fatalf("set the limit: %v", errno)
	}
}

// TestADiskThatFillsUpAtAnyByteLosesNothing lets the disk of the real binary be full at ever larger sizes, from the
// first page to the last, and then have room again, all in the life of one process.
func TestADiskThatFillsUpAtAnyByteLosesNothing(t *testing.T) {
	t.Parallel() // It mostly waits.
	begin := time.Date(2026, 11, 10, 9, 17, 0, 0, time.UTC)
	clock := simulator.NewClock(begin, 60)
	s, baseURL := simulate(t, simulator.Options{Seed: 5, Clock: clock.Now, LabelSets: 3000})
	args, file := configure(t, baseURL, goodKey, fast+"\ncounters: {zero_hold: 0s, start: \"2026-11-10T09:00:00Z\"}")
	binary := build(t)
	shell, err := exec.LookPath("bash")
	if err != nil {
		t.Fatal(err)
	}
	const page = 4096
	// Half a page of room is no room: the end of the disk is met in the middle of one.
	limited := func(pages int) *process {
		return execute(t, shell, append([]string{"-c", `ulimit -S -f ` + strconv.Itoa((pages*page+page/2)/1024) + `; echo pid=$$; exec "$0" "$@"`, binary}, args...)...)
	}

	// Where there is no room for a beginning, the start says so, and leaves nothing that the next one stumbles over.
	p := limited(2)
	if code := p.wait(); code != 1 || strings.Count(p.log.String(), "openai_exporter: error: ") != 1 || !strings.Contains(p.log.String(), "free space on its disk") {
		t.Errorf("exit code %d, said:\n%s", code, p.log)
	}
	seen, full, pid := map[string]float64{}, 0, 0
	sizes := []int{12, 14, 18, 30, 70, 130}
	for i, pages := range sizes {
		p = limited(pages)
		p.ready()
		full += int(min(p.sum(commitErrors, ""), 1))
		seen = p.stand(strconv.Itoa(pages)+" pages", seen)
		if code, _ := p.get("/-/healthy"); code != http.StatusOK {
			t.Errorf("health answers %d", code)
		}
		if i+1 == len(sizes) {
			pid, err = strconv.Atoi(regexp.MustCompile(`pid=(\d+)`).FindStringSubmatch(p.stdout.String())[1])
			if err != nil {
				t.Fatal(err)
			}
			break
		}
		if code := p.stop(); code != 0 {
			t.Errorf("exit code %d:\n%s", code, p.log)
		}
	}
	if full < 3 {
		t.Errorf("the disk was full at %d sizes", full)
	}
	limitFileSize(t, pid, ^uint64(0))
	end := clock.Now().Truncate(time.Minute).Add(time.Minute)
	s.SetEnd(end)
	p.exact(s, begin.Truncate(time.Hour), end)
	seen = p.stand("with room again", seen)
	if strings.Contains(p.log.String(), "goroutine ") {
		t.Errorf("it panicked:\n%s", p.log)
	}
	if code := p.stop(); code != 0 {
		t.Errorf("exit code %d:\n%s", code, p.log)
	}

	// A start on a full disk needs no room for what it has: it shows it.
	state, err := os.Stat(filepath.Join(filepath.Dir(file), "data", "ledger.db"))
	if err != nil {
		t.Fatal(err)
	}
	p = limited(1)
	eventually(t, "the counters", func() bool { return len(p.counters()) >= len(seen) })
	p.stand("after a start on a full disk", seen)
	if state.Size() < 100*page {
		t.Errorf("the state has only %d bytes", state.Size())
	}
}
