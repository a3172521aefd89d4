// Package backfill reads a range of the past and writes it as OpenMetrics text with the buckets' own timestamps, in the
// names and labels of the live metrics, for Prometheus to make blocks of. What it has read lies in a directory beside
// the output until all of it is there, so it can be interrupted at any time and goes on where it was.
package backfill

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"

	"github.com/openai-exporter/openai_exporter/fetcher"
	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/decimal"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
)

// Stdout is the output that stands for the standard output.
const Stdout = "-"

// A Source reads windows of the API. A fetcher.Client is one.
type Source interface {
	Read(ctx context.Context, q fetcher.Query) (*ledger.Read, error)
}

// An Organization is one to read.
type Organization struct {
	Name   string
	Source Source
}

// An Endpoint is one to read of every organization, grouped as the live metrics are.
type Endpoint struct {
	Endpoint *api.Endpoint
	GroupBy  []string
	// Filters say which rows to ask an organization for, by its name, as api.Filters encodes them.
	Filters map[string]string
	// The range [From,To). Usage is read to the minute, costs to the UTC day.
	From, To time.Time
}

// Options describe a backfill.
type Options struct {
	Organizations []Organization
	Endpoints     []Endpoint
	// Width is the name of the widest buckets to read.
	Width string
	// MaxLabelSets is the limit per organization, past which label sets are folded into "other".
	MaxLabelSets int
	// Output is the file to write, or Stdout, which can't be gone on with after an interruption.
	Output   string
	Stdout   io.Writer
	Progress *Progress
	Logger   log.Logger
	// Pause waits before a failed request is made again. It is the clock's unless a test has another.
	Pause func(ctx context.Context, d time.Duration) error
}

var errInterrupted = errors.New("interrupted")

// errAhead is a range that ends after the API's clock.
type errAhead struct{ end, now time.Time }

func (e *errAhead) Error() string {
	return fmt.Sprintf("the range ends at %s, but the API's clock shows %s: choose an earlier --end", e.end.Format(time.RFC3339), e.now.Format(time.RFC3339))
}

// advise says what becomes of what was read, in agreement with what the error says to do.
func advise(err error, dir string) error {
	var ahead *errAhead
	switch {
	case errors.Is(err, errSpool), errors.Is(err, errOtherRun):
		return err // The same command would fail again.
	case errors.As(err, &ahead):
		return fmt.Errorf("%w and remove %s, which holds what was read, or run the same command again after %s", err, dir, ahead.end.Format(time.RFC3339))
	case errors.Is(err, syscall.ENOSPC):
		return fmt.Errorf("%w; what was read is kept in %s: free some space and run the same command again to go on", err, dir)
	}
	return fmt.Errorf("%w; what was read is kept in %s: run the same command again to go on", err, dir)
}

// A Result is what was written.
type Result struct {
	Series, Samples int64
	// Shortfalls are the amounts that counters could not follow downwards.
	Shortfalls []Shortfall
	// Folded is how many rows were counted under "other".
	Folded int
}

// Partial is the directory that holds what was read for an output until it is whole.
func Partial(output string) string { return output + ".partial" }

// Run reads everything and writes the output, or goes on with what an earlier run has read. An error of a read leaves
// it resumable.
func Run(ctx context.Context, o Options) (Result, error) {
	if o.Logger == nil {
		o.Logger = log.NewNopLogger()
	}
	if o.Pause == nil {
		o.Pause = pause
	}
	tasks, plan, err := tasksOf(o)
	if err != nil {
		return Result{}, err
	}
	dir := Partial(o.Output)
	if o.Output == Stdout {
		if dir, err = os.MkdirTemp("", "openai_exporter-backfill-"); err != nil {
			return Result{}, err
		}
		defer os.RemoveAll(dir) //nolint:errcheck // What is left in the temporary directory is the system's to clear.
	} else if _, err := os.Stat(o.Output); !errors.Is(err, fs.ErrNotExist) {
		if err == nil {
			err = fmt.Errorf("the output %s exists: remove it, or name another file with --output", o.Output)
		}
		return Result{}, err
	}
	s, err := openSpool(dir, plan, tasks)
	if err != nil {
		return Result{}, err
	}
	r := &run{o: o, spool: s}
	resumable := func(err error) (Result, error) {
		if errors.Is(err, context.Canceled) {
			err = errInterrupted
		}
		if o.Output != Stdout {
			err = advise(err, dir)
		}
		return Result{}, err
	}
	if err := r.readAll(ctx); err != nil {
		return resumable(err)
	}
	w := &writer{ctx: ctx, spool: s}
	if err := w.output(o, dir); err != nil {
		return resumable(fmt.Errorf("write output: %w", err))
	}
	if o.Output != Stdout {
		if err := os.RemoveAll(dir); err != nil {
			return Result{}, err
		}
	}
	result := Result{Samples: w.samples, Series: w.count, Shortfalls: w.shortfalls}
	for _, t := range s.state.Tasks {
		result.Folded += t.Folded
	}
	return result, nil
}

