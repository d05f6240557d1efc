//go:build !race

package isolation

const (
	raceDetector = false
	shadowed     = 1
)
