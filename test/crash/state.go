package crash

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
)

// sector is what a disk writes whole or not at all.
const sector = 512

// A State is what a power cut may leave.
type State struct {
	// Point is how many operations had succeeded, Left says what of those that were not synced is there.
	Point int
	Left  string
	// Before is the last that the program had said, After what it would have said next; nil where there is none.
	Before, After []byte

	files map[string][]byte
	dirs  map[string]bool
}

func (s *State) String() string { return fmt.Sprintf("after %d operations, with %s", s.Point, s.Left) }

// Has says whether there is a file.
func (s *State) Has(path string) bool { _, ok := s.files[path]; return ok }

// Lay makes the directory dir, which must be empty, what the state says.
func (s *State) Lay(dir string) error {
	for _, d := range slices.Sorted(maps.Keys(s.dirs)) {
		if err := os.Mkdir(filepath.Join(dir, d), 0o750); err != nil {
			return err
		}
	}
	for path, data := range s.files {
		if !s.dirs[filepath.Dir(path)] && filepath.Dir(path) != "." {
			continue // Its directory was not made.
		}
		if err := os.WriteFile(filepath.Join(dir, path), data, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// Equal says in what the state differs from a directory.
func (s *State) Equal(dir string) error {
	found := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if !s.Has(name) || !bytes.Equal(s.files[name], data) {
			return fmt.Errorf("%s: %d bytes are recorded, it has %d", name, len(s.files[name]), len(data))
		}
		found++
		return nil
	})
	if err == nil && found != len(s.files) {
		err = fmt.Errorf("%d files are recorded, there are %d", len(s.files), found)
	}
	return err
}

// A change is a part of an operation that a disk does whole or not at all: a sector, the length of a file, or an entry
// of a directory.
type change struct {
	op   int // the operation that it is a part of
	what string

	file   int // the file that is changed, or 0
	offset int64
	data   []byte
	size   int64 // the new length, where data is nil

	parent string         // the directory that is changed
	names  map[string]int // its new entries: a file, or 0 for none, or -1 for a directory
}

const noFile, directory = 0, -1

// A disk holds what was synced, and the changes that were not.
type disk struct {
	files   map[int][]byte
	names   map[string]int
	pending []change

	current map[string]int // names as the program sees them
	sizes   map[int]int64
	next    int
}

func newDisk() *disk {
	return &disk{files: map[int][]byte{}, names: map[string]int{}, current: map[string]int{}, sizes: map[int]int64{}, next: 1}
}

// do takes an operation.
func (d *disk) do(at int, op Op) error {
	name := func(names map[string]int) {
		maps.Copy(d.current, names)
		d.pending = append(d.pending, change{op: at, what: op.String(), parent: filepath.Dir(op.Path), names: names})
	}
	file := d.current[op.Path]
	switch op.Kind {
	case Create:
		if file == noFile {
			name(map[string]int{op.Path: d.next})
			d.next++
		}
		return nil
	case Mkdir:
		name(map[string]int{op.Path: directory})
		return nil
	case Unlink:
		name(map[string]int{op.Path: noFile})
		return nil
	case Rename, Link:
		if filepath.Dir(op.Path) != filepath.Dir(op.To) {
			return fmt.Errorf("%s goes to another directory", op)
		}
		names := map[string]int{op.To: file}
		if op.Kind == Rename {
			names[op.Path] = noFile
		}
		name(names)
		return nil
	case Ack:
		return nil
	case Sync:
		if op.Path == "." || file == directory {
			d.sync(func(c *change) bool { return c.names != nil && c.parent == op.Path })
			return nil
		}
	case Write, Truncate:
	}
	if file <= noFile {
		return fmt.Errorf("%s: there is no such file", op)
	}
	switch op.Kind {
	case Sync:
		d.sync(func(c *change) bool { return c.names == nil && c.file == file })
	case Truncate:
		if d.sizes[file] != op.Offset {
			d.pending = append(d.pending, change{op: at, what: op.String(), file: file, size: op.Offset})
		}
		d.sizes[file] = op.Offset
	case Write:
		offset, data := op.Offset, op.Data
		if offset < 0 {
			offset = d.sizes[file]
		}
		for len(data) > 0 {
			n := min(int64(len(data)), sector-offset%sector)
			d.pending = append(d.pending, change{
				op: at, what: fmt.Sprintf("sector %d of %s", offset/sector, op.Path), file: file, offset: offset, data: data[:n],
			})
			offset, data = offset+n, data[n:]
		}
		d.sizes[file] = max(d.sizes[file], offset)
	}
	return nil
}

// sync makes the changes last that it concerns.
func (d *disk) sync(concerns func(*change) bool) {
	var rest []change
	for i := range d.pending {
		if c := &d.pending[i]; concerns(c) {
			c.apply(d.files, d.names, map[int]bool{})
		} else {
			rest = append(rest, *c)
		}
	}
	d.pending = rest
}

// apply makes the change. Files that are not among the own are copied before they are changed, for states share them.
func (c *change) apply(files map[int][]byte, names map[string]int, own map[int]bool) {
	if c.names != nil {
		maps.Copy(names, c.names)
		return
	}
	data := files[c.file]
	if !own[c.file] {
		data, own[c.file] = slices.Clone(data), true
	}
	size := c.size
	if c.data != nil {
		size = max(int64(len(data)), c.offset+int64(len(c.data)))
	}
	data = append(data, make([]byte, max(size-int64(len(data)), 0))...)[:size]
	copy(data[min(c.offset, size):], c.data)
	files[c.file] = data
}

// left is the state with these of the pending changes.
func (d *disk) left(chosen []bool) *State {
	files, names := maps.Clone(d.files), maps.Clone(d.names)
	s := &State{files: map[string][]byte{}, dirs: map[string]bool{}}
	var there, missing []string
	own := map[int]bool{}
	for i := range d.pending {
		c := &d.pending[i]
		if !chosen[i] {
			missing = append(missing, c.what)
			continue
		}
		there = append(there, c.what)
		c.apply(files, names, own)
	}
	for path, file := range names {
		switch file {
		case noFile:
		case directory:
			s.dirs[path] = true
		default:
			s.files[path] = files[file]
		}
	}
	switch {
	case len(missing) == 0:
		s.Left = "everything"
	case len(there) == 0:
		s.Left = "nothing that was not synced"
	case len(missing) < len(there):
		s.Left = fmt.Sprintf("everything but %q", missing)
	default:
		s.Left = fmt.Sprintf("only %q", there)
	}
	return s
}

// Limits say how many states there are at each point.
type Limits struct {
	// All is up to how many changes every subset of them is made.
	All int
	// Random is how many subsets are made by chance where there are more changes, beside those that leave out or keep
	// a single change, that end at any change, and that keep whole operations.
	Random int
	Rand   *rand.Rand
}

// States calls yield for the states that a power cut at any point may leave. It ends early when yield returns false.
func States(ops []Op, l Limits, yield func(*State) bool) error {
	d := newDisk()
	var acks [][]byte
	for _, op := range ops {
		if op.Kind == Ack {
			acks = append(acks, op.Data)
		}
	}
	said := 0
	crash := func(point int) bool {
		for _, chosen := range l.subsets(d.pending) {
			s := d.left(chosen)
			s.Point = point
			if said > 0 {
				s.Before = acks[said-1]
			}
			if said < len(acks) {
				s.After = acks[said]
			}
			if !yield(s) {
				return false
			}
		}
		return true
	}
	for i, op := range ops {
		// What is pending only grows from one sync to the next, so its subsets right before a sync are those of every
		// moment since the one before.
		if op.Kind == Sync && !crash(i) {
			return nil
		}
		if err := d.do(i, op); err != nil {
			return err
		}
		if op.Kind == Ack {
			said++
			if !crash(i + 1) {
				return nil
			}
		}
	}
	crash(len(ops))
	return nil
}

// Whole is the state without a power cut.
func Whole(ops []Op) (*State, error) {
	d := newDisk()
	for i, op := range ops {
		if err := d.do(i, op); err != nil {
			return nil, err
		}
	}
	all := make([]bool, len(d.pending))
	for i := range all {
		all[i] = true
	}
	return d.left(all), nil
}

func (l *Limits) subsets(pending []change) (out [][]bool) {
	n := len(pending)
	if n <= l.All {
		for mask := range 1 << n {
			chosen := make([]bool, n)
			for i := range chosen {
				chosen[i] = mask>>i&1 == 1
			}
			out = append(out, chosen)
		}
		return out
	}
	pick := func(of func(i int) bool) {
		chosen := make([]bool, n)
		for i := range chosen {
			chosen[i] = of(i)
		}
		out = append(out, chosen)
	}
	for at := range n {
		pick(func(i int) bool { return i < at })
		pick(func(i int) bool { return i == at })
		pick(func(i int) bool { return i != at })
	}
	pick(func(int) bool { return true })
	for range l.Random {
		share := l.Rand.Float64()
		pick(func(int) bool { return l.Rand.Float64() < share })
		whole := map[int]bool{}
		for _, c := range pending {
			whole[c.op] = l.Rand.Float64() < share
		}
		pick(func(i int) bool { return whole[pending[i].op] })
	}
	return out
}
