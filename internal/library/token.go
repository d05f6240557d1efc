package library

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

// Token is a place in the log: the id of a stream entry. Tokens are compared
// as two integers, never as strings. The zero Token stands before every write.
type Token struct{ ms, seq uint64 }

// ParseToken reads a token in the form that String gives.
func ParseToken(s string) (Token, error) {
	ms, seq, ok := strings.Cut(s, "-")
	if ok {
		a, errA := strconv.ParseUint(ms, 10, 64)
		b, errB := strconv.ParseUint(seq, 10, 64)
		if errA == nil && errB == nil {
			return Token{a, b}, nil
		}
	}
	return Token{}, fmt.Errorf("token %.60q is not two numbers joined by -", s)
}

// Compare returns -1, 0 or 1 as t stands before, at or after u.
func (t Token) Compare(u Token) int {
	return cmp.Or(cmp.Compare(t.ms, u.ms), cmp.Compare(t.seq, u.seq))
}

// String returns the token as Redis writes it.
func (t Token) String() string {
	return strconv.FormatUint(t.ms, 10) + "-" + strconv.FormatUint(t.seq, 10)
}
