//go:build race

package documentparse

// worstSize is how long the worst inputs grow without -worst: less under the
// race detector, which takes ten times as long.
const worstSize = 8 << 10
