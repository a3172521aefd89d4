package main

import (
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"testing"
)

func TestABugIsMadeInOnePlaceOrNotAtAll(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.go")
	if err := os.WriteFile(file, []byte("package a\n\nconst one, two = 1, 2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	source, err := bug{name: "two is three", file: file, old: "2", text: "3"}.apply()
	if err != nil || string(source) != "package a\n\nconst one, two = 1, 3\n" {
		t.Errorf("the source became %q (%v)", source, err)
	}
	for _, old := range []string{"4", "o"} {
		if _, err := (bug{name: "none", file: file, old: old}).apply(); err == nil {
			t.Errorf("a bug was made at %q, which is not one place", old)
		}
	}
}

func TestEveryDeliberateBugHasAPlace(t *testing.T) {
	t.Chdir("../..")
	if len(bugs) < 18 {
		t.Errorf("there are %d bugs, want 18 at least", len(bugs))
	}
	names := map[string]bool{}
	for _, b := range bugs {
		if names[b.name] {
			t.Errorf("%q is there twice", b.name)
		}
		names[b.name] = true
		source, err := b.apply()
		if err != nil {
			t.Error(err) // Else the night ends at this bug, and tries none after it.
			continue
		}
		if _, err := parser.ParseFile(token.NewFileSet(), b.file, source, 0); err != nil {
			t.Errorf("%q: %v", b.name, err)
		}
	}
}
