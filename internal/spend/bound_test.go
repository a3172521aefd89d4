package spend

import (
	"fmt"
	"testing"

	"github.com/openai-exporter/openai_exporter/internal/ledger"
)

// shown is a ledger that shows what it is told to.
type shown struct{ view *ledger.View }

func (s *shown) View() *ledger.View { return s.view }

func TestPricesOfOrganizationsThatAreGoneAreForgotten(t *testing.T) {
	v := &shown{&ledger.View{}}
	b := New(v)
	for _, name := range []string{"stays", "goes"} {
		v.view.Organizations = append(v.view.Organizations, ledger.OrganizationView{Name: name})
		b.present(name)
	}
	v.view = &ledger.View{Organizations: v.view.Organizations[:1]}
	b.Configure(Settings{})
	for name, want := range map[string]bool{"stays": true, "goes": false} {
		if _, known := b.prices.Load(name); known != want {
			t.Errorf("%s is known: %t", name, known)
		}
	}
}

func TestWhatTheLogHasNamedHasABound(t *testing.T) {
	b := New(nil)
	for i := range 2 * mostNamed {
		b.news(unknown{"acme", "line_item", fmt.Sprint(i)})
	}
	n := 0
	b.logged.Range(func(any, any) bool {
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
