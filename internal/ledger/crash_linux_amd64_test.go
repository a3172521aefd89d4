package ledger_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/test/crash"
)

var crashes = flag.Int("crashes", 6, "random power cuts at each point of the crash tests")

// watched is the variable that names the directory in which the test's own process, started again, is to keep books.
const watched = "LEDGER_TEST_WATCHED"

var coarse = []string{"project_id"}

// TestBooksThroughAllThatIsWritten makes every kind of commit there is. It is what the crash tests watch.
func TestBooksThroughAllThatIsWritten(t *testing.T) {
	dir, ack := crash.Watched(t, watched)
	g := keepBooks(t, filepath.Join(dir, "state"), ack)
	g.expect(counts{{project: "a"}: 9})
}

// keepBooks goes through a first start, polls, audits, a restart, a growing file, folding and a change of the grouping.
// It tells ack what is shown after each commit.
func keepBooks(t *testing.T, dir string, ack func(string)) *rig {
	g := newRig(t)
	g.dir = dir
	g.settings.MaxLabelSets = 230
	say := func() { ack(g.state()) }
	poll := func() {
		g.poll()
		say()
	}
	g.use(time.Hour, labels{"before", "m"}, 5)
	g.open()
	say()
	for i := range int64(3) {
		poll()
		g.pass(time.Minute)
		g.use(0, labels{"a", "m"}, 1+i)
		g.use(2*time.Minute, labels{"b", "m"}, 10*i)
	}
	for {
		w, due := g.feed.AuditWindow(g.now)
		if !due {
			break
		}
		g.book(w)
		say()
	}
	g.open()
	say()
	for i := range int64(200) { // The file grows.
		g.use(0, labels{fmt.Sprintf("proj_%03d", i), strings.Repeat("x", 40)}, i+1)
	}
	poll()
	g.pass(16 * time.Minute)
	g.use(3*time.Hour, labels{"a", "m"}, 1000) // For the audit.
	poll()
	for {
		w, due := g.feed.AuditWindow(g.now)
		if !due {
			break
		}
		g.book(w)
		say()
	}
	for i := range int64(60) { // Past the limit.
		g.use(0, labels{fmt.Sprintf("late_%03d", i), "m"}, i+1)
	}
	poll()
	g.pass(5 * time.Hour) // Buckets leave the windows.
	g.use(0, labels{"a", "m"}, 7)
	poll()
	g.options.GroupBy = coarse
	g.configure()
	say()
	poll()
	g.pass(time.Minute)
	g.use(0, labels{"a", "m"}, 9)
	poll()
	return g
}

// record runs one of the tests in a process of its own, which keeps its books below dir.
func record(t *testing.T, dir, test string, faults ...crash.Fault) []crash.Op {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	env := append(os.Environ(), watched+"="+dir, "GOMAXPROCS=1")
	ops, err := crash.Record(dir, program, []string{"-test.run=^" + test + "$"}, env, faults...)
	if err != nil {
		t.Fatal(err)
	}
	return ops
}
