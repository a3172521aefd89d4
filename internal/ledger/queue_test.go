package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/decimal"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
)

// A party is a ledger of many feeds, which share commits.
type party struct {
	*world
	t       *testing.T
	dir     string
	options []ledger.FeedOptions
	limit   int
	hold    time.Duration
	ledger  *ledger.Ledger
	feeds   []*ledger.Feed
	commits int
	begun   func() // is told of every commit that was made, before anybody is
}

func pass(d time.Duration) { <-time.After(d) }

const pace = 50 * time.Millisecond

// newParty is of some endpoints of some organizations.
func newParty(t *testing.T, organizations int, endpoints ...*api.Endpoint) *party {
	p := &party{world: newWorld(), t: t, dir: t.TempDir(), limit: 1000}
	for i := range organizations {
		for _, e := range endpoints {
			p.options = append(p.options, ledger.FeedOptions{
				Organization: fmt.Sprintf("org-%d", i), Endpoint: e, GroupBy: []string{"project_id", "model"},
				Width: api.Minute, Lookback: time.Hour, AuditInterval: 15 * time.Minute, AuditWindow: 72 * time.Hour,
			})
		}
	}
	p.open()
	return p
}

func (p *party) open() {
	p.t.Helper()
	p.close()
	var err error
	p.ledger, err = ledger.Open(ledger.Options{Dir: p.dir, Pace: pace, Committed: func(time.Duration, error) {
		if p.commits++; p.begun != nil {
			p.begun()
		}
	}})
	if err != nil {
		p.t.Fatal(err)
	}
	if p.feeds, err = p.ledger.Configure(ledger.Settings{IdleRetention: 35 * 24 * time.Hour, MaxLabelSets: p.limit, ZeroHold: p.hold}, p.options); err != nil {
		p.t.Fatal(err)
	}
}

func (p *party) close() {
	if p.ledger != nil {
		_ = p.ledger.Close()
		p.ledger = nil
	}
}

func (p *party) read(i int) *ledger.Read {
	return p.world.read(p.options[i].Endpoint, p.feeds[i].GroupBy(), p.feeds[i].PollWindow(p.now))
}

// together books reads so that all but the first share a commit, in their order.
func (p *party) together(reads map[int][]*ledger.Read, order ...int) []error {
	p.t.Helper()
	errs := make([]error, len(order))
	taken := map[int]int{}
	var all sync.WaitGroup
	for n, i := range order {
		r := reads[i][taken[i]]
		taken[i]++
		all.Go(func() {
			pass(time.Duration(n) * time.Microsecond)
			errs[n] = p.feeds[i].Book(context.Background(), r)
		})
	}
	all.Wait()
	return errs
}

func (p *party) requests(i int) (n int64) {
	for _, s := range p.ledger.View().Feeds[i].Series {
		n += number(p.t, s.Values[0])
	}
	return n
}

// TestBookingsThatComeTogetherShareACommit of the disk, and are there after a restart.
func TestBookingsThatComeTogetherShareACommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newParty(t, 20, embeddings)
		defer p.close()
		poll := func() {
			reads, order := map[int][]*ledger.Read{}, make([]int, len(p.feeds))
			for i := range p.feeds {
				reads[i], order[i] = []*ledger.Read{p.read(i)}, i
			}
			for _, err := range p.together(reads, order...) {
				if err != nil {
					t.Error(err)
				}
			}
		}
		poll()
		p.now = p.now.Add(time.Minute)
		p.use(0, a, 7)
		pass(time.Minute)
		p.commits = 0
		poll()
		if p.commits > 2 {
			t.Errorf("20 bookings took %d commits, want one for the first and one for all the others", p.commits)
		}
		for range 2 {
			for i := range p.feeds {
				if n := p.requests(i); n != 7 {
					t.Errorf("feed %d shows %d requests, want 7", i, n)
				}
			}
			p.open()
		}
	})
}

// TestNobodyWaitsForACommit but those whose bookings it has.
func TestNobodyWaitsForACommit(t *testing.T) {
	p := newParty(t, 2, embeddings)
	defer p.close()
	committing, release := make(chan struct{}), make(chan struct{})
	p.begun = func() {
		close(committing)
		<-release
	}
	booked := make(chan error)
	go func() { booked <- p.feeds[0].Book(context.Background(), p.read(0)) }()
	<-committing
	for _, f := range p.feeds {
		f.PollWindow(p.now)
		f.AuditWindow(p.now)
		f.GroupBy()
		f.ReadAt()
	}
	p.ledger.View()
	p.begun = nil
	close(release)
	if err := <-booked; err != nil {
		t.Fatal(err)
	}
}

