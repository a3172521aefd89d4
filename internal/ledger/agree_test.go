//go:build !race

package ledger_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/decimal"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
)

// TestRandomHistoriesAgreeWhateverIsPassedOver: who passes over the buckets that are known by their fingerprint has the same
// series, books and marks at every step as who reads all of them.
func TestRandomHistoriesAgreeWhateverIsPassedOver(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			p := newPair(t, rand.New(rand.NewPCG(seed, 7)))
			for range 200 {
				p.someUse()
			}
			for step := range 150 {
				for range p.random.IntN(4) {
					p.someUse()
				}
				n := p.random.IntN(40)
				p.happen(n)
				p.read(p.random.IntN(10))
				if diff := gocmp.Diff(everythingOf(p.blind.ledger.View().Feeds[0]), everythingOf(p.seeing.ledger.View().Feeds[0])); diff != "" {
					t.Fatalf("step %d, event %d (-all read +passed over):\n%s", step, n, diff)
				}
			}
			if p.seeing.passed < 1000 || p.blind.passed > 0 {
				t.Errorf("%d and %d buckets were passed over", p.seeing.passed, p.blind.passed)
			}
		})
	}
}

// everythingOf spells all that a feed shows.
func everythingOf(v *ledger.FeedView) []string {
	var out []string
	for _, s := range v.Series {
		out = append(out, fmt.Sprint("series ", s.Labels, s.Values))
	}
	for _, s := range v.Derived {
		out = append(out, fmt.Sprint("derived ", s.Labels, s.Measures, s.Values))
	}
	for _, r := range v.LastBucket {
		out = append(out, fmt.Sprint("last bucket ", r.Labels, r.Values))
	}
	slices.Sort(out)
	for _, d := range v.Books {
		out = append(out, fmt.Sprint("day ", d.Start, d.ReadAt, d.Hours, d.Split, d.Itemized, spellDay(d)))
	}
	return append(out,
		fmt.Sprint("measures ", v.ByMeasure, v.DerivedWithheld),
		fmt.Sprint("marks ", v.ReadThrough, v.Audited, v.ReadAt, v.CountsFrom, v.HoursGivenUp))
}

// A pair is two ledgers of one world. One is blind to what it knows.
type pair struct {
	t             *testing.T
	random        *rand.Rand
	seeing, blind *rig
	price         int64
	down          bool // usage is restated downwards, too
}

func newPair(t *testing.T, random *rand.Rand) *pair {
	p := &pair{t: t, random: random, seeing: newRig(t), blind: newRig(t), price: 2, down: random.IntN(2) == 0}
	p.blind.world = &world{now: p.seeing.now, minutes: p.seeing.minutes, blind: true}
	limit := 3 + random.IntN(6)
	p.each(func(g *rig) {
		g.settings.MaxLabelSets, g.settings.IdleRetention = limit, 200*time.Hour
		g.options.ReadBy = []string{"project_id", "model"}
		g.options.Price = perRow(func(_ time.Time, _ []string, ls []ledger.Label, values []decimal.Fixed) (usd, unpriced decimal.Fixed) {
			if labelsOf(ls).model == "m1" {
				return decimal.Fixed{}, values[1]
			}
			return values[0].Mul(decimal.FromInt(p.price)), decimal.Fixed{}
		})
		g.open()
	})
	return p
}

func (p *pair) each(f func(g *rig)) {
	f(p.seeing)
	f(p.blind)
}

func (p *pair) pass(d time.Duration) { p.each(func(g *rig) { g.pass(d) }) }

// someUse changes the world a little.
func (p *pair) someUse() {
	g, random := p.seeing, p.random
	l := labels{fmt.Sprintf("proj_%d", random.IntN(4)), fmt.Sprintf("m%d", random.IntN(2))}
	var ago time.Duration
	switch random.IntN(6) {
	case 0, 1, 2:
		ago = time.Duration(random.IntN(15)) * time.Minute
	case 3:
		ago = time.Duration(random.IntN(200)) * time.Minute
	case 4:
		ago = time.Duration(random.IntN(70)) * time.Hour
	}
	at := g.minutes[g.now.Add(-ago).Truncate(time.Minute).Unix()]
	n := int64(1 + random.IntN(1000))
	if p.down && random.IntN(5) == 0 && at[l] > 0 {
		n = -(1 + random.Int64N(at[l]))
	}
	g.use(ago, l, n)
	if random.IntN(8) == 0 && len(at) > 0 { // It goes to another project, and the sums by model stay.
		byName := func(a, b labels) int { return cmp.Or(cmp.Compare(a.project, b.project), cmp.Compare(a.model, b.model)) }
		from := slices.MinFunc(slices.Collect(maps.Keys(at)), byName)
		moved := at[from]
		delete(at, from)
		at[labels{"proj_9", from.model}] += moved
	}
}

