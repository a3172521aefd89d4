package command

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/alecthomas/kingpin/v2"

	"github.com/openai-exporter/openai_exporter/internal/shard"
)

// helpCommand is the command that the parser adds.
const helpCommand = "help"

// usage is the parser's template for help. Where it stands for no command in particular, it adds the flags of the default
// command, which are the ones that most people look for, and says that a command may be left out.
var usage = strings.NewReplacer(
	"{{if .Commands}} <command> [<args> ...]{{end}}", "{{if .Commands}} [<command> [<flags>]]{{end}}",
	"{{else if .App.Commands -}}\nCommands:", `{{else if .App.Commands -}}
{{range .App.Commands}}{{if .Default -}}
Flags of {{.Name}}, the default command:
{{.Flags|FlagsToTwoColumns|FormatTwoColumns}}
{{end}}{{end -}}
Commands:`,
).Replace(kingpin.DefaultUsageTemplate)

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
		return fmt.Errorf("--%s: %q is not a valid number", v.name, text)
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

// flagNames are the names of a command's flags as they may be written. Hidden ones end the program by themselves.
func flagNames(group *kingpin.FlagGroupModel) (takesValue map[string]bool) {
	takesValue = make(map[string]bool)
	for _, f := range group.Flags {
		if f.Hidden {
			continue
		}
		takesValue[f.Name] = !f.IsBoolFlag()
		if f.IsBoolFlag() {
			takesValue["no-"+f.Name] = false
		}
	}
	return takesValue
}

// commandFirst moves a command in front of the flags that stand before it. There the parser would take those that are not
// global for flags of the default command, and the command for an argument of that.
func commandFirst(app *kingpin.Application, args []string) []string {
	model := app.Model()
	takesValue := flagNames(model.FlagGroupModel)
	commands := []string{helpCommand}
	for _, c := range model.Commands {
		commands = append(commands, c.Name)
		maps.Copy(takesValue, flagNames(c.FlagGroupModel))
	}
	for i := 0; i < len(args); i++ {
		if slices.Contains(commands, args[i]) {
			before, after := args[:i], args[i+1:]
			if args[i] == helpCommand {
				before = nil // What is asked for help has no use for them.
			}
			return slices.Concat([]string{args[i]}, before, after)
		}
		flag, ok := strings.CutPrefix(args[i], "--")
		flag, _, hasValue := strings.Cut(flag, "=")
		value, known := takesValue[flag]
		if !ok || !known {
			return args // The parser says what is wrong with it.
		}
		if value && !hasValue {
			i++
		}
	}
	return args
}

// parseError is what the parser says, in words that tell what to do.
func parseError(app *kingpin.Application, args []string, err error) error {
	text := err.Error()
	if flag, ok := strings.CutPrefix(text, "unknown long flag '--"); ok {
		if misplaced := misplacedFlag(app, args, strings.TrimSuffix(flag, "'")); misplaced != nil {
			return misplaced
		}
	}
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

// misplacedFlag names the commands that have a flag which the given one lacks, and is nil where none has. The arguments
// begin with the command unless it is the default one.
func misplacedFlag(app *kingpin.Application, args []string, flag string) error {
	var owners []string
	given := ""
	for _, c := range app.Model().Commands {
		if _, ok := flagNames(c.FlagGroupModel)[flag]; ok {
			owners = append(owners, c.Name)
		}
		if len(args) > 0 && args[0] == c.Name {
			given = c.Name
		}
	}
	slices.Sort(owners)
	switch {
	case len(owners) == 0:
		return nil
	case given == "":
		return fmt.Errorf("serve, the default command, has no flag --%s, which is a flag of %s: name the command first; try --help", flag, strings.Join(owners, ", "))
	default:
		return fmt.Errorf("%s has no flag --%s, which is a flag of %s; try %s --help", given, flag, strings.Join(owners, ", "), given)
	}
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
