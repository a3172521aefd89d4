package main

import (
	"os"
	"path/filepath"
	"testing"
)

const counted = `package counted

type box[T any] struct{ n int }

func (b *box[T]) put(_ T, more ...int) {
	for _, m := range more {
		b.n += m + 1
	}
}

func least[T int | int64](a, b T) T { return min(a, b) }

func (box[T]) full(int, string) bool { return 1 < 2 }

func unused() (n int) { return 0 }

const limit = 7

func init() { unused() }
`

const countedTest = `package counted

import "testing"

func TestIt(t *testing.T) {
	var b box[string]
	b.put("x", 2, 3)
	if b.n != 7 || least(b.n, limit+1) != 7 || !b.full(0, "") {
		t.Error(b.n)
	}
}
`

// TestEachChangeIsTriedByItself: some are made in copies of their functions, which have parameters without a name, of any
// number and of any type, and some alone.
func TestEachChangeIsTriedByItself(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.Mkdir("counted", 0o700); err != nil {
		t.Fatal(err)
	}
	for file, text := range map[string]string{"go.mod": "module example.org/counted\n\ngo 1.26\n", "counted/counted.go": counted, "counted/counted_test.go": countedTest} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join("counted", "counted.go")
	all, err := places(file)
	if err != nil {
		t.Fatal(err)
	}
	b, err := newBench(t.TempDir(), all, true)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		`counted/counted.go:7: "+" becomes "-"`:        noticed,
		`counted/counted.go:7: "1" becomes "2"`:        noticed,
		`counted/counted.go:11: "min" becomes "max"`:   noticed,
		`counted/counted.go:13: "<" becomes "<="`:      survived,
		`counted/counted.go:13: "1" becomes "2"`:       noticed,
		`counted/counted.go:13: "2" becomes "3"`:       survived,
		`counted/counted.go:15: "0" becomes "1"`:       survived,
		`counted/counted.go:17: "7" becomes "8"`:       survived,
		`counted/counted.go:19: "unused()" becomes ""`: survived,
	}
	for i, p := range all {
		got, err := b.try(i+1, p, []string{"./counted"})
		if err != nil {
			t.Fatal(err)
		}
		if got != want[p.String()] {
			t.Errorf("%s: %q, want %q", p, got, want[p.String()])
		}
		delete(want, p.String())
	}
	for p := range want {
		t.Errorf("%s was not tried", p)
	}
}

func TestAChangeThatDoesNotBuildIsLeftOut(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("go.mod", []byte("module example.org/a\n\ngo 1.26\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir("a", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("a/a.go", []byte("package a\n\nfunc a() string { return \"1\" + \"2\" }\n\nfunc b() int { return 1 + 2 }\n\nvar _, _ = a(), b()\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	all, err := places("a/a.go")
	if err != nil {
		t.Fatal(err)
	}
	b, err := newBench(t.TempDir(), all, true)
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range all {
		if _, made := b.copied[i+1]; made != (p.function == "b") {
			t.Errorf("%s: made is %v", p, made)
		}
	}
}
