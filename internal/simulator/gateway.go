package simulator

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/api"
)

// lost is the share of the tokens that a gateway does not count.
const lost = 0.07

// A gateway sees the traffic of every project on its way, but for a share that it loses and for what one key does past it.
// It counts from the first time that it is asked, a minute after it has happened at most.
type gateway struct {
	s *Simulator

	mu      sync.Mutex
	leaked  string // the key
	through time.Time
	ended   time.Time // from here on it has found nothing, since the traffic has an end
	seen    map[use]inOut
}

// A use is what a gateway tells apart.
type use struct{ project, key, model string }

type inOut struct{ in, out float64 }

// newGateway is a gateway of a simulator past which the production key of Search is used.
func newGateway(s *Simulator) *gateway {
	return &gateway{s: s, leaked: s.org.keys[search*3+2].ID}
}

// Gateway serves what a gateway has seen as metrics: in the words of OpenTelemetry, of its older histogram, of LiteLLM and of
// agentgateway, a project each. Project and key are labels, as they are where a scrape job or relabelling says them; with
// ?project_id= it serves that project alone, without them.
func (s *Simulator) Gateway() http.Handler { return http.HandlerFunc(s.gateway.serve) }

// SetLeaked changes the key that is used past the gateway from now on; "" is none.
func (s *Simulator) SetLeaked(key string) {
	s.gateway.mu.Lock()
	defer s.gateway.mu.Unlock()
	s.gateway.pass()
	s.gateway.leaked = key
}

// pass counts what has come by since the last time. What is used on the days before and after the first time begins at 0, as
// counters do whose first request is no more than one of many: the clock may go forward by hours at once, and a series that
// came with all of these would have them before it was ever scraped. The leaked key has no counters: nothing of it comes by.
func (g *gateway) pass() {
	now := g.s.Now().Truncate(time.Minute)
	if g.seen == nil {
		g.seen, g.through = map[use]inOut{}, now
		for u := range g.s.uses(now.Add(-24*time.Hour), now.Add(24*time.Hour)) {
			if u.key != g.leaked {
				g.seen[u] = inOut{}
			}
		}
	}
	if !now.After(g.through) {
		return
	}
	for u, tokens := range g.s.uses(g.through, now) {
		if u.key != g.leaked {
			sum := g.seen[u]
			g.seen[u] = inOut{sum.in + (1-lost)*tokens.in, sum.out + (1-lost)*tokens.out}
		}
	}
	g.through = now
}

// end is told of an end of the traffic before it is set or, with the zero time, is no more. Where there was one, what the
// gateway found nothing of has come by all the same.
func (g *gateway) end(t time.Time) {
	if g.seen == nil {
		return
	}
	g.pass()
	if !g.ended.IsZero() && g.ended.Before(g.through) {
		g.through = g.ended
	}
	if g.ended = t; t.Before(g.through) && !t.IsZero() {
		g.ended = g.through
	}
}

// uses are the tokens of a range, as everybody knows them in the end. What has no key was done in the playground.
func (s *Simulator) uses(from, to time.Time) map[use]inOut {
	all := map[use]inOut{}
	for i := range api.Endpoints {
		e := &api.Endpoints[i]
		if !slices.ContainsFunc(e.Measures, func(m api.Measure) bool { return m.Name == "input_tokens" }) {
			continue
		}
		for _, r := range s.Final(e.Name, []string{"project_id", "api_key_id", "model"}, from, to) {
			u := use{r.Labels["project_id"], r.Labels["api_key_id"], r.Labels["model"]}
			if u.key == "" {
				continue
			}
			in, out := r.Values["input_tokens"], r.Values["output_tokens"]
			all[u] = inOut{all[u].in + in.Float64(), all[u].out + out.Float64()}
		}
	}
	return all
}

func (g *gateway) serve(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	for _, line := range g.lines(r.URL.Query().Get("project_id")) {
		if _, err := fmt.Fprintln(w, line); err != nil {
			return
		}
	}
}

// lines are the samples of a project, or of all of them with the labels that tell them apart, sorted so that those of a
// metric stand together.
func (g *gateway) lines(project string) []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.pass()
	sums := map[use]inOut{}
	for u, tokens := range g.seen {
		if project != "" && u.project != project {
			continue
		}
		if project != "" {
			u.key = ""
		}
		sums[u] = inOut{sums[u].in + tokens.in, sums[u].out + tokens.out}
	}
	var lines []string
	for u, tokens := range sums {
		labels := ""
		if project == "" {
			labels = fmt.Sprintf(",project_id=%q,api_key_id=%q", u.project, u.key)
		}
		i := slices.IndexFunc(g.s.org.projects, func(p Project) bool { return p.ID == u.project })
		lines = append(lines, inWords(i, u.model, labels, tokens)...)
	}
	slices.Sort(lines)
	return lines
}

// inWords are the samples of a model in the words of one of the sources, which one the project decides.
func inWords(project int, model, labels string, tokens inOut) []string {
	histogram := func(name string) []string {
		line := func(kind string, n float64) string {
			return fmt.Sprintf(`%s_sum{gen_ai_system="openai",gen_ai_request_model=%q,gen_ai_token_type=%q%s} %f`, name, model, kind, labels, n)
		}
		return []string{line("input", tokens.in), line("output", tokens.out)}
	}
	counters := func(in, out, by string) []string {
		return []string{fmt.Sprintf(`%s{%s%s} %f`, in, by, labels, tokens.in), fmt.Sprintf(`%s{%s%s} %f`, out, by, labels, tokens.out)}
	}
	switch project % 4 {
	case 0:
		return counters("gen_ai_client_inference_usage_input_tokens_total", "gen_ai_client_inference_usage_output_tokens_total",
			fmt.Sprintf(`gen_ai_provider_name="openai",gen_ai_request_model="alias",gen_ai_response_model=%q`, model))
	case 1:
		return histogram("gen_ai_client_token_usage")
	case 2:
		return counters("litellm_input_tokens_metric_total", "litellm_output_tokens_metric_total", fmt.Sprintf(`model="openai/%s",team="a"`, model))
	default:
		return histogram("agentgateway_gen_ai_client_token_usage")
	}
}
