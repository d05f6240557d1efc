//go:build !linux

package memwatch

// host knows nothing where there is no /proc: memory and processors then never
// hold a task back.
type host struct{ cores float64 }

func newHost(string, int64) host { return host{cores: cores()} }

func (host) memory() int64 { return 0 }

func (host) cpu() cpuTime { return cpuTime{} }
