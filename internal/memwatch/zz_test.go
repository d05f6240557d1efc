package memwatch
import ("testing";"time";"fmt";"math")
func TestZZ(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, si := range []int{5,6} {
	for seed := uint64(100000); seed < 100012; seed++ {
		w := newWorld(scenarios()[si], seed)
		tr := NewTrend(RunnerTrend())
		w.runners(start, func(minute float64, r Reading) bool {
			if !(tr.Observe(r) && tr.Suspected()) { return false }
			oldest := r.At
			for _, s := range tr.series { if b := s.finished(); len(b) > 0 && b[0].at.Before(oldest) { oldest = b[0].at } }
			for span := r.At.Sub(oldest); span>0 && tr.blocksSince(r.At.Add(-span)) >= tr.cfg.MinBlocks; span /= 2 {
				cut := r.At.Add(-span)
				f := judge(tr.series, cut, tr.cfg)
				fmt.Printf("sc %d seed %d zipf %v min %.0f span %v leaking %v slope %.0f\n", si, seed, w.zipf, minute, span, f.leaking, f.slope)
				if !f.leaking { continue }
				lines, _, _ := gather(tr.series, cut, tr.cfg)
				var sums []moments; var n, sp float64
				for i := range lines { lines[i].level(); lines[i].fill(tr.cfg.UnitTasks); m := momentsOf(lines[i].x, lines[i].y); sums = append(sums, m); n += m.n; L:=lines[i].x; sp += (L[len(L)-1]-L[0])/float64(len(lines))
				 fmt.Printf("   line n %.0f x %.0f..%.0f y %.1f..%.1f\n", m.n, L[0], L[len(L)-1], lines[i].y[0]/mb, lines[i].y[len(L)-1]/mb) }
				p := plain(sums)
				fmt.Printf("   plain growth %.1f rms %.2f\n", p.slope*sp/mb, math.Sqrt(p.rss/n)/mb)
				for k := range curves { f, ok := beside(lines, sums, k); fmt.Printf("   %d %v growth %.1f rms %.3f\n", k, ok, f.slope*sp/mb, math.Sqrt(f.rss/n)/mb) }
				break
			}
			return true
		})
	}}
}
