//go:build !race

package memwatch

const underRace = false
