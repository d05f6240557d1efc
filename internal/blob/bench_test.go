package blob

import (
	"fmt"
	"testing"

	"github.com/jobyard/jobyard/internal/broker/brokertest"
)

// The texts compress to a third or so. Each put is of new bytes, with its
// reference; "again" is one of bytes that are there.
func BenchmarkStore(b *testing.B) {
	for _, place := range places {
		s := openStore(b, brokertest.Start(b), place)
		for _, size := range []int{100 << 10, 5 << 20} {
			data := text(size)
			name := func(what string) string { return fmt.Sprintf("%s/%s/%dKB", what, place, size>>10) }
			m := put(b, s, data, "x")
			b.Run(name("put"), func(b *testing.B) {
				b.SetBytes(int64(size))
				fresh := append([]byte{}, data...)
				for i := 0; b.Loop(); i++ {
					copy(fresh, fmt.Sprintf("%020d", i))
					sha := put(b, s, fresh, "x").SHA
					b.StopTimer()
					if err := s.Drop(b.Context(), Ref{sha, "x"}); err != nil {
						b.Fatal(err)
					}
					b.StartTimer()
				}
			})
			b.Run(name("again"), func(b *testing.B) {
				b.SetBytes(int64(size))
				for b.Loop() {
					put(b, s, data, "x")
				}
			})
			b.Run(name("get"), func(b *testing.B) {
				b.SetBytes(int64(size))
				for b.Loop() {
					if _, err := s.Get(b.Context(), m.SHA); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
