// Package licences holds the modules that the binary is made of to licences that allow what we do with them.
package licences

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// allowed are the licences that a module of the binary may have, by words that only their text has. All of them allow
// redistribution in binary form under our own licence, as long as theirs goes with it.
var allowed = map[string][]string{
	"Apache-2.0":   {"Apache License", "Version 2.0, January 2004", "TERMS AND CONDITIONS FOR USE, REPRODUCTION, AND DISTRIBUTION"},
	"MIT":          {"Permission is hereby granted, free of charge, to any person obtaining a copy", "The above copyright notice and this permission notice shall be included", "without restriction"},
	"BSD-3-Clause": {"Redistribution and use in source and binary forms", "Neither the name of", "may be used to endorse or promote products derived"},
	"BSD-2-Clause": {"Redistribution and use in source and binary forms", "Redistributions in binary form must reproduce the above copyright", "THIS SOFTWARE IS PROVIDED BY"},
	"ISC":          {"Permission to use, copy, modify, and/or distribute this software for any purpose with or without fee is hereby granted"},
}

// refused are words of licences that ask for more than that, wherever in the file they stand.
var refused = regexp.MustCompile(`(?i)GNU (Affero |Lesser )?General Public License|Mozilla Public License|Server Side Public License|Business Source License|Commons Clause|Elastic License`)

var spaces = regexp.MustCompile(`\s+`)

// licence names the licence of a text, or returns "".
func licence(text string) string {
	text = spaces.ReplaceAllString(text, " ")
	if refused.MatchString(text) {
		return ""
	}
	for _, name := range []string{"Apache-2.0", "MIT", "ISC", "BSD-3-Clause", "BSD-2-Clause"} {
		found := true
		for _, words := range allowed[name] {
			found = found && strings.Contains(text, words)
		}
		if found {
			return name
		}
	}
	return ""
}

// modules are those that a package of the binary is from, with the directories where they are.
func modules(t *testing.T) map[string]string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "-json=Module", ".")
	cmd.Dir = filepath.Join("..", "..")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]string)
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct {
			Module *struct {
				Path, Version, Dir string
				Main               bool
				Replace            *struct{ Dir string }
			}
		}
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return found
		} else if err != nil {
			t.Fatal(err)
		}
		if p.Module != nil && !p.Module.Main {
			found[p.Module.Path+"@"+p.Module.Version] = p.Module.Dir
		}
	}
}

func TestEveryModuleOfTheBinaryHasALicenceThatAllowsIt(t *testing.T) {
	found := modules(t)
	if len(found) < 10 {
		t.Fatalf("only %d modules: %v", len(found), found)
	}
	counts := make(map[string]int)
	for module, dir := range found {
		var files []string
		for _, pattern := range []string{"LICENSE*", "LICENCE*", "License*", "COPYING*"} {
			matches, err := filepath.Glob(filepath.Join(dir, pattern))
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, matches...)
		}
		if len(files) == 0 {
			t.Errorf("%s has no licence: nobody may redistribute it", module)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			name := licence(string(text))
			if name == "" {
				t.Errorf("%s: %s is none of the licences that are allowed here; read it, and take the module or leave it", module, filepath.Base(file))
			}
			counts[name]++
		}
	}
	t.Logf("%d modules: %v", len(found), counts)
}

func TestOtherLicencesAreNotTakenForAllowedOnes(t *testing.T) {
	for text, want := range map[string]string{
		"GNU GENERAL PUBLIC LICENSE Version 3, 29 June 2007": "",
		"Mozilla Public License Version 2.0":                 "",
		"All rights reserved.":                               "",
		"":                                                   "",
		"Permission is hereby granted, free of charge, to any person obtaining a copy … without restriction … The above copyright notice and this permission notice shall be included":                          "MIT",
		"Permission is hereby granted, free of charge, to any person obtaining a copy … without restriction … The above copyright notice and this permission notice shall be included, with the Commons Clause": "",
	} {
		if got := licence(text); got != want {
			t.Errorf("%q is taken for %q, want %q", text, got, want)
		}
	}
}
