// Command prices takes a newer list of genai-prices over as the built-in one, and says what changes for which model.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/openai-exporter/openai_exporter/internal/pricing"
)

func main() {
	if err := run(os.Args[1:], os.Stdout, os.Stderr, time.Now()); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "prices:", err)
		os.Exit(1)
	}
}

func run(args []string, stdout, stderr io.Writer, now time.Time) error {
	flags := flag.NewFlagSet("prices", flag.ContinueOnError)
	flags.SetOutput(stderr)
	from := flags.String("list", "", "newer list, in the format of genai-prices")
	into := flags.String("into", "internal/pricing/builtin/openai.json", "built-in list, which is replaced")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *from == "" {
		return errors.New("no list: run make prices LIST=file")
	}
	newer, err := os.ReadFile(*from)
	if err != nil {
		return fmt.Errorf("read the newer list: %w", err)
	}
	after, err := pricing.ParseBuiltin(newer)
	if err != nil {
		return fmt.Errorf("read %s: %w", *from, err)
	}
	present, err := os.ReadFile(*into)
	if err != nil {
		return fmt.Errorf("read the built-in list: %w", err)
	}
	before, err := pricing.ParseBuiltin(present)
	if err != nil {
		return fmt.Errorf("read %s: %w", *into, err)
	}
	text, err := onlyOpenAI(newer)
	if err != nil {
		return fmt.Errorf("read %s: %w", *from, err)
	}
	if err = os.WriteFile(*into, text, 0o644); err != nil {
		return fmt.Errorf("write the built-in list: %w", err)
	}

	var out bytes.Buffer
	for _, line := range pricing.Compare(before, after, now) {
		fmt.Fprintln(&out, line)
	}
	if out.Len() == 0 {
		fmt.Fprintln(&out, "No price changes.")
	}
	fmt.Fprintf(&out, "Without a price: %d of the models of the list, %q.\n", len(after.Unpriced(now)), after.Unpriced(now))
	fmt.Fprintln(&out, "Set BuiltinDate in internal/pricing/builtin.go to the date of the list, and delete what builtin/more.json has no longer to add.")
	_, err = stdout.Write(out.Bytes())
	return err
}

// onlyOpenAI is a list without its other providers, in the spelling of the built-in list.
func onlyOpenAI(list []byte) ([]byte, error) {
	var providers []json.RawMessage
	if err := json.Unmarshal(list, &providers); err != nil {
		return nil, err
	}
	for _, p := range providers {
		var one struct {
			ID string `json:"id"`
		}
		if err := json.Unmarshal(p, &one); err != nil {
			return nil, err
		}
		if one.ID != "openai" {
			continue
		}
		var out bytes.Buffer
		if err := json.Indent(&out, append(append([]byte("["), p...), ']'), "", " "); err != nil {
			return nil, err
		}
		out.WriteByte('\n')
		return out.Bytes(), nil
	}
	return nil, errors.New("it has no provider openai")
}
