package ledger

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	bolt "go.etcd.io/bbolt"
)

// A FeedName names what is kept of one endpoint of one organization.
type FeedName struct{ Organization, Endpoint string }

func (n FeedName) String() string { return n.Endpoint + " of " + n.Organization }

func (n FeedName) key() []byte { return []byte(feedName(n.Organization, n.Endpoint)) }

// Export takes the chosen feeds out of the state in a directory and puts them into a file, which is a state of its own.
// The file is on disk before anything is taken out, so a crash leaves the feeds in both, never in none. Where nothing is
// chosen, no file is made. The error is a single line that says what to do.
func Export(dir, output string, chosen func(FeedName) bool) ([]FeedName, error) {
	path := filepath.Join(dir, FileName)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, &StateError{path, errors.New("the file does not exist"), "name the directory of the state with --storage.path"}
	}
	s, err := openStore(dir)
	if err != nil {
		return nil, err
	}
	feeds, err := s.export(output, chosen)
	return feeds, errors.Join(err, s.close())
}

func (s *store) export(output string, chosen func(FeedName) bool) ([]FeedName, error) {
	feeds, err := s.choose(chosen)
	if err != nil || len(feeds) == 0 {
		return nil, err
	}
	if err := s.copyTo(output, feeds); err != nil {
		return nil, err
	}
	if err := s.db.Update(func(tx *bolt.Tx) error { return remove(tx, feeds) }); err != nil {
		return nil, s.failed(fmt.Errorf("remove what was exported to %s (do not import that file, since this state still counts the same): %w", output, err))
	}
	return feeds, nil
}

// copyTo makes a state of its own of feeds, in a file that does not exist yet.
func (s *store) copyTo(output string, feeds []FeedName) error {
	options := databaseOptions
	options.OpenFile = func(name string, flag int, mode fs.FileMode) (*os.File, error) {
		return os.OpenFile(name, flag|os.O_EXCL, mode)
	}
	to, err := bolt.Open(output, 0o600, &options)
	switch {
	case errors.Is(err, fs.ErrExist):
		return fmt.Errorf("write %s: the file exists already, and nothing was exported: name another file", output)
	case err != nil:
		discard(output)
		return fmt.Errorf("write %s: %w", output, err)
	}
	err = s.db.View(func(from *bolt.Tx) error {
		return to.Update(func(tx *bolt.Tx) error {
			return errors.Join(begin(tx), duplicate(tx, from, feeds))
		})
	})
	if err = errors.Join(err, to.Close()); err == nil {
		err = syncDir(filepath.Dir(output))
	}
	if err != nil {
		discard(output)
		return fmt.Errorf("write %s: %w", output, err)
	}
	return nil
}

// An OccupiedError refuses to import a feed that is in the state already: each of the two may have counted what the
// other has counted, too.
type OccupiedError struct {
	Dir  string
	Feed FeedName
}

func (e *OccupiedError) Error() string {
	return fmt.Sprintf("the state in %s has %s already, and nothing was imported: to replace it, remove it with export-state first", e.Dir, e.Feed)
}

// Import puts the chosen feeds of a file that Export has written into the state in a directory: all of them or, on an
// error, none. The file stays as it is. The error is a single line that says what to do.
func Import(dir, input string, chosen func(FeedName) bool) ([]FeedName, error) {
	if _, err := os.Stat(input); err != nil {
		return nil, fmt.Errorf("read the exported state: %w", err)
	}
	to, err := openStore(dir)
	if err != nil {
		return nil, err
	}
	from := newStore(input)
	if err := from.open(); err != nil {
		return nil, errors.Join(from.told(err), to.close())
	}
	feeds, err := to.take(from, dir, chosen)
	return feeds, errors.Join(err, from.close(), to.close())
}

func (s *store) take(from *store, dir string, chosen func(FeedName) bool) ([]FeedName, error) {
	feeds, err := from.choose(chosen)
	if err != nil || len(feeds) == 0 {
		return nil, err
	}
	there, err := s.choose(func(f FeedName) bool { return slices.Contains(feeds, f) })
	if err != nil {
		return nil, err
	}
	if len(there) > 0 {
		return nil, &OccupiedError{dir, there[0]}
	}
	if err := from.db.View(func(tx *bolt.Tx) error {
		return s.db.Update(func(to *bolt.Tx) error { return duplicate(to, tx, feeds) })
	}); err != nil {
		return nil, s.failed(fmt.Errorf("import: %w", err))
	}
	return feeds, nil
}

// choose is the chosen ones of the feeds of a state, after a look whether each of them is whole.
func (s *store) choose(chosen func(FeedName) bool) (feeds []FeedName, err error) {
	var names []string
	err = s.guarded(func() error {
		return s.db.View(func(tx *bolt.Tx) (err error) {
			names, err = listed(tx)
			return err
		})
	})
	if err != nil {
		return nil, s.told(err)
	}
	slices.Sort(names)
	for _, name := range names {
		organization, endpoint, _ := strings.Cut(name, "\x00")
		f := FeedName{organization, endpoint}
		if !chosen(f) {
			continue
		}
		if _, _, err := s.load(name); err != nil {
			return nil, err
		}
		feeds = append(feeds, f)
	}
	return feeds, nil
}

// duplicate copies feeds from one state to another that has none of them. What seals their values knows nothing of the
// state that they are in.
func duplicate(to, from *bolt.Tx, feeds []FeedName) error {
	names, err := listed(to)
	if err != nil {
		return err
	}
	for _, f := range feeds {
		b, err := to.Bucket(bucketFeeds).CreateBucket(f.key())
		if err == nil {
			err = copyBucket(b, from.Bucket(bucketFeeds).Bucket(f.key()))
		}
		if err != nil {
			return fmt.Errorf("copy %s: %w", f, err)
		}
		names = append(names, string(f.key()))
	}
	return list(to, names)
}

func copyBucket(to, from *bolt.Bucket) error {
	return from.ForEach(func(key, value []byte) error {
		if value != nil {
			return to.Put(key, value)
		}
		b, err := to.CreateBucket(key)
		if err != nil {
			return err
		}
		return copyBucket(b, from.Bucket(key))
	})
}

// remove takes feeds out of a state.
func remove(tx *bolt.Tx, feeds []FeedName) error {
	names, err := listed(tx)
	if err != nil {
		return err
	}
	gone := make(map[string]bool, len(feeds))
	for _, f := range feeds {
		if err := tx.Bucket(bucketFeeds).DeleteBucket(f.key()); err != nil {
			return fmt.Errorf("remove %s: %w", f, err)
		}
		gone[string(f.key())] = true
	}
	return list(tx, slices.DeleteFunc(names, func(name string) bool { return gone[name] }))
}
