package command

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/alecthomas/kingpin/v2"

	"github.com/openai-exporter/openai_exporter/internal/shard"
)

// A flagValue names its flag in the error about what it was given, which the parser's own values do not.
type flagValue struct {
	kingpin.Value
	name string
}

func (v flagValue) Set(text string) error {
	err := v.Value.Set(text)
	var number *strconv.NumError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &number):
		return fmt.Errorf("--%s: %q is not a number that fits", v.name, text)
	}
	return fmt.Errorf("--%s: %s", v.name, strings.TrimPrefix(err.Error(), "enum value "))
}

// nameFlags makes every flag of the program a flagValue.
func nameFlags(app *kingpin.Application) {
	name := func(flags *kingpin.FlagGroupModel, get func(string) *kingpin.FlagClause) {
		for _, f := range flags.Flags {
			_, cumulative := f.Value.(interface{ IsCumulative() bool })
			if clause := get(f.Name); clause != nil && !cumulative && !f.IsBoolFlag() {
				clause.SetValue(flagValue{f.Value, f.Name})
			}
		}
	}
	model := app.Model()
	name(model.FlagGroupModel, app.GetFlag)
	for _, c := range model.Commands {
		if cmd := app.GetCommand(c.Name); cmd != nil {
			name(c.FlagGroupModel, cmd.GetFlag)
		}
	}
}

// parseError is what the parser says, in words that tell what to do.
func parseError(err error) error {
	text := err.Error()
	if argument, ok := strings.CutPrefix(text, "unexpected "); ok {
		text = fmt.Sprintf("there is no command or argument %q", argument)
	}
	const required, missing = "required flag(s) ", " not provided"
	if flags, ok := strings.CutPrefix(text, required); ok {
		// The parser names them in any order.
		names := strings.Split(strings.TrimSuffix(flags, missing), ", ")
		slices.Sort(names)
		text = required + strings.Join(names, ", ") + missing
	}
	return errors.New(text + "; try --help")
}

// completeCommand says which commands a shell may complete the first word to. The parser offers none, because it takes
// the default command for given.
func completeCommand(app *kingpin.Application, args []string) (names []string, ok bool) {
	if len(args) != 2 || args[0] != "--completion-bash" || strings.HasPrefix(args[1], "-") {
		return nil, false
	}
	for _, c := range app.Model().Commands {
		if !c.Hidden {
			names = append(names, c.Name)
		}
	}
	return names, true
}

// A shardValue is the flag that says which shard this replica is. It keeps what else there is of the shard.
type shardValue struct{ shard *shard.Shard }

func (v shardValue) Set(text string) error {
	s, err := shard.Parse(text)
	if err == nil {
		v.shard.Index, v.shard.Count = s.Index, s.Count
	}
	return err
}

func (v shardValue) String() string { return v.shard.String() }
