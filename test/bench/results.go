package main

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"sync"
)

// results are what was measured of organizations and growth. With a file they outlast the program, so that what takes
// long can be measured piece by piece: what is in the file is not measured again.
type results struct {
	Loads  map[int]*load
	Small  *load // of small organizations
	Curves map[string]*curve

	mu   sync.Mutex
	file string
}

var known = results{Loads: map[int]*load{}, Curves: map[string]*curve{}}

func (r *results) open(file string) error {
	r.file = file
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = json.Unmarshal(text, r)
	}
	return err
}

// keep lets the results be changed and writes them to the file, if there is one.
func (r *results) keep(change func()) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	change()
	if r.file == "" {
		return nil
	}
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return os.WriteFile(r.file, text, 0o600)
}
