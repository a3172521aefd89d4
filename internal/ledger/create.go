package ledger

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	bolt "go.etcd.io/bbolt"
)

var errEmpty = errors.New("it is empty")

// create makes a state file unless there is one. It gets its name once it is whole, so that a crash while it is made
// leaves none; and its name is synced, so that a crash later does not take away what was counted meanwhile. So a file
// of no length is not ours, and is no beginning.
func create(path string) error {
	if info, err := os.Stat(path); err == nil && info.Size() == 0 {
		return errEmpty
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+unfinished)
	if err != nil {
		return err
	}
	temporary := f.Name()
	defer discard(temporary)
	if err := f.Close(); err != nil {
		return err
	}
	options := databaseOptions
	db, err := bolt.Open(temporary, 0o600, &options)
	if err != nil {
		return err
	}
	if err := errors.Join(db.Update(begin), db.Close()); err != nil {
		return err
	}
	return publish(temporary, path)
}

// begin makes an empty database a state without feeds.
func begin(tx *bolt.Tx) error {
	b, err := tx.CreateBucket(bucketMeta)
	if err == nil {
		err = b.Put(keySchema, []byte(strconv.Itoa(schema)))
	}
	if err == nil {
		_, err = tx.CreateBucket(bucketFeeds)
	}
	return err
}

// publish gives a file that is whole its name, unless there is another one.
func publish(temporary, path string) error {
	// A link takes no other process's file away, as a rename would. Not every file system has links.
	if err := os.Link(temporary, path); err != nil {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			if err := os.Rename(temporary, path); err != nil {
				return err
			}
		}
	}
	return syncDir(filepath.Dir(path))
}

const unfinished = ".new-*"

// tidy removes what crashes have left of files in the making. It is for who holds the lock on the file itself.
func tidy(path string) {
	left, err := filepath.Glob(path + unfinished)
	if err != nil {
		return // It is a name that a pattern can't spell.
	}
	for _, name := range left {
		discard(name)
	}
}

// discard removes a file in the making. One that stays is small, and the next start tries again.
func discard(name string) { _ = os.Remove(name) }

// makeDir makes a directory and its parents, and sees to it that they last.
func makeDir(dir string) error {
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return os.MkdirAll(dir, 0o750) // It tells what is there in its place.
	}
	parent := filepath.Dir(dir)
	if parent != dir {
		if err := makeDir(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, 0o750); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(parent)
}

// syncDir makes the names in a directory last. Some file systems know of no such thing, and some directories may be
// written to but not be opened: they are as good as they are.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if errors.Is(err, fs.ErrPermission) {
		return nil
	}
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, syscall.ENOTSUP) {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	return nil
}
