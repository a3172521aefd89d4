//go:build !race

package backfill_test

import "testing"

func TestEverySeriesOfMinutesEndsWithTheTruth(t *testing.T) { endsWithTheTruth(t, "1m") }
