package deploy_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// declared is all that a file of Go declares at its top: functions, methods as Type.method, types, variables.
func declared(t *testing.T, path string) map[string]bool {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, d := range file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			name := d.Name.Name
			if d.Recv != nil {
				receiver := d.Recv.List[0].Type
				if star, ok := receiver.(*ast.StarExpr); ok {
					receiver = star.X
				}
				name = receiver.(*ast.Ident).Name + "." + name
			}
			names[name] = true
		case *ast.GenDecl:
			for _, s := range d.Specs {
				switch s := s.(type) {
				case *ast.TypeSpec:
					names[s.Name.Name] = true
				case *ast.ValueSpec:
					for _, n := range s.Names {
						names[n.Name] = true
					}
				}
			}
		}
	}
	return names
}

// TestCodeThatDocumentsNameIsThere: a link to a file of Go is to something that is declared in it. Where the link names
// a package, as decimal.Fixed, it is the file's.
func TestCodeThatDocumentsNameIsThere(t *testing.T) {
	pages, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	link, seen := regexp.MustCompile("\\[`([A-Za-z.]+)`\\]\\(\\.\\./([a-z_/]+\\.go)\\)"), 0
	for _, page := range pages {
		for _, found := range link.FindAllStringSubmatch(read(t, filepath.Join("docs", filepath.Base(page))), -1) {
			name, file := found[1], found[2]
			seen++
			name = strings.TrimPrefix(name, filepath.Base(filepath.Dir(file))+".")
			if !declared(t, filepath.Join(root, file))[name] {
				t.Errorf("docs/%s: %s declares no %s", filepath.Base(page), file, name)
			}
		}
	}
	if seen < 30 {
		t.Errorf("%d links to code were found, so the pattern no longer fits them", seen)
	}
}
