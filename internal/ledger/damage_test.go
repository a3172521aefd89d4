package ledger_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
)

var damages = flag.Int("damages", 100, "random damages of each kind that the damage test does")

var fine = []string{"project_id", "model"}

const pageSize = 4096 // of the database, on the machines that run the tests

// A specimen is a state file after some commits, and what may be read from it.
type specimen struct {
	file, former []byte // as it is, and as it was one commit before
	newest, last string // what it shows, and what it showed then
	feeds        []ledger.FeedOptions
	world        *world
	goesOn       string // what it shows after more has been booked
}

// newSpecimen keeps the books of two endpoints for a while.
func newSpecimen(t testing.TB, sets int) *specimen {
	t.Helper()
	dir := t.TempDir()
	w := newWorld()
	second := *embeddings
	second.Name = "moderations"
	s := &specimen{world: w}
	for _, e := range []*api.Endpoint{embeddings, &second} {
		s.feeds = append(s.feeds, ledger.FeedOptions{Organization: "acme", Endpoint: e, GroupBy: fine, Width: api.Minute, Lookback: time.Hour})
	}
	l, err := ledger.Open(ledger.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	feeds, err := l.Configure(damageSettings, s.feeds)
	if err != nil {
		t.Fatal(err)
	}
	for round := range 6 {
		for i := range sets {
			w.use(time.Duration(i%3)*time.Minute, labels{fmt.Sprintf("proj_%03d", i), "m"}, int64(i+round+1))
		}
		for _, f := range feeds {
			s.former, s.last = s.file, s.newest
			if err := f.Book(t.Context(), w.read(embeddings, f.GroupBy(), f.PollWindow(w.now))); err != nil {
				t.Fatal(err)
			}
			if s.file, err = os.ReadFile(filepath.Join(dir, ledger.FileName)); err != nil {
				t.Fatal(err)
			}
			s.newest = spellAll(l)
		}
		w.now = w.now.Add(time.Minute)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for i := range 2 * sets { // They ask for pages that are free.
		w.use(0, labels{fmt.Sprintf("proj_%03d", i), "m"}, int64(i+1))
	}
	if s.goesOn, err = s.goOn(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	return s
}

// goOn books what has happened since the specimen was taken, twice, and says what is shown after a restart.
func (s *specimen) goOn(ctx context.Context, dir string) (string, error) {
	for range 2 {
		l, err := ledger.Open(ledger.Options{Dir: dir})
		if err != nil {
			return "", err
		}
		feeds, err := l.Configure(damageSettings, s.feeds)
		for _, f := range feeds {
			err = errors.Join(err, f.Book(ctx, s.world.read(embeddings, f.GroupBy(), f.PollWindow(s.world.now))))
		}
		if err := errors.Join(err, l.Close()); err != nil {
			return "", err
		}
	}
	l, err := ledger.Open(ledger.Options{Dir: dir})
	if err != nil {
		return "", err
	}
	_, err = l.Configure(damageSettings, s.feeds)
	shown := spellAll(l)
	return shown, errors.Join(err, l.Close())
}

var damageSettings = ledger.Settings{IdleRetention: 35 * 24 * time.Hour, MaxLabelSets: 1000}

// spellAll is all that a ledger shows.
func spellAll(l *ledger.Ledger) string {
	var all []string
	for _, f := range l.View().Feeds {
		all = append(all, fmt.Sprintf("%s from %d through %d", f.Endpoint.Name, f.CountsFrom.Unix(), f.ReadThrough.Unix()))
		for _, s := range f.Series {
			all = append(all, fmt.Sprintf("%s %v=%v", f.Endpoint.Name, s.Labels, s.Values))
		}
		for _, r := range f.LastBucket {
			all = append(all, fmt.Sprintf("%s last %v=%v", f.Endpoint.Name, r.Labels, r.Values))
		}
	}
	slices.Sort(all)
	return strings.Join(all, "\n")
}

// open says what a damaged file shows, or why it does not.
func (s *specimen) open(t testing.TB, dir string, file []byte) (string, error) {
	t.Helper()
	// It is a new file each time, so that no lock of a former one is in the way.
	path := filepath.Join(dir, ledger.FileName)
	if err := errors.Join(os.RemoveAll(path), os.WriteFile(path, file, 0o600)); err != nil {
		t.Fatal(err)
	}
	type result struct {
		shown string
		err   error
	}
	done := make(chan result, 1)
	go func() {
		l, err := ledger.Open(ledger.Options{Dir: dir})
		if err != nil {
			done <- result{"", err}
			return
		}
		_, err = l.Configure(damageSettings, s.feeds)
		shown := spellAll(l)
		if closing := l.Close(); err == nil {
			err = closing
		}
		done <- result{shown, err}
	}()
	select {
	case r := <-done:
		return r.shown, r.err
	case <-time.After(time.Minute):
		t.Fatal("it is never done opening the file")
		return "", nil
	}
}

// holds reports a file that is neither refused nor shown as it was. It returns whether the file was refused.
func (s *specimen) holds(t testing.TB, dir, damage string, file []byte) (refused bool) {
	t.Helper()
	shown, err := s.open(t, dir, file)
	var se *ledger.StateError
	switch {
	case errors.As(err, &se) && !strings.Contains(err.Error(), "another process"):
		if msg := err.Error(); strings.Contains(msg, "\n") || !strings.Contains(msg, dir) {
			t.Errorf("%s: the message is %q", damage, msg)
		}
		return true
	case err != nil:
		t.Errorf("%s: error = %v", damage, err)
	case shown != s.newest && shown != s.last:
		t.Errorf("%s: it shows\n%.500s\nwant\n%.500s", damage, shown, s.newest)
	default:
		if shown, err := s.goOn(t.Context(), dir); err != nil || shown != s.goesOn {
			t.Errorf("%s: it goes on to\n%.500s\nwant\n%.500s\nerror %v", damage, shown, s.goesOn, err)
		}
	}
	return false
}

// ramDir is a directory in memory where there is one, for syncing thousands of files to a disk takes long.
func ramDir(t *testing.T) string {
	t.Helper()
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
		t.Setenv("TMPDIR", "/dev/shm")
	}
	return t.TempDir()
}
