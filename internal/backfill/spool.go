package backfill

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/api"
	"github.com/openai-exporter/openai_exporter/internal/decimal"
	"github.com/openai-exporter/openai_exporter/internal/ledger"
)

// A spool is the directory beside the output in which a backfill keeps what it has read, until all of it is there: one
// file of records per measure of each task, and the state, which says how much of them counts. The API gives its
// answers in the order of time, all series of a bucket together; the output needs them series by series. The spool is
// where they change places, so that the memory does not grow with the range.
type spool struct {
	dir   string
	state state
}

// A state is what a spool holds. Records behind what it says were written by a page that was not finished.
type state struct {
	Version int `json:"version"`
	// Of says what is being read: a run with other parameters must not go on with it.
	Of string `json:"of"`
	// Run tells the process that wrote last from any other.
	Run   string  `json:"run"`
	Tasks []*task `json:"tasks"`
}

const stateVersion = 1

// A task is one endpoint of one organization.
type task struct {
	Organization string `json:"organization"`
	Endpoint     string `json:"endpoint"`
	// Dropped are the dimensions that the API refused to group by.
	Dropped []string `json:"dropped,omitempty"`
	// Missing says that the organization does not have the endpoint.
	Missing bool `json:"missing,omitempty"`
	// Done is how many buckets were read.
	Done int `json:"done"`
	// Series are the label sets met so far; their place in the list is what a record calls them.
	Series [][]ledger.Label `json:"series,omitempty"`
	// Own is how many of them are not the ones that others are folded into; Folded is how often a label set was.
	Own    int `json:"own,omitempty"`
	Folded int `json:"folded,omitempty"`
	// Records is how many records each measure has.
	Records []int64 `json:"records"`

	endpoint *api.Endpoint
	groupBy  []string
	filters  string
	plan     plan
	index    map[string]uint32 // by seriesKey
}

// A record is what one bucket has of one series.
type record struct {
	series uint32
	end    int64
	value  decimal.Fixed
}

// recordSize is the size of a record on disk: the series, the bucket's end, and the number in its binary form, which is
// 17 bytes at most.
const recordSize = 4 + 8 + 17

var (
	errElsewhere = errors.New("belongs to a backfill with other parameters: finish that one with the flags it was begun with, or remove the directory")
	errOtherRun  = errors.New("another backfill writes to the same output: let it finish, or name another file with --output")
	errSpool     = errors.New("damaged: remove the directory to start again")
	errForeign   = errors.New("exists and holds something else: move it away, or name another file with --output")
)

// The files of a spool that are not records. What ends in next was not finished and is overwritten.
const (
	stateFile  = "state.json"
	nextState  = stateFile + ".next"
	nextOutput = "output.next"
)

// openSpool opens the spool of a backfill that was interrupted, or makes one.
func openSpool(dir, plan string, tasks []*task) (*spool, error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, err
	}
	s := &spool{dir: dir}
	run := strconv.Itoa(os.Getpid()) + "-" + strconv.FormatInt(time.Now().UnixNano(), 36)
	old, err := s.load()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := unused(dir); err != nil {
			return nil, err
		}
		s.state = state{Version: stateVersion, Of: plan, Tasks: tasks}
	case err != nil:
		return nil, fmt.Errorf("%s: %w", dir, err)
	case old.Version != stateVersion || old.Of != plan || len(old.Tasks) != len(tasks):
		return nil, fmt.Errorf("%s %w", dir, errElsewhere)
	default:
		for i, t := range old.Tasks {
			if !t.continues(tasks[i]) {
				return nil, fmt.Errorf("%s: %w", dir, errSpool)
			}
			t.endpoint, t.plan, t.filters, t.groupBy = tasks[i].endpoint, tasks[i].plan, tasks[i].filters, without(tasks[i].groupBy, t.Dropped)
		}
		s.state = *old
	}
	s.state.Run = run
	for i, t := range s.state.Tasks {
		t.index = make(map[string]uint32, len(t.Series))
		for id, labels := range t.Series {
			t.index[seriesKey(labels)] = uint32(id)
		}
		for m := range t.Records {
			if err := s.trim(i, m); err != nil {
				return nil, err
			}
		}
	}
	return s, s.write()
}

// continues says whether what a state holds can be a part of a task.
func (t *task) continues(whole *task) bool {
	return t != nil && t.Organization == whole.Organization && t.Endpoint == whole.Endpoint &&
		len(t.Records) == len(whole.Records) && slices.Min(t.Records) >= 0 && t.Done >= 0 && t.Done <= whole.plan.buckets()
}

// unused makes sure that a directory without a state holds nothing of the user, because in the end it is removed.
func unused(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() != nextState {
			return fmt.Errorf("%s %w", dir, errForeign)
		}
	}
	return nil
}

func (s *spool) path(task, measure int) string {
	t := s.state.Tasks[task]
	return filepath.Join(s.dir, fmt.Sprintf("%03d-%s-%s", task, t.Endpoint, t.endpoint.Measures[measure].Name))
}

