package ledger

// meta is what a feed knows besides its series and buckets. Times are Unix seconds of the API's clock.
type meta struct {
	Configured    []string   `json:"configured"` // group_by of the configuration when Dropped was learned
	Dropped       []string   `json:"dropped,omitempty"`
	Layouts       [][]string `json:"layouts"` // every list of measures that was ever written
	CountersStart string     `json:"start"`   // counters.start when the ledger started

	NextID uint32 `json:"next_id"`

	marks
	owner
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
