// Tables that become cards where there is no room: each cell carries its
// column's name.
import { el, attribute, text } from "./dom.js";

// cells makes a row for a table with the class stack, by its headings.
export function cells(table) {
  const names = [...table.tHead.rows[0].cells];
  const row = el("tr");
  attribute(row, "role", "row");
  const all = names.map((name) => {
    const td = el("td", name.className);
    attribute(td, "role", "cell");
    attribute(td, "data-name", name.innerText.trim());
    row.append(td);
    return td;
  });
  return { row, all };
}

// write sets a cell's text, faint where it says nothing.
export function write(td, s) {
  text(td, s);
  td.classList.toggle("faint", s === "0" || s === "–");
}

export function link(href, words) {
  const a = el("a", "", words);
  a.href = href;
  return a;
}

export const taskLink = (id, words = id) => link(`/tasks/${encodeURIComponent(id)}`, words);
