package main

import (
	"go/parser"
	"go/token"
	"os"
	"testing"
)

// Whoever changes the source that a deliberate bug is made in makes the bug anew.
func TestEveryDeliberateBugCanStillBeMade(t *testing.T) {
	t.Chdir("../..")
	if len(bugs) < 18 {
		t.Errorf("there are %d bugs, want 18 at least", len(bugs))
	}
	for _, b := range bugs {
		source, err := b.apply()
		if err != nil {
			t.Error(err)
			continue
		}
		if _, err := parser.ParseFile(token.NewFileSet(), b.file, source, 0); err != nil {
			t.Errorf("%q: %v", b.name, err)
		}
		if original, err := os.ReadFile(b.file); err != nil || string(original) == string(source) {
			t.Errorf("%q changes nothing (%v)", b.name, err)
		}
	}
}
