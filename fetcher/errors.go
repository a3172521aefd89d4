package fetcher

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// A Class says what kind of trouble an error is, and thereby what can be done about it.
type Class string

// The classes of errors.
const (
	ClassKey          Class = "key"          // the admin key can't be read
	ClassUnauthorized Class = "unauthorized" // the API does not accept the key
	ClassScope        Class = "scope"        // the key lacks a permission
	ClassForbidden    Class = "forbidden"    // access is denied for a reason that is not the key itself
	ClassRequest      Class = "request"      // the API refuses the request as such
	ClassNotFound     Class = "not_found"
	ClassThrottled    Class = "throttled"
	ClassServer       Class = "server"
	ClassTimeout      Class = "timeout"
	ClassNetwork      Class = "network"
	ClassRedirect     Class = "redirect" // the API answered from somewhere else
	ClassBody         Class = "body"     // the answer is torn or not what it should be
	ClassCurrency     Class = "currency" // an amount is not in US dollars
)

// An Error is a request that did not give what was asked for. Its text is one line that says what is wrong and what to
// do; it never holds a key or a piece of one.
type Error struct {
	Class     Class
	Status    int    // the HTTP status, 0 where there was no answer
	RequestID string // the answer's x-request-id
	// Param is the parameter that a 400 names, Dimension the dimension that it refuses.
	Param, Dimension string
	// RetryAfter is how long the API asked to be left alone, 0 where it did not.
	RetryAfter time.Duration

	text string
	err  error
	// lasting marks a fault of a class that is transient as a rule, but will not go away by asking again.
	lasting bool
	// keyVersion is which of the client's keys it was made with.
	keyVersion int
}

func (e *Error) Error() string { return e.text }

func (e *Error) Unwrap() error { return e.err }

// Permanent says whether only somebody's action will end the trouble: asking again soon is of no use.
func (e *Error) Permanent() bool {
	switch e.Class {
	case ClassKey, ClassUnauthorized, ClassScope, ClassForbidden, ClassNotFound:
		return true
	}
	return false
}

// keyed says whether another key may end the trouble, be it the key's own or its account's.
func (e *Error) keyed() bool {
	switch e.Class {
	case ClassKey, ClassUnauthorized, ClassScope, ClassForbidden:
		return true
	}
	return false
}

// transient says whether asking again within seconds may help.
func (e *Error) transient() bool {
	switch e.Class {
	case ClassThrottled, ClassServer, ClassTimeout, ClassNetwork, ClassBody:
		return !e.lasting
	}
	return false
}

// Code is how an outcome is counted: "200" without an error, else the HTTP status, "timeout", "network", or "body" for
// an answer that is torn or invalid.
func Code(err error) string {
	if err == nil {
		return strconv.Itoa(http.StatusOK)
	}
	var e *Error
	if !errors.As(err, &e) {
		return string(ClassNetwork)
	}
	switch e.Class {
	case ClassTimeout:
		return string(ClassTimeout)
	case ClassBody, ClassCurrency:
		return string(ClassBody)
	}
	if e.Status == 0 {
		return string(ClassNetwork)
	}
	return strconv.Itoa(e.Status)
}

func keyError(err error, version int) *Error {
	return &Error{Class: ClassKey, text: clean(fmt.Sprintf("the admin key can't be read: %v", err)), err: err, keyVersion: version}
}
