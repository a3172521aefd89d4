// Package ledger turns time buckets that stay wrong for a while into counters that are right. It maps (organization,
// endpoint, bucket, label set) to what the API last reported for it; applying a bucket replaces what was recorded and
// books the difference, so retries, overlapping windows, replays and restatements are harmless. Everything is on disk
// before it is shown.
package ledger

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-kit/log"

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
	// Pace is the least time between the beginnings of two commits that book, or release what was held at zero. What comes
	// sooner shares the next one.
	Pace time.Duration
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
	// CountersStart says where counting starts when there is no state yet; explicit is false for "now". It may be nil.
	CountersStart func(now time.Time) (origin time.Time, explicit bool)
	// CountersStartText is how the configuration spells it.
	CountersStartText string
	// BillFrom is from when on the bill is to be known, beside the last weeks. It may be nil.
	BillFrom func(now time.Time) time.Time
	// Price returns the rate of rows that are grouped by groupBy, when they are booked. The labels are those that have a value of
	// what the rows are grouped by. Without it nothing is estimated.
	Price func(groupBy []string, labels []Label) Rate
}

// A Rate says what a row is estimated to cost, in US dollars, and how much of it has no price. Start is that of its bucket,
// since prices change with time; values follow the endpoint's measures. Of a stock they are what its level is for as long as
// the bucket lasts, in its unit times hours.
type Rate func(start time.Time, values []decimal.Fixed) (usd, unpriced decimal.Fixed)

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
	queue queue

	// writing is taken by anyone who makes stages, commits and installs them, from the first to the last. It is a channel
	// because a commit may wait for the disk, or for others to share it.
	writing chan struct{}
	// mu guards what follows, and the feeds, for those who only read. Who has taken writing may read without it. It is not
	// held while a commit goes to the disk.
	mu       sync.Mutex
	settings Settings
	feeds    []*Feed                  // configured, in order
	own      map[string]*organization // of which there may be thousands
	holding  map[*Feed]time.Time      // when those that hold series at zero release the first of them
	accused  map[string]bool          // organizations whose verdict is logged
	proven   map[string]uint64        // by organization: the key of the newest answer that is certainly its own
	cleared  map[string]bool          // by name of a feed that is switched off and has a verdict: whether it is withdrawn

	staged    []*Feed  // those that have a stage
	acquitted []string // organizations whose verdicts the stages withdraw
}

// An organization has its feeds and its place in the view.
type organization struct {
	feeds []*Feed
	place int
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
		queue:     queue{pace: o.Pace},
		writing:   make(chan struct{}, 1),
		own:       map[string]*organization{},
		holding:   map[*Feed]time.Time{},
		accused:   map[string]bool{},
		proven:    map[string]uint64{},
		cleared:   map[string]bool{},
	}
	if l.logger == nil {
		l.logger = log.NewNopLogger()
	}
	if l.committed == nil {
		l.committed = func(time.Duration, error) {}
	}
	l.view.Store(&View{})
	l.bytes.Store(s.opened)
	return l, nil
}

// Close releases the state. Nothing is left to write: every booking was committed before it was shown.
func (l *Ledger) Close() error {
	defer l.write()()
	if err := l.store.close(); err != nil {
		return fmt.Errorf("close state: %w", err)
	}
	return nil
}

// View returns what is to be shown now.
func (l *Ledger) View() *View { return l.view.Load() }

// Bytes is the size of the state on disk.
func (l *Ledger) Bytes() int64 { return l.bytes.Load() }

// ErrGone refuses what is for a feed that is not configured any more. Another one of its name may be.
var ErrGone = errors.New("the endpoint is no longer configured")

// ErrReshaped refuses a read that was begun before the grouping or the filters changed, even if they have changed back
// since.
var ErrReshaped = errors.New("the grouping or the filters changed while the API was being read")
