package ledger_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/openai-exporter/openai_exporter/internal/ledger"
)

func everything(ledger.FeedName) bool { return true }

func TestAFeedThatMovesGoesOnWhereItWas(t *testing.T) {
	for _, downtime := range []time.Duration{time.Minute, 3 * time.Hour, 30 * time.Hour} {
		g := newRig(t).open()
		a, b := labels{"proj_a", "m"}, labels{"proj_b", "m"}
		g.poll()
		g.pass(5 * time.Minute)
		g.use(0, a, 7)
		g.use(3*time.Minute, b, 11)
		g.poll()
		g.expect(map[labels]int64{a: 7, b: 11})
		if err := g.ledger.Close(); err != nil {
			t.Fatal(err)
		}
		g.ledger = nil

		file, source, target := filepath.Join(t.TempDir(), "moved"), g.dir, filepath.Join(t.TempDir(), "new", "data")
		if feeds, err := ledger.Export(source, file, everything); err != nil || !slices.Equal(feeds, []ledger.FeedName{{Organization: "acme", Endpoint: "embeddings"}}) {
			t.Fatalf("exported %v, %v", feeds, err)
		}
		g.pass(downtime)
		g.use(downtime/2, a, 100)
		g.use(downtime+2*time.Minute, b, 1000) // It is late.
		if feeds, err := ledger.Import(target, file, everything); err != nil || len(feeds) != 1 {
			t.Fatalf("imported %v, %v", feeds, err)
		}
		g.dir = target
		g.open()
		g.expect(map[labels]int64{a: 7, b: 11})
		g.settle()
		g.expect(map[labels]int64{a: 107, b: 1011})

		// Where it was it is no more, so that it begins from a baseline if it comes back without its state.
		g.dir = source
		g.open()
		g.expect(map[labels]int64{})
		g.settle()
		g.expect(map[labels]int64{a: 0, b: 0})
	}
}

func TestOnlyWhatIsChosenMoves(t *testing.T) {
	s := newSpecimen(t, 40)
	dir := t.TempDir()
	writeState(t, dir, s.file)
	file := filepath.Join(t.TempDir(), "moved")
	chosen := func(f ledger.FeedName) bool { return f.Endpoint == "moderations" }
	if feeds, err := ledger.Export(dir, file, func(ledger.FeedName) bool { return false }); err != nil || len(feeds) > 0 {
		t.Fatalf("exported %v, %v", feeds, err)
	}
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("there is a file of nothing: %v", err)
	}
	if _, err := ledger.Export(dir, file, chosen); err != nil {
		t.Fatal(err)
	}
	target := t.TempDir()
	if feeds, err := ledger.Import(target, file, func(f ledger.FeedName) bool { return !chosen(f) }); err != nil || len(feeds) > 0 {
		t.Fatalf("imported %v, %v", feeds, err)
	}
	for _, d := range []string{dir, target} {
		if d == target {
			if _, err := ledger.Import(target, file, chosen); err != nil {
				t.Fatal(err)
			}
		}
		l, err := ledger.Open(ledger.Options{Dir: d})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.Configure(damageSettings, s.feeds); err != nil {
			t.Fatal(err)
		}
		for _, v := range l.View().Feeds {
			want := 0
			if chosen(ledger.FeedName{Organization: v.Organization, Endpoint: v.Endpoint.Name}) == (d == target) {
				want = 40
			}
			if len(v.Series) != want {
				t.Errorf("%s of %s has %d series, want %d", v.Endpoint.Name, d, len(v.Series), want)
			}
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func writeState(t *testing.T, dir string, file []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, ledger.FileName), file, 0o600); err != nil {
		t.Fatal(err)
	}
}

// What is refused changes nothing, on either side, and is told in one line.
func TestAMoveThatIsRefusedChangesNothing(t *testing.T) {
	t.Parallel()
	s := newSpecimen(t, 40)
	full, half, file, torn := t.TempDir(), t.TempDir(), filepath.Join(t.TempDir(), "moved"), filepath.Join(t.TempDir(), "torn")
	writeState(t, full, s.file)
	writeState(t, half, s.file)
	if _, err := ledger.Export(half, file, func(f ledger.FeedName) bool { return f.Endpoint == "moderations" }); err != nil {
		t.Fatal(err)
	}
	damaged := slices.Clone(s.file)
	for at := pageSize * 2; at < len(damaged); at += 97 {
		damaged[at] ^= 0x55
	}
	if err := os.WriteFile(torn, damaged, 0o600); err != nil {
		t.Fatal(err)
	}
	broken := t.TempDir()
	writeState(t, broken, damaged)
	missing := filepath.Join(t.TempDir(), "missing")
	l, err := ledger.Open(ledger.Options{Dir: half})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()

	for want, do := range map[string]func() ([]ledger.FeedName, error){
		"has moderations of acme already, and nothing was imported": func() ([]ledger.FeedName, error) { return ledger.Import(full, file, everything) },
		"another process is using it": func() ([]ledger.FeedName, error) {
			return ledger.Export(half, filepath.Join(t.TempDir(), "out"), everything)
		},
		"exists already, and nothing was exported": func() ([]ledger.FeedName, error) { return ledger.Export(full, file, everything) },
		"no such file or directory":                func() ([]ledger.FeedName, error) { return ledger.Import(full, missing, everything) },
		"does not exist":                           func() ([]ledger.FeedName, error) { return ledger.Export(missing, missing+".out", everything) },
		"state file " + torn:                       func() ([]ledger.FeedName, error) { return ledger.Import(full, torn, everything) },
		"state file " + broken:                     func() ([]ledger.FeedName, error) { return ledger.Export(broken, missing+".out", everything) },
	} {
		feeds, err := do()
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("got %v, %v, want %q", feeds, err, want)
		}
		if len(feeds) > 0 {
			t.Errorf("%q: %v were moved all the same", want, feeds)
		}
	}
	if _, err := os.Stat(missing); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a directory was made where a state was to be read: %v", err)
	}
	again, err := ledger.Open(ledger.Options{Dir: full})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = again.Close() }()
	if _, err := again.Configure(damageSettings, s.feeds); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(s.newest, spellAll(again)); diff != "" {
		t.Errorf("the state shows something else than before (-want +got):\n%s", diff)
	}
}

// A file that could not be written to its end is not left behind, and the state keeps what it had.
func TestAnExportThatFailsLeavesTheStateAsItWas(t *testing.T) {
	s := newSpecimen(t, 40)
	dir := t.TempDir()
	writeState(t, dir, s.file)
	file := filepath.Join(t.TempDir(), "no such directory", "moved")
	if _, err := ledger.Export(dir, file, everything); err == nil {
		t.Fatal("it says that it has written into a directory that is not there")
	}
	feeds, err := ledger.Export(dir, filepath.Join(t.TempDir(), "moved"), everything)
	if err != nil || len(feeds) != len(s.feeds) {
		t.Fatalf("exported %v, %v", feeds, err)
	}
}
