//go:build !linux

package memwatch

type process struct{}

func self() process { return process{} }

// read tells nothing where there is no /proc.
func (process) read(*Usage) (cpu float64) { return 0 }
