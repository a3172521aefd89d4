package backfill_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/fetcher"
	"github.com/openai-exporter/openai_exporter/internal/backfill"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
	"github.com/openai-exporter/openai_exporter/internal/simulator"
)

// interrupted is a backfill that has read something, and which was interrupted then.
func interrupted(t *testing.T) (o backfill.Options, w *world) {
	t.Helper()
	w = newWorld(t, simulator.Options{Seed: 5})
	o = only(w.options(t, now.Add(-8*24*time.Hour), now.Add(-5*24*time.Hour)), "embeddings")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	o.Organizations[0].Source = &limited{w.client, 1, cancel}
	if _, err := backfill.Run(ctx, o); err == nil {
		t.Fatal("it was not interrupted")
	}
	o.Organizations[0].Source = w.client
	return o, w
}

// TestADamagedSpoolIsRefusedWithAdvice: what is wrong, where, and what to do. It is left as it is, since somebody may want to
// know what has happened, and nothing is written from it.
func TestADamagedSpoolIsRefusedWithAdvice(t *testing.T) {
	const records = "000-embeddings-requests"
	replaced := func(old, with string) func([]byte) []byte {
		return func(b []byte) []byte { return regexp.MustCompile(old).ReplaceAll(b, []byte(with)) }
	}
	for name, tc := range map[string]struct {
		file   string
		damage func([]byte) []byte
	}{
		"a state that is torn":                    {"state.json", func(b []byte) []byte { return b[:len(b)/2] }},
		"a state without a task":                  {"state.json", replaced(`"tasks":.*`, `"tasks":[null]}`)},
		"a state of an endpoint of its own":       {"state.json", replaced(`"endpoint":"embeddings"`, `"endpoint":"images"`)},
		"a state that has read too much":          {"state.json", replaced(`"done":\d+`, `"done":1000000`)},
		"a state that has read less than nothing": {"state.json", replaced(`"done":\d+`, `"done":-1`)},
		"a state that counts below zero":          {"state.json", replaced(`"records":\[\d+`, `"records":[-1`)},
		"records that are short":                  {records, func(b []byte) []byte { return b[:len(b)-1] }},
		"records without a series":                {records, func(b []byte) []byte { return append([]byte{0xff, 0xff, 0xff, 0xff}, b[4:]...) }},
		"records that are no numbers":             {records, func(b []byte) []byte { return append(append(b[:12:12], bytes.Repeat([]byte{0xff}, 17)...), b[29:]...) }},
	} {
		t.Run(name, func(t *testing.T) {
			o, _ := interrupted(t)
			dir := backfill.Partial(o.Output)
			file := filepath.Join(dir, tc.file)
			damaged := tc.damage([]byte(read(t, file)))
			if err := os.WriteFile(file, damaged, 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := backfill.Run(t.Context(), o)
			if err == nil || !strings.Contains(err.Error(), dir+": damaged: remove the directory to start again") || strings.Contains(err.Error(), "run the same command") {
				t.Errorf("got %v", err)
			}
			// Records are looked at in the end, when more have been read.
			if got := read(t, file); !strings.HasPrefix(got, string(damaged)) {
				t.Errorf("%s was changed", tc.file)
			}
			if _, err := os.Stat(o.Output); err == nil {
				t.Error("there is an output")
			}
			// What it says to do is enough.
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
			run(t, o)
		})
	}
}

// A meddling source lets another backfill begin to write to the same output.
type meddling struct {
	backfill.Source
	begin func()
}

func (m *meddling) Read(ctx context.Context, q fetcher.Query) (*ledger.Read, error) {
	if m.begin != nil {
		m.begin()
		m.begin = nil
	}
	return m.Source.Read(ctx, q)
}

func TestTwoBackfillsDoNotWriteToTheSameOutput(t *testing.T) {
	o, w := interrupted(t)
	other := o
	o.Organizations = []backfill.Organization{{Name: "acme", Source: &meddling{w.client, func() {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		other.Organizations = []backfill.Organization{{Name: "acme", Source: &limited{w.client, 0, cancel}}}
		if _, err := backfill.Run(ctx, other); err == nil {
			t.Error("the other one was not interrupted")
		}
	}}}}
	if _, err := backfill.Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "another backfill writes to the same output: let it finish, or name another file with --output") {
		t.Errorf("got %v", err)
	}
	other.Organizations[0].Source = w.client
	run(t, other) // It goes on with what was read.
}

func TestAFileOfTheUserBesideTheOutputIsLeftAlone(t *testing.T) {
	o, _ := interrupted(t)
	beside := o.Output + ".next"
	if err := os.WriteFile(beside, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, o)
	if read(t, beside) != "precious" {
		t.Error("it was overwritten")
	}
	if entries, err := os.ReadDir(filepath.Dir(o.Output)); err != nil || len(entries) != 2 {
		t.Errorf("beside the output there is %v, %v", entries, err)
	}
}
