package pricing

import (
	_ "embed" // The lists are part of the program.
	"sync"
	"time"
)

// BuiltinDate is the date of the built-in prices.
var BuiltinDate = time.Date(2026, time.August, 21, 0, 0, 0, 0, time.UTC)

//go:embed builtin/openai.json
var builtinList []byte

//go:embed builtin/more.json
var builtinMore []byte

// A builtin is both lists as one. They are embedded and tested, so that they can be parsed.
type builtin struct{ list, more *List }

// builtinLists reads the lists once, since prices are made anew with every day of the bill.
var builtinLists = sync.OnceValue(readBuiltin)

func readBuiltin() builtin {
	list, err := ParseList(builtinList)
	if err != nil {
		panic("built-in price list: " + err.Error())
	}
	more, err := ParseList(builtinMore)
	if err != nil {
		panic("built-in price list: " + err.Error())
	}
	return builtin{list, more}
}

func (b builtin) find(name string, at time.Time) *table {
	return b.list.find(name, at).overlaid(b.more.find(name, at))
}
