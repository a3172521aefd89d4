package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/openai-exporter/openai_exporter/config"
)

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func reveal(t *testing.T, secret config.Secret, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return secret.Reveal()
}

func TestWhiteSpaceAroundAKeyIsNoPartOfIt(t *testing.T) {
	for _, text := range []string{"sk-admin-a", "sk-admin-a\n", "  sk-admin-a\r\n\n", "\ufeffsk-admin-a\n"} {
		file := filepath.Join(t.TempDir(), "key")
		write(t, file, text)
		secret, err := config.KeySource{File: file}.Read()
		if got := reveal(t, secret, err); got != "sk-admin-a" {
			t.Errorf("file %q reads as %q", text, got)
		}
		t.Setenv("SOME_KEY", text)
		secret, err = config.KeySource{Env: "SOME_KEY"}.Read()
		if got := reveal(t, secret, err); got != "sk-admin-a" {
			t.Errorf("environment %q reads as %q", text, got)
		}
	}
}

func TestAKeyThatCannotBeUsedSaysWhatToDoAndShowsNothing(t *testing.T) {
	dir := t.TempDir()
	file := func(text string) config.KeySource {
		name := filepath.Join(dir, "key")
		write(t, name, text)
		return config.KeySource{File: name}
	}
	env := func(text string) config.KeySource {
		t.Setenv("SOME_KEY", text)
		return config.KeySource{Env: "SOME_KEY"}
	}
	for _, c := range []struct {
		name   string
		source func() config.KeySource
		want   string
	}{
		{"empty file", func() config.KeySource { return file(" \n") }, "is empty: it must hold an admin key"},
		{"two lines", func() config.KeySource { return file("sk-admin-a\nsk-admin-b\n") }, "holds white space or characters that no key has"},
		{"assignment", func() config.KeySource { return file("KEY: sk-admin-a") }, "holds white space or characters that no key has"},
		{"control character", func() config.KeySource { return file("sk-admin-\x00a") }, "holds white space or characters that no key has"},
		{"not ASCII", func() config.KeySource { return file("sk-admin-ä") }, "holds white space or characters that no key has"},
		{"large", func() config.KeySource { return file(strings.Repeat("sk-admin-", 1<<16)) }, "is too large for an admin key"},
		{"absent file", func() config.KeySource { return config.KeySource{File: filepath.Join(dir, "absent")} }, "does not exist: write an admin key"},
		{"folder", func() config.KeySource { return config.KeySource{File: dir} }, "is not a regular file"},
		{"empty variable", func() config.KeySource { return env("") }, "environment variable SOME_KEY is empty: it must hold an admin key"},
		{"absent variable", func() config.KeySource { return config.KeySource{Env: "NO_SUCH_KEY"} }, "environment variable NO_SUCH_KEY is not set: set it to an admin key"},
		{"torn variable", func() config.KeySource { return env("sk-admin-a sk-admin-b") }, "environment variable SOME_KEY holds white space or characters"},
	} {
		t.Run(c.name, func(t *testing.T) {
			secret, err := c.source().Read()
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want … %s …", err, c.want)
			}
			if strings.Contains(err.Error(), "sk-admin-") || strings.Contains(err.Error(), "\n") {
				t.Errorf("shows what was read, or has several lines: %v", err)
			}
			if !secret.IsZero() {
				t.Error("there is a key beside the error")
			}
		})
	}
}

