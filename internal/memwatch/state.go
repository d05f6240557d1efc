package memwatch

import "time"

// MemoryState is how full a node is.
type MemoryState string

// The states of a node's memory.
const (
	MemoryOK       MemoryState = "ok"
	MemoryFull     MemoryState = "full"     // above the mark: nothing is admitted
	MemoryCritical MemoryState = "critical" // the largest runner has to go
)

// BudgetState is what a budget shows of itself. Memory is in bytes.
type BudgetState struct {
	Memory   MemoryState `json:"memory"`
	Limit    int64       `json:"limit_bytes"`
	Used     int64       `json:"used_bytes"`
	Reserved int64       `json:"reserved_bytes"` // for what runs, beyond what it has
	Room     int64       `json:"room_bytes"`     // below the mark; 0 if the limit is unknown
	Running  int         `json:"running"`
	Waiting  int         `json:"waiting"`
	// CPU is the share of the processors over the window; Rest is for how much of
	// its time a slot rests because they are too busy, 0 if they are not.
	CPU  float64 `json:"cpu"`
	Rest float64 `json:"rest,omitempty"`
	// Expected is the peak that is expected of each kind.
	Expected map[string]int64 `json:"expected_bytes,omitempty"`
}

// State reads the node and tells how the budget stands.
func (b *Budget) State() BudgetState {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refresh(time.Now())
	s := BudgetState{
		Memory: MemoryOK, Limit: b.cfg.Limit, Used: b.load.Used, Reserved: b.reserved(b.running, "", 0),
		Running: total(b.running), Waiting: len(b.waiters), Rest: b.throttle.rest,
		Expected: make(map[string]int64, len(b.cfg.Ceilings)),
	}
	s.CPU, _ = b.throttle.average(b.cfg.CPUWindow)
	for kind := range b.cfg.Ceilings {
		s.Expected[kind] = b.expected(kind)
	}
	if b.cfg.Limit == 0 {
		return s
	}
	used := float64(b.load.Used) / float64(b.cfg.Limit)
	switch {
	case used > b.cfg.Shed:
		s.Memory = MemoryCritical
	case used > b.cfg.Admit:
		s.Memory = MemoryFull
	}
	s.Room = max(0, b.mark()-s.Used-s.Reserved)
	return s
}
