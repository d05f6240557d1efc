package isolation

import (
	"bytes"
	"slices"
	"sync"
)

// head keeps the beginning of what a child writes to its standard error, where
// a dying Go program says why, and throws the rest away. If a flood came first
// it keeps the beginning of the last words as well.
type head struct {
	mu    sync.Mutex
	kept  []byte
	words []byte // from where the runtime reports its end
	carry []byte // the last bytes of the write before, which may hold half a mark
}

const (
	maxHead  = 4 << 10
	maxWords = 2 << 10
)

// lastWords begin a line of a dying Go program.
var lastWords = [][]byte{[]byte("\npanic: "), []byte("\nfatal error: "), []byte("\nruntime: ")}

// Write never fails: a child must not block or die over its chatter.
func (h *head) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if room := maxHead - len(h.kept); room > 0 {
		h.kept = append(h.kept, p[:min(room, len(p))]...)
	}
	if len(h.words) > 0 {
		h.words = append(h.words, p[:min(maxWords-len(h.words), len(p))]...)
		return len(p), nil
	}
	seen := slices.Concat(h.carry, p)
	for _, mark := range lastWords {
		if i := bytes.Index(seen, mark); i >= 0 {
			h.words = append(h.words, seen[i+1:min(len(seen), i+1+maxWords)]...)
			break
		}
	}
	h.carry = append([]byte(nil), seen[max(0, len(seen)-16):]...)
	return len(p), nil
}

// reset forgets what was written before a task began.
func (h *head) reset() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.kept, h.words, h.carry = h.kept[:0], h.words[:0], append(h.carry[:0], '\n')
}

// String is the head, and the last words if they are not in it.
func (h *head) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.words) == 0 || bytes.Contains(h.kept, h.words[:min(64, len(h.words))]) {
		return string(h.kept)
	}
	return string(h.kept) + "\n...\n" + string(h.words)
}
