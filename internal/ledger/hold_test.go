package ledger_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/decimal"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
)

// A rare is a rig whose only label set has one measure that is always shown and two that are rare.
type rare struct {
	*rig
	minutes map[int64][3]int64
	stop    func()
}

func newRare(t *testing.T) *rare {
	e, _ := api.Find("completions")
	fixed := *e
	fixed.Measures = []api.Measure{e.Measures[0], e.Measures[4], e.Measures[5]}
	g := &rare{rig: newRig(t), minutes: map[int64][3]int64{}}
	g.options.Endpoint, g.options.GroupBy = &fixed, []string{"model"}
	g.settings.ZeroHold = 2 * time.Minute
	return g
}

// start opens the ledger, as after a crash, and lets it release what it holds.
func (g *rare) start() {
	if g.stop != nil {
		g.stop()
	}
	g.open()
	ctx, cancel := context.WithCancel(g.t.Context())
	done := make(chan struct{})
	l := g.ledger
	go func() { defer close(done); l.Run(ctx) }()
	g.stop = func() { cancel(); <-done }
}

// wait passes time that the ledger notices, too.
func (g *rare) wait(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
	g.pass(d)
}

func (g *rare) use(values ...int64) {
	g.minutes[g.now.Truncate(time.Minute).Unix()] = [3]int64(values)
}

func (g *rare) poll() {
	w := g.feed.PollWindow(g.now)
	r := ledger.NewRead(g.options.Endpoint, g.feed.GroupBy(), w)
	r.AsOf = g.now
	for start := w.From; start.Before(g.now); start = start.Add(time.Minute) {
		r.Bucket(start)
		if v, ok := g.minutes[start.Unix()]; ok {
			r.Row([]string{"gpt-5"}, []decimal.Fixed{decimal.FromInt(v[0]), decimal.FromInt(v[1]), decimal.FromInt(v[2])})
		}
	}
	if err := g.feed.Book(g.t.Context(), r); err != nil {
		g.t.Fatal(err)
	}
}

// expect spells what is shown: "-" is absent.
func (g *rare) expect(want string) {
	g.t.Helper()
	var got []string
	for _, s := range g.ledger.View().Feeds[0].Series {
		for i := range s.Measures {
			if s.Absent.Has(i) {
				got = append(got, "-")
			} else {
				got = append(got, s.Values[i].String())
			}
		}
	}
	if fmt.Sprint(strings.Join(got, " ")) != want {
		g.t.Fatalf("at %s it shows %q, want %q", g.now.Format(time.TimeOnly), strings.Join(got, " "), want)
	}
}

func TestARareMeasureBeginsAtZeroWhenItFirstHasSomething(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRare(t)
		g.start()
		defer func() { g.stop() }()
		g.poll()
		g.use(10, 0, 0)
		g.poll()
		g.expect("0 - -")
		g.wait(2*time.Minute + time.Second)
		g.poll()
		g.expect("10 - -")
		g.use(1, 7, 0)
		g.poll()
		g.expect("11 0 -")
		g.poll() // The same again changes nothing.
		g.expect("11 0 -")
		g.wait(time.Minute)
		// The second begins while the first is still held: each has its own time.
		g.use(1, 1, 5)
		g.poll()
		g.expect("12 0 0")
		g.wait(time.Minute + time.Second)
		g.expect("12 8 0")
		g.wait(time.Minute)
		g.expect("12 8 5")
		// What has had something stays, whatever the API takes back.
		clear(g.minutes)
		g.poll()
		g.expect("12 8 5")
	})
}

func TestARareMeasureThatIsHeldOutlivesACrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRare(t)
		g.start()
		defer func() { g.stop() }()
		g.poll()
		g.use(10, 0, 0)
		g.poll()
		g.wait(2*time.Minute + time.Second)
		g.use(1, 7, 0)
		g.poll()
		g.wait(time.Minute)
		g.expect("11 0 -")
		g.start() // Nobody knows whether the zero was seen, so it is shown once more.
		g.expect("11 0 -")
		g.wait(time.Minute + time.Second)
		g.expect("11 0 -")
		g.wait(time.Minute)
		g.expect("11 7 -")
		g.start()
		g.expect("11 7 -")
	})
}

func TestNothingIsHeldWithoutAHold(t *testing.T) {
	g := newRare(t)
	g.settings.ZeroHold = 0
	g.open()
	g.poll()
	g.use(10, 0, 3)
	g.poll()
	g.expect("10 - 3")
	g.open()
	g.expect("10 - 3")
}

// TestReleasesKeepThePaceOfCommits that bookings keep: new series of many organizations are shown one after another.
func TestReleasesKeepThePaceOfCommits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newParty(t, 40, embeddings)
		defer p.close()
		p.hold = 10*pace + pace/2 // Over while others are booked, and never at the same time.
		p.open()
		book := func() {
			for i, f := range p.feeds {
				if err := f.Book(t.Context(), p.read(i)); err != nil {
					t.Error(err)
				}
			}
		}
		book()
		p.now = p.now.Add(time.Minute)
		p.use(0, a, 7)
		pass(time.Minute)
		var last time.Time
		begin, commits := time.Now(), 0
		p.begun = func() {
			if since := time.Since(last); since < pace {
				t.Errorf("a commit begins %s after the one before", since)
			}
			last = time.Now()
			commits++
		}
		var running sync.WaitGroup
		running.Go(book)
		p.run(t, time.Minute)
		running.Wait()
		p.begun = nil
		if commits <= len(p.feeds) {
			t.Errorf("%d commits in %s: nothing was released by itself", commits, time.Since(begin))
		}
		for i := range p.feeds {
			if n := p.requests(i); n != 7 {
				t.Errorf("feed %d shows %d requests, want 7", i, n)
			}
		}
	})
}