// TestTwoReadsOfAFeedDoNotShareACommit, since the second one is compared with what the first has booked.
func TestTwoReadsOfAFeedDoNotShareACommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newParty(t, 2, embeddings)
		defer p.close()
		for i := range p.feeds {
			if err := p.feeds[i].Book(t.Context(), p.read(i)); err != nil {
				t.Fatal(err)
			}
		}
		p.now = p.now.Add(time.Minute)
		p.use(0, a, 3)
		first := p.read(1)
		p.use(0, a, 2)
		second := p.read(1)
		for _, err := range p.together(map[int][]*ledger.Read{0: {p.read(0)}, 1: {first, second}}, 0, 1, 1) {
			if err != nil {
				t.Error(err)
			}
		}
		if n := p.requests(1); n != 5 {
			t.Errorf("%d requests, want 5", n)
		}
	})
}

// TestFeedsThatShareACommitShareTheLimit of label sets of their organization.
func TestFeedsThatShareACommitShareTheLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newParty(t, 1, embeddings, other(t))
		defer p.close()
		p.limit = 4
		p.open()
		for i := range p.feeds {
			if err := p.feeds[i].Book(t.Context(), p.read(i)); err != nil {
				t.Fatal(err)
			}
		}
		p.now = p.now.Add(time.Minute)
		for i := range 3 {
			p.use(0, labels{fmt.Sprintf("proj_%d", i), "m"}, 5)
		}
		pass(time.Millisecond)
		for _, err := range p.together(map[int][]*ledger.Read{0: {p.read(0)}, 1: {p.read(1)}}, 0, 1) {
			if err != nil {
				t.Error(err)
			}
		}
		if o := p.ledger.View().Organizations[0]; o.LabelSets != 4 || o.Overflow != 2 {
			t.Errorf("%d label sets have series of their own and %d are folded, want 4 and 2", o.LabelSets, o.Overflow)
		}
		for i := range p.feeds {
			if n := p.requests(i); n != 15 {
				t.Errorf("feed %d counts %d requests, want 15", i, n)
			}
		}
	})
}

// TestWhoseAnswersTheseAreIsNotForgottenInASharedCommit: what one feed finds out is written for others that book with it.
func TestWhoseAnswersTheseAreIsNotForgottenInASharedCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		costs, _ := api.Find("costs")
		p := newParty(t, 1, embeddings, costs)
		defer p.close()
		p.options[0].GroupBy = []string{"model"} // No project can tell.
		p.options[1].GroupBy, p.options[1].Width, p.options[1].Lookback = []string{"line_item"}, api.CostDay, 72*time.Hour
		p.options[1].AuditInterval, p.options[1].AuditWindow = 0, 0
		p.open()
		billOf := func(organization string) *ledger.Read {
			r := ledger.NewRead(costs, p.feeds[1].GroupBy(), p.feeds[1].PollWindow(p.now))
			r.AsOf, r.Organization = p.now, organization
			for at := r.Window.From; at.Before(p.now); at = at.AddDate(0, 0, 1) {
				r.Bucket(at)
				row, values := make([]string, len(r.Columns())), make([]decimal.Fixed, len(costs.Measures))
				row[0], values[0] = "gpt-5, input", decimal.FromInt(1)
				r.Row(row, values)
			}
			return r
		}
		book := func(order []int, bill *ledger.Read) []error {
			pass(time.Microsecond)
			p.now = p.now.Add(time.Minute)
			return p.together(map[int][]*ledger.Read{0: {p.read(0)}, 1: {bill}}, order...)
		}
		if err := errors.Join(book([]int{0, 1}, billOf("org-a"))...); err != nil {
			t.Fatal(err)
		}
		pass(time.Minute)
		if err := p.feeds[1].Book(t.Context(), billOf("org-b")); !errors.Is(err, ledger.ErrForeign) {
			t.Fatalf("another organization's bill says %v", err)
		}
		// The bill acquits, and usage is booked with it.
		if errs := book([]int{1, 0}, billOf("org-a")); errors.Join(errs...) != nil {
			t.Fatalf("what the organization itself answers says %v", errs)
		}
		p.open()
		p.now = p.now.Add(time.Minute)
		if err := p.feeds[0].Book(t.Context(), p.read(0)); err != nil {
			t.Errorf("after a restart: %v", err)
		}
		// The bill convicts, and usage that comes with it is not booked.
		pass(time.Minute)
		if err := p.feeds[0].Book(t.Context(), p.read(0)); err != nil {
			t.Fatal(err)
		}
		p.now = p.now.Add(time.Minute)
		p.use(0, a, 9)
		for _, err := range book([]int{1, 0}, billOf("org-b")) {
			if !errors.Is(err, ledger.ErrForeign) {
				t.Errorf("another organization's answers say %v", err)
			}
		}
		if n := p.requests(0); n != 0 {
			t.Errorf("%d requests of another organization are counted", n)
		}
	})
}

