package simulator_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"reflect"
	"strconv"
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/simulator"
)

// What is kept is what would be printed again, whatever changes in between.
func TestKeptBucketsAreThoseThatAreMade(t *testing.T) {
	t.Parallel()
	for _, room := range []int{20 << 10, 8 << 20} {
		o := simulator.Options{
			Seed: 7, Scale: 0.2, Streams: map[string]int{"completions": 3, "embeddings": 2}, Begin: monday.Add(-5*24*time.Hour - 7*time.Hour - 90*time.Second),
			Lateness: simulator.Lateness{Immediate: 0.3, Lumps: 3, Within: 20 * time.Minute, TailShare: 0.1, Tail: 4 * time.Hour, Costs: 3 * time.Hour},
			Restate:  simulator.Restatement{Up: 0.05, Down: 0.05, After: 10 * time.Minute, Until: 5 * time.Hour, Costs: 0.2, CostsUntil: 30 * time.Hour},
		}
		made, clock := at(monday, o)
		o.Kept = room
		kept, other := at(monday, o)
		rng := rand.New(rand.NewPCG(1, uint64(room)))
		pick := func(all ...string) string { return all[rng.IntN(len(all))] }
		both := func(change func(s *simulator.Simulator)) { change(made); change(kept) }
		now := monday
		for range 250 {
			step := time.Duration(rng.IntN(1200)) * time.Second
			now = now.Add(step)
			clock.Advance(step)
			other.Advance(step)
			switch rng.IntN(60) {
			case 0:
				key := pick("result", "results")
				both(func(s *simulator.Simulator) { s.SetResultKey(key) })
			case 1:
				text := rng.IntN(2) == 0
				both(func(s *simulator.Simulator) { s.SetStringAmounts(text) })
			case 2:
				x := simulator.Spike{Project: made.Projects()[rng.IntN(5)].ID, Factor: 3, From: now.Add(-30 * time.Hour), To: now.Add(-20 * time.Hour)}
				both(func(s *simulator.Simulator) { s.SetSpikes(x) })
			case 3:
				end := now.Add(-time.Duration(rng.IntN(100)) * time.Minute)
				both(func(s *simulator.Simulator) { s.SetEnd(end) })
			}
			endpoint := pick("completions", "embeddings", "vector_stores", api.Costs)
			from := now.Add(-time.Duration(rng.IntN([]int{9, 60}[rng.IntN(2)]*3600)) * time.Second)
			width := pick("1m", "1m", "1h", "1d")
			if endpoint == api.Costs {
				from, width = from.Add(-70*time.Hour), "1d"
			}
			q := query("bucket_width", width, "start_time", seconds(from), "group_by", pick("", "project_id", "project_id,line_item", "project_id,model"))
			if e := find(t, endpoint); q.Get("group_by") != "" && !e.Supports("model") || e.IsCosts() != (q.Get("group_by") == "project_id,line_item") {
				q.Set("group_by", "project_id")
			}
			if rng.IntN(2) == 0 {
				q.Set("end_time", seconds(from.Add(time.Duration(rng.IntN(30*60)+1440)*time.Minute)))
			}
			q.Set("limit", strconv.Itoa(1+rng.IntN(31)))
			if width == "1m" {
				q.Set("limit", strconv.Itoa(1+rng.IntN(1440)))
			}
			equal(t, made, kept, endpoint, q, from)
			if t.Failed() {
				t.Fatalf("with room for %d bytes", room)
			}
		}
	}
}

// equal holds that two simulators answer a query alike, twice, and know the same truth.
func equal(t *testing.T, made, kept *simulator.Simulator, endpoint string, q url.Values, from time.Time) {
	t.Helper()
	path := find(t, endpoint).Path
	status, _, want := get(t, made, path, q)
	if status != http.StatusOK {
		t.Fatalf("%s is answered with %s", q.Encode(), want)
	}
	for range 2 {
		if _, _, got := get(t, kept, path, q); !bytes.Equal(got, want) {
			t.Fatalf("%s %s is answered with\n%s\nand, where buckets are kept,\n%s", endpoint, q.Encode(), want, got)
		}
	}
	if want, got := made.Truth(endpoint, q["group_by"], from, made.Now(), made.Now()), kept.Truth(endpoint, q["group_by"], from, made.Now(), made.Now()); !reflect.DeepEqual(got, want) {
		t.Errorf("the truth of %s from %s is %v, and %v where buckets are kept", endpoint, from, want, got)
	}
}

// The room of an answer is used again once it is closed, and not before.
func TestAnswersOfTheTransportAreTheirOwnUntilTheyAreClosed(t *testing.T) {
	s, _ := at(monday, simulator.Options{})
	fetch := func(from time.Time) *http.Response {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://api.test/v1/organization/usage/completions?bucket_width=1h&start_time="+seconds(from), nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer key")
		resp, err := s.Transport().RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		return resp
	}
	read := func(resp *http.Response) string {
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	first := fetch(monday.Add(-3 * time.Hour))
	want := read(first)
	if err := errors.Join(first.Body.Close(), first.Body.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := first.Body.Read(make([]byte, 1)); !errors.Is(err, http.ErrBodyReadAfterClose) {
		t.Errorf("a closed body is read with %v, want %v", err, http.ErrBodyReadAfterClose)
	}
	one := fetch(monday.Add(-3 * time.Hour))
	other := fetch(monday.Add(-2 * time.Hour))
	if got := read(one); got != want {
		t.Errorf("an answer that another one came after reads\n%s\nwant\n%s", got, want)
	}
	if got := read(other); got == want || got == "" {
		t.Errorf("the answer to another query reads\n%s", got)
	}
	if err := errors.Join(one.Body.Close(), other.Body.Close()); err != nil {
		t.Fatal(err)
	}
}
