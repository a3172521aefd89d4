// Package ledger turns time buckets that stay wrong for a while into counters that are right. It maps (organization,
// endpoint, bucket, label set) to what the API last reported for it; applying a bucket replaces what was recorded and
// books the difference, so retries, overlapping windows, replays and restatements are harmless. Everything is on disk
// before it is shown.
package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"

	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/decimal"
)

// Options open a ledger.
type Options struct {
	// Dir is the storage directory; it is made if it does not exist.
	Dir    string
	Logger log.Logger
	// Committed is told how long each commit took and whether it failed. It may be nil.
	Committed func(took time.Duration, err error)
}

// Settings concern all feeds. A reload may change them.
type Settings struct {
	// ZeroHold is how long a new series is shown as 0 before it takes its value.
	ZeroHold time.Duration
	// IdleRetention is how long a series may be idle before it is retired. It must exceed every window.
	IdleRetention time.Duration
	// MaxLabelSets is the limit per organization.
	MaxLabelSets int
}

// FeedOptions describe one endpoint of one organization.
type FeedOptions struct {
	Organization string
	Endpoint     *api.Endpoint
	GroupBy      []string // what is shown
	// ReadBy is what the API is asked to tell apart besides, for prices and books. It is no part of the shape.
	ReadBy []string
	// Filters says which rows the API is asked for, in a spelling that is the same whenever the filters are: "" for all.
	// Another spelling is another shape, which begins from a baseline. Windows carry it.
	Filters  string
	Width    api.Width
	Lookback time.Duration
	// AuditWindow is how far back closed hours are read again every AuditInterval; 0 for endpoints without audits.
	AuditInterval, AuditWindow time.Duration
	// Start says where counting starts when there is no state yet; explicit is false for "now". It may be nil.
	Start func(now time.Time) (origin time.Time, explicit bool)
	// StartText is how the configuration spells Start.
	StartText string
	// BillFrom is from when on the bill is to be known, beside the last weeks. It may be nil.
	BillFrom func(now time.Time) time.Time
	// Price says what a row is estimated to cost, in US dollars, and how much of it has no price, when it is booked.
	// Start is that of its bucket, since prices change with time. The labels are those that have a value of what the row is grouped by; values follow the endpoint's measures.
	// Without it nothing is estimated.
	Price func(start time.Time, groupBy []string, labels []Label, values []decimal.Fixed) (usd, unpriced decimal.Fixed)
}

// estimates says whether something is derived of the feed's rows.
func (o *FeedOptions) estimates() bool {
	return o.Price != nil && len(o.Endpoint.Derived) == derivations
}

// Ledger holds the feeds. One process at a time may hold it open.
type Ledger struct {
	logger    log.Logger
	store     *store
	committed func(time.Duration, error)

	view  atomic.Pointer[View]
	bytes atomic.Int64
	wake  chan struct{} // tells Run that the earliest release may have changed

	mu       sync.Mutex
	settings Settings
	loaded   map[string]*Feed   // by feedName, whether configured or not
	feeds    []*Feed            // configured, in order
	own      map[string][]*Feed // the same by organization, of which there may be thousands
	accused  map[string]bool    // organizations of which the log says that another one answers
}

// Open opens the state in a directory, or starts one. An error is a *StateError that says what to do.
func Open(o Options) (*Ledger, error) {
	s, err := openStore(o.Dir)
	if err != nil {
		return nil, err
	}
	l := &Ledger{
		logger:    o.Logger,
		store:     s,
		committed: o.Committed,
		wake:      make(chan struct{}, 1),
		loaded:    map[string]*Feed{},
		accused:   map[string]bool{},
	}
	if l.logger == nil {
		l.logger = log.NewNopLogger()
	}
	if l.committed == nil {
		l.committed = func(time.Duration, error) {}
	}
	l.view.Store(&View{})
	return l, nil
}

// Close releases the state. Nothing is left to write: every booking was committed before it was shown.
func (l *Ledger) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.store.close(); err != nil {
		return fmt.Errorf("close state: %w", err)
	}
	return nil
}

// View returns what is to be shown now.
func (l *Ledger) View() *View { return l.view.Load() }

// Bytes is the size of the state on disk.
func (l *Ledger) Bytes() int64 { return l.bytes.Load() }

