package fetcher

import (
	"context"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/directory"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
)

// A Feed is where the reads of one endpoint of one organization go. The ledger implements it. The scheduler calls it
// from one goroutine.
type Feed interface {
	// GroupBy is the grouping to ask for: the configured one without what the API has refused.
	GroupBy() []string
	// Drop remembers, over restarts too, that the API refuses a dimension. Windows must be asked for again afterwards.
	Drop(dimension string) error
	// PollWindow is what a poll at this time has to read.
	PollWindow(now time.Time) ledger.Window
	// AuditWindow is the next stretch of closed hours that is due to be read again, or to be caught up with after a
	// downtime. It is at most one page long; there may be another one after it is booked.
	AuditWindow(now time.Time) (ledger.Window, bool)
	// Refused is told that the API refuses an audit's window, or no longer has it. It says whether the window's hours
	// are given up, so that the next AuditWindow is another one.
	Refused(w ledger.Window) (gaveUp bool, err error)
	// Book takes over what was read, durably, or changes nothing and returns why.
	Book(ctx context.Context, r *ledger.Read) error
	// ReadAt is when the API answered the newest poll that was booked, over restarts too; zero before the first.
	ReadAt() time.Time
}

// A Directory is where the look-ups of one organization go. What it is given replaces what was given before.
type Directory interface {
	// Projects are the projects known so far, archived ones included; listed is false before the first list.
	Projects() (projects []directory.Project, listed bool)
	SetProjects(projects []directory.Project)
	SetUsers(users []directory.User)
	// SetKeys takes the keys of one project, or those of the organization itself under "".
	SetKeys(projectID string, keys []directory.Key)
	// SetSpendLimit takes the monthly limit of one project, or the organization's own under "".
	SetSpendLimit(limit directory.SpendLimit)
	// DropSpendLimit forgets that limit where none is set.
	DropSpendLimit(projectID string)
	// SetRateLimits takes the limits of one project.
	SetRateLimits(projectID string, limits []directory.RateLimit)
	// SetKeyCosts takes what each key has cost on the UTC day that begins then.
	SetKeyCosts(day time.Time, costs []directory.KeyCost)
	// Save keeps over restarts what was set since it was last called.
	Save() error
}

// An Observer is told what happens, as it happens. The collector implements it.
type Observer interface {
	// Request is called after every HTTP request; code is the status, or "timeout", "network" or "body".
	Request(organization, endpoint, code string, took time.Duration)
	// Poll is called after every poll: err is nil when all of it was read and booked.
	Poll(organization, endpoint string, took time.Duration, err error)
	// Audit is called after every audit window: err is nil when it was read and booked.
	Audit(organization, endpoint string, err error)
}

// State is where an endpoint stands.
type State string

// The states of an endpoint.
const (
	StateStarting    State = "starting"    // not polled yet
	StateOK          State = "ok"          // the last poll succeeded
	StateFailing     State = "failing"     // the last poll failed; it is tried again
	StateUnavailable State = "unavailable" // the API has only ever answered 404: this organization does not have it
)

// A Status says where one endpoint of one organization stands.
type Status struct {
	Organization string    `json:"organization"`
	Endpoint     string    `json:"endpoint"`
	State        State     `json:"state"`
	LastPoll     time.Time `json:"last_poll,omitzero"`
	LastSuccess  time.Time `json:"last_success,omitzero"`
	NextPoll     time.Time `json:"next_poll,omitzero"`
	// Error says in one line what went wrong with the last poll and what to do; empty when it succeeded.
	Error string `json:"error,omitempty"`
	// Failures is how many polls have failed in a row.
	Failures int `json:"failures,omitempty"`
	// Optional marks a look-up: nothing waits for it, and usage and costs go on without it.
	Optional bool `json:"optional,omitempty"`
}
