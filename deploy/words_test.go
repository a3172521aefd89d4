package deploy_test

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// rare are words that readers who learned English as a second language look up, with what says the same.
var rare = map[string]string{
	"anew": "again", "lest": "so that … not", "whoever": "anyone who", "mend": "repair", "mends": "repairs", "mended": "repaired",
	"dear": "expensive", "dearer": "more expensive", "whence": "from which", "save that": "except that",
}

// TestWordsAreThoseOfEveryday looks through documents, comments and messages.
func TestWordsAreThoseOfEveryday(t *testing.T) {
	list := exec.CommandContext(t.Context(), "git", "ls-files", "*.go", "*.md", "*.yml", "*.yaml", "*.tmpl", "*.sh", "*.html", "Makefile")
	list.Dir = root
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	var words []string
	for word := range rare {
		words = append(words, word)
	}
	pattern, files := regexp.MustCompile(`(?i)\b(`+strings.Join(words, "|")+`)\b`), 0
	for file := range strings.FieldsSeq(string(out)) {
		if strings.Contains(file, "testdata/") || filepath.Base(file) == "words_test.go" {
			continue
		}
		files++
		for n, line := range strings.Split(read(t, file), "\n") {
			if word := pattern.FindString(line); word != "" {
				t.Errorf("%s:%d: %q: say %q", file, n+1, word, rare[strings.ToLower(word)])
			}
		}
	}
	if files < 300 {
		t.Errorf("only %d files were looked through", files)
	}
}
