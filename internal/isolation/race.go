//go:build race

package isolation

// raceDetector says that this build maps far more memory than it uses.
const raceDetector = true
