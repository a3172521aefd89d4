//go:build !race

package simulation_test

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/openai-exporter/openai_exporter/fetcher"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
)

// A tap stands between what is read and the ledger.
type tap struct {
	fetcher.Feed
	o *oracle
	b *book
}

// tap returns the tap of a feed, the same each time.
func (o *oracle) tap(organization, endpoint string, f fetcher.Feed) fetcher.Feed {
	o.mu.Lock()
	defer o.mu.Unlock()
	if a := o.waiting; a != nil {
		// The ledger has the new configuration.
		o.waiting = nil
		a.on()
		o.mu.Unlock()
		<-a.done
		o.mu.Lock()
	}
	t := o.taps[f]
	if t == nil {
		t = &tap{f, o, o.book(organization, endpoint)}
		t.b.asked = f.GroupBy
		o.taps[f] = t
	}
	return t
}

// Drop takes note of a dimension that the API refuses.
func (t *tap) Drop(dimension string) error {
	err := t.Feed.Drop(dimension)
	t.o.mu.Lock()
	defer t.o.mu.Unlock()
	if x := t.b.organization; x.troubles["reject"] == 0 && time.Since(x.rejected) > 10*time.Minute {
		t.o.w.fault("%s %s: %s is given up, which nobody refuses", x.name, t.b.endpoint.Name, dimension)
	}
	if err == nil {
		t.b.dropped = append(t.b.dropped, dimension)
	}
	t.b.coarser = t.b.coarser || err == nil
	// What is read and not shown is no part of a shape.
	if err == nil && t.b.epoch != nil && slices.Contains(t.b.epoch.groupBy, dimension) {
		t.b.epoch.over, t.b.epoch.dropped = true, true
	}
	return err
}

// Book takes note of what is booked.
func (t *tap) Book(ctx context.Context, r *ledger.Read) error {
	defer t.o.meet(t.b)()
	t.o.mu.Lock()
	t.o.remember(t.b)
	t.o.mu.Unlock()
	if err := t.Feed.Book(ctx, r); err != nil {
		if !r.Window.Audit {
			t.b.refused = time.Now()
		}
		if errors.Is(err, ledger.ErrForeign) {
			t.b.foreign = time.Now()
			t.o.w.note("%s %s: the answer is another organization's", t.b.organization.name, t.b.endpoint.Name)
			t.b.organization.api.condemn(t.b.endpoint)
			patience := 11 * t.o.w.settings.costsInterval
			patient := slices.ContainsFunc([]time.Time{t.b.organization.well, t.o.w.begun, t.o.w.billing, t.o.recovered}, func(since time.Time) bool { return time.Since(since) <= patience })
			if len(t.b.organization.troubles) == 0 && !patient && t.o.w.settings.costs && t.o.toldByBill(t.b.organization) {
				// Until the bill is read again, an answer that tells nothing is taken for the other's.
				t.o.w.fault("%s %s: an answer of its own is taken for another organization's", t.b.organization.name, t.b.endpoint.Name)
			}
		}
		return err
	}
	t.o.mu.Lock()
	defer t.o.mu.Unlock()
	t.o.booked(t.b, r)
	t.o.remember(t.b)
	return nil
}
