package exporter

import (
	"log/slog"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// headroom is the share of a container's memory that Go may use before it collects garbage harder. The rest is for what
// Go does not count, such as the pages of the state that are mapped.
const headroom = 0.9

// limitMemory makes Go respect the memory limit of the cgroup. $GOMEMLIMIT has the last word.
func limitMemory(logger *slog.Logger, fromCgroup memlimit.Provider) error {
	_, err := memlimit.Set(memlimit.WithLogger(logger), memlimit.WithRatio(headroom), memlimit.WithProvider(func() (uint64, error) {
		limit, err := fromCgroup()
		if err != nil {
			// Most machines have no cgroup with a limit. That is no error of the exporter.
			logger.Debug("The memory limit of the cgroup is not used", "reason", err)
			return 0, memlimit.ErrNoLimit
		}
		return limit, nil
	}))
	return err
}
