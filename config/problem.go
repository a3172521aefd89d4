package config

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// A Problem is one thing that is wrong with a configuration.
type Problem struct {
	File    string // "" for a configuration that was not read from a file
	Line    int    // 0 where no line is to blame
	Message string
}

// String is file:line: message, which editors understand.
func (p Problem) String() string {
	switch {
	case p.File == "":
		return p.Message
	case p.Line == 0:
		return fmt.Sprintf("%s: %s", p.File, p.Message)
	}
	return fmt.Sprintf("%s:%d: %s", p.File, p.Line, p.Message)
}

// Problems are everything that is wrong with a configuration, in the order of its lines.
type Problems []Problem

// Error has one problem per line.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// A key that somebody pasted where it does not belong must not travel on into messages.
var keyLike = regexp.MustCompile(`\bsk-[A-Za-z0-9_-]{6,}`)

// A source remembers which line said what, and collects what is wrong with it.
type source struct {
	file     string
	lines    map[string]int  // path → line
	bad      map[string]bool // paths of which no value could be read
	problems Problems
}

func newSource(file string) *source {
	return &source{file: file, lines: make(map[string]int), bad: make(map[string]bool)}
}

// at notes a problem of a line.
func (s *source) at(line int, format string, args ...any) {
	message := keyLike.ReplaceAllString(fmt.Sprintf(format, args...), hidden)
	s.problems = append(s.problems, Problem{File: s.file, Line: line, Message: message})
}

// unreadable notes that the value of a path could not be read, so that no check builds on it.
func (s *source) unreadable(path string, line int, format string, args ...any) {
	s.bad[path] = true
	s.at(line, "%s: %s", path, fmt.Sprintf(format, args...))
}

// wrong notes a problem between the values of paths. The first path is named in the message; the line is that of the
// first one that was written. Where a value could not be read there is nothing to check and nothing is noted.
func (s *source) wrong(paths []string, format string, args ...any) {
	line := 0
	for _, p := range paths {
		if s.bad[p] {
			return
		}
		if line == 0 {
			line = s.line(p)
		}
	}
	s.at(line, "%s: %s", paths[0], fmt.Sprintf(format, args...))
}

// line is where the path was written, or what it is a part of.
func (s *source) line(path string) int {
	for path != "" {
		if line, ok := s.lines[path]; ok {
			return line
		}
		if !strings.HasSuffix(path, "]") {
			return 0
		}
		path = path[:strings.LastIndexByte(path, '[')] // The items of a list may blame the list.
	}
	return 0
}

// set says whether the file has the path.
func (s *source) set(path string) bool { _, ok := s.lines[path]; return ok }

// err returns the problems in the order of their lines, or nil.
func (s *source) err() error {
	if len(s.problems) == 0 {
		return nil
	}
	slices.SortStableFunc(s.problems, func(a, b Problem) int { return cmp.Compare(a.Line, b.Line) })
	return s.problems
}

// once is wrong for what several endpoints inherit from one place.
func (s *source) once(paths []string, format string, args ...any) {
	message := fmt.Sprintf("%s: %s", paths[0], fmt.Sprintf(format, args...))
	if !slices.ContainsFunc(s.problems, func(p Problem) bool { return p.Message == message }) {
		s.wrong(paths, format, args...)
	}
}
