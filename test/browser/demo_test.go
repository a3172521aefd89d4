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
)

func TestTheDemoShowsSomethingWithinFiveSeconds(t *testing.T) {
	binary := build(t)
	address := freeAddress(t)
	began := time.Now()
	p := start(t, binary, "--demo", "--web.listen-address="+address)
	var metrics string
	eventually(t, 5*time.Second, "usage, cost and names are shown", func() (err error) {
		if metrics, err = get(t.Context(), "http://"+address+"/metrics"); err != nil {
			return err
		}
		for _, name := range []string{"openai_usage_requests_total", "openai_usage_input_tokens_total", "openai_cost_usd_total", "openai_project_info"} {
			if !positive(metrics, name) {
				return fmt.Errorf("%s is not above zero", name)
			}
		}
		return nil
	})
	t.Logf("%.1f s from the start to usage, cost and names", time.Since(began).Seconds())
	for _, team := range []string{"Research", "Support Copilot", "Data Platform"} {
		if !strings.Contains(metrics, `project_name="`+team+`"`) {
			t.Errorf("no project is named %s", team)
		}
	}

	log := strings.SplitN(p.output(), "\n", 3)
	page := "http://" + address + "/"
	if !strings.Contains(log[0]+log[1], "open="+page) {
		t.Errorf("the first two lines of the log do not lead to %s:\n%s\n%s", page, log[0], log[1])
	}
	eventually(t, 5*time.Second, "the page names the organization", func() error {
		body, err := get(t.Context(), page)
		if err == nil && !strings.Contains(body, ">demo</h2>") {
			err = errors.New("it does not")
		}
		return err
	})
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
