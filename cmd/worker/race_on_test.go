//go:build race

package main

// documents is how many the memory test parses: everything takes ten times as
// long here.
const documents = 5
