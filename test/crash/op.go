package crash

import "fmt"

// A Kind is what an operation does.
type Kind int

// The operations that matter to what is on the disk, and Ack, which is what the program says in between.
const (
	Create   Kind = iota // Path now names a new file
	Mkdir                // Path now names a new directory
	Write                // Data at Offset of the file at Path
	Truncate             // the file at Path is now Offset bytes long
	Sync                 // what was asked of Path until now lasts
	Rename               // the file at Path is now at To
	Link                 // To names the file at Path, too
	Unlink               // Path names nothing any more
	Ack                  // Data is what the program has told the outside
)

func (k Kind) String() string {
	return [...]string{"create", "mkdir", "write", "truncate", "sync", "rename", "link", "unlink", "ack"}[k]
}

// An Op is an operation that has succeeded.
type Op struct {
	Kind     Kind
	Path, To string // relative to the directory that is watched; "." is that directory
	Offset   int64
	Data     []byte
}

func (o Op) String() string {
	switch o.Kind {
	case Write:
		return fmt.Sprintf("write %s [%d, %d)", o.Path, o.Offset, o.Offset+int64(len(o.Data)))
	case Truncate:
		return fmt.Sprintf("truncate %s %d", o.Path, o.Offset)
	case Rename, Link:
		return fmt.Sprintf("%s %s %s", o.Kind, o.Path, o.To)
	case Ack:
		return fmt.Sprintf("ack %.60s", o.Data)
	default:
		return o.Kind.String() + " " + o.Path
	}
}
