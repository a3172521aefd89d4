package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strconv"
	"strings"
)

// A place is a piece of source and what it is changed to.
type place struct {
	file       string
	line       int
	begin, end int // offsets in bytes
	old, text  string
	function   string // that it is in, or ""
	source     string // its line
}

func (p place) String() string {
	return fmt.Sprintf("%s:%d: %q becomes %q", p.file, p.line, p.old, p.text)
}

func (p place) apply() ([]byte, error) {
	source, err := os.ReadFile(p.file)
	if err != nil {
		return nil, err
	}
	return append(append(append([]byte{}, source[:p.begin]...), p.text...), source[p.end:]...), nil
}

// operators are what an operator is taken for.
var operators = map[token.Token]string{
	token.LSS: "<=", token.LEQ: "<", token.GTR: ">=", token.GEQ: ">", token.EQL: "!=", token.NEQ: "==",
	token.LAND: "||", token.LOR: "&&", token.ADD: "-", token.SUB: "+",
}

// calls are functions and methods that are taken for each other.
var calls = map[string]string{"min": "max", "max": "min", "Add": "Sub", "Sub": "Add", "Before": "After", "After": "Before"}

// places finds everything in a file that can be changed.
func places(file string) ([]place, error) {
	source, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	set := token.NewFileSet()
	tree, err := parser.ParseFile(set, file, source, 0)
	if err != nil {
		return nil, err
	}
	lines := strings.Split(string(source), "\n")
	var out []place
	for _, decl := range tree.Decls {
		function := ""
		if f, ok := decl.(*ast.FuncDecl); ok {
			function = f.Name.Name
		}
		changes(decl, func(from, to token.Pos, text string) {
			begin, end := set.Position(from), set.Position(to)
			out = append(out, place{
				file: file, line: begin.Line, begin: begin.Offset, end: end.Offset, old: string(source[begin.Offset:end.Offset]), text: text,
				function: function, source: strings.TrimSpace(lines[begin.Line-1]),
			})
		})
	}
	return out, nil
}

// changes finds what can be changed in a declaration.
func changes(decl ast.Decl, add func(from, to token.Pos, text string)) {
	name := func(id *ast.Ident) {
		if other, ok := calls[id.Name]; ok {
			add(id.Pos(), id.End(), other)
		}
	}
	ast.Inspect(decl, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GenDecl:
			return n.Tok == token.CONST // Types and imports decide nothing.
		case *ast.BinaryExpr:
			if text, ok := operators[n.Op]; ok {
				add(n.OpPos, n.OpPos+token.Pos(len(n.Op.String())), text)
			}
		case *ast.UnaryExpr:
			if n.Op == token.NOT {
				add(n.OpPos, n.OpPos+1, "")
			}
		case *ast.BasicLit:
			if v, err := strconv.ParseInt(n.Value, 0, 64); n.Kind == token.INT && err == nil {
				add(n.Pos(), n.End(), strconv.FormatInt(v+1, 10))
			}
		case *ast.CallExpr:
			switch f := n.Fun.(type) {
			case *ast.Ident:
				name(f)
			case *ast.SelectorExpr:
				name(f.Sel)
			}
		case *ast.ExprStmt: // A statement that is left out.
			add(n.Pos(), n.End(), "")
		}
		return true
	})
}
