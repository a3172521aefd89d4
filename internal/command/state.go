package command

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/alecthomas/kingpin/v2"
	"github.com/go-kit/log"
	"github.com/go-kit/log/level"

	"github.com/openai-exporter/openai_exporter/internal/ledger"
	"github.com/openai-exporter/openai_exporter/internal/shard"
)

// stateCommand moves what an exporter has counted from one state directory to another, while neither of them is in use.
type stateCommand struct {
	name          string
	storagePath   string
	file          string
	organizations []string
	shard         shard.Shard
	shardGiven    bool
}

func newExportCommand(app *kingpin.Application) *stateCommand {
	c := &stateCommand{name: "export-state"}
	cmd := app.Command(c.name, "Move totals from a state directory into a file for import-state: all of them, or those of some organizations. The exporter must not run.")
	cmd.Flag("output", "File to write; it must not exist.").Required().PlaceHolder("FILE").StringVar(&c.file)
	c.flags(cmd, "Export only this organization. Repeatable.", "Export only what this replica does not poll: 0/3 is the first of three replicas.")
	return c
}

func newImportCommand(app *kingpin.Application) *stateCommand {
	c := &stateCommand{name: "import-state"}
	cmd := app.Command(c.name, "Move totals from a file that export-state wrote into a state directory. The exporter must not run.")
	cmd.Flag("input", "File to read.").Required().PlaceHolder("FILE").StringVar(&c.file)
	c.flags(cmd, "Import only this organization. Repeatable.", "Import only what this replica polls: 0/3 is the first of three replicas.")
	return c
}

func (c *stateCommand) flags(cmd *kingpin.CmdClause, organization, replica string) {
	cmd.Flag("storage.path", "Directory of the state.").Default("data").StringVar(&c.storagePath)
	cmd.Flag("organization", organization).PlaceHolder("NAME").StringsVar(&c.organizations)
	c.shard = shard.Shard{Count: 1}
	cmd.Flag("shard", replica).PlaceHolder("I/N").IsSetByUser(&c.shardGiven).SetValue(shardValue{&c.shard})
	cmd.Flag("shard.by", "What stays together on one replica, the same as the exporter's --shard.by.").Default(string(shard.Organization)).EnumVar((*string)(&c.shard.Unit), string(shard.Organization), string(shard.Endpoint))
}

func (c *stateCommand) named(f ledger.FeedName) bool {
	return len(c.organizations) == 0 || slices.Contains(c.organizations, f.Organization)
}

func (c *stateCommand) export(logger log.Logger) error {
	feeds, err := ledger.Export(c.storagePath, c.file, func(f ledger.FeedName) bool {
		return c.named(f) && (!c.shardGiven || !c.shard.Owns(f.Organization, f.Endpoint))
	})
	if err == nil {
		err = c.missing(feeds, "the state in "+c.storagePath)
	}
	switch {
	case err != nil:
		return err
	case len(feeds) == 0:
		level.Info(logger).Log("msg", "There is nothing to export, and no file was written", "storage_path", c.storagePath)
	default:
		level.Info(logger).Log("msg", "Exported from the state: these totals are now only in the file", "storage_path", c.storagePath, "output", c.file, "organizations", len(organizationsOf(feeds)), "endpoints", len(feeds))
	}
	return nil
}

func (c *stateCommand) imports(logger log.Logger) error {
	feeds, err := ledger.Import(c.storagePath, c.file, func(f ledger.FeedName) bool {
		return c.named(f) && c.shard.Owns(f.Organization, f.Endpoint)
	})
	var broken *ledger.StateError
	switch {
	case err == nil:
		err = c.missing(feeds, c.file)
	case errors.As(err, &broken) && broken.Path == c.file && strings.HasPrefix(broken.Err.Error(), "damaged"):
		// What to do about a state is not what to do about a file that is to be read into one.
		err = fmt.Errorf("read the exported state %s: %w; name a file that export-state wrote with --input", c.file, broken.Err)
	}
	if err != nil {
		return err
	}
	level.Info(logger).Log("msg", "Imported into the state", "storage_path", c.storagePath, "input", c.file, "organizations", len(organizationsOf(feeds)), "endpoints", len(feeds))
	return nil
}

// missing is an error that names the organizations that were asked for by name and of which nothing was there.
func (c *stateCommand) missing(feeds []ledger.FeedName, where string) error {
	found := organizationsOf(feeds)
	names := slices.DeleteFunc(slices.Clone(c.organizations), func(name string) bool { return found[name] })
	if len(names) == 0 {
		return nil
	}
	text := fmt.Sprintf("%s has no totals of %s", where, strings.Join(names, ", "))
	if len(feeds) > 0 {
		text += "; the others were moved"
	}
	return errors.New(text)
}

func organizationsOf(feeds []ledger.FeedName) map[string]bool {
	names := make(map[string]bool)
	for _, f := range feeds {
		names[f.Organization] = true
	}
	return names
}
