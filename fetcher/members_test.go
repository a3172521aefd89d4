package fetcher

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/openai-exporter/openai_exporter/internal/decimal"
)

// spelled is a text as JSON may spell it: plain, or with any of its characters escaped.
func spelled(s string, random *rand.Rand) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		if r == '"' || r == '\\' || r < ' ' || random.IntN(20) == 0 {
			fmt.Fprintf(&b, `\u%04x`, r)
			continue
		}
		b.WriteRune(r)
	}
	b.WriteByte('"')
	return b.String()
}

func TestRowsMeanTheSameInAnyOrderAndSpelling(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	models := []string{"gpt-5", "gpt-5-mini", `a "quoted" one`, `back\slash`, `ends with \`, "é", "", "}],{"}
	var rows []string
	want := map[string]int{}
	tokens := 0
	for range 3000 {
		model, project := models[random.IntN(len(models))], fmt.Sprintf("proj_%d", random.IntN(3))
		n := random.IntN(1e6)
		tokens += n
		for column, v := range map[string]string{"model": model, "project_id": project} {
			if v != "" {
				want[column+"="+v]++
			}
		}
		members := []string{
			spelled("model", random) + ":" + spelled(model, random),
			spelled("project_id", random) + " :\t" + spelled(project, random),
			spelled("input_tokens", random) + ": " + fmt.Sprint(n),
		}
		// What nobody knows, and what is empty.
		for _, m := range []string{`"new":{"a":["}","\"]",{}],"b":-1.5e3}`, `"user_id":null`, `"list":[[],[1,"]"]]`, `"object":"organization.usage.completions.result"`, `"batch":null`} {
			if random.IntN(2) == 0 {
				members = append(members, m)
			}
		}
		// Mostly in the order of the row before, as the API writes them.
		if random.IntN(10) == 0 {
			random.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
		}
		row := "{" + strings.Join(members, " ,\n") + " }"
		if !json.Valid([]byte(row)) {
			t.Fatalf("the test writes no JSON: %s", row)
		}
		rows = append(rows, row)
	}
	e := endpoint(t, "completions")
	s := &labelCounts{columns: columnsOf(e), counts: map[string]int{}}
	body := pageOf(bucketOf(strings.Join(rows, ",")))
	if _, err := newDecoder(e, s.columns).page(bytes.NewReader([]byte(body)), s, everything); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, s.counts); d != "" {
		t.Errorf("rows by label (-want +got):\n%s", d)
	}
	sums, _, err := decode(t, "completions", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if got := sums.text()["input_tokens"]; got != fmt.Sprint(tokens) {
		t.Errorf("%s tokens, want %d", got, tokens)
	}
}

// labelCounts is a sink that counts rows by each of their labels.
type labelCounts struct {
	forgetful
	columns []string
	counts  map[string]int
}

func (*labelCounts) Bucket(time.Time) {}

func (s *labelCounts) Row(labels []string, _ []decimal.Fixed) {
	for i, l := range labels {
		if l != "" {
			s.counts[s.columns[i]+"="+l]++
		}
	}
}
