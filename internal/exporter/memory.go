package exporter

import (
	"math"
	"os"
	"runtime/debug"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
)

// headroom is the share of a container's memory that Go may use before it collects garbage harder. The rest is for what
// Go does not count, such as the pages of the state that are mapped.
const headroom = 0.9

// limitMemory makes Go respect the memory limit of the cgroup, which it does not by itself. $GOMEMLIMIT has the last word.
// The cgroup's limit is what fromCgroup says.
func limitMemory(logger log.Logger, fromCgroup func() (uint64, error)) {
	if _, set := os.LookupEnv("GOMEMLIMIT"); set {
		return
	}
	total, err := fromCgroup()
	if err != nil || total > math.MaxInt64 {
		level.Debug(logger).Log("msg", "No memory limit of a cgroup is respected", "reason", err)
		return
	}
	limit := int64(headroom * float64(total))
	debug.SetMemoryLimit(limit)
	level.Info(logger).Log("msg", "Respecting the memory limit of the cgroup", "cgroup_bytes", total, "gomemlimit_bytes", limit)
}
