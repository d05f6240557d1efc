package documentparse

import (
	"strconv"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"

	"github.com/jobyard/jobyard/tasks"
)

// table adds a table of data; a table that only lays out other blocks is walked
// like any container.
func (w *htmlWalker) table(n *html.Node) {
	rows := tableRows(n)
	if !isDataTable(n, rows) {
		w.children(n)
		w.flush()
		return
	}
	each(n, func(c *html.Node) bool {
		switch {
		case skipped(c):
			return false
		case isTag(c, atom.Caption):
			w.write(nodeText(c, 1000))
			w.flush()
		case isTag(c, atom.A):
			w.b.link(attr(c, "href"), nodeText(c, 300))
		}
		return true
	})
	w.b.tableOf(readTable(rows))
	w.blockDone()
}

// tableRows are the rows of a table, less those of tables inside it.
func tableRows(table *html.Node) []*html.Node {
	var rows []*html.Node
	each(table, func(n *html.Node) bool {
		if isTag(n, atom.Tr) {
			rows = append(rows, n)
			return false
		}
		return n == table || !isTag(n, atom.Table)
	})
	return rows
}

// isDataTable tells data from layout: data has two columns or a header, and no
// tables, headings or code blocks in its cells.
func isDataTable(table *html.Node, rows []*html.Node) bool {
	if role := attr(table, "role"); role == "presentation" || role == "none" || len(rows) == 0 {
		return false
	}
	nested := find(table, func(n *html.Node) bool {
		return n != table && isTag(n, atom.Table, atom.Pre, atom.H1, atom.H2, atom.H3, atom.H4)
	})
	if nested != nil {
		return false
	}
	for _, row := range rows {
		if len(cellsOf(row)) > maxColumns {
			return false
		}
	}
	if find(table, func(n *html.Node) bool { return isTag(n, atom.Th) }) != nil {
		return true
	}
	return len(rows) >= 2 && len(cellsOf(rows[0])) >= 2
}

func cellsOf(row *html.Node) []*html.Node {
	var cells []*html.Node
	for c := row.FirstChild; c != nil; c = c.NextSibling {
		if isTag(c, atom.Td, atom.Th) {
			cells = append(cells, c)
		}
	}
	return cells
}

// readTable reads the rows; the first is the header if all its cells are, or it
// stands in thead. Spanned cells are left empty but keep their columns.
func readTable(rows []*html.Node) tasks.DocumentTable {
	var t tasks.DocumentTable
	down := map[int]int{} // rows that a cell above still spans, by column
	for i, row := range rows {
		cells := cellsOf(row)
		header := i == 0 && (isTag(row.Parent, atom.Thead) || allHeaders(cells))
		var line []string
		for _, cell := range cells {
			line = spanned(line, down)
			if len(line) >= maxColumns {
				break
			}
			at := len(line)
			line = append(line, nodeText(cell, 20_000))
			wide := spanOf(cell, "colspan", maxColumns-at)
			for range wide - 1 {
				line = append(line, "")
			}
			if high := spanOf(cell, "rowspan", 1000); high > 1 {
				for c := range wide {
					down[at+c] = high - 1
				}
			}
		}
		line = spanned(line, down)
		if header {
			t.Header = line
		} else {
			t.Rows = append(t.Rows, line)
		}
	}
	return squared(t)
}

// spanned adds the columns that cells above take.
func spanned(line []string, down map[int]int) []string {
	for down[len(line)] > 0 {
		down[len(line)]--
		line = append(line, "")
	}
	return line
}

func allHeaders(cells []*html.Node) bool {
	for _, c := range cells {
		if !isTag(c, atom.Th) {
			return false
		}
	}
	return len(cells) > 0
}

func spanOf(cell *html.Node, key string, limit int) int {
	n, err := strconv.Atoi(attr(cell, key))
	if err != nil || n < 1 {
		return 1
	}
	return max(1, min(n, limit))
}

// squared gives header and rows one width. Rows without any cell go.
func squared(t tasks.DocumentTable) tasks.DocumentTable {
	wide := len(t.Header)
	for _, row := range t.Rows {
		wide = max(wide, len(row))
	}
	out := tasks.DocumentTable{Header: make([]string, wide), Rows: [][]string{}}
	copy(out.Header, t.Header)
	fill := wide*len(t.Rows) <= maxTableCells
	for _, row := range t.Rows {
		if len(row) == 0 {
			continue
		}
		for fill && len(row) < wide {
			row = append(row, "")
		}
		out.Rows = append(out.Rows, row)
	}
	return out
}
