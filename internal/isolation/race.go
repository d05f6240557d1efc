//go:build race

package isolation

// raceDetector says that this build maps far more memory than it uses.
const raceDetector = true

// shadowed is by how much more its memory grows than what its tasks take.
const shadowed = 5
