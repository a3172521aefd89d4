package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/alecthomas/kingpin/v2"
	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
	"golang.org/x/term"

	"github.com/openai-exporter/openai_exporter/config"
	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/backfill"
	"github.com/openai-exporter/openai_exporter/internal/exporter"
)

// A pastCommand is what the commands that read the past have in common.
type pastCommand struct {
	name              string
	configFile        string
	organization      string
	start, end        string
	requestsPerMinute int
}

func (c *pastCommand) flags(cmd *kingpin.CmdClause) {
	cmd.Flag("config.file", "Configuration file. Without one the admin key is taken from $"+config.DefaultKeyEnv+".").PlaceHolder("FILE").StringVar(&c.configFile)
	cmd.Flag("organization", "Read only this organization.").PlaceHolder("NAME").StringVar(&c.organization)
	cmd.Flag("requests-per-minute", "Requests per minute, in place of requests_per_minute in the configuration. A running exporter makes its own requests beside these.").PlaceHolder("N").IntVar(&c.requestsPerMinute)
}

// load returns the configuration and the organizations to read.
func (c *pastCommand) load(logger log.Logger) (*config.Valid, []config.Organization, error) {
	valid := config.Default()
	if c.configFile != "" {
		var err error
		if valid, err = config.Load(c.configFile); err != nil {
			return nil, nil, err
		}
	}
	for _, w := range valid.Warnings() {
		level.Warn(logger).Log("msg", "Check the configuration", "warning", w)
	}
	if c.requestsPerMinute < 0 {
		return nil, nil, errors.New("--requests-per-minute must be positive")
	}
	var names []string
	var out []config.Organization
	for _, o := range valid.Organizations() {
		if c.requestsPerMinute > 0 {
			o.RequestsPerMinute = c.requestsPerMinute
		}
		if names = append(names, o.Name); c.organization == "" || o.Name == c.organization {
			out = append(out, o)
		}
	}
	if len(out) == 0 {
		return nil, nil, fmt.Errorf("the configuration has no organization %q; it has %s", c.organization, strings.Join(names, ", "))
	}
	return valid, out, nil
}

// moment reads a time as people write it on a command line.
func moment(flag, text string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("%s %q is neither a date such as 2026-11-01, which is midnight UTC, nor a time such as 2026-11-01T15:00:00Z", flag, text)
}

// backfillCommand writes the past for Prometheus to import.
type backfillCommand struct {
	pastCommand
	output string
	width  string
}

func newBackfillCommand(app *kingpin.Application) *backfillCommand {
	c := &backfillCommand{pastCommand: pastCommand{name: "backfill"}}
	cmd := app.Command(c.name, "Write past usage and costs as OpenMetrics, for promtool tsdb create-blocks-from openmetrics.")
	c.flags(cmd)
	cmd.Flag("start", "Begin of the range, a date (midnight UTC) or an RFC 3339 time.").Required().PlaceHolder("TIME").StringVar(&c.start)
	cmd.Flag("end", "End of the range; by default the time in counters.start, where the live counters begin.").PlaceHolder("TIME").StringVar(&c.end)
	cmd.Flag("output", "File to write, - for standard output. After an interruption, run the same command again: it continues from FILE.partial.").Required().PlaceHolder("FILE").StringVar(&c.output)
	cmd.Flag("bucket-width", "Width of the buckets: 1m, 1h or 1d. By default 1m for a range of up to two days, 1h for up to a hundred days, else 1d. Buckets of costs are always 1d.").EnumVar(&c.width, api.Minute.Name, api.Hour.Name, api.Day.Name)
	return c
}

