package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// A bench tries changes, one at a time.
type bench struct {
	dir    string
	quick  bool
	copied map[int]place                // changes that are made in copies, by number
	lists  map[string]string            // package → overlay with its copies
	suites map[string]map[string]*suite // package → tests of a package → built with the copies
}

// A suite is the tests of a package, built with changes.
type suite struct {
	tested, binary string
	took           map[int]time.Duration // by stage, without any change
}

// newBench makes copies for those changes that can be made in one.
func newBench(dir string, all []place, quick bool) (*bench, error) {
	b := &bench{dir: dir, quick: quick, copied: map[int]place{}, lists: map[string]string{}, suites: map[string]map[string]*suite{}}
	of := map[string]map[int]place{}
	for i, p := range all {
		if !p.copied() {
			continue
		}
		pkg := filepath.Dir(p.file)
		if of[pkg] == nil {
			of[pkg] = map[int]place{}
		}
		of[pkg][i+1] = p
	}
	for pkg, changes := range of {
		place, err := os.MkdirTemp(dir, "copies-")
		if err != nil {
			return nil, err
		}
		if b.lists[pkg], err = copyAll(place, pkg, changes); err != nil {
			return nil, err
		}
		b.suites[pkg] = map[string]*suite{}
		for n, p := range changes { // Those that build.
			b.copied[n] = p
		}
	}
	return b, nil
}

// try runs the tests with one change.
func (b *bench) try(number int, p place, tests []string) (verdict string, err error) {
	_, built := b.copied[number]
	if p.copied() && b.lists[filepath.Dir(p.file)] != "" && !built {
		return "does not build", nil
	}
	list := ""
	if !built {
		if list, err = b.alone(p); list == "" || err != nil {
			return "does not build", err
		}
	}
	for _, tested := range tests {
		var s *suite
		if built {
			s, err = b.suite(filepath.Dir(p.file), tested)
		} else {
			s, err = build(b.dir, list, tested)
			number = 0
		}
		if err != nil {
			return "", err
		}
		if verdict := s.run(number, b.quick); verdict != "" {
			return verdict, nil
		}
		if b.quick {
			break
		}
	}
	return survived, nil
}

// alone is the overlay of a change that can't be made in a copy, or "" if it does not build.
func (b *bench) alone(p place) (list string, err error) {
	changed, err := p.apply()
	if err != nil {
		return "", err
	}
	if list, err = overlay(b.dir, map[string][]byte{p.file: changed}); err != nil {
		return "", err
	}
	// The compiler says nothing else that is of use here.
	if c := exec.CommandContext(context.Background(), "go", "build", "-overlay", list, "./"+filepath.Dir(p.file)); c.Run() != nil {
		list = ""
	}
	return list, nil
}

// suite is the tests of a package with the copies of another. Without any change they have to pass.
func (b *bench) suite(pkg, tested string) (*suite, error) {
	if s := b.suites[pkg][tested]; s != nil {
		return s, nil
	}
	s, err := build(filepath.Dir(b.lists[pkg]), b.lists[pkg], tested)
	if err != nil {
		return nil, err
	}
	for i, stage := range s.stages(b.quick) {
		began := time.Now()
		c, end := s.command(stage, 0, time.Hour)
		out, err := c.CombinedOutput()
		end()
		if err != nil {
			return nil, fmt.Errorf("the tests of %s fail without any change: %w: %s", tested, err, out)
		}
		s.took[i] = time.Since(began)
	}
	b.suites[pkg][tested] = s
	return s, nil
}

// build builds the tests of a package.
func build(dir, list, tested string) (*suite, error) {
	binary := filepath.Join(dir, strings.ReplaceAll(strings.TrimPrefix(tested, "./"), "/", "-")+".test")
	// The simulation is a module of its own. Vet would refuse some changes for what they look like, which no test has to do.
	if out, err := exec.CommandContext(context.Background(), "go", "-C", tested, "test", "-vet=off", "-ldflags=-s -w", "-c", "-o", binary, "-overlay", list, ".").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the tests of %s: %w: %s", tested, err, out)
	}
	return &suite{tested, binary, map[int]time.Duration{}}, nil
}

// stages are what to run, one after the other.
func (s *suite) stages(quick bool) [][]string {
	late, found := lengthy[s.tested]
	if !found {
		return [][]string{nil}
	}
	all := [][]string{{"-test.skip", "^(" + late[0] + "|" + late[1] + ")$"}, {"-test.run", "^(" + late[0] + ")$"}, {"-test.run", "^(" + late[1] + ")$"}}
	if quick {
		return all[:2]
	}
	return all
}

// command runs a stage with one change.
func (s *suite) command(stage []string, number int, limit time.Duration) (c *exec.Cmd, end context.CancelFunc) {
	ctx, end := context.WithTimeout(context.Background(), limit+10*time.Second)
	c = exec.CommandContext(ctx, s.binary, append(stage, "-test.failfast", "-test.timeout", limit.String())...)
	c.Dir = s.tested
	c.Env = append(os.Environ(), chosen+"="+strconv.Itoa(number))
	return c, end
}

// run runs the quick tests, then the slow ones. It says nothing if all pass.
func (s *suite) run(number int, quick bool) (verdict string) {
	for i, stage := range s.stages(quick) {
		ends := limit
		if took := s.took[i]; took > 0 {
			ends = 4*took + time.Minute // The machine may be busier than it was.
		}
		c, end := s.command(stage, number, ends)
		out, err := c.CombinedOutput()
		end()
		switch {
		case err == nil:
		case bytes.Contains(out, []byte("panic: test timed out after")) || bytes.HasSuffix(out, []byte("signal: killed")):
			return endless
		default:
			return noticed
		}
	}
	return ""
}
