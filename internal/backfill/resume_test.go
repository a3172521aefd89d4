package backfill_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-kit/log"
	"github.com/google/go-cmp/cmp"

	"github.com/openai-exporter/openai_exporter/fetcher"
	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/backfill"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
	"github.com/openai-exporter/openai_exporter/internal/simulator"
)

// A limited source gives up after so many reads, as somebody who presses ctrl-C.
type limited struct {
	backfill.Source
	left   int
	cancel context.CancelFunc
}

func (l *limited) Read(ctx context.Context, q fetcher.Query) (*ledger.Read, error) {
	if l.left--; l.left < 0 {
		l.cancel()
		return nil, ctx.Err()
	}
	return l.Source.Read(ctx, q)
}

func TestAnInterruptedBackfillGoesOnWhereItWas(t *testing.T) {
	w := newWorld(t, simulator.Options{Seed: 5})
	o := w.options(t, now.Add(-8*24*time.Hour), now.Add(-5*24*time.Hour))
	run(t, o)
	want := read(t, o.Output)

	o = w.options(t, now.Add(-8*24*time.Hour), now.Add(-5*24*time.Hour))
	interruptions := 0
	for {
		ctx, cancel := context.WithCancel(t.Context())
		o.Organizations[0].Source = &limited{w.client, 3, cancel}
		_, err := backfill.Run(ctx, o)
		cancel()
		if err == nil {
			break
		}
		if !strings.Contains(err.Error(), "interrupted") || !strings.Contains(err.Error(), "run the same command again") {
			t.Fatalf("an interruption says %q", err)
		}
		if _, err := os.Stat(o.Output); err == nil {
			t.Fatal("there is an output that is not whole")
		}
		// A page that was under way has left something behind.
		files, err := filepath.Glob(filepath.Join(backfill.Partial(o.Output), "0*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if err := os.WriteFile(f, append([]byte(read(t, f)), "torn"...), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if interruptions++; interruptions > 100 {
			t.Fatal("it does not get on")
		}
	}
	if interruptions < 5 {
		t.Fatalf("it was interrupted only %d times", interruptions)
	}
	if got := read(t, o.Output); got != want {
		t.Error("what was written after interruptions differs from what is written in one go")
	}
}

func TestWhatWasBegunWithOtherParametersIsRefused(t *testing.T) {
	w := newWorld(t, simulator.Options{Seed: 5})
	o := only(w.options(t, now.Add(-8*24*time.Hour), now.Add(-5*24*time.Hour)), "embeddings")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	o.Organizations[0].Source = &limited{w.client, 1, cancel}
	if _, err := backfill.Run(ctx, o); err == nil {
		t.Fatal("it was not interrupted")
	}
	o.Width = api.Day.Name
	if _, err := backfill.Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "other parameters") {
		t.Errorf("other parameters give %v", err)
	}
}

func TestADirectoryOfTheUserIsLeftAlone(t *testing.T) {
	w := newWorld(t, simulator.Options{Seed: 5})
	o := only(w.options(t, now.Add(-8*24*time.Hour), now.Add(-5*24*time.Hour)), "embeddings")
	precious := filepath.Join(backfill.Partial(o.Output), "precious")
	if err := os.Mkdir(backfill.Partial(o.Output), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(precious, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := backfill.Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "holds something else") {
		t.Errorf("a directory of the user gives %v", err)
	}
	if read(t, precious) != "precious" {
		t.Error("it was overwritten")
	}
}

func TestAnOutputThatExistsIsLeftAlone(t *testing.T) {
	w := newWorld(t, simulator.Options{Seed: 5})
	o := w.options(t, now.Add(-8*24*time.Hour), now.Add(-5*24*time.Hour))
	if err := os.WriteFile(o.Output, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := backfill.Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "exists") {
		t.Errorf("an existing output gives %v", err)
	}
	if read(t, o.Output) != "precious" {
		t.Error("it was overwritten")
	}
}

// A filling writer has room for so many bytes.
type filling struct{ left int }

func (f *filling) Write(b []byte) (int, error) {
	if f.left -= len(b); f.left < 0 {
		return 0, syscall.ENOSPC
	}
	return len(b), nil
}

func TestStdoutGetsAllOfItOrNothing(t *testing.T) {
	w := newWorld(t, simulator.Options{Seed: 5})
	o := only(w.options(t, now.Add(-8*24*time.Hour), now.Add(-5*24*time.Hour)), "completions")
	file := o
	run(t, file)
	var out bytes.Buffer
	o.Output, o.Stdout = backfill.Stdout, &out
	run(t, o)
	if out.String() != read(t, file.Output) {
		t.Error("the standard output differs from a file")
	}
	// Its last byte counts as well.
	o.Stdout = &filling{out.Len() - 1}
	if _, err := backfill.Run(t.Context(), o); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("an output that is a byte short gives %v", err)
	}
	o.Stdout = &out
	out.Reset()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	o.Organizations[0].Source = &limited{w.client, 1, cancel}
	if _, err := backfill.Run(ctx, o); err == nil || out.Len() > 0 {
		t.Errorf("an interrupted run gives %v and %d bytes", err, out.Len())
	}
}

