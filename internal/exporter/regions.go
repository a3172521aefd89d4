package exporter

import (
	"strings"
	"sync/atomic"

	"github.com/openai-exporter/openai_exporter/internal/directory"
)

// processing ends the residency of a project whose usage is processed in a region of its own, beside being kept there.
const processing = "_PROCESSING"

// regions say which projects are processed in a region of their own, as the look-ups have it. Rows are priced one by one,
// so that the answer is worked out once for each snapshot.
type regions struct {
	snapshots interface{ Snapshot() *directory.Snapshot }
	cached    atomic.Pointer[regional]
}

type regional struct {
	snapshot *directory.Snapshot
	projects map[[2]string]bool // by organization and project
}

func (r *regions) regional(organization, projectID string) bool {
	snapshot := r.snapshots.Snapshot()
	cached := r.cached.Load()
	if cached == nil || cached.snapshot != snapshot {
		cached = &regional{snapshot: snapshot, projects: map[[2]string]bool{}}
		for _, o := range snapshot.Organizations {
			for _, p := range o.Projects {
				if strings.HasSuffix(p.Residency, processing) {
					cached.projects[[2]string{o.Name, p.ID}] = true
				}
			}
		}
		r.cached.Store(cached)
	}
	return cached.projects[[2]string{organization, projectID}]
}