// output writes all of it to standard output, or to a file that takes its name when it is whole.
func (w *writer) output(o Options, dir string) error {
	fill := func(b *bufio.Writer) error {
		w.w = b
		return w.write()
	}
	if o.Output != Stdout {
		return replace(o.Output, filepath.Join(dir, nextOutput), fill)
	}
	b := bufio.NewWriter(o.Stdout)
	return cmp.Or(fill(b), b.Flush())
}

// tasksOf lists what is to be read, and says in one text what makes two backfills the same.
func tasksOf(o Options) (tasks []*task, plan string, err error) {
	type what struct {
		Organization, Endpoint string
		GroupBy                []string
		From, To               int64
		Filters                string `json:",omitempty"`
	}
	var all []what
	for _, org := range o.Organizations {
		for _, e := range o.Endpoints {
			p := planFor(e.Endpoint, e.From, e.To, o.Width)
			groupBy := e.Endpoint.GroupBy(e.GroupBy)
			all = append(all, what{org.Name, e.Endpoint.Name, groupBy, e.From.Unix(), e.To.Unix(), e.Filters[org.Name]})
			tasks = append(tasks, &task{
				Organization: org.Name, Endpoint: e.Endpoint.Name, Records: make([]int64, len(e.Endpoint.Measures)),
				endpoint: e.Endpoint, groupBy: groupBy, filters: e.Filters[org.Name], plan: p, index: map[string]uint32{},
			})
		}
	}
	b, err := json.Marshal(struct {
		Width string
		Max   int
		What  []what
	}{o.Width, o.MaxLabelSets, all})
	return tasks, string(b), err
}

func without(all, drop []string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(d string) bool { return slices.Contains(drop, d) })
}

// A run reads.
type run struct {
	o     Options
	spool *spool
}

func (r *run) readAll(ctx context.Context) error {
	total, done := 0, 0
	for _, t := range r.spool.state.Tasks {
		total += t.plan.buckets()
		done += t.Done
	}
	r.o.Progress.begin(done, total)
	defer r.o.Progress.end()
	for i, t := range r.spool.state.Tasks {
		place := slices.IndexFunc(r.o.Organizations, func(o Organization) bool { return o.Name == t.Organization })
		if err := r.task(ctx, i, r.o.Organizations[place].Source); err != nil {
			return fmt.Errorf("read %s of %s: %w", t.Endpoint, t.Organization, err)
		}
	}
	return nil
}

// Pages begin small and grow or shrink with what a bucket turns out to hold, so that the memory of one is bounded
// however many label sets there are.
const (
	firstPage = 24
	pageCells = 100_000
)

func (r *run) task(ctx context.Context, i int, source Source) error {
	t := r.spool.state.Tasks[i]
	size := firstPage
	for !t.Missing && t.Done < t.plan.buckets() {
		s, n := t.plan.page(t.Done, size)
		r.o.Progress.reading(t.Organization, t.Endpoint, s.from)
		read, err := r.read(ctx, source, fetcher.Query{
			Endpoint: t.endpoint, GroupBy: t.groupBy, Filters: t.filters, Window: ledger.Window{Width: s.width, From: s.from, To: s.to},
		})
		var e *fetcher.Error
		switch {
		case errors.As(err, &e) && slices.Contains(t.groupBy, e.Dimension):
			r.warn("The API refuses to group by a dimension, reading the endpoint again without it", t, "dimension", e.Dimension, "err", err)
			r.o.Progress.add(-t.Done)
			t.Dropped = append(t.Dropped, e.Dimension)
			t.groupBy = without(t.groupBy, t.Dropped)
			if err := r.spool.reset(i); err != nil {
				return err
			}
			continue
		case errors.As(err, &e) && e.Class == fetcher.ClassNotFound && t.Done == 0:
			r.warn("The organization does not have the endpoint, it is left out", t, "err", err)
			t.Missing = true
			r.o.Progress.add(t.plan.buckets())
			return r.spool.write()
		case err != nil:
			return err
		case read.AsOf.Before(s.to):
			return &errAhead{end: s.to, now: read.AsOf.UTC()}
		}
		cells, err := r.book(i, s, n, read)
		if err != nil {
			return err
		}
		r.o.Progress.add(n)
		size = max(1, n*2)
		if cells > 0 {
			size = min(size, max(1, n*pageCells/cells))
		}
	}
	return nil
}

