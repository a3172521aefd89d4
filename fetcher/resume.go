package fetcher

import (
	"maps"
	"reflect"
	"time"
)

// A pace is what has to outlive a reload of the configuration: how long an endpoint is to be left alone, and how it
// stands.
type pace struct {
	until     time.Time // when the next poll is due
	asked     time.Time // until when the API itself has asked to be left alone
	succeeded bool      // ever
	last      time.Time // the tick that was used last
	streak    int       // failures in a row of the same permanence
	permanent bool      // what the streak is of
	awaiting  *badKey   // the trouble that another key may end, if any
}

// A badKey is one of the client's keys that the API refuses, or one of another organization, which has no class: the ledger
// refuses its answers.
type badKey struct {
	class      Class
	keyVersion int
}

// An endpointOf is an endpoint or a look-up of an organization, by their names.
type endpointOf struct{ organization, name string }

// A past is how an endpoint stood when its polling was stopped.
type past struct {
	pace
	status Status
	client *Client
}

// keep remembers how a stopped organization's endpoints stood.
func (s *Scheduler) keep(r *running) {
	routines := make([]*routine, 0, len(r.pollers)+len(r.lookups))
	for _, p := range r.pollers {
		routines = append(routines, &p.routine)
	}
	for _, l := range r.lookups {
		routines = append(routines, &l.routine)
	}
	for _, former := range routines {
		s.pasts[endpointOf{former.organization, former.name}] = past{former.pace, former.stand(), former.client}
	}
}

// forget lets go of what nobody asks for any more, once it need not be left alone any longer.
func (s *Scheduler) forget(organizations []Organization) {
	polled := make(map[string]bool, len(organizations))
	for _, o := range organizations {
		polled[o.Name] = true
	}
	now := time.Now()
	maps.DeleteFunc(s.pasts, func(key endpointOf, p past) bool { return !polled[key.organization] && !p.until.After(now) })
}

// resume goes on at the pace of before. What the API asked for holds as long as it is the same API, and slow probing ends
// only with another way in: another key, base_url or http settings. Other trouble is no reason to wait after a reload.
func (s *Scheduler) resume(r *routine) {
	p, ok := s.pasts[endpointOf{r.organization, r.name}]
	if !ok {
		return
	}
	same := p.client == r.client || p.client.o.BaseURL == r.client.o.BaseURL
	if !same {
		return
	}
	r.succeeded = r.succeeded || p.succeeded
	version, sameAccess := r.client.sameAccess(p.client)
	slow := p.permanent && p.streak > 0 && sameAccess
	now := time.Now()
	if !p.until.After(now) || !p.asked.After(now) && !slow {
		return
	}
	r.pace, r.held = p.pace, true
	if p.awaiting != nil {
		awaiting := *p.awaiting
		if p.client != r.client {
			awaiting.keyVersion = version
		}
		r.awaiting = &awaiting
	}
	optional := r.status.Optional
	r.status = p.status
	r.status.Optional = optional
	// Where the next poll is late for another reason than what the API asked for, only the latter is waited for.
	if !slow && r.until.Sub(r.asked) > r.interval {
		r.until = r.asked
		r.status.NextPoll = r.asked.UTC()
	}
}

// begin is when to poll for the first time: at once, unless the endpoint is to be left alone.
func (r *routine) begin(atOnce time.Time) time.Time {
	if r.held && r.until.After(atOnce) {
		return r.until
	}
	return atOnce
}

// sameAccess says whether a client asks with the key, at the place and by the way of another one, and which of its keys
// that is.
func (c *Client) sameAccess(before *Client) (version int, same bool) {
	if c == before {
		return 0, true
	}
	if c.o.BaseURL != before.o.BaseURL || !reflect.DeepEqual(c.o.HTTP, before.o.HTTP) {
		return 0, false
	}
	text, version, err := c.keys.get()
	before.keys.mu.Lock()
	defer before.keys.mu.Unlock()
	return version, before.keys.read && before.keys.text == text && before.keys.failed == (err != nil)
}
