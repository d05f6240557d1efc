// Package clients holds the yard's clients for other languages: typescript and
// python. Both are generated from the OpenAPI description on top of a runtime
// that is written by hand; neither depends on anything.
//
// Its tests are the generator (go test ./clients -run Generated -update) and
// run both against a real yard where node and python3 are installed.
package clients
