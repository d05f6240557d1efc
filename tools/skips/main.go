// Command skips reads the events of a test run (go test -json) and fails if a
// test was skipped: on the machine that judges a change, a skipped test proves
// nothing. One reason is accepted: the shared test data is absent, and its
// folder really is.
//
// Usage: skips EVENTS.json DATA-FOLDER
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
)

// dataAbsent begins the message with which package datatest skips.
const dataAbsent = "shared data absent"

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: skips EVENTS.json DATA-FOLDER")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "skips:", err)
		os.Exit(1)
	}
}

func run(events, data string, out io.Writer) error {
	f, err := os.Open(events)
	if err != nil {
		return fmt.Errorf("open the test events: %w", err)
	}
	defer f.Close()
	skips, err := read(f)
	if err != nil {
		return fmt.Errorf("read %s: %w", events, err)
	}
	_, err = os.Stat(data)
	refused := 0
	for _, s := range skips {
		if os.IsNotExist(err) && strings.HasPrefix(s.reason, dataAbsent) {
			fmt.Fprintf(out, "skipped, accepted: %s %s: %s\n", s.pkg, s.test, s.reason)
			continue
		}
		refused++
		fmt.Fprintf(out, "SKIPPED: %s %s: %s\n", s.pkg, s.test, s.reason)
	}
	if refused > 0 {
		return fmt.Errorf("skipped tests: %d, listed above", refused)
	}
	return nil
}

// skip is one skipped test.
type skip struct{ pkg, test, reason string }

// read finds the skipped tests among the events.
func read(r io.Reader) ([]skip, error) {
	type key struct{ pkg, test string }
	reasons := map[key]string{}
	var skips []skip
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e struct{ Action, Package, Test, Output string }
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return nil, err
		}
		k := key{e.Package, e.Test}
		switch {
		case e.Test == "": // a package without tests "skips" as well
		case e.Action == "output":
			if reason, ok := message(e.Output); ok {
				reasons[k] = reason
			}
		case e.Action == "skip":
			skips = append(skips, skip{e.Package, e.Test, reasons[k]})
			delete(reasons, k)
		case e.Action == "pass", e.Action == "fail":
			delete(reasons, k)
		}
	}
	return skips, lines.Err()
}

// message cuts the text out of a line that a test wrote, as
// "    datatest.go:25: shared data absent: sdk".
func message(line string) (string, bool) {
	place, text, ok := strings.Cut(strings.TrimSpace(line), ": ")
	if !ok || !strings.Contains(place, ".go:") {
		return "", false
	}
	return text, true
}
