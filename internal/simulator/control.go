package simulator

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/api"
)

// Control lets another process turn the knobs and ask for the truth, under /_simulator/. Times are RFC 3339, Unix
// seconds, or "now".
//
//	GET  now                                                the API's clock
//	GET  truth?endpoint=&group_by=&from=&to=&asof=          Truth; asof is now by default, or "final"
//	GET  requests                                           Counts
//	GET  gateway?project_id=                                what a gateway has seen, as metrics (Gateway)
//	POST leak?key=                                          has a key be used past the gateway, and no other
//	POST advance?by=1h                                      moves the clock
//	POST faults?profile=                                    takes over the faults of a profile; "none" ends them
//	POST conditions?profile=                                takes over all of a profile
//	POST spike?project=&factor=&from=&to=                   multiplies a project's traffic, for an hour from the next
//	                                                        minute on by default; without a factor, ends all spikes
//	POST enforce?project=                                   enforces the spend limit of a project, of the organization
//	                                                        for an empty one; without a project, of nobody
//	POST end?at=                                            stops the traffic; an empty time lets it run on
func (s *Simulator) Control(clock *Clock) http.Handler {
	mux := http.NewServeMux()
	answer := func(pattern string, f func(q url.Values) (any, error)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			x, err := f(r.URL.Query())
			w.Header().Set("Content-Type", "application/json")
			if err != nil {
				w.WriteHeader(http.StatusBadRequest)
				x = map[string]string{"error": err.Error()}
			}
			_ = json.NewEncoder(w).Encode(x) // A client that has gone is no concern here.
		})
	}
	// What steers is answered with the time.
	now := func(steer func(q url.Values) error) func(q url.Values) (any, error) {
		return func(q url.Values) (any, error) {
			if err := steer(q); err != nil {
				return nil, err
			}
			return map[string]string{"now": s.Now().UTC().Format(time.RFC3339Nano)}, nil
		}
	}
	answer("GET /_simulator/now", now(func(url.Values) error { return nil }))
	answer("GET /_simulator/truth", s.controlTruth)
	answer("GET /_simulator/requests", func(url.Values) (any, error) { return s.Counts(), nil })
	answer("POST /_simulator/advance", now(clock.controlAdvance))
	answer("POST /_simulator/faults", now(s.controlFaults))
	answer("POST /_simulator/conditions", now(s.controlConditions))
	answer("POST /_simulator/spike", now(s.controlSpike))
	answer("POST /_simulator/enforce", now(func(q url.Values) error {
		s.SetEnforcing(q["project"]...)
		return nil
	}))
	answer("POST /_simulator/end", now(s.controlEnd))
	answer("POST /_simulator/leak", now(func(q url.Values) error {
		s.SetLeaked(q.Get("key"))
		return nil
	}))
	mux.Handle("GET /_simulator/gateway", s.Gateway())
	return mux
}

func (c *Clock) controlAdvance(q url.Values) error {
	d, err := time.ParseDuration(q.Get("by"))
	if err != nil {
		return fmt.Errorf("parse by: %w", err)
	}
	c.Advance(d)
	return nil
}

func (s *Simulator) controlFaults(q url.Values) error {
	c, err := conditionsOf(q)
	if err == nil {
		s.SetFaults(c.Faults)
	}
	return err
}

func (s *Simulator) controlConditions(q url.Values) error {
	c, err := conditionsOf(q)
	if err == nil {
		s.SetLateness(c.Lateness)
		s.SetRestatement(c.Restate)
		s.SetFaults(c.Faults)
	}
	return err
}

func (s *Simulator) controlEnd(q url.Values) error {
	at, err := s.controlTime(q, "at", time.Time{})
	if err == nil {
		s.SetEnd(at)
	}
	return err
}

func conditionsOf(q url.Values) (Conditions, error) {
	if q.Get("profile") == "none" {
		return Conditions{}, nil
	}
	return Profile(q.Get("profile"))
}

func (s *Simulator) controlTime(q url.Values, name string, unset time.Time) (time.Time, error) {
	v := q.Get(name)
	switch v {
	case "":
		return unset, nil
	case "now":
		return s.Now(), nil
	}
	if n, err := strconv.ParseInt(v, 10, 64); err == nil {
		return time.Unix(n, 0).UTC(), nil
	}
	t, err := time.Parse(time.RFC3339, v)
	if err != nil {
		return time.Time{}, fmt.Errorf("parse %s: %w", name, err)
	}
	return t, nil
}

// controlTruth answers with decimal strings, since a JSON number would be read as a float.
func (s *Simulator) controlTruth(q url.Values) (any, error) {
	e, ok := api.Find(q.Get("endpoint"))
	if !ok {
		return nil, fmt.Errorf("unknown endpoint %q", q.Get("endpoint"))
	}
	groupBy := array(q, "group_by")
	for _, g := range groupBy {
		if !e.Supports(g) {
			return nil, fmt.Errorf("%s can't be grouped by %q", e.Name, g)
		}
	}
	now := s.Now()
	from, err := s.controlTime(q, "from", time.Time{})
	if err != nil {
		return nil, err
	}
	if from.IsZero() {
		return nil, fmt.Errorf("from is missing")
	}
	to, err := s.controlTime(q, "to", now)
	if err != nil {
		return nil, err
	}
	var rows []Row
	asOf := "final"
	if q.Get("asof") == asOf {
		rows = s.Final(e.Name, groupBy, from, to)
	} else {
		at, err := s.controlTime(q, "asof", now)
		if err != nil {
			return nil, err
		}
		rows, asOf = s.Truth(e.Name, groupBy, from, to, at), at.UTC().Format(time.RFC3339Nano)
	}
	type printed struct {
		Labels map[string]string `json:"labels"`
		Values map[string]string `json:"values"`
	}
	out := make([]printed, 0, len(rows))
	for _, r := range rows {
		p := printed{r.Labels, make(map[string]string, len(r.Values))}
		for m, v := range r.Values {
			p.Values[m] = v.String()
		}
		out = append(out, p)
	}
	return map[string]any{"endpoint": e.Name, "as_of": asOf, "rows": out}, nil
}
