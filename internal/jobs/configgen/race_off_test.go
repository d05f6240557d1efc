//go:build !race

package configgen

const sweep = 200
