// Package semver reads versions and ranges as npm's documentation describes
// them: Semantic Versioning 2.0.0 with npm's comparators, hyphen ranges,
// x-ranges, tildes and carets, each in a strict and a loose reading.
//
// A Range keeps the comparators that its shorthand stands for, so that matching
// a version is a walk over a few numbers. The package holds no state and is
// gated on npm's own fixtures.
package semver

// Bounds of the grammar. maxNumber is the largest whole number that JavaScript
// holds exactly; a version beyond it is not one for npm.
const (
	maxLength = 256
	maxNumber = 1<<53 - 1
	// maxRange bounds a range's text; build metadata makes it longer than a version.
	maxRange = 4096
)

// Options choose how a text is read and which versions a range lets in.
type Options struct {
	// Loose accepts a leading v or =, leading zeros and a prerelease without
	// its hyphen, and in ranges skips what it cannot read.
	Loose bool
	// IncludePrerelease treats prereleases like all other versions.
	IncludePrerelease bool
}
