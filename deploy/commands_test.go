package deploy_test

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

var (
	testCommand = regexp.MustCompile(`go test (\./[\w/]+|\.) -run (\w+)`)
	testName    = regexp.MustCompile(`(?m)^func (Test\w+)\(`)
)

// A command of a document that runs some tests runs at least one: go test says ok where it finds none.
func TestCommandsOfDocumentsFindTheirTests(t *testing.T) {
	found := 0
	for _, file := range files(t, ".md") {
		text, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range testCommand.FindAllSubmatch(text, -1) {
			found++
			run := regexp.MustCompile(string(m[2]))
			sources, err := filepath.Glob(filepath.Join(root, string(m[1]), "*_test.go"))
			if err != nil {
				t.Fatal(err)
			}
			tests := 0
			for _, source := range sources {
				code, err := os.ReadFile(source)
				if err != nil {
					t.Fatal(err)
				}
				for _, name := range testName.FindAllSubmatch(code, -1) {
					if run.Match(name[1]) {
						tests++
					}
				}
			}
			if tests == 0 {
				t.Errorf("%s: %s runs no test", file, m[0])
			}
		}
	}
	if found == 0 {
		t.Error("no document has such a command")
	}
}
