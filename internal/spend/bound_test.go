package spend

import (
	"fmt"
	"testing"
)

func TestWhatTheLogHasNamedHasABound(t *testing.T) {
	b := New(nil)
	for i := range 2 * mostNamed {
		b.news(unknown{"acme", "line_item", fmt.Sprint(i)})
	}
	n := 0
	b.named.Range(func(any, any) bool {
		n++
		return true
	})
	if n != mostNamed {
		t.Errorf("%d names are remembered, want %d", n, mostNamed)
	}
	if b.news(unknown{"acme", "line_item", "0"}) || b.news(unknown{"acme", "line_item", "another"}) {
		t.Error("something is named past the bound")
	}
}