// happen lets time pass, or something else happen.
func (p *pair) happen(n int) {
	random := p.random
	switch n {
	case 0:
		p.pass(time.Duration(1+random.IntN(600)) * time.Minute)
	case 1:
		for range 1 + random.IntN(60) {
			p.pass(time.Hour)
			p.someUse()
		}
	case 2:
		p.poll()
		p.each(func(g *rig) { g.open() })
	case 3, 4: // One commit fails, and the process goes on.
		p.each(func(g *rig) {
			if err := os.Remove(filepath.Join(g.dir, ledger.FileName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				p.t.Fatal(err)
			}
		})
	case 5, 6, 7:
		p.leaveOut()
	case 8:
		p.price++
	case 9:
		if dimension := pick(random, "project_id", "model"); random.IntN(6) == 0 {
			p.each(func(g *rig) { _ = g.feed.Drop(dimension) }) // It may have been dropped before.
		}
	case 10, 11, 12, 13, 14, 15:
		p.reconfigure(n)
	default:
		p.pass(time.Duration(1+random.IntN(300)) * time.Second)
	}
}

// leaveOut lets some answers lack a bucket.
func (p *pair) leaveOut() {
	lacking := p.seeing.now.Add(-time.Duration(p.random.IntN(90)) * time.Minute).Truncate(time.Minute)
	hole := func(start time.Time) bool { return start.Equal(lacking) }
	p.each(func(g *rig) { g.hole = hole })
	for range p.random.IntN(5) {
		p.poll()
		p.audit(2)
		p.pass(20 * time.Second)
	}
	p.each(func(g *rig) { g.hole = nil })
}

func pick[T any](random *rand.Rand, of ...T) T { return of[random.IntN(len(of))] }

func (p *pair) reconfigure(n int) {
	random := p.random
	var change func(g *rig)
	switch n {
	case 10:
		width := pick(random, api.Minute, api.Hour)
		change = func(g *rig) { g.options.Width = width }
	case 11:
		d := time.Duration(5+random.IntN(300)) * time.Minute
		change = func(g *rig) { g.options.Lookback = d }
	case 12:
		d := time.Duration(72+random.IntN(100)) * time.Hour
		change = func(g *rig) { g.options.AuditWindow = d }
	case 13:
		limit := 3 + random.IntN(6)
		change = func(g *rig) { g.settings.MaxLabelSets = limit }
	case 14:
		by := pick(random, []string{"project_id", "model"}, []string{"model"}, []string{"project_id"}, nil)
		change = func(g *rig) { g.options.GroupBy = by }
	default:
		by := pick(random, []string{"project_id", "model"}, []string{"model"}, []string{"project_id"}, []string{"project_id", "model", "user_id"})
		change = func(g *rig) { g.options.ReadBy = by }
	}
	p.each(func(g *rig) {
		change(g)
		feeds, err := g.ledger.Configure(g.settings, []ledger.FeedOptions{g.options})
		if err != nil { // The disk has failed, for once.
			feeds, err = g.ledger.Configure(g.settings, []ledger.FeedOptions{g.options})
		}
		if err != nil {
			p.t.Fatal(err)
		}
		g.feed = feeds[0]
	})
}

// read polls and audits, mostly.
func (p *pair) read(n int) {
	switch n {
	case 0:
	case 1:
		p.poll()
	case 2:
		p.audit(1)
	default:
		p.poll()
		p.audit(10)
	}
}

func (p *pair) poll() {
	p.book(func(g *rig) (ledger.Window, bool) { return g.feed.PollWindow(g.now), true })
}

func (p *pair) audit(most int) {
	for range most {
		if !p.book(func(g *rig) (ledger.Window, bool) { return g.feed.AuditWindow(g.now) }) {
			return
		}
	}
}

// book books in both ledgers and says whether that went well. It goes as well in one as in the other.
func (p *pair) book(window func(g *rig) (ledger.Window, bool)) bool {
	p.t.Helper()
	var booked []bool
	p.each(func(g *rig) {
		w, due := window(g)
		booked = append(booked, due && g.feed.Book(context.Background(), g.read(g.options.Endpoint, g.feed.GroupBy(), w)) == nil)
	})
	if booked[0] != booked[1] {
		p.t.Fatalf("what is passed over is booked: %v, what is read: %v", booked[0], booked[1])
	}
	return booked[0]
}
