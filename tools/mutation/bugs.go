package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// A bug is a deliberate one, as a person would make it, that the simulation has to notice. It is a piece of source and
// what it is changed to.
type bug struct {
	name, file, old, text string
	// args narrow the simulation to lives in which the bug can show, where it shows too rarely else.
	args string
}

const ledger = "internal/ledger/"

// bugs are those of accounting, durability and honesty that were made by hand to see whether the simulation has teeth.
var bugs = []bug{
	{name: "what was there before the start counts", file: ledger + "marks.go", old: "return max(m.Origin, m.Final) }", text: "return m.Final }"},
	{name: "what was let go of counts again when it is read again", file: ledger + "marks.go", old: "return max(m.Origin, m.Final) }", text: "return m.Origin }", args: "-only grow,window,lookback,downtime"},
	{name: "hours are let go of before every window has left them", file: ledger + "marks.go", old: "limit := m.Final\n\tif to.audits > 0 {", text: "limit := closed - to.audits/3\n\tif to.audits < 0 {"},
	{name: "audits forget what a downtime left open", file: ledger + "window.go", old: "min(to.spanOf(now-to.audits), m.Final)", text: "to.spanOf(now-to.audits)", args: "-only downtime,outage"},
	{name: "a round of audits that was interrupted settles what it did not read", file: ledger + "marks.go", old: "if m.Begun && from <= m.Final {", text: "if m.Begun {", args: "-only downtime,hole"},
	{name: "a folded label set moves into free room at once", file: ledger + "place.go", old: "if folded || f.ledger", text: "if _ = folded; f.ledger", args: "-only fold"},
	{name: "a month begins elsewhere than at UTC", file: "collector/spend.go", old: "first := start.AddDate(0, 0, 1-start.Day())", text: "first := start.AddDate(0, 0, 2-start.Day())"},
	{name: "the first read of a new grouping counts", file: ledger + "marks.go", old: "case first && !m.Fixed, start < m.met():", text: "case start < m.met():"},
	{name: "what is gone from a bucket stays counted", file: ledger + "book.go", old: "id, was = before[i].id, &before[i]\n\t\t\ti++", text: "i++\n\t\t\tcontinue", args: "-falls"},
	{name: "an endpoint that fails is up", file: "collector/exposition.go", old: "fs.gauge(fs.family(metrics.Up), labels, 0)", text: "fs.gauge(fs.family(metrics.Up), labels, 1)"},
	{name: "what is booked is shown before it is on disk", file: ledger + "write.go", old: "if err != nil {\n\t\tfor _, st := range stages {\n\t\t\tst.f.recall(st)\n\t\t}\n\t\treturn err\n\t}\n\tfor _, st := range stages {\n\t\tst.install()", text: "for _, st := range stages {\n\t\tst.install()\n\t}\n\tif err != nil {\n\t\tl.publish(changed)\n\t\treturn err\n\t}\n\tfor range stages {", args: "-only disk,kill,restart"},
	{name: "what is withheld is forgotten over a restart", file: ledger + "series.go", old: "totals[m], withheld[m] = s.total[i], s.withheld(i)", text: "totals[m] = s.total[i]", args: "-falls"},
	{name: "what is held at zero is let go over a restart", file: ledger + "series.go", old: "if s.held {\n\t\tflags |= flagHeld\n\t}", text: ""},
	{name: "an estimate is booked again with every change", file: ledger + "estimate.go", old: "delta = delta.Sub(was.derived[m])", text: "_ = was"},
	{name: "a longer lookback reads a part of an hour that is not on record", file: ledger + "window.go", old: "if held(edge) != to.width {", text: "if h := held(edge); h != 0 && h != to.width {", args: "-only grow,window,lookback"},
	{name: "polls forget what they have not read", file: ledger + "window.go", old: "from = min(from, m.Settled)", text: "_ = from"},
	{name: "half an hour that is read changes hands", file: ledger + "book.go", old: "\t\tif !toItsEnd {\n\t\t\treturn nil\n\t\t}\n", text: "", args: "-only hole,width,lookback"},
	{name: "a day of the bill that was missed over the turn of a month stays missed", file: ledger + "window.go", old: "case to.bill:\n\t\tt := time.Unix(now, 0).UTC()\n\t\tfrom = min(from,", text: "case to.bill:\n\t\tt := time.Unix(now, 0).UTC()\n\t\tfrom = min(now,", args: "-only downtime,costs"},
	{name: "the newest bucket shown is the one before it", file: ledger + "show.go", old: "mod(f.meta.ReadThrough, width) - width", text: "mod(f.meta.ReadThrough, width) - 2*width"},
	{name: "a level is that of the oldest bucket", file: ledger + "stock.go", old: "for i := range slices.Backward(r.buckets) {", text: "for i := range r.buckets {"},
	{name: "one project's charges hide what another has spent since", file: "internal/spend/history.go", old: "if !d.split() {\n\t\t\tsum :=", text: "if d.start.IsZero() || d.bill != nil {\n\t\t\tsum :="},
	{name: "a credit lowers what is charged", file: ledger + "books_stage.go", old: "Amounts{Credited: amount.Neg()}", text: "Amounts{Charged: amount}", args: "-falls"},
	{name: "the forecast leaves out what is not billed", file: "internal/budget/outlook.go", old: "s.Forecast = s.Spent().Add(", text: "s.Forecast = s.Billed.Add("},
	{name: "a day of the books is closed before every window has left it", file: ledger + "books_stage.go", old: "limit := st.meta.left(st.asOf, f.reach())", text: "limit := st.asOf"},
	{name: "what comes with as many bytes as before is passed over", file: "fetcher/fingerprint.go", old: "if maphash.Bytes(seeds[i], b) != fingerprint.Sums[i] {", text: "if maphash.Bytes(seeds[i], b[:1]) == 0 {"},
	{name: "a read that waits is booked for what a reload has taken away", file: ledger + "queue.go", old: "\tif f.gone {\n\t\treturn ErrGone\n\t}\n\tif r.Window", text: "\tif r.Window", args: "-only ambush"},
	{name: "what the API has asked to be left alone is asked after a reload", file: "fetcher/resume.go", old: "r.pace, r.held = p.pace, true\n", text: "r.held = true\n", args: "-only outage,faults,lookback,interval,storm"},
	{name: "what is refused for good is asked again at once by a reload", file: "fetcher/resume.go", old: "slow := p.permanent && p.streak > 0 && sameAccess", text: "slow := p.permanent && p.streak < 0 && sameAccess", args: "-only missing,scope,interval,storm,order"},
	{name: "a dimension that was refused is never tried again", file: ledger + "shape.go", old: "st.meta.Configured, st.meta.Dropped = o.GroupBy, nil", text: "st.meta.Configured = o.GroupBy", args: "-only reject,regroup"},
	{name: "a series is retired that is still used", file: ledger + "retire.go", old: "through-s.seen > to.idle", text: "through-s.seen > to.idle/8"},
}

