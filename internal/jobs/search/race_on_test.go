//go:build race

package search

// underRace tells that the race detector is on: it makes relevance, which has
// nothing concurrent in it, take ten minutes.
const underRace = true
