package ledger

// meta is what a feed knows besides its series and buckets. Times are Unix seconds of the API's clock.
type meta struct {
	Configured []string   `json:"configured"` // group_by of the configuration when Dropped was learned
	Dropped    []string   `json:"dropped,omitempty"`
	Layouts    [][]string `json:"layouts"` // every list of measures that was ever written
	Start      string     `json:"start"`   // counters.start when the ledger started

	// Started is false until the first read is booked. Afresh: the shape changed, so that read is a baseline whatever
	// counters.start says.
	Started bool `json:"started"`
	Afresh  bool `json:"afresh,omitempty"`
	// StartedAt is when the first read was booked.
	StartedAt int64 `json:"started_at,omitempty"`
	// CountsFrom is where the counters' zero lies: the start that was asked for, or StartedAt where that was now.
	CountsFrom int64 `json:"counts_from,omitempty"`
	// Origin divides the buckets that are met for the first time: from it on they count in full, before it what the
	// API says at that moment is their baseline.
	Origin int64 `json:"origin"`
	// Fixed: counting starts at a given time. What lies before the origin never counts then, whenever it comes, so that
	// everybody who starts at the same time counts the same. A state of an older version does not say so and goes on as
	// it began.
	Fixed bool `json:"fixed,omitempty"`
	// Settled is the time up to which polls have read every bucket at least a lookback after its end.
	Settled int64 `json:"settled"`
	// Final is the time up to which every window has left the buckets behind. A bucket before it that is met again,
	// because a window grew, is a baseline: it was folded into the totals.
	Final int64 `json:"final"`
	// ReadAt is when the newest read was made.
	ReadAt int64 `json:"read_at,omitempty"`
	// ReadThrough and Audited are the ends of the newest closed bucket read and the newest hour audited.
	ReadThrough int64  `json:"read_through"`
	Audited     int64  `json:"audited,omitempty"`
	NextID      uint32 `json:"next_id"`
}

// A record is what is on disk of what a feed knows, with the shape of the series and buckets that are beside it.
type record struct {
	meta
	GroupBy []string `json:"group_by"`
	// Filters is absent in the states of older versions, which had none.
	Filters string `json:"filters,omitempty"`
}

// bucketKey identifies a bucket: its start and width in seconds.
type bucketKey struct{ start, width int64 }

func feedName(organization, endpoint string) string { return organization + "\x00" + endpoint }
