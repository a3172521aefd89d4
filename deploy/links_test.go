package deploy_test

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// files are those of the repository whose names end so, without what builds and tests leave behind.
func files(t *testing.T, suffixes ...string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		switch {
		case d.IsDir() && path != root && name != ".github" && (strings.HasPrefix(name, ".") || name == "dist" || name == "data"):
			return fs.SkipDir
		case d.Type().IsRegular() && slices.ContainsFunc(suffixes, func(s string) bool { return strings.HasSuffix(name, s) }):
			rel, err := filepath.Rel(root, path)
			found = append(found, filepath.ToSlash(rel))
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) == 0 {
		t.Fatalf("no file ends with %q", suffixes)
	}
	return found
}

var (
	fence      = regexp.MustCompile("(?ms)^ *(```+|~~~+)[^\n]*\n.*?^ *(```+|~~~+) *$")
	codeSpan   = regexp.MustCompile("`[^`\n]*`")
	comment    = regexp.MustCompile(`(?s)<!--.*?-->`)
	heading    = regexp.MustCompile(`(?m)^#{1,6} +(.*?) *#*$`)
	anchor     = regexp.MustCompile(`<a (?:id|name)="([^"]+)"`)
	linkTarget = regexp.MustCompile(`\]\(<?([^)\s>]+)>?(?: +"[^"]*")?\)|(?m:^\[[^]]+\]: +(\S+))|\b(?:href|src)="([^"]+)"`)
	bareLink   = regexp.MustCompile(`\bhttps?://[^\s)>"'|]+`)
	linkText   = regexp.MustCompile(`\[([^]]*)\]\([^)]*\)`)
)

// anchors are the names under which the headings of a page can be linked to, made of them as GitHub does.
func anchors(page string) map[string]bool {
	page = comment.ReplaceAllString(fence.ReplaceAllString(page, ""), "")
	names := map[string]bool{}
	for _, m := range heading.FindAllStringSubmatch(page, -1) {
		var slug strings.Builder
		for _, r := range strings.ToLower(linkText.ReplaceAllString(m[1], "$1")) {
			switch {
			case r == ' ':
				slug.WriteByte('-')
			case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
				slug.WriteRune(r)
			}
		}
		name := slug.String()
		for n := 1; names[name]; n++ {
			name = fmt.Sprintf("%s-%d", &slug, n)
		}
		names[name] = true
	}
	for _, m := range anchor.FindAllStringSubmatch(page, -1) {
		names[m[1]] = true
	}
	return names
}

// links are the targets of a page, those in examples of code aside.
func links(page string) []string {
	page = comment.ReplaceAllString(fence.ReplaceAllString(page, ""), "")
	page = codeSpan.ReplaceAllString(page, "")
	var targets []string
	for _, m := range linkTarget.FindAllStringSubmatch(page, -1) {
		targets = append(targets, m[1]+m[2]+m[3])
	}
	for _, m := range bareLink.FindAllString(page, -1) {
		targets = append(targets, strings.TrimRight(m, ".,;:!?"))
	}
	slices.Sort(targets)
	return slices.Compact(targets)
}

// broken says what is wrong with a link from a page to a file of the repository, or to a heading of one.
func broken(t *testing.T, from, target string) error {
	t.Helper()
	path, fragment, _ := strings.Cut(target, "#")
	to := from
	if path != "" {
		to = filepath.ToSlash(filepath.Join(filepath.Dir(from), path))
	}
	if strings.HasPrefix(to, "../") {
		return fmt.Errorf("%s is not in the repository", target)
	}
	if _, err := os.Stat(filepath.Join(root, to)); err != nil {
		return err
	}
	if fragment != "" && strings.HasSuffix(to, ".md") && !anchors(read(t, to))[fragment] {
		return fmt.Errorf("%s has no heading %q", to, fragment)
	}
	return nil
}

func TestLinksLeadToFilesAndHeadingsThatExist(t *testing.T) {
	inside, outside := 0, map[string]bool{}
	for _, page := range files(t, ".md") {
		for _, target := range links(read(t, page)) {
			if strings.HasPrefix(target, "http://localhost") || strings.HasPrefix(target, "http://127.0.0.1") || strings.HasPrefix(target, home) {
				continue // The reader's own machine, or a link that the next test looks at.
			}
			if scheme, _, ok := strings.Cut(target, "://"); ok {
				if scheme != "https" {
					t.Errorf("%s links to %s without TLS", page, target)
				}
				outside[target] = true
				continue
			}
			inside++
			if err := broken(t, page, target); err != nil {
				t.Errorf("%s links to %s: %v", page, target, err)
			}
		}
	}
	if inside < 100 {
		t.Errorf("only %d links were found", inside)
	}
	// Where links lead out of the repository, tests can't follow them. They stand in a list, so that a new one is seen.
	golden(t, "deploy/testdata/links.txt", strings.Join(slices.Sorted(maps.Keys(outside)), "\n")+"\n")
}

// home is the repository, as other pages and programs link to it.
const home = "https://github.com/openai-exporter/openai_exporter"

func TestLinksToTheRepositoryLeadToFilesThatExist(t *testing.T) {
	target := regexp.MustCompile(regexp.QuoteMeta(home) + `/(?:blob|tree|raw)/main/([A-Za-z0-9_./-]*[A-Za-z0-9_/])(#[a-z0-9-]+)?`)
	found := 0
	for _, file := range files(t, ".md", ".yml", ".yaml", ".go", ".json", ".html", ".tmpl", ".txt", ".service", ".tpl", "Dockerfile") {
		for _, m := range target.FindAllStringSubmatch(read(t, file), -1) {
			found++
			if err := broken(t, "README.md", m[1]+m[2]); err != nil {
				t.Errorf("%s links to %s: %v", file, m[0], err)
			}
		}
	}
	if found < 20 {
		t.Errorf("only %d links were found", found)
	}
}

func TestAnchorsAreThoseOfGitHub(t *testing.T) {
	page := "# What `it` needs: a [disk](x.md)\n\n```\n# no heading\n```\n\n## Größe\n\n## Größe\n\n### a_b – c\n"
	want := map[string]bool{"what-it-needs-a-disk": true, "größe": true, "größe-1": true, "a_b--c": true}
	if got := anchors(page); !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
