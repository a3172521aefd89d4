//go:build !race

package command

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/decimal"
	"github.com/openai-exporter/openai_exporter/internal/simulator"
)

// A truth is what the API says that there was, by organization.
type truth struct {
	clock         *simulator.Clock
	midnight      time.Time
	organizations []string
	apis          map[string]*simulator.Simulator
	url           string
	baseline      map[string]decimal.Fixed
}

func newTruth(t *testing.T, organizations ...string) *truth {
	t.Helper()
	midnight := time.Date(2026, 11, 10, 0, 0, 0, 0, time.UTC)
	w := &truth{clock: simulator.NewClock(midnight.Add(9*time.Hour+17*time.Minute), 0), midnight: midnight, organizations: organizations, apis: make(map[string]*simulator.Simulator)}
	mux := http.NewServeMux()
	for i, o := range organizations {
		w.apis[o] = simulator.New(simulator.Options{Seed: uint64(i + 1), Clock: w.clock.Now, AdminKey: goodKey})
		mux.Handle("/"+o+"/", http.StripPrefix("/"+o, w.apis[o].Handler()))
	}
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	w.url, w.baseline = server.URL, w.said()
	return w
}

// compared are the counters that the test looks at, each with the endpoint and the measure of the truth.
var compared = map[string][2]string{
	"openai_usage_requests_total":     {"completions", "requests"},
	"openai_usage_input_tokens_total": {"completions", "input_tokens"},
	"openai_cost_usd_total":           {"costs", "cost_usd"},
}

// sums is what the API says by now, without what it said at the beginning, of which nothing counts.
func (w *truth) sums() map[string]string {
	text := make(map[string]string)
	for name, sum := range w.said() {
		text[name] = fmt.Sprintf("%.4f", sum.Sub(w.baseline[name]).Float64())
	}
	return text
}

func (w *truth) said() map[string]decimal.Fixed {
	sums := make(map[string]decimal.Fixed)
	for _, o := range w.organizations {
		for metric, of := range compared {
			at := w.clock.Now()
			for _, r := range simulator.Sum(w.apis[o].Truth(of[0], nil, w.midnight, at, at)) {
				sums[o+" "+metric] = r.Values[of[1]]
			}
		}
	}
	return sums
}

// counted are the same sums as exporters show them together.
func (w *truth) counted(shards []*process) map[string]string {
	sums := make(map[string]float64)
	for _, p := range shards {
		families := p.families("")
		for metric, of := range compared {
			for _, m := range families[metric].GetMetric() {
				labels := make(map[string]string)
				for _, l := range m.GetLabel() {
					labels[l.GetName()] = l.GetValue()
				}
				if e := labels["endpoint"]; e == "" || e == of[0] {
					sums[labels["organization"]+" "+metric] += m.GetCounter().GetValue()
				}
			}
		}
	}
	text := make(map[string]string)
	for name, sum := range sums {
		text[name] = fmt.Sprintf("%.4f", sum)
	}
	return text
}

