package fetcher

import (
	"errors"
	"hash/maphash"
	"sync"
)

// A Key is where an admin key comes from: a file or an environment variable.
type Key interface {
	// Get returns the key, read again when it has changed. It is called before every request and must be cheap.
	Get() (string, error)
	// Read reads the key again, after the API has refused it.
	Read() (string, error)
	// Changed says whether the place of the key looks different since it was last read.
	Changed() bool
}

// A keyring is the key of an organization and how often it has changed, so that everybody who waits for another key
// notices it, no matter who was the first to read it.
type keyring struct {
	mu      sync.Mutex
	key     Key
	text    string
	failed  bool
	read    bool
	version int
}

var errNoKey = errors.New("it is empty")

var keySeed = maphash.MakeSeed()

// keyID tells keys apart in this process, without a trace of them. It is never 0.
func keyID(key string) uint64 { return maphash.String(keySeed, key) | 1 }

// get returns the key and its version.
func (k *keyring) get() (text string, version int, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.read && k.key.Changed() {
		// Someone who touches the key file wants it to be tried, even if it is the same one.
		k.version++
		k.read = false
	}
	text, err = k.key.Get()
	return k.take(text, err)
}

// current is the version of the key that was read last.
func (k *keyring) current() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.version
}

// again reads the key again.
func (k *keyring) again() (text string, version int, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	text, err = k.key.Read()
	return k.take(text, err)
}

func (k *keyring) take(text string, err error) (string, int, error) {
	if err == nil && text == "" {
		err = errNoKey
	}
	if k.read && (k.text != text || k.failed != (err != nil)) {
		k.version++
	}
	k.text, k.failed, k.read = text, err != nil, true
	return text, k.version, err
}
