package deploy_test

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// written is a rule as its file spells it, with the reasons that stand in comments.
type written struct {
	rule
	file, text string
}

// writtenAlerts are the alerts in the order of their files.
func writtenAlerts(t *testing.T) []written {
	t.Helper()
	all := alerts(t)
	// A rule ends before its annotations, which are for messages. Its team is for routing.
	one := regexp.MustCompile(`(?ms)^      - alert: (\w+)\n.*?^        annotations:\n`)
	team := regexp.MustCompile(`(?m)^          team: .*\n`)
	var found []written
	for _, f := range glob(t, "deploy/prometheus/rules/*.yml", "deploy/prometheus/reconcile/*.yml") {
		for _, m := range one.FindAllStringSubmatch(read(t, f), -1) {
			text := team.ReplaceAllString(strings.TrimSuffix(m[0], "        annotations:\n"), "")
			text = strings.TrimPrefix(strings.ReplaceAll(text, "\n      ", "\n"), "      ")
			found = append(found, written{all[m[1]], f, text})
		}
	}
	if len(found) != len(all) {
		t.Fatalf("%d alerts were found in the text of the rules, %d when they were parsed", len(found), len(all))
	}
	return found
}

// ruleBegin is where a runbook's generated end begins.
const ruleBegin = "## The rule\n\n<!-- Generated from the rule, from here to the end. -->\n\n"

// runbookSections are what people write of an alert.
var runbookSections = []string{"What it means", "What to check", "What to do"}

func runbook(name string) string { return filepath.Join("docs/runbooks", name+".md") }

// thresholdValues are the numbers that alerts compare with, as their files spell them, and the file of each.
func thresholdValues(t *testing.T) map[string]struct{ value, file string } {
	t.Helper()
	values := map[string]struct{ value, file string }{}
	one := regexp.MustCompile(`- record: (openai:\w+:threshold)\n +expr: vector\((.*)\)\n`)
	for _, f := range glob(t, "deploy/prometheus/rules/*.yml", "deploy/prometheus/reconcile/*.yml") {
		for _, m := range one.FindAllStringSubmatch(read(t, f), -1) {
			values[m[1]] = struct{ value, file string }{m[2], f}
		}
	}
	return values
}

// TestRunbooksEndWithTheirRule: who is woken by an alert sees what it compares with what, and where to change that. The
// runbook of a new alert is begun with it.
func TestRunbooksEndWithTheirRule(t *testing.T) {
	values := thresholdValues(t)
	for _, a := range writtenAlerts(t) {
		var frame strings.Builder
		fmt.Fprintf(&frame, "```yaml\n%s```\n", a.text)
		said := map[string]bool{}
		for _, name := range recorded.FindAllString(a.Expr, -1) {
			threshold, ok := values[name]
			if !ok || said[name] {
				continue
			}
			if len(said) == 0 {
				fmt.Fprintf(&frame, "\nThresholds, in [%s](../../%s):\n\n| threshold | value |\n|---|---|\n", path.Base(threshold.file), threshold.file)
			}
			said[name] = true
			fmt.Fprintf(&frame, "| `%s` | %s |\n", name, threshold.value)
		}
		page := runbook(a.Alert)
		if *update {
			begin(t, page, a.Alert)
		}
		before, _, ok := strings.Cut(read(t, page), ruleBegin)
		if !ok {
			t.Errorf("%s has lost its mark", page)
			continue
		}
		golden(t, page, before+ruleBegin+frame.String())
	}
}

// begin writes the headings of a runbook that is not there.
func begin(t *testing.T, page, name string) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(root, page), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if os.IsExist(err) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	text := "# " + name + "\n\n"
	for _, section := range runbookSections {
		text += "## " + section + "\n\n"
	}
	if _, err := f.WriteString(text + ruleBegin); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestTheTableOfAlertsIsCurrent: when an alert fires is the first sentence of its runbook.
func TestTheTableOfAlertsIsCurrent(t *testing.T) {
	const page, begin, end = "docs/alerting.md", "<!-- Generated from the rules and the runbooks. -->\n\n", "\n<!-- The end of what is generated. -->"
	before, rest, ok := strings.Cut(read(t, page), begin)
	_, after, also := strings.Cut(rest, end)
	if !ok || !also {
		t.Fatalf("%s has lost its marks", page)
	}
	var table strings.Builder
	table.WriteString("| alert | severity | fires when |\n|---|---|---|\n")
	for _, a := range writtenAlerts(t) {
		_, text, _ := strings.Cut(read(t, runbook(a.Alert)), "## "+runbookSections[0]+"\n\n")
		sentence, _, ok := strings.Cut(strings.Join(strings.Fields(text), " "), ". ")
		if !ok || strings.HasPrefix(sentence, "#") || strings.Contains(sentence, "](") {
			t.Errorf("%s has no first sentence without a link that says when the alert fires: %q", runbook(a.Alert), sentence)
		}
		fmt.Fprintf(&table, "| [%s](runbooks/%s.md) | %s | %s |\n", a.Alert, a.Alert, a.Labels["severity"], strings.ReplaceAll(sentence, "|", `\|`))
	}
	if t.Failed() {
		return // A table without that sentence is not written.
	}
	golden(t, page, before+begin+table.String()+end+after)
}
