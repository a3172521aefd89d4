package command

import (
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/simulator"
)

func TestLimitsAreShownForEveryModelInUse(t *testing.T) {
	t.Parallel() // It mostly waits.
	s, baseURL := simulate(t, simulator.Options{Clock: simulator.NewClock(time.Now(), 3600).Now})
	args, _ := configure(t, baseURL, goodKey, fast+"\nlimits: {interval: 1s}\nnames: {enabled: false}\ncounters: {start: today, zero_hold: 0s}")
	p := serve(t, args...)
	eventually(t, "the organization's spend limit", func() bool { return p.sum("openai_spend_limit_usd", "") > 25_000 })
	for _, project := range s.Projects() {
		limit := float64(project.SpendLimitCents) / 100
		eventually(t, "the spend limit of "+project.Name, func() bool { return p.sum("openai_spend_limit_usd", "project_id="+project.ID) == limit })
	}
	for _, name := range []string{"openai_rate_limit_tokens_per_minute", "openai_rate_limit_requests_per_minute"} {
		eventually(t, name, func() bool { return p.sum(name, "model=gpt-5.6-luna") > 0 })
		if n := p.sum(name, "model=davinci-002-2023-01-01"); n != 0 {
			t.Errorf("%s is shown for a model that nobody uses", name)
		}
	}
	if n := p.sum("openai_project_info", ""); n != 0 {
		t.Errorf("names are switched off, but %v are shown", n)
	}
}
