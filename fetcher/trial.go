package fetcher

import (
	"errors"
	"net/http"
	"slices"
)

// A trial asks without the dimensions that a 400 seems to be about. What the message says is a guess, and giving a
// dimension up starts the endpoint afresh, so it is given up only after the same request without it was answered.
type trial struct {
	groupBy []string // what was to be asked for
	without []string // what is left out, in the order in which it was refused
	first   *Error   // the first refusal, nil before
}

// dimensions are what to ask for in place of a grouping. A grouping that has changed meanwhile starts over.
func (t *trial) dimensions(groupBy []string) []string {
	if !slices.Equal(t.groupBy, groupBy) {
		*t = trial{groupBy: groupBy}
	}
	return slices.DeleteFunc(slices.Clone(groupBy), func(d string) bool { return slices.Contains(t.without, d) })
}

// refused says whether an error is about a dimension, which is left out from now on.
func (t *trial) refused(err error) bool {
	var e *Error
	if !errors.As(err, &e) || !slices.Contains(t.dimensions(t.groupBy), e.Dimension) {
		return false
	}
	if t.first == nil {
		t.first = e
	}
	t.without = append(t.without, e.Dimension)
	return true
}

// explain is what to report when asking without the dimensions has failed too: the first refusal, which is about no
// dimension if the request is refused without it as well.
func (t *trial) explain(err error) error {
	if t.first == nil {
		return err
	}
	first := *t.first
	var e *Error
	if errors.As(err, &e) && e.Status == http.StatusBadRequest {
		first.Dimension = ""
	}
	return &first
}

// refusesWindow says whether the API refuses a window as such: with a 400 that is about no dimension, or with a 404.
func (e *Error) refusesWindow() bool {
	return e.Status == http.StatusBadRequest && e.Dimension == "" || e.Class == ClassNotFound
}
