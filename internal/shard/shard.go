// Package shard says which of several replicas does what. It needs no word between them: every replica that knows how
// many there are comes to the same answer.
package shard

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/openai-exporter/openai_exporter/internal/api"
)

// Most is how many shards there may be. It bounds what a typo costs; nobody needs as many replicas.
const Most = 10000

// A Unit is what stays together on one replica.
type Unit string

// The units.
const (
	// Organization keeps all of an organization on one replica. What an organization's endpoints share is there as if there
	// were no shards: prices learned from the bill, budgets, the rate limits of models in use, the limit of label sets, the
	// budget of requests.
	Organization Unit = "organization"
	// Endpoint splits an organization too, but for its core.
	Endpoint Unit = "endpoint"
)

// Lookups is the name under which an organization's look-ups are assigned. They are one, since all of them need the
// list of projects.
const Lookups = "lookups"

// core is the endpoint that costs and look-ups go with in either unit: it is most of what is spent, and estimates need
// the bill, rate limits the models in use.
const core = "completions"

// A Shard is one of Count replicas, counted from 0. The zero value is all there is.
type Shard struct {
	Index, Count int
	Unit         Unit
}

// Parse reads a shard as the command line spells it, index/count.
func Parse(text string) (Shard, error) {
	index, count, ok := strings.Cut(text, "/")
	if !ok {
		return Shard{}, fmt.Errorf("%q does not have the form index/count, such as 0/3", text)
	}
	n, err := whole(count)
	if err != nil || n < 1 || n > Most {
		return Shard{}, fmt.Errorf("%q: the count after the slash must be a number from 1 to %d", text, Most)
	}
	i, err := whole(index)
	if err != nil || i >= n {
		return Shard{}, fmt.Errorf("%q: the index before the slash must be a number from 0 to %d", text, n-1)
	}
	return Shard{Index: i, Count: n, Unit: Organization}, nil
}

// whole reads digits alone, where Atoi takes signs.
func whole(text string) (int, error) {
	if strings.Trim(text, "0123456789") != "" {
		return 0, errors.New("not a number")
	}
	return strconv.Atoi(text)
}

// String is the shard as the command line spells it.
func (s Shard) String() string { return fmt.Sprintf("%d/%d", s.Index, max(s.Count, 1)) }

// Sharded says whether there is more than one shard.
func (s Shard) Sharded() bool { return s.Count > 1 }

// Owns says whether this shard polls an endpoint of an organization, by the API's name, or makes its Lookups. Exactly
// one of all shards does.
func (s Shard) Owns(organization, endpoint string) bool {
	return !s.Sharded() || s.owner(organization, endpoint) == s.Index
}

// owner is the shard that draws the highest lot for a name. Another shard more draws lots of its own and takes only what
// it wins; nothing moves between the others (rendezvous hashing).
func (s Shard) owner(organization, endpoint string) int {
	name := organization
	if s.Unit == Endpoint {
		if endpoint == api.Costs || endpoint == Lookups {
			endpoint = core
		}
		name += "/" + endpoint
	}
	best, owner := uint64(0), 0
	for i := range s.Count {
		// The hash is part of the contract: another one would move everything at an upgrade.
		sum := sha256.Sum256([]byte(strconv.Itoa(i) + "/" + name))
		if lot := binary.BigEndian.Uint64(sum[:]); lot > best {
			best, owner = lot, i
		}
	}
	return owner
}

// Share is this shard's part of an organization's budget of requests a minute, when these endpoints, Lookups among them,
// are what is asked. The parts of all shards add up to the budget, unless it is so small that a part of one request has
// to be rounded up.
func (s Shard) Share(perMinute int, organization string, endpoints []string) int {
	if !s.Sharded() || len(endpoints) == 0 {
		return perMinute
	}
	before, own := 0, 0
	for _, e := range endpoints {
		switch owner := s.owner(organization, e); {
		case owner < s.Index:
			before++
		case owner == s.Index:
			own++
		}
	}
	// What is rounded off one part is in the next.
	end, begin := perMinute*(before+own)/len(endpoints), perMinute*before/len(endpoints)
	return max(end-begin, 1)
}
