package ledger_test

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/openai-exporter/openai_exporter/internal/ledger"
)

// TestAFeedThatIsRemovedIsForgotten by the process at once, and on disk when its series would be retired.
func TestAFeedThatIsRemovedIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newParty(t, 2, embeddings)
		defer p.close()
		book := func() {
			t.Helper()
			for i := range p.feeds {
				if err := p.feeds[i].Book(t.Context(), p.read(i)); err != nil {
					t.Fatal(err)
				}
			}
		}
		book()
		p.now = p.now.Add(time.Minute)
		p.use(0, a, 4)
		book()
		all := p.options
		removed := func(d time.Duration) {
			t.Helper()
			p.options = all[:1]
			p.open()
			ctx, cancel := context.WithCancel(t.Context())
			var running sync.WaitGroup
			running.Go(func() { p.ledger.Run(ctx) })
			p.now = p.now.Add(d)
			book()
			pass(2 * time.Hour) // It looks every hour.
			cancel()
			running.Wait()
			p.options = all
			p.open()
		}
		removed(34 * 24 * time.Hour)
		if n := p.requests(1); n != 4 {
			t.Errorf("a feed that returns in time counts %d requests, want 4", n)
		}
		p.now = p.now.Add(time.Minute)
		book()
		removed(36 * 24 * time.Hour)
		if v := p.ledger.View().Feeds[1]; len(v.Series) != 0 || !v.BegunAt.IsZero() {
			t.Errorf("a feed that returns too late has begun at %s and has %d series", v.BegunAt, len(v.Series))
		}
		if v := p.ledger.View().Feeds[0]; v.BegunAt.IsZero() {
			t.Error("the feed that stayed is gone, too")
		}
	})
}

// TestARemovedOrganizationLeavesTheMemory with all that is known of it.
func TestARemovedOrganizationLeavesTheMemory(t *testing.T) {
	p := newParty(t, 2, embeddings)
	defer p.close()
	if err := p.feeds[1].Book(t.Context(), p.read(1)); err != nil {
		t.Fatal(err)
	}
	removed := weak.Make(p.feeds[1])
	var err error
	if p.feeds, err = p.ledger.Configure(ledger.Settings{IdleRetention: 35 * 24 * time.Hour, MaxLabelSets: p.limit}, p.options[:1]); err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	if removed.Value() != nil {
		t.Error("a feed that is not configured any more is held")
	}
	runtime.KeepAlive(p)
}

// An API whose clock is a year ahead, as that of a gateway may be, must not end what others have on disk.
func TestOneClockDecidesNothingAboutOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newParty(t, 3, embeddings)
		defer p.close()
		for i := range p.feeds {
			if err := p.feeds[i].Book(t.Context(), p.read(i)); err != nil {
				t.Fatal(err)
			}
		}
		p.now = p.now.Add(time.Minute)
		p.use(0, a, 4)
		for i := range 2 {
			if err := p.feeds[i].Book(t.Context(), p.read(i)); err != nil {
				t.Fatal(err)
			}
		}
		all := p.options
		p.options = all[1:] // org-0 leaves by mistake, for two hours
		p.open()
		at := p.now
		p.now = p.now.AddDate(1, 0, 0)
		if err := p.feeds[1].Book(t.Context(), p.read(1)); err != nil {
			t.Fatal(err)
		}
		p.now = at
		p.run(t, 2*time.Hour)
		p.options = all
		p.open()
		if n := p.requests(0); n != 4 {
			t.Errorf("a feed that returns after two hours counts %d requests, want 4", n)
		}
	})
}

// run lets the ledger release and forget for a while.
func (p *party) run(t *testing.T, d time.Duration) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { p.ledger.Run(ctx) })
	pass(d)
	cancel()
	running.Wait()
}

// An organization that has answered nothing for long decides nothing about others either.
func TestAClockThatStandsKeepsNothingOfOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newParty(t, 4, embeddings)
		defer p.close()
		book := func(feeds ...int) {
			for _, i := range feeds {
				if err := p.feeds[i].Book(t.Context(), p.read(i)); err != nil {
					t.Fatal(err)
				}
			}
		}
		book(0, 1, 2, 3)
		p.now = p.now.Add(time.Minute)
		p.use(0, a, 4)
		book(0, 1, 2, 3)
		all := p.options
		p.options = all[1:] // org-0 leaves, and org-1 answers nothing from now on
		p.open()
		p.now = p.now.AddDate(0, 2, 0)
		book(1, 2)
		p.run(t, 2*time.Hour)
		p.options = all
		p.open()
		if n := p.requests(0); n != 0 {
			t.Errorf("a feed that returns after two months goes on with %d requests", n)
		}
	})
}

// One that has not answered yet, such as a new one whose key is refused, has no clock at all.
func TestAnOrganizationThatNeverAnsweredKeepsNothingOfOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newParty(t, 3, embeddings)
		defer p.close()
		book := func(i int) {
			if err := p.feeds[i].Book(t.Context(), p.read(i)); err != nil {
				t.Fatal(err)
			}
		}
		book(0)
		p.now = p.now.Add(time.Minute)
		p.use(0, a, 4)
		book(0)
		all := p.options
		p.options = all[1:] // org-0 leaves, org-1 goes on and org-2 never answers
		p.open()
		p.now = p.now.AddDate(0, 2, 0)
		book(0)
		p.run(t, 2*time.Hour)
		p.options = all
		p.open()
		if n := p.requests(0); n != 0 {
			t.Errorf("a feed that returns after two months goes on with %d requests", n)
		}
	})
}

// TestTheSizeOfTheStateIsKnownBeforeTheFirstCommit: the API may be away when the exporter starts.
func TestTheSizeOfTheStateIsKnownBeforeTheFirstCommit(t *testing.T) {
	dir := t.TempDir()
	for range 2 {
		l, err := ledger.Open(ledger.Options{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		file, err := os.Stat(filepath.Join(dir, ledger.FileName))
		if err != nil {
			t.Fatal(err)
		}
		if n := l.Bytes(); n <= 0 || n > file.Size() {
			t.Errorf("the state has %d bytes, the file %d", n, file.Size())
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
