package config

import (
	"slices"
	"strings"
)

// allowed says what may be written instead, and first what was probably meant.
func allowed(written string, names []string) string {
	var b strings.Builder
	if near := nearest(written, names); near != "" {
		b.WriteString("; did you mean " + near + "?")
	} else {
		b.WriteByte(';')
	}
	b.WriteString(" allowed: " + strings.Join(names, ", "))
	return b.String()
}

// nearest returns the name that is at most a third of its letters away, or "".
func nearest(written string, names []string) string {
	written = strings.ReplaceAll(strings.ToLower(shorten(written)), "-", "_")
	best, name := 0, ""
	for _, n := range names {
		d := distance(written, n)
		if d <= max(1, len(n)/3) && (name == "" || d < best) {
			best, name = d, n
		}
	}
	return name
}

// distance counts the letters to insert, delete, replace or swap with their neighbour.
func distance(a, b string) int {
	x, y := []rune(a), []rune(b)
	var before, last []int
	row := make([]int, len(y)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(x); i++ {
		before, last, row = last, row, make([]int, len(y)+1)
		row[0] = i
		for j := 1; j <= len(y); j++ {
			cost := 1
			if x[i-1] == y[j-1] {
				cost = 0
			}
			row[j] = slices.Min([]int{last[j] + 1, row[j-1] + 1, last[j-1] + cost})
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
	}
	return row[len(y)]
}
