package deploy_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// others is what a test must not look at: directories that other processes use too, and ports of its own choice. A newcomer
// runs the demo and the suite side by side.
var others = regexp.MustCompile(`os\.TempDir\(\)|"/tmp["/]|net\.Listen\("tcp[46]?", "[^"]*:[1-9]\d*"|listen-address=[^"` + "`" + ` ]*:(?:[1-9]\d{2,3}|[1-5]\d{4})\b`)

func TestTestsLookAtNothingThatOtherProcessesUse(t *testing.T) {
	files := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != root && strings.HasPrefix(d.Name(), "."):
			return fs.SkipDir
		case !strings.HasSuffix(path, "_test.go") || d.Name() == "alone_test.go":
			return nil
		}
		files++
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		n := 0
		for line := range strings.Lines(string(text)) {
			n++
			if found := others.FindString(line); found != "" {
				t.Errorf("%s:%d: %s is not the test's own: use t.TempDir, and port 0", path, n, found)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 100 {
		t.Fatalf("there are %d test files", files)
	}
	for _, wrong := range []string{`filepath.Glob(os.TempDir() + "/x")`, `os.ReadDir("/tmp")`, `net.Listen("tcp", "127.0.0.1:9090")`, `"--web.listen-address=:10095"`} {
		if !others.MatchString(wrong) {
			t.Errorf("%s goes through", wrong)
		}
	}
}
