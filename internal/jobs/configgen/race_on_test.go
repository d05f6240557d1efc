//go:build race

package configgen

// sweep is how often a case is repeated or changed: fewer times under the race
// detector, which takes ten times as long.
const sweep = 60
