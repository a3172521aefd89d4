//go:build e2e

// Package cookbook_test asks a real Prometheus that scrapes the demo every question of docs/cookbook.md.
package cookbook_test

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
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
var recipes = regexp.MustCompile("(?m)^## (.+)\n(?:[^#`]*\n)?```promql\n((?:[^`].*\n)+)```\n(?:\n```\n((?:[^`].*\n)+)```\n)?")

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

// TestEveryRecipeHasAnAnswerWithinAMinute runs the real binary and a real Prometheus.
func TestEveryRecipeHasAnAnswerWithinAMinute(t *testing.T) {
	text, all := read(t)
	if n := strings.Count(text, "```promql"); n != len(all) || n < 15 {
		t.Fatalf("%d recipes found, the document has %d queries", len(all), n)
	}
	target, address := process.FreeAddress(t), process.FreeAddress(t)
	binary := process.Build(t)
	dir := t.TempDir()
	config := filepath.Join(dir, "prometheus.yml")
	process.WriteFile(t, config, fmt.Sprintf("scrape_configs:\n- job_name: openai\n  scrape_interval: 1s\n  scrape_timeout: 1s\n  static_configs: [{targets: [%q]}]\n", target))

	deadline := time.Now().Add(time.Minute)
	process.Start(t, binary, "--demo", "--web.listen-address="+target)
	process.Start(t, process.Tool(t, "PROMETHEUS", "prometheus"), "--config.file="+config, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+address)
	for i, r := range all {
		process.Eventually(t, max(time.Until(deadline), time.Second), r.title, func() error {
			answer, err := ask(t, "http://"+address, r.query)
			if err != nil {
				return err
			}
			// Of today nothing has been billed in the first hours of a day.
			if strings.Contains(r.query, "_today_") && time.Now().UTC().Hour() < 4 && len(answer) == 0 {
				return nil
			}
			if len(answer) == 0 {
				return errors.New("no answer")
			}
			if got, want := names(answer), names(strings.Split(strings.TrimSpace(r.answer), "\n")); !*update && !slices.Equal(got, want) {
				return fmt.Errorf("the answer has the labels %q, the document shows %q", got, want)
			}
			all[i].answer = strings.Join(answer, "\n") + "\n"
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

// names are the names of the labels of an answer's first line.
func names(answer []string) (out []string) {
	for _, m := range regexp.MustCompile(`([a-z_]+)="`).FindAllStringSubmatch(answer[0], -1) {
		out = append(out, m[1])
	}
	return out
}

// ask returns the samples of an instant query, in Prometheus' order.
func ask(t *testing.T, base, query string) ([]string, error) {
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
	}
	if err := json.Unmarshal(b, &answer); err != nil {
		return nil, err
	}
	var out []string
	for _, r := range answer.Data.Result {
		var value string
		if err := json.Unmarshal(r.Value[1], &value); err != nil {
			return nil, err
		}
		var labels []string
		for name, v := range r.Metric {
			if name != "instance" && name != "job" && name != "organization" && name != "__name__" {
				labels = append(labels, fmt.Sprintf("%s=%q", name, v))
			}
		}
		if len(labels) == 0 && r.Metric["organization"] != "" {
			labels = append(labels, fmt.Sprintf("organization=%q", r.Metric["organization"]))
		}
		slices.Sort(labels)
		out = append(out, "{"+strings.Join(labels, ", ")+"} "+short(value))
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
