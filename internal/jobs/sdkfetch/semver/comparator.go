package semver

// operator is a comparator's relation; equal is written as nothing.
type operator string

const (
	equal        operator = ""
	less         operator = "<"
	lessEqual    operator = "<="
	greater      operator = ">"
	greaterEqual operator = ">="
)

// comparator is one condition.
type comparator struct {
	op operator
	Version
}

func (c comparator) String() string { return string(c.op) + c.Version.String() }

func (c comparator) match(v Version) bool {
	d := v.Compare(c.Version)
	switch c.op {
	case less:
		return d < 0
	case lessEqual:
		return d <= 0
	case greater:
		return d > 0
	case greaterEqual:
		return d >= 0
	}
	return d == 0
}

// lowest is below every other version.
func lowest() Version { return Version{Pre: []Identifier{number(0)}} }

// nothing is the comparator that no version passes.
func nothing() comparator { return comparator{less, lowest()} }

func (c comparator) isNothing() bool { return c.op == less && c.Compare(lowest()) == 0 }

// isEverything reports whether every version passes that may pass at all.
func (c comparator) isEverything(o Options) bool {
	floor := Version{}
	if o.IncludePrerelease {
		floor = lowest()
	}
	return c.op == greaterEqual && c.Compare(floor) == 0
}
