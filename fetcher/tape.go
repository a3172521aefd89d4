package fetcher

import (
	"bytes"
	"io"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// A tape is a page's body on its way to the JSON decoder. It can look ahead and pass over what is known, and it makes
// fingerprints of what the decoder reads. It stops where the decoder would have to hold more than a value can be long.
type tape struct {
	r     io.Reader
	err   error // of r
	dec   *jsontext.Decoder
	limit int64

	ahead       bytes.Buffer // read, and not consumed by the decoder yet
	given       int          // of ahead, what the decoder holds
	past        int64        // what the decoder had consumed when it was last asked
	fingerprint printer      // of what it consumes
}

// reset lets the decoder begin with a body.
func (t *tape) reset(r io.Reader, dec *jsontext.Decoder) {
	t.r, t.err, t.dec, t.limit = r, nil, dec, maxValue
	t.ahead.Reset()
	t.given, t.past = 0, 0
	dec.Reset(t, options()...)
}

func (t *tape) Read(p []byte) (int, error) {
	t.settle()
	if int64(t.given) > t.limit {
		return 0, errTooLong
	}
	if rest := t.ahead.Bytes()[t.given:]; len(rest) > 0 {
		n := copy(p, rest)
		t.given += n
		return n, nil
	}
	if t.err != nil {
		return 0, t.err
	}
	n, err := t.r.Read(p)
	t.ahead.Write(p[:n])
	t.given += n
	t.err = err
	return n, err
}

// settle lets go of what the decoder has consumed.
func (t *tape) settle() {
	n := int(t.dec.InputOffset() - t.past)
	if n <= 0 {
		return // It has not come past what it was resumed with.
	}
	t.past += int64(n)
	t.given -= n
	t.fingerprint.write(t.ahead.Next(n))
}

// peek returns what the decoder has not consumed, up to n bytes.
func (t *tape) peek(n int) []byte {
	for t.ahead.Len() < n && t.err == nil {
		if _, t.err = io.CopyN(&t.ahead, t.r, int64(n-t.ahead.Len())); t.err == nil {
			break
		}
	}
	return t.ahead.Bytes()[:min(n, t.ahead.Len())]
}

// mostLead bounds the blanks between two buckets that are passed over. What is longer is left to the decoder and its bound.
const mostLead = 4 << 10

// lead is how many bytes stand before the next bucket of a list: a comma between two, and blanks. It is -1 where no bucket
// follows.
func (t *tape) lead(comma bool) int {
	for n := 0; ; n++ {
		b := t.peek(n + 1)
		if len(b) <= n || n > mostLead {
			return -1
		}
		switch c := b[n]; {
		case c == '{' && !comma:
			return n
		case c == ',' && comma:
			comma = false
		case c != ' ' && c != '\n' && c != '\r' && c != '\t':
			return -1
		}
	}
}

// resumed is what the decoder reads first where it goes on behind a bucket that was passed over. It stands for the page so
// far, so that the syntax of the rest is checked as if all of it had been read.
const resumed = `{"data":[{}`

// resume lets the decoder go on with what lies ahead, which it has not seen.
func (t *tape) resume() error {
	t.given, t.past = 0, int64(len(resumed))
	t.dec.Reset(io.MultiReader(strings.NewReader(resumed), t), options()...)
	for range 5 { // The tokens of resumed.
		if _, err := t.dec.ReadToken(); err != nil {
			return err
		}
	}
	return nil
}
