package fetcher

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestUsageGoesBeforeLookups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(6)
		if err := b.wait(t.Context(), priorityPoll); err != nil { // It uses up what is saved up.
			t.Fatal(err)
		}
		served := make(chan string, 6)
		for _, w := range []struct {
			name string
			p    priority
		}{{"look-up 1", priorityLookup}, {"look-up 2", priorityLookup}, {"audit", priorityAudit}, {"poll 1", priorityPoll}, {"poll 2", priorityPoll}} {
			go func() {
				if b.wait(t.Context(), w.p) == nil {
					served <- w.name
				}
			}()
			synctest.Wait()
		}
		for _, want := range []string{"poll 1", "poll 2", "audit", "look-up 1", "look-up 2"} {
			begin := time.Now()
			if got := <-served; got != want || time.Since(begin) != 10*time.Second {
				t.Errorf("%s after %s, want %s after 10s", got, time.Since(begin), want)
			}
		}
	})
}

func TestWhoGivesUpTakesNothingFromTheBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(60)
		for range 5 {
			if err := b.wait(t.Context(), priorityPoll); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		for range 20 {
			go func() {
				if err := b.wait(ctx, priorityPoll); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("error = %v", err)
				}
			}()
		}
		synctest.Wait()
		begin := time.Now()
		if err := b.wait(t.Context(), priorityLookup); err != nil || time.Since(begin) > time.Second {
			t.Errorf("waited %s: %v", time.Since(begin), err)
		}
	})
}
