package main

import (
	"bytes"
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// To build the tests takes longer than most of them. So they are built once with many changes: each is a copy of its
// function, which the function hands over to when the environment says so.
const chosen = "MUTATION"

// An edit is a piece of source, by its offsets, and what is there in its place.
type edit struct {
	begin, end int
	text       string
}

// edited is a part of the source with edits, none of which overlap.
func edited(source []byte, begin, end int, edits []edit) string {
	slices.SortStableFunc(edits, func(a, b edit) int { return a.begin - b.begin })
	var out strings.Builder
	for _, e := range edits {
		out.Write(source[begin:e.begin])
		out.WriteString(e.text)
		begin = e.end
	}
	out.Write(source[begin:end])
	return out.String()
}

// copied says whether a change can be made in a copy of its function.
func (p place) copied() bool { return p.function != "" && p.function != "init" && p.function != "main" }

// A copies is a file with a copy of a function for each of its changes.
type copies struct {
	text  string
	lines map[int]int // line → number of the change that it belongs to
}

// copiesOf makes the copies of a file. all are the changes by number, of which those of other files are passed over.
func copiesOf(file string, source []byte, all map[int]place) (*copies, error) {
	set := token.NewFileSet()
	tree, err := parser.ParseFile(set, file, source, 0)
	if err != nil {
		return nil, err
	}
	offset := func(p token.Pos) int { return set.Position(p).Offset }
	var edits []edit
	var extra []string
	var numbers []int
	for _, decl := range tree.Decls {
		f, ok := decl.(*ast.FuncDecl)
		if !ok || f.Body == nil {
			continue
		}
		begin, end, name := offset(f.Pos()), offset(f.End()), offset(f.Name.Pos())
		var hand []string
		call, named := forward(f, offset)
		for n, p := range all {
			if p.file != file || p.begin < begin || p.end > end {
				continue
			}
			hand = append(hand, fmt.Sprintf("\nif mutationChosen == %d { %s } // change %d", n, strings.Replace(call, "NAME", fmt.Sprintf("mutation%d", n), 1), n))
			extra = append(extra, edited(source, begin, end, []edit{{name, name + len(f.Name.Name), fmt.Sprintf("mutation%d", n)}, {p.begin, p.end, p.text}}))
			numbers = append(numbers, n)
		}
		if len(hand) > 0 {
			at := offset(f.Body.Lbrace) + 1
			edits = append(append(edits, named...), edit{at, at, strings.Join(hand, "") + "\n"})
		}
	}
	c := &copies{text: edited(source, 0, len(source), edits), lines: map[int]int{}}
	for i, line := range strings.Split(c.text, "\n") {
		if _, number, found := strings.Cut(line, "} // change "); found {
			if n, err := strconv.Atoi(number); err == nil {
				c.lines[i+1] = n
			}
		}
	}
	for i, text := range extra {
		first := strings.Count(c.text, "\n") + 2
		for line := range strings.Count(text, "\n") + 1 {
			c.lines[first+line] = numbers[i]
		}
		c.text += "\n" + text + "\n"
	}
	return c, nil
}

// forward is the statement with which a function hands over to another of its signature, and the edits that give a name to
// each of its parameters.
func forward(f *ast.FuncDecl, offset func(token.Pos) int) (call string, named []edit) {
	unnamed := 0
	names := func(field *ast.Field) (out []string) {
		next := func() string { unnamed++; return fmt.Sprintf("unnamed%d", unnamed) }
		if len(field.Names) == 0 {
			name := next()
			at := offset(field.Type.Pos())
			named = append(named, edit{at, at, name + " "})
			return []string{name}
		}
		for _, id := range field.Names {
			name := id.Name
			if name == "_" {
				name = next()
				named = append(named, edit{offset(id.Pos()), offset(id.End()), name})
			}
			out = append(out, name)
		}
		return out
	}
	call = "NAME"
	if f.Recv != nil {
		call = names(f.Recv.List[0])[0] + ".NAME"
	}
	if f.Type.TypeParams != nil {
		var kinds []string
		for _, field := range f.Type.TypeParams.List {
			for _, id := range field.Names {
				kinds = append(kinds, id.Name)
			}
		}
		call += "[" + strings.Join(kinds, ", ") + "]"
	}
	var args []string
	for _, field := range f.Type.Params.List {
		args = append(args, names(field)...)
		if _, many := field.Type.(*ast.Ellipsis); many {
			args[len(args)-1] += "..."
		}
	}
	call += "(" + strings.Join(args, ", ") + ")"
	if f.Type.Results == nil {
		return call + "; return", named
	}
	return "return " + call, named
}

var complaint = regexp.MustCompile(`(?m)^(?:.*/)?([^/\s]+\.go):(\d+):`)

// copyAll writes a package with copies for all changes, by number, and the overlay that gives it to the compiler. Changes
// that do not build are taken out of all.
func copyAll(dir, pkg string, all map[int]place) (list string, err error) {
	for {
		files, made := map[string][]byte{}, map[string]*copies{}
		for _, p := range all {
			if made[filepath.Base(p.file)] != nil {
				continue
			}
			source, err := os.ReadFile(p.file)
			if err != nil {
				return "", err
			}
			c, err := copiesOf(p.file, source, all)
			if err != nil {
				return "", err
			}
			made[filepath.Base(p.file)], files[p.file] = c, []byte(c.text)
		}
		files[filepath.Join(pkg, "mutation_chosen.go")] = fmt.Appendf(nil, "package %s\n\nimport (\n\t\"os\"\n\t\"strconv\"\n)\n\nvar mutationChosen, _ = strconv.Atoi(os.Getenv(%q))\n", filepath.Base(pkg), chosen)
		if list, err = overlay(dir, files); err != nil {
			return "", err
		}
		out, err := exec.CommandContext(context.Background(), "go", "build", "-gcflags=-e", "-overlay", list, "./"+pkg).CombinedOutput()
		if err == nil {
			return list, nil
		}
		before := len(all)
		for _, m := range complaint.FindAllSubmatch(out, -1) {
			line, _ := strconv.Atoi(string(m[2]))
			if c := made[string(m[1])]; c != nil {
				delete(all, c.lines[line])
			}
		}
		if len(all) == before {
			return "", fmt.Errorf("build %s with copies: %w: %s", pkg, err, bytes.TrimSpace(out))
		}
	}
}