// slow are tests that take a minute and are about damage to the disk.
const slow = "PowerCut|Damaged"

// tryBugs makes each bug and lives through some seeds with it. One that they do not notice the tests of its package have to.
func tryBugs(first uint64, lives int, only string) error {
	dir, err := os.MkdirTemp("", "bugs-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	tried, noticed := 0, 0
	for _, b := range bugs {
		if !strings.Contains(b.name, only) {
			continue
		}
		verdict, err := b.try(dir, first, lives)
		if err != nil {
			return err
		}
		tried++
		if strings.HasPrefix(verdict, "noticed") {
			noticed++
		}
		_, _ = fmt.Fprintf(os.Stdout, "%s: %s\n", b.name, verdict)
	}
	_, _ = fmt.Fprintf(os.Stdout, "\nnoticed %d of %d\n", noticed, tried)
	return nil
}

// apply makes the bug in the source of its file.
func (b bug) apply() ([]byte, error) {
	source, err := os.ReadFile(b.file)
	if err != nil {
		return nil, err
	}
	if n := bytes.Count(source, []byte(b.old)); n != 1 {
		return nil, fmt.Errorf("%q: %s has %d places for it, so the bug has to be made again", b.name, b.file, n)
	}
	return bytes.Replace(source, []byte(b.old), []byte(b.text), 1), nil
}

func (b bug) try(dir string, first uint64, lives int) (verdict string, err error) {
	source, err := b.apply()
	if err != nil {
		return "", err
	}
	list, err := overlay(dir, map[string][]byte{b.file: source})
	if err != nil {
		return "", err
	}
	if verdict, err := live(dir, b, list, first, lives); verdict != "" || err != nil {
		return verdict, err
	}
	tests, err := build(dir, list, "./"+filepath.Dir(b.file))
	if err != nil {
		return "", err
	}
	for _, stage := range tests.stages(false) {
		if slices.Contains(stage, "-test.run") {
			stage = append(stage, "-test.skip", slow)
		}
		c, end := tests.command(stage, 0, limit)
		out, _ := c.CombinedOutput()
		end()
		if !c.ProcessState.Success() {
			return "noticed by " + failed(string(out)), nil
		}
	}
	return fmt.Sprintf("NOT NOTICED by the tests of %s and %d seeds from %d on", filepath.Dir(b.file), lives, first), nil
}

// live lives through seeds with a bug until one notices it.
func live(dir string, b bug, list string, first uint64, lives int) (verdict string, err error) {
	if lives == 0 {
		return "", nil
	}
	binary := filepath.Join(dir, "simulation.test")
	ctx := context.Background()
	if out, err := exec.CommandContext(ctx, "go", "-C", "test/simulation", "test", "-c", "-overlay", list, "-o", binary, ".").CombinedOutput(); err != nil {
		return "", fmt.Errorf("%q does not build: %w\n%s", b.name, err, out)
	}
	for i := range lives {
		seed := strconv.FormatUint(first+uint64(i), 10)
		args := append([]string{"-test.run", "TestASeedOf", "-test.timeout", "15m", "-seed", seed, "-seeds", "1", "-days", "12", "-shrink", "0"}, strings.Fields(b.args)...)
		c := exec.CommandContext(ctx, binary, args...)
		c.Dir = filepath.Join("test", "simulation")
		out, _ := c.CombinedOutput() // What it says tells whether it has passed.
		if !strings.HasSuffix(strings.TrimSpace(string(out)), "PASS") {
			return "noticed by seed " + seed + ": " + fault(string(out)), nil
		}
	}
	return "", nil
}

// failed is the first test that failed.
func failed(output string) string {
	for line := range strings.SplitSeq(output, "\n") {
		if name, found := strings.CutPrefix(line, "--- FAIL: "); found {
			name, _, _ = strings.Cut(name, " ")
			return name
		}
	}
	return "the tests, of which none says so: " + strings.TrimSpace(output[:min(len(output), 200)])
}

// fault is the first line that says what is wrong.
func fault(output string) string {
	for line := range strings.SplitSeq(output, "\n") {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "20") {
			return line
		}
	}
	return "it does not end"
}

// overlay writes changed files, and the list that gives them to the compiler in place of those in the checkout.
func overlay(dir string, files map[string][]byte) (list string, err error) {
	replace := map[string]string{}
	for file, source := range files {
		changed := filepath.Join(dir, filepath.Base(file))
		if err := os.WriteFile(changed, source, 0o600); err != nil {
			return "", err
		}
		absolute, err := filepath.Abs(file)
		if err != nil {
			return "", err
		}
		replace[absolute] = changed
	}
	text, err := json.Marshal(map[string]map[string]string{"Replace": replace})
	if err != nil {
		return "", err
	}
	list = filepath.Join(dir, "overlay.json")
	return list, os.WriteFile(list, text, 0o600)
}
