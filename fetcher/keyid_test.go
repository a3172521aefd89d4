package fetcher_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openai-exporter/openai_exporter/fetcher"
	"github.com/openai-exporter/openai_exporter/internal/simulator"
)

// TestAReadSaysWhichKeyItWasMadeWith: the same key is the same one in every client, and a read of two keys is of none.
func TestAReadSaysWhichKeyItWasMadeWith(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const fresh = "sk-admin-the-new-one"
		sim := simulator.New(simulator.Options{Seed: 3, Begin: time.Now()})
		rotate := false
		key := &word{text: secret}
		wire := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			sim.SetAdminKey(r.Header.Get("Authorization")[len("Bearer "):])
			sim.Handler().ServeHTTP(w, r)
			if rotate {
				key.set(fresh, nil)
			}
		}))
		read := func() uint64 {
			t.Helper()
			c := client(t, wire, &witness{}, func(o *fetcher.ClientOptions) { o.Key = key })
			r, err := c.Read(t.Context(), embeddings(t, minutes(25*60)))
			if err != nil {
				t.Fatal(err)
			}
			return r.Key
		}
		first := read()
		if again := read(); first == 0 || again != first {
			t.Errorf("one key is %d, then %d", first, again)
		}
		rotate = true
		if both := read(); both != 0 {
			t.Errorf("a read whose key was replaced between two pages is of %d", both)
		}
		if other := read(); other == 0 || other == first {
			t.Errorf("another key is %d, the first one %d", other, first)
		}
	})
}
