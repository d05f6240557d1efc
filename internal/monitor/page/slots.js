// Slots as a row of places, filled where one is busy; many become a bar.
import { el, text, attribute } from "./dom.js";

const most = 32;

export function slots(name, label = "slots") {
  const row = el("span", "places");
  const words = el("span", "words");
  const root = el("div", "slots", el("span", "name", label), row, words);
  row.setAttribute("role", "img");
  return {
    root,
    update(busy, all) {
      text(words, all ? `${busy} of ${all} busy` : "none");
      attribute(row, "aria-label", `${name} ${busy} of ${all}`);
      const places = Math.min(all, most);
      const filled = all > most ? Math.round((busy / all) * most) : busy;
      while (row.children.length > places) row.lastChild.remove();
      while (row.children.length < places) row.append(el("i"));
      [...row.children].forEach((e, i) => attribute(e, "class", i < filled ? "busy" : ""));
    },
  };
}
