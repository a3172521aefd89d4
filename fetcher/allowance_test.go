package fetcher_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	promconfig "github.com/prometheus/common/config"

	"github.com/openai-exporter/openai_exporter/fetcher"
	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
)

func TestTheAllowanceShowsTheLastMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"object":"page","data":[],"has_more":false,"next_page":null}`))
		}))
		c, err := fetcher.NewClient(fetcher.ClientOptions{
			Organization: "acme", BaseURL: "http://api.test/v1", Key: &word{text: secret}, RequestsPerMinute: 60,
			HTTP: promconfig.DefaultHTTPClientConfig, DialContext: w.dial,
		})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		check := func(used, left int) {
			t.Helper()
			got := c.Allowance()
			if diff := cmp.Diff(fetcher.Allowance{PerMinute: 60, Used: used}, got); diff != "" || got.Left() != left {
				t.Errorf("%d are left: %s", got.Left(), diff)
			}
		}
		e, _ := api.Find("embeddings")
		from := time.Now().Truncate(time.Hour).Add(-2 * time.Hour)
		read := func() {
			t.Helper()
			if _, err := c.Read(t.Context(), fetcher.Query{Endpoint: e, Window: ledger.Window{Width: api.Hour, From: from, To: from.Add(time.Hour)}}); err != nil {
				t.Fatal(err)
			}
		}
		check(0, 60)
		for range 4 {
			read()
		}
		check(4, 56)
		<-time.After(30 * time.Second)
		read()
		check(5, 55)
		<-time.After(31 * time.Second)
		check(1, 59)
		<-time.After(time.Hour)
		check(0, 60)
	})
}
