package directory

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Each organization has a file of its own, since with many of them the look-ups of each would otherwise write those of all.
const (
	dirName   = "names"
	extension = ".json"
	// formerName is the one file of version 1, which had all organizations.
	formerName = "names.json"
)

// The versions of the layout of the files. A file of another version is not read.
const (
	version       = 2
	formerVersion = 1
)

type file struct {
	Version      int           `json:"version"`
	Organization *Organization `json:"organization"`
}

type formerFile struct {
	Version       int             `json:"version"`
	Organizations []*Organization `json:"organizations"`
}

// Path is the file of an organization in the storage directory. Names are the user's, so they are no names of files.
func Path(dir, organization string) string {
	hash := sha256.Sum256([]byte(organization))
	return filepath.Join(dir, dirName, hex.EncodeToString(hash[:16])+extension)
}

// load reads the file of an organization; it is nil where there is none.
func load(path string) (*Organization, error) {
	var f file
	if err := read(path, version, &f); err != nil {
		return nil, absent(err)
	}
	if f.Organization == nil {
		return nil, errors.New("damaged: there is no organization")
	}
	return f.Organization, nil
}

// loadFormer reads the file of version 1.
func loadFormer(path string) ([]*Organization, error) {
	var f formerFile
	if err := read(path, formerVersion, &f); err != nil {
		return nil, absent(err)
	}
	for _, o := range f.Organizations {
		if o == nil {
			return nil, errors.New("damaged: an organization is null")
		}
	}
	return f.Organizations, nil
}

func absent(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func read(path string, version int, into any) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	// The version comes first, because nothing else need be the same in another one.
	var v struct{ Version int }
	if err := json.Unmarshal(b, &v); err != nil {
		return fmt.Errorf("damaged: %w", err)
	}
	if v.Version != version {
		return fmt.Errorf("it has version %d, this program knows %d", v.Version, version)
	}
	if err := json.Unmarshal(b, into); err != nil {
		return fmt.Errorf("damaged: %w", err)
	}
	return nil
}

// encode is what stands in the file of an organization.
func encode(o *Organization) ([]byte, error) { return json.Marshal(file{version, o}) }

// save replaces a file in one step, so that a crash leaves the old one or the new one.
func save(path string, b []byte) (err error) {
	if err := os.Mkdir(filepath.Dir(path), 0o700); err == nil {
		err = syncDir(filepath.Dir(filepath.Dir(path)))
		if err != nil {
			return err
		}
	} else if !errors.Is(err, fs.ErrExist) {
		return err
	}
	// There is one writer, since the ledger locks the storage directory: a file that a crash left behind is overwritten.
	temporary := path + ".tmp"
	f, err := os.OpenFile(temporary, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
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
	return err
}

// discard removes the files of all but some, and that of version 1.
func discard(dir string, wanted map[string]bool) error {
	entries, err := os.ReadDir(filepath.Join(dir, dirName))
	if absent(err) != nil {
		return err
	}
	gone := []string{filepath.Join(dir, formerName), filepath.Join(dir, formerName+".tmp")}
	for _, e := range entries {
		if path := filepath.Join(dir, dirName, e.Name()); !wanted[path] {
			gone = append(gone, path)
		}
	}
	for _, path := range gone {
		if err := absent(os.Remove(path)); err != nil {
			return err
		}
	}
	return nil
}

// syncDir makes the names in a directory last.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
