//go:build !race

package documentparse

const worstSize = 32 << 10
