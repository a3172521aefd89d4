//go:build !race

package fetcher

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestABucketThatHasNotChangedIsPassedOver(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var buckets []string
	for i := range 60 {
		buckets = append(buckets, bucketWith(random, 60+60*i, random.IntN(30)))
	}
	first := remember(t, "completions", minutes(random, buckets), nil)
	again := remember(t, "completions", minutes(random, buckets), first)
	if again.passed != 60 {
		t.Errorf("%d buckets were passed over, want all 60", again.passed)
	}
	for range 200 {
		next := slices.Clone(buckets)
		changed := 0
		for i := range next {
			if random.IntN(3) == 0 {
				next[i] = bucketWith(random, 60+60*i, 1+random.IntN(30))
				changed++
			}
		}
		body := minutes(random, next)
		want := remember(t, "completions", body, nil)
		got := remember(t, "completions", body, again)
		if got.passed != 60-changed {
			t.Fatalf("%d buckets were passed over, want %d", got.passed, 60-changed)
		}
		if d := cmp.Diff(want.text(), got.text()); d != "" || want.rows != got.rows || !slices.Equal(want.buckets, got.buckets) {
			t.Fatalf("what is passed over counts otherwise: %s", d)
		}
		buckets, again = next, got
	}
}

// Whatever happens to a page on its way, it is read as it would be by someone who knows no bucket of it.
func TestATornOrChangedBucketIsNotPassedOver(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	var buckets []string
	for i := range 8 {
		buckets = append(buckets, bucketWith(random, 60+60*i, 3))
	}
	body := minutes(random, buckets)
	before := remember(t, "completions", body, nil)
	check := func(what string, body []byte) {
		t.Helper()
		want, wantErr := tryRemember(t, "completions", body, nil)
		got, err := tryRemember(t, "completions", body, before)
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("%s: error %v, want %v", what, err, wantErr)
		}
		if err == nil && !cmp.Equal(want.text(), got.text()) {
			t.Fatalf("%s: %v, want %v", what, got.text(), want.text())
		}
	}
	for n := range body {
		check(fmt.Sprintf("cut off after %d bytes", n), body[:n])
	}
	for n := range body {
		for _, c := range []byte{'7', ',', '}', ']', ' ', '"'} {
			changed := bytes.Clone(body)
			changed[n] = c
			check(fmt.Sprintf("byte %d is %q", n, c), changed)
		}
		check(fmt.Sprintf("byte %d is gone", n), slices.Delete(bytes.Clone(body), n, n+1))
		check(fmt.Sprintf("byte %d stands twice", n), slices.Insert(bytes.Clone(body), n, body[n]))
	}
	for i := range buckets {
		moved := slices.Clone(buckets)
		j := random.IntN(len(moved))
		moved[i], moved[j] = moved[j], moved[i]
		check("two buckets have changed places", minutes(random, moved))
		check("a bucket is missing", minutes(random, slices.Delete(slices.Clone(buckets), i, i+1)))
		check("a bucket stands twice", minutes(random, slices.Insert(slices.Clone(buckets), i, buckets[i])))
	}
}
