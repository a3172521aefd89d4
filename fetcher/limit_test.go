package fetcher

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestABodyThatJustFitsIsReadToItsEnd(t *testing.T) {
	const text = "0123456789"
	for limit := range int64(len(text)) + 3 {
		for name, r := range map[string]io.Reader{"at once": strings.NewReader(text), "byte by byte": iotest.OneByteReader(strings.NewReader(text))} {
			got, err := io.ReadAll(&limitedBody{r: r, left: limit})
			fits := limit >= int64(len(text))
			if string(got) != text[:min(limit, int64(len(text)))] || errors.Is(err, errTooLarge) == fits || fits && err != nil {
				t.Errorf("%s with a limit of %d: %q, %v", name, limit, got, err)
			}
		}
	}
}