func (c *backfillCommand) run(ctx context.Context, logger log.Logger, stdout, stderr io.Writer) error {
	valid, organizations, err := c.load(logger)
	if err != nil {
		return err
	}
	begin, end, costsEnd, err := c.bounds(valid, logger)
	if err != nil {
		return err
	}
	width := c.width
	if width == "" {
		width = backfill.WidthFor(end.Sub(begin))
	}
	progress := backfill.NewProgress(terminal(stderr), logger)
	o := backfill.Options{
		Width: width, MaxLabelSets: valid.Counters().MaxLabelSets,
		Output: c.output, Stdout: stdout, Progress: progress, Logger: logger,
	}
	for _, e := range valid.Endpoints() {
		if !e.Enabled {
			continue
		}
		from, to, smallest := begin, end, time.Minute
		if e.Endpoint.IsCosts() {
			to, smallest = costsEnd, 24*time.Hour
		}
		o.Endpoints = append(o.Endpoints, backfill.Endpoint{
			Endpoint: e.Endpoint, GroupBy: e.GroupBy, Filters: filtersOf(e, organizations), From: from.Truncate(smallest), To: to.Truncate(smallest),
		})
	}
	for _, org := range organizations {
		client, err := exporter.NewClient(org, progress, logger)
		if err != nil {
			return fmt.Errorf("organization %s: %w", org.Name, err)
		}
		defer client.Close()
		o.Organizations = append(o.Organizations, backfill.Organization{Name: org.Name, Source: client})
	}
	level.Info(logger).Log("msg", "Backfill", "start", begin.Format(time.RFC3339), "end", end.Format(time.RFC3339),
		"costs_end", costsEnd.Truncate(24*time.Hour).Format(time.DateOnly), "bucket_width", width, "organizations", len(organizations), "output", c.output)
	result, err := backfill.Run(ctx, o)
	if err != nil {
		return err
	}
	for _, s := range result.Shortfalls {
		level.Warn(logger).Log("msg", "Negative amounts were left out, because counters cannot go down: at the end of the range the counters are above the API's sum",
			"organization", s.Organization, "endpoint", s.Endpoint, "measure", s.Measure, "by", s.Amount)
	}
	level.Info(logger).Log("msg", "Backfill written", "output", c.output, "series", result.Series, "samples", result.Samples)
	return nil
}

// bounds is the range to write. Costs end with a UTC day.
func (c *backfillCommand) bounds(valid *config.Valid, logger log.Logger) (begin, end, costsEnd time.Time, err error) {
	if begin, err = moment("--start", c.start); err != nil {
		return begin, end, costsEnd, err
	}
	if end, costsEnd, err = c.until(valid, logger); err != nil {
		return begin, end, costsEnd, err
	}
	if !begin.Before(end) {
		err = fmt.Errorf("--start %s is not before the end %s", begin.Format(time.RFC3339), end.Format(time.RFC3339))
	} else if now := time.Now(); end.After(now) {
		err = fmt.Errorf("the end %s is in the future: it is now %s", end.Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	}
	return begin, end, costsEnd, err
}

// filtersOf spells the filters of an endpoint by organization.
func filtersOf(e config.EndpointSettings, organizations []config.Organization) map[string]string {
	out := make(map[string]string, len(organizations))
	for _, o := range organizations {
		out[o.Name] = e.FiltersOf(o).Encode()
	}
	return out
}

// until is where usage and costs end. Without --end that is where a ledger with this configuration begins to count, so
// that what is written and what is counted live meet without a gap and without an overlap.
func (c *backfillCommand) until(valid *config.Valid, logger log.Logger) (usage, costs time.Time, err error) {
	start := valid.Counters().Start
	_, fixed := moment("", start.String())
	counted, billed, _ := start.Origin(time.Now())
	if c.end == "" {
		if fixed != nil {
			return usage, costs, fmt.Errorf("--end is missing: counters.start is %q, so the configuration does not say where the live counters begin; give the time that the status page shows (counting since)", start)
		}
		return counted, billed, nil
	}
	end, err := moment("--end", c.end)
	if err != nil {
		return usage, costs, err
	}
	if fixed == nil && end.After(counted) {
		level.Warn(logger).Log("msg", "The range ends after counters.start: the backfill and the live counters would both count the time between", "end", end.Format(time.RFC3339), "live_counters_begin", counted.Format(time.RFC3339))
	}
	return end, end, nil
}

// terminal is the writer if a person is looking at it, else nil.
func terminal(w io.Writer) io.Writer {
	f, ok := w.(*os.File)
	if !ok {
		return nil
	}
	if !term.IsTerminal(int(f.Fd())) || os.Getenv("TERM") == "dumb" {
		return nil
	}
	return f
}