func TestAKeyIsReadAgainWhenItsFileChanges(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "key")
	write(t, file, "sk-admin-one")
	key := config.KeySource{File: file}.Open()
	expect := func(want string) {
		t.Helper()
		secret, err := key.Get()
		if got := reveal(t, secret, err); got != want {
			t.Fatalf("key is %q, want %q", got, want)
		}
		if key.Changed() {
			t.Fatal("a key that was just read has changed")
		}
	}
	changed := func() {
		t.Helper()
		if !key.Changed() {
			t.Fatal("the change was not noticed")
		}
	}
	if key.Changed() {
		t.Fatal("a key that was never read has changed")
	}
	expect("sk-admin-one")

	// Another size.
	write(t, file, "sk-admin-three")
	changed()
	expect("sk-admin-three")

	// The same size, written later.
	write(t, file, "sk-admin-seven")
	later := time.Now().Add(time.Minute)
	if err := os.Chtimes(file, later, later); err != nil {
		t.Fatal(err)
	}
	changed()
	expect("sk-admin-seven")

	// Another file behind the same name, of the same size and time.
	other := filepath.Join(dir, "other")
	write(t, other, "sk-admin-eight")
	if err := os.Chtimes(other, later, later); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(other, file); err != nil {
		t.Fatal(err)
	}
	changed()
	expect("sk-admin-eight")

	// Gone, which is an error and not the old key, and back.
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	changed()
	if _, err := key.Get(); err == nil {
		t.Fatal("a key was read from a file that is gone")
	}
	if key.Changed() {
		t.Fatal("a file that stays away has changed")
	}
	write(t, file, "sk-admin-nine!")
	changed()
	expect("sk-admin-nine!")
}

func TestAKeyFollowsTheLinksThatKubernetesSwaps(t *testing.T) {
	dir := t.TempDir()
	at := time.Now().Add(-time.Hour)
	for _, version := range []string{"one", "two"} {
		if err := os.Mkdir(filepath.Join(dir, ".."+version), 0o755); err != nil {
			t.Fatal(err)
		}
		name := filepath.Join(dir, ".."+version, "key")
		write(t, name, "sk-admin-"+version)
		if err := os.Chtimes(name, at, at); err != nil {
			t.Fatal(err)
		}
	}
	link := func(old, name string) {
		t.Helper()
		if err := os.Symlink(old, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	link("..one", "..data")
	link(filepath.Join("..data", "key"), "key")
	key := config.KeySource{File: filepath.Join(dir, "key")}.Open()
	secret, err := key.Get()
	if got := reveal(t, secret, err); got != "sk-admin-one" {
		t.Fatalf("key is %q", got)
	}
	link("..two", "..data_tmp")
	if err := os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")); err != nil {
		t.Fatal(err)
	}
	if !key.Changed() {
		t.Error("the swap was not noticed")
	}
	secret, err = key.Get()
	if got := reveal(t, secret, err); got != "sk-admin-two" {
		t.Errorf("key is %q after the swap", got)
	}
}

func TestAKeyCanBeReadAnewWithoutAnySignOfChange(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	at := time.Now().Add(-time.Hour)
	write(t, file, "sk-admin-one")
	if err := os.Chtimes(file, at, at); err != nil {
		t.Fatal(err)
	}
	key := config.KeySource{File: file}.Open()
	if _, err := key.Get(); err != nil {
		t.Fatal(err)
	}
	write(t, file, "sk-admin-two")
	if err := os.Chtimes(file, at, at); err != nil {
		t.Fatal(err)
	}
	secret, err := key.Get()
	if got := reveal(t, secret, err); got != "sk-admin-one" {
		t.Fatalf("key is %q: this test needs a change that does not show", got)
	}
	secret, err = key.Read()
	if got := reveal(t, secret, err); got != "sk-admin-two" {
		t.Errorf("key is %q after it was read again", got)
	}
	secret, err = key.Get()
	if got := reveal(t, secret, err); got != "sk-admin-two" {
		t.Errorf("key is %q afterwards", got)
	}
}

func TestAKeyInTheEnvironmentNeverChanges(t *testing.T) {
	t.Setenv("SOME_KEY", "sk-admin-one")
	key := config.KeySource{Env: "SOME_KEY"}.Open()
	secret, err := key.Get()
	if got := reveal(t, secret, err); got != "sk-admin-one" || key.Changed() {
		t.Errorf("key is %q, changed %t", got, key.Changed())
	}
}
