package collector_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/openai-exporter/openai_exporter/internal/ledger"
)

// member returns the first gzip member of an answer and how many bytes follow it.
func member(t *testing.T, h http.Handler, target, accept string) (plain string, left int) {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, target, nil)
	r.Header.Set("Accept", accept)
	r.Header.Set("Accept-Encoding", "gzip")
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	if got := rec.Header().Get("Content-Encoding"); rec.Code != http.StatusOK || got != "gzip" {
		t.Fatalf("status %d, Content-Encoding %q", rec.Code, got)
	}
	body := bufio.NewReader(bytes.NewReader(rec.Body.Bytes()))
	z, err := gzip.NewReader(body)
	if err != nil {
		t.Fatal(err)
	}
	z.Multistream(false)
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b), len(rest)
}

func TestAnAnswerWithGzipIsOneMember(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 8))
	feeds := manyOrganizations(t, random)
	s := &source{now: noon}
	c := newCollector(s)
	h := c.Handler()
	for round := range 6 {
		// All is new in the first round, one feed in the others, so that most of the parts are those from before.
		feeds = slices.Clone(feeds)
		i := random.IntN(len(feeds))
		feeds[i] = randomFeed(feeds[i].Organization, feeds[i].Endpoint, random)
		s.view.Store(&ledger.View{Feeds: feeds})
		for _, target := range []string{"/metrics", "/metrics?name[]=openai_usage_requests_total"} {
			for format, accept := range acceptable {
				got, left := member(t, h, target, accept)
				if left != 0 {
					t.Fatalf("round %d, %s, %s: %d bytes follow the first member", round, target, format, left)
				}
				want := lines(t, ask(t, h, target, accept, "identity"), format)
				if zipped := lines(t, got, format); !slices.Equal(want, zipped) || got == "" {
					t.Fatalf("round %d, %s, %s (-identity +gzip):\n%s", round, target, format, cmp.Diff(want, zipped))
				}
			}
		}
	}
}

func TestAnAnswerOfALargeViewIsOneMember(t *testing.T) {
	c, change := shown(t, 20_000)
	h := c.Handler()
	for range 3 {
		got, left := member(t, h, "/metrics", acceptable["text"])
		want := ask(t, h, "/metrics", acceptable["text"], "identity")
		if d := cmp.Diff(lines(t, want, "text"), lines(t, got, "text")); d != "" || left != 0 {
			t.Fatalf("%d bytes follow the first member (-identity +gzip):\n%s", left, d)
		}
		change(false)
	}
}

// TestAnAnswerWhoseEndIsStoredIsOneMember: with so much before it the end is not compressed.
func TestAnAnswerWhoseEndIsStoredIsOneMember(t *testing.T) {
	c, _ := shown(t, 120_000)
	h := c.Handler()
	got, left := member(t, h, "/metrics", acceptable["text"])
	want := ask(t, h, "/metrics", acceptable["text"], "identity")
	if w, g := lines(t, want, "text"), lines(t, got, "text"); !slices.Equal(w, g) || left != 0 {
		t.Fatalf("%d bytes follow the first member, which has %d lines, want %d", left, len(g), len(w))
	}
	r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
	r.Header.Set("Accept-Encoding", "gzip")
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	if !bytes.Contains(rec.Body.Bytes(), []byte("\nprocess_open_fds ")) {
		t.Errorf("the end of %d bytes is compressed", rec.Body.Len())
	}
}
