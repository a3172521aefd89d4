package simulator_test

import (
	"math"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/simulator"
)

var gatewaySample = regexp.MustCompile(`(?m)^([a-z_]+)\{(.*)\} ([0-9.]+)$`)

// counted adds up the samples of a gateway, and those of a key.
func counted(t *testing.T, s *simulator.Simulator, path, key string) (all, ofKey float64, names map[string]bool) {
	t.Helper()
	w := httptest.NewRecorder()
	s.Gateway().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
	names = map[string]bool{}
	for _, m := range gatewaySample.FindAllStringSubmatch(w.Body.String(), -1) {
		v, err := strconv.ParseFloat(m[3], 64)
		if err != nil {
			t.Fatal(err)
		}
		names[m[1]] = true
		all += v
		if strings.Contains(m[2], `api_key_id="`+key+`"`) {
			ofKey += v
		}
	}
	return all, ofKey, names
}

// A gateway sees all tokens of keys but for 7 %, and nothing of the key that has leaked.
func TestAGatewaySeesAllButWhatItLosesAndTheLeakedKey(t *testing.T) {
	begin := time.Date(2026, 9, 15, 8, 0, 0, 0, time.UTC)
	now := begin
	s := simulator.New(simulator.Options{Seed: 1, Clock: func() time.Time { return now }})
	if all, _, names := counted(t, s, "/", ""); all != 0 || len(names) != 6 {
		t.Fatalf("at first there are %v tokens in %d metrics, want 0 in the 6 of four sources", all, len(names))
	}
	tokens := func(from, to time.Time) (all, leaked float64, key string) {
		for _, k := range s.Keys() {
			for _, p := range s.Projects() {
				if p.ID == k.ProjectID && p.Name == "Search" && k.Name == "production" {
					key = k.ID
				}
			}
		}
		for _, e := range api.Endpoints {
			if !slices.ContainsFunc(e.Measures, func(m api.Measure) bool { return m.Name == "input_tokens" }) {
				continue
			}
			for _, r := range s.Final(e.Name, []string{"api_key_id"}, from, to) {
				in, out := r.Values["input_tokens"], r.Values["output_tokens"]
				switch r.Labels["api_key_id"] {
				case "":
				case key:
					leaked += in.Float64() + out.Float64()
				default:
					all += in.Float64() + out.Float64()
				}
			}
		}
		return all, leaked, key
	}
	unnamed := func(key, when string) {
		t.Helper()
		w := httptest.NewRecorder()
		s.Gateway().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
		if strings.Contains(w.Body.String(), key) {
			t.Errorf("%s the gateway names the key that goes past it", when)
		}
	}
	near := func(a, b float64) bool { return math.Abs(a-b) < 1e-6*b }

	_, _, key := tokens(begin, begin)
	unnamed(key, "at first")
	now = begin.Add(2*time.Hour + 30*time.Second)
	others, leaked, _ := tokens(begin, now.Truncate(time.Minute))
	unnamed(key, "two hours later")
	all, ofKey, _ := counted(t, s, "/", key)
	if !near(all, 0.93*others) || ofKey != 0 || leaked == 0 {
		t.Errorf("it has seen %v tokens, %v of the leaked key, want 0.93 of %v and nothing of %v", all, ofKey, others, leaked)
	}

	// From now on nothing goes past it.
	s.SetLeaked("")
	before := now.Truncate(time.Minute)
	now = now.Add(time.Hour)
	more, back, _ := tokens(before, now.Truncate(time.Minute))
	if got, ofKey, _ := counted(t, s, "/", key); !near(got-all, 0.93*(more+back)) || !near(ofKey, 0.93*back) {
		t.Errorf("it has seen %v more, %v of the key, want 0.93 of %v and of %v", got-all, ofKey, more+back, back)
	}

	// A project alone has no labels of ours.
	sum := 0.0
	for _, p := range s.Projects() {
		part, _, _ := counted(t, s, "/?project_id="+p.ID, key)
		sum += part
	}
	if got, ofKey, _ := counted(t, s, "/?project_id="+s.Projects()[0].ID, key); got == 0 || ofKey != 0 {
		t.Errorf("a project alone has %v tokens, and %v under a key", got, ofKey)
	}
	if got, _, _ := counted(t, s, "/", key); !near(sum, got) {
		t.Errorf("the projects add up to %v, want %v", sum, got)
	}
}

// While the traffic has an end the gateway sees nothing. When it has none any more, everything of that time has come by, once.
func TestAGatewayCountsWhatAnEndHasHeldBack(t *testing.T) {
	begin := time.Date(2026, 9, 15, 8, 0, 0, 0, time.UTC)
	through := begin.Add(6 * time.Hour)
	see := func(ends bool) float64 {
		now := begin
		s := simulator.New(simulator.Options{Seed: 1, Clock: func() time.Time { return now }})
		count := func() (all float64) {
			all, _, _ = counted(t, s, "/", "")
			return all
		}
		count()
		for _, step := range []struct {
			at, end time.Duration // after the beginning; no end is 0
		}{{time.Hour, time.Hour}, {2 * time.Hour, 0}, {3 * time.Hour, 90 * time.Minute}, {4 * time.Hour, 200 * time.Minute}, {5 * time.Hour, 0}} {
			now = begin.Add(step.at)
			before := count()
			switch {
			case !ends:
			case step.end == 0:
				s.SetEnd(time.Time{})
			default:
				s.SetEnd(begin.Add(step.end))
			}
			if after := count(); after < before {
				t.Errorf("after %s the gateway has %.0f, and had %.0f", step.at, after, before)
			}
		}
		now = through
		return count()
	}
	if with, without := see(true), see(false); math.Abs(with-without) > 1e-6*without {
		t.Errorf("with ends the gateway has seen %.0f, without %.0f", with, without)
	}
}
