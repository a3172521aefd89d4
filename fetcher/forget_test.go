package fetcher

import (
	"fmt"
	"testing"
	"time"
)

func TestThePaceOfWhatIsNoLongerPolledIsForgotten(t *testing.T) {
	s := NewScheduler(SchedulerOptions{})
	now := time.Now()
	s.pasts[endpointOf{"gone", "embeddings"}] = past{pace: pace{until: now.Add(-time.Second)}}
	s.pasts[endpointOf{"gone", "costs"}] = past{pace: pace{until: now.Add(time.Hour)}} // It is to be left alone, should it return.
	s.pasts[endpointOf{"acme", "embeddings"}] = past{pace: pace{until: now.Add(-time.Second)}}
	s.forget([]Organization{{Name: "acme"}})
	if _, there := s.pasts[endpointOf{"gone", "embeddings"}]; there || len(s.pasts) != 2 {
		t.Errorf("remembered: %v", s.pasts)
	}
}

func TestWhatIsRememberedOfRefusalsHasABound(t *testing.T) {
	var trouble keyTrouble
	for i := range 10 * mostComplaints {
		if !trouble.news(&Error{text: fmt.Sprint("refused ", i)}) {
			t.Fatal("another refusal is no news")
		}
	}
	if n := len(trouble.logged); n > mostComplaints {
		t.Errorf("%d refusals are remembered", n)
	}
	if trouble.news(&Error{text: fmt.Sprint("refused ", 10*mostComplaints-1)}) {
		t.Error("the same refusal is news")
	}
}
