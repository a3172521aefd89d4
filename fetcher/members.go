package fetcher

import (
	"bytes"
	"iter"

	"github.com/go-json-experiment/json/jsontext"
)

// membersOf goes through the members of an object whose syntax has been checked. Names are as they are quoted.
func membersOf(object jsontext.Value) iter.Seq2[jsontext.Value, jsontext.Value] {
	return func(yield func(name, value jsontext.Value) bool) {
		b := object[1:]
		for {
			b = between(b)
			if b[0] == '}' {
				return
			}
			n := lengthOf(b)
			name := b[:n]
			b = between(b[n:])
			n = lengthOf(b)
			if !yield(name, b[:n]) {
				return
			}
			b = b[n:]
		}
	}
}

// between skips what stands between names and values. Where the syntax is right, what it is needs no look.
func between(b []byte) []byte {
	for b[0] == ',' || b[0] == ':' || b[0] <= ' ' {
		b = b[1:]
	}
	return b
}

// lengthOf is the length of the value that b begins with.
func lengthOf(b []byte) int {
	switch b[0] {
	case '"':
		return stringLength(b)
	case '{', '[':
		depth := 0
		for i := 0; ; i++ {
			switch b[i] {
			case '"':
				i += stringLength(b[i:]) - 1
			case '{', '[':
				depth++
			case '}', ']':
				if depth--; depth == 0 {
					return i + 1
				}
			}
		}
	}
	n := 1
	for b[n] != ',' && b[n] != '}' && b[n] != ']' && b[n] > ' ' {
		n++
	}
	return n
}

// stringLength is the length of the string that b begins with, quotes included.
func stringLength(b []byte) int {
	n := 1
	for {
		n += bytes.IndexByte(b[n:], '"') + 1
		// A quote is the end unless an odd number of backslashes escapes it.
		escapes := 0
		for b[n-2-escapes] == '\\' {
			escapes++
		}
		if escapes%2 == 0 {
			return n
		}
	}
}
