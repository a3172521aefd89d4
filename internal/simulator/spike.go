package simulator

import (
	"errors"
	"fmt"
	"math"
	"net/url"
	"slices"
	"strconv"
	"time"
)

// A Spike multiplies the requests of a project, and so its tokens and its bill, in [From,To). Whole minutes spike: both
// ends are floored to one. Stocks and the label sets of load tests do not take part.
type Spike struct {
	Project  string // the project's id
	Factor   float64
	From, To time.Time
}

// maxSpike keeps a day's bill within the integers that it is made of.
const maxSpike = 1000

// SetSpikes changes what spikes there are, for past minutes too: what is added to them is usage that arrives late.
func (s *Simulator) SetSpikes(spikes ...Spike) {
	s.changePast(func(o *Options) { o.Spikes = slices.Clone(spikes) })
}

// A surge is a spike in the simulator's own units.
type surge struct {
	project  string
	milli    int64
	from, to int64 // minutes since 1970
}

func surges(spikes []Spike) []surge {
	out := make([]surge, len(spikes))
	for i, x := range spikes {
		out[i] = surge{project: x.Project, milli: int64(x.Factor*1000 + 0.5), from: x.From.Unix() / 60, to: x.To.Unix() / 60}
	}
	return out
}

// scaleOf is how much a stream's traffic is multiplied in a minute, in thousandths.
func (r *reading) scaleOf(st *stream, minute int64) int64 {
	scale := r.scale
	for _, x := range r.surges {
		if minute >= x.from && minute < x.to && st.project == x.project {
			scale = scale * x.milli / 1000
		}
	}
	return scale
}

// controlSpike adds a spike to those there are. Without a factor it ends all of them.
func (s *Simulator) controlSpike(q url.Values) error {
	if q.Get("factor") == "" {
		s.SetSpikes()
		return nil
	}
	x := Spike{Project: q.Get("project")}
	if !slices.ContainsFunc(s.org.projects, func(p Project) bool { return p.ID == x.Project }) {
		return fmt.Errorf("unknown project %q", x.Project)
	}
	var err error
	if x.Factor, err = strconv.ParseFloat(q.Get("factor"), 64); err != nil {
		return fmt.Errorf("parse factor: %w", err)
	}
	if math.IsNaN(x.Factor) || x.Factor < 0 || x.Factor > maxSpike {
		return fmt.Errorf("factor is %v, want 0 to %d", x.Factor, maxSpike)
	}
	now := s.Now()
	// The running minute is already half seen: a spike begins with the next one, unless it is told otherwise.
	if x.From, err = s.controlTime(q, "from", now.Truncate(time.Minute).Add(time.Minute)); err != nil {
		return err
	}
	if x.To, err = s.controlTime(q, "to", x.From.Add(time.Hour)); err != nil {
		return err
	}
	if !x.To.After(x.From) {
		return errors.New("the spike ends before it begins")
	}
	s.changePast(func(o *Options) { o.Spikes = append(slices.Clone(o.Spikes), x) })
	return nil
}
