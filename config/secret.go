package config

import (
	"crypto/subtle"
	"fmt"
	"log/slog"
)

const hidden = "<secret>"

// A Secret is a text that shows itself only to Reveal. It holds a pointer and not the text, because fmt and other
// printers that work by reflection do not call methods on unexported fields: there they find an address.
type Secret struct{ text *string }

// NewSecret hides a text.
func NewSecret(text string) Secret { return Secret{&text} }

// Reveal returns the text. What it returns must not be stored, logged or wrapped into an error.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// IsZero says whether there is no text.
func (s Secret) IsZero() bool { return s.Reveal() == "" }

// Equal compares the texts in constant time.
func (s Secret) Equal(other Secret) bool {
	return subtle.ConstantTimeCompare([]byte(s.Reveal()), []byte(other.Reveal())) == 1
}

// String is the same for every secret.
func (s Secret) String() string { return hidden }

// GoString is the same for every secret.
func (s Secret) GoString() string { return hidden }

// Format is the same for every secret, under every verb.
func (s Secret) Format(f fmt.State, verb rune) { formatAs(f, verb, hidden) }

// LogValue is the same for every secret.
func (s Secret) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalText is the same for every secret; JSON and log encoders use it.
func (s Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// MarshalJSON is the same for every secret.
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + hidden + `"`), nil }

// MarshalYAML is the same for every secret.
func (s Secret) MarshalYAML() (any, error) { return hidden, nil }
