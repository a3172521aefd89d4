package simulator

import (
	"context"
	"errors"
	"fmt"
	stdlog "log"
	"net"
	"net/http"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
)

// Settings are the options of a simulator that has a process of its own, as a command line spells them.
type Settings struct {
	ListenAddress string
	Seed          uint64
	Scale         float64 // 0 means 1
	Speed         float64 // how fast the API's clock runs; 0 means 1
	Start         string  // RFC 3339, where the API's clock starts; empty means now
	Lateness      string  // instant, minutes or hours; empty means instant
	Restate       bool
	Faults        string // none, 429 or mixed; empty means none
	StringAmounts bool
	AdminKey      string // empty accepts any key
	LabelSets     int
}

// The values of Settings, and the profile that each takes its part of.
var (
	latenessProfiles = map[string]string{"": "instant", "instant": "instant", "minutes": "late-minutes", "hours": "late-hours"}
	faultProfiles    = map[string]string{"": "instant", "none": "instant", "429": "throttled", "mixed": "faulty"}
)

// ServeOptions turns the settings into what Serve takes, or says which of them is wrong.
func (s Settings) ServeOptions() (ServeOptions, error) {
	late, ok := latenessProfiles[s.Lateness]
	if !ok {
		return ServeOptions{}, fmt.Errorf("unknown lateness %q, want instant, minutes or hours", s.Lateness)
	}
	faulty, ok := faultProfiles[s.Faults]
	if !ok {
		return ServeOptions{}, fmt.Errorf("unknown faults %q, want none, 429 or mixed", s.Faults)
	}
	o := Options{Seed: s.Seed, Scale: s.Scale, StringAmounts: s.StringAmounts, AdminKey: s.AdminKey, LabelSets: s.LabelSets}
	for name, take := range map[string]func(Conditions){
		late:   func(c Conditions) { o.Lateness = c.Lateness },
		faulty: func(c Conditions) { o.Faults = c.Faults },
	} {
		c, err := Profile(name)
		if err != nil {
			return ServeOptions{}, err
		}
		take(c)
	}
	if s.Restate {
		c, err := Profile("restated")
		if err != nil {
			return ServeOptions{}, err
		}
		o.Restate = c.Restate
	}
	start := time.Now()
	if s.Start != "" {
		var err error
		if start, err = time.Parse(time.RFC3339, s.Start); err != nil {
			return ServeOptions{}, fmt.Errorf("parse start: %w", err)
		}
	}
	speed := s.Speed
	if speed == 0 {
		speed = 1
	}
	return ServeOptions{Options: o, ListenAddress: s.ListenAddress, Clock: NewClock(start, speed)}, nil
}

// Demo are the settings of the demo's organization: its usage is late and corrected, and so is its bill.
func Demo() Settings { return Settings{Seed: 1, Lateness: "minutes", Restate: true} }

// ServeOptions are a simulator and where it listens.
type ServeOptions struct {
	Options
	ListenAddress string
	// Clock is the API's clock; nil means one that shows the time of day. It takes the place of Options.Clock.
	Clock *Clock
	// Listening, if set, is called once with the address, when requests are accepted.
	Listening func(net.Addr)
}

// Serve serves the API and the control surface until the context ends, which is no error.
func Serve(ctx context.Context, o ServeOptions, logger log.Logger) error {
	if o.Clock == nil {
		o.Clock = NewClock(time.Now(), 1)
	}
	o.Options.Clock = o.Clock.Now
	s := New(o.Options)
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", o.ListenAddress)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("/", s.Handler())
	mux.Handle("/_simulator/", s.Control(o.Clock))
	server := &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          stdlog.New(log.NewStdlibAdapter(level.Debug(logger)), "", 0),
	}
	level.Info(logger).Log("msg", "Simulating the API", "address", listener.Addr(), "base_url", "http://"+listener.Addr().String()+"/v1", "now", o.Clock.Now().Format(time.RFC3339))
	if o.Listening != nil {
		o.Listening(listener.Addr())
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	select {
	case err := <-done:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if err := server.Shutdown(grace); err != nil {
		_ = server.Close() // Slow answers are not worth waiting for.
	}
	if err := <-done; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}
