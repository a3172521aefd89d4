//go:build e2e

// Package cookbook_test asks a real Prometheus that scrapes the demo every question of docs/cookbook.md.
package cookbook_test

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/test/process"
)

var update = flag.Bool("answers", false, "write the answers into docs/cookbook.md")

const document = "../../docs/cookbook.md"

// A recipe is a query of the document, with the answer that stands below it.
type recipe struct{ title, query, answer string }

// recipes are a heading, a query and an answer each. The answer may be missing as long as nobody has asked.
var recipes = regexp.MustCompile("(?m)^### (.+)\n(?:(?:[^#`\n].*)?\n)*```promql\n((?:[^`].*\n)+)```\n(?:\n```\n((?:[^`].*\n)+)```\n)?")

func read(t *testing.T) (text string, out []recipe) {
	t.Helper()
	b, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range recipes.FindAllStringSubmatch(string(b), -1) {
		out = append(out, recipe{m[1], m[2], m[3]})
	}
	return string(b), out
}

// TestEveryRecipeHasAnAnswerThatTwoJobsDoNotChange runs the real binary and two real Prometheus, one of which scrapes it by two
// jobs.
func TestEveryRecipeHasAnAnswerThatTwoJobsDoNotChange(t *testing.T) {
	text, all := read(t)
	if n := strings.Count(text, "```promql"); n != len(all) || n < 15 {
		t.Fatalf("%d recipes found, the document has %d queries", len(all), n)
	}
	target, binary := process.FreeAddress(t), process.Build(t)
	once, twice := scrape(t, target, "openai"), scrape(t, target, "openai", "again")
	process.Start(t, binary, "--demo", "--web.listen-address="+target)
	for i, r := range all {
		process.Eventually(t, 5*time.Minute, r.title, func() error {
			answer, err := ask(t, once, r.query)
			if err != nil {
				return err
			}
			other, err := ask(t, twice, r.query)
			if err != nil {
				return fmt.Errorf("with two jobs: %w", err)
			}
			if !*update && len(answer) == 0 && mayBeEmpty(t, once, r.query) {
				return nil
			}
			if !slices.ContainsFunc(answer, func(s sample) bool { return s.value != 0 }) {
				return fmt.Errorf("the answer says nothing: %v", answer)
			}
			if err := alike(r.query, answer, other); err != nil {
				return fmt.Errorf("two jobs change the answer: %w", err)
			}
			lines := spell(answer)
			if got, want := names(lines), names(strings.Split(strings.TrimSpace(r.answer), "\n")); !*update && !slices.Equal(got, want) {
				return fmt.Errorf("the answer has the labels %q, the document shows %q", got, want)
			}
			all[i].answer = strings.Join(lines, "\n") + "\n"
			return nil
		})
	}
	if *update {
		i := -1
		text = recipes.ReplaceAllStringFunc(text, func(section string) string {
			i++
			before, rest, _ := strings.Cut(section, "```promql")
			query, _, _ := strings.Cut(rest, "```\n")
			return before + "```promql" + query + "```\n\n```\n" + all[i].answer + "```\n"
		})
		if err := os.WriteFile(document, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// mayBeEmpty says whether nothing may be the right answer: of today, or of a month's first day, nothing has been billed in
// its first hours, and a bill does not grow by the minute.
func mayBeEmpty(t *testing.T, url, query string) bool {
	t.Helper()
	now := time.Now().UTC()
	switch {
	case now.Hour() < 4 && (strings.Contains(query, "_today_") || now.Day() == 1 && strings.Contains(query, "_month_")):
		return true
	case !strings.Contains(query, "openai_cost_usd_total[1d]"):
		return false
	}
	grown, err := ask(t, url, `sum(changes(openai_cost_usd_total[1d]))`)
	return err == nil && len(grown) == 1 && grown[0].value == 0
}

// names are the names of the labels of an answer's first line.
func names(answer []string) (out []string) {
	for _, m := range regexp.MustCompile(`([a-z_]+)="`).FindAllStringSubmatch(answer[0], -1) {
		out = append(out, m[1])
	}
	return out
}

// scrape starts a Prometheus that scrapes the target by each of the jobs, and returns its URL.
func scrape(t *testing.T, target string, jobs ...string) string {
	t.Helper()
	dir, address := t.TempDir(), process.FreeAddress(t)
	config := "scrape_configs:\n"
	for _, job := range jobs {
		config += fmt.Sprintf("- {job_name: %s, scrape_interval: 1s, scrape_timeout: 1s, static_configs: [{targets: [%q]}]}\n", job, target)
	}
	process.WriteFile(t, filepath.Join(dir, "prometheus.yml"), config)
	process.Start(t, process.Tool(t, "PROMETHEUS", "prometheus"), "--config.file="+filepath.Join(dir, "prometheus.yml"), "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+address)
	return "http://" + address
}

type sample struct {
	labels string
	value  float64
	text   string
}

// alike compares two answers that may be a scrape apart. What has grown since the first scrape is little at first, and the two
// have not seen the same of it; counted twice it would be twice as much.
func alike(query string, a, b []sample) error {
	tolerance := 0.02
	if strings.Contains(query, "anchored") {
		tolerance = 0.3
	}
	of := map[string]float64{}
	for _, s := range b {
		of[s.labels] = s.value
	}
	if len(of) != len(a) {
		return fmt.Errorf("%d samples and %d", len(a), len(b))
	}
	for _, s := range a {
		v, known := of[s.labels]
		if !known || math.Abs(v-s.value) > tolerance*math.Abs(s.value) && math.Abs(v-s.value) > 1e-9 {
			return fmt.Errorf("%s: %v and %v (known: %t)", s.labels, s.value, v, known)
		}
	}
	return nil
}

func spell(answer []sample) (lines []string) {
	for _, s := range answer {
		lines = append(lines, s.labels+" "+short(s.text))
	}
	return lines
}

// ask returns the samples of an instant query, in Prometheus' order. What Prometheus warns of is an error.
func ask(t *testing.T, base, query string) ([]sample, error) {
	b, err := process.Get(t.Context(), base+"/api/v1/query?query="+url.QueryEscape(query))
	if err != nil {
		return nil, err
	}
	var answer struct {
		Data struct {
			Result []struct {
				Metric map[string]string
				Value  [2]json.RawMessage
			}
		}
		Warnings, Infos []string
	}
	if err := json.Unmarshal(b, &answer); err != nil {
		return nil, err
	}
	if all := slices.Concat(answer.Warnings, answer.Infos); len(all) > 0 {
		return nil, errors.New(strings.Join(all, "; "))
	}
	var out []sample
	for _, r := range answer.Data.Result {
		var s sample
		if err := json.Unmarshal(r.Value[1], &s.text); err != nil {
			return nil, err
		}
		if s.value, err = strconv.ParseFloat(s.text, 64); err != nil {
			return nil, err
		}
		var labels []string
		for name, v := range r.Metric {
			if name != "organization" && name != "__name__" {
				labels = append(labels, fmt.Sprintf("%s=%q", name, v))
			}
		}
		if len(labels) == 0 && r.Metric["organization"] != "" {
			labels = append(labels, fmt.Sprintf("organization=%q", r.Metric["organization"]))
		}
		slices.Sort(labels)
		s.labels = "{" + strings.Join(labels, ", ") + "}"
		out = append(out, s)
	}
	return out, nil
}

// short leaves of a number what a reader wants to see.
func short(value string) string {
	var f float64
	if _, err := fmt.Sscan(value, &f); err != nil || f == float64(int64(f)) {
		return value
	}
	if f >= 100 {
		return fmt.Sprintf("%.2f", f)
	}
	return fmt.Sprintf("%.4g", f)
}
