package ledger

import (
	"time"

	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/decimal"
)

// A View is what the ledger shows at one moment. It is immutable: taking one waits for nothing, and a view never shows
// half a poll.
type View struct {
	// Generation grows with every change of what is shown, so that a reader can keep what it made of a view.
	Generation    uint64
	Organizations []OrganizationView
	Feeds         []*FeedView
}

// An OrganizationView is what an organization's feeds share.
type OrganizationView struct {
	Name string
	// LabelSets is how many label sets have series of their own, Limit how many may, and Overflow how many are folded
	// into "other" at present.
	LabelSets, Limit, Overflow int
}

// A FeedView shows one endpoint of one organization.
type FeedView struct {
	Organization string
	Endpoint     *api.Endpoint
	GroupBy      []string // as read now, without what the API refused
	Filters      string   // as FeedOptions.Filters spells them
	Dropped      []string // what the API refused
	BegunAt      time.Time
	CountsFrom   time.Time // the counters count what happened from here on; zero before the first read
	ReadThrough  time.Time // end of the newest closed bucket read; zero before the first read
	ReadAt       time.Time // when the API answered the newest poll that was booked; zero before the first
	Audited      time.Time // end of the newest hour audited; zero before the first audit
	Series       []*Series
	// Derived are the counters of the derived measures; the Measures of a series are indexes of Endpoint.Derived.
	Derived []*Series
	// Books are the days that the books of money have, oldest first. Unlike the counters they have all of a day, whenever
	// counting began.
	Books []*DayBook
	// Estimates says whether usage is priced.
	Estimates bool
	// LastBucket is the newest closed bucket of the endpoint's width, in the order of Series' labels; empty for stocks and costs.
	LastBucket []Row
	// Stock holds, per label set, the newest bucket that has it. Only stock endpoints fill it.
	Stock []Row
	// Days are the days of the bill still held, oldest first: at least the running month. Only costs fill it.
	Days []Day
	// ByMeasure follows Endpoint.Measures.
	ByMeasure []MeasureView
	// HoursGivenUp is how many old hours the API refuses or no longer has, counted from the start of the process.
	HoursGivenUp int
	// DerivedWithheld follows Endpoint.Derived: see MeasureView.Withheld.
	DerivedWithheld []decimal.Fixed
}

// A MeasureView holds the amounts that concern a measure over all series of a feed.
type MeasureView struct {
	// Withheld is how much the exposed counters are ahead of the API after restatements downwards.
	Withheld decimal.Fixed
	// The others count from the start of the process.
	RestatedUp, RestatedDown decimal.Fixed
	AuditUp, AuditDown       decimal.Fixed
}

// A Series is one label set and its counters.
type Series struct {
	Labels []Label // only those that have a value, in the order of the endpoint's dimensions
	// Measures are indexes of the endpoint's measures, Values what each counter shows: never less than before.
	Measures []int
	Values   []decimal.Fixed
	// Absent are the places in Measures of what has never been more than zero and is rare enough not to be shown until
	// it is. It stays from then on.
	Absent Set
	// Born is when the series began to count from zero.
	Born time.Time
}

// A Row is a label set with values that are no counters.
type Row struct {
	Labels   []Label
	Measures []int
	Values   []decimal.Fixed
}

// A Day is one UTC day of the bill.
type Day struct {
	Start time.Time
	Rows  []Row // of the series that have its amounts

	bucket []byte // of which the rows are
}

// A Set is a set of small numbers.
type Set uint64

// Has says whether n is in the set.
func (s Set) Has(n int) bool { return s>>n&1 == 1 }

// With returns the set with n.
func (s Set) With(n int) Set { return s | 1<<n }

// A Label is a Prometheus label.
type Label struct{ Name, Value string }

// Other is the value of every dimension of the series that label sets past the limit are folded into.
const Other = "other"
