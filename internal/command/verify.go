package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/alecthomas/kingpin/v2"
	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
	promconfig "github.com/prometheus/common/config"

	"github.com/openai-exporter/openai_exporter/internal/exporter"
	"github.com/openai-exporter/openai_exporter/internal/verify"
)

// verifyCommand compares what Prometheus has recorded with what the API says now.
type verifyCommand struct {
	pastCommand
	url        string
	httpConfig string
	match      string
	per        string
	tolerance  float64
	all        bool
}

// What is compared: the sums of each day, or those of the whole range.
const (
	perDay   = "day"
	perRange = "range"
)

func newVerifyCommand(app *kingpin.Application) *verifyCommand {
	c := &verifyCommand{pastCommand: pastCommand{name: "verify"}}
	cmd := app.Command(c.name, "Compare what Prometheus has recorded with what the API says now; the exit code is 0 if they are equal.")
	c.flags(cmd)
	cmd.Flag("start", "First UTC day to compare.").Required().PlaceHolder("DATE").StringVar(&c.start)
	cmd.Flag("end", "UTC day after the last one to compare; by default the current day.").PlaceHolder("DATE").StringVar(&c.end)
	cmd.Flag("prometheus.url", "URL of Prometheus.").Default("http://localhost:9090").StringVar(&c.url)
	cmd.Flag("prometheus.http-config", "HTTP client configuration file for Prometheus (TLS, authentication), see Prometheus' documentation.").PlaceHolder("FILE").StringVar(&c.httpConfig)
	cmd.Flag("prometheus.match", `More label matchers, such as job="openai", where several Prometheus jobs record the same.`).PlaceHolder("MATCHERS").StringVar(&c.match)
	cmd.Flag("per", "Compare the sums of each day, or of the whole range.").Default(perDay).EnumVar(&c.per, perDay, perRange)
	cmd.Flag("tolerance", "Difference that still counts as equal, as a share: 0.01 is one percent.").Default("0.01").Float64Var(&c.tolerance)
	cmd.Flag("all", "Print equal sums too.").BoolVar(&c.all)
	return c
}

func (c *verifyCommand) run(ctx context.Context, logger log.Logger, stdout io.Writer) error {
	if c.tolerance < 0 {
		return errors.New("--tolerance must not be negative")
	}
	valid, organizations, err := c.load(logger)
	if err != nil {
		return err
	}
	o := verify.Options{Range: c.per == perRange}
	if o.From, o.To, err = c.days(); err != nil {
		return err
	}
	if o.Prometheus, err = c.prometheus(); err != nil {
		return err
	}
	for _, e := range valid.Endpoints() {
		if e.Enabled {
			o.Endpoints = append(o.Endpoints, verify.Endpoint{Endpoint: e.Endpoint, GroupBy: e.GroupBy, Filters: filtersOf(e, organizations)})
		}
	}
	for _, org := range organizations {
		client, err := exporter.NewClient(org, nil, logger)
		if err != nil {
			return fmt.Errorf("organization %s: %w", org.Name, err)
		}
		defer client.Close()
		o.Organizations = append(o.Organizations, verify.Organization{Name: org.Name, Source: client})
	}
	o.Began = func(organization, endpoint string) {
		level.Info(logger).Log("msg", "Comparing", "organization", organization, "endpoint", endpoint)
	}
	sums, err := verify.Run(ctx, o)
	if err != nil {
		return err
	}
	if len(sums) == 0 {
		return errors.New("there is nothing to compare: neither the API nor Prometheus has anything in this range")
	}
	verdict, err := verify.Print(stdout, sums, c.tolerance, c.all)
	if err != nil {
		return err
	}
	if verdict.Different > 0 {
		return fmt.Errorf("%d of %d sums differ by more than %g %%", verdict.Different, verdict.Compared, 100*c.tolerance)
	}
	_, err = fmt.Fprintf(stdout, "\nAll %d sums are equal within %g %%.\n", verdict.Compared, 100*c.tolerance)
	return err
}

// days is the range to compare, in whole UTC days.
func (c *verifyCommand) days() (from, to time.Time, err error) {
	if from, err = moment("--start", c.start); err != nil {
		return from, to, err
	}
	to = time.Now().UTC()
	if c.end != "" {
		if to, err = moment("--end", c.end); err != nil {
			return from, to, err
		}
	}
	from, to = from.Truncate(24*time.Hour), to.Truncate(24*time.Hour)
	switch {
	case !from.Before(to):
		err = fmt.Errorf("--start %s is not before the end %s", from.Format(time.DateOnly), to.Format(time.DateOnly))
	case to.After(time.Now()):
		err = fmt.Errorf("the end %s is in the future", to.Format(time.DateOnly))
	}
	return from, to, err
}

// prometheus is the one to ask.
func (c *verifyCommand) prometheus() (*verify.Prometheus, error) {
	http := &promconfig.DefaultHTTPClientConfig
	if c.httpConfig != "" {
		var err error
		if http, _, err = promconfig.LoadHTTPConfigFile(c.httpConfig); err != nil {
			return nil, fmt.Errorf("read --prometheus.http-config: %w", err)
		}
	}
	return verify.NewPrometheus(c.url, *http, c.match)
}
