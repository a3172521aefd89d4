package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"runtime"
	"time"

	"github.com/openai-exporter/openai_exporter/fetcher"
	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
	"github.com/openai-exporter/openai_exporter/internal/spend"
)

// A poll of an hour of minutes has so many rows where it is read by batch and service tier; without them it has half as
// many.
const (
	fineMinutes = 60
	fineRows    = 100_000 / fineMinutes
)

// A reading is what is read of a large organization and what is shown of it.
type reading struct {
	name         string
	show, readBy []string

	ledger *ledger.Ledger
	feed   *ledger.Feed
	bodies [2][]byte // of two polls: the newest minute differs
	polls  int
	live   float64 // bytes that the ledger holds
}

// fine compares what it costs to read an endpoint by all that prices depend on with reading what is shown alone.
func fine(ctx context.Context, w io.Writer, dir string) error {
	start := time.Now().Add(-(fineMinutes - 1) * time.Minute).Truncate(time.Minute)
	var now *reading
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(now.bodies[now.polls%2]) // A client that has gone says so itself.
	}))
	defer srv.Close()
	client, err := fetcher.NewClient(fetcher.ClientOptions{
		Organization: "acme", BaseURL: srv.URL + "/v1", Key: key("sk-admin-benchmark"), RequestsPerMinute: 1 << 30,
	})
	if err != nil {
		return err
	}
	defer client.Close()
	completions, _ := api.Find("completions")
	readings := []*reading{
		{name: "as shown, by project and model", show: dimensions[:2]},
		{name: "fine, shown by project and model", show: dimensions[:2], readBy: spend.ReadBy(completions)},
		{name: "fine, shown by batch and tier, too", show: dimensions, readBy: spend.ReadBy(completions)},
	}
	var sides []side
	for i, r := range readings {
		if err := r.open(filepath.Join(dir, fmt.Sprint("fine", i)), completions, start); err != nil {
			return err
		}
		defer r.ledger.Close()
		poll := func() error {
			now = r
			r.polls++
			window := r.feed.PollWindow(client.Now())
			window.From = start
			read, err := client.Read(ctx, fetcher.Query{Endpoint: completions, GroupBy: r.feed.GroupBy(), Window: window})
			if err != nil {
				return err
			}
			return r.feed.Book(ctx, read)
		}
		before := live()
		if err := poll(); err != nil {
			return err
		}
		r.live = live() - before
		sides = append(sides, side{r.name, nil, poll})
	}
	costs, err := compare(ctx, sides)
	if err != nil {
		return err
	}
	t := newTable(fmt.Sprintf("A poll of %d minutes, read over HTTP, priced, booked and on disk; the newest minute has changed", fineMinutes),
		"Read", "Rows", "Label sets", "Bytes", "CPU", "CPU × as shown", "Allocated", "Held by the ledger")
	for i, c := range costs {
		r := readings[i]
		sets := r.ledger.View().Feeds[0].Series
		t.row(r.name, fmt.Sprint(r.rows()*fineMinutes), fmt.Sprint(len(sets)), size(float64(len(r.bodies[0]))), ms(c.cpu), over(c.cpu, costs[0].cpu), size(c.bytes), size(r.live))
	}
	t.write(w)
	return nil
}

// live is how many bytes are in use once the garbage is gone.
func live() float64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

func (r *reading) rows() int {
	if r.readBy == nil {
		return fineRows / 2
	}
	return fineRows
}

// View makes a reading what prices are learned from: it has no bill, so they are the built-in ones.
func (r *reading) View() *ledger.View { return r.ledger.View() }

func (r *reading) open(dir string, e *api.Endpoint, start time.Time) error {
	for i := range r.bodies {
		r.bodies[i] = r.body(start, int64(i))
	}
	l, err := ledger.Open(ledger.Options{Dir: dir})
	if err != nil {
		return err
	}
	r.ledger = l
	feeds, err := l.Configure(ledger.Settings{IdleRetention: 840 * time.Hour, MaxLabelSets: 20_000}, []ledger.FeedOptions{{
		Organization: "acme", Endpoint: e, GroupBy: r.show, ReadBy: r.readBy, Price: spend.New(r).Pricer("acme", e),
		Width: api.Minute, Lookback: lookback, AuditInterval: 15 * time.Minute, AuditWindow: audited,
	}})
	if err != nil {
		return err
	}
	r.feed = feeds[0]
	return nil
}

// body is the answer to a poll. Where batches are told apart, each project and model has a row for them and one beside.
func (r *reading) body(start time.Time, newest int64) []byte {
	var b bytes.Buffer
	b.WriteString(`{"object":"page","data":[`)
	for i := range fineMinutes {
		if i > 0 {
			b.WriteByte(',')
		}
		at := start.Add(time.Duration(i) * time.Minute).Unix()
		fmt.Fprintf(&b, `{"object":"bucket","start_time":%d,"end_time":%d,"results":[`, at, at+60)
		for j := range r.rows() {
			if j > 0 {
				b.WriteByte(',')
			}
			batch, of := "null,\"service_tier\":null", j
			if r.readBy != nil {
				batch, of = fmt.Sprintf(`%t,"service_tier":"default"`, j%2 == 0), j/2
			}
			requests := 1 + int64(i%7)
			if i == fineMinutes-1 {
				requests += newest
			}
			fmt.Fprintf(&b, `{"object":"organization.usage.completions.result","input_tokens":%d,"output_tokens":%d,"num_model_requests":%d,"project_id":"proj_%024d","user_id":null,"api_key_id":null,"model":"%s","batch":%s,"input_cached_tokens":%d,"input_audio_tokens":0,"output_audio_tokens":0}`,
				1000*i+of, 100*i+of, requests, of/4, []string{"gpt-5-2025-08-07", "gpt-5-mini-2025-08-07", "gpt-4o-2024-08-06", "gpt-4.1-2025-04-14"}[of%4], batch, 10*i)
		}
		b.WriteString("]}")
	}
	b.WriteString(`],"has_more":false,"next_page":null}`)
	return b.Bytes()
}
