package simulator

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Lateness says how the usage of a minute becomes visible. The zero value is an API without delay: a running minute
// shows what has happened in it so far.
type Lateness struct {
	// Immediate is the share of a minute that is visible as it happens, on average; each minute of a label set has
	// its own share around it. It counts only when Within or Tail is set.
	Immediate float64
	// Lumps is in how many steps the rest arrives, at least 1.
	Lumps int
	// Within is how long after a minute's end all of it is visible, but for a tail.
	Within time.Duration
	// TailShare is the share of minutes of a label set whose last part arrives later than that.
	TailShare float64
	// Tail is how long after a minute's end the latest tail arrives.
	Tail time.Duration
	// Costs is how long after its end the usage of an hour reaches the bill at the latest. At zero the bill follows
	// usage at once.
	Costs time.Duration
}

func (l Lateness) instant() bool { return l.Within <= 0 && l.Tail <= 0 }

// settled is how long after its end a minute stops growing.
func (l Lateness) settled() time.Duration { return max(l.Within, l.Tail, 0) }

// Restatement says which minutes of a label set the API corrects hours later. The value after the correction is the
// final one.
type Restatement struct {
	// Up and Down are the shares of minutes of a label set that are corrected upwards and downwards. Some of those
	// corrected downwards are corrected to nothing: the row vanishes.
	Up, Down float64
	// By is how far the value is off before the correction, as a share of the final one; 0 means 0.3.
	By float64
	// After and Until bound the moment of the correction, counted from the minute's end.
	After, Until time.Duration
	// Costs is the share of the bill's rows of a day that are corrected, half of them upwards, and CostsUntil how
	// long after the day's end at the latest; 0 means 72 hours.
	Costs      float64
	CostsUntil time.Duration
}

func (r Restatement) by() int64 {
	if r.By <= 0 {
		return 307 // 0.3 in 1024ths
	}
	return per1024(r.By)
}

func (r Restatement) settled() time.Duration {
	if r.Up <= 0 && r.Down <= 0 {
		return 0
	}
	return max(r.After, r.Until, 0)
}

func (r Restatement) costsUntil() time.Duration {
	switch {
	case r.Costs <= 0:
		return 0
	case r.CostsUntil <= 0:
		return 72 * time.Hour
	}
	return r.CostsUntil
}

// Faults are shares of requests, between 0 and 1, that go wrong. At most one of them befalls a request.
type Faults struct {
	Throttle    float64 // 429, every second one with Retry-After
	ServerError float64 // 500 with the API's JSON
	Gateway     float64 // 502 or 520 with an HTML page
	Empty       float64 // 200 or 503 without a body
	Torn        float64 // 200 with a body that breaks off
	Reset       float64 // no answer: the connection is reset
	Slow        float64 // the answer waits for Delay first

	// RetryAfter is what a 429 asks for, in whole seconds; 0 means 1 s.
	RetryAfter time.Duration
	// Delay is how long a slow answer waits; 0 means 30 s. A client that goes away ends the wait.
	Delay time.Duration
	// Latency is how long every answer waits.
	Latency time.Duration
	// Endpoints limits the faults to some endpoints, by the names of the endpoint table or of the look-ups; empty
	// means all.
	Endpoints []string
}

// Conditions are how the API misbehaves.
type Conditions struct {
	Lateness Lateness
	Restate  Restatement
	Faults   Faults
}

// profiles are the conditions that have a name.
//
//	instant       nothing is late, nothing fails
//	late-minutes  a minute fills up within 15 minutes, in 4 lumps; the bill lags 2 hours
//	late-hours    as late-minutes, and a quarter of the minutes have a tail of up to 8 hours; the bill lags 6 hours
//	restated      as late-minutes, and 10 % of minutes are corrected, half of them down, after 30 minutes to 20 hours;
//	              a tenth of the bill's rows is corrected within 3 days
//	throttled     20 % of requests are answered with 429
//	faulty        30 % of requests go wrong in every way there is
var profiles = []struct {
	name string
	Conditions
}{
	{"instant", Conditions{}},
	{"late-minutes", Conditions{Lateness: lateMinutes}},
	{"late-hours", Conditions{Lateness: lateHours}},
	{"restated", Conditions{Lateness: lateMinutes, Restate: restated}},
	{"throttled", Conditions{Faults: Faults{Throttle: 0.20}}},
	{"faulty", Conditions{Faults: mixedFaults}},
}

var (
	lateMinutes = Lateness{Immediate: 0.4, Lumps: 4, Within: 15 * time.Minute, Costs: 2 * time.Hour}
	lateHours   = Lateness{Immediate: 0.4, Lumps: 4, Within: 15 * time.Minute, TailShare: 0.25, Tail: 8 * time.Hour, Costs: 6 * time.Hour}
	restated    = Restatement{Up: 0.05, Down: 0.05, By: 0.3, After: 30 * time.Minute, Until: 20 * time.Hour, Costs: 0.1}
	mixedFaults = Faults{Throttle: 0.06, ServerError: 0.05, Gateway: 0.05, Empty: 0.04, Torn: 0.05, Reset: 0.04, Slow: 0.01, Delay: 15 * time.Second}
)

// Profile returns the conditions of that name: instant, late-minutes, late-hours, restated, throttled or faulty.
func Profile(name string) (Conditions, error) {
	for _, p := range profiles {
		if p.name == name {
			p.Faults.Endpoints = slices.Clone(p.Faults.Endpoints)
			return p.Conditions, nil
		}
	}
	return Conditions{}, fmt.Errorf("unknown profile %q, want one of %s", name, strings.Join(Profiles(), ", "))
}

// Profiles are the names that Profile knows.
func Profiles() []string {
	var names []string
	for _, p := range profiles {
		names = append(names, p.name)
	}
	return names
}