// Configure says which feeds there are from now on, and returns them in the order of the options. Feeds that are no
// longer named are not shown any more; their state stays, so that they can return. Either all of it takes effect or,
// on an error, nothing.
func (l *Ledger) Configure(settings Settings, options []FeedOptions) ([]*Feed, error) {
	l.mu.Lock()
	defer l.mu.Unlock()

	feeds := make([]*Feed, len(options))
	stages := make([]*stage, 0, len(options))
	for i, o := range options {
		o.GroupBy = o.Endpoint.GroupBy(o.GroupBy)
		name := feedName(o.Organization, o.Endpoint.Name)
		f := l.loaded[name]
		if f == nil {
			var err error
			if f, err = l.loadFeed(name, o, settings); err != nil {
				return nil, err
			}
		}
		feeds[i] = f
		if st := f.reshape(o); st != nil {
			stages = append(stages, st)
		}
	}
	if err := l.commit(stages); err != nil {
		return nil, err
	}
	l.settings = settings
	l.feeds, l.own = feeds, map[string][]*Feed{}
	for i, f := range feeds {
		l.own[options[i].Organization] = append(l.own[options[i].Organization], f)
	}
	for i, f := range feeds {
		o := options[i]
		o.GroupBy = o.Endpoint.GroupBy(o.GroupBy)
		f.configure(o)
		l.loaded[f.name] = f
	}
	for _, st := range stages {
		st.install()
	}
	l.publish(feeds...)
	return slices.Clone(feeds), nil
}

// commit writes the changes of stages durably. Nothing of a stage may be shown before.
func (l *Ledger) commit(stages []*stage) error {
	if len(stages) == 0 {
		return nil
	}
	all := make([]*changes, len(stages))
	for i, st := range stages {
		all[i] = st.changes()
	}
	begin := time.Now()
	size, err := l.store.commit(l.whole, all...)
	l.committed(time.Since(begin), err)
	if err != nil {
		return err
	}
	l.bytes.Store(size)
	return nil
}

// publish makes the present state visible. Only feeds that changed are shown again.
func (l *Ledger) publish(changed ...*Feed) {
	for _, f := range changed {
		f.show()
	}
	v := &View{
		Generation: l.view.Load().Generation + 1,
		Feeds:      make([]*FeedView, 0, len(l.feeds)), Organizations: make([]OrganizationView, 0, len(l.own)),
	}
	at := make(map[string]int, len(l.own))
	for _, f := range l.feeds {
		v.Feeds = append(v.Feeds, f.shown)
		name := f.options.Organization
		if _, known := at[name]; !known {
			at[name] = len(v.Organizations)
			v.Organizations = append(v.Organizations, OrganizationView{Name: name, Limit: l.settings.MaxLabelSets})
		}
		o := &v.Organizations[at[name]]
		o.LabelSets += f.own
		o.Overflow += f.overflow()
	}
	l.view.Store(v)
}

// ownLabelSets is how many label sets of an organization have series of their own.
func (l *Ledger) ownLabelSets(organization string) int {
	n := 0
	for _, f := range l.own[organization] {
		n += f.own
	}
	return n
}

// Run releases new series from their hold at zero when it is over, until the context ends.
func (l *Ledger) Run(ctx context.Context) {
	// A release that could not be written is tried again after this long.
	const retry = time.Second
	for {
		wait, held := l.release(time.Now())
		timer := time.NewTimer(wait)
		if !held {
			timer.Stop()
		} else if wait <= 0 {
			timer.Reset(retry)
		}
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-l.wake:
			timer.Stop()
		case <-timer.C:
		}
	}
}

// release releases what is due and returns how long it is until the next release, if there is any.
func (l *Ledger) release(now time.Time) (wait time.Duration, held bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var stages []*stage
	var feeds []*Feed
	for _, f := range l.feeds {
		if st := f.releases(now); st != nil {
			stages = append(stages, st)
			feeds = append(feeds, f)
		}
	}
	if len(stages) > 0 {
		if err := l.commit(stages); err != nil {
			level.Error(l.logger).Log("msg", "New series stay at zero", "err", err)
			return 0, true
		}
		for _, st := range stages {
			st.install()
		}
		l.publish(feeds...)
	}
	var next time.Time
	for _, f := range l.feeds {
		for _, until := range f.held {
			if next.IsZero() || until.Before(next) {
				next = until
			}
		}
	}
	if next.IsZero() {
		return 0, false
	}
	return next.Sub(now), true
}

func (l *Ledger) wakeUp() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// ErrReshaped refuses a read that was begun before the grouping or the filters changed, even if they have changed back
// since.
var ErrReshaped = errors.New("the grouping or the filters changed while the API was being read")
