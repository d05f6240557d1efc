package broker

import (
	"strconv"
	"strings"
)

// InfoNumber reads a number of Redis's INFO; 0 if it is not there.
func InfoNumber(info, name string) int64 {
	for line := range strings.Lines(info) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			n, _ := strconv.ParseInt(strings.TrimSpace(value), 10, 64)
			return n
		}
	}
	return 0
}
