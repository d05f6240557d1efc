package semver

import "slices"

// span is the stretch of versions that a set of comparators leaves: low and
// high are nil where it is open.
type span struct{ low, high *comparator }

func (s set) span() span {
	var sp span
	for _, c := range s {
		if c.op != less && c.op != lessEqual {
			sp.raise(comparator{upward(c.op), c.Version})
		}
		if c.op != greater && c.op != greaterEqual {
			sp.lower(comparator{downward(c.op), c.Version})
		}
	}
	return sp
}

func upward(op operator) operator {
	if op == greater {
		return greater
	}
	return greaterEqual
}

func downward(op operator) operator {
	if op == less {
		return less
	}
	return lessEqual
}

func (sp *span) raise(c comparator) {
	if sp.low == nil || c.Compare(sp.low.Version) > 0 || c.op == greater && c.Compare(sp.low.Version) == 0 {
		sp.low = &c
	}
}

func (sp *span) lower(c comparator) {
	if sp.high == nil || c.Compare(sp.high.Version) < 0 || c.op == less && c.Compare(sp.high.Version) == 0 {
		sp.high = &c
	}
}

// empty reports whether the ends leave nothing between them. Nothing lies below
// 0.0.0, or below its first prerelease if those count.
func (sp span) empty(o Options) bool {
	low := comparator{greaterEqual, Version{}}
	if o.IncludePrerelease || sp.low == nil && sp.high != nil && len(sp.high.Pre) > 0 && !sp.high.isNothing() {
		low.Version = lowest()
	}
	if sp.low != nil {
		low = *sp.low
	}
	if sp.high == nil {
		return false
	}
	d := low.Compare(sp.high.Version)
	return d > 0 || d == 0 && (low.op == greater || sp.high.op == less)
}

// Intersects reports whether some version may pass both ranges.
func (r Range) Intersects(q Range) bool {
	for _, a := range r.sets {
		for _, b := range q.sets {
			if a.intersects(b, r.opts) {
				return true
			}
		}
	}
	return false
}

func (s set) intersects(t set, o Options) bool {
	both := slices.Concat(s, t)
	if both.span().empty(o) {
		return false
	}
	// A fixed version must pass as itself: prereleases are let in by name only.
	for _, c := range both {
		if c.op == equal && (!s.match(c.Version, o) || !t.match(c.Version, o)) {
			return false
		}
	}
	return true
}

// Above reports whether the version is higher than all that the range lets in.
func (r Range) Above(v Version) bool {
	return !r.Match(v) && !slices.ContainsFunc(r.sets, func(s set) bool {
		high := s.span().high
		return high == nil || high.match(v)
	})
}

// Below reports whether the version is lower than all that the range lets in.
func (r Range) Below(v Version) bool {
	return !r.Match(v) && !slices.ContainsFunc(r.sets, func(s set) bool {
		low := s.span().low
		return low == nil || low.match(v)
	})
}
