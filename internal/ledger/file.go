package ledger

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"

	bolt "go.etcd.io/bbolt"
	boltErrors "go.etcd.io/bbolt/errors"
)

// FileName is the name of the state file in the storage directory.
const FileName = "ledger.db"

// A StateError says that the state can't be used: what is wrong, where, and what to do.
type StateError struct {
	Path string
	Err  error
	Do   string
}

func (e *StateError) Error() string {
	return fmt.Sprintf("state file %s: %v; %s", e.Path, e.Err, e.Do)
}

func (e *StateError) Unwrap() error { return e.Err }

const (
	doRestore = "restore it from a backup, or move it away to start counting from zero"
	doFree    = "free space on its disk and make it writable"
)

// store is the ledger's disk: an embedded database that commits whole transactions.
type store struct {
	path string
	db   *bolt.DB
	file fs.FileInfo // what the path named when the database was opened
	// committed is the transaction that was committed last. Where the file has another one, a commit that failed has
	// come through all the same.
	committed int
	opened    int64 // the size of the file when it was opened
	broken    *failure
	// roster is what a transaction has read of the names of all feeds. It is for loading, which writing keeps apart.
	listing  *sync.Mutex
	roster   *roster
	listedBy int
}

// A failure is set once the database can't be asked any more. Feeds are loaded by several goroutines.
type failure struct{ err atomic.Pointer[error] }

func (f *failure) set(err error) { f.err.Store(&err) }

func (f *failure) get() error {
	if err := f.err.Load(); err != nil {
		return *err
	}
	return nil
}

var databaseOptions = bolt.Options{Timeout: lockPatience, FreelistType: bolt.FreelistMapType}

func newStore(path string) *store {
	return &store{path: path, broken: new(failure), listing: new(sync.Mutex)}
}

// openStore opens or creates the state file. Whatever can't be read is refused, never replaced.
func openStore(dir string) (_ *store, err error) {
	s := newStore(filepath.Join(dir, FileName))
	if err := makeDir(dir); err != nil {
		return nil, &StateError{dir, err, "choose a directory that the exporter may write to with --storage.path"}
	}
	err = create(s.path)
	if err == nil {
		err = s.open()
	}
	if err != nil {
		return nil, s.told(err)
	}
	tidy(s.path)
	return s, nil
}

// told is the error as the operator is to read it.
func (s *store) told(err error) error {
	var told *StateError
	switch {
	case errors.As(err, &told):
		return told
	case errors.Is(err, boltErrors.ErrTimeout):
		return &StateError{s.path, errors.New("another process is using it"), "stop that process, or give this one a directory of its own with --storage.path"}
	case errors.Is(err, fs.ErrPermission):
		return &StateError{s.path, errors.New("permission denied"), "make the file and its directory writable for the user of this process"}
	case errors.As(err, new(syscall.Errno)):
		return s.failed(err)
	default:
		return &StateError{s.path, fmt.Errorf("damaged: %w", err), doRestore}
	}
}

// open opens the file that is there, checks it and brings it up to date.
func (s *store) open() error {
	options := databaseOptions
	var file *os.File
	options.OpenFile = func(name string, flag int, mode fs.FileMode) (_ *os.File, err error) {
		file, err = os.OpenFile(name, flag, mode)
		return file, err
	}
	err := s.guarded(func() (err error) {
		if s.db, err = bolt.Open(s.path, 0o600, &options); err != nil {
			return err
		}
		if s.file, err = file.Stat(); err != nil {
			return err
		}
		if err := inspect(file, s.file.Size()); err != nil {
			return err
		}
		if err := s.prepare(); err != nil {
			return err
		}
		s.committed, s.opened, err = s.newest()
		return err
	})
	// The first error is the one to tell.
	switch {
	case s.broken.get() != nil:
		_ = file.Close() // It gives up the lock. What the database has mapped ends with the process.
	case err != nil && s.db != nil:
		_ = s.db.Close()
	}
	return err
}

// newest is the newest transaction that is in the file, and the size of the file as of it.
func (s *store) newest() (id int, size int64, err error) {
	err = s.db.View(func(tx *bolt.Tx) error {
		id, size = tx.ID(), tx.Size()
		return nil
	})
	return id, size, err
}

// guarded makes an error of a panic. The database maps the file and follows the pointers it finds there: a damaged file
// can make it panic, or read where there is nothing. Its locks may be held then, so that nothing can be asked of it.
func (s *store) guarded(f func() error) (err error) {
	before := debug.SetPanicOnFault(true)
	defer func() {
		debug.SetPanicOnFault(before)
		if p := recover(); p != nil {
			err = &StateError{s.path, fmt.Errorf("damaged: %v", p), doRestore}
			s.broken.set(err)
		}
	}()
	return f()
}

func (s *store) failed(err error) error {
	return &StateError{s.path, err, doFree}
}

func (s *store) close() error {
	if err := s.broken.get(); err != nil {
		return err // Its locks would be waited for.
	}
	return s.db.Close()
}
