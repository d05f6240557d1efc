// Package dateparser stands in for github.com/markusmobius/go-dateparser, which
// go-trafilatura links through go-htmldate for dates written out in words of
// some two hundred languages. Its tables take 78 MB and 110 ms in every process
// at start (GODEBUG=inittrace=1), runners included, before a single page is
// read. This package has the few names that go-htmldate uses and finds no date:
// dates in metadata, JSON-LD, URLs and in the usual written forms are found by
// go-htmldate itself.
//
// The replace directive in the project's go.mod puts it in place.
package dateparser

import (
	"errors"
	"time"
)

// ParserType chooses a way of reading; none is read here.
type ParserType uint8

// The ways that go-htmldate names.
const (
	CustomFormat ParserType = iota
	AbsoluteTime
)

// PreferredDateSource says in which direction an incomplete date lies.
type PreferredDateSource uint8

// Past is the direction that go-htmldate names.
const Past PreferredDateSource = 1

// Configuration is how a date is to be read.
type Configuration struct {
	PreferredDateSource PreferredDateSource
	StrictParsing       bool
}

// Date is a date that was read.
type Date struct{ Time time.Time }

// Parser reads dates.
type Parser struct{ ParserTypes []ParserType }

var errNoDate = errors.New("dates in words are not read")

// Parse finds no date.
func (*Parser) Parse(*Configuration, string, ...string) (Date, error) { return Date{}, errNoDate }