// book spools a page and returns how many numbers it held.
func (r *run) book(i int, s segment, n int, read *ledger.Read) (cells int, err error) {
	t := r.spool.state.Tasks[i]
	records := make([][]record, len(t.endpoint.Measures))
	own := 0
	for _, o := range r.spool.state.Tasks {
		if o.Organization == t.Organization {
			own += o.Own
		}
	}
	err = read.Each(func(start time.Time, row ledger.Row, other []ledger.Label) {
		cells += len(row.Values)
		if !slices.ContainsFunc(row.Values, func(v decimal.Fixed) bool { return !v.IsZero() }) {
			return
		}
		labels := valid(row.Labels)
		id, ok := t.index[seriesKey(labels)]
		switch {
		case ok:
		case own >= r.o.MaxLabelSets && seriesKey(labels) != seriesKey(other):
			if t.Folded++; t.Folded == 1 {
				r.warn(`The limit of label sets is reached; new label sets are counted as "other"`, t, "max_label_sets", r.o.MaxLabelSets)
			}
			if id, ok = t.index[seriesKey(other)]; !ok {
				id = t.meet(other)
			}
		default:
			own++
			t.Own++
			id = t.meet(labels)
		}
		for v, m := range row.Measures {
			if !row.Values[v].IsZero() {
				records[m] = append(records[m], record{id, start.Add(s.width.Duration).Unix(), row.Values[v]})
			}
		}
	})
	if err != nil {
		return 0, err
	}
	t.Done += n
	return cells, r.spool.commit(i, records)
}

// meet gives a new label set its place.
func (t *task) meet(labels []ledger.Label) uint32 {
	id := uint32(len(t.Series))
	t.Series = append(t.Series, slices.Clone(labels))
	t.index[seriesKey(labels)] = id
	return id
}

// What a client could not get past within seconds is tried again this often, with pauses that grow to a minute.
const (
	patience   = 10
	firstPause = 5 * time.Second
	longPause  = time.Minute
)

func (r *run) read(ctx context.Context, source Source, q fetcher.Query) (*ledger.Read, error) {
	wait := firstPause
	for failed := 1; ; failed++ {
		read, err := source.Read(ctx, q)
		var e *fetcher.Error
		if err == nil || !errors.As(err, &e) || failed == patience || !passing(e) {
			return read, err
		}
		rest := max(wait, e.RetryAfter)
		r.o.Progress.clear()
		level.Warn(r.o.Logger).Log("msg", "Asking again after a pause", "endpoint", q.Endpoint.Name, "err", err, "in", rest)
		if err := r.o.Pause(ctx, rest); err != nil {
			return nil, err
		}
		wait = min(2*wait, longPause)
	}
}

// passing says whether an error is of a kind that goes away by itself.
func passing(e *fetcher.Error) bool {
	switch e.Class {
	case fetcher.ClassThrottled, fetcher.ClassServer, fetcher.ClassTimeout, fetcher.ClassNetwork, fetcher.ClassBody:
		return true
	}
	return false
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *run) warn(msg string, t *task, more ...any) {
	r.o.Progress.clear()
	level.Warn(r.o.Logger).Log(append([]any{"msg", msg, "organization", t.Organization, "endpoint", t.Endpoint}, more...)...)
}

// String names the shortfall as a log says it.
func (s Shortfall) String() string {
	return strings.Join([]string{s.Organization, s.Endpoint, s.Measure, s.Amount.String()}, " ")
}