// A failing source fails so many times first.
type failing struct {
	backfill.Source
	err  error
	left int
}

func (f *failing) Read(ctx context.Context, q fetcher.Query) (*ledger.Read, error) {
	if f.left--; f.left >= 0 {
		return nil, f.err
	}
	return f.Source.Read(ctx, q)
}

func TestTroubleThatPassesIsWaitedOutAndOtherTroubleIsNot(t *testing.T) {
	w := newWorld(t, simulator.Options{Seed: 5})
	var pauses []time.Duration
	o := only(w.options(t, now.Add(-8*24*time.Hour), now.Add(-5*24*time.Hour)), "embeddings")
	o.Pause = func(_ context.Context, d time.Duration) error {
		pauses = append(pauses, d)
		return nil
	}
	o.Organizations[0].Source = &failing{w.client, &fetcher.Error{Class: fetcher.ClassThrottled, RetryAfter: 7 * time.Second}, 3}
	run(t, o)
	if diff := cmp.Diff([]time.Duration{7 * time.Second, 10 * time.Second, 20 * time.Second}, pauses); diff != "" {
		t.Error(diff)
	}

	o = only(w.options(t, now.Add(-8*24*time.Hour), now.Add(-5*24*time.Hour)), "embeddings")
	unauthorized := &fetcher.Error{Class: fetcher.ClassUnauthorized, Status: 401}
	o.Organizations[0].Source = &failing{w.client, unauthorized, 1}
	if _, err := backfill.Run(t.Context(), o); !errors.Is(err, unauthorized) {
		t.Errorf("a refused key gives %v", err)
	}
}

type observed struct {
	backfill.Source
	see func(fetcher.Query)
}

func (o observed) Read(ctx context.Context, q fetcher.Query) (*ledger.Read, error) {
	o.see(q)
	return o.Source.Read(ctx, q)
}

func TestProgressIsABarOnATerminalAndLinesElsewhere(t *testing.T) {
	w := newWorld(t, simulator.Options{Seed: 5})
	for _, onTerminal := range []bool{true, false} {
		var terminal, lines bytes.Buffer
		o := only(w.options(t, now.Add(-8*24*time.Hour), now.Add(-5*24*time.Hour)), "embeddings")
		logger := log.NewLogfmtLogger(&lines)
		o.Progress = backfill.NewProgress(nil, logger)
		if onTerminal {
			o.Progress = backfill.NewProgress(&terminal, logger)
		}
		run(t, o)
		if onTerminal {
			steps := strings.Split(terminal.String(), "\r\x1b[2K")
			if len(steps) < 4 || !strings.Contains(steps[len(steps)-1], "100 %") || !strings.Contains(steps[len(steps)-1], "72/72 buckets") {
				t.Errorf("the bar says %q", steps)
			}
			for _, s := range steps {
				if n := len([]rune(strings.TrimSuffix(s, "\n"))); n > 79 {
					t.Errorf("the bar has %d columns", n)
				}
			}
			continue
		}
		if !strings.Contains(lines.String(), "buckets=72 of=72") || strings.ContainsAny(lines.String(), "\r\x1b█") {
			t.Errorf("the lines say %q", lines.String())
		}
	}
}
