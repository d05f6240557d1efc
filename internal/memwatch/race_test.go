//go:build race

package memwatch

// underRace says that everything takes ten times as long.
const underRace = true
