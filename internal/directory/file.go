package directory

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// FileName is the name of the file in the storage directory.
const FileName = "names.json"

// version is that of the file's layout. A file of another version is not read.
const version = 1

type file struct {
	Version       int             `json:"version"`
	Organizations []*Organization `json:"organizations"`
}

func path(dir string) string { return filepath.Join(dir, FileName) }

// load reads the file; one that is not there is empty.
func load(path string) ([]*Organization, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	// The version comes first, because nothing else need be the same in another one.
	var v struct{ Version int }
	if err := json.Unmarshal(b, &v); err != nil {
		return nil, fmt.Errorf("damaged: %w", err)
	}
	if v.Version != version {
		return nil, fmt.Errorf("it has version %d, this program knows %d", v.Version, version)
	}
	var f file
	if err := json.Unmarshal(b, &f); err != nil {
		return nil, fmt.Errorf("damaged: %w", err)
	}
	for _, o := range f.Organizations {
		if o == nil {
			return nil, errors.New("damaged: an organization is null")
		}
	}
	return f.Organizations, nil
}

// save replaces the file in one step, so that a crash leaves the old one or the new one.
func save(path string, organizations []*Organization) (err error) {
	b, err := json.Marshal(file{version, organizations})
	if err != nil {
		return fmt.Errorf("encode names: %w", err)
	}
	// There is one writer, since the ledger locks the directory: a file that a crash left behind is overwritten.
	temporary := path + ".tmp"
	f, err := os.OpenFile(temporary, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("save names: %w", err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(temporary) // The first error is the one to tell.
		}
	}()
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(temporary, path)
	}
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("save names: %w", err)
	}
	return nil
}

// syncDir makes a rename last.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