// trim cuts off what an unfinished page has left behind.
func (s *spool) trim(task, measure int) error {
	path, size := s.path(task, measure), s.state.Tasks[task].Records[measure]*recordSize
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && size == 0:
		return nil
	case err != nil:
		return err
	case info.Size() < size:
		return fmt.Errorf("%s: %w", s.dir, errSpool)
	}
	return os.Truncate(path, size)
}

func (s *spool) load() (*state, error) {
	b, err := os.ReadFile(filepath.Join(s.dir, stateFile))
	if err != nil {
		return nil, err
	}
	st := new(state)
	if err := json.Unmarshal(b, st); err != nil {
		return nil, errSpool
	}
	return st, nil
}

// commit makes the records of a page, by measure, and the state that counts them durable, in this order.
func (s *spool) commit(task int, records [][]record) error {
	if now, err := s.load(); err != nil {
		return err
	} else if now.Run != s.state.Run {
		return errOtherRun
	}
	t := s.state.Tasks[task]
	for m, rs := range records {
		if len(rs) == 0 {
			continue
		}
		if err := appendRecords(s.path(task, m), rs); err != nil {
			return err
		}
		t.Records[m] += int64(len(rs))
	}
	return s.write()
}

// write replaces the state as a whole.
func (s *spool) write() error {
	b, err := json.Marshal(&s.state)
	if err != nil {
		return err
	}
	return replace(filepath.Join(s.dir, stateFile), filepath.Join(s.dir, nextState), func(w *bufio.Writer) error {
		_, err := w.Write(b)
		return err
	})
}

// reset forgets what was read for a task, whose rows have another shape from now on.
func (s *spool) reset(task int) error {
	t := s.state.Tasks[task]
	t.Done, t.Series, t.Own, t.Folded, t.index = 0, nil, 0, 0, map[string]uint32{}
	clear(t.Records)
	if err := s.write(); err != nil {
		return err
	}
	for m := range t.Records {
		if err := s.trim(task, m); err != nil {
			return err
		}
	}
	return nil
}

func appendRecords(path string, rs []record) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	var b [recordSize]byte
	for _, r := range rs {
		clear(b[:])
		binary.BigEndian.PutUint32(b[:], r.series)
		binary.BigEndian.PutUint64(b[4:], uint64(r.end))
		r.value.AppendBinary(b[:12])
		if _, err := w.Write(b[:]); err != nil {
			f.Close()
			return err
		}
	}
	if err := cmp.Or(w.Flush(), f.Sync()); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

// records hands out the records of a measure of a task in the order in which they were written.
func (s *spool) records(task, measure int, yield func(record)) error {
	n := s.state.Tasks[task].Records[measure]
	if n == 0 {
		return nil
	}
	f, err := os.Open(s.path(task, measure))
	if err != nil {
		return err
	}
	defer f.Close()
	const buffer = 1 << 18
	r := bufio.NewReaderSize(f, buffer)
	var b [recordSize]byte
	for range n {
		if _, err := io.ReadFull(r, b[:]); err != nil {
			return fmt.Errorf("%s: %w", s.dir, errSpool)
		}
		v, _, err := decimal.DecodeBinary(b[12:])
		if err != nil {
			return fmt.Errorf("%s: %w", s.dir, errSpool)
		}
		yield(record{binary.BigEndian.Uint32(b[:]), int64(binary.BigEndian.Uint64(b[4:])), v})
	}
	return nil
}

// replace writes the file next, down to the disk, and puts it into the place of path. Next is a file of the spool, so a
// killed process leaves nothing outside it, and no file of the user is overwritten. After an error it is removed.
func replace(path, next string, fill func(*bufio.Writer) error) error {
	if err := rewrite(path, next, fill); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// rewrite is replace without the sync of the directory.
func rewrite(path, next string, fill func(*bufio.Writer) error) (err error) {
	f, err := os.Create(next)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(next) // The first error is the one to tell.
		}
	}()
	const buffer = 1 << 18
	w := bufio.NewWriterSize(f, buffer)
	if err = fill(w); err != nil {
		return cmp.Or(err, f.Close())
	}
	if err := cmp.Or(w.Flush(), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(next, path)
}

// syncDir makes a rename last. Where a directory can't be synced, the system does it in its own time.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	return nil
}

// counts returns how many records each series of a measure of a task has.
func (s *spool) counts(task, measure int) ([]int, error) {
	counts, damaged := make([]int, len(s.state.Tasks[task].Series)), false
	err := s.records(task, measure, func(r record) {
		if int(r.series) >= len(counts) {
			damaged = true
			return
		}
		counts[r.series]++
	})
	if err == nil && damaged {
		err = fmt.Errorf("%s: %w", s.dir, errSpool)
	}
	return counts, err
}

// pick returns the records of some series of a measure of a task, each in the order of time.
func (s *spool) pick(task, measure int, some []uint32, counts []int) ([][]record, error) {
	place, n := make(map[uint32]int, len(some)), 0
	for i, id := range some {
		place[id] = i
		n += counts[id]
	}
	all, held := make([]record, n), make([][]record, len(some))
	for i, id := range some {
		held[i], all = all[:0:counts[id]], all[counts[id]:]
	}
	if n == 0 {
		return held, nil
	}
	err := s.records(task, measure, func(r record) {
		if i, ok := place[r.series]; ok {
			held[i] = append(held[i], r)
		}
	})
	return held, err
}
