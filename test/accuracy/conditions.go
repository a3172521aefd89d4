package main

import (
	"time"

	"github.com/openai-exporter/openai_exporter/internal/simulator"
)

// A condition is a way in which the API, the machine or the operator is unkind.
type condition struct {
	name  string
	about string
	// profiles of the simulator, whose parts are combined: lateness and restatements of the first that has them.
	profiles []string
	// live is how long usage goes on, by the API's clock.
	live time.Duration
	// kills is how often the exporter is killed with SIGKILL while usage goes on.
	kills int
	// downtime is how long the exporter is down in the middle of it, while usage goes on.
	downtime time.Duration
	// sleep is how long the process is stopped with SIGSTOP, wherever it is just then, as when a machine sleeps.
	sleep time.Duration
	// settle is how far the API's clock leaps at a time once usage has ended; settlingStep unless set.
	settle time.Duration
}

// conditions are what `make accuracy` measures.
var conditions = []condition{
	{name: "instant", about: "usage is visible as it happens", profiles: []string{"instant"}, live: 12 * time.Hour},
	{name: "late by minutes", about: "a minute's counts grow in lumps for up to a quarter of an hour", profiles: []string{"late-minutes"}, live: 12 * time.Hour},
	{name: "late by hours", about: "a quarter of the minutes get a part of their usage up to eight hours later", profiles: []string{"late-hours"}, live: 12 * time.Hour},
	{name: "restated", about: "buckets and bills are corrected hours later, upwards and downwards", profiles: []string{"restated"}, live: 12 * time.Hour},
	{name: "20 % 429", about: "every fifth answer is a 429, with and without Retry-After", profiles: []string{"throttled"}, live: 12 * time.Hour},
	{name: "30 % mixed faults", about: "429, 500, 502 and 520 with HTML, empty and torn bodies, resets, slow answers", profiles: []string{"faulty"}, live: 12 * time.Hour},
	{name: "kill -9 five times", about: "the process is killed while it polls and started again, with late and restated usage", profiles: []string{"late-minutes", "restated"}, live: 12 * time.Hour, kills: 5},
	{name: "a day of downtime", about: "the exporter is down for 24 hours, with late usage", profiles: []string{"late-minutes"}, live: 6 * time.Hour, downtime: 24 * time.Hour},
}

// hostile is all of it at once, shortened: the one that the test suite runs.
var hostile = condition{
	name: "everything at once", about: "late, restated, faults, kill -9, hours of downtime and a day of sleep",
	profiles: []string{"late-hours", "restated", "faulty"}, live: 3 * time.Hour, kills: 3, downtime: 5 * time.Hour, sleep: 26 * time.Hour, settle: 10 * time.Hour,
}

func (c condition) combined() (simulator.Conditions, error) {
	var sum simulator.Conditions
	for _, name := range c.profiles {
		p, err := simulator.Profile(name)
		if err != nil {
			return sum, err
		}
		if sum.Lateness == (simulator.Lateness{}) {
			sum.Lateness = p.Lateness
		}
		if sum.Restate == (simulator.Restatement{}) {
			sum.Restate = p.Restate
		}
		if p.Faults.Endpoints == nil && sum.Faults.Throttle == 0 && sum.Faults.Torn == 0 {
			sum.Faults = p.Faults
		}
	}
	return sum, nil
}

// downwards says whether buckets are restated downwards, so that counters may be ahead of the API by what is withheld.
func (c condition) downwards() bool {
	sum, err := c.combined()
	return err != nil || sum.Restate != (simulator.Restatement{})
}
