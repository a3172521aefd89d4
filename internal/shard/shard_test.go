package shard_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/shard"
)

func TestAShardIsReadAsIndexAndCount(t *testing.T) {
	for _, text := range []string{"0/1", "0/3", "2/3", "9999/10000"} {
		s, err := shard.Parse(text)
		if err != nil || s.String() != text || s.Unit != shard.Organization {
			t.Errorf("%s is read as %+v, %v", text, s, err)
		}
	}
	for text, want := range map[string]string{
		"":               "does not have the form index/count, such as 0/3",
		"1":              "does not have the form index/count, such as 0/3",
		"3/3":            "the index before the slash must be a number from 0 to 2",
		"-1/3":           "the index before the slash must be a number from 0 to 2",
		"/3":             "the index before the slash must be a number from 0 to 2",
		"$(POD_INDEX)/3": "the index before the slash must be a number from 0 to 2",
		"0/0":            "the count after the slash must be a number from 1 to 10000",
		"0/":             "the count after the slash must be a number from 1 to 10000",
		"0/+3":           "the count after the slash must be a number from 1 to 10000",
		"0/3/5":          "the count after the slash must be a number from 1 to 10000",
		"0/10001":        "the count after the slash must be a number from 1 to 10000",
	} {
		if s, err := shard.Parse(text); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q is read as %+v, %v; want one line with %q", text, s, err, want)
		}
	}
}

// names are the pairs of one organization.
func names() []string {
	var all []string
	for i := range api.Endpoints {
		all = append(all, api.Endpoints[i].Name)
	}
	return append(all, shard.Lookups)
}

func organizations(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("organization-%d", i)
	}
	return all
}

func owner(t *testing.T, unit shard.Unit, count int, organization, endpoint string) int {
	t.Helper()
	owner := -1
	for i := range count {
		if !(shard.Shard{Index: i, Count: count, Unit: unit}).Owns(organization, endpoint) {
			continue
		}
		if owner >= 0 {
			t.Fatalf("both %d and %d of %d own %s/%s", owner, i, count, organization, endpoint)
		}
		owner = i
	}
	if owner < 0 {
		t.Fatalf("nobody of %d owns %s/%s", count, organization, endpoint)
	}
	return owner
}

func TestEveryPairHasExactlyOneOwner(t *testing.T) {
	for _, unit := range []shard.Unit{shard.Organization, shard.Endpoint} {
		for _, count := range []int{1, 2, 3, 7} {
			for _, o := range organizations(50) {
				for _, e := range names() {
					owner(t, unit, count, o, e)
				}
			}
		}
	}
	if !(shard.Shard{}).Owns("acme", "costs") {
		t.Error("without shards somebody else owns something")
	}
}

func TestAnOrganizationStaysWhole(t *testing.T) {
	for _, o := range organizations(50) {
		first := owner(t, shard.Organization, 5, o, api.Costs)
		for _, e := range names() {
			if got := owner(t, shard.Organization, 5, o, e); got != first {
				t.Errorf("%s is split: %s is with %d, costs with %d", o, e, got, first)
			}
		}
	}
}

func TestSplitOrganizationsKeepTheBillAndTheNamesWithCompletions(t *testing.T) {
	split := false
	for _, o := range organizations(50) {
		core := owner(t, shard.Endpoint, 5, o, "completions")
		for _, e := range []string{api.Costs, shard.Lookups} {
			if got := owner(t, shard.Endpoint, 5, o, e); got != core {
				t.Errorf("%s of %s is with %d, completions with %d", e, o, got, core)
			}
		}
		split = split || owner(t, shard.Endpoint, 5, o, "embeddings") != core
	}
	if !split {
		t.Error("no organization is split")
	}
}

func TestOneMoreShardTakesItsPartAndMovesNothingElse(t *testing.T) {
	const before, n = 4, 4000
	moved := 0
	for _, o := range organizations(n) {
		was, is := owner(t, shard.Organization, before, o, api.Costs), owner(t, shard.Organization, before+1, o, api.Costs)
		if was == is {
			continue
		}
		if moved++; is != before {
			t.Errorf("%s went from %d to %d, which was there before", o, was, is)
		}
	}
	if want := n / (before + 1); moved < want*9/10 || moved > want*11/10 {
		t.Errorf("%d of %d organizations moved, want about %d", moved, n, want)
	}
}

func TestShardsAreOfLikeSize(t *testing.T) {
	const count, n = 8, 8000
	sizes := make([]int, count)
	for _, o := range organizations(n) {
		sizes[owner(t, shard.Organization, count, o, api.Costs)]++
	}
	for i, size := range sizes {
		if size < n/count*9/10 || size > n/count*11/10 {
			t.Errorf("shard %d has %d of %d organizations", i, size, n)
		}
	}
}

// Who polls what must not change with a version: it would start everything over.
func TestOwnersNeverChange(t *testing.T) {
	for _, c := range []struct {
		unit                   shard.Unit
		organization, endpoint string
		want                   int
	}{
		{shard.Organization, "default", "completions", 1},
		{shard.Organization, "acme", "completions", 1},
		{shard.Organization, "globex", "costs", 0},
		{shard.Endpoint, "acme", "completions", 2},
		{shard.Endpoint, "acme", "embeddings", 1},
		{shard.Endpoint, "acme", "images", 2},
	} {
		if got := owner(t, c.unit, 3, c.organization, c.endpoint); got != c.want {
			t.Errorf("%s/%s by %s is with %d of 3, has always been with %d", c.organization, c.endpoint, c.unit, got, c.want)
		}
	}
}

func TestSharesOfTheRequestBudgetAddUpToIt(t *testing.T) {
	for _, perMinute := range []int{13, 60, 61, 6000} {
		for _, o := range organizations(20) {
			sum := 0
			for i := range 3 {
				s := shard.Shard{Index: i, Count: 3, Unit: shard.Endpoint}
				asks := false
				for _, e := range names() {
					asks = asks || s.Owns(o, e)
				}
				if asks { // Who asks nothing has no client either.
					sum += s.Share(perMinute, o, names())
				}
			}
			if sum != perMinute {
				t.Errorf("the shares of %s add up to %d of %d requests a minute", o, sum, perMinute)
			}
		}
	}
	whole := shard.Shard{Count: 3, Unit: shard.Organization}
	for i := range 3 {
		if whole.Index = i; whole.Owns("acme", api.Costs) && whole.Share(60, "acme", names()) != 60 {
			t.Error("an organization that is whole has not all of its budget")
		}
	}
	if got := (shard.Shard{}).Share(60, "acme", names()); got != 60 {
		t.Errorf("without shards the budget is %d", got)
	}
	if got := (shard.Shard{Index: owner(t, shard.Endpoint, 2, "acme", "images"), Count: 2, Unit: shard.Endpoint}).Share(1, "acme", names()); got != 1 {
		t.Errorf("the smallest budget is %d", got)
	}
}
