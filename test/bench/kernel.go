package main

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// resident is what the kernel says of this process's memory, in bytes. RssAnon is without the pages of the state's
// file, which the kernel takes back when it needs them.
func resident() (map[string]float64, error) {
	return kernel("/proc/self/status", 1<<10)
}

// writtenBytes is how much this process has had written to disk.
func writtenBytes() (float64, error) {
	m, err := kernel("/proc/self/io", 1)
	return m["write_bytes"], err
}

func kernel(path string, unit float64) (map[string]float64, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("memory can be measured on Linux alone: %w", err)
	}
	defer f.Close()
	out := make(map[string]float64)
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		name, text, _ := strings.Cut(lines.Text(), ":")
		fields := strings.Fields(text)
		if len(fields) == 0 {
			continue
		}
		if n, err := strconv.ParseFloat(fields[0], 64); err == nil {
			out[name] = n * unit
		}
	}
	return out, lines.Err()
}

// bytesBelow is the size of a directory's files.
func bytesBelow(dir string) (float64, error) {
	entries, err := os.ReadDir(dir)
	total := 0.0
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			return 0, err
		}
		total += float64(info.Size())
	}
	return total, err
}