func (p *party) configure(options ...ledger.FeedOptions) {
	p.t.Helper()
	if _, err := p.ledger.Configure(ledger.Settings{IdleRetention: 35 * 24 * time.Hour, MaxLabelSets: p.limit, ZeroHold: p.hold}, options); err != nil {
		p.t.Fatal(err)
	}
}

// other is an endpoint like embeddings, of the same measures.
func other(t *testing.T) *api.Endpoint {
	t.Helper()
	moderations, ok := api.Find("moderations")
	if !ok {
		t.Fatal("no endpoint moderations")
	}
	fixed := *moderations
	fixed.Measures = fixed.Measures[:2]
	return &fixed
}

// A reload tells the ledger what there is before it stops what is polled no longer, so a read may wait to be booked then.
func TestAReadOfAnOrganizationThatHasGoneIsRefused(t *testing.T) {
	p := newParty(t, 2, embeddings)
	defer p.close()
	r := p.read(1)
	w, _ := p.feeds[1].AuditWindow(p.now)
	p.configure(p.options[0])
	if err := p.feeds[1].Book(t.Context(), r); !errors.Is(err, ledger.ErrGone) {
		t.Errorf("booking says %v", err)
	}
	if err := p.feeds[1].Drop("model"); !errors.Is(err, ledger.ErrGone) {
		t.Errorf("dropping a dimension says %v", err)
	}
	if gaveUp, err := p.feeds[1].Refused(w); gaveUp || err != nil {
		t.Errorf("what the API refuses is given up: %v, %v", gaveUp, err)
	}
	p.feeds[1].PollWindow(p.now)
	p.feeds[1].GroupBy()
	if v := p.ledger.View(); len(v.Feeds) != 1 || v.Feeds[0].Organization != "org-0" {
		t.Errorf("%d feeds are shown", len(v.Feeds))
	}
}

func TestAReadOfAnEndpointThatHasGoneTakesNobodysPlace(t *testing.T) {
	for gone := range 2 {
		p := newParty(t, 1, embeddings, other(t))
		defer p.close()
		for range 2 {
			for i := range p.feeds {
				if err := p.feeds[i].Book(t.Context(), p.read(i)); err != nil {
					t.Fatal(err)
				}
			}
			p.now = p.now.Add(time.Minute)
			p.use(0, a, 7)
		}
		r, stays := p.read(gone), p.options[1-gone]
		p.configure(stays)
		if err := p.feeds[gone].Book(t.Context(), r); !errors.Is(err, ledger.ErrGone) {
			t.Errorf("booking says %v", err)
		}
		if v := p.ledger.View(); len(v.Feeds) != 1 || v.Feeds[0].Endpoint.Name != stays.Endpoint.Name {
			t.Errorf("the view shows %s in the place of %s", v.Feeds[0].Endpoint.Name, stays.Endpoint.Name)
		}
		p.configure(p.options...) // It returns, and its former reads are still those of one that has gone.
		if err := p.feeds[gone].Book(t.Context(), r); !errors.Is(err, ledger.ErrGone) {
			t.Errorf("booking after its return says %v", err)
		}
	}
}

// TestADimensionIsDroppedBesideOtherFeeds of the organization, which look at what is staged. The race detector judges.
func TestADimensionIsDroppedBesideOtherFeeds(t *testing.T) {
	p := newParty(t, 1, embeddings, other(t))
	defer p.close()
	var polling sync.WaitGroup
	polling.Go(func() {
		for range 2000 {
			p.feeds[1].PollWindow(p.now)
		}
	})
	if err := p.feeds[0].Drop("model"); err != nil {
		t.Error(err)
	}
	polling.Wait()
}

func TestWhatChangesNothingMakesNoOtherView(t *testing.T) {
	p := newParty(t, 1, embeddings)
	defer p.close()
	if err := p.feeds[0].Book(t.Context(), p.read(0)); err != nil {
		t.Fatal(err)
	}
	before := p.ledger.View()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.feeds[0].Book(ctx, p.read(0)); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if _, err := p.feeds[0].Refused(ledger.Window{}); err != nil {
		t.Fatal(err)
	}
	if p.ledger.View() != before {
		t.Error("nothing has changed, and there is another view")
	}
}
