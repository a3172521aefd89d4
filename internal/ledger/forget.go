package ledger

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-kit/log/level"
	bolt "go.etcd.io/bbolt"
)

// forgetEvery is how often the ledger looks for state that it no longer needs.
const forgetEvery = time.Hour

// forget removes the state of feeds that are not configured and were last read so long ago that their series would be
// retired. Time is what the APIs of those that are configured have said last, so a wrong local clock makes no difference;
// and it is that of the organization in the middle, so a wrong clock of one API decides nothing about the others.
func (l *Ledger) forget() {
	defer l.write()()
	configured := make(map[string]bool, len(l.feeds))
	clocks := make([]int64, 0, len(l.own))
	for _, o := range l.own {
		newest := int64(0)
		for _, f := range o.feeds {
			configured[f.name] = true
			newest = max(newest, f.meta.ReadAt)
		}
		if newest != 0 {
			clocks = append(clocks, newest)
		}
	}
	if len(clocks) == 0 {
		return
	}
	slices.Sort(clocks)
	newest := clocks[(len(clocks)-1)/2] // One clock that is ahead decides nothing about others.
	names, err := l.store.idle(configured, newest-seconds(l.settings.IdleRetention))
	if err == nil && len(names) > 0 {
		err = l.commitChanges(goneWith(names))
	}
	if err != nil {
		level.Warn(l.logger).Log("msg", "Failed to remove state that is no longer needed", "err", err)
		return
	}
	for _, name := range names {
		organization, endpoint, _ := strings.Cut(name, "\x00")
		level.Info(l.logger).Log("msg", "Removed state of an endpoint that is no longer configured and was last polled longer ago than counters.idle_retention", "organization", organization, "endpoint", endpoint)
	}
}

func goneWith(names []string) []*changes {
	all := make([]*changes, len(names))
	for i, name := range names {
		all[i] = &changes{feed: name, gone: true}
	}
	return all
}

// idle names the feeds other than those that were last read before a time.
func (s *store) idle(other map[string]bool, before int64) (names []string, err error) {
	err = s.others(other, func(name string, m record) {
		if m.ReadAt < before {
			names = append(names, name)
		}
	})
	return names, err
}

// others visits the feeds on disk other than some.
func (s *store) others(other map[string]bool, visit func(name string, m record)) error {
	if err := s.broken.get(); err != nil {
		return err
	}
	return s.guarded(func() error {
		return s.db.View(func(tx *bolt.Tx) error {
			all, err := listed(tx)
			if err != nil {
				return err
			}
			for _, name := range all {
				if other[name] {
					continue
				}
				feed := tx.Bucket(bucketFeeds).Bucket([]byte(name))
				if feed == nil {
					return errMissing
				}
				var m record
				v, err := unseal(keyMeta, feed.Get(keyMeta))
				if err == nil {
					err = json.Unmarshal(v, &m)
				}
				if err != nil {
					return fmt.Errorf("metadata of an endpoint: %w", err)
				}
				visit(name, m)
			}
			return nil
		})
	})
}
