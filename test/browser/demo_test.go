//go:build e2e || browser

package browser_test

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/test/process"
)

func TestTheDemoShowsUsageCostAndNamesByItself(t *testing.T) {
	binary := process.Build(t)
	address := process.FreeAddress(t)
	began := time.Now()
	p := process.Start(t, binary, "--demo", "--web.listen-address="+address)
	var metrics string
	process.Eventually(t, 3*time.Minute, "usage, cost and names are shown", func() error {
		body, err := process.Get(t.Context(), "http://"+address+"/metrics")
		if err != nil {
			return err
		}
		metrics = string(body)
		for _, name := range []string{"openai_usage_requests_total", "openai_usage_input_tokens_total", "openai_cost_usd_total", "openai_project_info"} {
			if !positive(metrics, name) {
				return fmt.Errorf("%s is not above zero", name)
			}
		}
		for _, project := range []string{"Research", "Support Copilot", "Data Platform"} {
			if !strings.Contains(metrics, `project_name="`+project+`"`) {
				return fmt.Errorf("no project is named %s", project)
			}
		}
		return nil
	})
	t.Logf("%.1f s from the start to usage, cost and names", time.Since(began).Seconds())
	for _, team := range []string{"products", "research", "unallocated"} {
		if !strings.Contains(metrics, `team="`+team+`"`) {
			t.Errorf("no project belongs to the team %s", team)
		}
	}

	log := strings.SplitN(p.Output(), "\n", 3)
	page := "http://" + address + "/"
	process.Eventually(t, 3*time.Minute, "the cost of today is what the API says", func() error { return today(t, page, began) })
	if !strings.Contains(log[0]+log[1], "open="+page) {
		t.Errorf("the first two lines of the log do not lead to %s:\n%s\n%s", page, log[0], log[1])
	}
	process.Eventually(t, 3*time.Minute, "the page names the organization", func() error {
		body, err := process.Get(t.Context(), page)
		if err == nil && !strings.Contains(string(body), ">demo</h2>") {
			err = errors.New("it does not")
		}
		return err
	})
}

// today compares what a demo shows as the cost of today with its API. Right after midnight nothing has been billed yet, so what
// is right depends on the time of day: it lies between what the API said when the demo began and what it says now, give or
// take what the API corrects meanwhile.
func today(t *testing.T, page string, began time.Time) error {
	t.Helper()
	body, err := process.Get(t.Context(), page)
	if err != nil {
		return err
	}
	metrics, err := process.Get(t.Context(), page+"metrics")
	if err != nil {
		return err
	}
	got := sum(t, string(metrics), `(?m)^openai_cost_today_usd\{.*\} (\S+)$`)
	api, midnight := regexp.MustCompile(`http://127\.0\.0\.1:\d+`).FindString(string(body)), time.Now().UTC().Truncate(24*time.Hour)
	var billed []float64
	for _, at := range []time.Time{began, time.Now()} {
		truth, err := process.Get(t.Context(), fmt.Sprintf("%s/_simulator/truth?endpoint=costs&from=%d&asof=%d", api, midnight.Unix(), at.Unix()))
		if err != nil {
			return err
		}
		billed = append(billed, sum(t, string(truth), `"cost_usd":"([^"]+)"`))
	}
	if got < 0.99*billed[0] || got > 1.01*billed[1] {
		return fmt.Errorf("it is %v, want %v to %v", got, billed[0], billed[1])
	}
	return nil
}

// sum adds up the numbers that a pattern finds in a text.
func sum(t *testing.T, text, pattern string) float64 {
	t.Helper()
	total := 0.0
	for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
		v, err := strconv.ParseFloat(m[1], 64)
		if err != nil {
			t.Fatal(err)
		}
		total += v
	}
	return total
}

// positive says whether a metric has a value above zero.
func positive(metrics, name string) bool {
	for _, m := range regexp.MustCompile(`(?m)^`+name+`\{.*\} (\S+)$`).FindAllStringSubmatch(metrics, -1) {
		if v, err := strconv.ParseFloat(m[1], 64); err == nil && v > 0 {
			return true
		}
	}
	return false
}
