//go:build !race

package main

// documents is how many the memory test parses.
const documents = 50
