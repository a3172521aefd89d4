package ledger

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Each hands out what was read without booking it: for every bucket, oldest first, the label sets with their sums in
// the order of their labels. other are the labels of the series that the label set is folded into where there is no
// room for it. The slices must not be changed.
func (r *Read) Each(yield func(start time.Time, row Row, other []Label)) error {
	r.show(r.columns, r.groups)
	slices.SortFunc(r.buckets, func(a, b readBucket) int { return a.start.Compare(b.start) })
	others := make([][]Label, len(r.groups))
	for i := range r.groups {
		for _, name := range r.groups[i].labels {
			others[i] = append(others[i], Label{name, Other})
		}
	}
	for i := range r.buckets {
		b := &r.buckets[i]
		if b.repeated {
			return fmt.Errorf("the API returned the bucket %s twice", b.start.UTC().Format(time.RFC3339))
		}
		for gi, cells := range b.cells {
			keys := r.shown[gi]
			slices.SortFunc(cells, func(a, b shownCell) int { return strings.Compare(keys[a.set], keys[b.set]) })
			for _, c := range cells {
				labels, err := labelsOf(indexKey(gi, []byte(keys[c.set])))
				if err != nil {
					return err
				}
				yield(b.start, Row{Labels: labels, Measures: r.groups[gi].measures, Values: c.values}, others[gi])
			}
		}
	}
	return nil
}