// run starts shards on the state directories, waits until they show the truth, and again when there is more of it, and
// ends them. When it returns, an hour has passed that none of them has polled.
func (w *truth) run(t *testing.T, binary, unit string, dirs ...string) {
	t.Helper()
	var text strings.Builder
	text.WriteString("organizations:\n")
	for _, o := range w.organizations {
		fmt.Fprintf(&text, "  - {name: %s, api_key_file: key, base_url: %s/%s/v1, requests_per_minute: 100000}\n", o, w.url, o)
	}
	fmt.Fprintf(&text, "%s\nnames: {enabled: false}\nlimits: {enabled: false}\ncounters: {zero_hold: 0s}\n", fast)
	home := t.TempDir()
	for name, content := range map[string]string{"key": goodKey, "config.yml": text.String()} {
		if err := os.WriteFile(filepath.Join(home, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var shards []*process
	for i, dir := range dirs {
		shards = append(shards, execute(t, binary, "--config.file="+filepath.Join(home, "config.yml"), "--storage.path="+dir, "--shard.by="+unit, fmt.Sprintf("--shard=%d/%d", i, len(dirs))))
	}
	w.await(t, shards)
	w.clock.Advance(20 * time.Minute)
	w.await(t, shards)
	for i, p := range shards {
		if len(dirs) > 1 && len(w.counted(shards[i:i+1])) == 0 {
			t.Errorf("shard %d has nothing, and the test proves less than it could", i)
		}
		if code := p.stop(); code != 0 {
			t.Errorf("exit code %d:\n%s", code, p.log)
		}
	}
	w.clock.Advance(time.Hour)
}

// await waits until shards show the truth.
func (w *truth) await(t *testing.T, shards []*process) {
	t.Helper()
	timeout := time.After(4 * deadline)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for diff := "?"; diff != ""; {
		select {
		case <-timeout:
			t.Fatalf("%d shards show something else than the truth (-want +got):\n%s", len(shards), diff)
		case <-tick.C:
			diff = cmp.Diff(w.sums(), w.counted(shards))
		}
	}
}

// ends runs a command of the real binary to its end.
func ends(t *testing.T, binary string, args ...string) (code int, said string) {
	t.Helper()
	var out bytes.Buffer
	cmd := exec.CommandContext(t.Context(), binary, args...)
	cmd.Stderr = &out
	_ = cmd.Run() // The exit code tells.
	return cmd.ProcessState.ExitCode(), out.String()
}

// moved moves what a replica no longer polls to those that do.
func moved(t *testing.T, binary, unit, from string, export string, to ...string) (file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "moved.db")
	args := []string{"export-state", "--storage.path=" + from, "--output=" + file, "--shard.by=" + unit}
	if export != "" {
		args = append(args, "--shard="+export)
	}
	if code, said := ends(t, binary, args...); code != 0 {
		t.Fatalf("%v: exit code %d, said %s", args, code, said)
	}
	for i, dir := range to {
		args := []string{"import-state", "--storage.path=" + dir, "--input=" + file, "--shard.by=" + unit, fmt.Sprintf("--shard=%d/%d", i, len(to))}
		if code, said := ends(t, binary, args...); code != 0 {
			t.Fatalf("%v: exit code %d, said %s", args, code, said)
		}
	}
	return file
}

// TestMovedStateIsCountedOnce lets shards be added and taken away. What all of them count together is the truth every
// time: nothing twice, and nothing not at all.
func TestMovedStateIsCountedOnce(t *testing.T) {
	binary := build(t)
	for _, unit := range []string{"organization", "endpoint"} {
		t.Run(unit, func(t *testing.T) {
			w := newTruth(t, "acme", "globex", "umbrella", "hooli")
			first, second := filepath.Join(t.TempDir(), "data"), filepath.Join(t.TempDir(), "data")
			w.run(t, binary, unit, first)

			file := moved(t, binary, unit, first, "0/2", first, second)
			w.run(t, binary, unit, first, second)

			// What is there already would be counted twice.
			code, said := ends(t, binary, "import-state", "--storage.path="+second, "--input="+file)
			if code != 1 || strings.Count(said, "\n") != 1 || !strings.Contains(said, "already, and nothing was imported: to replace it, remove it with export-state first") {
				t.Errorf("a second import: exit code %d, said %s", code, said)
			}

			// The second replica is taken away, and gives all that it has to the first.
			moved(t, binary, unit, second, "", first)
			w.run(t, binary, unit, first)
		})
	}
}

func TestStateIsMovedByTheNamesOfOrganizations(t *testing.T) {
	w := newTruth(t, "acme", "globex")
	binary := build(t)
	dir, file := filepath.Join(t.TempDir(), "data"), filepath.Join(t.TempDir(), "moved.db")
	w.run(t, binary, "organization", dir)

	for _, step := range []struct {
		args, want string
		code       int
	}{
		{"export-state --organization=hooli --output=" + file, "the state in " + dir + " has no totals of hooli\n", 1},
		{"export-state --organization=globex --output=" + file, fmt.Sprintf("organizations=1 endpoints=%d\n", len(api.Endpoints)), 0},
		{"export-state --organization=globex --output=" + file, "the state in " + dir + " has no totals of globex\n", 1},
		{"export-state --organization=acme --output=" + file, file + ": the file exists already, and nothing was exported: name another file\n", 1},
		{"export-state --shard=0/1 --output=" + file + ".none", "There is nothing to export, and no file was written", 0},
		{"import-state --organization=acme --input=" + file, file + " has no totals of acme\n", 1},
		{"import-state --organization=acme --organization=globex --input=" + file, file + " has no totals of acme; the others were moved\n", 1},
		{"import-state --input=" + file, " of globex already, and nothing was imported", 1},
	} {
		code, said := ends(t, binary, append(strings.Fields(step.args), "--storage.path="+dir)...)
		if code != step.code || !strings.Contains(said, step.want) {
			t.Errorf("%s: exit code %d, said %s\nwant %d, %s", step.args, code, said, step.code, step.want)
		}
	}
	w.run(t, binary, "organization", dir)
}
