package fetcher

import (
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/openai-exporter/openai_exporter/internal/api"
)

// A Bound limits what one read may bring, so that no answer can fill the memory. A read that goes past it fails whole,
// and names it.
type Bound string

// The bounds of a read.
const (
	// BoundBody is on the bytes of one page.
	BoundBody Bound = "body"
	// BoundPages is on the pages of one read. What the exporter asks for is one page, and a few after a downtime: past a
	// thousand the API does not come to an end.
	BoundPages Bound = "pages"
	// BoundRows is on the rows of one read, all of which are held until the read is whole. It is fifty times what a poll of
	// an hour brings of twenty thousand label sets, each of which has usage in every tenth minute.
	BoundRows Bound = "rows"
)

// Bounds are all of them.
var Bounds = []Bound{BoundBody, BoundPages, BoundRows}

// A BoundObserver is an Observer that is also told, after every read that got an answer, how much of each bound it used, as
// a share.
type BoundObserver interface {
	Bound(organization, endpoint string, b Bound, share float64)
}

// usage is how much of its bounds a read has used so far.
type usage struct {
	body  int64 // of the largest page
	pages int
	rows  int
}

// page takes note of one more page, and of how many rows there are by now.
func (u *usage) page(bytes int64, rows int) {
	u.body = max(u.body, bytes)
	u.pages++
	u.rows = rows
}

// A countedBody knows how much was read of it.
type countedBody struct {
	r    io.Reader
	read int64
}

func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	b.read += int64(n)
	return n, err
}

// exceeded is the error of a read that goes past a bound. It will be no smaller the next time, so there is no hurry.
func (c *Client) exceeded(e *api.Endpoint, u usage, more bool) error {
	switch {
	case u.rows > c.o.MaxRows:
		return boundError(e, fmt.Sprintf("has more than %d rows: group by fewer dimensions, or shorten lookback", c.o.MaxRows))
	case more && u.pages >= c.o.MaxPages:
		return boundError(e, fmt.Sprintf("has more than %d pages: shorten lookback", c.o.MaxPages))
	}
	return nil
}

func boundError(e *api.Endpoint, text string) *Error {
	return &Error{
		Class: ClassBody, Status: http.StatusOK, err: errors.New(text), lasting: true,
		text: fmt.Sprintf("the API's answer for %s %s", e.Name, text),
	}
}

// report tells an observer that wants to know.
func (c *Client) report(e *api.Endpoint, u usage) {
	o, ok := c.o.Observer.(BoundObserver)
	if !ok || u.pages == 0 {
		return
	}
	for bound, share := range map[Bound]float64{
		BoundBody:  float64(u.body) / float64(c.o.MaxBody),
		BoundPages: float64(u.pages) / float64(c.o.MaxPages),
		BoundRows:  float64(u.rows) / float64(c.o.MaxRows),
	} {
		o.Bound(c.o.Organization, e.Name, bound, share)
	}
}
