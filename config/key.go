package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"
	"unicode"
)

// keyPage is where an admin key is made.
const keyPage = "https://platform.openai.com/settings/organization/admin-keys"

// maxKeySize is far above any key: a larger file is something else.
const maxKeySize = 16 << 10

// A KeySource says where an admin key is: in a file or in an environment variable. Two equal sources are the same place.
type KeySource struct {
	File string
	Env  string
}

// String names the place.
func (s KeySource) String() string {
	if s.File != "" {
		return "api_key_file " + s.File
	}
	return "environment variable " + s.Env
}

// Read reads the key. The error says what to do and never contains what was read.
func (s KeySource) Read() (Secret, error) {
	if s.File == "" {
		text, ok := os.LookupEnv(s.Env)
		if !ok {
			return Secret{}, fmt.Errorf("%s is not set: set it to an admin key (%s), or name a file in api_key_file", s, keyPage)
		}
		return s.check(text)
	}
	f, err := os.Open(s.File)
	if err != nil {
		return Secret{}, s.unreadable(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return Secret{}, s.unreadable(err)
	}
	if !info.Mode().IsRegular() {
		return Secret{}, s.irregular()
	}
	text, err := io.ReadAll(io.LimitReader(f, maxKeySize+1))
	if err != nil {
		return Secret{}, s.unreadable(err)
	}
	if len(text) > maxKeySize {
		return Secret{}, fmt.Errorf("%s is too large for an admin key: it must hold the key and nothing else", s)
	}
	return s.check(string(text))
}

func (s KeySource) irregular() error {
	return fmt.Errorf("%s is not a regular file: name the file that holds the admin key", s)
}

func (s KeySource) unreadable(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s does not exist: write an admin key (%s) into it", s, keyPage)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s cannot be read: permission denied; make it readable for the user that runs the exporter", s)
	}
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	return fmt.Errorf("%s cannot be read: %w", s, err)
}

// check trims what editors and pipes leave around a key, and refuses what could not be sent in a header.
func (s KeySource) check(text string) (Secret, error) {
	text = strings.TrimSpace(strings.TrimPrefix(text, "\ufeff"))
	if text == "" {
		return Secret{}, fmt.Errorf("%s is empty: it must hold an admin key (%s)", s, keyPage)
	}
	for _, r := range text {
		if unicode.IsSpace(r) || r < '!' || r > '~' {
			return Secret{}, fmt.Errorf("%s holds white space or characters that no key has: it must hold the admin key and nothing else", s)
		}
	}
	return NewSecret(text), nil
}

// Open returns a reader that remembers the key and notices when its file changes.
func (s KeySource) Open() *Key { return &Key{source: s} }

// A Key is an admin key that is read again when its file changes. It may be used by several goroutines.
type Key struct {
	source KeySource

	mu     sync.Mutex
	secret Secret
	seen   fs.FileInfo // what the file looked like when it was last read; nil where there was none
	err    error
	read   bool
}

// Source says where the key is.
func (k *Key) Source() KeySource { return k.source }

// Read reads the key again, changed or not, as after an answer that it is not accepted.
func (k *Key) Read() (Secret, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.load()
	return k.secret, k.err
}

// Get returns the key, read again only when the file has changed since. It costs one stat, so it can be called before
// every request.
func (k *Key) Get() (Secret, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.read || k.changed() {
		k.load()
	}
	return k.secret, k.err
}

// Changed says whether the file looks different from when it was last read: another time, size or file behind the
// name, as after the swap of a symbolic link by Kubernetes. A key in the environment never changes.
func (k *Key) Changed() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.read && k.changed()
}

func (k *Key) load() {
	// The look comes before the read, so that a change in between is seen as one afterwards.
	k.seen = k.look()
	k.secret, k.err = k.source.Read()
	k.read = true
}

// look returns what the file looks like, or nil where there is none. It follows links, so a swapped link is another
// file.
func (k *Key) look() fs.FileInfo {
	if k.source.File == "" {
		return nil
	}
	info, err := os.Stat(k.source.File)
	if err != nil {
		return nil
	}
	return info
}

func (k *Key) changed() bool {
	now := k.look()
	if now == nil || k.seen == nil {
		return (now == nil) != (k.seen == nil)
	}
	// The mode counts because a file that could not be read may have been made readable.
	return !os.SameFile(now, k.seen) || now.Size() != k.seen.Size() || now.Mode() != k.seen.Mode() || !now.ModTime().Equal(k.seen.ModTime())
}
