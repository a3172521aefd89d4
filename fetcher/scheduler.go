package fetcher

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/go-kit/log"

	"github.com/openai-exporter/openai_exporter/internal/api"
)

// An Organization is what to poll with one key.
type Organization struct {
	Name      string
	Client    *Client
	Endpoints []PolledEndpoint
	Lookups   Lookups
	// BillFirst holds the usage endpoints' first poll until costs have been polled once, with or without success, but
	// not for long. Usage is priced when it is read, and the bill says what the organization really pays.
	BillFirst bool
}

// billPatience is how long usage waits for the bill.
const billPatience = 30 * time.Second

// A PolledEndpoint is an endpoint, how often it is polled, and where its reads go.
type PolledEndpoint struct {
	Endpoint *api.Endpoint
	Interval time.Duration
	// Feed must be a pointer: it is how an endpoint that has not changed is known.
	Feed Feed
}

// SchedulerOptions are what a scheduler needs.
type SchedulerOptions struct {
	Logger   log.Logger
	Observer Observer
}

// A Scheduler polls every endpoint of every organization, and makes every look-up, in a goroutine of its own, so that
// none waits for another.
type Scheduler struct {
	o SchedulerOptions

	// applying is held while pollers are stopped and started, mu only while the list is looked at.
	applying sync.Mutex
	pasts    map[endpointOf]past // belongs to who is applying
	mu       sync.Mutex
	running  []*running
	closed   bool
}

// A running organization.
type running struct {
	organization Organization
	pollers      []*poller
	lookups      []*lookup
	opening      *opening
	cancel       context.CancelFunc
	done         sync.WaitGroup
}

// NewScheduler returns a scheduler that polls nothing yet.
func NewScheduler(o SchedulerOptions) *Scheduler {
	if o.Logger == nil {
		o.Logger = log.NewNopLogger()
	}
	return &Scheduler{o: o, pasts: make(map[endpointOf]past)}
}

// Apply makes these the organizations that are polled. One that is polled already with the same client and the same
// endpoints goes on undisturbed; others are stopped, after what they are booking, and their clients' idle connections
// closed. Every endpoint that is new is polled at once, unless it is to be left alone: a reload ends neither what
// Retry-After asked for nor, with the same key, base_url and http settings, the slow probing of a permanent error.
func (s *Scheduler) Apply(organizations []Organization) {
	s.applying.Lock()
	defer s.applying.Unlock()

	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	before := s.running
	s.mu.Unlock()

	next := make([]*running, len(organizations))
	var stopped []*running
	for _, r := range before {
		i := slices.IndexFunc(organizations, r.organization.equal)
		if i >= 0 && next[i] == nil {
			next[i] = r
			continue
		}
		stopped = append(stopped, r)
	}
	stop(stopped, organizations)
	for _, r := range stopped {
		s.keep(r)
	}
	s.forget(organizations)

	var started []*running
	for i, o := range organizations {
		if next[i] == nil {
			next[i] = s.prepare(o)
			started = append(started, next[i])
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running = next
	for _, r := range started {
		r.run()
	}
}

func (o Organization) equal(other Organization) bool {
	return o.Name == other.Name && o.Client == other.Client && o.Lookups == other.Lookups && slices.Equal(o.Endpoints, other.Endpoints)
}

// prepare makes an organization; run sets it going.
func (s *Scheduler) prepare(o Organization) *running {
	r := &running{organization: Organization{Name: o.Name, Client: o.Client, Endpoints: slices.Clone(o.Endpoints), Lookups: o.Lookups}}
	billed := make(chan struct{})
	r.opening = newOpening()
	hasBill := slices.ContainsFunc(o.Endpoints, func(e PolledEndpoint) bool { return e.Endpoint.IsCosts() })
	for _, e := range o.Endpoints {
		p := newPoller(o.Name, o.Client, e, s.o)
		switch {
		case !o.BillFirst || !hasBill:
		case e.Endpoint.IsCosts():
			p.polledOnce = sync.OnceFunc(func() { close(billed) })
		default:
			p.after = billed
		}
		s.resume(&p.routine)
		p.opening = r.opening
		if !p.held { // One that is to be left alone keeps nobody waiting.
			p.opened = r.opening.expect()
		}
		r.pollers = append(r.pollers, p)
	}
	r.lookups = newLookups(o, s.o)
	for _, l := range r.lookups {
		l.opening = r.opening
		s.resume(&l.routine)
	}
	return r
}

func (r *running) run() {
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	r.opening.begin()
	for _, p := range r.pollers {
		r.done.Go(func() { p.run(ctx) })
	}
	for _, l := range r.lookups {
		r.done.Go(func() { l.run(ctx) })
	}
}

// stop stops all of them at once and waits. Clients that are still in use keep their connections.
func stop(all []*running, inUse []Organization) {
	for _, r := range all {
		r.cancel()
	}
	for _, r := range all {
		r.done.Wait()
		if !slices.ContainsFunc(inUse, func(o Organization) bool { return o.Client == r.organization.Client }) {
			r.organization.Client.Close()
		}
	}
}

// Status says where every endpoint stands, in the order in which organizations and endpoints were given, an
// organization's look-ups last.
func (s *Scheduler) Status() []Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Status
	for _, r := range s.running {
		for _, p := range r.pollers {
			out = append(out, p.stand())
		}
		for _, l := range r.lookups {
			out = append(out, l.stand())
		}
	}
	return out
}

// Close stops polling and waits until everything has ended: requests under way are given up, a booking under way is
// finished. Afterwards Status still tells how things stood, and Apply does nothing.
func (s *Scheduler) Close() {
	s.applying.Lock()
	defer s.applying.Unlock()
	s.mu.Lock()
	closed, all := s.closed, s.running
	s.closed = true
	s.mu.Unlock()
	if !closed {
		stop(all, nil)
	}
}
