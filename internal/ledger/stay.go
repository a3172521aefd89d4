package ledger

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	bolt "go.etcd.io/bbolt"
)

// stay sees to it that what is committed goes to the file that the next start will read. One that was removed is made
// again from what the database still has: without this, everything would go on as if nothing had happened, until the
// next start began at zero.
func (s *store) stay() error {
	now, err := os.Stat(s.path)
	switch {
	case err == nil && os.SameFile(now, s.file):
		return nil
	case err == nil:
		return &StateError{s.path, errors.New("another file has taken its place"), "put the previous file back, or restart the exporter to use this one"}
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if err := s.rescue(); err != nil {
		return fmt.Errorf("it was removed and can't be written again: %w", err)
	}
	return &StateError{s.path, errors.New("it was removed while in use"), "it has been written again, and nothing is lost"}
}

// rescue writes the database into a new file and goes on with that.
func (s *store) rescue() error {
	if err := makeDir(filepath.Dir(s.path)); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(s.path), filepath.Base(s.path)+unfinished)
	if err != nil {
		return err
	}
	defer discard(f.Name())
	err = s.db.View(func(tx *bolt.Tx) error {
		_, err := tx.WriteTo(f)
		return err
	})
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := publish(f.Name(), s.path); err != nil {
		return err
	}
	next := newStore(s.path)
	if err := next.open(); err != nil {
		return err
	}
	former := s.db
	// A commit that had come through although it failed is in the copy, too.
	if newest, _, err := s.newest(); err != nil || newest != s.committed {
		next.committed--
	}
	*s = *next
	_ = former.Close() // Nobody can see it any more.
	return nil
}
