package directory_test

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-kit/log"

	"github.com/openai-exporter/openai_exporter/internal/directory"
	"github.com/openai-exporter/openai_exporter/test/crash"
)

// watched is the variable that names the directory in which the test's own process, started again, is to keep names.
const watched = "DIRECTORY_TEST_WATCHED"

// names spells what is known.
func names(d *directory.Directory) string {
	var b strings.Builder
	for _, p := range d.Snapshot().Organizations[0].Projects {
		b.WriteString(" " + p.ID + "=" + p.Name)
	}
	return b.String()
}

// TestNamesAreSavedAgainAndAgain saves ever more names. It is what the test below watches.
func TestNamesAreSavedAgainAndAgain(t *testing.T) {
	dir, ack := crash.Watched(t, watched)
	d := directory.Open(dir, log.NewNopLogger())
	e := d.Configure([]directory.Settings{everything})[0]
	var projects []directory.Project
	for i := range 6 {
		for range 1 + 5*i {
			id := "proj_" + string(rune('a'+len(projects)%26)) + strings.Repeat("x", len(projects))
			projects = append(projects, directory.Project{ID: id, Name: strings.Repeat("n", i), Status: "active"})
		}
		e.SetProjects(projects)
		if err := e.Save(); err != nil {
			t.Fatal(err)
		}
		ack(names(d))
	}
	d = directory.Open(dir, log.NewNopLogger())
	d.Configure([]directory.Settings{everything})
	if n := len(d.Snapshot().Organizations[0].Projects); n != 81 {
		t.Errorf("%d projects were saved", n)
	}
}

// TestAPowerCutLeavesTheOldNamesOrTheNew cuts the power at every point of saving.
func TestAPowerCutLeavesTheOldNamesOrTheNew(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	ops, err := crash.Record(dir, program, []string{"-test.run=^TestNamesAreSavedAgainAndAgain$"}, append(os.Environ(), watched+"="+dir, "GOMAXPROCS=1"))
	if err != nil {
		t.Fatal(err)
	}
	whole, err := crash.Whole(ops)
	if err != nil {
		t.Fatal(err)
	}
	if err := whole.Equal(dir); err != nil {
		t.Fatalf("not everything was recorded: %v", err)
	}
	root := filepath.Join(t.TempDir(), "root")
	states, old, next := 0, 0, 0
	err = crash.States(ops, crash.Limits{All: 8, Random: 50, Rand: rand.New(rand.NewPCG(seed, 0))}, func(s *crash.State) bool {
		states++
		if err := errors.Join(os.RemoveAll(root), os.Mkdir(root, 0o700), s.Lay(root)); err != nil {
			t.Fatal(err)
		}
		var logged strings.Builder
		d := directory.Open(root, log.NewLogfmtLogger(&logged))
		d.Configure([]directory.Settings{everything})
		switch got := names(d); {
		case logged.Len() > 0:
			t.Errorf("%s: %s", s, logged.String())
		case got == strings.TrimRight(" "+string(s.Before), " "):
			old++
		case got == " "+string(s.After):
			next++
		default:
			t.Errorf("%s: it knows %.200q, want %.200q or %.200q", s, got, s.Before, s.After)
		}
		return !t.Failed()
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d operations, %d power cuts: %d left the old names, %d the new", len(ops), states, old, next)
	if old < 50 || next < 10 {
		t.Error("the power was not cut in the middle of saving")
	}
}
