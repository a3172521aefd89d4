package fetcher

import (
	"fmt"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/openai-exporter/openai_exporter/internal/decimal"
)

// number reads a number, one spelled as a string, or an amount of money; null is 0.
func (d *decoder) number(v jsontext.Value) (decimal.Fixed, error) {
	switch v[0] {
	case '{':
		return d.amount(v)
	case '[', 't', 'f':
		return decimal.Fixed{}, wrongKind("a number", v)
	case 'n':
		return decimal.Fixed{}, nil
	}
	return decimal.Parse(d.text(v))
}

func (d *decoder) amount(v jsontext.Value) (decimal.Fixed, error) {
	var amount decimal.Fixed
	currency := ""
	for name, value := range membersOf(v) {
		switch string(d.unquote(name)) {
		case "value":
			if value[0] == '{' {
				return decimal.Fixed{}, wrongKind("value", value)
			}
			var err error
			if amount, err = d.number(value); err != nil {
				return decimal.Fixed{}, err
			}
		case "currency":
			if value[0] == '{' || value[0] == '[' {
				return decimal.Fixed{}, errNoText
			}
			currency = d.strings.get(d.text(value))
		}
	}
	if currency != "" && !isUSD(currency) && !amount.IsZero() {
		return decimal.Fixed{}, currencyError(shorten(currency))
	}
	return amount, nil
}

// wrongKind names what has the wrong type in a row.
func wrongKind(what string, v jsontext.Value) error {
	return fmt.Errorf("%s is of the wrong type: %s", shorten(what), v.Kind())
}

func isUSD(s string) bool {
	return len(s) == 3 && s[0]|0x20 == 'u' && s[1]|0x20 == 's' && s[2]|0x20 == 'd'
}

// scalar reads a string, a literal or a number as text; null is nil. It is valid until the next read.
func (d *decoder) scalar() ([]byte, error) {
	v, err := d.dec.ReadValue()
	if err != nil {
		return nil, err
	}
	if kind := v.Kind(); kind == '{' || kind == '[' {
		return nil, errNoText
	}
	return d.text(v), nil
}

// text is a scalar as text; null is nil. It is valid until the next text or read.
func (d *decoder) text(v jsontext.Value) []byte {
	switch v[0] {
	case 'n':
		return nil
	case '"':
		return d.unquote(v)
	}
	return v
}

// unquote returns the text of a string. Invalid UTF-8 is replaced, because a name that somebody mangled is no reason to
// lose the numbers of everybody else.
func (d *decoder) unquote(v jsontext.Value) []byte {
	if len(v) < 2 {
		return nil
	}
	plain := v[1 : len(v)-1]
	simple := true
	for _, c := range plain {
		if c == '\\' || c >= 0x80 {
			simple = false
			break
		}
	}
	if simple {
		return plain
	}
	d.unquoted, _ = jsontext.AppendUnquote(d.unquoted[:0], v) // The decoder has checked the syntax; what is left is UTF-8.
	return d.unquoted
}

// time reads Unix seconds.
func (d *decoder) time(name string) (time.Time, error) {
	if k := d.dec.PeekKind(); k == '{' || k == '[' {
		return time.Time{}, d.wrongType(name)
	}
	v, err := d.scalar()
	if err != nil {
		return time.Time{}, err
	}
	f, err := decimal.Parse(v)
	if err != nil {
		return time.Time{}, fmt.Errorf("%s: %w", name, err)
	}
	n, ok := f.Int()
	if !ok || n <= 0 {
		return time.Time{}, fmt.Errorf("%s: not Unix seconds: %s", name, f)
	}
	return time.Unix(n, 0).UTC(), nil
}

// wrongType reads on to see whether the body is torn here, and else names what has the wrong type.
func (d *decoder) wrongType(what string) error {
	kind := d.dec.PeekKind()
	if err := d.dec.SkipValue(); err != nil {
		return err
	}
	return fmt.Errorf("%s is of the wrong type: %s", shorten(what), kind)
}
