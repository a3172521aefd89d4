package main

import (
	"context"
	"fmt"
	"io"
	"net/http/httptest"
	"time"

	"github.com/openai-exporter/openai_exporter/collector"
	"github.com/openai-exporter/openai_exporter/fetcher"
	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
)

// manyOrganizations is as many as one exporter may have to poll for somebody who manages those of others.
const manyOrganizations = 1000

// A fleet is organizations with all endpoints, which are polled and have no data yet.
type fleet struct {
	view     *ledger.View
	statuses []fetcher.Status
}

func newFleet() *fleet {
	f, now := &fleet{view: new(ledger.View)}, time.Now()
	for i := range manyOrganizations {
		name := fmt.Sprintf("organization-%04d", i)
		f.view.Organizations = append(f.view.Organizations, ledger.OrganizationView{Name: name, Limit: 20_000})
		for j := range api.Endpoints {
			e := &api.Endpoints[j]
			f.view.Feeds = append(f.view.Feeds, &ledger.FeedView{
				Organization: name, Endpoint: e, ReadAt: now, ReadThrough: now, ByMeasure: make([]ledger.MeasureView, len(e.Measures)),
			})
			f.statuses = append(f.statuses, fetcher.Status{Organization: name, Endpoint: e.Name, State: fetcher.StateOK, LastPoll: now, LastSuccess: now})
		}
	}
	return f
}

func (f *fleet) View() *ledger.View { return f.view }

func (f *fleet) Status() []fetcher.Status { return f.statuses }

// organizations measures scrapes of what the exporter tells of itself alone.
func organizations(ctx context.Context, w io.Writer, _ string) error {
	fleet := newFleet()
	c := collector.New(collector.Options{Views: fleet, Statuses: fleet})
	ours := c.Handler()
	polled := func() {
		st := &fleet.statuses[len(fleet.statuses)/2]
		c.Request(st.Organization, st.Endpoint, "200", time.Second)
		c.Poll(st.Organization, st.Endpoint, time.Second, nil)
	}
	for _, coding := range []string{"identity", "gzip"} {
		stored, err := record(ours, coding)
		if err != nil {
			return err
		}
		files, exporter := httptest.NewServer(content(stored, coding)), httptest.NewServer(ours)
		defer files.Close()
		defer exporter.Close()
		get := func(srv *httptest.Server) func() error {
			return func() error {
				_, err := scrape(srv, coding)
				return err
			}
		}
		sides := []side{
			{"http.ServeContent of the same bytes", nil, get(files)},
			{"openai_exporter", nil, get(exporter)},
			{"openai_exporter, the first scrape after a poll of one endpoint", polled, get(exporter)},
			{"openai_exporter, a second after the last scrape", settle, get(exporter)},
		}
		costs, err := compare(ctx, sides)
		if err != nil {
			return err
		}
		t := newTable(fmt.Sprintf("A scrape of %d organizations with %d endpoints each and no data, %s, %s", manyOrganizations, len(api.Endpoints), coding, size(float64(len(stored)))),
			"Served by", "Time", "CPU", "CPU × stored bytes", "Allocations", "Allocated")
		for i, c := range costs {
			t.row(sides[i].name, ms(c.time), ms(c.cpu), over(c.cpu, costs[0].cpu), count(c.allocs), size(c.bytes))
		}
		t.write(w)
	}
	return nil
}
