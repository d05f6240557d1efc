package config

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/jobyard/jobyard/tasks"
)

// Bytes is a flag's value in bytes: "256MiB", "1GB" or a bare number.
type Bytes int64

var byteUnits = map[string]float64{
	"": 1, "b": 1,
	"k": 1 << 10, "kib": 1 << 10, "kb": 1e3,
	"m": 1 << 20, "mib": 1 << 20, "mb": 1e6,
	"g": 1 << 30, "gib": 1 << 30, "gb": 1e9,
	"t": 1 << 40, "tib": 1 << 40, "tb": 1e12,
}

// Set implements flag.Value.
func (b *Bytes) Set(text string) error {
	s := strings.ToLower(strings.TrimSpace(text))
	digits := strings.TrimRight(s, "abcdefghijklmnopqrstuvwxyz ")
	unit, known := byteUnits[strings.TrimSpace(s[len(digits):])]
	n, err := strconv.ParseFloat(digits, 64)
	if err != nil || !known || n < 0 || math.IsNaN(n) || n*unit >= math.MaxInt64 {
		return fmt.Errorf("must be a size as 256MiB or 1GB, got %q", clip(text, 40))
	}
	*b = Bytes(n * unit)
	return nil
}

// String writes the size in the largest unit that loses nothing.
func (b *Bytes) String() string {
	if b == nil {
		return ""
	}
	for _, u := range []struct {
		name string
		size int64
	}{{"TiB", 1 << 40}, {"TB", 1e12}, {"GiB", 1 << 30}, {"GB", 1e9}, {"MiB", 1 << 20}, {"MB", 1e6}, {"KiB", 1 << 10}, {"kB", 1e3}} {
		if n := int64(*b); n != 0 && n%u.size == 0 {
			return strconv.FormatInt(n/u.size, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(*b), 10)
}

// Slots is a flag's value as "search=4,document_parse=2": kinds that are not
// named get none.
type Slots map[string]int

// Set implements flag.Value.
func (s *Slots) Set(text string) error {
	slots := Slots{}
	for part := range strings.SplitSeq(text, ",") {
		kind, number, _ := strings.Cut(strings.TrimSpace(part), "=")
		n, err := strconv.Atoi(strings.TrimSpace(number))
		switch {
		case !slices.Contains(tasks.KindNames(), kind):
			return fmt.Errorf("must name kinds (%s) as search=4,document_parse=2, got %q", strings.Join(tasks.KindNames(), ", "), clip(part, 40))
		case err != nil || n < 0:
			return fmt.Errorf("must give %s a number of slots, as %s=4, got %q", kind, kind, clip(number, 40))
		}
		if _, twice := slots[kind]; twice {
			return fmt.Errorf("names %s twice", kind)
		}
		slots[kind] = n
	}
	*s = slots
	return nil
}

// String writes the slots in the order of the kinds.
func (s *Slots) String() string {
	if s == nil {
		return ""
	}
	var parts []string
	for _, kind := range tasks.KindNames() {
		if n, ok := (*s)[kind]; ok {
			parts = append(parts, fmt.Sprintf("%s=%d", kind, n))
		}
	}
	return strings.Join(parts, ",")
}

func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}
