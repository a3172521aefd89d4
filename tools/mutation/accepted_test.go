package main

import "testing"

func TestEveryAcceptedChangeHasAPlaceAndAReason(t *testing.T) {
	t.Chdir("../..")
	for i, a := range accepted {
		found, err := places(a.file)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, p := range found {
			if a.of(p) {
				n++
			}
		}
		if n == 0 {
			t.Errorf("%s has no place in %s where %q becomes %q in %q: has it been written again?", a.file, a.function, a.old, a.text, a.source)
		}
		if a.why == "" {
			t.Errorf("%s: %q in %s is accepted without a reason", a.file, a.source, a.function)
		}
		for _, b := range accepted[:i] {
			if b.file == a.file && b.function == a.function && b.source == a.source && b.old == a.old && b.text == a.text {
				t.Errorf("%s: %q is accepted twice", a.file, a.source)
			}
		}
	}
}

func TestAChangeIsAcceptedInItsOwnFunctionOnly(t *testing.T) {
	a := accepted[0]
	p := place{file: a.file, function: a.function, source: a.source, old: a.old, text: a.text}
	if got, found := acceptedFor(p); !found || got != a {
		t.Errorf("%s is not accepted", p)
	}
	p.function += "Other"
	if _, found := acceptedFor(p); found {
		t.Errorf("%s is accepted in another function", p)
	}
}

func TestTheShareIsPrintedWithAndWithoutWhatIsAccepted(t *testing.T) {
	for _, tc := range []struct {
		s    score
		want string
	}{
		{score{tried: 40, noticed: 34, accepted: 4}, "noticed 34 of 40 (85 %), and 34 of 36 (94 %) without the 4 that are accepted; the tests of 0 more did not end"},
		{score{tried: 3, endless: 3}, "noticed 0 of 3 (0 %), and 0 of 3 (0 %) without the 0 that are accepted; the tests of 3 more did not end"},
		{score{}, "noticed 0 of 0 (0 %), and 0 of 0 (0 %) without the 0 that are accepted; the tests of 0 more did not end"},
	} {
		if got := tc.s.String(); got != tc.want {
			t.Errorf("%+v is printed as %q, want %q", tc.s, got, tc.want)
		}
	}
}
